// The training pairs of the CPU engines whose models learn a table, as their kernels take them.
#pragma once

#include "backend/cpu_training.h"

typedef struct ts_cpu_pairs {
    int64_t train; // training pairs of an instance
    int *pairs;    // (count, 3, train): a, b and label of each
    float *valid;  // (TS_VECTOR_LANES): 1 for the logits in the last vector of a row, 0 for its pads
} ts_cpu_pairs;

// How many there are; then, in both passes, what they need of the slab; then the pairs, in the order of the table, or,
// with block > 0, `block` columns b after the other, each in the order of the table.
void ts_cpu_pairs_begin(ts_cpu_pairs *p, const ts_training_spec *spec);
void ts_cpu_pairs_take(ts_cpu_pairs *p, const ts_training_spec *spec, ts_slab *slab);
ts_status ts_cpu_pairs_draw(const ts_cpu_pairs *p, const ts_training_spec *spec, int block);

// An instance's a, b and label (train).
void ts_cpu_pairs_of(const ts_cpu_pairs *p, int instance, const int **a, const int **b, const int **label);
