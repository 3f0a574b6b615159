// What the coordinator is given, and what it gives: sizes of cases, of the run, and assignments.
#pragma once

#include "sweep/sweep.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ts_coordinator_case {
    double cost;            // predicted seconds of one slot for one instance
    int64_t instance_bytes; // memory while it trains
    int64_t unit_bytes;     // memory of a unit beside its instances
    int64_t fill;           // instances that a rank needs to be fully used, over all slots of its GPU (CPU: 1)
    int together;           // instances that one slot trains at once (ts_engine.together); 0: one
    int64_t most_rows;      // instances of a unit, so that its state stays small; 0: any number. `fill` may need more
    int parts;              // in which idle slots of the rank and other ranks help; 1: none can
    double shared;          // share of the cost that is spent in them
    bool ranks_only;        // other ranks help in them, idle slots of the same rank cannot
    double exchange;        // seconds that ranks which share an instance take to exchange what they have made of it
} ts_coordinator_case;

typedef struct ts_coordinator_setup {
    int ranks;
    int slots;          // units each rank trains at once
    int64_t slot_bytes; // memory for one unit
    int cases;
    const ts_coordinator_case *cases_of; // (cases), copied
    const ts_unit *pending;              // (n_pending) row ranges to train, none overlapping
    int64_t n_pending;
    const ts_unit *saved; // (n_saved) units that were begun and have a state; not in `pending`
    int64_t n_saved;
    int ranks_per_instance; // of each instance that has parts, as far as there are parts and ranks; 0: what is best
} ts_coordinator_setup;

// Ranks rank .. rank + ranks - 1 train the unit together, each in one slot; 1: the rank alone.
typedef struct ts_assignment {
    ts_unit unit;
    int rank, ranks;
} ts_assignment;
