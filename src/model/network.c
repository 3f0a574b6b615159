// What the models of tables share: the split of pairs, initial weights; and any network as its measures see it.
#include "model/network.h"

#include "base/torch_random.h"
#include "network/pass.h"
#include "network/rewrite.h"
#include "task/data.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- Split and initial weights ---

int ts_network_order(const ts_params *params) {
    double order = 0;
    ts_task_derive(params, "order", &order);
    return (int)order;
}

static uint64_t own_seed(const ts_params *params, const char *name) {
    int64_t seed = ts_params_integer(params, name);
    return (uint64_t)(seed < 0 ? ts_params_integer(params, "seed") : seed);
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

int64_t ts_network_train(const ts_params *params, int n) {
    return (int64_t)(ts_params_real(params, "train_fraction") * ((double)n * n));
}

double ts_network_rows(const ts_params *params, const ts_data *data) {
    if (data->features)
        return ts_feature_expected_rows(data->features, ts_params_integer(params, "batch"));
    return (double)ts_network_train(params, data->table->n);
}

void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train) {
    ts_table_split(table, own_seed(params, "split_seed"), ts_params_real(params, "train_fraction"), pairs, train);
    // Sums then run over pairs in the order of the table, where neighbours share their left embedding.
    qsort(pairs, (size_t)*train, sizeof *pairs, ascending);
}

const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes) {
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        if (ts_tensor_numbers(tensor) >= TS_TORCH_NORMALS)
            continue;
        snprintf(message, bytes, "%s would have %lld numbers; PyTorch's streams need at least %d", tensor->name,
                 (long long)ts_tensor_numbers(tensor), TS_TORCH_NORMALS);
        return tensor->name;
    }
    return NULL;
}

void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters) {
    ts_torch_random random;
    ts_torch_seed(&random, own_seed(params, "init_seed"));
    for (int i = 0; i < layout->count; i++)
        ts_torch_normal(&random, ts_tensor_numbers(&layout->tensor[i]), deviation[i],
                        parameters + layout->tensor[i].offset);
}

void ts_network_scale(const ts_params *params, int features, double *wide, float *narrow) {
    const ts_numbers *importance = ts_params_numbers(params, "importance");
    for (int f = 0; f < features; f++) {
        double scale = ts_numbers_at(importance, f) / features;
        if (wide)
            wide[f] = scale;
        if (narrow)
            narrow[f] = (float)scale;
    }
}

// --- Networks with given weights ---

typedef struct opened {
    ts_graph graph;
    ts_pass pass;
    double *weights;   // (parameters)
    double *attention; // (heads, TS_SOURCES)
    int *a, *b;        // (tokens) of a row of pairs
    int input;         // node of samples
    ts_slab slab;
} opened;

static void free_opened(void *context) {
    opened *o = context;
    ts_pass_free(&o->pass);
    ts_graph_free(&o->graph);
    ts_slab_free(&o->slab);
    ts_free(o);
}

// Values of a role; NULL: no node has it.
static const double *of_role(const opened *o, ts_role role) {
    return o->graph.role[role] < 0 ? NULL : o->pass.value[o->graph.role[role]];
}

static const ts_node *node_of_role(const opened *o, ts_role role) {
    return o->graph.role[role] < 0 ? NULL : &o->graph.node[o->graph.role[role]];
}

static void make_row(opened *o, int a) {
    for (int b = 0; b < o->graph.tokens; b++) {
        o->a[b] = a;
        o->b[b] = b;
    }
    ts_pass_batch(&o->pass, o->graph.tokens, o->a, o->b);
}

static void copy_rows(const opened *o, int node, double *out) {
    if (out)
        memcpy(out, o->pass.value[node], (size_t)o->graph.tokens * (size_t)o->graph.node[node].width * sizeof *out);
}

static void row(const void *context, int a, double *h, double *logits, double *hidden_logits) {
    opened *o = (opened *)context;
    make_row(o, a);
    copy_rows(o, o->graph.role[TS_HIDDEN], h);
    copy_rows(o, o->graph.output, logits);
    if (o->graph.role[TS_HIDDEN_OUTPUT] >= 0)
        copy_rows(o, o->graph.role[TS_HIDDEN_OUTPUT], hidden_logits);
}

static void reconstruct(const void *context, const int *active, const float *value, int count, double *x_hat) {
    opened *o = (opened *)context;
    double *x = o->pass.made[o->input];
    size_t features = (size_t)o->graph.node[o->input].width;
    memset(x, 0, features * sizeof *x);
    for (int e = 0; e < count; e++)
        x[active[e]] = value ? value[e] : 1;
    ts_pass_batch(&o->pass, 1, NULL, NULL);
    memcpy(x_hat, o->pass.value[o->graph.output], features * sizeof *x_hat);
}

// A pass through what is left of a model's network when only `output` is needed; ROLES: its output, and all roles.
static ts_status open_pass(const ts_params *params, ts_role output, const double *weights, ts_graph *graph,
                           ts_pass *pass) {
    ts_graph defined;
    ts_status status = ts_model_define(params, &defined);
    double tokens = defined.tokens;
    if (status == TS_OK)
        status = ts_model_check_roles(params, &defined);
    if (status == TS_OK && output != TS_ROLES) {
        defined.output = defined.role[output];
        ts_graph_forget_roles(&defined);
    }
    if (status == TS_OK)
        status = ts_graph_rewrite(&defined, tokens * tokens, graph);
    ts_graph_free(&defined);
    if (status == TS_OK)
        status = ts_pass_create(graph, graph->tokens > 0 ? graph->tokens : 1, false, pass);
    if (status == TS_OK)
        ts_pass_tables(pass, weights);
    return status;
}

// Mean over all pairs. It takes attention alone, not the whole network.
static ts_status average_attention(const ts_params *params, opened *o) {
    opened of_attention = {.a = o->a, .b = o->b};
    ts_status status = open_pass(params, TS_ATTENTION, o->weights, &of_attention.graph, &of_attention.pass);
    const ts_node *node = node_of_role(o, TS_ATTENTION);
    int tokens = o->graph.tokens;
    memset(o->attention, 0, (size_t)node->width * sizeof *o->attention);
    for (int a = 0; status == TS_OK && a < tokens; a++) {
        make_row(&of_attention, a);
        const double *weights = of_attention.pass.value[of_attention.graph.output];
        for (int i = 0; i < tokens * node->width; i++)
            o->attention[i % node->width] += weights[i] / ((double)tokens * tokens);
    }
    ts_pass_free(&of_attention.pass);
    ts_graph_free(&of_attention.graph);
    return status;
}

static ts_status fill_in(const ts_params *params, opened *o, ts_network *network) {
    const ts_node *hidden = node_of_role(o, TS_HIDDEN), *directions = node_of_role(o, TS_DIRECTIONS);
    network->residual = o->graph.role[TS_HIDDEN_OUTPUT] >= 0;
    network->hidden = hidden ? hidden->width : directions ? directions->rows : 0;
    network->e_x = of_role(o, TS_EMBED_LEFT);
    network->e_y = of_role(o, TS_EMBED_RIGHT);
    network->embed = network->e_x ? node_of_role(o, TS_EMBED_LEFT)->width : 0;
    network->u = of_role(o, TS_UNEMBED);
    network->directions = of_role(o, TS_DIRECTIONS);
    network->features = directions ? directions->width : 0;
    if (!node_of_role(o, TS_ATTENTION))
        return TS_OK;
    network->attention = o->attention;
    network->heads = node_of_role(o, TS_ATTENTION)->width / TS_SOURCES;
    return average_attention(params, o);
}

ts_status ts_network_open(const ts_params *params, const float *parameters, ts_network *network) {
    ts_parameter_layout layout;
    params->schema->model->layout(params, &layout);
    opened *o = ts_alloc_zero(1, sizeof *o, "a network's measures");
    *network = (ts_network){.weights = o, .free = free_opened, .row = row, .reconstruct = reconstruct};
    if (!o)
        return TS_ERROR_MEMORY;
    size_t tokens = params->schema->model->learns == TS_KIND_TABLE ? (size_t)ts_network_order(params) : 0;
    size_t heads = (size_t)params->schema->model->width(params, "head");
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&o->slab, "a network's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        o->weights = ts_slab_take(&o->slab, (size_t)layout.total, sizeof(double));
        o->attention = ts_slab_take(&o->slab, heads * TS_SOURCES, sizeof(double));
        o->a = ts_slab_take(&o->slab, tokens, sizeof(int));
        o->b = ts_slab_take(&o->slab, tokens, sizeof(int));
    }
    for (int64_t i = 0; i < layout.total; i++)
        o->weights[i] = parameters[i];
    ts_status status = open_pass(params, TS_ROLES, o->weights, &o->graph, &o->pass);
    if (status != TS_OK)
        return status;
    o->input = ts_graph_input_node(&o->graph);
    network->all = o->weights;
    network->parameters = layout.total;
    return fill_in(params, o, network);
}

void ts_network_close(ts_network *network) {
    if (network->weights)
        network->free(network->weights);
    *network = (ts_network){0};
}
