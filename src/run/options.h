// What `toysweep run` was asked for, and the exit codes of all commands.
#pragma once

#include "base/status.h"
#include "results/io.h"
#include "run/progress.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TS_EXIT_DONE = 0,
    TS_EXIT_OTHER = 1,
    TS_EXIT_USAGE = 2,
    TS_EXIT_FAILURES = 3, // finished, but some instances failed
    TS_EXIT_STOPPED = 75, // stopped early: run again to continue
};

typedef struct ts_run_options {
    const char *sweep;  // path
    const char *output; // NULL: the sweep's name + ".h5"
    const char *const *overrides;
    int n_overrides;
    const char *backend;        // "auto", ...
    int threads;                // slots of each rank; 0: all cores it may use
    int ranks_per_instance;     // of those that ranks can share; 0: as is best
    double time_limit;          // seconds; 0: none
    double checkpoint_interval; // seconds
    double patience;            // seconds for which a silent rank is waited for
    int64_t max_failures;       // negative: any number
    bool retry_failed;
    const char *const *reuse; // (n_reuse) results files
    int n_reuse;
    ts_progress_mode progress;
    ts_io_way io;
    bool names_only; // print the sweep's name and the results file's, a line each, and train nothing
} ts_run_options;
