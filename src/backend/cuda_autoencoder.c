// The autoencoder on the GPU: a block trains an instance for many steps at a time (kernels/cuda/autoencoder.cu). The
// device holds the state as it is saved; what the host reads of it is copied once for all instances.
#include "backend/cuda_autoencoder.h"

#include "backend/adam_constants.h"
#include "backend/cuda.h"
#include "backend/cuda_features.h"
#include "backend/padded_layout.h"
#include "base/memory.h"
#include "model/autoencoder.h"
#include "model/model.h"
#include "model/network.h"
#include "task/data.h"

#include <string.h>

// Steps of one launch at most: room for their learning rates.
enum { MOST_STEPS = 4096 };

typedef struct training {
    ts_training_spec spec;
    ts_cuda_autoencoder_work work; // pointers are the device's
    ts_padded_layout layout;       // without pads
    ts_cuda_slab device;
    cudaStream_t stream;
    // Pinned.
    char *pinned;
    float *state;         // (count, layout.parts, parameters); see `fetched`
    ts_adam_rates *rates; // (schedules, MOST_STEPS)
    int64_t *reached;     // (count)
    double *loss;         // (count)
    // Instances whose learning rates are the same share them.
    int schedules;
    int *schedule;    // (count)
    int *instance_of; // (count) one of the instances of each
    ts_adam *adam;    // (count) of each
    ts_slab slab;
    bool *fetched; // (1) `state` holds what the device does
} training;

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    if (ts_cuda_enter() == TS_OK) {
        ts_cuda_stream_free(t->stream);
        ts_cuda_slab_free(&t->device);
        ts_cuda_pinned_free(t->pinned);
    }
    ts_slab_free(&t->slab);
    ts_free(t);
}

// For tests.
static int placement_at_least;

void ts_cuda_autoencoder_place(int at_least) {
    placement_at_least = at_least;
}

// --- Learning rates ---

static bool same_schedule(const ts_params *a, const ts_params *b) {
    return ts_params_real(a, "lr") == ts_params_real(b, "lr") &&
           ts_params_real(a, "beta1") == ts_params_real(b, "beta1") &&
           ts_params_real(a, "beta2") == ts_params_real(b, "beta2") &&
           ts_params_integer(a, "steps") == ts_params_integer(b, "steps") &&
           ts_params_real_or(a, "weight_decay", 0) == ts_params_real_or(b, "weight_decay", 0) &&
           ts_params_real(a, "floor") == ts_params_real(b, "floor") &&
           ts_params_integer(a, "warmup") == ts_params_integer(b, "warmup") &&
           strcmp(ts_params_name(a, "schedule"), ts_params_name(b, "schedule")) == 0;
}

static void find_schedules(training *t) {
    for (int i = 0; i < t->spec.count; i++) {
        int schedule = t->schedules;
        // Those that follow each other are mostly alike, so the last is tried first.
        while (schedule > 0 && !same_schedule(&t->spec.params[i], &t->spec.params[t->instance_of[schedule - 1]]))
            schedule--;
        if (schedule == 0) {
            t->instance_of[t->schedules++] = i;
            schedule = t->schedules;
        }
        t->schedule[i] = schedule - 1;
    }
}

static ts_status upload_rates(training *t, int64_t from, int steps) {
    for (int schedule = 0; schedule < t->schedules; schedule++) {
        ts_adam *adam = ts_adam_at(&t->adam[schedule], &t->spec.params[t->instance_of[schedule]], from);
        ts_adam_rates *rates = t->rates + (size_t)schedule * MOST_STEPS;
        for (int step = 0; step < steps; step++)
            rates[step] = ts_adam_next_rates(adam);
        ts_status status = ts_cuda_send((void *)(uintptr_t)(t->work.rates + (size_t)schedule * MOST_STEPS), rates,
                                        (size_t)steps * sizeof *rates, t->stream);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

// --- Making ---

static ts_status create_host(training *t) {
    size_t count = (size_t)t->spec.count;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->schedule = ts_slab_take(&t->slab, count, sizeof *t->schedule);
        t->instance_of = ts_slab_take(&t->slab, count, sizeof *t->instance_of);
        t->adam = ts_slab_take_zero(&t->slab, count, sizeof *t->adam);
        t->fetched = ts_slab_take_zero(&t->slab, 1, sizeof *t->fetched);
    }
    find_schedules(t);
    size_t rates = (size_t)t->schedules * MOST_STEPS * sizeof *t->rates,
           state = count * ts_packed_state_floats(&t->layout) * sizeof(float);
    t->pinned = ts_cuda_pinned(count * (sizeof(int64_t) + sizeof(double)) + rates + state, "training");
    if (!t->pinned)
        return TS_ERROR_MEMORY;
    t->reached = (int64_t *)(void *)t->pinned;
    t->loss = (double *)(void *)(t->reached + count);
    t->rates = (ts_adam_rates *)(void *)(t->loss + count);
    t->state = (float *)(void *)(t->rates + (size_t)t->schedules * MOST_STEPS);
    return TS_OK;
}

// The device's memory. The layout comes first: it says how much of it is not on chip.
static ts_status create_device(training *t) {
    ts_cuda_autoencoder_work *w = &t->work;
    size_t count = (size_t)t->spec.count, features = (size_t)w->features;
    const ts_feature_data *data = t->spec.data->features;
    int64_t samples = ts_autoencoder_shape_of(t->spec.params).samples;
    for (int pass = 0; pass < 2; pass++) {
        ts_status status = pass == 1 ? ts_cuda_slab_reserve(&t->device, "training") : TS_OK;
        if (status != TS_OK)
            return status;
        ts_cuda_features_take(data, samples, &t->device, &w->data);
        ts_cuda_autoencoder_plan(w, ts_feature_expected_rows(data, samples), (ts_cuda_placement)placement_at_least,
                                 ts_cuda_properties_of()->block_shared);
        w->state = ts_cuda_slab_take(&t->device, count * ts_packed_state_floats(&t->layout), sizeof(float));
        w->scale = ts_cuda_slab_take(&t->device, count * features, sizeof(float));
        w->seed = ts_cuda_slab_take(&t->device, count, sizeof(uint64_t));
        w->betas = ts_cuda_slab_take(&t->device, count, sizeof *w->betas);
        w->schedule = ts_cuda_slab_take(&t->device, count, sizeof(int));
        w->rates = ts_cuda_slab_take(&t->device, (size_t)t->schedules * MOST_STEPS, sizeof *w->rates);
        w->reached = ts_cuda_slab_take(&t->device, count, sizeof(int64_t));
        w->loss = ts_cuda_slab_take(&t->device, count, sizeof(double));
        w->scratch = ts_cuda_slab_take(&t->device, count * w->scratch_floats, sizeof(float));
    }
    ts_status status = ts_cuda_stream(&t->stream);
    if (status == TS_OK) // Adam reads pads, too
        status = ts_cuda_zero(w->scratch, count * w->scratch_floats * sizeof(float), t->stream);
    return status != TS_OK ? status : ts_cuda_features_upload(data, &w->data, t->stream);
}

// Weights into t->state; what else an instance has, up to the device.
static ts_status initialise(training *t) {
    const ts_cuda_autoencoder_work *w = &t->work;
    size_t count = (size_t)t->spec.count, features = (size_t)w->features;
    size_t floats = ts_packed_state_floats(&t->layout);
    float *scale = ts_alloc(count * features * sizeof *scale, "training");
    ts_adam_betas *betas = ts_alloc(count * sizeof *betas, "training");
    uint64_t *seed = ts_alloc(count * sizeof *seed, "training");
    ts_status status = scale && betas && seed ? TS_OK : TS_ERROR_MEMORY;
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        const ts_params *params = &t->spec.params[i];
        float *state = t->state + i * floats;
        memset(state, 0, floats * sizeof *state);
        ts_model_initialise(params, state);
        ts_network_scale(params, w->features, NULL, scale + i * features);
        betas[i] = ts_adam_betas_of(params);
        seed[i] = (uint64_t)ts_params_integer(params, "seed");
    }
    if (status == TS_OK)
        status = ts_cuda_upload(w->state, t->state, count * floats * sizeof(float), t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload((void *)(uintptr_t)w->scale, scale, count * features * sizeof *scale, t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload((void *)(uintptr_t)w->betas, betas, count * sizeof *betas, t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload((void *)(uintptr_t)w->seed, seed, count * sizeof *seed, t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload((void *)(uintptr_t)w->schedule, t->schedule, count * sizeof(int), t->stream);
    ts_free(scale);
    ts_free(betas);
    ts_free(seed);
    *t->fetched = status == TS_OK;
    return status;
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    ts_status status = ts_cuda_enter();
    if (status != TS_OK)
        return status;
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(spec->params);
    t->spec = *spec;
    ts_padded_layout_make(spec->params, 1, &t->layout);
    t->work.instances = spec->count;
    t->work.hidden = shape.hidden;
    t->work.features = shape.features;
    t->work.schedule_steps = MOST_STEPS;
    status = create_host(t);
    if (status == TS_OK)
        status = create_device(t);
    if (status == TS_OK)
        status = initialise(t);
    if (status != TS_OK) {
        destroy(t);
        return status;
    }
    *handle = t;
    return TS_OK;
}

// --- Training ---

static ts_status launch(training *t, int64_t from, int steps) {
    ts_status status = upload_rates(t, from, steps);
    if (status != TS_OK)
        return status;
    t->work.from = from;
    t->work.steps = steps;
    status = ts_cuda_check(ts_cuda_autoencoder_train(&t->work, t->stream), "training on the GPU");
    // The rates' memory is written again for the next launch.
    return status == TS_OK ? ts_cuda_wait(t->stream, "training on the GPU") : status;
}

static ts_status train(void *handle, int64_t from, int64_t to, int64_t *reached) {
    training *t = handle;
    size_t bytes = (size_t)t->spec.count * sizeof *reached;
    ts_status status = ts_cuda_enter();
    *t->fetched = false;
    memcpy(t->reached, reached, bytes);
    if (status == TS_OK)
        status = ts_cuda_send(t->work.reached, t->reached, bytes, t->stream);
    for (int64_t step = from; status == TS_OK && step < to; step += MOST_STEPS)
        status = launch(t, step, (int)(to - step < MOST_STEPS ? to - step : MOST_STEPS));
    if (status == TS_OK)
        status = ts_cuda_download(t->reached, t->work.reached, bytes, t->stream);
    if (status == TS_OK)
        status = ts_cuda_wait(t->stream, "training on the GPU");
    if (status == TS_OK)
        memcpy(reached, t->reached, bytes);
    return status;
}

// --- State: (layout.parts, hidden + 1, features) float32, as the CPU's ---

static size_t state_bytes(const void *handle) {
    const training *t = handle;
    return ts_packed_state_floats(&t->layout) * sizeof(float);
}

// One instance's part of the state of all, which is copied to host memory at once.
static ts_status fetch(const training *t, int instance, float **state) {
    size_t bytes = (size_t)t->spec.count * state_bytes(t);
    ts_status status = TS_OK;
    if (!*t->fetched) {
        status = ts_cuda_enter();
        if (status == TS_OK)
            status = ts_cuda_download(t->state, t->work.state, bytes, t->stream);
        if (status == TS_OK)
            status = ts_cuda_wait(t->stream, "copying from the GPU");
        *t->fetched = status == TS_OK;
    }
    *state = t->state + (size_t)instance * ts_packed_state_floats(&t->layout);
    return status;
}

static ts_status get_state(const void *handle, int instance, void *state) {
    float *mine;
    ts_status status = fetch(handle, instance, &mine);
    if (status == TS_OK)
        memcpy(state, mine, state_bytes(handle));
    return status;
}

static ts_status set_state(void *handle, int instance, const void *state) {
    training *t = handle;
    float *mine;
    ts_status status = fetch(t, instance, &mine);
    if (status != TS_OK)
        return status;
    memcpy(mine, state, state_bytes(t));
    status = ts_cuda_enter();
    if (status == TS_OK)
        status = ts_cuda_upload(t->work.state + (size_t)instance * ts_packed_state_floats(&t->layout), mine,
                                state_bytes(t), t->stream);
    return status;
}

static ts_status get_parameters(const void *handle, int instance, float *parameters) {
    const training *t = handle;
    float *mine;
    ts_status status = fetch(t, instance, &mine);
    if (status == TS_OK)
        memcpy(parameters, mine, (size_t)t->layout.packed * sizeof *parameters);
    return status;
}

double ts_cuda_autoencoder_loss(const void *handle, int instance) {
    const training *t = handle;
    if (ts_cuda_enter() == TS_OK &&
        ts_cuda_download(t->loss, t->work.loss, (size_t)t->spec.count * sizeof *t->loss, t->stream) == TS_OK)
        ts_cuda_wait(t->stream, "copying from the GPU");
    return t->loss[instance];
}

// As many as the device runs at once.
static int64_t fill(const ts_params *params, const struct ts_data *all_data) {
    const ts_feature_data *data = all_data->features;
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    ts_cuda_autoencoder_work work = {.instances = 1, .hidden = shape.hidden, .features = shape.features};
    ts_cuda_slab nowhere = {0};
    ts_cuda_features_take(data, shape.samples, &nowhere, &work.data);
    ts_cuda_autoencoder_plan(&work, ts_feature_expected_rows(data, shape.samples), TS_ALL_ON_CHIP,
                             ts_cuda_properties_of()->block_shared);
    return ts_cuda_resident_blocks(ts_cuda_autoencoder_threads(&work), work.layout.chunk > 4 ? 255 : 128,
                                   ts_cuda_autoencoder_shared(&work));
}

static const char *can(const ts_params *params) {
    const char *lacks = ts_adam_can(params);
    return lacks ? lacks : ts_network_fused_can(params);
}

const ts_engine ts_cuda_autoencoder = {
    .name = TS_FUSED,
    .help = TS_FUSED_HELP,
    .model = "autoencoder",
    .can = can,
    .create = create,
    .destroy = destroy,
    .state_bytes = state_bytes,
    .get_state = get_state,
    .set_state = set_state,
    .get_parameters = get_parameters,
    .train = train,
    .fill = fill,
};
