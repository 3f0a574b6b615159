// The model `transformer`: keys, layout, initial weights, definition.
#include "model/transformer.h"

#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"

#include <math.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"d_model", TS_INTEGER, "128", 1, 4096, NULL, true, "Width of the residual stream"},
    {"heads", TS_INTEGER, "4", 1, 256, NULL, true, "Attention heads"},
    {"d_head", TS_INTEGER, "32", 1, 4096, NULL, true, "Width of a head"},
    {"d_mlp", TS_INTEGER, "512", 1, 16384, NULL, true, "Hidden width, neurons"},
    TS_ACTIVATION_KEY,
    TS_INIT_KEYS(ts_network_inits),
    TS_NETWORK_KEYS,
    {0},
};

ts_transformer_shape ts_transformer_shape_of(const ts_params *params) {
    int n = ts_network_order(params);
    return (ts_transformer_shape){
        .n = n,
        .n_out = n,
        .model = (int)ts_params_integer(params, "d_model"),
        .heads = (int)ts_params_integer(params, "heads"),
        .head = (int)ts_params_integer(params, "d_head"),
        .neurons = (int)ts_params_integer(params, "d_mlp"),
    };
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    *out = (ts_parameter_layout){
        .count = TS_TRANSFORMER_TENSORS,
        .tensor =
            {
                [TS_W_E] = {"W_E", 2, {s.n + 1, s.model}, {"input", "model"}, .fan_in = s.model},
                [TS_W_POS] = {"W_pos", 2, {3, s.model}, {"position", "model"}, .fan_in = s.model},
                [TS_W_Q] = {"W_Q", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, .fan_in = s.model},
                [TS_W_K] = {"W_K", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, .fan_in = s.model},
                [TS_W_V] = {"W_V", 3, {s.heads, s.model, s.head}, {"head", "model", "head_width"}, .fan_in = s.model},
                [TS_W_O] =
                    {"W_O", 3, {s.heads, s.head, s.model}, {"head", "head_width", "model"}, .fan_in = s.heads * s.head},
                [TS_W_IN] = {"W_in", 2, {s.model, s.neurons}, {"model", "neuron"}, .fan_in = s.model},
                [TS_W_OUT] = {"W_out", 2, {s.neurons, s.model}, {"neuron", "model"}, .fan_in = s.neurons},
                [TS_W_U] = {"W_U", 2, {s.model, s.n_out}, {"model", "output"}, .fan_in = s.model},
            },
    };
    ts_layout_place(out);
}

// As TransformerLens has them.
static const ts_published_name PUBLISHED[] = {
    {"W_E", "embed.W_E"},          {"W_pos", "pos_embed.W_pos"},
    {"W_Q", "blocks.0.attn.W_Q"},  {"W_K", "blocks.0.attn.W_K"},
    {"W_V", "blocks.0.attn.W_V"},  {"W_O", "blocks.0.attn.W_O"},
    {"W_in", "blocks.0.mlp.W_in"}, {"W_out", "blocks.0.mlp.W_out"},
    {"W_U", "unembed.W_U"},        {0},
};

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    const char *small = ts_network_check(&tensors, message, bytes);
    if (!small)
        return NULL;
    if (strcmp(small, "W_in") == 0 || strcmp(small, "W_out") == 0)
        return "d_mlp";
    return strchr("QKVO", small[2]) && !small[3] ? "d_head" : "d_model";
}

static void initialise(const ts_params *params, float *parameters) {
    ts_parameter_layout tensors;
    float deviation[TS_TRANSFORMER_TENSORS];
    layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++)
        deviation[i] = (float)(0.8 / sqrt((double)ts_params_integer(params, "d_model")));
    ts_network_initialise(params, &tensors, deviation, parameters);
}

// What attention adds to the stream of the last of three positions; x: their streams. *weights: (pairs, TS_SOURCES).
static int attend(ts_graph *g, const ts_transformer_shape *s, const int x[TS_SOURCES], int head, int *weights) {
    int score[TS_SOURCES], value[TS_SOURCES], rows = s->model, first = head * rows;
    int q = ts_graph_product(g, x[TS_SOURCES - 1], ts_graph_parameter_rows(g, TS_W_Q, first, rows));
    for (int j = 0; j < TS_SOURCES; j++) {
        int k = ts_graph_product(g, x[j], ts_graph_parameter_rows(g, TS_W_K, first, rows));
        score[j] = ts_graph_score(g, 1 / sqrt((double)s->head), q, k);
        value[j] = ts_graph_product(g, x[j], ts_graph_parameter_rows(g, TS_W_V, first, rows));
    }
    *weights = ts_graph_attend(g, 1, TS_SOURCES, score);
    int mixed = ts_graph_mix(g, *weights, TS_SOURCES, value);
    return ts_graph_product(g, mixed, ts_graph_parameter_rows(g, TS_W_O, head * s->head, s->head));
}

// Of all tokens, by the values of each head: W_E W_V W_O W_in.
static int read_tokens(ts_graph *g, const ts_transformer_shape *s) {
    int all = -1;
    for (int h = 0; h < s->heads; h++) {
        int value = ts_graph_product(g, ts_graph_parameter(g, TS_W_E),
                                     ts_graph_parameter_rows(g, TS_W_V, h * s->model, s->model));
        int written = ts_graph_product(g, value, ts_graph_parameter_rows(g, TS_W_O, h * s->head, s->head));
        int own = ts_graph_product(g, written, ts_graph_parameter(g, TS_W_IN));
        all = h == 0 ? own : ts_graph_concatenate(g, all, own);
    }
    return all;
}

static int define(const ts_params *params, ts_graph *g) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    int tokens = ts_graph_parameter(g, TS_W_E), x[TS_SOURCES], weights = -1;
    x[0] = ts_graph_lookup(g, TS_LEFT, tokens);
    x[1] = ts_graph_lookup(g, TS_RIGHT, tokens);
    x[2] = ts_graph_parameter_rows(g, TS_W_E, s.n, 1); // "="
    for (int j = 0; j < TS_SOURCES; j++)
        x[j] = ts_graph_sum(g, x[j], ts_graph_parameter_rows(g, TS_W_POS, j, 1));
    int stream = x[TS_SOURCES - 1];
    for (int h = 0; h < s.heads; h++) {
        int of_head;
        stream = ts_graph_sum(g, stream, attend(g, &s, x, h, &of_head));
        weights = h == 0 ? of_head : ts_graph_concatenate(g, weights, of_head);
    }
    int w_out = ts_graph_parameter(g, TS_W_OUT), w_u = ts_graph_parameter(g, TS_W_U);
    int hidden = ts_graph_activation(g, ts_network_activation(params),
                                     ts_graph_product(g, stream, ts_graph_parameter(g, TS_W_IN)));
    int written = ts_graph_product(g, hidden, w_out);
    ts_graph_set_role(g, TS_EMBED_LEFT, tokens);
    ts_graph_set_role(g, TS_EMBED_RIGHT, tokens);
    ts_graph_set_role(g, TS_ATTENTION, weights);
    ts_graph_set_role(g, TS_HIDDEN, hidden);
    ts_graph_set_role(g, TS_HIDDEN_OUTPUT, ts_graph_product(g, written, w_u));
    ts_graph_set_role(g, TS_UNEMBED, ts_graph_product(g, w_out, w_u));
    int output = ts_graph_product(g, ts_graph_sum(g, stream, written), w_u);
    ts_graph_set_role(g, TS_READ, read_tokens(g, &s));
    return output;
}

static int64_t width(const ts_params *params, const char *name) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    return strcmp(name, "neuron") == 0 ? s.neurons : strcmp(name, "head") == 0 ? s.heads : 0;
}

// --- Operations ---

bool ts_transformer_direct(const ts_transformer_shape *s, double pairs) {
    double mixed = 2.0 * s->heads, made = (double)s->heads * s->head; // per number of head_out
    double both =
        (double)s->neurons * s->model * s->n_out + (pairs * (mixed + s->neurons) + made * (s->n + s->model)) * s->n_out;
    double one_by_one = pairs * (mixed + s->neurons + s->n_out) * s->model + made * s->n * s->model;
    return both < one_by_one;
}

// Each product forwards has two of its size backwards. Per pair: rows of 2 heads mixed, the hidden layer read
// out; per step: head_out, W_out W_U.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    double pairs = ts_params_real(params, "train_fraction") * s.n * s.n, rows = s.n + 3;
    double inner = (double)s.heads * s.head, read = s.neurons;
    (void)data;
    bool direct = ts_transformer_direct(&s, pairs);
    double width = s.neurons + (direct ? s.n_out : s.model);
    double head_out = rows * s.model * inner + inner * s.model * width + rows * inner * width;
    double each = 2 * s.heads * width + read * (width - s.neurons) + (direct ? 0 : (double)s.model * s.n_out);
    double both = direct ? (double)s.neurons * s.model * s.n_out : 0;
    return 6 * (head_out + both + pairs * each);
}

// While it is measured: head_out, hidden layer and logits of a row of pairs, and which pairs are trained on.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_transformer_shape s = ts_transformer_shape_of(params);
    double widest = s.neurons + (s.n_out > s.model ? s.n_out : s.model);
    (void)data;
    double trained = 16.0 * s.n * s.heads * widest; // head_out and its gradient, float32
    double measured = 8.0 * (s.n * (s.heads + 2.0) + (double)s.heads * s.head + s.model) * widest;
    return 12.0 * s.n * s.n + (trained > measured ? trained : measured);
}

const ts_model ts_model_transformer = {
    .name = "transformer",
    .help = "one layer of attention over a, b and \"=\", and one hidden layer, read at the last token",
    .learns = TS_KIND_TABLE,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adamw,
    .published = PUBLISHED,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .define = define,
    .width = width,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .headline = "test_loss",
};
