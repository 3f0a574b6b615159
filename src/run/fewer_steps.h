// Instances of a sweep that other results files have with fewer steps (`run --reuse`), so that they can go on from
// where those ended: which, and why not. What becomes of them is starts.h's. Rank 0's alone.
#pragma once

#include "sweep/sweep.h"

// An instance of the sweep, and its like in a file, the same in everything but `steps` and `checkpoints`.
typedef struct ts_fewer_steps {
    int64_t instance;
    int file;          // number
    int64_t old, step; // the instance there, which ended at that step with its state kept
} ts_fewer_steps;

typedef struct ts_fewer_list {
    int64_t count, capacity;
    ts_fewer_steps *item; // (count) by instance, each once
    int files;
    ts_sweep **sweep; // (files) that they were made for; NULL: nothing in it goes on
} ts_fewer_list;

// Looks through the files for finished instances with fewer steps; of several the one with the most. TS_ERROR_USER,
// with the cure: a file has kept their states, but its instances cannot go on as the sweep has them, and it has nothing
// else of the sweep. Where it has, or has kept no states, a warning says so: they are trained from the start. Free
// *list in any case.
ts_status ts_fewer_steps_find(const ts_sweep *sweep, const char *const *files, int n_files, ts_fewer_list *list);
int64_t ts_fewer_steps_count(const ts_sweep *sweep, const char *file); // those of one file; says nothing
void ts_fewer_steps_free(ts_fewer_list *list);
