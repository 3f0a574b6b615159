// The task `power`: its table, what it derives, its columns in the results file, what is refused.
#include "results/columns.h"
#include "support.h"

#include <stdio.h>

// base^exponent mod p, one factor after the other.
static int power(int base, int exponent, int p) {
    int result = 1 % p;
    for (int i = 0; i < exponent; i++)
        result = result * base % p;
    return result;
}

TEST(test_the_table_holds_sums_of_powers) {
    static const struct {
        int p, m, n;
    } TASKS[] = {{2, 1, 1}, {12, 5, 2}, {13, 0, 3}, {97, 9, 20}, {113, 8, 9}, {1021, 2, 40}};
    for (size_t i = 0; i < sizeof TASKS / sizeof *TASKS; i++) {
        char text[128];
        int p = TASKS[i].p, m = TASKS[i].m, n = TASKS[i].n;
        snprintf(text, sizeof text, "task: power\nmodel: mlp\np: %d\nm: %d\nn: %d\ntrain_fraction: 1\n", p, m, n);
        ts_sweep *sweep = support_sweep(text);
        ts_data *data = support_data(sweep, 0);
        assert_int_equal(data->table->n, p);
        assert_int_equal(data->table->n_out, p);
        for (int a = 0; a < p; a++)
            for (int b = 0; b < p; b++) {
                int expected = (power(a, m, p) + power(b, n, p)) % p, found = data->table->result[a * p + b];
                if (found != expected)
                    fail_msg("%d^%d + %d^%d mod %d is %d, found %d", a, m, b, n, p, expected, found);
            }
        assert_non_null(data->symmetry);
        ts_data_free(data);
        ts_sweep_free(sweep);
    }
}

// Fermat: exponents count modulo p - 1, but 0^0 is 1 and 0 to any other is 0.
TEST(test_exponents_may_be_large) {
    ts_sweep *sweep = support_sweep("task: power\np: 101\nm: 9007199254740900\nn: 1000000000000003\n");
    ts_data *data = support_data(sweep, 0);
    assert_int_equal(9007199254740900 % 100, 0);
    for (int a = 0; a < 101; a++)
        for (int b = 0; b < 101; b++)
            assert_int_equal(data->table->result[a * 101 + b], ((a != 0) + power(b, 3, 101)) % 101);
    ts_data_free(data);
    ts_sweep_free(sweep);
}

TEST(test_derived_quantities_are_columns_and_usable_in_where) {
    static const struct {
        int64_t gcd_m, gcd_n;
        const char *relation;
    } EXPECTED[] = {
        {1, 1, "equal"}, {1, 2, "multiple"}, {3, 2, "neither"}, {12, 1, "multiple"}, {6, 2, "multiple"}, {-1, -1, ""},
    };
    enum { ROWS = sizeof EXPECTED / sizeof *EXPECTED };
    ts_sweep *sweep = support_sweep("cases:\n"
                                    "  - {task: power, p: 13, m: 1, n: [1, 2]}\n"
                                    "  - {task: power, p: 13, m: 3, n: 2}\n"
                                    "  - {task: power, p: 13, m: 0, n: 5}\n"
                                    "  - {task: power, p: 13, m: 6, n: 2}\n"
                                    "  - {task: group, group: C5}\n");
    ts_columns columns;
    int found = 0;
    assert_int_equal(ts_sweep_instances(sweep), ROWS);
    assert_int_equal(ts_columns_make(sweep, &columns), TS_OK);
    assert_int_equal(ts_columns_fill(&columns, 0, ROWS), TS_OK);
    for (int c = 0; c < columns.count; c++) {
        const ts_column *column = &columns.column[c];
        for (int i = 0; i < ROWS; i++) {
            const int64_t *numbers = (const int64_t *)(const void *)column->slab;
            if (strcmp(column->name, "gcd_m") == 0)
                assert_int_equal(numbers[i], EXPECTED[i].gcd_m);
            else if (strcmp(column->name, "gcd_n") == 0)
                assert_int_equal(numbers[i], EXPECTED[i].gcd_n);
            else if (strcmp(column->name, "relation") == 0)
                assert_string_equal(ts_column_text(column, i), EXPECTED[i].relation);
            else
                continue;
            found++;
        }
    }
    assert_int_equal(found, 3 * ROWS);
    ts_columns_free(&columns);
    ts_sweep_free(sweep);
    sweep = support_sweep("task: power\np: 13\ngrid: {m: 1..12}\nwhere: gcd_m == 1\n");
    assert_int_equal(ts_sweep_instances(sweep), 4); // 1, 5, 7, 11
    ts_sweep_free(sweep);
}

TEST(test_exponents_and_modulus_shape_the_case) {
    ts_sweep *sweep = support_sweep("task: power\ngrid: {p: [11, 13], m: 1..2, n: 1..2, seed: 1..3}\n");
    assert_int_equal(ts_sweep_instances(sweep), 24);
    assert_int_equal(ts_sweep_cases(sweep), 8);
    ts_sweep_free(sweep);
}

static void expect_refused(const char *text, const char *error) {
    support_refused((ts_sweep_source){.file = "test.yaml", .text = text}, error);
}

TEST(test_what_cannot_be_is_refused) {
    expect_refused("task: power\np: 1\n", "test.yaml:2: key 'p'");
    expect_refused("task: power\np: 1025\n", "test.yaml:2: key 'p'");
    expect_refused("task: power\nm: -1\n", "test.yaml:2: key 'm'");
    expect_refused("task: power\nn: 1e19\n", "test.yaml:2: key 'n'");
    expect_refused("task: power\nm: 1.5\n", "test.yaml:2: key 'm'");
    expect_refused("task: power\np: 3\ntrain_fraction: 0.1\n", "is none to train on");
    expect_refused("task: power\np: 2\nmodel: transformer\nd_model: 4\n", "key 'd_model'");
    expect_refused("task: power\nmodel: transformer\nheads: 1\nd_model: 8\nd_head: 1\n", "key 'd_head'");
    expect_refused("task: power\nmodel: transformer\nd_model: 8\nd_mlp: 1\n", "key 'd_mlp'");
    expect_refused("task: power\nmodel: autoencoder\n", "autoencoder");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_holds_sums_of_powers),
        cmocka_unit_test(test_exponents_may_be_large),
        cmocka_unit_test(test_derived_quantities_are_columns_and_usable_in_where),
        cmocka_unit_test(test_exponents_and_modulus_shape_the_case),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
