// Matrix products, and sums over vectors, in double precision, for measures: on the caller's thread, the same bits on
// every processor. Each number of a product is a sum in the order of the depth, whatever the shape.
#pragma once

#include <stddef.h>

// C (rows, columns) = A (rows, depth) B (depth, columns), all row-major with the given strides between rows.
void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride);

// The same with columns in panels, which is how products read them: B (panels, depth, TS_PANEL), C (rows, panels *
// TS_PANEL), and rows of A wherever they lie.
enum { TS_PANEL = 8 };
void ts_product_of_panels(int rows, int panels, int depth, const double *const *a, const double *b, double *c);

double ts_energy(const double *x, size_t count);                        // sum of squares
void ts_add(double *restrict sum, const double *restrict x, int count); // sum += x
