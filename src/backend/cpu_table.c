#include "backend/cpu_table.h"

#include "backend/adam_constants.h"
#include "model/network.h"
#include "task/data.h"

#include <stdlib.h>
#include <string.h>

static float *state_of(const ts_cpu_table *t, int instance) {
    return t->state + (size_t)instance * 3 * (size_t)t->padded;
}

const float *ts_cpu_table_weights(const ts_cpu_table *t, int instance, int tensor) {
    return state_of(t, instance) + t->tensor[tensor].offset;
}

float *ts_cpu_table_gradient(const ts_cpu_table *t, int tensor) {
    return t->gradient + t->tensor[tensor].offset;
}

const int *ts_cpu_table_pairs(const ts_cpu_table *t, int instance) {
    return t->pairs + (size_t)instance * 3 * (size_t)t->train;
}

// Copies one instance's parameters packed <-> padded.
static void repack(const ts_cpu_table *t, const float *from, float *to, bool unpack) {
    int64_t at = 0;
    for (int i = 0; i < t->tensors; i++) {
        const ts_cpu_tensor *tensor = &t->tensor[i];
        for (int64_t r = 0; r < tensor->rows; r++, at += tensor->columns) {
            int64_t padded = tensor->offset + r * tensor->stride;
            memcpy(to + (unpack ? padded : at), from + (unpack ? at : padded),
                   (size_t)tensor->columns * sizeof(float));
        }
    }
}

void ts_cpu_table_begin(ts_cpu_table *t, const ts_training_spec *spec) {
    ts_parameter_layout layout;
    const ts_params *params = &spec->params[0];
    const ts_table *table = spec->data->table;
    params->schema->model->layout(params, &layout);
    *t = (ts_cpu_table){.spec = *spec, .kernels = ts_cpu_kernels(), .tensors = layout.count};
    t->packed = layout.total;
    t->train = (int64_t)(ts_params_real(params, "train_fraction") * ((double)table->n * table->n));
    int64_t rank = spec->team ? spec->team->rank : 0, ranks = spec->team ? spec->team->size : 1;
    t->first = t->train * rank / ranks;
    t->own = t->train * (rank + 1) / ranks - t->first;
    for (int i = 0; i < layout.count; i++) {
        const ts_tensor *tensor = &layout.tensor[i];
        int64_t columns = tensor->size[tensor->rank - 1], rows = 1;
        for (int d = 0; d < tensor->rank - 1; d++)
            rows *= tensor->size[d];
        t->tensor[i] = (ts_cpu_tensor){rows, columns, TS_PAD(columns), t->padded};
        t->padded += rows * t->tensor[i].stride;
    }
}

void ts_cpu_table_take(ts_cpu_table *t) {
    ts_slab *slab = &t->slab;
    size_t count = (size_t)t->spec.count;
    t->state = ts_slab_take(slab, count * 3 * (size_t)t->padded, sizeof(float));
    t->gradient = ts_slab_take(slab, (size_t)t->padded, sizeof(float));
    t->pairs = ts_slab_take(slab, count * 3 * (size_t)t->train, sizeof(int));
    t->valid = ts_slab_take(slab, TS_VECTOR_LANES, sizeof(float));
    t->adam = ts_slab_take(slab, count, sizeof(ts_adam));
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

// Enters an instance's training pairs; `drawn`: (n * n) scratch.
static void enter_pairs(ts_cpu_table *t, int instance, int block, int *drawn) {
    const ts_table *table = t->spec.data->table;
    int n = table->n, *own = t->pairs + (size_t)instance * 3 * (size_t)t->train;
    ts_network_pairs(&t->spec.params[instance], table, drawn, &t->train);
    for (int64_t p = 0; p < t->train && block > 0; p++)
        drawn[p] += drawn[p] % n / block * n * n;
    if (block > 0)
        qsort(drawn, (size_t)t->train, sizeof *drawn, ascending);
    for (int64_t p = 0; p < t->train; p++) {
        int pair = drawn[p] % (n * n);
        own[p] = pair / n;
        own[t->train + p] = pair % n;
        own[2 * t->train + p] = table->result[pair];
    }
}

ts_status ts_cpu_table_initialise(ts_cpu_table *t, int block) {
    const ts_table *table = t->spec.data->table;
    float *initial = ts_alloc((size_t)t->packed * sizeof *initial, "initial weights");
    int *drawn = ts_alloc((size_t)table->n * (size_t)table->n * sizeof *drawn, "training pairs");
    ts_status status = initial && drawn ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count && status == TS_OK; i++) {
        const ts_params *params = &t->spec.params[i];
        params->schema->model->initialise(params, initial);
        repack(t, initial, state_of(t, i), true);
        enter_pairs(t, i, block, drawn);
    }
    for (int j = 0; j < TS_VECTOR_LANES; j++)
        t->valid[j] = j < (table->n_out - 1) % TS_VECTOR_LANES + 1 ? 1 : 0;
    ts_free(initial);
    ts_free(drawn);
    return status;
}

static int64_t train_instance(ts_cpu_table *t, int instance, int64_t from, int64_t to) {
    const ts_team *team = t->spec.team;
    ts_adam *adam = ts_adam_at(&t->adam[instance], &t->spec.params[instance], from);
    ts_adam_betas betas = ts_adam_betas_of(&t->spec.params[instance]);
    for (int64_t step = from; step < to; step++) {
        bool finite = t->make_gradient(t);
        if (team)
            finite = team->sum(team->context, t->gradient, t->padded, finite);
        // A team's weights have the same bits on all ranks, so that all of them find the same here.
        if (!finite ||
            !t->kernels->adam(state_of(t, instance), t->gradient, t->padded, betas, ts_adam_next_rates(adam)))
            return step;
    }
    return to;
}

ts_status ts_cpu_table_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    ts_cpu_table *t = training;
    unsigned before = ts_cpu_begin_steps();
    for (int i = 0; i < t->spec.count; i++) {
        if (reached[i] != from)
            continue;
        t->aim(training, i);
        reached[i] = train_instance(t, i, from, to);
    }
    ts_cpu_end_steps(before);
    return TS_OK;
}

void ts_cpu_table_destroy(void *training) {
    ts_cpu_table *t = training;
    if (!t)
        return;
    ts_slab_free(&t->slab);
    ts_free(t);
}

size_t ts_cpu_table_state_bytes(const void *training) {
    return 3 * (size_t)((const ts_cpu_table *)training)->packed * sizeof(float);
}

ts_status ts_cpu_table_get_state(const void *training, int instance, void *state) {
    const ts_cpu_table *t = training;
    for (int part = 0; part < 3; part++)
        repack(t, state_of(t, instance) + part * t->padded, (float *)state + part * t->packed, false);
    return TS_OK;
}

ts_status ts_cpu_table_set_state(void *training, int instance, const void *state) {
    const ts_cpu_table *t = training;
    for (int part = 0; part < 3; part++)
        repack(t, (const float *)state + part * t->packed, state_of(t, instance) + part * t->padded, true);
    return TS_OK;
}

ts_status ts_cpu_table_get_parameters(const void *training, int instance, float *parameters) {
    repack(training, state_of(training, instance), parameters, false);
    return TS_OK;
}
