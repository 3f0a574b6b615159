// A network whose hidden layer is an activation of a sum of two tables (ts_network.additive), with other tables,
// another activation or fewer neurons: its losses and accuracies over all pairs.
#pragma once

#include "measure/dimension.h"
#include "measure/walk.h"
#include "model/pair_device.h"

typedef ts_pair_change ts_change; // model/pair_device.h

// Several of one network.
typedef struct ts_changes {
    const ts_pairs *pairs;
    const ts_change *change; // (count)
    int count;
} ts_changes;

size_t ts_changes_sums(int count);                       // numbers that they add up over the pairs
size_t ts_changes_scratch(int n, int hidden, int n_out); // of a thread

// Of all changes in one walk. loss, accuracy: for each of TS_SPLITS splits (count), NaN where it has no pairs.
// sums (ts_changes_sums(count)).
void ts_changes_measure(ts_walk *walk, const ts_changes *changes, double *sums, double *const *loss,
                        double *const *accuracy);
