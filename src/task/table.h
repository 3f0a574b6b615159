// Data of table tasks: a function c = T[a][b] with a, b in [0, n) and c in [0, n_out). The whole data set is
// the pairs for which it is defined, all n * n but for some expressions; pair index a * n + b. Group families and their
// element orders: docs/workloads.md.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { TS_MAX_ORDER = 1024, TS_UNDEFINED = -1 };

typedef struct ts_table {
    int n, n_out;
    int *result; // (n, n): T[a][b] at a * n + b; TS_UNDEFINED: there is no such pair
    // What the table is, as found by ts_table_examine.
    int64_t pairs;    // that are defined
    bool square;      // n_out == n and every result is an element (closed); so all pairs are defined
    int identity;     // two-sided; -1: none
    bool inverses;    // every element has a two-sided inverse
    bool associative; // tested over all triples
    bool abelian;
    bool group; // all of square, identity, inverses, associative
    // For the names of irreps: 'C', 'D', 'S' or 'A' and its number, e.g. S5; 0: any other group.
    char family;
    int degree;
    int modulus; // n, where tokens are the residues 0 to n - 1 and results are taken modulo n; 0: they are not
} ts_table;

// Room for n * n results; they and the family are then filled in by the caller, and examined. Free with ts_table_free.
ts_status ts_table_create(int n, int n_out, ts_table **table);
void ts_table_free(ts_table *table);

// Fills in what the table is. O(n^3) for associativity (Light's test over a generating set makes it about n^2
// log n).
ts_status ts_table_examine(ts_table *table);

// What it was found to be, as "a group of order 6, not abelian, identity 0" or "no group: not associative".
const char *ts_table_verdict(const ts_table *table, char out[128]);

// Whose shuffle draws the training pairs: torch.randperm, or Python's random.shuffle.
typedef enum ts_shuffle { TS_SHUFFLE_TORCH, TS_SHUFFLE_PYTHON } ts_shuffle;

// How many of so many pairs a share is, rounded down.
int64_t ts_table_share(int64_t pairs, double train_fraction);

// Train/test split as published: the first table->pairs of `pairs` (n * n) are the defined pairs, in ascending order
// and then shuffled with split_seed; its first *train entries, ts_table_share, are the training pairs.
void ts_table_split(const ts_table *table, ts_shuffle shuffle, uint64_t split_seed, double train_fraction, int *pairs,
                    int64_t *train);
