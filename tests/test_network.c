// A network executed in double precision has the values that kernels/operations.h says, the gradient of its loss - of
// every operation by itself, and in random networks - and the same bits in batches of any size. Rewritten it is the
// same network.
#include "network/graph.h"
#include "network/rewrite.h"
#include "support.h"
#include "support_graph.h"

#include <math.h>
#include <stdio.h>

// --- Values ---

// Every node for one pair or sample by itself, in long double: nothing is made once a token. Of constants, all rows.
typedef struct oracle {
    const support_problem *p;
    int row; // of the problem
    long double value[128][(SUPPORT_WIDEST + 1) * SUPPORT_WIDEST];
} oracle;

static const long double *input_row(const oracle *o, const ts_node *node, int j, int row) {
    const ts_node *in = &o->p->graph.node[node->input[j]];
    return o->value[node->input[j]] + (in->rows > 1 ? row * in->width : 0);
}

static long double activation_of(ts_activation activation, long double x) {
    const long double of[TS_ACTIVATIONS] = {
        [TS_IDENTITY] = x,     [TS_RELU] = x > 0 ? x : 0, [TS_SQUARE] = x * x,
        [TS_CUBE] = x * x * x, [TS_ABSOLUTE] = fabsl(x),  [TS_GELU] = x * erfcl(-x / sqrtl(2)) / 2,
        [TS_TANH] = tanhl(x),
    };
    return of[activation];
}

static long double normalised(const long double *x, int width, int i) {
    long double mean = 0, variance = 0;
    for (int k = 0; k < width; k++)
        mean += x[k] / width;
    for (int k = 0; k < width; k++)
        variance += (x[k] - mean) * (x[k] - mean) / width;
    return (x[i] - mean) / sqrtl(variance + 1e-5);
}

// Number i of a node's row, from those of its inputs.
static long double number(const oracle *o, const ts_node *node, int row, int i) {
    const support_problem *p = o->p;
    const long double *in[TS_MOST_INPUTS] = {0};
    const ts_node *first = &p->graph.node[node->input[0]], *matrix = &p->graph.node[node->input[1]];
    long double sum = 0;
    for (int j = 0; j < node->inputs; j++)
        in[j] = input_row(o, node, j, row);
    switch (node->operation) {
    case TS_PARAMETER:
        return p->parameters[p->graph.layout.tensor[node->tensor].offset + (node->first + row) * node->width + i];
    case TS_INPUT:
        return p->x[o->row * node->width + i];
    case TS_LOOKUP:
        return o->value[node->input[0]][(node->domain == TS_LEFT ? p->a : p->b)[o->row] * node->width + i];
    case TS_PRODUCT:
        for (int k = 0; k < first->width; k++)
            sum += in[0][k] * o->value[node->input[1]][node->transposed ? i * matrix->width + k : k * node->width + i];
        return sum;
    case TS_SUM:
        return in[0][i] + node->scale * in[1][i];
    case TS_CONCATENATE:
        return i < first->width ? in[0][i] : in[1][i - first->width];
    case TS_SLICE:
        return in[0][node->first + i];
    case TS_ACTIVATION:
        return activation_of(node->activation, in[0][i]);
    case TS_SCALE:
        return *in[1] * in[0][i];
    case TS_NORMALISE:
        return in[1][i] * normalised(in[0], node->width, i) + in[2][i];
    case TS_SCORE:
        for (int k = 0; k < first->width; k++)
            sum += node->scale * in[0][k] * in[1][k];
        return sum;
    case TS_ATTEND:
        for (int j = 0; j < node->inputs; j++)
            sum += expl(*in[j] - *in[i]);
        return node->scale / sum + 1 - node->scale;
    default: // TS_MIX
        for (int j = 0; j + 1 < node->inputs; j++)
            sum += in[0][j] * in[1 + j][i];
        return sum;
    }
}

// Each node's row that the problem's row is made of. Nodes come after their inputs.
static void compare_with_oracle(oracle *o, const ts_pass *pass, const char *name) {
    const ts_graph *g = &o->p->graph;
    for (int n = 0; n < g->count; n++) {
        const ts_node *node = &g->node[n];
        int at = node->domain == TS_PAIR    ? o->row
                 : node->domain == TS_LEFT  ? o->p->a[o->row]
                 : node->domain == TS_RIGHT ? o->p->b[o->row]
                                            : 0;
        long double largest = 1;
        assert_true(n < 128 && (size_t)(node->rows * node->width) <= sizeof o->value[0] / sizeof o->value[0][0]);
        for (int k = 0; k < node->rows * node->width; k++) {
            long double exact = o->value[n][k] = number(o, node, k / node->width, k % node->width);
            double found = pass->uses[n] ? pass->value[n][at * node->width + k] : 0; // 0: left out
            largest = fmaxl(largest, fabsl(exact));
            if (pass->uses[n] && !(fabsl(found - exact) <= 1e-11L * largest))
                fail_msg("%s: row %d, node %d (operation %d), number %d: %.17g, exactly %.17Lg", name, o->row, n,
                         node->operation, k, found, exact);
        }
    }
}

// After a forward pass over all rows at once.
static void compare_values(const support_problem *p, const ts_pass *pass, const char *name) {
    oracle o = {.p = p};
    for (; o.row < p->rows; o.row++)
        compare_with_oracle(&o, pass, name);
}

// --- Gradients ---

// A digest of the sides on which kinks were met: the arguments of relu and abs, and logits under stablemax, whose slope
// has a kink.
static uint64_t sides(const support_problem *p, const ts_pass *pass) {
    const ts_graph *g = &p->graph;
    uint64_t digest = 0;
    for (int i = 0; i < g->count; i++) {
        const ts_node *node = &g->node[i];
        bool kink =
            node->operation == TS_ACTIVATION && (node->activation == TS_RELU || node->activation == TS_ABSOLUTE);
        bool logits = i == g->output && g->tokens && p->loss == TS_STABLEMAX;
        int at = kink ? node->input[0] : i, numbers = ts_graph_rows(g, &g->node[at], p->rows) * g->node[at].width;
        for (int k = 0; (kink || logits) && k < numbers; k++)
            digest = digest * 0x100000001B3u + (pass->value[at][k] > 0) + 2 * (uint64_t)(pass->value[at][k] < 0);
    }
    return digest;
}

typedef struct differences {
    int compared, left_out; // parameters; left out: a kink is too near
    int moving;             // of those compared: gradients that are not 0
    double worst;           // error, relative to what is allowed
} differences;

// The fourth-order difference of a loss by parameter i. False: there is a kink within the steps.
static bool difference(const support_problem *p, ts_pass *pass, int64_t i, uint64_t side, double *slope) {
    static const double STEP = 0x1p-14, WEIGHT[] = {1, -8, 8, -1}, PLACE[] = {-2, -1, 1, 2};
    double kept = p->parameters[i];
    bool smooth = true;
    *slope = 0;
    for (int k = 0; k < 4; k++) {
        p->parameters[i] = kept + PLACE[k] * STEP;
        *slope += WEIGHT[k] * support_learn(p, pass, p->rows, NULL) / (12 * STEP);
        smooth = smooth && sides(p, pass) == side;
    }
    p->parameters[i] = kept;
    return smooth;
}

// Values, and the gradient.
static void compare_network(const support_problem *p, const char *name, differences *total) {
    ts_pass back, pass, joined;
    double *gradient = ts_alloc((size_t)p->graph.layout.total * sizeof *gradient, "a gradient"), largest = 0, expected;
    assert_int_equal(ts_pass_create(&p->graph, p->rows, true, &back), TS_OK);
    assert_int_equal(ts_pass_create(&p->graph, p->rows, false, &pass), TS_OK);
    double loss = support_learn(p, &back, p->rows, gradient);
    assert_true(isfinite(loss) && loss == support_learn(p, &pass, p->rows, NULL));
    compare_values(p, &pass, name);
    assert_int_equal(ts_pass_create(&p->graph, p->rows, false, &joined), TS_OK);
    ts_pass_join_terms(&joined);
    assert_true(loss == support_learn(p, &joined, p->rows, NULL));
    ts_pass_free(&joined);
    uint64_t side = sides(p, &pass);
    for (int64_t i = 0; i < p->graph.layout.total; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (int64_t i = 0; i < p->graph.layout.total; i++) {
        if (!difference(p, &pass, i, side, &expected)) {
            total->left_out++;
            continue;
        }
        double error = fabs(gradient[i] - expected) / (1e-7 * fabs(expected) + 1e-10 * (largest + loss));
        if (!(error <= 1))
            fail_msg("%s: parameter %d of %d: gradient %.15g, differences %.15g", name, (int)i,
                     (int)p->graph.layout.total, gradient[i], expected);
        total->compared++;
        total->moving += gradient[i] != 0;
        total->worst = fmax(total->worst, error);
    }
    ts_pass_free(&back);
    ts_pass_free(&pass);
    ts_free(gradient);
}

// Nearly all were compared, and most of that was of something.
static void expect_differences(const differences *total) {
    print_message("%d parameters, %d with a gradient, error %.2g of what is allowed; %d left out\n", total->compared,
                  total->moving, total->worst, total->left_out);
    assert_true(total->left_out <= total->compared / 100 && total->moving >= total->compared / 2);
}

// Which operations and activations a network has.
typedef struct content {
    int operation[TS_OPERATIONS], activation[TS_ACTIVATIONS];
} content;

static void count_content(const ts_graph *g, content *total) {
    content own = {0};
    for (int i = 0; i < g->count; i++) {
        own.operation[g->node[i].operation] = 1;
        if (g->node[i].operation == TS_ACTIVATION)
            own.activation[g->node[i].activation] = 1;
    }
    for (int i = 0; i < TS_OPERATIONS; i++)
        total->operation[i] += own.operation[i];
    for (int i = 0; i < TS_ACTIVATIONS; i++)
        total->activation[i] += own.activation[i];
}

static void expect_counts(const char *what, const int *count, int kinds, int least) {
    char text[256] = "";
    for (int i = 0, at = 0; i < kinds; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " %d", count[i]);
    print_message("networks with each %s:%s\n", what, text);
    for (int i = 0; i < kinds; i++)
        if (count[i] < least)
            fail_msg("%s %d is in %d networks, not %d", what, i, count[i], least);
}

static void expect_content(const content *c, int least) {
    expect_counts("operation", c->operation, TS_OPERATIONS, least);
    expect_counts("activation", c->activation, TS_ACTIVATIONS, least);
}

// --- Operation by operation ---

enum { TOKENS = 4, WIDTH = 3 };

static int left(ts_graph *g, int width) {
    return ts_graph_lookup(g, TS_LEFT, support_parameter(g, TOKENS, width));
}

static int right(ts_graph *g, int width) {
    return ts_graph_lookup(g, TS_RIGHT, support_parameter(g, TOKENS, width));
}

static int pair(ts_graph *g, int width) {
    int x = left(g, width);
    return ts_graph_sum(g, x, right(g, width));
}

static int constant(ts_graph *g, int width) {
    return support_parameter(g, 1, width);
}

static int of_parameters(ts_graph *g, int which) {
    int tensor = support_tensor(g, TOKENS + 3, WIDTH), view = ts_graph_parameter_rows(g, tensor, 2, TOKENS);
    switch (which) {
    case 0: // both sides look up the same view; a row of it is used by itself
        return ts_graph_sum(g, ts_graph_sum(g, ts_graph_lookup(g, TS_LEFT, view), ts_graph_lookup(g, TS_RIGHT, view)),
                            ts_graph_parameter_rows(g, tensor, 3, 1));
    case 1: // views that overlap
        return ts_graph_sum(g, ts_graph_lookup(g, TS_LEFT, view),
                            ts_graph_lookup(g, TS_RIGHT, ts_graph_parameter(g, tensor)));
    case 2: { // a computed table, looked up and multiplied by
        int table = ts_graph_product(g, view, support_parameter(g, WIDTH, TOKENS));
        int x = ts_graph_product(g, ts_graph_lookup(g, TS_LEFT, table), table);
        return ts_graph_sum(g, x, ts_graph_product(g, ts_graph_lookup(g, TS_RIGHT, table), table));
    }
    case 3: { // a table of sums and activations, row by row
        int sum = ts_graph_sum(g, ts_graph_activation(g, TS_TANH, view), support_parameter(g, TOKENS, WIDTH));
        int part = ts_graph_slice(g, ts_graph_concatenate(g, sum, view), 2, WIDTH);
        return ts_graph_sum(g, ts_graph_lookup(g, TS_LEFT, sum), ts_graph_lookup(g, TS_RIGHT, part));
    }
    default: { // a matrix times itself: square, and by its transpose
        int m = support_parameter(g, WIDTH, WIDTH), square = ts_graph_product(g, m, m);
        return ts_graph_product_transposed(g, ts_graph_product(g, pair(g, WIDTH), square),
                                           ts_graph_product_transposed(g, m, m));
    }
    }
}

static int of_products(ts_graph *g, int which) {
    int x = which % 3 == 0 ? constant(g, WIDTH) : which % 3 == 1 ? left(g, WIDTH) : pair(g, WIDTH);
    int y = which < 3 ? ts_graph_product(g, x, support_parameter(g, WIDTH, 5))
                      : ts_graph_product_transposed(g, x, support_parameter(g, 5, WIDTH));
    return ts_graph_sum(g, y, pair(g, 5));
}

// What of the domains of two inputs: broadcast of either to the other, or of both.
static int of_domains(ts_graph *g, int which) {
    static int (*const MAKE[])(ts_graph *, int) = {constant, left, right, pair};
    int x = MAKE[which % 4](g, WIDTH), y = MAKE[which / 4](g, WIDTH);
    return ts_graph_sum(g, ts_graph_scaled_sum(g, x, -0.375, y), pair(g, WIDTH));
}

static int of_columns(ts_graph *g, int which) {
    int x = which % 2 ? left(g, 4) : pair(g, 4), y = which / 2 ? constant(g, 2) : right(g, 2);
    int both = ts_graph_concatenate(g, x, ts_graph_concatenate(g, y, x));
    return ts_graph_sum(g, ts_graph_slice(g, both, 1, 5), ts_graph_slice(g, both, 4, 5));
}

static int of_activations(ts_graph *g, int which) {
    return ts_graph_activation(g, (ts_activation)which, pair(g, 6));
}

static int of_scales(ts_graph *g, int which) {
    static int (*const MAKE[])(ts_graph *, int) = {constant, left, right, pair};
    int x = pair(g, WIDTH), s = MAKE[which % 4](g, 1);
    return ts_graph_concatenate(g, x, ts_graph_scale(g, which < 4 ? x : s, s));
}

static int of_normalising(ts_graph *g, int which) {
    int width = which == 2 ? 1 : 5, x = which == 1 ? left(g, width) : pair(g, width);
    int gain = which == 3 ? pair(g, width) : constant(g, width);
    int y = ts_graph_normalise(g, x, gain, which == 4 ? gain : constant(g, width));
    return which == 4 ? ts_graph_normalise(g, y, y, x) : ts_graph_sum(g, y, right(g, width));
}

static int of_scores(ts_graph *g, int which) {
    int q = which == 0 ? constant(g, WIDTH) : which == 1 ? left(g, WIDTH) : pair(g, WIDTH);
    return ts_graph_score(g, 0.625, q, which == 3 ? q : pair(g, WIDTH));
}

// Sources 1 to 3, rates 0, 1/2, 1; then scores and values that are the same node, or of every domain.
static int of_attention(ts_graph *g, int which) {
    int sources = 1 + which % 3, halves = which >= 9 ? 2 : which / 3, score[TS_MOST_SOURCES], value[TS_MOST_SOURCES];
    for (int j = 0; j < TS_MOST_SOURCES; j++) {
        score[j] = j == 0 ? left(g, 1) : j == 1 ? right(g, 1) : constant(g, 1);
        value[j] = j == 0 ? left(g, WIDTH) : j == 1 ? pair(g, WIDTH) : constant(g, WIDTH);
    }
    if (which >= 9)
        score[1] = score[0], value[1] = value[0];
    int weights = ts_graph_attend(g, 0.5 * halves, sources, score);
    int out = ts_graph_sum(g, ts_graph_mix(g, weights, sources, value), pair(g, WIDTH));
    if (which < 9)
        return out;
    const int self[] = {weights, weights, weights}; // weights are their own values
    return ts_graph_concatenate(g, out, ts_graph_mix(g, weights, sources, self));
}

static const struct {
    const char *name;
    int (*make)(ts_graph *, int which);
    int count;
} OPERATIONS[] = {
    {"parameters", of_parameters, 5},   {"products", of_products, 6},       {"domains", of_domains, 16},
    {"columns", of_columns, 4},         {"activations", of_activations, 7}, {"scales", of_scales, 8},
    {"normalising", of_normalising, 5}, {"scores", of_scores, 4},           {"attention", of_attention, 12},
};

// In squares, which hide nothing of an output, then read out into logits.
static void compare_operation(const char *name, int (*make)(ts_graph *, int), int which, int loss, content *have,
                              differences *total) {
    support_problem p = {0};
    char full[64];
    snprintf(full, sizeof full, "%s %d, loss %d", name, which, loss);
    ts_graph_begin(&p.graph, &(ts_parameter_layout){0}, TOKENS);
    int x = make(&p.graph, which);
    if (p.graph.node[x].domain != TS_PAIR)
        x = ts_graph_sum(&p.graph, x, pair(&p.graph, p.graph.node[x].width));
    int read = support_parameter(&p.graph, p.graph.node[x].width, TOKENS);
    if (ts_graph_finish(&p.graph, ts_graph_product(&p.graph, x, read)) != TS_OK)
        fail_msg("%s: %s", full, ts_message());
    support_problem_fill(&p, (uint64_t)which);
    p.loss = (ts_loss)loss;
    compare_network(&p, full, total);
    count_content(&p.graph, have);
    support_problem_close(&p);
}

TEST(test_each_operation_has_its_value_and_gradient) {
    content have = {0};
    differences total = {0};
    assert_int_equal(TS_ACTIVATIONS, 7);
    for (size_t i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++)
        for (int which = 0; which < OPERATIONS[i].count; which++)
            for (int loss = 0; loss < TS_LOSSES; loss++)
                compare_operation(OPERATIONS[i].name, OPERATIONS[i].make, which, loss, &have, &total);
    have.operation[TS_INPUT]++; // has no gradient; random networks have it
    expect_content(&have, 1);
    expect_differences(&total);
}

// --- Random networks ---

enum { NETWORKS = 500, LEAST = 50 };

TEST(test_random_networks_have_their_values_and_gradient) {
    content have = {0};
    differences total = {0};
    for (uint64_t seed = 0; seed < NETWORKS; seed++) {
        support_problem p;
        char name[32];
        support_problem_open(&p, seed);
        snprintf(name, sizeof name, "network %d", (int)seed);
        compare_network(&p, name, &total);
        count_content(&p.graph, &have);
        support_problem_close(&p);
    }
    expect_content(&have, LEAST);
    expect_differences(&total);
}

TEST(test_batches_of_any_size_have_the_same_bits) {
    for (uint64_t seed = 0; seed < NETWORKS; seed++) {
        support_problem p;
        ts_pass pass;
        support_problem_open(&p, seed);
        size_t bytes = (size_t)p.graph.layout.total * sizeof(double);
        double *all = ts_alloc(bytes, "a gradient"), *gradient = ts_alloc(bytes, "a gradient");
        assert_int_equal(ts_pass_create(&p.graph, p.rows, true, &pass), TS_OK);
        double loss = support_learn(&p, &pass, p.rows, all);
        for (int batch = 1; batch <= 2; batch++) {
            double own = support_learn(&p, &pass, batch, gradient);
            if (own != loss)
                fail_msg("network %d: loss %.17g, in batches of %d %.17g", (int)seed, loss, batch, own);
            for (int64_t i = 0; i < p.graph.layout.total; i++)
                if (all[i] != gradient[i] || signbit(all[i]) != signbit(gradient[i]))
                    fail_msg("network %d, parameter %d: gradient %.17g, in batches of %d %.17g", (int)seed, (int)i,
                             all[i], batch, gradient[i]);
        }
        ts_pass_free(&pass);
        ts_free(all);
        ts_free(gradient);
        support_problem_close(&p);
    }
}

// For so many pairs; returns whether it was changed.
static bool compare_rewritten(const support_problem *p, double pairs, const char *name) {
    support_problem rewritten = *p; // of the same weights
    ts_pass pass[2];
    size_t count = (size_t)p->graph.layout.total;
    double *gradient = ts_alloc(2 * count * sizeof *gradient, "gradients"), largest = 0;
    if (ts_graph_rewrite(&p->graph, pairs, &rewritten.graph) != TS_OK)
        fail_msg("%s: %s", name, ts_message());
    assert_int_equal(ts_pass_create(&p->graph, p->rows, true, &pass[0]), TS_OK);
    assert_int_equal(ts_pass_create(&rewritten.graph, p->rows, true, &pass[1]), TS_OK);
    double loss = support_learn(p, &pass[0], p->rows, gradient);
    assert_close(support_learn(&rewritten, &pass[1], p->rows, gradient + count), loss, 1e-11, 1e-13);
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs(gradient[count + i] - gradient[i]) <= 1e-11 * largest + 1e-13))
            fail_msg("%s, parameter %d: gradient %.17g, rewritten for %g pairs %.17g", name, (int)i, gradient[i], pairs,
                     gradient[count + i]);
    bool changed = rewritten.graph.count != p->graph.count;
    ts_pass_free(&pass[0]);
    ts_pass_free(&pass[1]);
    ts_graph_free(&rewritten.graph);
    ts_free(gradient);
    return changed;
}

TEST(test_a_rewritten_network_is_the_same) {
    int changed = 0;
    for (uint64_t seed = 0; seed < NETWORKS; seed++)
        for (double pairs = 1; pairs <= 1e4; pairs *= 100) {
            support_problem p;
            char name[32];
            support_problem_open(&p, seed);
            snprintf(name, sizeof name, "network %d", (int)seed);
            changed += compare_rewritten(&p, pairs, name);
            support_problem_close(&p);
        }
    print_message("%d of %d were changed\n", changed, 3 * NETWORKS);
    assert_true(changed > NETWORKS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_operation_has_its_value_and_gradient),
        cmocka_unit_test(test_random_networks_have_their_values_and_gradient),
        cmocka_unit_test(test_batches_of_any_size_have_the_same_bits),
        cmocka_unit_test(test_a_rewritten_network_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
