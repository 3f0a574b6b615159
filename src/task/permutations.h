// The permutations that make up S_n or A_n, each in one-line notation, in an order: lexicographic, or that of
// a file. The product x y means x first, then y: (x y)(i) = y(x(i)).
#pragma once

#include "param/key.h"

enum { TS_MAX_DEGREE = 6, TS_MAX_PERMUTATIONS = 720 }; // beyond, a group has more elements than a table takes

typedef struct ts_permutations {
    int degree, count;
    unsigned char image[TS_MAX_PERMUTATIONS][TS_MAX_DEGREE]; // (count, degree)
    int position[TS_MAX_PERMUTATIONS]; // by lexicographic rank among all of S_n; -1: not in the group
} ts_permutations;

// All of S_degree, or of A_degree if `even`, in lexicographic order.
void ts_permutations_list(int degree, bool even, ts_permutations *out);

// Orders `out`, as listed, like the file: one permutation a row (base/integer_rows.h). False: it is not a listing of
// the group; where and why is in `message`.
bool ts_permutations_order(const ts_file *file, bool even, ts_permutations *out, char *message, size_t bytes);

// Whether the file's rows are different permutations of as many numbers, as far as that shows without the group: of as
// many as its longest row has. False: where and why not is in `message`.
bool ts_permutations_alike(const ts_file *file, char *message, size_t bytes);

int ts_permutations_product(const ts_permutations *permutations, int x, int y); // index of x y
