// Weights, moments, steps and states on GPUs, for every model.
#include "backend/cuda_training.h"

#include "backend/adam_constants.h"
#include "model/network.h"
#include "task/data.h"

#include <string.h>

// Lists in `progress`.
enum { STOPPED, TAKEN, SPOILED, BEGUN, PROGRESS };

const char *ts_cuda_fused_can(const ts_params *params) {
    const char *why = ts_adam_can(params);
    why = why ? why : ts_network_fused_can(params);
    return why || !ts_model_is_large(params) ? why : "it is so large that its sums are made in parts";
}

static void begin(ts_cuda_training *t, const ts_cuda_model *model, const ts_training_spec *spec) {
    *t = (ts_cuda_training){.spec = *spec, .model = model, .instances = spec->count};
    ts_padded_layout_make(&spec->params[0], TS_QUAD, &t->layout);
    t->updates = (ts_cuda_updates){.spec = &t->spec, .layout = &t->layout};
    if (spec->data->table)
        ts_cuda_pairs_begin(&t->pairs, spec);
}

static void take(ts_cuda_training *t) {
    size_t count = (size_t)t->instances;
    t->state = ts_cuda_slab_take(&t->device, count * ts_padded_state_floats(&t->layout), sizeof(float));
    t->progress = ts_cuda_slab_take(&t->device, PROGRESS * count, sizeof(int));
    ts_cuda_updates_take(&t->updates, &t->device);
    if (t->spec.data->table)
        ts_cuda_pairs_take(&t->pairs, t->instances, &t->device);
    if (t->team)
        ts_cuda_team_take(t->team, &t->device);
    t->model->take(t);
}

static float *state_of(const ts_cuda_training *t, int instance) {
    return t->state + (size_t)instance * ts_padded_state_floats(&t->layout);
}

// --- Initial weights ---

// Weights; moments are zero. The staging area is free again when this returns.
static ts_status upload_weights(ts_cuda_training *t, int instance, float *initial) {
    const ts_params *params = &t->spec.params[instance];
    ts_model_initialise(params, initial);
    ts_padded_unpack(&t->layout, 1, initial, t->staging);
    return ts_cuda_upload(state_of(t, instance), t->staging, (size_t)t->layout.padded * sizeof(float), t->stream);
}

static ts_status host_create(ts_cuda_training *t) {
    size_t count = (size_t)t->instances, state = ts_padded_state_floats(&t->layout) * sizeof(float);
    t->next_progress = ts_cuda_pinned(PROGRESS * count * sizeof(int), "a training");
    t->staging = t->next_progress ? ts_cuda_pinned(state, "a state") : NULL;
    if (!t->staging)
        return TS_ERROR_MEMORY;
    memset(t->staging, 0, state);
    return TS_OK;
}

static ts_status upload_all_weights(ts_cuda_training *t) {
    float *initial = ts_alloc((size_t)t->layout.packed * sizeof *initial, "initial weights");
    ts_status status = initial ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < t->instances && status == TS_OK; i++)
        status = upload_weights(t, i, initial);
    ts_free(initial);
    return status;
}

static ts_status initialise(ts_cuda_training *t) {
    ts_status status = host_create(t);
    if (status == TS_OK)
        status = ts_cuda_stream(&t->stream);
    if (status == TS_OK)
        status = ts_cuda_zero(t->device.base, t->device.size, t->stream);
    if (status == TS_OK)
        status = ts_cuda_updates_create(&t->updates, t->stream);
    if (status == TS_OK && t->spec.data->table)
        status = ts_cuda_pairs_upload(&t->pairs, &t->spec, t->stream);
    if (status == TS_OK && t->model->initialise)
        status = t->model->initialise(t);
    return status == TS_OK ? upload_all_weights(t) : status;
}

// One step, replayed from then on.
static ts_status record(ts_cuda_training *t) {
    cudaGraph_t graph = NULL;
    cudaError_t error = cudaStreamBeginCapture(t->stream, cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return ts_cuda_check(error, "recording a step");
    t->back = false;
    t->model->queue(t);
    error = cudaStreamEndCapture(t->stream, &graph);
    if (t->error != cudaSuccess)
        error = t->error;
    if (error == cudaSuccess)
        error = cudaGraphInstantiate(&t->step, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    return ts_cuda_check(error, "recording a step");
}

// *out: NULL, or to be destroyed, also after a fault.
static ts_status shape(const ts_cuda_model *model, const ts_training_spec *spec, ts_cuda_training **out) {
    ts_status status = ts_cuda_enter();
    if (status != TS_OK)
        return status;
    *out = ts_alloc_zero(1, model->bytes, "a training");
    if (!*out)
        return TS_ERROR_MEMORY;
    begin(*out, model, spec);
    return model->set_shape(*out);
}

ts_status ts_cuda_training_create(const ts_cuda_model *model, const ts_training_spec *spec, void **training) {
    ts_cuda_training *t = NULL;
    ts_cuda_team *team = NULL;
    ts_status status = shape(model, spec, &t);
    if (spec->team)
        status = ts_cuda_team_create(spec->team, status, t ? t->parts : 0, t ? t->summed : 0, &team);
    if (t)
        t->team = team;
    if (status == TS_OK) {
        take(t);
        status = ts_cuda_slab_reserve(&t->device, "training");
    }
    if (status == TS_OK) {
        take(t);
        status = initialise(t);
    }
    if (team)
        status = ts_cuda_team_begin(team, status, t->stream);
    if (status == TS_OK)
        status = record(t);
    if (status == TS_OK) {
        *training = t;
    } else if (t) {
        t->broken = true;
        ts_cuda_training_destroy(t);
    }
    return status;
}

void ts_cuda_training_destroy(void *training) {
    ts_cuda_training *t = training;
    if (!t)
        return;
    if (ts_cuda_enter() == TS_OK) {
        if (t->step)
            cudaGraphExecDestroy(t->step);
        ts_cuda_team_free(t->team, t->broken);
        ts_cuda_stream_free(t->stream);
        ts_cuda_updates_free(&t->updates);
        ts_cuda_pinned_free(t->next_progress);
        ts_cuda_pinned_free(t->staging);
        ts_cuda_slab_free(&t->device);
    }
    if (t->model->end)
        t->model->end(t);
    ts_free(t);
}

// --- A step ---

ts_operand ts_cuda_training_weights(const ts_cuda_training *t, int tensor) {
    return (ts_operand){
        .first = t->state + t->layout.tensor[tensor].offset,
        .instance_step = t->layout.parts * t->layout.padded,
        .stride = (int)t->layout.tensor[tensor].stride,
    };
}

const int *ts_cuda_training_stopped(const ts_cuda_training *t) {
    return t->progress + STOPPED * t->instances;
}

const int *ts_cuda_training_begun(const ts_cuda_training *t) {
    return t->progress + BEGUN * t->instances;
}

const int *ts_cuda_training_taken(const ts_cuda_training *t) {
    return t->progress + TAKEN * t->instances;
}

void ts_cuda_training_multiply(ts_cuda_training *t, ts_product_work product) {
    product.instances = t->instances;
    product.parts = product.parts ? product.parts : 1;
    product.stopped = ts_cuda_training_stopped(t);
    product.tf32x3 = t->back && ts_network_tf32x3(&t->spec.params[0]);
    if (t->error == cudaSuccess)
        t->error = ts_cuda_product(&product, t->stream);
}

void ts_cuda_training_cross_entropy(ts_cuda_training *t, ts_operand logits, int blocks, int *bad) {
    const ts_cross_entropy_work work = {
        .instances = t->instances,
        .pairs = t->pairs.count,
        .n_out = t->pairs.n_out,
        .share = t->pairs.share,
        .logits = logits,
        .label = t->pairs.label,
        .blocks = blocks,
        .bad = bad,
        .stopped = ts_cuda_training_stopped(t),
    };
    if (t->error == cudaSuccess)
        t->error = ts_cuda_cross_entropy(&work, t->stream);
    t->back = true;
}

void ts_cuda_training_update(ts_cuda_training *t, const ts_cuda_gradient *gradient) {
    const ts_verdict_work verdict = {
        .instances = t->instances,
        .blocks = gradient->blocks,
        .bad = gradient->bad,
        .spoiled = t->progress + SPOILED * t->instances,
        .stopped = t->progress,
        .taken = t->progress + TAKEN * t->instances,
    };
    const ts_update_work update = {
        .instances = t->instances,
        .count = (int)t->layout.padded,
        .padded = (int)t->layout.padded,
        .state_parts = t->layout.parts,
        .state = t->state,
        .gradient = gradient->whole,
        .whole = (int)gradient->whole_count,
        .parts = gradient->parts,
        .partial = gradient->partial,
        .stopped = t->progress,
        .taken = t->progress + TAKEN * t->instances,
        .spoiled = t->progress + SPOILED * t->instances,
    };
    if (t->error == cudaSuccess)
        t->error = ts_cuda_verdict(&verdict, t->stream);
    if (t->error == cudaSuccess)
        t->error = ts_cuda_updates_queue(&t->updates, &update, t->stream);
}

// --- Training ---

// Constants of the next `steps` steps of every instance that is at step `from`; false if there is none.
static bool prepare(ts_cuda_training *t, int64_t from, int64_t steps, const int64_t *reached) {
    bool any = false;
    for (int i = 0; i < t->instances; i++) {
        bool alive = reached[i] == from;
        t->next_progress[i] = !alive;
        t->next_progress[TAKEN * t->instances + i] = t->next_progress[SPOILED * t->instances + i] = 0;
        t->next_progress[BEGUN * t->instances + i] = (int)from;
        any = any || alive;
        if (alive)
            ts_cuda_updates_prepare(&t->updates, i, from, steps);
    }
    return any;
}

static ts_status run_steps(ts_cuda_training *t, int64_t steps) {
    size_t count = (size_t)t->instances, progress = PROGRESS * count * sizeof(int);
    ts_status status = ts_cuda_updates_send(&t->updates, steps, t->stream);
    if (status == TS_OK)
        status = ts_cuda_send(t->progress, t->next_progress, progress, t->stream);
    for (int64_t step = 0; step < steps && status == TS_OK; step++) {
        if (t->team)
            status = ts_cuda_team_step(t->team, t->stream);
        if (status == TS_OK)
            status = ts_cuda_check(cudaGraphLaunch(t->step, t->stream), "starting a step");
    }
    if (status == TS_OK)
        status = ts_cuda_download(t->next_progress, t->progress, progress, t->stream);
    return status == TS_OK ? ts_cuda_wait(t->stream, "training") : status;
}

ts_status ts_cuda_training_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    ts_cuda_training *t = training;
    ts_status status = ts_cuda_enter();
    for (int64_t step = from; step < to && status == TS_OK;) {
        int64_t steps = to - step < TS_CUDA_STEPS_AHEAD ? to - step : TS_CUDA_STEPS_AHEAD;
        if (!prepare(t, step, steps, reached))
            break;
        status = run_steps(t, steps);
        for (int i = 0; i < t->instances && status == TS_OK; i++)
            if (reached[i] == step) // the update that spoiled it does not count
                reached[i] =
                    step + t->next_progress[TAKEN * t->instances + i] - t->next_progress[SPOILED * t->instances + i];
        step += steps;
    }
    t->broken = t->broken || status != TS_OK;
    return status;
}

// --- State ---

size_t ts_cuda_training_state_bytes(const void *training) {
    const ts_cuda_training *t = training;
    return ts_packed_state_floats(&t->layout) * sizeof(float);
}

// `parts` of an instance's weights and moments, packed.
static ts_status download(const ts_cuda_training *t, int instance, int parts, float *packed) {
    size_t bytes = (size_t)parts * (size_t)t->layout.padded * sizeof(float);
    ts_status status = ts_cuda_enter();
    if (status == TS_OK)
        status = ts_cuda_download(t->staging, state_of(t, instance), bytes, t->stream);
    if (status == TS_OK)
        status = ts_cuda_wait(t->stream, "copying from the GPU");
    if (status == TS_OK)
        ts_padded_pack(&t->layout, parts, t->staging, packed);
    return status;
}

ts_status ts_cuda_training_get_state(const void *training, int instance, void *state) {
    return download(training, instance, ((const ts_cuda_training *)training)->layout.parts, state);
}

ts_status ts_cuda_training_get_parameters(const void *training, int instance, float *parameters) {
    return download(training, instance, 1, parameters);
}

ts_status ts_cuda_training_set_state(void *training, int instance, const void *state) {
    ts_cuda_training *t = training;
    size_t bytes = ts_padded_state_floats(&t->layout) * sizeof(float);
    memset(t->staging, 0, bytes);
    ts_padded_unpack(&t->layout, t->layout.parts, state, t->staging);
    ts_status status = ts_cuda_enter();
    if (status == TS_OK)
        status = ts_cuda_upload(state_of(t, instance), t->staging, bytes, t->stream);
    return status;
}
