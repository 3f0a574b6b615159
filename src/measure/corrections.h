// What irreps give to a network's logits, and factors that take it off again: a loss without an irrep needs
// exp(z_c - correction_c) for all c, the exponential of z_c times a factor. Factors of all irreps lie side by side, in
// panels of columns (base/product.h), so that sums over c are matrix products.
#pragma once

#include "base/memory.h"
#include "measure/group.h"

// As functions of a, of b, of a b in the hidden layer (family.h's sides); and along the chi cube.
enum { TS_ALONG_CUBE = TS_SIDES };

typedef struct ts_corrections {
    const ts_group_parts *parts; // finished
    int n, irreps;
    int columns;      // of each irrep; of all key irreps together, by a b alone; up to whole panels, of no use
    double *function; // (irreps + 1, n) along the chi cube, by a b c^-1
    double *factor;   // (n, columns) their factors
} ts_corrections;

int ts_corrections_columns(int irreps);

// Its arrays are taken from a slab; then, once the parts are finished, filled in. row: (ts_loss_stride(n)) of room.
void ts_corrections_reserve(const ts_group_parts *parts, ts_slab *slab, ts_corrections *corrections);
void ts_corrections_begin(ts_corrections *corrections, double *row);

// What a column, or each of them (irreps + 1), adds to the logits of pairs that stand for an element: (n).
void ts_corrections_of(const ts_corrections *corrections, int kind, int element, int column, double *out);
void ts_corrections_all(const ts_corrections *corrections, int kind, int element, double *out);

// Their factors (columns / TS_PANEL, n, TS_PANEL), up to a constant of each; those of no use are 1. all: room for all
// of them (irreps + 1, n), row: as above.
void ts_corrections_factors(const ts_corrections *corrections, int kind, int element, double *all, double *row,
                            double *factors);
