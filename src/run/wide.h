// Wide instances (`ranks_per_instance` > 1): teams of ranks train one at a time, before the coordinator hands
// out everything else. Teams and who trains what follow from the sweep and the number of ranks alone; states
// and rows are kept as for other units.
#pragma once

#include "base/comm.h"
#include "results/store.h"
#include "run/job.h"
#include "run/message.h"

// TS_ERROR_USER if a case takes more than so many ranks.
ts_status ts_wide_check(const ts_job *job, int ranks);

typedef struct ts_wide_setup {
    const ts_comm *comm;
    ts_job *job;
    ts_store *store;
    const uint8_t *status;      // (instances) rank 0 only
    double checkpoint_interval; // seconds between saves of states
    double deadline;            // ts_clock() at which to stop; 0: none
    // Rank 0: gets every committed unit, failure and stop.
    void (*deliver)(void *context, int from, const ts_run_message *message);
    void *context;
} ts_wide_setup;

// Collective. Trains all pending wide instances, or stops early with their states saved.
ts_status ts_wide_train(const ts_wide_setup *setup);
