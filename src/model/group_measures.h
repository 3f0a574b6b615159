// Progress measures of a network in the functions of a group, per irrep (Chughtai, Chan & Nanda 2023;
// definitions: docs/workloads.md): of the table's group, and of Z_p read through a chart (task/symmetry.h). All
// in double precision, streaming over the pairs row by row.
#pragma once

#include "base/status.h"
#include "model/network.h"
#include "task/symmetry.h"

#include <stdbool.h>

// Per irrep, each (irreps->count).
enum {
    TS_EMBED_LEFT_FRACTION,
    TS_EMBED_RIGHT_FRACTION,
    TS_UNEMBED_FRACTION,
    TS_HIDDEN_LEFT_FRACTION,
    TS_HIDDEN_RIGHT_FRACTION,
    TS_HIDDEN_PRODUCT_FRACTION,
    TS_LOGIT_SIMILARITY,
    TS_FIT_COEFFICIENT,
    TS_EXCLUDED_LOSS,
    TS_RESTRICTED_LOSS,
    TS_LOGIT_EXCLUDED_LOSS,
    TS_LOGIT_RESTRICTED_LOSS,
    TS_ABLATION_LEFT_LOSS,
    TS_ABLATION_RIGHT_LOSS,
    TS_ABLATION_PRODUCT_LOSS,
    TS_GROUP_CURVES,
};

// Scalars, but for the first over the key irreps. `*_explained`: sums of fractions; hidden: of functions of a,
// of b and of a b together.
enum {
    TS_LOGITS_EXPLAINED, // sum of squared similarities over all irreps but the trivial one
    TS_TOTAL_EXCLUDED_LOSS,
    TS_TOTAL_RESTRICTED_LOSS,
    TS_TOTAL_LOGIT_EXCLUDED_LOSS,
    TS_TOTAL_LOGIT_RESTRICTED_LOSS,
    TS_EMBED_LEFT_EXPLAINED,
    TS_EMBED_RIGHT_EXPLAINED,
    TS_UNEMBED_EXPLAINED,
    TS_HIDDEN_EXPLAINED,
    TS_HIDDEN_PRODUCT_EXPLAINED,
    TS_FIT_CONSTANT,
    TS_FIT_EXPLAINED,
    TS_GROUP_SCALARS,
};

// Where the results go.
typedef struct ts_group_results {
    double *scalar; // (TS_GROUP_SCALARS)
    double *curve;  // (TS_GROUP_CURVES, irreps->count)
    // Per neuron, (hidden) each, or both NULL: the irrep that holds most of the energy of its embeddings
    // (-1: off), and its share. Where neurons have no embedding of their own, of the hidden layer's means
    // over b and over a.
    double *neuron_irrep, *neuron_irrep_fraction;
} ts_group_results;

// Whether an irrep with that final logit similarity is a key irrep.
bool ts_is_key_irrep(int irrep, double similarity);

// Measures through one chart: begin, add every row of pairs in order, finish, free. `pairs`, `symmetry` and the
// results outlive it.
typedef struct ts_group_measures ts_group_measures;
ts_status ts_group_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                                  const ts_group_results *results, ts_group_measures **measures);
void ts_group_measures_add(ts_group_measures *measures, int a);
void ts_group_measures_finish(ts_group_measures *measures);
void ts_group_measures_free(ts_group_measures *measures);
