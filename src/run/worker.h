// The worker side of a rank: its slots, the units waiting for them, commits, and the messages to and from the leader.
// Everything runs on the rank's main thread, in ts_worker_tick.
#pragma once

#include "base/comm.h"
#include "results/store.h"
#include "run/message.h"
#include "run/slot.h"

typedef struct ts_worker ts_worker;

typedef struct ts_worker_setup {
    const ts_comm *comm;
    ts_job *job;
    ts_store *store;
    ts_exchanges *exchanges; // of the rank
    int slots;
    double checkpoint_interval; // seconds between saves of unit states
    double patience;            // with a rank 0 that falls silent, in seconds
    struct ts_leader *leader;   // rank 0's; NULL: this is another rank
} ts_worker_setup;

ts_status ts_worker_create(const ts_worker_setup *setup, ts_worker **worker);
void ts_worker_free(ts_worker *worker);

// One round: commits what is finished, starts what waits, asks for more. True if anything happened.
bool ts_worker_tick(ts_worker *worker);

// A message of the leader. True if the run is over.
bool ts_worker_receive(ts_worker *worker, const ts_run_message *message);

// The run is over, and nothing is left to be committed: a slot may still wait for the last words of its team.
void ts_worker_end_teams(ts_worker *worker);

// Has rank 0 been silent for too long? Then: saves all units' states, and gives up what takes more than some seconds.
bool ts_worker_is_cut_off(const ts_worker *worker);
void ts_worker_save(ts_worker *worker);

// Saves and stops everything, at once unless this rank must hear from rank 0 first. The leader learns why: TS_OK for a
// signal, else the fault; unless it asked itself (reason NULL).
void ts_worker_stop(ts_worker *worker, ts_status status, const char *reason);
