// What the reference engines of models that learn a table share: the training pairs, and a gradient that is summed up
// pair by pair.
#pragma once

#include "backend/reference.h"

typedef struct ts_reference_pairs {
    ts_reference base; // first
    // Adds `share` times the gradient of one pair's cross-entropy, and returns `share` times that loss.
    double (*pair_gradient)(void *training, const double *weights, int pair, double share, double *gradient);
    int *pairs; // (count, n * n)
    int64_t train;
} ts_reference_pairs;

// Of a ts_reference_model, for trainings that start with a ts_reference_pairs.
void ts_reference_pairs_take(void *training);
ts_status ts_reference_pairs_initialise(void *training);
double ts_reference_pairs_loss(void *training, int instance, int64_t step, const double *weights, double *gradient);

// Turns logits (count) into the gradient of a pair's cross-entropy; returns that loss.
double ts_reference_cross_entropy(double *logits, int count, int label);
