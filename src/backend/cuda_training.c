// Weights, moments, pairs, steps and states of the CUDA engines whose models learn a table.
#include "backend/cuda_training.h"

#include "model/network.h"
#include "task/data.h"

#include <string.h>

// Lists in `progress`.
enum { STOPPED, TAKEN, SPOILED, PROGRESS };

static void begin(ts_cuda_training *t, const ts_cuda_model *model, const ts_training_spec *spec) {
    const ts_params *params = &spec->params[0];
    const ts_table *table = spec->data->table;
    *t = (ts_cuda_training){
        .spec = *spec,
        .model = model,
        .instances = spec->count,
        .tokens = table->n,
        .n_out = table->n_out,
    };
    int64_t pairs = ts_network_train(params, table->n);
    int64_t rank = spec->team ? spec->team->rank : 0, ranks = spec->team ? spec->team->size : 1;
    t->first = (int)(pairs * rank / ranks);
    t->pairs = (int)(pairs * (rank + 1) / ranks) - t->first;
    t->share = 1.0f / (float)pairs;
    ts_padded_layout_make(params, TS_QUAD, &t->layout);
    if (spec->team)
        t->team = ts_cuda_team_create(spec->team, t->layout.padded);
}

static void take(ts_cuda_training *t) {
    size_t count = (size_t)t->instances, pairs = (size_t)t->pairs;
    t->state = ts_cuda_slab_take(&t->device, count * ts_padded_state_floats(&t->layout), sizeof(float));
    t->token = ts_cuda_slab_take(&t->device, count * 2 * pairs, sizeof(int));
    t->label = ts_cuda_slab_take(&t->device, count * pairs, sizeof(int));
    t->order = ts_cuda_slab_take(&t->device, count * 2 * pairs, sizeof(int));
    t->begin = ts_cuda_slab_take(&t->device, count * 2 * (size_t)(t->tokens + 1), sizeof(int));
    t->betas = ts_cuda_slab_take(&t->device, count, sizeof(ts_adam_betas));
    t->rates = ts_cuda_slab_take(&t->device, TS_CUDA_STEPS_AHEAD * count, sizeof(ts_adam_rates));
    t->progress = ts_cuda_slab_take(&t->device, PROGRESS * count, sizeof(int));
    if (t->team)
        ts_cuda_team_take(t->team, &t->device);
    t->model->take(t);
}

static float *state_of(const ts_cuda_training *t, int instance) {
    return t->state + (size_t)instance * ts_padded_state_floats(&t->layout);
}

// --- Initial weights and pairs ---

// One instance's pairs as they go to the device.
typedef struct pair_lists {
    int *drawn; // (n * n)
    int *token; // (2, pairs)
    int *label; // (pairs)
    int *order; // (2, pairs)
    int *begin; // (2, tokens + 1)
    ts_slab slab;
} pair_lists;

static ts_status lists_create(const ts_cuda_training *t, pair_lists *lists) {
    size_t pairs = (size_t)t->pairs, tokens = (size_t)t->tokens;
    *lists = (pair_lists){0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&lists->slab, "training pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        lists->drawn = ts_slab_take(&lists->slab, tokens * tokens, sizeof(int));
        lists->token = ts_slab_take(&lists->slab, 2 * pairs, sizeof(int));
        lists->label = ts_slab_take(&lists->slab, pairs, sizeof(int));
        lists->order = ts_slab_take(&lists->slab, 2 * pairs, sizeof(int));
        lists->begin = ts_slab_take(&lists->slab, 2 * (tokens + 1), sizeof(int));
    }
    return TS_OK;
}

// Pairs by token, each token's in their order: counting, sums of the counts, placing.
static void sort_by_token(const int *token, int pairs, int tokens, int *order, int *begin) {
    memset(begin, 0, (size_t)(tokens + 1) * sizeof *begin);
    for (int p = 0; p < pairs; p++)
        begin[token[p] + 1]++;
    for (int i = 0; i < tokens; i++)
        begin[i + 1] += begin[i];
    for (int p = 0; p < pairs; p++)
        order[begin[token[p]]++] = p;
    for (int i = tokens; i > 0; i--)
        begin[i] = begin[i - 1];
    begin[0] = 0;
}

static ts_status upload_pairs(const ts_cuda_training *t, int instance, pair_lists *lists) {
    const ts_table *table = t->spec.data->table;
    size_t pairs = (size_t)t->pairs, tokens = (size_t)t->tokens, at = (size_t)instance;
    int64_t train;
    ts_network_pairs(&t->spec.params[instance], table, lists->drawn, &train);
    for (int p = 0; p < t->pairs; p++) {
        int pair = lists->drawn[t->first + p];
        lists->token[p] = pair / t->tokens;
        lists->token[t->pairs + p] = pair % t->tokens;
        lists->label[p] = table->result[pair];
    }
    for (int side = 0; side < 2; side++)
        sort_by_token(lists->token + side * t->pairs, t->pairs, t->tokens, lists->order + side * t->pairs,
                      lists->begin + side * (t->tokens + 1));
    ts_status status = ts_cuda_upload(t->token + at * 2 * pairs, lists->token, 2 * pairs * sizeof(int), t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload(t->label + at * pairs, lists->label, pairs * sizeof(int), t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload(t->order + at * 2 * pairs, lists->order, 2 * pairs * sizeof(int), t->stream);
    if (status == TS_OK)
        status =
            ts_cuda_upload(t->begin + at * 2 * (tokens + 1), lists->begin, 2 * (tokens + 1) * sizeof(int), t->stream);
    return status;
}

static ts_status upload_betas(const ts_cuda_training *t, int instance) {
    const ts_params *params = &t->spec.params[instance];
    ts_adam_betas betas = ts_adam_betas_of(params);
    return ts_cuda_upload(t->betas + instance, &betas, sizeof betas, t->stream);
}

// Weights; moments are zero. The staging area is free again when this returns.
static ts_status upload_weights(ts_cuda_training *t, int instance, float *initial) {
    const ts_params *params = &t->spec.params[instance];
    params->schema->model->initialise(params, initial);
    ts_padded_unpack(&t->layout, 1, initial, t->staging);
    ts_status status =
        ts_cuda_upload(state_of(t, instance), t->staging, (size_t)t->layout.padded * sizeof(float), t->stream);
    return status == TS_OK ? ts_cuda_wait(t->stream, "copying initial weights") : status;
}

static ts_status host_create(ts_cuda_training *t) {
    size_t count = (size_t)t->instances, state = ts_padded_state_floats(&t->layout) * sizeof(float);
    t->adam = ts_alloc_zero(count, sizeof *t->adam, "a training");
    if (!t->adam)
        return TS_ERROR_MEMORY;
    t->next_rates = ts_cuda_pinned(TS_CUDA_STEPS_AHEAD * count * sizeof *t->next_rates, "learning rates");
    t->next_progress = t->next_rates ? ts_cuda_pinned(PROGRESS * count * sizeof(int), "a training") : NULL;
    t->staging = t->next_progress ? ts_cuda_pinned(state, "a state") : NULL;
    if (!t->staging)
        return TS_ERROR_MEMORY;
    memset(t->staging, 0, state);
    return TS_OK;
}

static ts_status initialise(ts_cuda_training *t) {
    pair_lists lists;
    ts_status status = t->spec.team && !t->team ? TS_ERROR_MEMORY : host_create(t);
    if (status == TS_OK)
        status = ts_cuda_stream(&t->stream);
    if (status == TS_OK)
        status = ts_cuda_zero(t->device.base, t->device.size, t->stream);
    if (status == TS_OK)
        status = lists_create(t, &lists);
    if (status != TS_OK)
        return status;
    float *initial = ts_alloc((size_t)t->layout.packed * sizeof *initial, "initial weights");
    status = initial ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < t->instances && status == TS_OK; i++) {
        status = upload_pairs(t, i, &lists);
        if (status == TS_OK)
            status = upload_betas(t, i);
        if (status == TS_OK)
            status = upload_weights(t, i, initial);
    }
    ts_free(initial);
    ts_slab_free(&lists.slab);
    return status;
}

// One step, replayed from then on.
static ts_status record(ts_cuda_training *t) {
    cudaGraph_t graph = NULL;
    cudaError_t error = cudaStreamBeginCapture(t->stream, cudaStreamCaptureModeThreadLocal);
    if (error != cudaSuccess)
        return ts_cuda_check(error, "recording a step");
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

ts_status ts_cuda_training_create(const ts_cuda_model *model, const ts_training_spec *spec, void **training) {
    ts_status status = ts_cuda_enter();
    ts_cuda_training *t = status == TS_OK ? ts_alloc_zero(1, model->bytes, "a training") : NULL;
    if (!t)
        return status == TS_OK ? TS_ERROR_MEMORY : status;
    begin(t, model, spec);
    status = model->set_shape(t);
    if (status == TS_OK) {
        take(t);
        status = ts_cuda_slab_reserve(&t->device, "training");
    }
    if (status == TS_OK) {
        take(t);
        status = initialise(t);
    }
    if (status == TS_OK)
        status = record(t);
    if (status == TS_OK)
        *training = t;
    else
        ts_cuda_training_destroy(t);
    return status;
}

void ts_cuda_training_destroy(void *training) {
    ts_cuda_training *t = training;
    if (!t)
        return;
    if (ts_cuda_enter() == TS_OK) {
        if (t->step)
            cudaGraphExecDestroy(t->step);
        ts_cuda_team_free(t->team);
        ts_cuda_stream_free(t->stream);
        ts_cuda_pinned_free(t->next_rates);
        ts_cuda_pinned_free(t->next_progress);
        ts_cuda_pinned_free(t->staging);
        ts_cuda_slab_free(&t->device);
        ts_free(t->adam);
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

void ts_cuda_training_multiply(ts_cuda_training *t, ts_product_work product) {
    product.instances = t->instances;
    product.parts = product.parts ? product.parts : 1;
    product.stopped = ts_cuda_training_stopped(t);
    if (t->error == cudaSuccess)
        t->error = ts_cuda_product(&product, t->stream);
}

void ts_cuda_training_cross_entropy(ts_cuda_training *t, ts_operand logits, int blocks, int *bad) {
    const ts_cross_entropy_work work = {
        .instances = t->instances,
        .pairs = t->pairs,
        .n_out = t->n_out,
        .share = t->share,
        .logits = logits,
        .label = t->label,
        .blocks = blocks,
        .bad = bad,
        .stopped = ts_cuda_training_stopped(t),
    };
    if (t->error == cudaSuccess)
        t->error = ts_cuda_cross_entropy(&work, t->stream);
}

// The gradient becomes the team's.
static void add_up(ts_cuda_training *t, ts_cuda_gradient *gradient) {
    ts_team_work work = {
        .count = (int)t->layout.padded,
        .whole = gradient->whole,
        .whole_count = (int)gradient->whole_count,
        .parts = gradient->parts,
        .partial = gradient->partial,
        .bad = gradient->bad,
        .blocks = gradient->blocks,
        .stopped = t->progress,
    };
    if (t->error == cudaSuccess)
        t->error = ts_cuda_team_queue(t->team, &work, t->stream);
    *gradient =
        (ts_cuda_gradient){.whole = work.sum, .whole_count = t->layout.padded, .bad = work.sum_bad, .blocks = 1};
}

void ts_cuda_training_update(ts_cuda_training *t, const ts_cuda_gradient *own) {
    ts_cuda_gradient gradient = *own;
    if (t->team)
        add_up(t, &gradient);
    const ts_verdict_work verdict = {
        .instances = t->instances,
        .blocks = gradient.blocks,
        .bad = gradient.bad,
        .spoiled = t->progress + SPOILED * t->instances,
        .stopped = t->progress,
        .taken = t->progress + TAKEN * t->instances,
    };
    const ts_adamw_work adamw = {
        .instances = t->instances,
        .count = (int)t->layout.padded,
        .state = t->state,
        .gradient = gradient.whole,
        .whole = (int)gradient.whole_count,
        .parts = gradient.parts,
        .partial = gradient.partial,
        .betas = t->betas,
        .rates = t->rates,
        .stopped = t->progress,
        .taken = t->progress + TAKEN * t->instances,
        .spoiled = t->progress + SPOILED * t->instances,
    };
    if (t->error == cudaSuccess)
        t->error = ts_cuda_verdict(&verdict, t->stream);
    if (t->error == cudaSuccess)
        t->error = ts_cuda_adamw(&adamw, t->stream);
}

// --- Training ---

// Constants of the next `steps` steps of every instance that is at step `from`; false if there is none.
static bool prepare(ts_cuda_training *t, int64_t from, int64_t steps, const int64_t *reached) {
    bool any = false;
    for (int i = 0; i < t->instances; i++) {
        bool alive = reached[i] == from;
        t->next_progress[i] = !alive;
        t->next_progress[TAKEN * t->instances + i] = t->next_progress[SPOILED * t->instances + i] = 0;
        any = any || alive;
        if (!alive)
            continue;
        ts_adam *adam = ts_adam_at(&t->adam[i], &t->spec.params[i], from);
        for (int64_t step = 0; step < steps; step++)
            t->next_rates[step * t->instances + i] = ts_adam_next_rates(adam);
    }
    return any;
}

static ts_status run_steps(ts_cuda_training *t, int64_t steps) {
    size_t count = (size_t)t->instances, progress = PROGRESS * count * sizeof(int);
    ts_status status = ts_cuda_upload(t->rates, t->next_rates, (size_t)steps * count * sizeof *t->rates, t->stream);
    if (status == TS_OK)
        status = ts_cuda_upload(t->progress, t->next_progress, progress, t->stream);
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
    return status == TS_OK ? ts_cuda_wait(t->stream, "copying to the GPU") : status;
}
