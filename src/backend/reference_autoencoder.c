// The autoencoder in plain double-precision loops: the oracle that every other engine is compared with.
// A step: h = W x;  z = W^T h + b;  e = relu(z) - x;  dz = 2 w imp e [z > 0] / features;
// dW = h dz^T + (W dz) x^T;  db = dz;  each summed over the batch's rows with weights w.
#include "backend/reference_autoencoder.h"

#include "backend/reference.h"
#include "base/memory.h"
#include "model/autoencoder.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

typedef struct training {
    ts_reference_state reference; // first
    ts_training_spec spec;
    ts_autoencoder_shape shape;
    double *gradient;   // (parameters)
    double *importance; // (count, features)
    double *h, *z, *x;  // (hidden), (features), (features)
    ts_adam *adam;      // (count)
    ts_feature_batch batch;
    ts_slab slab;
} training;

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    ts_feature_batch_free(&t->batch);
    ts_slab_free(&t->slab);
    ts_free(t);
}

static ts_status create_slab(training *t) {
    size_t n = (size_t)t->reference.parameters, count = (size_t)t->spec.count;
    size_t hidden = (size_t)t->shape.hidden, features = (size_t)t->shape.features;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->reference.state = ts_slab_take(&t->slab, count * 3 * n, sizeof(double));
        t->gradient = ts_slab_take(&t->slab, n, sizeof(double));
        t->importance = ts_slab_take(&t->slab, count * features, sizeof(double));
        t->adam = ts_slab_take(&t->slab, count, sizeof(ts_adam));
        t->h = ts_slab_take(&t->slab, hidden, sizeof(double));
        t->z = ts_slab_take(&t->slab, features, sizeof(double));
        t->x = ts_slab_take(&t->slab, features, sizeof(double));
    }
    memset(t->x, 0, features * sizeof(double));
    memset(t->adam, 0, count * sizeof(ts_adam));
    return ts_feature_batch_create(t->spec.data->features, t->shape.samples, &t->batch);
}

static ts_status initialise(training *t) {
    float *initial = ts_alloc((size_t)t->reference.parameters * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        double *weights = ts_reference_weights(&t->reference, i);
        t->spec.params[i].schema->model->initialise(&t->spec.params[i], initial);
        memset(weights, 0, 3 * (size_t)t->reference.parameters * sizeof(double));
        for (int64_t p = 0; p < t->reference.parameters; p++)
            weights[p] = initial[p];
        const ts_numbers *importance = ts_params_numbers(&t->spec.params[i], "importance");
        for (int f = 0; f < t->shape.features; f++)
            t->importance[(size_t)i * (size_t)t->shape.features + (size_t)f] = ts_numbers_at(importance, f);
    }
    ts_free(initial);
    return TS_OK;
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    t->spec = *spec;
    t->shape = ts_autoencoder_shape_of(&spec->params[0]);
    t->reference.parameters = (int64_t)(t->shape.hidden + 1) * t->shape.features;
    ts_status status = create_slab(t);
    if (status == TS_OK)
        status = initialise(t);
    if (status != TS_OK) {
        destroy(t);
        return status;
    }
    *handle = t;
    return TS_OK;
}

// Adds one row's gradient; returns its loss.
static double row_gradient(training *t, const double *weights, const double *importance, int row,
                           double *gradient) {
    const ts_feature_batch *batch = &t->batch;
    int hidden = t->shape.hidden, features = t->shape.features;
    const double *b = weights + (size_t)hidden * (size_t)features;
    double *db = gradient + (size_t)hidden * (size_t)features;
    for (int e = batch->begin[row]; e < batch->end[row]; e++)
        t->x[batch->active[e]] = batch->value ? batch->value[e] : 1;

    memcpy(t->z, b, (size_t)features * sizeof(double));
    for (int k = 0; k < hidden; k++) {
        const double *w = weights + (size_t)k * (size_t)features;
        t->h[k] = 0;
        for (int f = 0; f < features; f++)
            t->h[k] += w[f] * t->x[f];
        for (int f = 0; f < features; f++)
            t->z[f] += w[f] * t->h[k];
    }
    double loss = 0, *dz = t->z;
    for (int f = 0; f < features; f++) {
        // NaN must not be lost in the comparisons.
        double error = (t->z[f] <= 0 ? 0 : t->z[f]) - t->x[f];
        loss += batch->weight[row] * importance[f] / features * error * error;
        dz[f] = t->z[f] <= 0 ? 0 : 2 * batch->weight[row] * importance[f] / features * error;
        db[f] += dz[f];
    }
    for (int k = 0; k < hidden; k++) {
        const double *w = weights + (size_t)k * (size_t)features;
        double *dw = gradient + (size_t)k * (size_t)features, dh = 0;
        for (int f = 0; f < features; f++)
            dh += w[f] * dz[f];
        for (int f = 0; f < features; f++)
            dw[f] += t->h[k] * dz[f] + dh * t->x[f];
    }
    for (int e = batch->begin[row]; e < batch->end[row]; e++)
        t->x[batch->active[e]] = 0;
    return loss;
}

static double loss_and_gradient(training *t, const double *weights, const double *importance,
                                double *gradient) {
    double loss = 0;
    memset(gradient, 0, (size_t)t->reference.parameters * sizeof(double));
    for (int row = 0; row < t->batch.rows; row++)
        loss += row_gradient(t, weights, importance, row, gradient);
    return loss;
}

static int64_t train_instance(training *t, int instance, int64_t from, int64_t to) {
    const ts_params *params = &t->spec.params[instance];
    uint64_t seed = (uint64_t)ts_params_integer(params, "seed");
    const double *importance = t->importance + (size_t)instance * (size_t)t->shape.features;
    double *weights = ts_reference_weights(&t->reference, instance);
    ts_adam *adam = ts_adam_at(&t->adam[instance], params, from);
    for (int64_t step = from; step < to; step++) {
        ts_feature_draw(t->spec.data->features, seed, TS_STREAM_BATCH, (uint32_t)step, t->shape.samples,
                        &t->batch);
        if (!isfinite(loss_and_gradient(t, weights, importance, t->gradient)) ||
            !ts_adam_update(weights, t->gradient, t->reference.parameters, adam))
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

ts_status ts_reference_autoencoder_gradient(const ts_training_spec *spec, const double *weights, int64_t step,
                                            double *loss, double *gradient) {
    void *handle = NULL;
    ts_status status = create(spec, &handle);
    if (status != TS_OK)
        return status;
    training *t = handle;
    ts_feature_draw(spec->data->features, (uint64_t)ts_params_integer(spec->params, "seed"), TS_STREAM_BATCH,
                    (uint32_t)step, t->shape.samples, &t->batch);
    *loss = loss_and_gradient(t, weights, t->importance, gradient);
    destroy(t);
    return TS_OK;
}

const ts_engine ts_reference_autoencoder = {
    .model = "autoencoder",
    .create = create,
    .destroy = destroy,
    .state_bytes = ts_reference_state_bytes,
    .get_state = ts_reference_get_state,
    .set_state = ts_reference_set_state,
    .get_parameters = ts_reference_get_parameters,
    .train = train,
};
