// The list of models, and what follows from a model.
#include "model/model.h"

#include "model/network.h"
#include "model/optimiser.h"
#include "network/rewrite.h"

#include <math.h>
#include <string.h>

// A new one is one file and one word here.
#define MODELS(ENTRY) ENTRY(autoencoder) ENTRY(mlp) ENTRY(transformer)

#define DECLARE(name) extern const ts_model ts_model_##name;
#define ADDRESS(name) &ts_model_##name,
MODELS(DECLARE)
const ts_model *const ts_models[] = {MODELS(ADDRESS) NULL};

const ts_model *ts_model_find(const char *name) {
    for (int i = 0; ts_models[i]; i++)
        if (strcmp(ts_models[i]->name, name) == 0)
            return ts_models[i];
    return NULL;
}

bool ts_model_learns(const ts_model *model, const ts_task *task) {
    return model->learns == task->kind;
}

const ts_model *ts_model_usual(const ts_task *task) {
    for (int i = 0; ts_models[i]; i++)
        if (ts_model_learns(ts_models[i], task) &&
            (!task->usual_model || strcmp(ts_models[i]->name, task->usual_model) == 0))
            return ts_models[i];
    return NULL;
}

// What measures take for granted of nodes in roles: what they are of, so many rows at least, so many columns.
ts_status ts_model_check_roles(const ts_params *params, const ts_graph *graph) {
    const ts_model *model = params->schema->model;
    int tokens = graph->tokens, classes = tokens > 0 ? ts_network_classes(params) : 0;
    int neurons = (int)model->width(params, "neuron"), heads = (int)model->width(params, "head");
    int left = graph->role[TS_EMBED_LEFT], embed = left >= 0 ? graph->node[left].width : 0;
    const struct {
        ts_role role;
        const char *name;
        bool needed;
        int domain, rows, width;
    } wanted[] = {
        {TS_HIDDEN, "hidden layer", tokens > 0, TS_PAIR, 1, neurons},
        {TS_HIDDEN_OUTPUT, "output by way of the hidden layer", false, TS_PAIR, 1, classes},
        {TS_ATTENTION, "attention", heads > 0, TS_PAIR, 1, heads * (int)model->width(params, "source")},
        {TS_EMBED_LEFT, "left embedding", tokens > 0, TS_CONSTANT, tokens, embed},
        {TS_EMBED_RIGHT, "right embedding", tokens > 0, TS_CONSTANT, tokens, embed},
        {TS_UNEMBED, "unembedding", false, TS_CONSTANT, neurons, classes},
        {TS_READ, "what neurons read through heads", false, TS_CONSTANT, tokens, heads * neurons},
        {TS_CROSSED_LEFT, "left embedding when swapped", false, TS_CONSTANT, tokens, embed},
        {TS_CROSSED_RIGHT, "right embedding when swapped", false, TS_CONSTANT, tokens, embed},
        {TS_DIRECTIONS, "directions of features", tokens == 0, TS_CONSTANT, 1, (int)model->width(params, "feature")},
        {TS_TIED_BIAS, "bias beside tied directions", false, TS_CONSTANT, 1, (int)model->width(params, "feature")},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int at = graph->role[wanted[i].role];
        const ts_node *node = &graph->node[at < 0 ? 0 : at];
        if (at < 0 ? wanted[i].needed
                   : node->domain != wanted[i].domain || node->rows < wanted[i].rows || node->width != wanted[i].width)
            return ts_fail(TS_ERROR_FATAL,
                           "the model %s is defined wrongly: its %s is %s; it has %d columns, and is %s", model->name,
                           wanted[i].name, at < 0 ? "missing" : "another matrix", wanted[i].width,
                           wanted[i].domain == TS_PAIR ? "of pairs" : "made of weights alone");
    }
    return TS_OK;
}

const char *ts_model_measure(const ts_model *model, int k) {
    int better = 0;
    while (model->better && model->better[better] && better < k)
        better++;
    if (model->better && model->better[better])
        return model->better[better];
    return better == k ? model->headline : better + 1 == k ? model->otherwise : NULL;
}

ts_status ts_model_define(const ts_params *params, ts_graph *graph) {
    const ts_model *model = params->schema->model;
    bool of_table = model->learns == TS_KIND_TABLE;
    ts_parameter_layout layout;
    model->layout(params, &layout);
    ts_graph_begin(graph, &layout, of_table ? ts_network_order(params) : 0);
    graph->loss = ts_network_loss(params);
    ts_status status = ts_graph_finish(graph, model->define(params, graph));
    int wanted = of_table ? ts_network_outputs(params) : (int)ts_task_features(params);
    int width = status == TS_OK ? graph->node[graph->output].width - graph->penalised : 0;
    if (status == TS_OK && width != wanted)
        return ts_fail(TS_ERROR_FATAL, "the model %s is defined wrongly: its output has %d numbers, and the task %d",
                       model->name, width, wanted);
    return status;
}

ts_status ts_model_define_training(const ts_params *params, const ts_data *data, ts_graph *graph) {
    ts_graph defined;
    ts_status status = ts_model_define(params, &defined);
    ts_graph_forget_roles(&defined);
    *graph = (ts_graph){0};
    if (status == TS_OK)
        status = ts_graph_rewrite(&defined, ts_network_rows(params, data), graph);
    ts_graph_free(&defined);
    return status;
}

const char *ts_model_published(const ts_model *model, const char *tensor) {
    for (const ts_published_name *one = model->published; one && one->name; one++)
        if (strcmp(one->name, tensor) == 0)
            return one->published;
    return tensor;
}

const char *ts_model_file_name(const ts_model *model, const char *tensor, int k) {
    if (k < 2)
        return k == 0 ? ts_model_published(model, tensor) : tensor;
    for (const ts_published_name *one = model->aliases; one && one->name; one++)
        if (strcmp(one->name, tensor) == 0 && k-- == 2)
            return one->published;
    return NULL;
}

void ts_model_initialise(const ts_params *params, float *parameters) {
    const ts_initial *initial = ts_params_initial(params);
    if (!initial->path[0]) {
        params->schema->model->initialise(params, parameters);
        return;
    }
    for (int64_t i = 0; i < initial->count; i++)
        parameters[i] = initial->narrow ? initial->narrow[i] : initial->wide ? (float)initial->wide[i] : NAN;
}

void ts_model_initialise_exactly(const ts_params *params, double *parameters, float *scratch) {
    const ts_initial *initial = ts_params_initial(params);
    ts_parameter_layout layout;
    if (initial->wide) {
        memcpy(parameters, initial->wide, (size_t)initial->count * sizeof *parameters);
        return;
    }
    params->schema->model->layout(params, &layout);
    ts_model_initialise(params, scratch);
    for (int64_t i = 0; i < layout.total; i++)
        parameters[i] = scratch[i];
}

static void add_name(ts_schema *schema, int position) {
    int at = schema->named++;
    for (; at > 0 && strcmp(schema->key[position]->name, schema->key[schema->alphabetical[at - 1]]->name) < 0; at--)
        schema->alphabetical[at] = schema->alphabetical[at - 1];
    schema->alphabetical[at] = (uint8_t)position;
}

// Of keys that have the same name the first counts. False: no room.
static bool add_keys(ts_schema *schema, const ts_key *keys) {
    for (const ts_key *key = keys; key->name; key++) {
        if (ts_schema_find(schema, key->name) >= 0)
            continue;
        if (schema->count == TS_MAX_KEYS)
            return false;
        schema->key[schema->count] = key;
        // What a sweep without a choice of optimisers has always been is what it is with one.
        if (key != ts_optimizer_keys || schema->optimiser != schema->model->optimiser)
            add_name(schema, schema->count);
        schema->count++;
    }
    return true;
}

ts_status ts_model_schema(const ts_task *task, const ts_model *model, const ts_optimiser *optimiser,
                          ts_schema *schema) {
    *schema = (ts_schema){.task = task, .model = model, .optimiser = optimiser};
    bool fits = add_keys(schema, ts_common_keys) && add_keys(schema, task->keys) && add_keys(schema, model->keys) &&
                add_keys(schema, ts_optimizer_keys) && add_keys(schema, optimiser->keys) &&
                add_keys(schema, ts_step_keys);
    ts_schema_index(schema);
    return fits ? TS_OK
                : ts_fail(TS_ERROR_FATAL, "task '%s', model '%s' and optimizer '%s' have more than %d keys", task->name,
                          model->name, optimiser->name, TS_MAX_KEYS);
}

const char *ts_derived_name(int index) {
    for (int t = 0; ts_tasks[t]; t++)
        for (const ts_quantity *one = ts_tasks[t]->derived; one->name; one++)
            if (one->number && index-- == 0)
                return one->name;
    return index == 0 ? "parameters" : NULL;
}

bool ts_is_derived(const char *name) {
    for (int i = 0; ts_derived_name(i); i++)
        if (strcmp(ts_derived_name(i), name) == 0)
            return true;
    return false;
}

bool ts_derive(const ts_params *params, const char *name, double *value) {
    if (strcmp(name, "parameters") != 0)
        return ts_task_derive(params, name, value);
    ts_parameter_layout tensors;
    params->schema->model->layout(params, &tensors);
    *value = (double)tensors.total;
    return true;
}
