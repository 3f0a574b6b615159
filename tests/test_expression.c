// The task `expression`: its tables and the pairs that they have, the groups that it is analysed in, splits, losses of
// the pairs that are there, what is refused.
#include "measure/measure.h"
#include "model/network.h"
#include "results/columns.h"
#include "support.h"

#include <math.h>
#include <stdio.h>

static ts_data *data_of(const char *expression, int p, const char *more) {
    char text[256];
    snprintf(text, sizeof text, "task: expression\nexpression: %s\np: %d\ntrain_fraction: 1\n%s", expression, p, more);
    ts_sweep *sweep = support_sweep(text);
    ts_data *data = support_data(sweep, 0);
    ts_sweep_free(sweep);
    return data;
}

// --- Tables ---

static int square_form(int a, int b) {
    return a * a + a * b + b * b;
}

static int cubic(int a, int b) {
    return a * a * a + a * b * b + b;
}

static int difference(int a, int b) {
    return 97 + a - b;
}

TEST(test_tables_hold_the_values) {
    static const struct {
        const char *expression;
        int (*value)(int a, int b);
    } TABLES[] = {{"a**2 + a*b + b**2", square_form}, {"a**3 + a*b**2 + b", cubic}, {"a - b", difference}};
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++)
        for (int nonzero = 0; nonzero < 2; nonzero++) {
            ts_data *data = data_of(TABLES[i].expression, 97, nonzero ? "nonzero: true\n" : "");
            const ts_table *table = data->table;
            assert_int_equal(table->n, 97 - nonzero);
            assert_int_equal(table->n_out, 97); // of each some result is 0
            assert_int_equal(table->pairs, table->n * table->n);
            for (int a = 0; a < table->n; a++)
                for (int b = 0; b < table->n; b++)
                    assert_int_equal(table->result[a * table->n + b], TABLES[i].value(a + nonzero, b + nonzero) % 97);
            ts_data_free(data);
        }
}

// Without 0 results are counted from 1, too, where none of them is 0.
TEST(test_pairs_without_a_value_are_not_there) {
    ts_data *data = data_of("a/b", 7, "");
    assert_int_equal(data->table->pairs, 42);
    assert_null(data->symmetry);
    assert_false(data->table->square);
    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 7; b++) {
            int c = data->table->result[a * 7 + b];
            assert_int_equal(b == 0 ? c == TS_UNDEFINED : c * b % 7 == a, 1);
        }
    ts_data_free(data);
    data = data_of("a/b", 12, ""); // 1, 5, 7, 11 have inverses
    assert_int_equal(data->table->pairs, 12 * 4);
    ts_data_free(data);
    data = data_of("a/b", 7, "nonzero: true\n");
    assert_int_equal(data->table->n_out, 6);
    assert_int_equal(data->table->pairs, 36);
    for (int a = 1; a < 7; a++)
        for (int b = 1; b < 7; b++)
            assert_int_equal((data->table->result[(a - 1) * 6 + b - 1] + 1) * b % 7, a);
    ts_data_free(data);
    data = data_of("a*b", 6, "nonzero: true\n"); // 2 * 3 is 0
    assert_int_equal(data->table->n, 5);
    assert_int_equal(data->table->n_out, 6);
    assert_int_equal(data->table->result[1 * 5 + 2], 0);
    ts_data_free(data);
    data = data_of("a*b", 2, "nonzero: true\n");
    assert_int_equal(data->table->n, 1);
    assert_true(data->table->group);
    ts_data_free(data);
}

TEST(test_splits_are_of_the_pairs_that_are_there) {
    static const char *const SPLITS[] = {"torch", "python"};
    for (int s = 0; s < 2; s++) {
        char text[256];
        support_instance f;
        int pairs[49], seen[49] = {0};
        int64_t train;
        snprintf(text, sizeof text, "task: expression\nexpression: a/b\np: 7\nsplit: %s\ntrain_fraction: 0.5\n",
                 SPLITS[s]);
        support_open(&f, text);
        ts_network_pairs(&f.params, f.data->table, pairs, &train);
        assert_int_equal(train, 21);
        assert_int_equal(ts_network_train(&f.params, f.data->table), 21);
        for (int i = 0; i < 42; i++) {
            assert_int_not_equal(f.data->table->result[pairs[i]], TS_UNDEFINED);
            assert_int_equal(seen[pairs[i]]++, 0);
        }
        support_close(&f);
    }
}

TEST(test_pairs_are_a_column_and_usable_in_where) {
    static const int64_t EXPECTED[] = {49, 42, 36, -1};
    ts_sweep *sweep = support_sweep("cases:\n"
                                    "  - {task: expression, p: 7, expression: [a + b, a/b]}\n"
                                    "  - {task: expression, p: 7, expression: a / b, nonzero: true}\n"
                                    "  - {task: group, group: C5}\n");
    ts_columns columns;
    int found = 0;
    assert_int_equal(ts_sweep_instances(sweep), 4);
    assert_int_equal(ts_columns_make(sweep, &columns), TS_OK);
    assert_int_equal(ts_columns_fill(&columns, 0, 4), TS_OK);
    for (int c = 0; c < columns.count; c++)
        for (int i = 0; i < 4 && strcmp(columns.column[c].name, "pairs") == 0; i++, found++)
            assert_int_equal(((const int64_t *)(const void *)columns.column[c].slab)[i], EXPECTED[i]);
    assert_int_equal(found, 4);
    ts_columns_free(&columns);
    ts_sweep_free(sweep);
    sweep =
        support_sweep("task: expression\np: 7\ngrid: {expression: [a + b, a/b, a*b]}\nwhere: pairs == order*order\n");
    assert_int_equal(ts_sweep_instances(sweep), 2);
    ts_sweep_free(sweep);
    sweep = support_sweep("task: expression\np: 7\ngrid: {expression: [a + b, a/b]}\nwhere: expression == '(a)+b'\n");
    assert_int_equal(ts_sweep_instances(sweep), 1);
    ts_sweep_free(sweep);
}

// One identity; and the same instance twice is refused as ever.
TEST(test_blanks_and_parentheses_do_not_matter) {
    static const char *const TEXTS[] = {"a**2+a*b", " a ** 2 + ( a * b ) ", "a**2 + b*a"};
    uint8_t identity[3][32];
    for (int i = 0; i < 3; i++) {
        char text[256];
        support_instance f;
        snprintf(text, sizeof text, "task: expression\nexpression: %s\np: 7\n", TEXTS[i]);
        support_open(&f, text);
        assert_int_equal(ts_params_identity(&f.params, identity[i]), TS_OK);
        support_close(&f);
    }
    assert_memory_equal(identity[0], identity[1], 32);
    assert_memory_not_equal(identity[0], identity[2], 32);
    support_refused(
        (ts_sweep_source){.file = "test.yaml", .text = "task: expression\np: 7\ngrid: {expression: [a+b, a + b]}\n"},
        "a + b");
}

// --- The group that it is analysed in ---

// The value of a measure in both; NaN counts as equal to itself.
static void expect_equal(const char *name, int64_t i, double found, double expected) {
    if (!(isnan(expected) ? isnan(found) : fabs(found - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("%s[%lld]: found %.17g, expected %.17g", name, (long long)i, found, expected);
}

typedef struct measured {
    support_instance f;
    double *out;
} measured;

static void open_case(measured *m, const char *task, const char *model) {
    char text[512];
    snprintf(text, sizeof text, "%s%s", task, model);
    support_open(&m->f, text);
    m->out = ts_alloc((size_t)ts_measures_total(&m->f.params, m->f.data) * sizeof(double), "measures");
}

static void measure_case(measured *m) {
    assert_int_equal(ts_measure_weights(&m->f.params, m->f.data, m->f.initial, 0, TS_MEASURE_LAST, NULL, m->out),
                     TS_OK);
}

static void close_case(measured *m) {
    ts_free(m->out);
    support_close(&m->f);
}

// Every measure that the second has is in the first, and equal. Returns how many there are.
static int expect_equal_measures(const measured *found, const measured *expected) {
    int count = 0;
    ts_measures e = ts_measures_of(&expected->f.params, expected->f.data);
    for (; ts_measures_next(&e); count++) {
        ts_measures m = ts_measures_of(&found->f.params, found->f.data);
        if (!ts_measures_find(&m, e.measure->name))
            fail_msg("no measure %s", e.measure->name);
        assert_int_equal(m.length, e.length);
        for (int64_t i = 0; i < e.length; i++)
            expect_equal(e.measure->name, i, found->out[m.offset + i], expected->out[e.offset + i]);
    }
    return count;
}

// Weights of `from` for tokens and results in another order: row x (or column x) of `to` is that of element[x].
static void permute(const measured *from, measured *to, const int *element, int n) {
    for (int t = 0; t < from->f.layout.count; t++) {
        const ts_tensor *tensor = &from->f.layout.tensor[t];
        const float *source = from->f.initial + tensor->offset;
        float *target = to->f.initial + tensor->offset;
        bool rows = strcmp(tensor->dimension[0], "token") == 0 || strcmp(tensor->dimension[0], "input") == 0;
        bool columns = strcmp(tensor->dimension[tensor->rank - 1], "output") == 0;
        int64_t width = tensor->size[tensor->rank - 1], all = ts_tensor_numbers(tensor);
        for (int64_t i = 0; i < all; i++) {
            int64_t row = i / width, column = i % width;
            row = rows && row < n ? element[row] : row;
            column = columns && column < n ? element[column] : column;
            target[i] = source[row * width + column];
        }
    }
}

static const char *const MODELS[] = {
    "model: mlp\nembed: 6\nhidden: 10\n",
    "model: transformer\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 12\n",
    "model: transformer\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 12\noutputs: 23\n",
    "model: mlp\nembed: 6\nhidden: 10\nembedding: shared\nactivation: square\nloss: mse\nbias: both\n",
};
enum { MODEL_COUNT = sizeof MODELS / sizeof *MODELS };

// Products of residues without 0 are sums of logarithms to the smallest primitive root: 2 of 13, 3 of 17.
TEST(test_products_without_0_are_the_cyclic_group) {
    static const int PRIMES[][2] = {{13, 2}, {17, 3}};
    for (int i = 0; i < 2; i++)
        for (int m = 0; m < MODEL_COUNT; m++) {
            int p = PRIMES[i][0], n = p - 1, element[16];
            char product[128], group[128];
            measured found, expected;
            for (int k = 0, power = 1; k < n; k++, power = power * PRIMES[i][1] % p)
                element[power - 1] = k;
            snprintf(product, sizeof product,
                     "task: expression\nexpression: a*b\nnonzero: true\np: %d\ntrain_fraction: 1\n", p);
            snprintf(group, sizeof group, "task: group\ngroup: C%d\ntrain_fraction: 1\n", n);
            open_case(&found, product, MODELS[m]);
            open_case(&expected, group, MODELS[m]);
            assert_true(found.f.data->table->group);
            permute(&expected, &found, element, n);
            measure_case(&found);
            measure_case(&expected);
            assert_true(expect_equal_measures(&found, &expected) > 60);
            assert_int_equal(ts_measures_total(&found.f.params, found.f.data),
                             ts_measures_total(&expected.f.params, expected.f.data));
            close_case(&found);
            close_case(&expected);
        }
}

// The training pairs are those of the tokens, whatever numbers measures give them.
TEST(test_losses_do_not_depend_on_the_numbers) {
    measured m;
    open_case(&m, "task: expression\nexpression: a*b\nnonzero: true\np: 11\ntrain_fraction: 0.5\n", MODELS[0]);
    ts_symmetry *symmetry = m.f.data->symmetry;
    double loss[2];
    for (int i = 0; i < 2; i++) {
        loss[i] = support_measure_of(&m.f.params, m.f.data, m.f.initial, 0, "train_loss");
        if (i == 0)
            m.f.data->symmetry = NULL;
    }
    m.f.data->symmetry = symmetry;
    assert_close(loss[0], loss[1], 1e-12, 0);
    close_case(&m);
}

TEST(test_sums_of_powers_have_the_measures_of_power) {
    static const struct {
        const char *expression;
        int p, m, n;
    } SUMS[] = {{"a + b", 11, 1, 1}, {"a**2 + b**3", 11, 2, 3}, {"b**5 + a*a*a", 12, 3, 5}};
    for (size_t i = 0; i < sizeof SUMS / sizeof *SUMS; i++) {
        char expression[128], power[128];
        measured found, expected;
        snprintf(expression, sizeof expression, "task: expression\nexpression: %s\np: %d\n", SUMS[i].expression,
                 SUMS[i].p);
        snprintf(power, sizeof power, "task: power\np: %d\nm: %d\nn: %d\n", SUMS[i].p, SUMS[i].m, SUMS[i].n);
        open_case(&found, expression, MODELS[0]);
        open_case(&expected, power, MODELS[0]);
        measure_case(&found);
        measure_case(&expected);
        assert_true(expect_equal_measures(&found, &expected) > 60);
        assert_int_equal(found.f.data->symmetry->charts, 2);
        close_case(&found);
        close_case(&expected);
    }
}

TEST(test_other_tables_are_what_they_are) {
    static const struct {
        const char *expression, *more;
        int p, charts, circle; // 0: no symmetry; no circle
    } TABLES[] = {
        {"a - b", "", 7, 2, 7},
        {"3*a + b**2 + 1", "", 12, 2, 12},
        {"a/b", "nonzero: true\n", 13, 2, 12},      // a sum of logarithms
        {"5*a**2*b", "nonzero: true\n", 13, 2, 12}, // likewise
        {"a*b", "nonzero: true\n", 3, 1, 2},        // in order already
        {"a + b + 2*a*b", "", 4, 1, 0},             // C2 x C2: 1 + 2 (a + b + 2 a b) = (1 + 2 a) (1 + 2 b) mod 8
        {"a + b + 3*a*b", "", 9, 1, 9},             // cyclic, in another order
        {"a**2 + a*b + b**2", "", 7, 0, 0},
        {"a*b", "", 7, 0, 0},
        {"a + b", "nonzero: true\n", 7, 0, 0},
    };
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        ts_data *data = data_of(TABLES[i].expression, TABLES[i].p, TABLES[i].more);
        const ts_symmetry *symmetry = data->symmetry;
        int charts = symmetry ? symmetry->charts : 0, circle = symmetry ? symmetry->circle : 0;
        if (charts != TABLES[i].charts || circle != TABLES[i].circle)
            fail_msg("%s modulo %d: %d charts, %d places", TABLES[i].expression, TABLES[i].p, charts, circle);
        ts_data_free(data);
    }
}

// --- Losses of the pairs that are there ---

TEST(test_only_defined_pairs_count) {
    for (int m = 0; m < 2; m++) {
        support_instance f;
        char text[256];
        ts_network network;
        double loss[2] = {0}, right[2] = {0}, count[2] = {0}, mean[6] = {0}, h[7 * 16], z[7 * 7], hz[7 * 7];
        int pairs[49];
        int64_t train;
        snprintf(text, sizeof text, "task: expression\nexpression: a/b\np: 7\ntrain_fraction: 0.5\n%s", MODELS[m]);
        support_open(&f, text);
        ts_network_pairs(&f.params, f.data->table, pairs, &train);
        assert_int_equal(ts_network_open(&f.params, f.initial, &network), TS_OK);
        for (int i = 0; i < 42; i++) {
            int a = pairs[i] / 7, b = pairs[i] % 7, label = f.data->table->result[pairs[i]], best = 0;
            double sum = 0, share[7] = {0};
            network.row(network.weights, a, h, z, hz);
            for (int c = 0; c < 7; c++) {
                sum += exp(z[7 * b + c] - z[7 * b + label]);
                best = z[7 * b + c] > z[7 * b + best] ? c : best;
            }
            loss[i >= train] += log(sum);
            right[i >= train] += best == label;
            count[i >= train]++;
            share[b] = 1 / 42.0;
            if (network.attend)
                network.attend(network.weights, a, share, mean);
        }
        ts_network_close(&network);
        static const char *const NAMES[2][2] = {{"train_loss", "train_accuracy"}, {"test_loss", "test_accuracy"}};
        for (int part = 0; part < 2; part++) {
            const double expected[] = {loss[part] / count[part], right[part] / count[part]};
            for (int k = 0; k < 2; k++)
                assert_close(support_measure_of(&f.params, f.data, f.initial, 0, NAMES[part][k]), expected[k], 1e-12,
                             0);
        }
        assert_close(support_measure_of(&f.params, f.data, f.initial, 0, "all_loss"), (loss[0] + loss[1]) / 42, 1e-12,
                     0);
        if (m == 1) {
            double *out = ts_alloc((size_t)ts_measures_total(&f.params, f.data) * sizeof *out, "measures");
            ts_measures of = ts_measures_of(&f.params, f.data);
            assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 0, TS_MEASURE_BEFORE_LAST, NULL, out),
                             TS_OK);
            assert_true(ts_measures_find(&of, "attention"));
            for (int i = 0; i < 6; i++)
                assert_close(out[of.offset + i], mean[i], 1e-12, 0);
            ts_free(out);
        }
        support_close(&f);
    }
}

// --- All pairs are trained on ---

TEST(test_without_test_pairs_test_measures_are_not_known) {
    static const char *const UNKNOWN[] = {"test_loss", "test_accuracy"};
    static const char *const KNOWN[] = {"train_loss", "all_loss", "train_accuracy", "total_excluded_loss"};
    support_instance f;
    support_open(&f, "task: group\ngroup: C7\nmodel: mlp\nembed: 6\nhidden: 10\ntrain_fraction: 1\n");
    for (int i = 0; i < 2; i++)
        assert_true(isnan(support_measure_of(&f.params, f.data, f.initial, 0, UNKNOWN[i])));
    for (int i = 0; i < 4; i++)
        assert_true(isfinite(support_measure_of(&f.params, f.data, f.initial, 0, KNOWN[i])));
    support_close(&f);
}

// --- What is refused ---

static void expect_refused(const char *text, const char *error) {
    support_refused((ts_sweep_source){.file = "test.yaml", .text = text}, error);
}

TEST(test_what_cannot_be_is_refused) {
    expect_refused("task: expression\n", "key 'expression': is missing");
    expect_refused("task: expression\nexpression: a**2 + x\n",
                   "test.yaml:2: key 'expression': 'a**2 + x', column 8: 'x'");
    expect_refused("task: expression\nexpression: a/0\np: 7\n", "is defined for no pair modulo 7");
    expect_refused("task: expression\nexpression: a**(b - 1)\np: 7\n", "negative exponent at a = 0, b = 0");
    expect_refused("task: expression\nexpression: a**(2**53*a)\np: 7\n", "exponent above 2^53 at a = 2, b = 0");
    expect_refused("task: expression\nexpression: a + b\np: 1\n", "test.yaml:3: key 'p'");
    expect_refused("task: expression\nexpression: a + b\np: 1025\n", "test.yaml:3: key 'p'");
    expect_refused("task: expression\nexpression: a/b\np: 7\ntrain_fraction: 0.02\n", "0.02 of 42 pairs is none");
    expect_refused("task: expression\nexpression: a + b\nsplit: numpy\n", "'numpy' is not one of torch, python");
    expect_refused("task: expression\nexpression: a + b\nwhere: expression == 'a +'\n", "column 4: it ends");
    expect_refused("task: expression\nexpression: a*b\nm: 2\n", "'m'");
}

static void expect_untrainable(const char *text, const char *error) {
    support_refused((ts_sweep_source){.file = "test.yaml", .text = text, .trains = true}, error);
}

TEST(test_a_stop_that_could_never_come_is_refused) {
    expect_untrainable(
        "task: group\ngroup: C7\ntrain_fraction: 1\nstop: {test_loss: 1e-3}\n",
        "test.yaml:4: key 'stop': waits for a test loss, and with train_fraction: 1 no pair is left to test");
    expect_untrainable(
        "task: expression\nexpression: a/b\np: 7\ngrid: {train_fraction: [0.5, 1]}\nstop: {test_loss: 1e-3}\n",
        "test.yaml:5: key 'stop'");
    expect_untrainable("task: group\ngroup: C7\ntrain_fraction: 1\ngrid: {stop: [none, {test_loss: 1e-3}]}\n",
                       "key 'stop'");
    ts_sweep_free(support_sweep("task: group\ngroup: C7\ntrain_fraction: 1\nstop: none\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_hold_the_values),
        cmocka_unit_test(test_pairs_without_a_value_are_not_there),
        cmocka_unit_test(test_splits_are_of_the_pairs_that_are_there),
        cmocka_unit_test(test_pairs_are_a_column_and_usable_in_where),
        cmocka_unit_test(test_blanks_and_parentheses_do_not_matter),
        cmocka_unit_test(test_products_without_0_are_the_cyclic_group),
        cmocka_unit_test(test_losses_do_not_depend_on_the_numbers),
        cmocka_unit_test(test_sums_of_powers_have_the_measures_of_power),
        cmocka_unit_test(test_other_tables_are_what_they_are),
        cmocka_unit_test(test_only_defined_pairs_count),
        cmocka_unit_test(test_without_test_pairs_test_measures_are_not_known),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_a_stop_that_could_never_come_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
