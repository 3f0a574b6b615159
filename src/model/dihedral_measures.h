// Measures of a network on a dihedral group by region, that is by whether a and b are rotations or reflections,
// and in Fourier components of the rotation index (definitions: docs/workloads.md). All in double precision,
// streaming over the pairs row by row.
#pragma once

#include "base/status.h"
#include "model/network.h"
#include "model/planes.h"
#include "task/symmetry.h"

enum { TS_REGIONS = 4 };
extern const char *const ts_region_names[TS_REGIONS];

// n: rotations.
enum {
    TS_REFLECTION_CORRECTED_LOSS,   // a scalar
    TS_EMBED_ROTATION_FOURIER_NORM, // (n), as are the next five
    TS_EMBED_REFLECTION_FOURIER_NORM,
    TS_EMBED_RIGHT_ROTATION_FOURIER_NORM,
    TS_EMBED_RIGHT_REFLECTION_FOURIER_NORM,
    TS_UNEMBED_ROTATION_FOURIER_NORM,
    TS_UNEMBED_REFLECTION_FOURIER_NORM,
    TS_REGION_HIDDEN_LEFT_FRACTION, // (TS_REGIONS, irreps), as are the next three
    TS_REGION_HIDDEN_RIGHT_FRACTION,
    TS_REGION_HIDDEN_PRODUCT_FRACTION,
    TS_REGION_LOGIT_SIMILARITY,
    TS_DIHEDRAL_MEASURES,
};

// Where the results go. Key frequencies are those of this network's clusters.
typedef struct ts_dihedral_results {
    double *measure[TS_DIHEDRAL_MEASURES];
    ts_clusters clusters;
} ts_dihedral_results;

// Measures of a symmetry with two circles: begin, add every row of pairs in order, finish, free. `pairs`,
// `symmetry` and the results outlive it.
typedef struct ts_dihedral_measures ts_dihedral_measures;
ts_status ts_dihedral_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry,
                                     const ts_dihedral_results *results, ts_dihedral_measures **measures);
void ts_dihedral_measures_add(ts_dihedral_measures *measures, int a);
void ts_dihedral_measures_finish(ts_dihedral_measures *measures);
void ts_dihedral_measures_free(ts_dihedral_measures *measures);
