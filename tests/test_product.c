// Products of matrices have the bits of a plain loop, whatever their edges.
#define _POSIX_C_SOURCE 200809L
#include "base/product.h"
#include "support.h"

#include <stdlib.h>

static double *random_numbers(size_t count, uint64_t *state) {
    double *x = malloc((count + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = support_random(state);
    return x;
}

static void compare(int rows, int columns, int depth, const double *a, const double *b, const double *c) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < columns; j++) {
            double sum = 0;
            for (int k = 0; k < depth; k++)
                sum += a[r * depth + k] * b[k * columns + j];
            if (c[r * columns + j] != sum)
                fail_msg("%d x %d x %d, row %d, column %d: %a, expected %a", rows, depth, columns, r, j,
                         c[r * columns + j], sum);
        }
}

static void check(int rows, int columns, int depth, uint64_t seed) {
    double *a = random_numbers((size_t)(rows * depth), &seed), *b = random_numbers((size_t)(depth * columns), &seed);
    double *c = random_numbers((size_t)(rows * columns), &seed);
    double *panels = random_numbers(ts_panel_numbers(depth, columns), &seed);
    const double **row = malloc((size_t)rows * sizeof *row);
    assert_non_null(row);
    for (int r = 0; r < rows; r++)
        row[r] = a + r * depth;
    ts_product(rows, columns, depth, a, depth, b, columns, c, columns);
    compare(rows, columns, depth, a, b, c);
    ts_panels_take(depth, columns, b, columns, panels);
    ts_product_of_panels(rows, columns, depth, row, panels, c, columns);
    compare(rows, columns, depth, a, b, c);
    free(row);
    free(panels);
    free(c);
    free(b);
    free(a);
}

TEST(test_bits_are_those_of_a_plain_loop) {
    const int rows[] = {1, 5, 6, 13}, columns[] = {1, 7, 8, 13, 16, 19, 24}, depth[] = {0, 1, 128, 256, 300};
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 7; c++)
            for (int d = 0; d < 5; d++)
                check(rows[r], columns[c], depth[d], (uint64_t)(100 * r + 10 * c + d));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_those_of_a_plain_loop),
    };
    return cmocka_run_group_tests_name("product", tests, NULL, NULL);
}
