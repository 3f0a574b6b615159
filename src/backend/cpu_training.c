// Weights, moments and updates on the CPU, for every model.
#include "backend/cpu_training.h"

float *ts_cpu_state(const ts_cpu_training *t, int instance) {
    return t->state + (size_t)instance * ts_padded_state_floats(&t->layout);
}

const float *ts_cpu_weights(const ts_cpu_training *t, int instance, int tensor) {
    return ts_cpu_state(t, instance) + t->layout.tensor[tensor].offset;
}

float *ts_cpu_gradient(const ts_cpu_training *t, int tensor) {
    return t->gradient + t->layout.tensor[tensor].offset;
}

static ts_status create_slab(ts_cpu_training *t) {
    size_t count = (size_t)t->spec.count, state = count * ts_padded_state_floats(&t->layout);
    size_t padded = (size_t)t->layout.padded;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->state = ts_slab_take_zero(&t->slab, state, sizeof *t->state);
        t->gradient = ts_slab_take_zero(&t->slab, padded, sizeof *t->gradient);
        t->scratch =
            ts_slab_take(&t->slab, ts_cpu_optimiser_scratch(&t->spec.params[0], &t->layout), sizeof *t->scratch);
        t->adam = ts_slab_take_zero(&t->slab, count, sizeof *t->adam);
        t->model->take(t);
    }
    return TS_OK;
}

static ts_status initialise(ts_cpu_training *t) {
    float *initial = ts_alloc((size_t)t->layout.packed * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        ts_model_initialise(params, initial);
        ts_padded_unpack(&t->layout, 1, initial, ts_cpu_state(t, i));
    }
    ts_free(initial);
    return t->model->initialise(t);
}

ts_status ts_cpu_training_create(const ts_cpu_model *model, const ts_training_spec *spec, void **training) {
    ts_cpu_training *t = ts_alloc_zero(1, model->bytes, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    t->spec = *spec;
    t->model = model;
    t->kernels = ts_cpu_kernels();
    ts_padded_layout_make(&spec->params[0], TS_VECTOR_LANES, &t->layout);
    ts_status status = model->set_shape(t);
    if (status == TS_OK)
        status = create_slab(t);
    if (status == TS_OK)
        status = initialise(t);
    if (status == TS_OK)
        *training = t;
    else
        ts_cpu_training_destroy(t);
    return status;
}

void ts_cpu_training_destroy(void *training) {
    ts_cpu_training *t = training;
    if (!t)
        return;
    if (t->model->end)
        t->model->end(t);
    ts_slab_free(&t->slab);
    ts_free(t);
}

ts_status ts_cpu_training_train_one(ts_cpu_training *t, int instance, int64_t from, int64_t to, int64_t *reached) {
    const ts_cpu_instance of = {
        .params = &t->spec.params[instance],
        .kernels = t->kernels,
        .layout = &t->layout,
        .adam = &t->adam[instance],
        .state = ts_cpu_state(t, instance),
        .gradient = t->gradient,
        .scratch = t->scratch,
    };
    ts_cpu_updates updates;
    ts_cpu_updates_begin(&updates, &of, from);
    t->model->select(t, instance);
    for (*reached = from; *reached < to; ++*reached) {
        bool finite;
        ts_status status = t->model->make_gradient(t, *reached, &finite);
        // A team's weights have the same bits on all ranks, so that all of them find the same here.
        if (status != TS_OK || !finite || !ts_cpu_update(&updates))
            return status;
    }
    return TS_OK;
}

ts_status ts_cpu_training_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    ts_cpu_training *t = training;
    unsigned before = ts_cpu_begin_steps();
    ts_status status = TS_OK;
    for (int i = 0; i < t->spec.count && status == TS_OK; i++)
        if (reached[i] == from)
            status = ts_cpu_training_train_one(t, i, from, to, &reached[i]);
    ts_cpu_end_steps(before);
    return status;
}

size_t ts_cpu_training_state_bytes(const void *training) {
    const ts_cpu_training *t = training;
    return ts_packed_state_floats(&t->layout) * sizeof(float);
}

ts_status ts_cpu_training_get_state(const void *training, int instance, void *state) {
    const ts_cpu_training *t = training;
    ts_padded_pack(&t->layout, t->layout.parts, ts_cpu_state(t, instance), state);
    return TS_OK;
}

ts_status ts_cpu_training_set_state(void *training, int instance, const void *state) {
    const ts_cpu_training *t = training;
    ts_padded_unpack(&t->layout, t->layout.parts, state, ts_cpu_state(t, instance));
    return TS_OK;
}

ts_status ts_cpu_training_get_parameters(const void *training, int instance, float *parameters) {
    const ts_cpu_training *t = training;
    ts_padded_pack(&t->layout, 1, ts_cpu_state(t, instance), parameters);
    return TS_OK;
}
