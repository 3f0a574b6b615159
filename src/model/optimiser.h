// Optimisers: what turns gradients into steps. One is a name, its keys of a sweep file, so many moments of every
// parameter, and an update in double precision, which the engines of `reference` call; kernels of other backends have
// some of them, and their engines say which (ts_engine.can). optimiser.c lists them all: a new one is one file and one
// word there. Sweeps choose by the key `optimizer`; only the keys of the one that is chosen apply.
#pragma once

#include "param/key.h"

#include <stdint.h>

// All members are needed; moments and memory may be 0.
typedef struct ts_optimiser {
    const char *name;
    const ts_key *keys; // beside ts_schedule_keys; `lr` is one of them; NULL name ends the list
    int moments;        // numbers that it keeps of every parameter
    size_t memory;      // bytes that it keeps of an instance from one update to the next, to be faster; not saved

    // Update t (from 0). state (1 + moments, count): parameters, then moments, which start at 0; memory: zeroed at
    // first. What `memory` says may only depend on params and t.
    void (*update)(const ts_params *params, int64_t t, void *memory, int64_t count, const double *gradient,
                   double *state);
} ts_optimiser;

extern const ts_optimiser *const ts_optimisers[]; // NULL-terminated
extern const ts_optimiser ts_optimiser_adam, ts_optimiser_adamw;

// The one that trains an instance: as its key `optimizer` says, or its model's usual one.
const ts_optimiser *ts_optimiser_of(const ts_params *params);

extern const ts_key ts_optimizer_keys[]; // the choice between them
extern const ts_key ts_schedule_keys[];  // learning rate over time, of any of them

// Learning rate of update t (from 0), by the keys lr, schedule and steps, which need not be looked up for every update.
typedef struct ts_schedule {
    double lr;
    int kind;
    int64_t steps;
} ts_schedule;
ts_schedule ts_schedule_of(const ts_params *params);
double ts_schedule_rate(const ts_schedule *schedule, int64_t t);
