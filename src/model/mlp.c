// The model `mlp`: keys, layout, initial weights, definition.
#include "model/mlp.h"

#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"

#include <math.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"embed", TS_INTEGER, "256", 1, 4096, NULL, true, "Width of each of the two embeddings"},
    {"hidden", TS_INTEGER, "128", 1, 4096, NULL, true, "Hidden width"},
    TS_NETWORK_KEYS,
    {0},
};

ts_mlp_shape ts_mlp_shape_of(const ts_params *params) {
    int n = ts_network_order(params);
    return (ts_mlp_shape){
        .n = n,
        .n_out = ts_network_classes(params),
        .embed = (int)ts_params_integer(params, "embed"),
        .hidden = (int)ts_params_integer(params, "hidden"),
    };
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    *out = (ts_parameter_layout){
        .count = 4,
        .tensor = {{"W_x", 2, {s.n, s.embed}, {"token", "embed"}, 0},
                   {"W_y", 2, {s.n, s.embed}, {"token", "embed"}, 0},
                   {"W", 2, {2 * s.embed, s.hidden}, {"both_embed", "hidden"}, 0},
                   {"W_U", 2, {s.hidden, s.n_out}, {"hidden", "output"}, 0}},
    };
    ts_layout_place(out);
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    const char *tensor = ts_network_check(&tensors, message, bytes);
    if (!tensor)
        return NULL;
    return strcmp(tensor, "W_x") == 0 || strcmp(tensor, "W_y") == 0 ? "embed" : "hidden";
}

// Scaled by the square root of what feeds a unit: the embedding's own width, else the rows.
static void initialise(const ts_params *params, float *parameters) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    ts_parameter_layout tensors;
    float embedding = (float)(1 / sqrt(s.embed));
    layout(params, &tensors);
    ts_network_initialise(
        params, &tensors,
        (const float[]){embedding, embedding, (float)(1 / sqrt(2.0 * s.embed)), (float)(1 / sqrt(s.hidden))},
        parameters);
}

// logits = relu([W_x[a], W_y[b]] W) W_U. As embeddings count what tokens give the hidden layer: W_x W[:embed], and the
// same on the right.
static int define(const ts_params *params, ts_graph *g) {
    enum { W_X, W_Y, W, W_U };
    int embed = ts_mlp_shape_of(params).embed, w_x = ts_graph_parameter(g, W_X), w_y = ts_graph_parameter(g, W_Y);
    int x = ts_graph_concatenate(g, ts_graph_lookup(g, TS_LEFT, w_x), ts_graph_lookup(g, TS_RIGHT, w_y));
    int hidden = ts_graph_activation(g, TS_RELU, ts_graph_product(g, x, ts_graph_parameter(g, W)));
    int w_u = ts_graph_parameter(g, W_U);
    ts_graph_set_role(g, TS_EMBED_LEFT, ts_graph_product(g, w_x, ts_graph_parameter_rows(g, W, 0, embed)));
    ts_graph_set_role(g, TS_EMBED_RIGHT, ts_graph_product(g, w_y, ts_graph_parameter_rows(g, W, embed, embed)));
    ts_graph_set_role(g, TS_HIDDEN, hidden);
    ts_graph_set_role(g, TS_UNEMBED, w_u);
    return ts_graph_product(g, hidden, w_u);
}

static int64_t width(const ts_params *params, const char *name) {
    return strcmp(name, "neuron") == 0 ? ts_mlp_shape_of(params).hidden : 0;
}

// Three products of pairs x hidden x n_out, and six of n x embed x hidden. Without data all pairs count.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    double all = data ? (double)data->table->pairs : (double)s.n * s.n;
    double pairs = ts_params_real(params, "train_fraction") * all;
    return 6.0 * pairs * s.hidden * s.n_out + 12.0 * s.n * s.embed * s.hidden;
}

// Hidden layer, logits and pairs while it is measured, and tables of tokens.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    (void)data;
    return (double)s.n * (8.0 * (3 * s.hidden + s.n_out) + 12.0 * s.n) + 16.0 * s.n * s.hidden;
}

const ts_model ts_model_mlp = {
    .name = "mlp",
    .help = "relu([W_x[a], W_y[b]] W) W_U, the two-embedding network that learns a table",
    .learns = TS_KIND_TABLE,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adamw,
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
