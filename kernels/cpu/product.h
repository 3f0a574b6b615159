// Matrix products in registers: C (rows, 16 vectors) from A B, with A read one number at a time (so that
// it may be transposed for free) and B by vectors. Sums run over `depth` in order, whatever the blocking.
#pragma once

#include "cpu/simd.h"

#include <stddef.h>

// Accumulators: PRODUCT_ROWS x PRODUCT_WIDE vectors, with B's vectors beside them.
enum {
    PRODUCT_ROWS = VECTOR_REGISTERS >= 32  ? 6
                   : VECTOR_REGISTERS >= 8 ? 6
                                           : 2,
    PRODUCT_WIDE = VECTOR_REGISTERS >= 32 ? 4 : 1,
};

// What becomes of C: A B; A B with sums that begin with C; C with A B added to it.
typedef enum product_into { PRODUCT_SET, PRODUCT_CONTINUE, PRODUCT_ADD } product_into;

// A at (row, k): a[row * row_step + k * depth_step]. B (depth, b_stride), C (rows, c_stride).
typedef struct product {
    const float *a;
    size_t row_step, depth_step;
    const float *b;
    size_t b_stride;
    float *c;
    size_t c_stride;
    int rows, vectors, depth;
    product_into into;
} product;

static inline __attribute__((always_inline)) void product_block(const product *p, int row, int column, int rows,
                                                                int wide) {
    vec sum[PRODUCT_ROWS][PRODUCT_WIDE];
    float *c = p->c + (size_t)row * p->c_stride + (size_t)column * LANES;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            sum[r][v] = p->into == PRODUCT_CONTINUE ? vload(c + (size_t)r * p->c_stride + (size_t)v * LANES) : vzero();
    const float *a = p->a + (size_t)row * p->row_step, *b = p->b + (size_t)column * LANES;
    for (int k = 0; k < p->depth; k++, a += p->depth_step, b += p->b_stride) {
        vec b_now[PRODUCT_WIDE];
        for (int v = 0; v < wide; v++)
            b_now[v] = vload(b + v * LANES);
        for (int r = 0; r < rows; r++) {
            vec factor = vset(a[(size_t)r * p->row_step]);
            for (int v = 0; v < wide; v++)
                sum[r][v] = vfma(factor, b_now[v], sum[r][v]);
        }
    }
    if (p->into == PRODUCT_ADD)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < wide; v++)
                sum[r][v] = vadd(vload(c + (size_t)r * p->c_stride + (size_t)v * LANES), sum[r][v]);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            vstore(c + (size_t)r * p->c_stride + (size_t)v * LANES, sum[r][v]);
}

// All rows of `wide` vectors from `column` on.
static inline __attribute__((always_inline)) void product_columns(const product *p, int column, int wide) {
    int row = 0;
    for (; row + PRODUCT_ROWS <= p->rows; row += PRODUCT_ROWS)
        product_block(p, row, column, PRODUCT_ROWS, wide);
    switch (p->rows - row) {
    case 1:
        product_block(p, row, column, 1, wide);
        break;
#if defined(TS_KERNELS_AVX512) || defined(TS_KERNELS_AVX2)
    case 2:
        product_block(p, row, column, 2, wide);
        break;
    case 3:
        product_block(p, row, column, 3, wide);
        break;
    case 4:
        product_block(p, row, column, 4, wide);
        break;
    case 5:
        product_block(p, row, column, 5, wide);
        break;
#endif
    default:
        break;
    }
}

static void multiply(const product *p) {
    int column = 0;
    for (; column + PRODUCT_WIDE <= p->vectors; column += PRODUCT_WIDE)
        product_columns(p, column, PRODUCT_WIDE);
    switch (p->vectors - column) {
#if defined(TS_KERNELS_AVX512)
    case 3:
        product_columns(p, column, 3);
        break;
    case 2:
        product_columns(p, column, 2);
        break;
    case 1:
        product_columns(p, column, 1);
        break;
#endif
    default:
        break;
    }
}
