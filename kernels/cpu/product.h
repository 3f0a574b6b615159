// Matrix products in registers: C (rows, 16 vectors) from A B, with A read one number at a time (so that
// it may be transposed for free) and B by vectors, the pads of its last one zeros. Sums run over `depth` in order,
// whatever the blocking.
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

// A at (row, k): a[row * row_step + k * depth_step]. B (depth, b_stride), C (rows, c_stride): of both `width` numbers
// of a row count, to the end of the last one's vector.
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

#if defined(TS_KERNELS_AVX2)
// Where all that counts of the last vector is in its lower half, that half and the vector before it make three halves:
// with four rows they take as many accumulators.
enum { HALF = LANES / 2, HALF_ROWS = 4, HALVES = 3 };

static inline __attribute__((always_inline)) void product_halves(const product *p, int row, int column, int rows) {
    __m256 sum[HALF_ROWS][HALVES];
    float *c = p->c + (size_t)row * p->c_stride + (size_t)column * LANES;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < HALVES; v++)
            sum[r][v] = p->into == PRODUCT_CONTINUE ? _mm256_loadu_ps(c + (size_t)r * p->c_stride + (size_t)v * HALF)
                                                    : _mm256_setzero_ps();
    const float *a = p->a + (size_t)row * p->row_step, *b = p->b + (size_t)column * LANES;
    for (int k = 0; k < p->depth; k++, a += p->depth_step, b += p->b_stride)
        for (int r = 0; r < rows; r++) {
            __m256 factor = _mm256_set1_ps(a[(size_t)r * p->row_step]);
            for (int v = 0; v < HALVES; v++)
                sum[r][v] = _mm256_fmadd_ps(factor, _mm256_loadu_ps(b + v * HALF), sum[r][v]);
        }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v <= HALVES; v++) {
            float *to = c + (size_t)r * p->c_stride + (size_t)v * HALF;
            if (v < HALVES)
                _mm256_storeu_ps(to,
                                 p->into == PRODUCT_ADD ? _mm256_add_ps(_mm256_loadu_ps(to), sum[r][v]) : sum[r][v]);
            else if (p->into == PRODUCT_SET)
                _mm256_storeu_ps(to, _mm256_setzero_ps());
        }
}

// Of so many vectors the last ones in which there are half pads. Returns how many are left.
static int product_without_pads(const product *p, int vectors) {
    int row = 0, last = p->width - (vectors - 1) * LANES;
    if (vectors < 2 || last > HALF)
        return vectors;
    for (; row + HALF_ROWS <= p->rows; row += HALF_ROWS)
        product_halves(p, row, vectors - 2, HALF_ROWS);
    switch (p->rows - row) {
    case 3:
        product_halves(p, row, vectors - 2, 3);
        break;
    case 2:
        product_halves(p, row, vectors - 2, 2);
        break;
    case 1:
        product_halves(p, row, vectors - 2, 1);
        break;
    default:
        break;
    }
    return vectors - 2;
}
#else
static int product_without_pads(const product *p, int vectors) {
    (void)p;
    return vectors;
}
#endif

static void multiply(const product *p) {
    int column = 0, vectors = product_without_pads(p, (p->width + LANES - 1) / LANES);
    for (; column + PRODUCT_WIDE <= vectors; column += PRODUCT_WIDE)
        product_columns(p, column, PRODUCT_WIDE);
    switch (vectors - column) {
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
