// Matrix products, and sums over vectors, in double precision, for measures: on the caller's thread, the same bits on
// every processor. Each number of a product is a sum in the order of the depth, whatever the shape.
#pragma once

#include <stddef.h>

// C (rows, columns) = A (rows, depth) B (depth, columns), all row-major with the given strides between rows.
void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride);

// The same with the columns of B in panels, which is how products read them: B (panels, depth, TS_PANEL), as many as
// hold all columns, and rows of A wherever they lie.
enum { TS_PANEL = 8 };
size_t ts_panel_numbers(int depth, int columns);
void ts_panels_take(int depth, int columns, const double *b, int b_stride, double *panels);
void ts_product_of_panels(int rows, int columns, int depth, const double *const *a, const double *panels, double *c,
                          int c_stride);

double ts_energy(const double *x, size_t count);                        // sum of squares
void ts_add(double *restrict sum, const double *restrict x, int count); // sum += x
