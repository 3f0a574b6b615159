// Networks that are no model of the program (yet), as models of their own; with the keys of `mlp`.
#include "bench_networks.h"

#include "model/network.h"
#include "network/graph.h"

#include <math.h>
#include <string.h>

static int64_t key_of(const ts_params *params, const char *name) {
    return ts_params_integer(params, name);
}

// Each tensor's deviation is one over the root of its rows, but of embeddings, of their columns.
static void initialise(const ts_params *params, float *parameters) {
    float deviation[TS_MAX_TENSORS];
    ts_parameter_layout tensors;
    params->schema->model->layout(params, &tensors);
    for (int i = 0; i < tensors.count; i++) {
        bool embeds = strcmp(tensors.tensor[i].dimension[0], "token") == 0;
        deviation[i] = (float)(1 / sqrt((double)tensors.tensor[i].size[embeds]));
    }
    ts_network_initialise(params, &tensors, deviation, parameters);
}

// --- (U[a] + U[b])^2 W_U, and the square of its distance from the answer's one-hot vector ---

static void lay_out_quadratic(const ts_params *params, ts_parameter_layout *out) {
    int64_t n = ts_network_order(params), hidden = key_of(params, "hidden");
    *out = (ts_parameter_layout){
        .count = 2,
        .tensor = {{"U", 2, {n, hidden}, {"token", "hidden"}, .fan_in = n},
                   {"W_U", 2, {hidden, n}, {"hidden", "output"}, .fan_in = hidden}},
    };
    ts_layout_place(out);
}

static int define_quadratic(const ts_params *params, ts_graph *g) {
    int u = ts_graph_parameter(g, 0);
    int sum = ts_graph_sum(g, ts_graph_lookup(g, TS_LEFT, u), ts_graph_lookup(g, TS_RIGHT, u));
    (void)params;
    g->loss = TS_MSE;
    return ts_graph_product(g, ts_graph_activation(g, TS_SQUARE, sum), ts_graph_parameter(g, 1));
}

// --- relu(relu([W_x[a], W_y[b]] W_1) W_2) W_U, both hidden layers equally wide ---

static void lay_out_mlp2(const ts_params *params, ts_parameter_layout *out) {
    int64_t n = ts_network_order(params), embed = key_of(params, "embed"), hidden = key_of(params, "hidden");
    *out = (ts_parameter_layout){
        .count = 5,
        .tensor = {{"W_x", 2, {n, embed}, {"token", "embed"}, .fan_in = embed},
                   {"W_y", 2, {n, embed}, {"token", "embed"}, .fan_in = embed},
                   {"W_1", 2, {2 * embed, hidden}, {"both_embed", "inner"}, .fan_in = 2 * embed},
                   {"W_2", 2, {hidden, hidden}, {"inner", "hidden"}, .fan_in = hidden},
                   {"W_U", 2, {hidden, n}, {"hidden", "output"}, .fan_in = hidden}},
    };
    ts_layout_place(out);
}

static int define_mlp2(const ts_params *params, ts_graph *g) {
    int left = ts_graph_lookup(g, TS_LEFT, ts_graph_parameter(g, 0));
    int x = ts_graph_concatenate(g, left, ts_graph_lookup(g, TS_RIGHT, ts_graph_parameter(g, 1)));
    (void)params;
    for (int layer = 2; layer < 4; layer++)
        x = ts_graph_activation(g, TS_RELU, ts_graph_product(g, x, ts_graph_parameter(g, layer)));
    return ts_graph_product(g, x, ts_graph_parameter(g, 4));
}

static const struct {
    const char *name;
    void (*layout)(const ts_params *params, ts_parameter_layout *out);
    int (*define)(const ts_params *params, ts_graph *graph);
} NETWORKS[] = {
    {"quadratic", lay_out_quadratic, define_quadratic},
    {"mlp2", lay_out_mlp2, define_mlp2},
};

bool bench_take_network(const char *name, ts_params *params, bench_network *of) {
    for (size_t i = 0; i < sizeof NETWORKS / sizeof *NETWORKS; i++)
        if (strcmp(NETWORKS[i].name, name) == 0) {
            of->schema = *params->schema;
            of->model = *params->schema->model;
            of->model.name = name;
            of->model.layout = NETWORKS[i].layout;
            of->model.initialise = initialise;
            of->model.define = NETWORKS[i].define;
            of->model.step_operations = NULL;
            of->model.unit_bytes = NULL;
            of->schema.model = &of->model;
            params->schema = &of->schema;
            return true;
        }
    return false;
}
