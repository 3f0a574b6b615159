// Weights, moments and updates of the reference engines, for every model and optimiser.
#include "backend/reference.h"

#include "model/model.h"
#include "model/optimiser.h"

#include <math.h>
#include <string.h>

static double *state_of(const ts_reference *t, int instance) {
    return t->state + (size_t)instance * (size_t)t->parts * (size_t)t->parameters;
}

static ts_status create_slab(ts_reference *t) {
    size_t count = (size_t)t->spec.count, parameters = (size_t)t->parameters;
    size_t state = count * (size_t)t->parts * parameters;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->state = ts_slab_take_zero(&t->slab, state, sizeof *t->state);
        t->gradient = ts_slab_take(&t->slab, parameters, sizeof *t->gradient);
        t->memory = ts_slab_take_zero(&t->slab, count, t->optimiser->memory);
        t->model->take(t);
    }
    return TS_OK;
}

static ts_status initialise(ts_reference *t) {
    float *initial = ts_alloc((size_t)t->parameters * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        params->schema->model->initialise(params, initial);
        for (int64_t p = 0; p < t->parameters; p++)
            state_of(t, i)[p] = initial[p];
    }
    ts_free(initial);
    return t->model->initialise(t);
}

ts_status ts_reference_create(const ts_reference_model *model, const ts_training_spec *spec, void **training) {
    ts_reference *t = ts_alloc_zero(1, model->bytes, "a training");
    ts_parameter_layout layout;
    if (!t)
        return TS_ERROR_MEMORY;
    spec->params[0].schema->model->layout(&spec->params[0], &layout);
    t->spec = *spec;
    t->model = model;
    t->optimiser = ts_optimiser_of(&spec->params[0]);
    t->parameters = layout.total;
    t->parts = 1 + t->optimiser->moments;
    ts_status status = create_slab(t);
    if (status == TS_OK)
        status = initialise(t);
    if (status == TS_OK)
        *training = t;
    else
        ts_reference_destroy(t);
    return status;
}

void ts_reference_destroy(void *training) {
    ts_reference *t = training;
    if (!t)
        return;
    if (t->model->end)
        t->model->end(t);
    ts_slab_free(&t->slab);
    ts_free(t);
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

static int64_t train_instance(ts_reference *t, int instance, int64_t from, int64_t to) {
    double *state = state_of(t, instance);
    char *memory = t->memory + (size_t)instance * t->optimiser->memory;
    for (int64_t step = from; step < to; step++) {
        if (!isfinite(t->model->loss(t, instance, step, state, t->gradient)))
            return step;
        t->optimiser->update(&t->spec.params[instance], step, memory, t->parameters, t->gradient, state);
        if (!all_finite(state, t->parameters, t->parts))
            return step;
    }
    return to;
}

ts_status ts_reference_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    ts_reference *t = training;
    for (int i = 0; i < t->spec.count; i++)
        if (reached[i] == from)
            reached[i] = train_instance(t, i, from, to);
    return TS_OK;
}

size_t ts_reference_state_bytes(const void *training) {
    const ts_reference *t = training;
    return (size_t)t->parts * (size_t)t->parameters * sizeof *t->state;
}

ts_status ts_reference_get_state(const void *training, int instance, void *state) {
    memcpy(state, state_of(training, instance), ts_reference_state_bytes(training));
    return TS_OK;
}

ts_status ts_reference_set_state(void *training, int instance, const void *state) {
    memcpy(state_of(training, instance), state, ts_reference_state_bytes(training));
    return TS_OK;
}

ts_status ts_reference_get_parameters(const void *training, int instance, float *parameters) {
    const ts_reference *t = training;
    for (int64_t p = 0; p < t->parameters; p++)
        parameters[p] = (float)state_of(t, instance)[p];
    return TS_OK;
}

ts_status ts_reference_gradient(const ts_training_spec *spec, const double *weights, int64_t step, double *loss,
                                double *gradient) {
    const ts_engine *engine = ts_backend_engine(ts_backend_find("reference"), &spec->params[0], NULL);
    void *training = NULL;
    ts_status status = engine->create(spec, &training);
    if (status != TS_OK)
        return status;
    *loss = ((ts_reference *)training)->model->loss(training, 0, step, weights, gradient);
    engine->destroy(training);
    return TS_OK;
}
