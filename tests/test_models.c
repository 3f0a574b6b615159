// What models promise by themselves: initial weights, definitions that compute the formulas of docs/workloads.md,
// measures of networks that are known by hand, and none of weights that are not finite.
#define _POSIX_C_SOURCE 200809L
#include "measure/curves.h"
#include "model/network.h"
#include "network/pass.h"
#include "network/rewrite.h"
#include "support_engine.h"

TEST(test_initial_weights_have_the_published_deviation) {
    static const struct {
        const char *text;
        double deviation;
    } known[] = {
        // sqrt(2 / (hidden features + instances features)) with features = 126
        {"task: tree\ndepth: 6\nhidden: 40\ninstances: 5\n", 0.018781},
        {"task: tree\ndepth: 6\nhidden: 40\ninit: xavier_per_instance\n", 0.109764},
    };
    for (int i = 0; i < 2; i++) {
        support_instance f;
        support_open(&f, known[i].text);
        double sum = 0;
        int64_t n = f.parameters - 126;
        for (int64_t p = 0; p < n; p++)
            sum += (double)f.initial[p] * f.initial[p] / (double)n;
        assert_close(sqrt(sum), known[i].deviation, 0.03, 0);
        for (int64_t p = n; p < f.parameters; p++)
            assert_true(f.initial[p] == 0);
        support_close(&f);
    }
}

// --- The formulas of docs/workloads.md, written out, number by number ---

// A model's weights in double precision.
typedef struct formula {
    const ts_parameter_layout *layout;
    const double *weights;
    int outputs;
} formula;

// Number [i, j, k] of a tensor, where it has fewer dimensions [j, k] or [k].
static double number(const formula *f, const char *name, int64_t i, int64_t j, int64_t k) {
    for (int t = 0; t < f->layout->count; t++) {
        const ts_tensor *of = &f->layout->tensor[t];
        int64_t rows = of->rank > 1 ? of->size[of->rank - 2] : 1, columns = of->size[of->rank - 1];
        if (strcmp(of->name, name) == 0)
            return f->weights[of->offset + (i * rows + j) * columns + k];
    }
    fail_msg("no tensor %s", name);
    return 0;
}

static int width_of(const formula *f, const char *name, int dimension) {
    for (int t = 0; t < f->layout->count; t++)
        if (strcmp(f->layout->tensor[t].name, name) == 0)
            return (int)f->layout->tensor[t].size[dimension];
    fail_msg("no tensor %s", name);
    return 0;
}

// h = relu([W_x[a], W_y[b]] W), logits = h W_U
static void mlp_formula(const formula *f, int a, int b, double *logits) {
    int embed = width_of(f, "W_x", 1), hidden = width_of(f, "W", 1);
    for (int c = 0; c < f->outputs; c++)
        logits[c] = 0;
    for (int i = 0; i < hidden; i++) {
        double h = 0;
        for (int e = 0; e < 2 * embed; e++)
            h += (e < embed ? number(f, "W_x", 0, a, e) : number(f, "W_y", 0, b, e - embed)) * number(f, "W", 0, e, i);
        for (int c = 0; c < f->outputs && h > 0; c++)
            logits[c] += h * number(f, "W_U", 0, i, c);
    }
}

enum { MOST_WIDTH = 64 };

// What head h reads at the last position from x (3, d), added to r (d).
static void head_formula(const formula *f, int h, double x[3][MOST_WIDTH], double *r) {
    int d = width_of(f, "W_E", 1), k = width_of(f, "W_Q", 2);
    double score[3] = {0}, weight[3], total = 0;
    for (int j = 0; j < 3; j++)
        for (int e = 0; e < k; e++) {
            double query = 0, key = 0;
            for (int i = 0; i < d; i++) {
                query += x[2][i] * number(f, "W_Q", h, i, e);
                key += x[j][i] * number(f, "W_K", h, i, e);
            }
            score[j] += query * key / sqrt(k);
        }
    for (int j = 0; j < 3; j++)
        total += weight[j] = exp(score[j]);
    for (int j = 0; j < 3; j++)
        for (int e = 0; e < k; e++) {
            double value = 0;
            for (int i = 0; i < d; i++)
                value += x[j][i] * number(f, "W_V", h, i, e);
            for (int i = 0; i < d; i++)
                r[i] += weight[j] / total * value * number(f, "W_O", h, e, i);
        }
}

// r = x_2 + heads, H = relu(r W_in), logits = (r + H W_out) W_U
static void transformer_formula(const formula *f, int a, int b, double *logits) {
    int d = width_of(f, "W_E", 1), neurons = width_of(f, "W_in", 1), token[3] = {a, b, f->outputs};
    double x[3][MOST_WIDTH], r[MOST_WIDTH], stream[MOST_WIDTH];
    assert_true(d <= MOST_WIDTH);
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < d; i++)
            x[j][i] = number(f, "W_E", 0, token[j], i) + number(f, "W_pos", 0, j, i);
    memcpy(r, x[2], sizeof r);
    for (int h = 0; h < width_of(f, "W_Q", 0); h++)
        head_formula(f, h, x, r);
    memcpy(stream, r, sizeof stream);
    for (int m = 0; m < neurons; m++) {
        double h = 0;
        for (int i = 0; i < d; i++)
            h += r[i] * number(f, "W_in", 0, i, m);
        for (int i = 0; i < d && h > 0; i++)
            stream[i] += h * number(f, "W_out", 0, m, i);
    }
    for (int c = 0; c < f->outputs; c++) {
        logits[c] = 0;
        for (int i = 0; i < d; i++)
            logits[c] += stream[i] * number(f, "W_U", 0, i, c);
    }
}

// x_hat = relu(W^T W x + b)
static void autoencoder_formula(const formula *f, const double *x, double *x_hat) {
    for (int i = 0; i < f->outputs; i++) {
        double z = number(f, "b", 0, 0, i);
        for (int k = 0; k < width_of(f, "W", 0); k++)
            for (int j = 0; j < f->outputs; j++)
                z += number(f, "W", 0, k, i) * number(f, "W", 0, k, j) * x[j];
        x_hat[i] = z > 0 ? z : 0;
    }
}

// Rows of a batch by a model's definition and by its formula: 1e-13 of the largest number of a row.
static void compare_with_formula(const support_instance *instance, const double *weights, const char *sweep) {
    enum { ROWS = 36 };
    ts_graph graph;
    ts_pass pass;
    assert_int_equal(ts_model_define(&instance->params, &graph), TS_OK);
    assert_int_equal(ts_pass_create(&graph, ROWS, false, &pass), TS_OK);
    int n = graph.tokens, width = graph.node[graph.output].width, count = n && n * n < ROWS ? n * n : ROWS, on = 0;
    formula f = {&instance->layout, weights, width};
    double expected[MOST_WIDTH], x[ROWS * MOST_WIDTH];
    int a[ROWS], b[ROWS];
    assert_true(width <= MOST_WIDTH);
    for (int r = 0; n && r < count; r++) {
        a[r] = r / n;
        b[r] = r % n;
    }
    for (int i = 0; i < ROWS * width; i++)
        x[i] = sin(i * i);
    for (int i = 0; i < graph.count; i++)
        if (graph.node[i].operation == TS_INPUT)
            memcpy(pass.made[i], x, (size_t)(count * width) * sizeof *x);
    ts_pass_tables(&pass, weights);
    ts_pass_batch(&pass, count, n ? a : NULL, n ? b : NULL);
    for (int r = 0; r < count; r++) {
        const double *out = pass.value[graph.output] + (size_t)r * (size_t)width;
        double largest = 0;
        if (!n)
            autoencoder_formula(&f, x + (size_t)r * (size_t)width, expected);
        else if (strcmp(instance->params.schema->model->name, "mlp") == 0)
            mlp_formula(&f, a[r], b[r], expected);
        else
            transformer_formula(&f, a[r], b[r], expected);
        for (int c = 0; c < width; c++)
            largest = fmax(largest, fabs(expected[c]));
        for (int c = 0; c < width; c++)
            if (!(fabs(out[c] - expected[c]) <= 1e-13 * largest))
                fail_msg("row %d, output %d: %.17g, by the formula %.17g, for: %s", r, c, out[c], expected[c], sweep);
        on += largest > 0;
    }
    assert_true(on > count / 2);
    ts_pass_free(&pass);
    ts_graph_free(&graph);
}

TEST(test_a_definition_computes_the_published_formulas) {
    for (int which = 0; which < SUPPORT_SHORTS; which++)
        for (int larger = 1; larger <= 4; larger += 3) {
            support_instance f;
            support_open(&f, SUPPORT_SHORT[which]);
            double *weights = ts_alloc((size_t)f.parameters * sizeof *weights, "weights");
            for (int64_t p = 0; p < f.parameters; p++)
                weights[p] = larger * (double)f.initial[p] + 0.05 * sin((double)p);
            compare_with_formula(&f, weights, SUPPORT_SHORT[which]);
            ts_free(weights);
            support_close(&f);
        }
}

// --- Measures ---

// W = identity on two features of a depth-1 tree reconstructs everything: every loss is 0, geometry is
// trivial.
TEST(test_measures_of_a_perfect_and_of_a_superposed_network) {
    support_instance f;
    support_open(&f, "task: tree\ndepth: 1\nhidden: 2\n");
    double out[5 + 3 * 2];
    const float perfect[] = {1, 0, 0, 1, 0, 0}, shared[] = {1, -1, 0, 0, 0, 0};
    assert_int_equal(ts_measure_weights(&f.params, f.data, perfect, 0, TS_MEASURE_LAST, NULL, out), TS_OK);
    for (int i = 0; i < 3; i++)
        assert_close(out[i], 0, 0, 0);
    assert_true(isnan(out[3]));    // no estimate of what is known
    assert_close(out[4], 0, 0, 0); // nor an error
    assert_close(out[5], 1, 0, 0); // norm
    assert_close(out[7], 0, 0, 0); // interference
    assert_close(out[9], 1, 0, 0); // dimensionality
    // Antipodal features in one dimension: the tree never has both, so relu hides the interference.
    assert_int_equal(ts_measure_weights(&f.params, f.data, shared, 0, TS_MEASURE_LAST, NULL, out), TS_OK);
    assert_close(out[1], 0, 0, 0);
    assert_close(out[7], 1, 0, 0);
    assert_close(out[9], 0.5, 0, 0);
    // Nothing reconstructed: the loss is the mean square of the input, (1/4 + 1/4) / 2.
    const float nothing[6] = {0};
    assert_int_equal(ts_measure_weights(&f.params, f.data, nothing, 0, TS_MEASURE_LAST, NULL, out), TS_OK);
    assert_close(out[1], 0.25, 0, 1e-15);
    support_close(&f);
}

TEST(test_weights_that_are_not_finite_have_no_measures) {
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        char text[512];
        support_instance f;
        snprintf(text, sizeof text, "%ssteps: 1\n", SUPPORT_SHORT[which]);
        support_open(&f, text);
        int64_t total = ts_measures_total(&f.params, f.data);
        double *out = ts_alloc((size_t)total * sizeof *out, "measures");
        for (int64_t p = 0; p < f.parameters; p += 1 + f.parameters / 100) {
            float kept = f.initial[p];
            f.initial[p] = VALUES[p % 3];
            assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 1, TS_MEASURE_LAST, NULL, out), TS_OK);
            ts_measures_conclude(&(ts_curves){.params = &f.params, .data = f.data, .last = out});
            for (int64_t i = 0; i < total; i++)
                if (!isnan(out[i]))
                    fail_msg("weight %d is %g: number %d is %g", (int)p, (double)f.initial[p], (int)i, out[i]);
            // In the forward pass itself: no kink hides a NaN.
            f.initial[p] = NAN;
            ts_network network;
            assert_int_equal(ts_network_open(&f.params, f.initial, &network), TS_OK);
            assert_int_equal(ts_measure_network(&f.params, f.data, &network, 1, TS_MEASURE_LAST, NULL, out), TS_OK);
            ts_network_close(&network);
            assert_true(isnan(out[0]));
            f.initial[p] = kept;
        }
        assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 1, TS_MEASURE_LAST, NULL, out), TS_OK);
        assert_true(isfinite(out[0]));
        ts_free(out);
        support_close(&f);
    }
}

// Measures read nodes in roles as the matrices that they should be.

static int define_without_roles(const ts_params *params, ts_graph *graph) {
    int output = ts_model_find("mlp")->define(params, graph);
    ts_graph_forget_roles(graph);
    return output;
}

static int define_narrow_hidden(const ts_params *params, ts_graph *graph) {
    int output = ts_model_find("mlp")->define(params, graph);
    ts_graph_set_role(graph, TS_HIDDEN, ts_graph_slice(graph, graph->role[TS_HIDDEN], 0, 8));
    return output;
}

static int define_embedding_of_pairs(const ts_params *params, ts_graph *graph) {
    int output = ts_model_find("mlp")->define(params, graph);
    ts_graph_set_role(graph, TS_EMBED_RIGHT, graph->role[TS_HIDDEN]);
    return output;
}

static int define_short_unembedding(const ts_params *params, ts_graph *graph) {
    int output = ts_model_find("mlp")->define(params, graph);
    ts_graph_set_role(graph, TS_UNEMBED, ts_graph_parameter_rows(graph, 3, 0, 8));
    return output;
}

TEST(test_a_role_of_another_shape_is_refused) {
    static const struct {
        int (*define)(const ts_params *, ts_graph *);
        const char *said;
    } known[] = {
        {define_without_roles, "its hidden layer is missing; it has 9 columns, and is of pairs"},
        {define_narrow_hidden, "its hidden layer is another matrix; it has 9 columns, and is of pairs"},
        {define_embedding_of_pairs, "its right embedding is another matrix; it has 9 columns, and is made of weights "
                                    "alone"},
        {define_short_unembedding, "its unembedding is another matrix; it has 6 columns, and is made of weights alone"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        support_instance f;
        support_open(&f, "task: group\ngroup: S3\nhidden: 9\nembed: 5\n");
        ts_model model = *f.params.schema->model;
        ts_schema schema = *f.params.schema;
        ts_network network;
        char expected[256];
        model.define = known[i].define;
        schema.model = &model;
        f.params.schema = &schema;
        snprintf(expected, sizeof expected, "the model mlp is defined wrongly: %s", known[i].said);
        assert_int_equal(ts_network_open(&f.params, f.initial, &network), TS_ERROR_FATAL);
        assert_string_equal(ts_message(), expected);
        ts_network_close(&network);
        support_close(&f);
    }
}

static void compare_costs(const char *text) {
    support_instance f;
    support_open(&f, text);
    ts_model model = *f.params.schema->model;
    ts_schema schema = *f.params.schema;
    ts_model_costs own, defined;
    assert_int_equal(ts_model_cost(&f.params, f.data, &own), TS_OK);
    assert_close(own.step_operations, model.step_operations(&f.params, f.data), 0, 0);
    assert_close(own.unit_bytes, model.unit_bytes(&f.params, f.data), 0, 0);
    model.step_operations = NULL;
    model.unit_bytes = NULL;
    schema.model = &model;
    f.params.schema = &schema;
    assert_int_equal(ts_model_cost(&f.params, f.data, &defined), TS_OK);
    if (!(defined.step_operations > 0.5 * own.step_operations && defined.step_operations < 4 * own.step_operations))
        fail_msg("%g operations, counted by hand %g, for: %s", defined.step_operations, own.step_operations, text);
    if (!(defined.unit_bytes > 0.5 * own.unit_bytes))
        fail_msg("%g bytes, counted by hand %g, for: %s", defined.unit_bytes, own.unit_bytes, text);
    support_close(&f);
}

// What a definition comes to is near what models say that was counted by hand; in small networks activations count.
TEST(test_costs_follow_from_the_definition) {
    for (int which = 0; which < SUPPORT_SHORTS; which++)
        compare_costs(SUPPORT_SHORT[which]);
    compare_costs("task: group\ngroup: C23\nembed: 64\nhidden: 100\n");
    compare_costs("task: group\ngroup: C23\nembed: 64\nhidden: 100\nembedding: shared\nbias: both\n");
    compare_costs("task: group\ngroup: C23\nhidden: 100\nembedding: one_hot\nactivation: square\n");
    compare_costs("task: group\ngroup: C23\nhidden: 100\nembedding: one_hot_separate\nbias: hidden\n");
}

static int define_hidden(const ts_params *params, ts_graph *graph) {
    ts_model_find("mlp")->define(params, graph);
    return graph->role[TS_HIDDEN];
}

TEST(test_an_output_of_another_width_is_refused) {
    support_instance f;
    support_open(&f, "task: group\ngroup: S3\nhidden: 9\nembed: 5\n");
    ts_model model = *f.params.schema->model;
    ts_schema schema = *f.params.schema;
    ts_graph graph;
    model.define = define_hidden;
    schema.model = &model;
    f.params.schema = &schema;
    assert_int_equal(ts_model_define(&f.params, &graph), TS_ERROR_FATAL);
    assert_string_equal(ts_message(), "the model mlp is defined wrongly: its output has 9 numbers, and the task 6");
    ts_graph_free(&graph);
    support_close(&f);
}

// One sum a head, as deep as there are heads; and the second time, when the result is at hand, the same graph.
TEST(test_networks_of_many_heads_are_rewritten) {
    static const int HEADS[] = {1, 31, 32, 33, 47, 48, 49, 50, 64, 65, 100, 128};
    for (size_t i = 0; i < sizeof HEADS / sizeof *HEADS; i++) {
        char text[160];
        support_instance f;
        ts_graph defined, first, second;
        snprintf(text, sizeof text,
                 "task: power\nmodel: transformer\np: 5\nd_model: 8\nheads: %d\nd_head: 2\nd_mlp: 8\n", HEADS[i]);
        support_open(&f, text);
        assert_int_equal(ts_model_define(&f.params, &defined), TS_OK);
        assert_int_equal(ts_graph_rewrite(&defined, 20, &first), TS_OK);
        assert_int_equal(ts_graph_rewrite(&defined, 20, &second), TS_OK);
        assert_int_equal(first.count, second.count);
        assert_int_equal(first.output, second.output);
        for (int n = 0; n < first.count; n++)
            assert_true(ts_node_same(&first.node[n], &second.node[n]));
        ts_graph_free(&defined);
        ts_graph_free(&first);
        ts_graph_free(&second);
        support_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_weights_have_the_published_deviation),
        cmocka_unit_test(test_a_definition_computes_the_published_formulas),
        cmocka_unit_test(test_measures_of_a_perfect_and_of_a_superposed_network),
        cmocka_unit_test(test_weights_that_are_not_finite_have_no_measures),
        cmocka_unit_test(test_a_role_of_another_shape_is_refused),
        cmocka_unit_test(test_costs_follow_from_the_definition),
        cmocka_unit_test(test_an_output_of_another_width_is_refused),
        cmocka_unit_test(test_networks_of_many_heads_are_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
