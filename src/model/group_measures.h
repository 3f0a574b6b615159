// Progress measures of a network that learns a group, per irrep (Chughtai, Chan & Nanda 2023; definitions:
// docs/workloads.md). All in double precision, streaming over the pairs row by row.
#pragma once

#include "base/status.h"
#include "task/irreps.h"
#include "task/table.h"

#include <stdbool.h>
#include <stdint.h>

// The network as these measures see it. E_x, E_y: embeddings into the hidden layer; U: unembedding from it.
typedef struct ts_group_view {
    const ts_table *table;
    const ts_irreps *irreps;
    int hidden;
    const double *e_x, *e_y; // (n, hidden)
    const double *u;         // (hidden, n)
    const uint8_t *is_train; // (n * n)
    // Hidden activations (n, hidden) and logits (n, n) of the pairs (a, 0 .. n - 1), valid until the next call.
    void (*row)(void *context, int a, const double **h, const double **logits);
    void *context;
} ts_group_view;

// Per irrep, each (irreps->count); the order of the model's table of measures.
enum {
    TS_EMBED_LEFT_FRACTION,
    TS_EMBED_RIGHT_FRACTION,
    TS_UNEMBED_FRACTION,
    TS_HIDDEN_LEFT_FRACTION,
    TS_HIDDEN_RIGHT_FRACTION,
    TS_HIDDEN_PRODUCT_FRACTION,
    TS_LOGIT_SIMILARITY,
    TS_EXCLUDED_LOSS,
    TS_RESTRICTED_LOSS,
    TS_LOGIT_EXCLUDED_LOSS,
    TS_LOGIT_RESTRICTED_LOSS,
    TS_ABLATION_LEFT_LOSS,
    TS_ABLATION_RIGHT_LOSS,
    TS_ABLATION_PRODUCT_LOSS,
    TS_IRREP_MEASURES,
};

// Over the key irreps: those but the trivial one with similarity > 0.005.
typedef struct ts_group_totals {
    double logits_explained; // sum of squared similarities over all irreps but the trivial one
    double excluded_loss, restricted_loss, logit_excluded_loss, logit_restricted_loss;
    // Sums of fractions over the key irreps; hidden: of functions of a, of b and of a b together.
    double embed_left_explained, embed_right_explained, unembed_explained;
    double hidden_explained, hidden_product_explained;
} ts_group_totals;

// out: TS_IRREP_MEASURES pointers to (irreps->count) each.
ts_status ts_group_measures(const ts_group_view *view, double *const *out, ts_group_totals *totals);
