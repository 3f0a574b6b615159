// Who helps to measure: threads of the rank and ranks of a team, who share the parts of a pass over all pairs.
#pragma once

#include "base/pause.h"
#include "base/status.h"

#include <stdint.h>

struct ts_crew;
struct ts_pair_device;

// Who helps to measure, and who may ask to stop. All members may be 0.
typedef struct ts_measure_help {
    const atomic_int *pause; // if it says stop, measures are given up and TS_STOPPED is returned; NULL: nobody asks
    struct ts_crew *crew;    // the rank's threads that are free (base/crew.h); NULL: none
    // Ranks that measure the same weights together, each its share of the parts (ts_tree_share): all of them make the
    // same calls. *add_doubles joins sums of parts as ts_team.add_doubles does (backend/backend.h); NULL: this one
    // alone. If one must stop, all give up where they add up sums next, having learned of it there; one that is asked
    // after the last of these returns TS_STOPPED by itself.
    int rank, ranks;
    ts_status (*add_doubles)(void *context, int parts, double *sums, int64_t count);
    void *context;
    const struct ts_measure_listing *listing; // of the case (measure.h); NULL: its measures are found
    // Where pairs go through the network, and what families need of them is added up (model/pair_device.h); NULL: on
    // the processor. Nobody helps there.
    const struct ts_pair_device *device;
} ts_measure_help;

// Parts of the pass over all pairs of a table of n x n, which threads and ranks may share: a power of 2, and 1 for
// small tables. Whoever makes them, the bits are the same.
int ts_measure_parts(int n);
