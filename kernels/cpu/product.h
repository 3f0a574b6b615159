// Matrix products in registers: C from A B, with A read one number at a time (so that it may be transposed for free)
// and B by vectors, whose pads are zeros. Sums run over `depth` in order, whatever the blocking.
#pragma once

#include "cpu/narrow.h"

#include <stddef.h>

// Accumulators: PRODUCT_ROWS x PRODUCT_WIDE registers, with B's beside them; never more than PRODUCT_MOST for a row.
enum {
    PRODUCT_ROWS = VECTOR_REGISTERS >= 8 ? 6 : 2,
    PRODUCT_WIDE = VECTOR_REGISTERS >= 32 ? 4 : 2,
    PRODUCT_MOST = 4,
};

// What becomes of C: A B; A B with sums that begin with C; C with A B added to it.
typedef enum product_into { PRODUCT_SET, PRODUCT_CONTINUE, PRODUCT_ADD } product_into;

// A at (row, k): a[row * row_step + k * depth_step]. B (depth, b_stride), C (rows, c_stride): `width` numbers of a row
// of both, and pads up to a multiple of 16.
typedef struct product {
    const float *a;
    size_t row_step, depth_step;
    const float *b;
    size_t b_stride;
    float *c;
    size_t c_stride;
    int rows, width, depth;
    product_into into;
} product;

static inline __attribute__((always_inline)) void product_block(const product *p, int row, int column, int rows,
                                                                int wide) {
    narrow sum[PRODUCT_ROWS][PRODUCT_MOST];
    float *c = p->c + (size_t)row * p->c_stride + (size_t)column * NARROW_LANES;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            sum[r][v] =
                p->into == PRODUCT_CONTINUE ? nload(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES) : nzero();
    const float *a = p->a + (size_t)row * p->row_step, *b = p->b + (size_t)column * NARROW_LANES;
    for (int k = 0; k < p->depth; k++, a += p->depth_step, b += p->b_stride) {
        narrow b_now[PRODUCT_MOST];
        for (int v = 0; v < wide; v++)
            b_now[v] = nload(b + v * NARROW_LANES);
        for (int r = 0; r < rows; r++) {
            narrow factor = nset(a[(size_t)r * p->row_step]);
            for (int v = 0; v < wide; v++)
                sum[r][v] = nfma(factor, b_now[v], sum[r][v]);
        }
    }
    if (p->into == PRODUCT_ADD)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < wide; v++)
                sum[r][v] = nadd(nload(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES), sum[r][v]);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            nstore(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES, sum[r][v]);
}

// All rows of `wide` registers from the `column`th on, `rows` of them at once.
static inline __attribute__((always_inline)) void product_columns(const product *p, int column, int rows, int wide) {
    int row = 0;
    for (; row + rows <= p->rows; row += rows)
        product_block(p, row, column, rows, wide);
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
    int column = 0, vectors = (p->width + NARROW_LANES - 1) / NARROW_LANES, numbers = vectors * NARROW_LANES;
    if (p->into == PRODUCT_SET && numbers % LANES != 0) // pads that none of them reaches
        for (int r = 0; r < p->rows; r++)
            nstore(p->c + (size_t)r * p->c_stride + numbers, nzero());
#if defined(TS_KERNELS_AVX2)
    // Of an odd number the last three: with four rows they take as many accumulators as two with six.
    if (vectors % 2 != 0 && vectors > 1)
        product_columns(p, vectors -= 3, 4, 3);
#endif
    for (; column + PRODUCT_WIDE <= vectors; column += PRODUCT_WIDE)
        product_columns(p, column, PRODUCT_ROWS, PRODUCT_WIDE);
    switch (vectors - column) {
#if defined(TS_KERNELS_AVX512)
    case 3:
        product_columns(p, column, PRODUCT_ROWS, 3);
        break;
    case 2:
        product_columns(p, column, PRODUCT_ROWS, 2);
        break;
#endif
    case 1:
        product_columns(p, column, PRODUCT_ROWS, 1);
        break;
    default:
        break;
    }
}
