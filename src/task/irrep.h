// The real irreps of a group as they are kept: names and characters. How they are found: irreps.h; named:
// irrep_names.h.
#pragma once

#include <stdbool.h>

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
