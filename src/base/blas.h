// Matrix products in double precision for measures, by BLAS on one thread (results must not depend on
// threads).
#pragma once

// C (rows, columns) = A (rows, depth) B (depth, columns), all row-major with the given strides between rows.
void ts_gemm(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
             double *c, int c_stride);
