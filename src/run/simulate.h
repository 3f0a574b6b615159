// A run without training: the coordinator's own decisions played through with given costs, to predict how
// long a sweep takes on so many ranks and how well they are balanced.
#pragma once

#include "run/coordinator.h"

typedef struct ts_simulation {
    double makespan; // seconds until the last unit is done
    double bound;    // no schedule beats this: the work shared evenly, or what some slot must train in any case
    double busy;     // share of the slots' time spent training
    int64_t units;
    int64_t recalls;      // units that were called back to be shared anew
    int64_t largest_unit; // bytes of memory of the unit that takes most
    int64_t events;       // events that the coordinator took, and questions
    int64_t looked;       // ts_coordinator_looked
} ts_simulation;

// Ranks that shared an instance of a case.
typedef struct ts_simulation_case {
    int first, most; // the first of it, when it began; any
} ts_simulation_case;

// Plays `setup` through. cost (setup->cases): true seconds of one slot for one instance. `handout`: seconds
// from a request to its unit. seed 0: every instance takes what its case costs; else up to `spread` (0..1)
// more or less, drawn at random per unit. seen: (setup->cases), zero before, or NULL.
ts_status ts_simulate(const ts_coordinator_setup *setup, const double *cost, double handout, uint64_t seed,
                      double spread, ts_simulation_case *seen, ts_simulation *result);
