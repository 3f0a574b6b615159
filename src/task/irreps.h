// Real irreducible representations of any finite group, from its multiplication table alone (commutant
// method), as needed by the progress measures: characters and projectors. A pair of complex-conjugate irreps
// counts as one real irrep. Method and names: docs/workloads.md.
#pragma once

#include "task/table.h"

typedef struct ts_irrep {
    char name[32];     // trivial, sign, standard, [3,2], freq_3, dim4_a, ...
    char alias[32];    // the published name where there is one (s5_5d_b, ...), else ""
    int dimension;     // complex dimension of the (or one of the pair's) complex irrep
    bool pair;         // a pair of complex-conjugate irreps: the character is the sum of both
    double *character; // (order) chi(g), real; owned by the set
} ts_irrep;

typedef struct ts_irreps {
    int order, count;
    // (count) sorted by dimension, pairs last, then the greater character first (at the first element where
    // two differ): the trivial one is the first, and freq_1, freq_2, ... are in this order.
    ts_irrep *irrep;
    double *characters; // (count, order), what irrep[i].character points into
} ts_irreps;

// All of them. TS_ERROR_UNIT if the table is no group, or its orthogonality relations do not hold to 1e-8.
ts_status ts_irreps_create(const ts_table *table, ts_irreps **irreps);
void ts_irreps_free(ts_irreps *irreps);

// How many there are, from conjugacy classes alone (O(n^2)): orbits of classes under inversion. 0 if
// the table is no group.
int ts_irreps_count(const ts_table *table);
