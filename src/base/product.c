// Products in blocks whose sums stay in registers, built for several instruction sets that all add in the same order.
#include "base/product.h"

#include "base/quad.h"
#include "base/sets.h"

#include <stdbool.h>
#include <string.h>

// A block: 6 rows by one panel, 12 of AVX2's 16 vectors. DEPTH: rows of B that are brought into a panel at once.
enum { ROWS = 6, DEPTH = 256 };

// sum (ROWS, TS_PANEL) += A B: rows of A wherever they lie, b (depth, TS_PANEL).
TS_FOR_EACH_SET static void add_block(int depth, const double *const *a, const double *b, double *sum) {
    ts_quad part[ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        part[r][0] = *(const ts_quad_at *)(sum + r * TS_PANEL);
        part[r][1] = *(const ts_quad_at *)(sum + r * TS_PANEL + TS_QUAD);
    }
    for (int k = 0; k < depth; k++) {
        ts_quad left = *(const ts_quad_at *)(b + (size_t)k * TS_PANEL);
        ts_quad right = *(const ts_quad_at *)(b + (size_t)k * TS_PANEL + TS_QUAD);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            part[r][0] += a[r][k] * left;
            part[r][1] += a[r][k] * right;
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        *(ts_quad_at *)(sum + r * TS_PANEL) = part[r][0];
        *(ts_quad_at *)(sum + r * TS_PANEL + TS_QUAD) = part[r][1];
    }
}

#if defined(__x86_64__) && defined(__GNUC__)
typedef double panel_row __attribute__((vector_size(TS_PANEL * sizeof(double))));
typedef panel_row panel_row_at __attribute__((aligned(8), may_alias));

// The same where a row of a panel is one vector. Written by itself: compilers put halves of such vectors into memory
// where there are none.
__attribute__((target("avx512f"))) static void add_wide_block(int depth, const double *const *a, const double *b,
                                                              double *sum) {
    panel_row part[ROWS];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
        part[r] = *(const panel_row_at *)(sum + r * TS_PANEL);
    for (int k = 0; k < depth; k++) {
        panel_row row = *(const panel_row_at *)(b + (size_t)k * TS_PANEL);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++)
            part[r] += a[r][k] * row;
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++)
        *(panel_row_at *)(sum + r * TS_PANEL) = part[r];
}
static void add_best_block(int depth, const double *const *a, const double *b, double *sum) {
    if (__builtin_cpu_supports("avx512f"))
        add_wide_block(depth, a, b, sum);
    else
        add_block(depth, a, b, sum);
}
#else
#define add_best_block add_block
#endif

// panel (depth, TS_PANEL): columns of B, and zeros.
static void take_panel(int columns, int depth, const double *b, size_t b_stride, double *panel) {
    for (int k = 0; k < depth && columns >= TS_PANEL; k++)
        memcpy(panel + (size_t)k * TS_PANEL, b + (size_t)k * b_stride, TS_PANEL * sizeof *panel);
    for (int k = 0; k < depth && columns < TS_PANEL; k++)
        for (int j = 0; j < TS_PANEL; j++)
            panel[k * TS_PANEL + j] = j < columns ? b[(size_t)k * b_stride + (size_t)j] : 0;
}

// Up to a panel's width of them; most often just that.
static inline void copy_numbers(int count, const double *from, double *to) {
    if (count == TS_PANEL)
        memcpy(to, from, TS_PANEL * sizeof *to);
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

// A block of C, up to its edge; again: it goes on from what is there.
static void take_block(int rows, int columns, int depth, const double *const *a, const double *panel, bool again,
                       double *c, size_t c_stride) {
    double sum[ROWS * TS_PANEL];
    memset(sum, 0, sizeof sum);
    for (int r = 0; r < rows && again; r++)
        copy_numbers(columns, c + (size_t)r * c_stride, sum + r * TS_PANEL);
    add_best_block(depth, a, panel, sum);
    for (int r = 0; r < rows; r++)
        copy_numbers(columns, sum + r * TS_PANEL, c + (size_t)r * c_stride);
}

void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride) {
    double panel[DEPTH * TS_PANEL];
    for (int k = 0; k == 0 || k < depth; k += DEPTH)
        for (int j = 0; j < columns; j += TS_PANEL) {
            int deep = depth - k < DEPTH ? depth - k : DEPTH;
            take_panel(columns - j, deep, b + (size_t)k * (size_t)b_stride + j, (size_t)b_stride, panel);
            for (int r = 0; r < rows; r += ROWS) {
                const double *block[ROWS];
                int tall = rows - r < ROWS ? rows - r : ROWS;
                for (int i = 0; i < ROWS; i++) // beyond the last row it is that again, for sums of no use
                    block[i] = a + (size_t)(r + (i < tall ? i : tall - 1)) * (size_t)a_stride + k;
                take_block(tall, columns - j < TS_PANEL ? columns - j : TS_PANEL, deep, block, panel, k > 0,
                           c + (size_t)r * (size_t)c_stride + j, (size_t)c_stride);
            }
        }
}

size_t ts_panel_numbers(int depth, int columns) {
    return ((size_t)columns + TS_PANEL - 1) / TS_PANEL * TS_PANEL * (size_t)depth;
}

void ts_panels_take(int depth, int columns, const double *b, int b_stride, double *panels) {
    for (int j = 0; j < columns; j += TS_PANEL)
        take_panel(columns - j, depth, b + j, (size_t)b_stride, panels + (size_t)j * (size_t)depth);
}

void ts_product_of_panels(int rows, int columns, int depth, const double *const *a, const double *panels, double *c,
                          int c_stride) {
    for (int r = 0; r < rows; r += ROWS) {
        const double *block[ROWS];
        int tall = rows - r < ROWS ? rows - r : ROWS;
        for (int i = 0; i < ROWS; i++)
            block[i] = a[r + (i < tall ? i : tall - 1)];
        for (int j = 0; j < columns; j += TS_PANEL)
            take_block(tall, columns - j < TS_PANEL ? columns - j : TS_PANEL, depth, block,
                       panels + (size_t)j * (size_t)depth, false, c + (size_t)r * (size_t)c_stride + j,
                       (size_t)c_stride);
    }
}

TS_FOR_EACH_SET double ts_energy(const double *x, size_t count) {
    double lane[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++)
            lane[k] += x[i + k] * x[i + k];
    for (; i < count; i++)
        sum += x[i] * x[i];
    for (size_t k = 0; k < 8; k++)
        sum += lane[k];
    return sum;
}

TS_FOR_EACH_SET void ts_add(double *restrict sum, const double *restrict x, int count) {
    for (int i = 0; i < count; i++)
        sum[i] += x[i];
}
