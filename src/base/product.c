// Plain loops, compiled for several instruction sets (sets.h) that all add in the same order.
#include "base/product.h"

#include "base/sets.h"

#include <string.h>

// Sums kept in registers: ROWS x WIDE; the compiler makes vectors of the inner loops.
enum { ROWS = 4, WIDE = 32 };

// One block of C; `rows` and `columns` of it exist.
TS_FOR_EACH_SET static void block(int rows, int columns, int depth, const double *a, size_t a_stride, const double *b,
                                  size_t b_stride, double *c, size_t c_stride) {
    double sum[ROWS][WIDE];
    memset(sum, 0, sizeof sum);
    if (rows == ROWS && columns == WIDE) {
        for (int k = 0; k < depth; k++)
            for (int r = 0; r < ROWS; r++)
                for (int j = 0; j < WIDE; j++)
                    sum[r][j] += a[(size_t)r * a_stride + (size_t)k] * b[(size_t)k * b_stride + (size_t)j];
    } else {
        for (int k = 0; k < depth; k++)
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < columns; j++)
                    sum[r][j] += a[(size_t)r * a_stride + (size_t)k] * b[(size_t)k * b_stride + (size_t)j];
    }
    for (int r = 0; r < rows; r++)
        memcpy(c + (size_t)r * c_stride, sum[r], (size_t)columns * sizeof(double));
}

void ts_product(int rows, int columns, int depth, const double *a, int a_stride, const double *b, int b_stride,
                double *c, int c_stride) {
    for (int j = 0; j < columns; j += WIDE)
        for (int r = 0; r < rows; r += ROWS)
            block(rows - r < ROWS ? rows - r : ROWS, columns - j < WIDE ? columns - j : WIDE, depth,
                  a + (size_t)r * (size_t)a_stride, (size_t)a_stride, b + j, (size_t)b_stride,
                  c + (size_t)r * (size_t)c_stride + j, (size_t)c_stride);
}

double ts_energy(const double *x, size_t count) {
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

void ts_add(double *restrict sum, const double *restrict x, int count) {
    for (int i = 0; i < count; i++)
        sum[i] += x[i];
}
