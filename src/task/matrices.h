// The groups of 2 x 2 matrices over a field of a prime number q of elements: SL(2,q) of determinant 1, GL(2,q) of any
// but 0, and PSL(2,q), PGL(2,q), in which matrices that differ by a factor of the group's own scalars are one.
#pragma once

#include "task/table.h"

#include <stdbool.h>

enum { TS_MAX_FIELD = 11 }; // the largest whose PSL(2,q) is no more than a table takes

typedef struct ts_matrices {
    int q, count;
    bool special, projective;
    // (count) (a b; c d) as a, b, c, d, lexicographic. Projective: of those that are one the first.
    unsigned char entry[TS_MAX_ORDER][4];
    short position[TS_MAX_FIELD * TS_MAX_FIELD * TS_MAX_FIELD * TS_MAX_FIELD]; // by a q^3 + b q^2 + c q + d; -1: none
} ts_matrices;

// How many elements the group has, of any prime q: SL(2,q) (`special`) or GL(2,q), `projective` or not.
double ts_matrices_order(int q, bool special, bool projective);

// All of them, of a prime q of which ts_matrices_order is at most TS_MAX_ORDER.
void ts_matrices_list(int q, bool special, bool projective, ts_matrices *out);

int ts_matrices_product(const ts_matrices *matrices, int x, int y); // index of the product x y
