// What the reference engines of table models share: the training pairs, and full-batch AdamW on a gradient
// that is summed up pair by pair. A model brings the gradient of one pair.
#pragma once

#include "backend/backend.h"
#include "backend/reference.h"
#include "base/memory.h"
#include "model/optimiser.h"

typedef struct ts_reference_table {
    ts_reference_state reference; // first
    ts_training_spec spec;
    // Adds `share` times the gradient of one pair's cross-entropy, and returns `share` times that loss.
    double (*pair_gradient)(const struct ts_reference_table *t, const double *weights, int pair, double share,
                            double *gradient);
    void *own;        // the model's: shapes, scratch
    double *gradient; // (parameters)
    int *pairs;       // (count, n * n)
    int64_t train;
    ts_adam *adam; // (count)
    ts_slab slab;
} ts_reference_table;

// With room for `own` bytes of the model's, zeroed. pair_gradient is then set by the caller.
ts_status ts_reference_table_create(const ts_training_spec *spec, size_t own, ts_reference_table **table);
void ts_reference_table_destroy(void *training);
ts_status ts_reference_table_train(void *training, int64_t from, int64_t to, int64_t *reached);

// For tests: mean cross-entropy over the training pairs of instance spec->params[0] of any table model, and its
// gradient. weights, gradient: in the model's layout.
ts_status ts_reference_table_gradient(const ts_training_spec *spec, const double *weights, double *loss,
                                      double *gradient);

// Turns logits z (count) into the gradient of a pair's cross-entropy; returns that loss.
double ts_reference_cross_entropy(double *z, int count, int label);
