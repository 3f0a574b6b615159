// The autoencoder on the CPU: one thread trains one instance after the other with fused float32 kernels;
// threads are used over units. Padding is this engine's own matter: states and weights go in and out without
// it.
#include "backend/adam_constants.h"
#include "backend/backend.h"
#include "backend/cpu.h"
#include "base/memory.h"
#include "model/autoencoder.h"
#include "model/model.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

typedef struct training {
    ts_training_spec spec;
    const ts_kernels *kernels;
    ts_autoencoder_shape shape;
    int64_t padded; // floats of one instance's parameters with pads: (hidden + 1) * stride
    float *state;   // (count, 3, padded): weights, first and second moments
    float *scale;   // (count, stride): importance / features
    ts_adam *adam;  // (count)
    ts_autoencoder_work work;
    ts_feature_batch batch;
    ts_slab slab;
} training;

static float *state_of(const training *t, int instance) {
    return t->state + (size_t)instance * 3 * (size_t)t->padded;
}

// Copies (rows, features) packed <-> padded.
static void unpack(const training *t, const float *packed, float *padded) {
    for (int k = 0; k <= t->shape.hidden; k++)
        memcpy(padded + (size_t)k * (size_t)t->work.stride, packed + (size_t)k * (size_t)t->shape.features,
               (size_t)t->shape.features * sizeof(float));
}

static void pack(const training *t, const float *padded, float *packed) {
    for (int k = 0; k <= t->shape.hidden; k++)
        memcpy(packed + (size_t)k * (size_t)t->shape.features, padded + (size_t)k * (size_t)t->work.stride,
               (size_t)t->shape.features * sizeof(float));
}

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    ts_feature_batch_free(&t->batch);
    ts_slab_free(&t->slab);
    ts_free(t);
}

static ts_status create_slab(training *t) {
    ts_autoencoder_work *work = &t->work;
    size_t count = (size_t)t->spec.count, padded = (size_t)t->padded;
    size_t stride = (size_t)work->stride, hidden_stride = (size_t)work->hidden_stride;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->state = ts_slab_take(&t->slab, count * 3 * padded, sizeof(float));
        t->scale = ts_slab_take(&t->slab, count * stride, sizeof(float));
        t->adam = ts_slab_take(&t->slab, count, sizeof(ts_adam));
        work->gradient = ts_slab_take(&t->slab, padded, sizeof(float));
        work->w_columns = ts_slab_take(&t->slab, stride * hidden_stride, sizeof(float));
        work->dw_columns = ts_slab_take(&t->slab, stride * hidden_stride, sizeof(float));
        work->h = ts_slab_take(&t->slab, TS_MAX_BLOCK * hidden_stride, sizeof(float));
        work->dh = ts_slab_take(&t->slab, TS_MAX_BLOCK * hidden_stride, sizeof(float));
        work->x = ts_slab_take(&t->slab, TS_MAX_BLOCK * stride, sizeof(float));
        work->dz = ts_slab_take(&t->slab, TS_MAX_BLOCK * stride, sizeof(float));
    }
    ts_slab_clear(&t->slab);
    return ts_feature_batch_create(t->spec.data->features, t->shape.samples, &t->batch);
}

static ts_status initialise(training *t) {
    size_t packed = (size_t)(t->shape.hidden + 1) * (size_t)t->shape.features;
    float *initial = ts_alloc(packed * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        params->schema->model->initialise(params, initial);
        unpack(t, initial, state_of(t, i));
        const ts_numbers *importance = ts_params_numbers(params, "importance");
        for (int f = 0; f < t->shape.features; f++)
            t->scale[(size_t)i * (size_t)t->work.stride + (size_t)f] =
                (float)(ts_numbers_at(importance, f) / t->shape.features);
    }
    ts_free(initial);
    return TS_OK;
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    t->spec = *spec;
    t->kernels = ts_cpu_kernels();
    t->shape = ts_autoencoder_shape_of(&spec->params[0]);
    t->work.hidden = t->shape.hidden;
    t->work.features = t->shape.features;
    t->work.stride = TS_PAD(t->shape.features);
    t->work.hidden_stride = TS_PAD(t->shape.hidden);
    t->padded = (int64_t)(t->shape.hidden + 1) * t->work.stride;
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

static int64_t train_instance(training *t, int instance, int64_t from, int64_t to) {
    const ts_params *params = &t->spec.params[instance];
    uint64_t seed = (uint64_t)ts_params_integer(params, "seed");
    float *state = state_of(t, instance);
    t->work.parameters = state;
    t->work.scale = t->scale + (size_t)instance * (size_t)t->work.stride;
    ts_adam *adam = ts_adam_at(&t->adam[instance], params, from);
    ts_adam_betas betas = ts_adam_betas_of(params);
    for (int64_t step = from; step < to; step++) {
        ts_feature_draw(t->spec.data->features, seed, TS_STREAM_BATCH, (uint32_t)step, t->shape.samples,
                        &t->batch);
        ts_sparse_rows rows = {t->batch.rows,   t->batch.begin, t->batch.end,
                               t->batch.active, t->batch.value, t->batch.weight};
        if (!isfinite(t->kernels->autoencoder_gradient(&t->work, &rows)))
            return step;
        if (!t->kernels->adam(state, t->work.gradient, t->padded, betas, ts_adam_next_rates(adam)))
            return step;
    }
    return to;
}

static ts_status train(void *handle, int64_t from, int64_t to, int64_t *reached) {
    training *t = handle;
    unsigned before = ts_cpu_begin_steps();
    for (int i = 0; i < t->spec.count; i++)
        if (reached[i] == from)
            reached[i] = train_instance(t, i, from, to);
    ts_cpu_end_steps(before);
    return TS_OK;
}

// State: (3, hidden + 1, features) float32.
static size_t packed_floats(const training *t) {
    return (size_t)(t->shape.hidden + 1) * (size_t)t->shape.features;
}

static size_t state_bytes(const void *handle) {
    return 3 * packed_floats(handle) * sizeof(float);
}

static ts_status get_state(const void *handle, int instance, void *state) {
    const training *t = handle;
    for (int part = 0; part < 3; part++)
        pack(t, state_of(t, instance) + part * t->padded, (float *)state + (size_t)part * packed_floats(t));
    return TS_OK;
}

static ts_status set_state(void *handle, int instance, const void *state) {
    const training *t = handle;
    for (int part = 0; part < 3; part++)
        unpack(t, (const float *)state + (size_t)part * packed_floats(t),
               state_of(t, instance) + part * t->padded);
    return TS_OK;
}

static ts_status get_parameters(const void *handle, int instance, float *parameters) {
    pack(handle, state_of(handle, instance), parameters);
    return TS_OK;
}

const ts_engine ts_cpu_autoencoder = {
    .model = "autoencoder",
    .create = create,
    .destroy = destroy,
    .state_bytes = state_bytes,
    .get_state = get_state,
    .set_state = set_state,
    .get_parameters = get_parameters,
    .train = train,
};
