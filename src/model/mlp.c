// The model `mlp`: keys, layout, initial weights, definition.
#include "model/mlp.h"

#include "base/torch_random.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_HIDDEN = 4096 };

static const char *const EMBEDDINGS[] = {[TS_MLP_SEPARATE] = "separate",
                                         [TS_MLP_SHARED] = "shared",
                                         [TS_MLP_ONE_HOT] = "one_hot",
                                         [TS_MLP_ONE_HOT_SEPARATE] = "one_hot_separate",
                                         NULL};
enum { NO_BIAS, HIDDEN_BIAS, OUTPUT_BIAS, BOTH_BIASES };
static const char *const BIASES[] = {
    [NO_BIAS] = "none", [HIDDEN_BIAS] = "hidden", [OUTPUT_BIAS] = "output", [BOTH_BIASES] = "both", NULL};
static const char SINGLE_FREQUENCY[] = "single_frequency";
static const char *const INITS[] = {TS_INIT_NAMES, SINGLE_FREQUENCY, NULL};

static const ts_key KEYS[] = {
    {"embed", TS_INTEGER, "256", 1, 4096, NULL, true,
     "Width of each embedding; without one (embedding: one_hot, one_hot_separate) it does not matter"},
    {"hidden", TS_INTEGER, "128", 1, MOST_HIDDEN, NULL, true, "Hidden width"},
    {"embedding", TS_NAME, "separate", 0, 0, EMBEDDINGS, TS_LATER | TS_SHAPES | TS_DEFINES,
     "What stands for tokens: an embedding for each side (separate) or one (shared), before a product with W; or rows "
     "of one matrix (one_hot: f(U[a] + U[b])) or two (one_hot_separate: f(U[a] + V[b]))"},
    {"bias", TS_NAME, "none", NO_BIAS, BOTH_BIASES, BIASES, TS_LATER | TS_SHAPES | TS_DEFINES,
     "Where there is a bias, 0 at first: none (or false), in the hidden layer, at the output, or both (or true)"},
    TS_ACTIVATION_KEY,
    TS_INIT_KEYS(INITS),
    TS_NETWORK_KEYS,
    {0},
};

ts_mlp_shape ts_mlp_shape_of(const ts_params *params) {
    int n = ts_network_order(params);
    const char *bias = ts_params_name(params, "bias"), *embedding = ts_params_name(params, "embedding");
    bool both = strcmp(bias, "both") == 0;
    ts_mlp_shape s = {
        .n = n,
        .n_out = ts_network_classes(params),
        .embed = (int)ts_params_integer(params, "embed"),
        .hidden = (int)ts_params_integer(params, "hidden"),
        .hidden_bias = both || strcmp(bias, "hidden") == 0,
        .output_bias = both || strcmp(bias, "output") == 0,
    };
    while (strcmp(EMBEDDINGS[s.embedding], embedding) != 0)
        s.embedding++;
    return s;
}

static bool is_one_hot(const ts_mlp_shape *s) {
    return s->embedding == TS_MLP_ONE_HOT || s->embedding == TS_MLP_ONE_HOT_SEPARATE;
}

// --- Tensors ---

// Where they are in the layout; -1: there is none. Of both tokens: x is y.
typedef struct tensors {
    int x, y, w, w_u, b, b_u;
} tensors;

static int add(ts_parameter_layout *out, ts_tensor tensor) {
    out->tensor[out->count] = tensor;
    return out->count++;
}

static tensors lay_out(const ts_mlp_shape *s, ts_parameter_layout *out) {
    bool one_hot = is_one_hot(s), shared = s->embedding == TS_MLP_SHARED || s->embedding == TS_MLP_ONE_HOT;
    int width = one_hot ? s->hidden : s->embed;
    ts_tensor of_tokens = {"W_x", 2, {s->n, width}, {"token", one_hot ? "hidden" : "embed"}, .fan_in = width};
    tensors t = {.w = -1, .b = -1, .b_u = -1};
    *out = (ts_parameter_layout){0};
    of_tokens.name = one_hot ? "U" : shared ? "W_E" : "W_x";
    of_tokens.fan_in = one_hot ? s->n : width; // one-hot tokens feed units
    t.x = t.y = add(out, of_tokens);
    of_tokens.name = one_hot ? "V" : "W_y";
    if (!shared)
        t.y = add(out, of_tokens);
    if (!one_hot)
        t.w =
            add(out, (ts_tensor){"W", 2, {2 * s->embed, s->hidden}, {"both_embed", "hidden"}, .fan_in = 2 * s->embed});
    t.w_u = add(out, (ts_tensor){"W_U", 2, {s->hidden, s->n_out}, {"hidden", "output"}, .fan_in = s->hidden});
    if (s->hidden_bias)
        t.b = add(out, (ts_tensor){"b", 1, {s->hidden}, {"hidden"}, .kind = TS_BIAS});
    if (s->output_bias)
        t.b_u = add(out, (ts_tensor){"b_U", 1, {s->n_out}, {"output"}, .kind = TS_BIAS});
    ts_layout_place(out);
    return t;
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    lay_out(&s, out);
}

// In published files of quadratic networks (one_hot, square), whose basis is that of figures.
static const ts_published_name ALIASES[] = {{"U", "mlp.W_in"}, {"W_U", "mlp.W_out"}, {"", "mlp.basis"}, {0}};

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    ts_parameter_layout all;
    lay_out(&s, &all);
    if (ts_network_starts(params, SINGLE_FREQUENCY)) {
        if (is_one_hot(&s) && s.n >= 3)
            return NULL;
        if (is_one_hot(&s))
            snprintf(message, bytes, "'single_frequency' needs at least 3 tokens, and the table has %d", s.n);
        else
            snprintf(message, bytes,
                     "'single_frequency' says what tokens give each neuron, which with embeddings follows from them: "
                     "set embedding: one_hot or one_hot_separate");
        return "init";
    }
    const char *tensor = ts_network_check(&all, message, bytes);
    return !tensor ? NULL : tensor[0] == 'W' && strchr("xyE", tensor[2]) && tensor[1] ? "embed" : "hidden";
}

// --- Initial weights ---

// Neuron m's function of tokens has one frequency, 1 + frequency[m]: out[j * token + m * neuron] = scale cos(2 pi k j /
// n
// + phase), with a phase of its own.
static void draw_waves(ts_torch_random *random, const ts_mlp_shape *s, const int *frequency, double scale, int token,
                       int neuron, float *out) {
    static const double TWO_PI = 6.283185307179586476925;
    for (int m = 0; m < s->hidden; m++) {
        double phase = TWO_PI * 0x1p-32 * ts_torch_u32(random);
        for (int j = 0; j < s->n; j++)
            out[(int64_t)j * token + (int64_t)m * neuron] =
                (float)(scale * cos(TWO_PI * ((int64_t)(1 + frequency[m]) * j % s->n) / s->n + phase));
    }
}

// The (n - 1) / 2 frequencies, counted from 0, each as often as the others or once more, in random order.
static void draw_frequencies(ts_torch_random *random, const ts_mlp_shape *s, int frequency[MOST_HIDDEN]) {
    int count = (s->n - 1) / 2, which[TS_MAX_ORDER], order[MOST_HIDDEN];
    ts_torch_randperm(random, count, which);
    ts_torch_randperm(random, s->hidden, order);
    for (int m = 0; m < s->hidden; m++)
        frequency[m] = which[order[m] % count];
}

static void start_from_single_frequencies(const ts_params *params, const ts_mlp_shape *s, float *parameters) {
    int frequency[MOST_HIDDEN];
    ts_parameter_layout all;
    tensors t = lay_out(s, &all);
    double scale = ts_params_real(params, "init_scale");
    ts_torch_random random;
    ts_torch_seed(&random, ts_network_init_seed(params));
    memset(parameters, 0, (size_t)all.total * sizeof *parameters); // biases
    draw_frequencies(&random, s, frequency);
    for (int side = t.x; side <= t.y; side++)
        draw_waves(&random, s, frequency, scale, s->hidden, 1, parameters + all.tensor[side].offset);
    draw_waves(&random, s, frequency, scale, 1, s->n_out, parameters + all.tensor[t.w_u].offset);
}

static void initialise(const ts_params *params, float *parameters) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    ts_parameter_layout all;
    lay_out(&s, &all);
    if (ts_network_starts(params, SINGLE_FREQUENCY))
        start_from_single_frequencies(params, &s, parameters);
    else
        ts_network_initialise(params, &all, NULL, parameters);
}

// --- Definition ---

// f([W_x[a], W_y[b]] W + b) W_U + b_U, or with f(U[a] + V[b] + b). As embeddings count what tokens give the hidden
// layer: W_x W[:embed], and the same on the right; U and V. What comes through the hidden layer is without b_U.
static int define(const ts_params *params, ts_graph *g) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    ts_parameter_layout all;
    tensors t = lay_out(&s, &all);
    int x = ts_graph_parameter(g, t.x), y = ts_graph_parameter(g, t.y), w_u = ts_graph_parameter(g, t.w_u);
    int left = ts_graph_lookup(g, TS_LEFT, x), right = ts_graph_lookup(g, TS_RIGHT, y);
    int given = is_one_hot(&s) ? ts_graph_sum(g, left, right)
                               : ts_graph_product(g, ts_graph_concatenate(g, left, right), ts_graph_parameter(g, t.w));
    if (s.hidden_bias)
        given = ts_graph_sum(g, given, ts_graph_parameter(g, t.b));
    int hidden = ts_graph_activation(g, ts_network_activation(params), given);
    int logits = ts_graph_product(g, hidden, w_u);
    int crossed[2] = {y, x};
    if (!is_one_hot(&s)) {
        int read_left = ts_graph_parameter_rows(g, t.w, 0, s.embed);
        int read_right = ts_graph_parameter_rows(g, t.w, s.embed, s.embed);
        crossed[0] = ts_graph_product(g, y, read_left);
        crossed[1] = ts_graph_product(g, x, read_right);
        x = ts_graph_product(g, x, read_left);
        y = ts_graph_product(g, y, read_right);
    }
    ts_graph_set_role(g, TS_CROSSED_LEFT, crossed[0]);
    ts_graph_set_role(g, TS_CROSSED_RIGHT, crossed[1]);
    ts_graph_set_role(g, TS_EMBED_LEFT, x);
    ts_graph_set_role(g, TS_EMBED_RIGHT, y);
    ts_graph_set_role(g, TS_HIDDEN, hidden);
    ts_graph_set_role(g, TS_UNEMBED, w_u);
    if (!s.output_bias)
        return logits;
    ts_graph_set_role(g, TS_HIDDEN_OUTPUT, logits);
    return ts_graph_sum(g, logits, ts_graph_parameter(g, t.b_u));
}

static int64_t width(const ts_params *params, const char *name) {
    return strcmp(name, "neuron") == 0 ? ts_mlp_shape_of(params).hidden : 0;
}

// Three products of pairs x hidden x n_out, and, with embeddings, six of n x embed x hidden. Without data all pairs
// count.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    double all = data ? (double)data->table->pairs : (double)s.n * s.n;
    double pairs = ts_params_real(params, "train_fraction") * all;
    double embed = is_one_hot(&s) ? 0 : 12.0 * s.n * s.embed * s.hidden;
    return 6.0 * pairs * s.hidden * s.n_out + embed;
}

// Hidden layer, logits (twice, where they have a bias) and pairs while it is measured, and tables of tokens.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    int outputs = s.output_bias ? 2 * s.n_out : s.n_out;
    (void)data;
    return (double)s.n * (8.0 * (3 * s.hidden + outputs) + 12.0 * s.n) + 16.0 * s.n * s.hidden;
}

const ts_model ts_model_mlp = {
    .name = "mlp",
    .help =
        "relu([W_x[a], W_y[b]] W) W_U, the two-embedding network that learns a table; also with one embedding or none",
    .learns = TS_KIND_TABLE,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adamw,
    .aliases = ALIASES,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .define = define,
    .width = width,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .headline = "test_loss",
    .otherwise = "train_loss",
};
