// Matrix products, and sums over vectors, in double precision, for measures: on the caller's thread, the same bits on
// every processor.
#pragma once

#include <stddef.h>

// C (rows, columns) = A (rows, depth) B (depth, columns), all row-major with the given strides between rows.
void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride);

double ts_energy(const double *x, size_t count);                        // sum of squares
void ts_add(double *restrict sum, const double *restrict x, int count); // sum += x
