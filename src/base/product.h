// Matrix products in double precision, for measures: on the caller's thread, the same bits on every processor.
#pragma once

// C (rows, columns) = A (rows, depth) B (depth, columns), all row-major with the given strides between rows.
void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b,
                int b_stride, double *c, int c_stride);
