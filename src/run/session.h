// A run on one rank: what its parts share. prepare.c comes before training, finish.c after it; run.c has what lies
// between, and frees all of it.
#pragma once

#include "base/exchange.h"
#include "integrity/lock.h"
#include "results/store.h"
#include "run/fewer_steps.h"
#include "run/leader.h"
#include "run/options.h"

#include <limits.h>

typedef struct ts_session {
    const ts_comm *comm;
    const ts_run_options *options;
    double started;
    int slots;
    char path[PATH_MAX]; // the results file
    ts_sweep *sweep;
    ts_job *job;
    struct ts_crew *crew;    // threads that help each other
    ts_exchanges *exchanges; // with ranks that train the same instance
    ts_lock lock;
    ts_store *store;
    // Rank 0 only.
    uint8_t *status; // (instances) of the results file before this run
    ts_grid *grid;   // of the sweep, for the report
    int64_t done, failed, pending, reused;
    int64_t *reused_from; // (options->n_reuse) rows of each file
    int64_t *foreign;     // (options->n_reuse) finished rows of each that are no instances of the sweep
    ts_fewer_list fewer;  // what they have with fewer steps, until training begins
    int64_t *continued;   // (options->n_reuse) how many of those go on from there
    ts_text advice;       // what else to say if it ends at once
    ts_coordinator *coordinator;
    ts_runlog *log;
    ts_leader *leader;
} ts_session;

// The path of a file beside the results file, like FILE.lock. TS_ERROR_USER: it is too long.
ts_status ts_session_beside(const ts_session *r, const char *suffix, char out[PATH_MAX]);
double ts_session_deadline(const ts_session *r); // of ts_clock(); 0: none

// Collective, with the sweep and the path known: backend, results file (made or checked), rank 0's leader.
ts_status ts_session_prepare(ts_session *r);

// Rank 0, after the results file is closed: says how it went. The exit code.
int ts_session_finish(ts_session *r);
