// Definitions that are wrong are refused, with a message that names the node and its operation, and so is memory that
// there is not; nothing is read that is not there, and nothing stays behind.
#include "network/graph.h"

#include "support.h"
#include "support_graph.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

// Nodes that the faulty ones are made of: node numbers, in this order.
enum { TABLE, NARROW, ROW, LEFT, RIGHT, BOTH, WIDE, NODES };
enum { TOKENS = 3 };

static void begin(ts_graph *g) {
    ts_graph_begin(g, &(ts_parameter_layout){0}, TOKENS);
    support_parameter(g, TOKENS, 4);     // TABLE
    support_parameter(g, 2, 4);          // NARROW: fewer rows than tokens
    support_parameter(g, 1, 4);          // ROW
    ts_graph_lookup(g, TS_LEFT, TABLE);  // LEFT
    ts_graph_lookup(g, TS_RIGHT, TABLE); // RIGHT
    ts_graph_sum(g, LEFT, RIGHT);        // BOTH
    ts_graph_concatenate(g, BOTH, BOTH); // WIDE
    assert_int_equal(g->count, NODES);
}

static int tensor_missing(ts_graph *g) {
    return ts_graph_parameter(g, 3);
}

static int tensor_negative(ts_graph *g) {
    return ts_graph_parameter(g, -1);
}

static int rows_beyond(ts_graph *g) {
    return ts_graph_parameter_rows(g, 0, 1, TOKENS);
}

static int rows_negative(ts_graph *g) {
    return ts_graph_parameter_rows(g, 0, -1, 2);
}

static int rows_overflow(ts_graph *g) {
    return ts_graph_parameter_rows(g, 0, INT_MAX, INT_MAX);
}

static int rows_none(ts_graph *g) {
    return ts_graph_parameter_rows(g, 0, 1, 0);
}

static int input_of_pairs(ts_graph *g) {
    return ts_graph_input(g, 3);
}

static int lookup_of_few(ts_graph *g) {
    return ts_graph_lookup(g, TS_LEFT, NARROW);
}

static int lookup_of_pairs(ts_graph *g) {
    return ts_graph_lookup(g, TS_LEFT, BOTH);
}

static int lookup_by_pairs(ts_graph *g) {
    return ts_graph_lookup(g, TS_PAIR, TABLE);
}

static int lookup_by_nothing(ts_graph *g) {
    return ts_graph_lookup(g, TS_CONSTANT, TABLE);
}

static int product_too_deep(ts_graph *g) {
    return ts_graph_product(g, BOTH, TABLE);
}

static int product_transposed_too_wide(ts_graph *g) {
    return ts_graph_product_transposed(g, WIDE, TABLE);
}

static int product_by_no_constant(ts_graph *g) {
    return ts_graph_product_transposed(g, BOTH, LEFT);
}

static int product_of_nothing(ts_graph *g) {
    return ts_graph_product(g, 99, 99);
}

static int product_of_itself(ts_graph *g) {
    return ts_graph_product(g, NODES, NODES);
}

static int sum_of_widths(ts_graph *g) {
    return ts_graph_sum(g, BOTH, WIDE);
}

static int sum_with_table(ts_graph *g) {
    return ts_graph_sum(g, BOTH, TABLE);
}

static int sum_of_tables(ts_graph *g) {
    return ts_graph_sum(g, NARROW, TABLE);
}

static int sum_with_negative(ts_graph *g) {
    return ts_graph_sum(g, BOTH, -7);
}

static int concatenate_tables(ts_graph *g) {
    return ts_graph_concatenate(g, TABLE, NARROW);
}

static int slice_beyond(ts_graph *g) {
    return ts_graph_slice(g, BOTH, 2, 3);
}

static int slice_overflow(ts_graph *g) {
    return ts_graph_slice(g, BOTH, 1, INT_MAX);
}

static int slice_of_none(ts_graph *g) {
    return ts_graph_slice(g, BOTH, 0, 0);
}

static int activation_of_nothing(ts_graph *g) {
    return ts_graph_activation(g, TS_RELU, 50);
}

static int scale_by_many(ts_graph *g) {
    return ts_graph_scale(g, BOTH, ROW);
}

static int normalise_by_wide(ts_graph *g) {
    return ts_graph_normalise(g, BOTH, ROW, WIDE);
}

static int score_of_widths(ts_graph *g) {
    return ts_graph_score(g, 1, BOTH, WIDE);
}

static int attend_to_many_numbers(ts_graph *g) {
    return ts_graph_attend(g, 1, 2, (const int[]){LEFT, RIGHT});
}

static int attend_to_none(ts_graph *g) {
    return ts_graph_attend(g, 1, 0, NULL);
}

static int attend_to_four(ts_graph *g) {
    return ts_graph_attend(g, 1, 4, NULL);
}

static int mix_of_few(ts_graph *g) {
    int weights = ts_graph_slice(g, BOTH, 0, 2);
    return ts_graph_mix(g, weights, 3, (const int[]){BOTH, BOTH, BOTH});
}

static int mix_of_widths(ts_graph *g) {
    int weights = ts_graph_slice(g, BOTH, 0, 2);
    return ts_graph_mix(g, weights, 2, (const int[]){BOTH, WIDE});
}

static int mix_of_four(ts_graph *g) {
    return ts_graph_mix(g, BOTH, 4, NULL);
}

static int output_of_left(ts_graph *g) {
    (void)g;
    return LEFT;
}

static int output_of_nothing(ts_graph *g) {
    (void)g;
    return 77;
}

static const struct {
    int (*make)(ts_graph *g);
    const char *message; // part of it
} FAULTS[] = {
    {tensor_missing, "node 7 (parameter): there is a tensor"},
    {tensor_negative, "node 7 (parameter): there is a tensor"},
    {rows_beyond, "node 7 (parameter): there is a tensor with these rows"},
    {rows_negative, "node 7 (parameter): "},
    {rows_overflow, "node 7 (parameter): "},
    {rows_none, "node 7 (parameter): "},
    {input_of_pairs, "node 7 (input): "},
    {lookup_of_few, "node 7 (lookup): there are tokens, and a constant matrix has a row for each"},
    {lookup_of_pairs, "node 7 (lookup): there are tokens, and a constant"},
    {lookup_by_pairs, "node 7 (lookup): it is of left or of right tokens"},
    {lookup_by_nothing, "node 7 (lookup): it is of left or of right tokens"},
    {product_too_deep, "node 7 (product): x is as wide"},
    {product_transposed_too_wide, "node 7 (product): x is as wide"},
    {product_by_no_constant, "node 7 (product): "},
    {product_of_nothing, "node 7 (product): its inputs are earlier nodes"},
    {product_of_itself, "node 7 (product): its inputs are earlier nodes"},
    {sum_of_widths, "node 7 (sum): both are as wide"},
    {sum_with_table, "node 7 (sum): a constant of several rows"},
    {sum_of_tables, "node 7 (sum): a constant of several rows"},
    {sum_with_negative, "node 7 (sum): "},
    {concatenate_tables, "node 7 (concatenate): a constant of several rows"},
    {slice_beyond, "node 7 (slice): x has these columns"},
    {slice_overflow, "node 7 (slice): x has these columns"},
    {slice_of_none, "node 7 (slice): x has these columns"},
    {activation_of_nothing, "node 7 (activation): "},
    {scale_by_many, "node 7 (scale): a factor is one number"},
    {normalise_by_wide, "node 7 (normalise): gain and bias"},
    {score_of_widths, "node 7 (score): query and key"},
    {attend_to_many_numbers, "node 7 (attend): a score is one number"},
    {attend_to_none, "node 7 (attend): it has one to three sources"},
    {attend_to_four, "node 7 (attend): it has one to three sources"},
    {mix_of_few, "node 8 (mix): there is a weight for each value"},
    {mix_of_widths, "node 8 (mix): values are as wide"},
    {mix_of_four, "node 7 (mix): there is a weight"},
    {output_of_left, "node 3 (lookup): the output is computed, and not the same for all pairs"},
    {output_of_nothing, "node 77: there is no such node"},
};

// Calls every function with nodes there are and nodes there are not.
static void call_all(ts_graph *g) {
    for (int x = -2; x < NODES + 2; x++) {
        const int several[] = {x, -1, 99};
        ts_graph_parameter(g, x);
        ts_graph_parameter_rows(g, x, x, x);
        ts_graph_input(g, x);
        ts_graph_lookup(g, x, x);
        ts_graph_product(g, x, x);
        ts_graph_product_transposed(g, x, TABLE);
        ts_graph_sum(g, x, x);
        ts_graph_scaled_sum(g, BOTH, 2, x);
        ts_graph_concatenate(g, x, BOTH);
        ts_graph_slice(g, x, x, x);
        ts_graph_activation(g, TS_GELU, x);
        ts_graph_scale(g, x, x);
        ts_graph_normalise(g, x, x, x);
        ts_graph_score(g, 1, x, x);
        ts_graph_attend(g, 1, 3, several);
        ts_graph_mix(g, x, 3, several);
    }
}

TEST(test_a_faulty_definition_is_named_and_ends_it) {
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
        ts_graph g;
        char message[TS_MESSAGE_BYTES];
        begin(&g);
        int output = FAULTS[i].make(&g), count = g.count;
        bool at_once = g.status != TS_OK;
        if (at_once)
            call_all(&g);
        assert_int_equal(g.count, count);
        snprintf(message, sizeof message, "%s", at_once ? ts_message() : "");
        assert_int_equal(ts_graph_finish(&g, output), TS_ERROR_FATAL);
        if (at_once)
            assert_string_equal(ts_message(), message);
        if (!strstr(ts_message(), FAULTS[i].message) || !strstr(ts_message(), "network is defined wrongly"))
            fail_msg("fault %d: '%s' does not say '%s'", (int)i, ts_message(), FAULTS[i].message);
        ts_graph_free(&g);
    }
}

TEST(test_a_network_of_samples_has_one_input_and_no_tokens) {
    for (int fault = 0; fault < 4; fault++) {
        static const char *const MESSAGES[] = {"(input)", "(input)", "(lookup)", "(input): the output"};
        ts_graph g;
        ts_graph_begin(&g, &(ts_parameter_layout){0}, 0);
        int x = ts_graph_input(&g, fault == 1 ? 0 : 3), wide = support_parameter(&g, 3, 4);
        if (fault == 0)
            ts_graph_input(&g, 4);
        if (fault == 2)
            ts_graph_lookup(&g, TS_LEFT, wide);
        assert_int_equal(ts_graph_finish(&g, x), TS_ERROR_FATAL);
        if (!strstr(ts_message(), MESSAGES[fault]))
            fail_msg("fault %d: %s", fault, ts_message());
        ts_graph_free(&g);
    }
}

// Any calls whatever, with any numbers: what is not refused can be executed.
TEST(test_any_definition_is_refused_or_runs) {
    int ran = 0;
    for (uint64_t seed = 0; seed < 20000; seed++) {
        uint64_t random = seed;
        ts_graph g;
        begin(&g);
        for (int i = 0; i <= (int)(seed % 3) && g.status == TS_OK; i++) {
            int x = support_below(&random, g.count + 2) - 1, y = support_below(&random, g.count);
            int n = support_below(&random, 6) - 1, what = support_below(&random, TS_OPERATIONS);
            const int several[] = {x, y, y};
            what == TS_PARAMETER     ? ts_graph_parameter_rows(&g, n, x, y)
            : what == TS_INPUT       ? ts_graph_activation(&g, TS_SQUARE, x)
            : what == TS_LOOKUP      ? ts_graph_lookup(&g, n, x)
            : what == TS_PRODUCT     ? ts_graph_product_transposed(&g, x, y)
            : what == TS_SUM         ? ts_graph_sum(&g, x, y)
            : what == TS_CONCATENATE ? ts_graph_concatenate(&g, x, y)
            : what == TS_SLICE       ? ts_graph_slice(&g, x, n, y)
            : what == TS_ACTIVATION  ? ts_graph_product(&g, x, y)
            : what == TS_SCALE       ? ts_graph_scale(&g, x, y)
            : what == TS_NORMALISE   ? ts_graph_normalise(&g, x, y, y)
            : what == TS_SCORE       ? ts_graph_score(&g, 1, x, y)
            : what == TS_ATTEND      ? ts_graph_attend(&g, 1, n, several)
                                     : ts_graph_mix(&g, x, n, several);
        }
        int out = ts_graph_concatenate(&g, BOTH, g.count - 1);
        int read = g.status == TS_OK ? support_parameter(&g, g.node[out].width, TOKENS) : out;
        ts_status status = ts_graph_finish(&g, ts_graph_product(&g, out, read));
        support_problem p = {.graph = g};
        if (status == TS_OK) {
            ts_pass pass;
            support_problem_fill(&p, seed);
            assert_int_equal(ts_pass_create(&p.graph, p.rows, true, &pass), TS_OK);
            double *gradient = ts_alloc((size_t)p.graph.layout.total * sizeof *gradient, "a gradient");
            assert_true(isfinite(support_learn(&p, &pass, p.rows, gradient)));
            ts_free(gradient);
            ts_pass_free(&pass);
            ran++;
        }
        support_problem_close(&p);
    }
    print_message("%d of 20000 ran\n", ran);
    assert_true(ran > 1000);
}

// What differs in one thing alone is another node.
TEST(test_only_the_same_node_is_made_once) {
    ts_graph g;
    int made[2][20], count = 0;
    begin(&g);
    for (int again = 0; again < 2; again++) {
        int *to = made[again], square = ts_graph_product_transposed(&g, TABLE, TABLE), n = 0;
        int scores[] = {ts_graph_slice(&g, LEFT, 0, 1), ts_graph_slice(&g, LEFT, 1, 1)};
        const int turned[] = {scores[1], scores[0]};
        to[n++] = scores[0];
        to[n++] = scores[1];
        to[n++] = ts_graph_slice(&g, LEFT, 0, 2);
        to[n++] = ts_graph_slice(&g, RIGHT, 0, 1);
        to[n++] = ts_graph_parameter_rows(&g, 0, 0, 1);
        to[n++] = ts_graph_parameter_rows(&g, 0, 1, 1);
        to[n++] = ts_graph_parameter_rows(&g, 0, 0, 2);
        to[n++] = ts_graph_parameter_rows(&g, 1, 0, 1);
        to[n++] = ts_graph_product(&g, square, square);
        to[n++] = ts_graph_product_transposed(&g, square, square);
        to[n++] = ts_graph_sum(&g, LEFT, RIGHT);
        to[n++] = ts_graph_sum(&g, RIGHT, LEFT);
        to[n++] = ts_graph_scaled_sum(&g, LEFT, 0.5, RIGHT);
        to[n++] = ts_graph_activation(&g, TS_RELU, BOTH);
        to[n++] = ts_graph_activation(&g, TS_TANH, BOTH);
        to[n++] = ts_graph_attend(&g, 1, 2, scores);
        to[n++] = ts_graph_attend(&g, 0.5, 2, scores);
        to[n++] = ts_graph_attend(&g, 1, 2, turned);
        to[n++] = ts_graph_attend(&g, 1, 1, scores);
        count = n;
    }
    assert_int_equal(g.status, TS_OK);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            if ((made[0][i] == made[1][j]) != (i == j))
                fail_msg("definitions %d and %d became nodes %d and %d", i, j, made[0][i], made[1][j]);
    ts_graph_free(&g);
}

// --- Memory ---

static ts_status define_and_create(const ts_params *params, ts_graph *graph, ts_pass *pass) {
    ts_status status = ts_model_define(params, graph);
    return status == TS_OK ? ts_pass_create(graph, 4, true, pass) : status;
}

TEST(test_refused_memory_is_an_error_and_leaves_nothing) {
    static const char *const SWEEPS[] = {
        "task: tree\ndepth: 2\nhidden: 3\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 9\n",
        // More nodes than there is room for at first.
        "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 9\nd_head: 3\nd_mlp: 8\n",
    };
    for (int i = 0; i < 3; i++) {
        support_instance f;
        support_open(&f, SWEEPS[i]);
        ts_status status = TS_ERROR_MEMORY;
        int refused = 0;
        while (status != TS_OK && refused < 100) {
            ts_graph graph;
            ts_pass pass = {0};
            size_t before = support_in_use();
            ts_alloc_fail_at(++refused);
            status = define_and_create(&f.params, &graph, &pass);
            ts_alloc_fail_at(0);
            if (status != TS_OK && (status != TS_ERROR_MEMORY || !strstr(ts_message(), "out of memory")))
                fail_msg("without allocation %d: status %d, %s", refused, (int)status, ts_message());
            ts_pass_free(&pass);
            ts_graph_free(&graph);
            if (support_in_use() != before)
                fail_msg("without allocation %d: %zu bytes in use, before %zu", refused, support_in_use(), before);
        }
        assert_int_equal(refused,
                         i == 2 ? 8 : 4); // of the list and its hashes, each time that it grows, of the pass; then none
        support_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_faulty_definition_is_named_and_ends_it),
        cmocka_unit_test(test_a_network_of_samples_has_one_input_and_no_tokens),
        cmocka_unit_test(test_any_definition_is_refused_or_runs),
        cmocka_unit_test(test_only_the_same_node_is_made_once),
        cmocka_unit_test(test_refused_memory_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
