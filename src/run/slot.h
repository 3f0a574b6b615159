// A slot: a thread of a rank that trains one unit at a time. The rank's main thread hands units in and takes
// results out; MPI and HDF5 never run here. Unit states are plain files and are written here.
#pragma once

#include "base/team.h"
#include "run/job.h"
#include "run/message.h"
#include "sweep/sweep.h"
#include "train/trainer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef enum ts_slot_state {
    TS_SLOT_IDLE,
    TS_SLOT_WORKING,
    TS_SLOT_FINISHED, // `trainer` holds the results
    TS_SLOT_STOPPED,  // stopped; the unit's state is saved (or it had not begun)
    TS_SLOT_FAULT,    // `status` and `message` say why
} ts_slot_state;

typedef struct ts_slot {
    ts_job *job;
    ts_exchanges *exchanges;
    int rank;
    pthread_t thread;
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t wake;
    ts_slot_state state;
    bool quit;
    ts_unit unit;
    ts_team_place place; // the team that trains it
    ts_trainer *trainer;
    ts_team team;
    ts_comm_team *comm; // of a team of several ranks, as long as it trains
    ts_status status;
    char message[TS_MESSAGE_BYTES];
    double seconds;   // spent on the unit by this process
    atomic_int pause; // ts_pause, read by the trainer
} ts_slot;

// exchanges: of the rank; NULL: there are no teams.
ts_status ts_slot_start(ts_slot *slot, ts_job *job, ts_exchanges *exchanges, int rank);
void ts_slot_end(ts_slot *slot); // stops its unit, whose state is saved, and joins the thread

void ts_slot_give(ts_slot *slot, const ts_unit *unit, const ts_team_place *place); // the slot must be idle
ts_slot_state ts_slot_look(ts_slot *slot);

// Takes the outcome of a slot that is not working, and leaves it idle. The caller frees the trainer.
typedef struct ts_outcome {
    ts_slot_state state;
    ts_unit unit;
    ts_team_place place;
    ts_trainer *trainer;
    ts_status status;
    char message[TS_MESSAGE_BYTES];
    double seconds;
} ts_outcome;
void ts_slot_take(ts_slot *slot, ts_outcome *outcome);

void ts_slot_save(ts_slot *slot); // asks it to save its unit's state and go on
void ts_slot_stop(ts_slot *slot); // asks it to save its unit's state and stop
// Share of the unit done; 0 if idle. Both are also set while it is idle, to its last ones.
double ts_slot_progress(ts_slot *slot, ts_unit *unit, ts_team_place *place);
