// Training in double precision, for every model and optimiser.
#include "backend/reference.h"

#include "base/memory.h"
#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/loss.h"
#include "network/pass.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

enum { BATCH = 48 }; // pairs or samples on their way at once; no bit depends on it

typedef struct training {
    ts_training_spec spec;
    const ts_optimiser *optimiser;
    ts_graph graph;
    ts_pass pass;
    int64_t parameters; // per instance, in the model's layout
    int parts;          // of a state (ts_optimiser_parts)
    double *state;      // (count, parts, parameters)
    double *gradient;   // (parameters)
    char *memory;       // (count, optimiser->memory)
    double *scratch;    // of an update
    // Of tables.
    int64_t train; // training pairs
    int *pairs;    // (count, n * n) of which the first `train` are trained on
    int *a, *b;    // (BATCH)
    // Of features.
    int input;          // the node
    double *importance; // (count, features), divided by `features`
    double *share;      // (features) importance, times the weight of a sample
    double *target;     // (features) of a sample
    ts_feature_batch drawn;
    ts_slab slab;
} training;

static double *state_of(const training *t, int instance) {
    return t->state + (size_t)instance * (size_t)t->parts * (size_t)t->parameters;
}

static ts_status take(training *t) {
    const ts_data *data = t->spec.data;
    size_t count = (size_t)t->spec.count, parameters = (size_t)t->parameters;
    size_t n = data->table ? (size_t)data->table->n : 0;
    size_t features = data->features ? (size_t)data->features->features : 0;
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->state = ts_slab_take_zero(&t->slab, count * (size_t)t->parts * parameters, sizeof *t->state);
        t->gradient = ts_slab_take(&t->slab, parameters, sizeof *t->gradient);
        t->memory = ts_slab_take_zero(&t->slab, count, t->optimiser->memory);
        t->scratch = ts_slab_take(&t->slab, t->optimiser->scratch ? t->optimiser->scratch(&t->graph.layout) : 0,
                                  sizeof *t->scratch);
        t->pairs = ts_slab_take(&t->slab, count * n * n, sizeof *t->pairs);
        t->a = ts_slab_take(&t->slab, BATCH, sizeof *t->a);
        t->b = ts_slab_take(&t->slab, BATCH, sizeof *t->b);
        t->importance = ts_slab_take(&t->slab, count * features, sizeof *t->importance);
        t->share = ts_slab_take(&t->slab, features, sizeof *t->share);
        t->target = ts_slab_take(&t->slab, features, sizeof *t->target);
    }
    return TS_OK;
}

static ts_status set_weights(training *t) {
    float *initial = ts_alloc((size_t)t->parameters * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++)
        ts_model_initialise_exactly(&t->spec.params[i], state_of(t, i), initial);
    ts_free(initial);
    return TS_OK;
}

static ts_status set_data(training *t) {
    const ts_table *table = t->spec.data->table;
    const ts_feature_data *features = t->spec.data->features;
    for (int i = 0; table && i < t->spec.count; i++)
        ts_network_pairs(&t->spec.params[i], table, t->pairs + (size_t)i * (size_t)table->n * (size_t)table->n,
                         &t->train);
    if (!features)
        return TS_OK;
    t->input = ts_graph_input_node(&t->graph);
    for (int i = 0; i < t->spec.count; i++)
        ts_network_scale(&t->spec.params[i], features->features, t->importance + i * features->features, NULL);
    return ts_feature_batch_create(features, ts_network_samples(&t->spec.params[0]), &t->drawn);
}

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    ts_feature_batch_free(&t->drawn);
    ts_pass_free(&t->pass);
    ts_graph_free(&t->graph);
    ts_slab_free(&t->slab);
    ts_free(t);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    t->spec = *spec;
    t->optimiser = ts_optimiser_of(&spec->params[0]);
    t->parts = ts_optimiser_parts(&spec->params[0]);
    ts_status status = ts_model_define(&spec->params[0], &t->graph);
    ts_graph_forget_roles(&t->graph);
    t->parameters = t->graph.layout.total;
    if (status == TS_OK)
        status = ts_pass_create(&t->graph, BATCH, true, &t->pass);
    if (status == TS_OK)
        status = take(t);
    if (status == TS_OK)
        status = set_weights(t);
    if (status == TS_OK)
        status = set_data(t);
    if (status == TS_OK)
        *handle = t;
    else
        destroy(t);
    return status;
}

// Each adds up gradients, from the tables that the pass has made, and returns the loss.

static double learn_pairs(training *t, int instance, double *out, int width) {
    const ts_table *table = t->spec.data->table;
    const int *pairs = t->pairs + (size_t)instance * (size_t)table->n * (size_t)table->n;
    double loss = 0, share = 1 / (double)t->train, *slope = t->pass.gradient[t->graph.output];
    for (int64_t first = 0; first < t->train; first += BATCH) {
        int count = t->train - first < BATCH ? (int)(t->train - first) : BATCH;
        for (int r = 0; r < count; r++) {
            t->a[r] = pairs[first + r] / table->n;
            t->b[r] = pairs[first + r] % table->n;
        }
        ts_pass_batch(&t->pass, count, t->a, t->b);
        memcpy(slope, out, (size_t)(count * width) * sizeof *slope);
        for (int r = 0; r < count; r++)
            loss += share * ts_loss_of(t->graph.loss, width, slope + r * width, table->result[pairs[first + r]]);
        for (int i = 0; i < count * width; i++)
            slope[i] *= share;
        ts_pass_batch_back(&t->pass, count);
    }
    return loss;
}

// z (width): output, replaced by the gradient; x (features).
static double sample_loss(training *t, const ts_params *params, const double *importance, double weight,
                          const double *x, int width, double *z) {
    int features = t->spec.data->features->features;
    bool absolute = ts_network_target_is_absolute(params);
    double penalty = weight * ts_network_penalty(params), loss = 0;
    for (int f = 0; f < features; f++) {
        t->share[f] = weight * importance[f];
        t->target[f] = absolute ? fabs(x[f]) : x[f];
    }
    loss += ts_loss_of_squares(features, z, t->target, t->share);
    for (int i = features; i < width; i++) {
        loss += penalty * z[i];
        z[i] = penalty;
    }
    return loss;
}

static double learn_samples(training *t, int instance, int64_t step, double *out, int width) {
    const ts_params *params = &t->spec.params[instance];
    const ts_feature_batch *batch = &t->drawn;
    int features = t->spec.data->features->features;
    double loss = 0, *slope = t->pass.gradient[t->graph.output], *x = t->pass.made[t->input];
    ts_feature_draw(t->spec.data->features, (uint64_t)ts_params_integer(params, "seed"), TS_STREAM_BATCH,
                    ts_network_draw(params, step), ts_network_samples(params), &t->drawn);
    for (int first = 0; first < batch->rows; first += BATCH) {
        int count = batch->rows - first < BATCH ? batch->rows - first : BATCH;
        memset(x, 0, (size_t)(count * features) * sizeof *x);
        for (int r = 0; r < count; r++)
            for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++)
                x[r * features + batch->active[e]] = batch->value ? batch->value[e] : 1;
        ts_pass_batch(&t->pass, count, NULL, NULL);
        memcpy(slope, out, (size_t)(count * width) * sizeof *slope);
        for (int r = 0; r < count; r++)
            loss += sample_loss(t, params, t->importance + instance * features, batch->weight[first + r],
                                x + r * features, width, slope + r * width);
        ts_pass_batch_back(&t->pass, count);
    }
    return loss;
}

static double learn(training *t, int instance, int64_t step, const double *weights, double *gradient) {
    int width = t->graph.node[t->graph.output].width;
    double *out = t->pass.made[t->graph.output];
    ts_pass_tables(&t->pass, weights);
    ts_pass_begin_back(&t->pass, gradient);
    double loss =
        t->spec.data->table ? learn_pairs(t, instance, out, width) : learn_samples(t, instance, step, out, width);
    ts_pass_tables_back(&t->pass);
    return loss;
}

// Of weights, as the float32 that they are handed out as, and moments.
static bool all_finite(const double *state, int64_t parameters, int parts) {
    int finite = 1;
    for (int64_t p = 0; p < parameters; p++)
        finite &= isfinite((float)state[p]) != 0;
    for (int64_t p = parameters; p < parts * parameters; p++)
        finite &= isfinite(state[p]) != 0;
    return finite;
}

static int64_t train_instance(training *t, int instance, int64_t from, int64_t to) {
    double *state = state_of(t, instance);
    char *memory = t->memory + (size_t)instance * t->optimiser->memory;
    for (int64_t step = from; step < to; step++) {
        if (!isfinite(learn(t, instance, step, state, t->gradient)))
            return step;
        const ts_update update = {&t->spec.params[instance], &t->graph.layout, step, memory, t->scratch};
        ts_optimiser_update(&update, t->gradient, state);
        if (!all_finite(state, t->parameters, t->parts))
            return step;
    }
    return to;
}

static ts_status train(void *handle, int64_t from, int64_t to, int64_t *reached) {
    training *t = handle;
    for (int i = 0; i < t->spec.count; i++)
        if (reached[i] == from)
            reached[i] = train_instance(t, i, from, to);
    return TS_OK;
}

// State: (parts, parameters) float64 in the model's layout.

static size_t state_bytes(const void *handle) {
    const training *t = handle;
    return (size_t)t->parts * (size_t)t->parameters * sizeof *t->state;
}

static ts_status get_state(const void *handle, int instance, void *state) {
    memcpy(state, state_of(handle, instance), state_bytes(handle));
    return TS_OK;
}

static ts_status set_state(void *handle, int instance, const void *state) {
    memcpy(state_of(handle, instance), state, state_bytes(handle));
    return TS_OK;
}

static ts_status get_parameters(const void *handle, int instance, float *parameters) {
    const training *t = handle;
    for (int64_t p = 0; p < t->parameters; p++)
        parameters[p] = (float)state_of(t, instance)[p];
    return TS_OK;
}

const ts_engine ts_reference_engine = {
    .name = TS_GENERAL,
    .help = TS_GENERAL_HELP ", with any optimizer",
    .tf32x3 = true,
    .create = create,
    .destroy = destroy,
    .state_bytes = state_bytes,
    .get_state = get_state,
    .set_state = set_state,
    .get_parameters = get_parameters,
    .train = train,
};

ts_status ts_reference_gradient(const ts_training_spec *spec, const double *weights, int64_t step, double *loss,
                                double *gradient) {
    void *handle = NULL;
    ts_status status = create(spec, &handle);
    if (status == TS_OK)
        *loss = learn(handle, 0, step, weights, gradient);
    destroy(handle);
    return status;
}
