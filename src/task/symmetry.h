// The group in whose functions a table's network is analysed: the table itself where it is one, Z_p for
// (a^m + b^n) mod p. A chart says which element of it each token stands for. Irreps are the group's.
#pragma once

#include "task/irreps.h"
#include "task/table.h"

enum { TS_MAX_CHARTS = 2, TS_COMPONENT_BYTES = 16, TS_FUNCTION_BYTES = 32 };

// Chart 0, `input`, reads a token as the element with its number. Chart 1, `value`, is there for `power`:
// a stands for a^m mod p and b for b^n mod p, in which the task is addition; not a bijection in general. So it is for
// an expression that is u(a) + v(b).
typedef struct ts_chart {
    const int *x_a, *x_b; // (n) elements that tokens a and b stand for
} ts_chart;

typedef struct ts_symmetry {
    const ts_table *group; // its multiplication table, of order n == n_out of the table that is learned
    const int *inverse;    // (n)
    const ts_irreps *irreps;
    int charts;
    ts_chart chart[TS_MAX_CHARTS];
    // Where tokens and results stand for other elements than those with their numbers: element[token], token[element]
    // (n each), and what is learned in the elements' numbers, in which charts and measures are. NULL: they do not.
    const int *element, *token;
    const ts_table *table;
    // Elements on circles: those of C_n on one of n places, those of D_n on two, rotations (r) and reflections
    // (n + r). 0: the group is neither, or n is 1.
    int circle, circles;                         // n; how many
    const char (*component)[TS_COMPONENT_BYTES]; // (n) names of a circle's Fourier components: constant, cos 1, ...
    const char (*frequency)[TS_COMPONENT_BYTES]; // (n/2) freq_1, ...
    const int *first;                            // (irreps->count + 1) see ts_symmetry_basis
    const char (*function)[TS_FUNCTION_BYTES];   // (n) names of the basis' rows: standard 1, standard 2, ...
    const double *basis;                         // (n, n) for weights of 1
    // What is owned: memory behind the above.
    struct ts_symmetry_part *part; // what follows from the group alone, which all sums modulo n share
    ts_table *own_table;
    int *own_numbers; // element, token
    int *own_values;  // x_a and x_b of the value chart; NULL: there is none
} ts_symmetry;

// Of a table that is a group, which must outlive it.
ts_status ts_symmetry_of_group(const ts_table *table, ts_symmetry **symmetry);

// Of a table (a, b) -> value[0][a] + value[1][b] mod n; value (2, n), copied. NULL: of a + b mod n, by chart 0 alone.
ts_status ts_symmetry_of_sums(int n, const int *value, ts_symmetry **symmetry);
void ts_symmetry_free(ts_symmetry *symmetry);

// Bases of the irreps' functions, those that its matrix entries span, for elements g that count weight[g] times
// (NULL: once each): rows first[r] to first[r + 1] - 1 of basis (n, n) are the functions of irrep r, orthonormal
// among themselves. Functions are 0 on elements of weight 0; where too few are left, rows are 0.
void ts_symmetry_basis(const ts_symmetry *symmetry, const double *weight, double *basis);

// Functions of the irreps for which is_key (irreps) is 1, all together orthonormal, and orthogonal to 1: rows 1 and up
// of basis (n, n); row 0 is the constant. Returns how many rows there are.
int ts_symmetry_span(const ts_symmetry *symmetry, const double *is_key, const double *weight, double *basis);
