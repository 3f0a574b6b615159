// The list of models: a new one is one file and one line here.
#include "model/model.h"

#include <math.h>
#include <string.h>

extern const ts_model ts_model_autoencoder, ts_model_mlp, ts_model_transformer;

const ts_model *const ts_models[] = {
    &ts_model_autoencoder,
    &ts_model_mlp,
    &ts_model_transformer,
    NULL,
};

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

const char *ts_model_published(const ts_model *model, const char *tensor) {
    for (const ts_published_name *one = model->published; one && one->name; one++)
        if (strcmp(one->name, tensor) == 0)
            return one->published;
    return tensor;
}

static void add_key(ts_schema *schema, const ts_key *key) {
    int at = schema->count;
    for (; at > 0 && strcmp(key->name, schema->key[schema->alphabetical[at - 1]]->name) < 0; at--)
        schema->alphabetical[at] = schema->alphabetical[at - 1];
    schema->alphabetical[at] = (uint8_t)schema->count;
    schema->key[schema->count++] = key;
}

ts_status ts_model_schema(const ts_task *task, const ts_model *model, ts_schema *schema) {
    *schema = (ts_schema){.task = task, .model = model};
    const ts_key *const tables[] = {ts_common_keys, task->keys, model->keys};
    for (int t = 0; t < 3; t++)
        for (const ts_key *key = tables[t]; key->name; key++) {
            if (schema->count == TS_MAX_KEYS)
                return ts_fail(TS_ERROR_FATAL, "task '%s' and model '%s' have more than %d keys", task->name,
                               model->name, TS_MAX_KEYS);
            add_key(schema, key);
        }
    return TS_OK;
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

int64_t ts_measure_length(const ts_params *params, const struct ts_data *data, int index) {
    const ts_model *model = params->schema->model;
    const ts_measure *measure = &model->measures[index];
    if (measure->needs && model->dimension(params, data, measure->needs) == 0)
        return 0;
    int64_t length = 1;
    for (int d = 0; d < TS_MEASURE_DIMENSIONS && measure->dimension[d]; d++)
        length *= model->dimension(params, data, measure->dimension[d]);
    return length;
}

int64_t ts_measure_offset(const ts_params *params, const struct ts_data *data, int index) {
    int64_t offset = 0;
    for (int i = 0; i < index; i++)
        offset += ts_measure_length(params, data, i);
    return offset;
}

int64_t ts_measures_total(const ts_params *params, const struct ts_data *data) {
    int count = 0;
    while (params->schema->model->measures[count].name)
        count++;
    return ts_measure_offset(params, data, count);
}

ts_status ts_measure_weights(const ts_params *params, const struct ts_data *data, const float *parameters,
                             int64_t step, bool last, const atomic_int *pause, double *out) {
    const ts_model *model = params->schema->model;
    ts_parameter_layout tensors;
    bool finite = true;
    model->layout(params, &tensors);
    for (int64_t i = 0; i < tensors.total; i++)
        finite = finite && isfinite(parameters[i]);
    if (finite)
        return model->measure(params, data, parameters, step, last, pause, out);
    for (int64_t i = ts_measures_total(params, data) - 1; i >= 0; i--)
        out[i] = NAN;
    return TS_OK;
}
