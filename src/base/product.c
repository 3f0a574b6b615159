// Products in blocks whose sums stay in registers, built for several instruction sets that all add in the same order.
#include "base/product.h"

#include "base/sets.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A block: 6 rows by up to 2 panels, one after the other in AVX2's 16 registers, both at once in AVX-512's 32. DEPTH:
// rows of B that are brought into panels at once. AHEAD: by how many rows a panel is asked of memory before it is
// needed.
enum { ROWS = 6, PANELS = 2, DEPTH = 256, AHEAD = 64, COLUMNS = PANELS * TS_PANEL };

// Vectors of doubles, wherever they lie: half a panel's row, and all of it. Compilers make none of these loops by
// themselves.
typedef double quad __attribute__((vector_size(32)));
typedef quad quad_at __attribute__((aligned(8), may_alias));
typedef double panel_row __attribute__((vector_size(TS_PANEL * sizeof(double))));
typedef panel_row panel_row_at __attribute__((aligned(8), may_alias));
enum { QUAD = 4 };

// sum (ROWS, TS_PANEL) += A B: rows of A wherever they lie, b (depth, TS_PANEL).
TS_FOR_EACH_SET static void add_panel(int depth, const double *const *a, const double *b, double *sum) {
    quad part[ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        part[r][0] = *(const quad_at *)(sum + r * TS_PANEL);
        part[r][1] = *(const quad_at *)(sum + r * TS_PANEL + QUAD);
    }
    for (int k = 0; k < depth; k++) {
        quad left = *(const quad_at *)(b + (size_t)k * TS_PANEL);
        quad right = *(const quad_at *)(b + (size_t)k * TS_PANEL + QUAD);
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++) {
            part[r][0] += a[r][k] * left;
            part[r][1] += a[r][k] * right;
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < ROWS; r++) {
        *(quad_at *)(sum + r * TS_PANEL) = part[r][0];
        *(quad_at *)(sum + r * TS_PANEL + QUAD) = part[r][1];
    }
}

// sum (panels, ROWS, TS_PANEL) += A B: b (panels, depth, TS_PANEL).
static void add_each_panel(int panels, int depth, const double *const *a, const double *b, double *sum) {
    for (int p = 0; p < panels; p++)
        add_panel(depth, a, b + (size_t)p * (size_t)depth * TS_PANEL, sum + (size_t)p * ROWS * TS_PANEL);
}

#if defined(__x86_64__) && defined(__GNUC__)
#define TS_WIDE __attribute__((target("avx512f")))

// The same where a row of a panel is one vector. Written by itself: compilers put halves of such vectors into memory
// where there are none.
TS_WIDE static inline __attribute__((always_inline)) void add_panels(int panels, int depth, const double *const *a,
                                                                     const double *b, double *sum) {
    panel_row part[PANELS][ROWS];
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++) {
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++)
            part[p][r] = *(const panel_row_at *)(sum + (p * ROWS + r) * TS_PANEL);
    }
    for (size_t k = 0; k < (size_t)depth; k++) {
#pragma GCC unroll 2
        for (size_t p = 0; p < (size_t)panels; p++) {
            const double *at = b + (p * (size_t)depth + k) * TS_PANEL;
            panel_row row = *(const panel_row_at *)at;
            __builtin_prefetch((const void *)((uintptr_t)at + AHEAD * TS_PANEL * sizeof *at)); // often past the end
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++)
                part[p][r] += a[r][k] * row;
        }
    }
#pragma GCC unroll 2
    for (int p = 0; p < panels; p++) {
#pragma GCC unroll 6
        for (int r = 0; r < ROWS; r++)
            *(panel_row_at *)(sum + (p * ROWS + r) * TS_PANEL) = part[p][r];
    }
}

TS_WIDE static void add_wide_panels(int panels, int depth, const double *const *a, const double *b, double *sum) {
    if (panels == PANELS)
        add_panels(PANELS, depth, a, b, sum);
    else
        add_panels(1, depth, a, b, sum);
}

static void add_block(int panels, int depth, const double *const *a, const double *b, double *sum) {
    if (__builtin_cpu_supports("avx512f"))
        add_wide_panels(panels, depth, a, b, sum);
    else
        add_each_panel(panels, depth, a, b, sum);
}
#else
#define add_block add_each_panel
#endif

// panel (depth, TS_PANEL): columns of B, and zeros.
static void take_panel(int columns, int depth, const double *b, size_t b_stride, double *panel) {
    for (int k = 0; k < depth && columns >= TS_PANEL; k++)
        memcpy(panel + (size_t)k * TS_PANEL, b + (size_t)k * b_stride, TS_PANEL * sizeof *panel);
    for (int k = 0; k < depth && columns < TS_PANEL; k++)
        for (int j = 0; j < TS_PANEL; j++)
            panel[k * TS_PANEL + j] = j < columns ? b[(size_t)k * b_stride + (size_t)j] : 0;
}

static inline int smaller_of(int a, int b) {
    return a < b ? a : b;
}

// Up to a panel's width of them; most often just that.
static inline void copy_numbers(int count, const double *from, double *to) {
    if (count == TS_PANEL)
        memcpy(to, from, TS_PANEL * sizeof *to);
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

// A block of C, up to its edge; again: it goes on from what is there.
static void take_block(int rows, int columns, int depth, const double *const *a, const double *panels, bool again,
                       double *c, size_t c_stride) {
    double sum[ROWS * COLUMNS];
    memset(sum, 0, sizeof sum);
    for (int j = 0; j < columns && again; j += TS_PANEL)
        for (int r = 0; r < rows; r++)
            copy_numbers(smaller_of(columns - j, TS_PANEL), c + (size_t)r * c_stride + j,
                         sum + j * ROWS + r * TS_PANEL);
    add_block((columns + TS_PANEL - 1) / TS_PANEL, depth, a, panels, sum);
    for (int j = 0; j < columns; j += TS_PANEL)
        for (int r = 0; r < rows; r++)
            copy_numbers(smaller_of(columns - j, TS_PANEL), sum + j * ROWS + r * TS_PANEL,
                         c + (size_t)r * c_stride + j);
}

void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride) {
    double panels[DEPTH * COLUMNS];
    for (int k = 0; k == 0 || k < depth; k += DEPTH)
        for (int j = 0; j < columns; j += COLUMNS) {
            int deep = smaller_of(depth - k, DEPTH), wide = smaller_of(columns - j, COLUMNS);
            ts_panels_take(deep, wide, b + (size_t)k * (size_t)b_stride + j, b_stride, panels);
            for (int r = 0; r < rows; r += ROWS) {
                const double *block[ROWS];
                int tall = smaller_of(rows - r, ROWS);
                for (int i = 0; i < ROWS; i++) // beyond the last row it is that again, for sums of no use
                    block[i] = a + (size_t)(r + smaller_of(i, tall - 1)) * (size_t)a_stride + k;
                take_block(tall, wide, deep, block, panels, k > 0, c + (size_t)r * (size_t)c_stride + j,
                           (size_t)c_stride);
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
        int tall = smaller_of(rows - r, ROWS);
        for (int i = 0; i < ROWS; i++)
            block[i] = a[r + smaller_of(i, tall - 1)];
        for (int j = 0; j < columns; j += COLUMNS)
            take_block(tall, smaller_of(columns - j, COLUMNS), depth, block, panels + (size_t)j * (size_t)depth, false,
                       c + (size_t)r * (size_t)c_stride + j, (size_t)c_stride);
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
