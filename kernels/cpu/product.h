// Matrix products in registers: C from A B, with A read one number at a time (so that it may be transposed for free)
// and B by vectors, whose pads are zeros. Sums run over `depth` in order, whatever the blocking. C's columns are others
// than A's and B's, though they may lie in the same rows.
#pragma once

#include "cpu/narrow.h"

#include <stddef.h>

// Accumulators: PRODUCT_ROWS x PRODUCT_WIDE registers, with B's beside them; never more than PRODUCT_MOST for a row.
enum {
    PRODUCT_ROWS = VECTOR_REGISTERS >= 8 ? 6 : 2,
    PRODUCT_WIDE = VECTOR_REGISTERS >= 32 ? 4 : 2,
    PRODUCT_MOST = 4,
};

_Static_assert(PRODUCT_ROWS == (VECTOR_REGISTERS >= 8 ? 6 : 2),
               "product_columns has a case for each number of rows left");

// What becomes of C: A B, and zeros in its pads; A B with sums that begin with C; C with A B added to it. The latter
// two need pads that are zeros.
typedef enum product_into { PRODUCT_SET, PRODUCT_CONTINUE, PRODUCT_ADD } product_into;

// A at (row, k): at[row * row_step + k * depth_step].
typedef struct left_factor {
    const float *at;
    size_t row_step, depth_step;
} left_factor;

static inline left_factor plain(const float *at, int stride) {
    return (left_factor){at, (size_t)stride, 1};
}

static inline left_factor transposed(const float *at, int stride) {
    return (left_factor){at, 1, (size_t)stride};
}

// B (depth, b_stride), C (rows, c_stride): `width` numbers of a row of both, and pads up to a multiple of 16.
typedef struct product {
    left_factor a;
    const float *b;
    size_t b_stride;
    float *c;
    size_t c_stride;
    int rows, width, depth;
    product_into into;
} product;

// The last columns of C may be too few for a register: `parts` rows then share one, each with a part of it, so that
// fewer numbers are pads. `parts` is 1 where there are no such columns.
typedef struct shared {
    narrow b, factors, sum[PRODUCT_ROWS / 2];
} shared;

#if defined(TS_KERNELS_AVX512)

// How many rows share a register for so many columns.
static inline int rows_that_share(int columns) {
    return columns > LANES / 2 ? 1 : columns > LANES / 4 ? 2 : 4;
}

static inline __mmask16 part_mask(int parts, int part) {
    return (__mmask16)(((1U << (LANES / parts)) - 1) << (LANES / parts * part));
}

// The numbers at `at` in every part.
static inline narrow in_all_parts(int parts, const float *at) {
    return parts == 2 ? _mm512_broadcast_f32x8(_mm256_loadu_ps(at)) : _mm512_broadcast_f32x4(_mm_loadu_ps(at));
}

INLINE void shared_begin(shared *s, const float *c, size_t c_stride, int rows, int parts, bool continues) {
    for (int r = 0; r < rows; r++) {
        narrow before = r % parts == 0 ? nzero() : s->sum[r / parts];
        s->sum[r / parts] = continues ? _mm512_mask_mov_ps(before, part_mask(parts, r % parts),
                                                           in_all_parts(parts, c + (size_t)r * c_stride))
                                      : before;
    }
}

// Row r's number of A comes to the others of its register; the last one of them multiplies.
INLINE void shared_multiply(shared *s, narrow of_a, int r, int rows, int parts) {
    int part = r % parts;
    s->factors = part == 0 ? of_a : _mm512_mask_mov_ps(s->factors, part_mask(parts, part), of_a);
    if (part == parts - 1 || r == rows - 1)
        s->sum[r / parts] = nfma(s->factors, s->b, s->sum[r / parts]);
}

INLINE void shared_end(const shared *s, float *c, size_t c_stride, int rows, int parts, product_into into) {
    for (int r = 0; r < rows; r++) {
        float *at = c + (size_t)r * c_stride;
        narrow sum = s->sum[r / parts];
        if (into == PRODUCT_ADD)
            sum = nadd(in_all_parts(parts, at), sum);
        switch (r % parts * 4 / parts) { // its part comes first
        case 1:
            sum = _mm512_shuffle_f32x4(sum, sum, 1);
            break;
        case 2:
            sum = _mm512_shuffle_f32x4(sum, sum, 2 + 4 * 3);
            break;
        case 3:
            sum = _mm512_shuffle_f32x4(sum, sum, 3);
            break;
        default:
            break;
        }
        if (into == PRODUCT_SET)
            nstore(at, _mm512_maskz_mov_ps(part_mask(parts, 0), sum)); // with its pads
        else
            _mm512_mask_storeu_ps(at, part_mask(parts, 0), sum);
    }
}

#else

static inline narrow in_all_parts(int parts, const float *at) {
    (void)parts;
    return nload(at);
}
static inline void shared_begin(shared *s, const float *c, size_t c_stride, int rows, int parts, bool continues) {
    (void)s, (void)c, (void)c_stride, (void)rows, (void)parts, (void)continues;
}
static inline void shared_multiply(shared *s, narrow of_a, int r, int rows, int parts) {
    (void)s, (void)of_a, (void)r, (void)rows, (void)parts;
}
static inline void shared_end(const shared *s, float *c, size_t c_stride, int rows, int parts, product_into into) {
    (void)s, (void)c, (void)c_stride, (void)rows, (void)parts, (void)into;
}

#endif

// `wide` registers of each of so many rows, and what they share of the next.
INLINE void product_block(const product *p, int row, int column, int rows, int wide, int parts) {
    narrow sum[PRODUCT_ROWS][PRODUCT_MOST];
    shared rest;
    float *c = p->c + (size_t)row * p->c_stride + (size_t)column * NARROW_LANES;
    const float *a = p->a.at + (size_t)row * p->a.row_step, *b = p->b + (size_t)column * NARROW_LANES;
    const int at_rest = wide * NARROW_LANES;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            sum[r][v] =
                p->into == PRODUCT_CONTINUE ? nload(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES) : nzero();
    if (parts > 1)
        shared_begin(&rest, c + at_rest, p->c_stride, rows, parts, p->into == PRODUCT_CONTINUE);
    for (int k = 0; k < p->depth; k++, a += p->a.depth_step, b += p->b_stride) {
        narrow b_now[PRODUCT_MOST];
        for (int v = 0; v < wide; v++)
            b_now[v] = nload(b + v * NARROW_LANES);
        if (parts > 1)
            rest.b = in_all_parts(parts, b + at_rest);
        for (int r = 0; r < rows; r++) {
            narrow of_a = nset(a[(size_t)r * p->a.row_step]);
            for (int v = 0; v < wide; v++)
                sum[r][v] = nfma(of_a, b_now[v], sum[r][v]);
            if (parts > 1)
                shared_multiply(&rest, of_a, r, rows, parts);
        }
    }
    if (p->into == PRODUCT_ADD)
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < wide; v++)
                sum[r][v] = nadd(nload(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES), sum[r][v]);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            nstore(c + (size_t)r * p->c_stride + (size_t)v * NARROW_LANES, sum[r][v]);
    if (parts > 1)
        shared_end(&rest, c + at_rest, p->c_stride, rows, parts, p->into);
}

// All rows of `wide` registers from the `column`th on, `rows` of them at once, `parts` of which share the next.
INLINE void product_columns(const product *p, int column, int rows, int wide, int parts) {
    int row = 0;
    for (; row + rows <= p->rows; row += rows)
        product_block(p, row, column, rows, wide, parts);
    switch (p->rows - row) {
    case 1:
        product_block(p, row, column, 1, wide, parts);
        break;
#if defined(TS_KERNELS_AVX512) || defined(TS_KERNELS_AVX2)
    case 2:
        product_block(p, row, column, 2, wide, parts);
        break;
    case 3:
        product_block(p, row, column, 3, wide, parts);
        break;
    case 4:
        product_block(p, row, column, 4, wide, parts);
        break;
    case 5:
        product_block(p, row, column, 5, wide, parts);
        break;
#endif
    default:
        break;
    }
}

// The last columns, if they take less room than the registers that they lie in. Returns how many registers are left.
static inline int multiply_last(const product *p, int vectors) {
#if defined(TS_KERNELS_AVX512)
    int whole = p->width / LANES, parts = rows_that_share(p->width % LANES);
    if (whole < 2 || p->width % LANES == 0 || parts == 1)
        return vectors;
    // Beside whole registers, as multiply-adds of one row of registers would wait for each other.
    int wide = whole % 2 == 0 ? 2 : 3, column = whole - wide;
    if (wide == 2 && parts == 2)
        product_columns(p, column, PRODUCT_ROWS, 2, 2);
    else if (wide == 2)
        product_columns(p, column, PRODUCT_ROWS, 2, 4);
    else if (parts == 2)
        product_columns(p, column, PRODUCT_ROWS, 3, 2);
    else
        product_columns(p, column, PRODUCT_ROWS, 3, 4);
    return column;
#elif defined(TS_KERNELS_AVX2)
    // Of an odd number the last three: with four rows they take as many accumulators as two with six.
    if (vectors % 2 == 0 || vectors == 1)
        return vectors;
    product_columns(p, vectors - 3, 4, 3, 1);
    return vectors - 3;
#else
    (void)p;
    return vectors;
#endif
}

// Not one with what calls it: small products take 3 % longer then, as the compiler has fewer registers to give.
static void multiply_all(const product *p) {
    int column = 0, vectors = (p->width + NARROW_LANES - 1) / NARROW_LANES, numbers = vectors * NARROW_LANES;
    if (p->into == PRODUCT_SET && numbers % LANES != 0) // pads that none of them reaches
        for (int r = 0; r < p->rows; r++)
            nstore(p->c + (size_t)r * p->c_stride + numbers, nzero());
    vectors = multiply_last(p, vectors);
    for (; column + PRODUCT_WIDE <= vectors; column += PRODUCT_WIDE)
        product_columns(p, column, PRODUCT_ROWS, PRODUCT_WIDE, 1);
    switch (vectors - column) {
#if defined(TS_KERNELS_AVX512)
    case 3:
        product_columns(p, column, PRODUCT_ROWS, 3, 1);
        break;
    case 2:
        product_columns(p, column, PRODUCT_ROWS, 2, 1);
        break;
#endif
    case 1:
        product_columns(p, column, PRODUCT_ROWS, 1, 1);
        break;
    default:
        break;
    }
}

// C (rows, width) from A (rows, depth) and B (depth, width).
static void multiply(float *c, int c_stride, int rows, int width, left_factor a, const float *b, int b_stride,
                     int depth, product_into into) {
    multiply_all(&(product){
        .a = a,
        .b = b,
        .b_stride = (size_t)b_stride,
        .c = c,
        .c_stride = (size_t)c_stride,
        .rows = rows,
        .width = width,
        .depth = depth,
        .into = into,
    });
}
