// The autoencoder in plain double-precision loops: the oracle that every other engine is compared with.
// A step: h = W x;  z = W^T h + b;  e = relu(z) - x;  dz = 2 w imp e [z > 0] / features;
// dW = h dz^T + (W dz) x^T;  db = dz;  each summed over the batch's rows with weights w.
#include "backend/reference.h"
#include "model/autoencoder.h"
#include "task/data.h"

#include <string.h>

typedef struct training {
    ts_reference base; // first
    ts_autoencoder_shape shape;
    double *importance; // (count, features)
    double *h, *z, *x;  // (hidden), (features), (features)
    ts_feature_batch batch;
} training;

// Adds one row's gradient; returns its loss.
static double row_gradient(training *t, const double *weights, const double *importance, int row, double *gradient) {
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

static double loss(void *handle, int instance, int64_t step, const double *weights, double *gradient) {
    training *t = handle;
    const ts_params *params = &t->base.spec.params[instance];
    const double *importance = t->importance + (size_t)instance * (size_t)t->shape.features;
    double sum = 0;
    memset(gradient, 0, (size_t)t->base.parameters * sizeof *gradient);
    ts_feature_draw(t->base.spec.data->features, (uint64_t)ts_params_integer(params, "seed"), TS_STREAM_BATCH,
                    (uint32_t)step, t->shape.samples, &t->batch);
    for (int row = 0; row < t->batch.rows; row++)
        sum += row_gradient(t, weights, importance, row, gradient);
    return sum;
}

static void take(void *handle) {
    training *t = handle;
    ts_slab *slab = &t->base.slab;
    t->shape = ts_autoencoder_shape_of(&t->base.spec.params[0]);
    size_t hidden = (size_t)t->shape.hidden, features = (size_t)t->shape.features;
    t->importance = ts_slab_take(slab, (size_t)t->base.spec.count * features, sizeof(double));
    t->h = ts_slab_take(slab, hidden, sizeof(double));
    t->z = ts_slab_take(slab, features, sizeof(double));
    t->x = ts_slab_take(slab, features, sizeof(double));
}

static ts_status initialise(void *handle) {
    training *t = handle;
    size_t features = (size_t)t->shape.features;
    memset(t->x, 0, features * sizeof *t->x);
    for (int i = 0; i < t->base.spec.count; i++) {
        const ts_numbers *importance = ts_params_numbers(&t->base.spec.params[i], "importance");
        for (size_t f = 0; f < features; f++)
            t->importance[(size_t)i * features + f] = ts_numbers_at(importance, (int64_t)f);
    }
    return ts_feature_batch_create(t->base.spec.data->features, t->shape.samples, &t->batch);
}

static void end(void *handle) {
    ts_feature_batch_free(&((training *)handle)->batch);
}

static const ts_reference_model MODEL = {
    .bytes = sizeof(training),
    .take = take,
    .initialise = initialise,
    .end = end,
    .loss = loss,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_reference_create(&MODEL, spec, handle);
}

const ts_engine ts_reference_autoencoder = {.model = "autoencoder", .create = create, TS_REFERENCE_ENGINE_FUNCTIONS};
