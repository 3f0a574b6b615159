// Eigenvectors of symmetric matrices.
#define _POSIX_C_SOURCE 200809L
#include "base/eigen.h"
#include "support.h"

#include <math.h>

enum { MOST = 60 };

// A v = value v, and v are orthonormal; of rank `rank`, so that some values are equal, or 0.
static void check(int n, int rank, uint64_t seed) {
    static double x[MOST * MOST], a[MOST * MOST], v[MOST * MOST], value[MOST], work[MOST];
    for (int i = 0; i < rank * n; i++)
        x[i] = support_random(&seed);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            a[i * n + j] = i == j ? 0.25 : 0;
            for (int k = 0; k < rank; k++)
                a[i * n + j] += x[k * n + i] * x[k * n + j];
            v[i * n + j] = a[i * n + j];
        }
    assert_true(ts_eigen(n, v, value, work));
    for (int e = 0; e < n; e++)
        for (int i = 0; i < n; i++) {
            double product = 0, inner = 0;
            for (int j = 0; j < n; j++) {
                product += a[i * n + j] * v[e * n + j];
                inner += v[i * n + j] * v[e * n + j];
            }
            if (fabs(product - value[e] * v[e * n + i]) > 1e-12 || fabs(inner - (i == e)) > 1e-12)
                fail_msg("n %d, rank %d, eigenvector %d: A v = %g, expected %g; v.v%d = %g", n, rank, e, product,
                         value[e] * v[e * n + i], i, inner);
        }
}

TEST(test_eigenvectors_are_those_of_the_matrix) {
    static const int SHAPES[][2] = {{1, 0}, {1, 1}, {2, 1}, {2, 2}, {3, 3}, {7, 2}, {MOST, MOST}, {MOST, 4}, {MOST, 0}};
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++)
        check(SHAPES[i][0], SHAPES[i][1], 17 + i);
}

TEST(test_a_matrix_that_is_not_finite_has_none) {
    double a[9] = {1, NAN, 0, NAN, 1, 0, 0, 0, 1}, value[3], work[3];
    assert_false(ts_eigen(3, a, value, work));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigenvectors_are_those_of_the_matrix),
        cmocka_unit_test(test_a_matrix_that_is_not_finite_has_none),
    };
    return cmocka_run_group_tests_name("eigen", tests, NULL, NULL);
}
