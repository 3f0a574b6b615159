// What the models of tables share: the split of pairs, initial weights; and any network as its measures see it.
#include "model/network.h"

#include "base/torch_random.h"
#include "model/additive.h"
#include "network/degree.h"
#include "network/loss.h"
#include "network/pass.h"
#include "network/rewrite.h"
#include "task/data.h"
#include "task/split.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- Keys ---

const char *const ts_network_losses[] = {
    [TS_CROSS_ENTROPY] = "cross_entropy", [TS_MSE] = "mse", [TS_STABLEMAX] = "stablemax", NULL};
const char *const ts_network_precisions[] = {"float32", "tf32x3", NULL};
const char *const ts_network_inits[] = {TS_INIT_NAMES, NULL};

static const ts_activation ACTIVATIONS[] = {TS_RELU, TS_SQUARE, TS_CUBE, TS_ABSOLUTE, TS_GELU, TS_TANH, TS_IDENTITY};
const char *const ts_network_activations[] = {"relu", "square", "cube", "abs", "gelu", "tanh", "identity", NULL};

// Position of its value among the choices; 0 without such a key.
static int choice_of(const ts_params *params, const char *key, const char *const *choices) {
    int i = 0;
    if (ts_schema_find(params->schema, key) < 0)
        return 0;
    while (strcmp(choices[i], ts_params_name(params, key)) != 0)
        i++;
    return i;
}

ts_loss ts_network_loss(const ts_params *params) {
    return (ts_loss)choice_of(params, "loss", ts_network_losses);
}

bool ts_network_tf32x3(const ts_params *params) {
    return choice_of(params, "precision", ts_network_precisions) == 1;
}

ts_activation ts_network_activation(const ts_params *params) {
    return ts_network_activation_by(params, "activation");
}

ts_activation ts_network_activation_by(const ts_params *params, const char *key) {
    return ACTIVATIONS[choice_of(params, key, ts_network_activations)];
}

bool ts_network_starts(const ts_params *params, const char *init) {
    bool chosen = ts_schema_find(params->schema, "init") >= 0;
    return strcmp(chosen ? ts_params_name(params, "init") : ts_network_inits[0], init) == 0;
}

const char *ts_network_fused_can(const ts_params *params) {
    const ts_schema *schema = params->schema;
    for (int i = 0; i < schema->count; i++)
        if (schema->key[i]->traits & TS_DEFINES && !ts_params_is_default(params, i))
            return "its kernels are for the published network, which a key has made another one";
    return NULL;
}

// --- Split and initial weights ---

int ts_network_order(const ts_params *params) {
    double order = 0;
    ts_task_derive(params, "order", &order);
    return (int)order;
}

// Those of a task that says nothing of its results are its elements.
int ts_network_classes(const ts_params *params) {
    double classes;
    return ts_task_derive(params, "classes", &classes) ? (int)classes : ts_network_order(params);
}

int ts_network_outputs(const ts_params *params) {
    int outputs = (int)params->schema->model->width(params, "output");
    return outputs > 0 ? outputs : ts_network_classes(params);
}

static uint64_t own_seed(const ts_params *params, const char *name) {
    int64_t seed = ts_params_integer(params, name);
    return (uint64_t)(seed < 0 ? ts_params_integer(params, "seed") : seed);
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

int64_t ts_network_train(const ts_params *params, const ts_table *table) {
    return ts_table_share(table->pairs, ts_params_real(params, "train_fraction"));
}

double ts_network_rows(const ts_params *params, const ts_data *data) {
    if (data->features)
        return ts_feature_expected_rows(data->features, ts_network_samples(params));
    return (double)ts_network_train(params, data->table);
}

void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train) {
    ts_table_split(table, ts_split_shuffle(params), own_seed(params, "split_seed"),
                   ts_params_real(params, "train_fraction"), pairs, train);
    // Sums then run over pairs in the order of the table, where neighbours share their left embedding.
    qsort(pairs, (size_t)*train, sizeof *pairs, ascending);
}

const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes) {
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        if (tensor->kind != TS_DRAWN || ts_tensor_numbers(tensor) >= TS_TORCH_NORMALS)
            continue;
        snprintf(message, bytes, "%s would have %lld numbers; PyTorch's streams need at least %d", tensor->name,
                 (long long)ts_tensor_numbers(tensor), TS_TORCH_NORMALS);
        return tensor->name;
    }
    return NULL;
}

uint64_t ts_network_init_seed(const ts_params *params) {
    return own_seed(params, "init_seed");
}

static void fill(float *out, int64_t count, float value) {
    for (int64_t i = 0; i < count; i++)
        out[i] = value;
}

void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters) {
    ts_torch_random random;
    ts_torch_seed(&random, ts_network_init_seed(params));
    bool normal = ts_network_starts(params, "normal"), kaiming = ts_network_starts(params, "kaiming");
    double scale = ts_params_real_or(params, "init_scale", 1);
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        int64_t count = ts_tensor_numbers(tensor);
        double fan_in = (double)tensor->fan_in;
        float *out = parameters + tensor->offset;
        if (tensor->kind != TS_DRAWN)
            fill(out, count, tensor->kind == TS_GAIN ? 1 : 0);
        else if (kaiming)
            ts_torch_uniform(&random, count, (float)(scale * sqrt(6 / fan_in)), out);
        else
            ts_torch_normal(&random, count, (float)(scale * (normal || !deviation ? 1 / sqrt(fan_in) : deviation[i])),
                            out);
    }
}

int64_t ts_network_samples(const ts_params *params) {
    int64_t fixed = ts_params_integer(params, "samples");
    return fixed > 0 ? fixed : ts_params_integer(params, "batch");
}

uint32_t ts_network_draw(const ts_params *params, int64_t step) {
    return ts_params_integer(params, "samples") > 0 ? 0 : (uint32_t)step;
}

bool ts_network_target_is_absolute(const ts_params *params) {
    return strcmp(ts_params_name(params, "target"), "abs") == 0;
}

double ts_network_penalty(const ts_params *params) {
    return ts_params_real(params, "l1");
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

// What is left of a network when only some of its nodes are needed.
typedef struct route {
    ts_graph graph;
    ts_pass pass;
    bool reads, crosses; // the model says what tokens give neurons; what swapped embeddings give
} route;

typedef struct opened {
    const ts_params *params;
    const struct opened *beside; // whose graphs, tables and weights it uses; NULL: it has its own
    route all;
    route attention; // alone; not there if the network has none
    double *weights; // (parameters)
    double *nothing; // (hidden, n_out) NaN, where there is no unembedding; owned
    int *a, *b;      // (tokens) of a row of pairs
    int classes;     // n_out
    int input;       // node of samples
    bool apart;      // pairs go through it elsewhere: there are tables alone
    double *shift;   // room for ts_network_is_additive; NULL: it is not asked
    ts_slab slab;
} opened;

static void free_opened(void *context) {
    opened *o = context;
    if (!o)
        return;
    ts_pass_free(&o->all.pass);
    ts_pass_free(&o->attention.pass);
    if (!o->beside) {
        ts_graph_free(&o->all.graph);
        ts_graph_free(&o->attention.graph);
        ts_free(o->nothing);
    }
    ts_slab_free(&o->slab);
    ts_free(o->shift);
    ts_free(o);
}

// Values of a role; NULL: no node has it.
static const double *of_role(const opened *o, ts_role role) {
    return o->all.graph.role[role] < 0 ? NULL : o->all.pass.value[o->all.graph.role[role]];
}

static const ts_node *node_of_role(const opened *o, ts_role role) {
    return o->all.graph.role[role] < 0 ? NULL : &o->all.graph.node[o->all.graph.role[role]];
}

static void make_row(opened *o, route *by, int a) {
    int tokens = o->all.graph.tokens;
    for (int b = 0; b < tokens; b++) {
        o->a[b] = a;
        o->b[b] = b;
    }
    ts_pass_batch(&by->pass, tokens, o->a, o->b);
}

static void copy_rows(const route *by, int node, int count, double *out) {
    if (out)
        memcpy(out, by->pass.value[node], (size_t)count * (size_t)by->graph.node[node].width * sizeof *out);
}

static void fill_nan(double *out, size_t count) {
    for (size_t i = 0; i < count; i++)
        out[i] = NAN;
}

static void copy_logits(const opened *o, int count, double *logits, double *hidden_logits) {
    const ts_graph *graph = &o->all.graph;
    copy_rows(&o->all, graph->output, count, logits);
    if (graph->role[TS_HIDDEN_OUTPUT] >= 0)
        copy_rows(&o->all, graph->role[TS_HIDDEN_OUTPUT], count, hidden_logits);
    else if (hidden_logits)
        fill_nan(hidden_logits, (size_t)count * (size_t)o->classes);
}

static void row(const void *context, int a, double *h, double *logits, double *hidden_logits) {
    opened *o = (opened *)context;
    const ts_graph *graph = &o->all.graph;
    make_row(o, &o->all, a);
    copy_rows(&o->all, graph->role[TS_HIDDEN], graph->tokens, h);
    copy_logits(o, graph->tokens, logits, hidden_logits);
}

static void make_pairs(const void *context, int count, const int *a, const int *b, double *logits,
                       double *hidden_logits) {
    opened *o = (opened *)context;
    ts_pass_batch(&o->all.pass, count, a, b);
    copy_logits(o, count, logits, hidden_logits);
}

// It takes attention alone, not the whole network.
static void attend(const void *context, int a, const double *share, double *mean) {
    opened *o = (opened *)context;
    const ts_graph *graph = &o->attention.graph;
    int tokens = o->all.graph.tokens, width = graph->node[graph->output].width;
    make_row(o, &o->attention, a);
    const double *weights = o->attention.pass.value[graph->output];
    for (int i = 0; i < tokens * width; i++)
        mean[i % width] += share ? weights[i] * share[i / width] : weights[i] / ((double)tokens * tokens);
}

static void reconstruct(const void *context, const int *active, const float *value, int count, double *x_hat) {
    opened *o = (opened *)context;
    double *x = o->all.pass.made[o->input];
    size_t features = (size_t)o->all.graph.node[o->input].width;
    memset(x, 0, features * sizeof *x);
    for (int e = 0; e < count; e++)
        x[active[e]] = value ? value[e] : 1;
    ts_pass_batch(&o->all.pass, 1, NULL, NULL);
    memcpy(x_hat, o->all.pass.value[o->all.graph.output], features * sizeof *x_hat);
}

// The route to `output` of a model's network; ROLES: to its output, and all roles. apart: its pairs go elsewhere.
// *degree: its degree; NULL: not wanted.
static ts_status open_route(const ts_params *params, ts_role output, bool apart, const double *weights, int *degree,
                            route *to) {
    ts_graph defined;
    ts_status status = ts_model_define(params, &defined);
    double tokens = defined.tokens;
    if (status == TS_OK)
        status = ts_model_check_roles(params, &defined);
    if (status == TS_OK && degree)
        status = ts_graph_degree(&defined, degree);
    to->reads = status == TS_OK && defined.role[TS_READ] >= 0;
    to->crosses = status == TS_OK && defined.role[TS_CROSSED_LEFT] >= 0 && defined.role[TS_CROSSED_RIGHT] >= 0;
    if (status == TS_OK && output == TS_ROLES) // these have passes of their own: copy_tables
        defined.role[TS_READ] = defined.role[TS_CROSSED_LEFT] = defined.role[TS_CROSSED_RIGHT] = -1;
    if (status == TS_OK && output != TS_ROLES) {
        defined.output = defined.role[output];
        ts_graph_forget_roles(&defined);
    }
    if (status == TS_OK)
        status = ts_graph_rewrite(&defined, tokens * tokens, &to->graph);
    ts_graph_free(&defined);
    if (status == TS_OK)
        status = ts_pass_create(&to->graph, to->graph.tokens > 0 && !apart ? to->graph.tokens : 1, false, &to->pass);
    for (int i = 0; status == TS_OK && apart && i < to->graph.count; i++)
        to->pass.panels[i] = NULL;
    if (status == TS_OK) {
        ts_pass_join_terms(&to->pass);
        ts_pass_tables(&to->pass, weights);
    }
    return status;
}

// Of roles that take weights alone, and are seldom asked for: by the definition as it is written, of no pair.
static ts_status copy_tables(const opened *o, const ts_role *role, double *const *out, int count) {
    ts_graph defined;
    ts_pass pass = {0};
    ts_status status = ts_model_define(o->params, &defined);
    if (status == TS_OK)
        status = ts_pass_create(&defined, 1, false, &pass);
    if (status == TS_OK)
        ts_pass_tables(&pass, o->weights);
    for (int i = 0; i < count && status == TS_OK; i++) {
        int node = defined.role[role[i]];
        memcpy(out[i], pass.value[node], (size_t)defined.tokens * (size_t)defined.node[node].width * sizeof(double));
    }
    ts_pass_free(&pass);
    ts_graph_free(&defined);
    return status;
}

static ts_status read_tokens(const void *context, double *out) {
    return copy_tables(context, (const ts_role[]){TS_READ}, (double *const[]){out}, 1);
}

static ts_status cross(const void *context, double *left, double *right) {
    return copy_tables(context, (const ts_role[]){TS_CROSSED_LEFT, TS_CROSSED_RIGHT}, (double *const[]){left, right},
                       2);
}

// For a thread beside the first.
static bool take_row(opened *o, size_t tokens) {
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&o->slab, "a network's rows") != TS_OK)
            return false;
        o->a = ts_slab_take(&o->slab, tokens, sizeof(int));
        o->b = ts_slab_take(&o->slab, tokens, sizeof(int));
    }
    return true;
}

// Graphs are looked at, and shared; rows are its own.
static ts_status beside(const void *context, void **own) {
    const opened *first = context;
    opened *o = *own = ts_alloc_zero(1, sizeof *o, "a network's rows");
    if (!o)
        return TS_ERROR_MEMORY;
    *o = (opened){.params = first->params,
                  .beside = first,
                  .all.graph = first->all.graph,
                  .attention.graph = first->attention.graph,
                  .classes = first->classes};
    if (!take_row(o, (size_t)first->all.graph.tokens))
        return TS_ERROR_MEMORY;
    ts_status status = ts_pass_beside(&first->all.pass, &o->all.pass);
    if (status == TS_OK && first->attention.graph.count > 0)
        status = ts_pass_beside(&first->attention.pass, &o->attention.pass);
    return status;
}

// Where the hidden layer does not reach the logits through a matrix, nothing is known of what comes through it.
static ts_status take_unembedding(opened *o, ts_network *network) {
    size_t numbers = (size_t)network->hidden * (size_t)o->classes;
    network->residual = o->all.graph.role[TS_HIDDEN_OUTPUT] >= 0;
    network->u = of_role(o, TS_UNEMBED);
    if (network->u || numbers == 0)
        return TS_OK;
    o->nothing = ts_alloc(numbers * sizeof *o->nothing, "a network's measures");
    if (!o->nothing)
        return TS_ERROR_MEMORY;
    fill_nan(o->nothing, numbers);
    network->u = o->nothing;
    network->residual = true;
    return TS_OK;
}

static double mse(int count, double *z, int label) {
    return ts_loss_of(TS_MSE, count, z, label);
}

static double stablemax(int count, double *z, int label) {
    return ts_loss_of(TS_STABLEMAX, count, z, label);
}

static ts_status fill_in(const ts_params *params, opened *o, ts_network *network) {
    const ts_node *hidden = node_of_role(o, TS_HIDDEN), *directions = node_of_role(o, TS_DIRECTIONS);
    network->loss = o->all.graph.loss == TS_MSE ? mse : o->all.graph.loss == TS_STABLEMAX ? stablemax : NULL;
    network->hidden = hidden ? hidden->width : directions ? directions->rows : 0;
    network->e_x = of_role(o, TS_EMBED_LEFT);
    network->e_y = of_role(o, TS_EMBED_RIGHT);
    network->embed = network->e_x ? node_of_role(o, TS_EMBED_LEFT)->width : 0;
    network->embeds_neurons = network->e_x && network->embed == network->hidden && !node_of_role(o, TS_ATTENTION);
    network->outputs = o->all.graph.node[o->all.graph.output].width;
    network->directions = of_role(o, TS_DIRECTIONS);
    network->features = directions ? directions->width : 0;
    network->tied_bias = of_role(o, TS_TIED_BIAS);
    ts_status status = take_unembedding(o, network);
    if (!node_of_role(o, TS_ATTENTION) || status != TS_OK)
        return status;
    network->read = o->all.reads ? read_tokens : NULL;
    network->attend = attend;
    network->heads = (int)params->schema->model->width(params, "head");
    network->sources = node_of_role(o, TS_ATTENTION)->width / network->heads;
    return o->apart ? TS_OK : open_route(params, TS_ATTENTION, false, o->weights, NULL, &o->attention);
}

static ts_status take_shifts(opened *o, ts_network *network) {
    int outputs = o->all.graph.node[o->all.graph.output].width;
    if (!network->embeds_neurons || network->residual)
        return TS_OK;
    o->shift = ts_alloc((size_t)(3 * network->hidden + outputs) * sizeof *o->shift, "a network's biases");
    if (!o->shift)
        return TS_ERROR_MEMORY;
    network->shift = o->shift;
    network->output_shift = o->shift + network->hidden;
    network->additive = ts_network_is_additive(&o->all.pass, &network->activation, o->shift);
    network->cross = network->additive && o->all.crosses ? cross : NULL;
    return TS_OK;
}

// narrow or exact (parameters): the weights; the other is NULL.
static ts_status open_network(const ts_params *params, const float *narrow, const double *exact, bool apart,
                              ts_network *network) {
    ts_parameter_layout layout;
    params->schema->model->layout(params, &layout);
    opened *o = ts_alloc_zero(1, sizeof *o, "a network's measures");
    *network = (ts_network){.weights = o,
                            .free = free_opened,
                            .beside = beside,
                            .row = row,
                            .pairs = make_pairs,
                            .reconstruct = reconstruct};
    if (!o)
        return TS_ERROR_MEMORY;
    bool of_table = params->schema->model->learns == TS_KIND_TABLE;
    size_t tokens = of_table ? (size_t)ts_network_order(params) : 0;
    o->params = params;
    o->apart = apart && of_table;
    o->classes = of_table ? ts_network_classes(params) : 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&o->slab, "a network's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        o->weights = ts_slab_take(&o->slab, (size_t)layout.total, sizeof(double));
        o->a = ts_slab_take(&o->slab, tokens, sizeof(int));
        o->b = ts_slab_take(&o->slab, tokens, sizeof(int));
    }
    for (int64_t i = 0; i < layout.total; i++)
        o->weights[i] = exact ? exact[i] : narrow[i];
    ts_status status = open_route(params, TS_ROLES, o->apart, o->weights, &network->degree, &o->all);
    if (status != TS_OK)
        return status;
    o->input = ts_graph_input_node(&o->all.graph);
    network->all = o->weights;
    network->pass = &o->all.pass;
    network->parameters = layout.total;
    status = fill_in(params, o, network);
    return status == TS_OK ? take_shifts(o, network) : status;
}

ts_status ts_network_open(const ts_params *params, const float *parameters, ts_network *network) {
    return open_network(params, parameters, NULL, false, network);
}

ts_status ts_network_open_exact(const ts_params *params, const double *parameters, ts_network *network) {
    return open_network(params, NULL, parameters, false, network);
}

ts_status ts_network_open_apart(const ts_params *params, const float *narrow, const double *exact,
                                ts_network *network) {
    return open_network(params, narrow, exact, true, network);
}

void ts_network_close(ts_network *network) {
    if (network->weights)
        network->free(network->weights);
    *network = (ts_network){0};
}
