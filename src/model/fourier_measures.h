// Fourier measures of a network in the functions of a cyclic group, read through a chart (task/symmetry.h), as
// of modular addition (Nanda et al. 2023; definitions: docs/workloads.md). All in double precision, streaming
// over the pairs row by row.
#pragma once

#include "base/status.h"
#include "model/network.h"
#include "model/planes.h"
#include "task/symmetry.h"

// n: places of the circle.
enum {
    TS_LOGIT_RESIDUAL_FRACTION, // a scalar, as are the next two
    TS_KEY_RESTRICTED_LOSS,
    TS_KEY_EXCLUDED_LOSS,
    TS_EMBED_FOURIER_NORM, // (n)
    TS_EMBED_RIGHT_FOURIER_NORM,
    TS_LOGIT_COS_COEFFICIENT, // (n/2)
    TS_LOGIT_COS_SIMILARITY,
    TS_FOURIER_MEASURES,
};

// Where the results go. Key frequencies are those of this network's clusters.
typedef struct ts_fourier_results {
    double *measure[TS_FOURIER_MEASURES];
    ts_clusters clusters;
} ts_fourier_results;

// Measures through one chart of a symmetry with one circle: begin, add every row of pairs in order, finish,
// free. `pairs`, `symmetry` and the results outlive it.
typedef struct ts_fourier_measures ts_fourier_measures;
ts_status ts_fourier_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                                    const ts_fourier_results *results, ts_fourier_measures **measures);
void ts_fourier_measures_add(ts_fourier_measures *measures, int a);
void ts_fourier_measures_finish(ts_fourier_measures *measures);
void ts_fourier_measures_free(ts_fourier_measures *measures);
