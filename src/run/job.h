// What all slots of a rank share, and none changes, while a sweep is trained: the sweep, the backend, and each case's
// layout and data.
#pragma once

#include "backend/backend.h"
#include "run/coordinator.h"
#include "run/engines.h"
#include "sweep/sweep.h"
#include "train/trainer.h"

#include <stdatomic.h>

struct ts_data;
struct ts_lock;

typedef struct ts_job {
    const ts_sweep *sweep;
    const ts_backend *backend;
    int cases;
    const ts_engine **engines;  // (cases) which train them
    ts_engines uses;            // the same for people to read, and why not others
    ts_record_layout **layouts; // (cases)
    double *operations;         // (cases) of one training step
    double *unit_bytes;         // (cases) that a unit takes beside its instances
    int *parts;                 // (cases) of a step that threads of a rank may share
    double *cost;               // (cases) predicted seconds of one slot for one instance
    double *steps;              // (cases) training steps of an instance
    struct ts_data **data;      // (cases)
    struct ts_crew *crew;       // of the rank; set by whoever trains, not owned
    char *state_directory;
    atomic_bool given_up; // this rank is no part of the run any more: it saves nothing
    // Set by whoever trains: the run's lock, not owned; the sweep's digest, by which states are known.
    const struct ts_lock *lock;
    uint8_t digest[32];
} ts_job;

// The backend of that name, or for "auto" the best that runs here and trains all of the sweep's cases.
ts_status ts_job_backend(const ts_sweep *sweep, const char *name, const ts_backend **backend);

// Makes data, layouts and predictions for every case. `output`: path of the results file. TS_ERROR_USER if the backend
// cannot train some case.
ts_status ts_job_create(const ts_sweep *sweep, const ts_backend *backend, const char *output, ts_job **job);
void ts_job_free(ts_job *job);

// Saves a unit's state. If that is not possible it warns, and the run goes on: only a lost device is an error.
ts_status ts_job_save_state(const ts_job *job, const ts_unit *unit, const ts_trainer *trainer);

// Predicted seconds of one checkpoint of one instance, measured in full or for its losses alone.
double ts_job_measure_seconds(const ts_params *params, const struct ts_data *data, bool full);

// Predicted seconds of an instance beside its steps and checkpoints.
double ts_job_fixed_seconds(const ts_params *params);

// Predicted seconds of one step of one instance of a case, on one slot.
double ts_job_step_seconds(const ts_job *job, int case_index);

// What the coordinator needs to know of a case; its cost is the prediction.
ts_coordinator_case ts_job_case(const ts_job *job, int case_index);
