// The model `mlp`: keys, layout, initial weights, forward pass.
#include "model/mlp.h"

#include "base/memory.h"
#include "base/product.h"
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
        .n_out = n,
        .embed = (int)ts_params_integer(params, "embed"),
        .hidden = (int)ts_params_integer(params, "hidden"),
    };
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    int64_t tokens = (int64_t)s.n * s.embed, weights = 2 * (int64_t)s.embed * s.hidden;
    *out = (ts_parameter_layout){
        .count = 4,
        .tensor =
            {{.name = "W_x", .rank = 2, .size = {s.n, s.embed}, .dimension = {"token", "embed"}},
             {.name = "W_y", .rank = 2, .size = {s.n, s.embed}, .dimension = {"token", "embed"}, .offset = tokens},
             {.name = "W",
              .rank = 2,
              .size = {2 * s.embed, s.hidden},
              .dimension = {"both_embed", "hidden"},
              .offset = 2 * tokens},
             {.name = "W_U",
              .rank = 2,
              .size = {s.hidden, s.n_out},
              .dimension = {"hidden", "output"},
              .offset = 2 * tokens + weights}},
        .total = 2 * tokens + weights + (int64_t)s.hidden * s.n_out,
    };
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

// logits = relu([W_x[a], W_y[b]] W) W_U
static int define(const ts_params *params, ts_graph *g) {
    enum { W_X, W_Y, W, W_U };
    (void)params; // the shapes are in the layout
    int x = ts_graph_lookup(g, TS_LEFT, ts_graph_parameter(g, W_X));
    int y = ts_graph_lookup(g, TS_RIGHT, ts_graph_parameter(g, W_Y));
    int z = ts_graph_product(g, ts_graph_concatenate(g, x, y), ts_graph_parameter(g, W));
    return ts_graph_product(g, ts_graph_activation(g, TS_RELU, z), ts_graph_parameter(g, W_U));
}

static int64_t width(const ts_params *params, const char *name) {
    return strcmp(name, "neuron") == 0 ? ts_mlp_shape_of(params).hidden : 0;
}

// Three products of pairs x hidden x n_out, and six of n x embed x hidden.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    double pairs = ts_params_real(params, "train_fraction") * s.n * s.n;
    (void)data;
    return 6.0 * pairs * s.hidden * s.n_out + 12.0 * s.n * s.embed * s.hidden;
}

// Hidden layer, logits and pairs while it is measured, and tables of tokens.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_mlp_shape s = ts_mlp_shape_of(params);
    (void)data;
    return (double)s.n * (8.0 * (3 * s.hidden + s.n_out) + 12.0 * s.n) + 16.0 * s.n * s.hidden;
}

// --- The network with given weights ---

typedef struct weights {
    ts_mlp_shape shape;
    double *all;          // all tensors, as in layout
    double *left, *right; // (n, hidden): W_x W[:embed], W_y W[embed:]
    const double *w_u;    // (hidden, n_out)
    ts_slab slab;
} weights;

static ts_status weights_create(const ts_params *params, const float *parameters, weights *w) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    ts_mlp_shape s = w->shape = ts_mlp_shape_of(params);
    size_t n = (size_t)s.n, hidden = (size_t)s.hidden;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&w->slab, "an mlp's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        w->all = ts_slab_take(&w->slab, (size_t)tensors.total, sizeof(double));
        w->left = ts_slab_take(&w->slab, n * hidden, sizeof(double));
        w->right = ts_slab_take(&w->slab, n * hidden, sizeof(double));
    }
    for (int64_t i = 0; i < tensors.total; i++)
        w->all[i] = parameters[i];
    w->w_u = w->all + tensors.tensor[3].offset;
    const double *both = w->all + tensors.tensor[2].offset;
    ts_product(s.n, s.hidden, s.embed, w->all, s.embed, both, s.hidden, w->left, s.hidden);
    ts_product(s.n, s.hidden, s.embed, w->all + tensors.tensor[1].offset, s.embed, both + (size_t)s.embed * hidden,
               s.hidden, w->right, s.hidden);
    return TS_OK;
}

static void row(const void *context, int a, double *h_rows, double *logits, double *hidden_logits) {
    const weights *w = context;
    (void)hidden_logits; // all of them
    size_t hidden = (size_t)w->shape.hidden;
    const double *left = w->left + (size_t)a * hidden;
    for (int b = 0; b < w->shape.n; b++) {
        const double *right = w->right + (size_t)b * hidden;
        double *h = h_rows + (size_t)b * hidden;
        for (size_t k = 0; k < hidden; k++)
            h[k] = left[k] + right[k] <= 0 ? 0 : left[k] + right[k];
    }
    ts_product(w->shape.n, w->shape.n_out, w->shape.hidden, h_rows, w->shape.hidden, w->w_u, w->shape.n_out, logits,
               w->shape.n_out);
}

static void free_weights(void *context) {
    ts_slab_free(&((weights *)context)->slab);
    ts_free(context);
}

static ts_status open(const ts_params *params, const float *parameters, ts_network *network) {
    ts_parameter_layout tensors;
    layout(params, &tensors);
    weights *w = ts_alloc_zero(1, sizeof *w, "an mlp's measures");
    *network = (ts_network){.weights = w, .free = free_weights, .row = row};
    ts_status status = w ? weights_create(params, parameters, w) : TS_ERROR_MEMORY;
    if (status != TS_OK)
        return status;
    network->all = w->all;
    network->parameters = tensors.total;
    network->hidden = network->embed = w->shape.hidden;
    network->e_x = w->left;
    network->e_y = w->right;
    network->u = w->w_u;
    return TS_OK;
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
    .open = open,
};
