#include "base/blas.h"

// BLAS has no header of its own; this is its reference interface, column-major.
void dgemm_(const char *trans_a, const char *trans_b, const int *m, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
            const double *beta, double *c, const int *ldc);

// OpenBLAS starts threads of its own unless told; other libraries don't have the call.
extern void openblas_set_num_threads(int threads) __attribute__((weak));

void ts_gemm(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
             double *c, int c_stride) {
    const double one = 1, zero = 0;
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
    // Row-major C = A B is column-major C^T = B^T A^T.
    dgemm_("N", "N", &columns, &rows, &depth, &one, b, &b_stride, a, &a_stride, &zero, c, &c_stride);
}
