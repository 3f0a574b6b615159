// What the reference engines share: double-precision weights and moments of K instances, saved as they are, and the
// optimiser's own update on a gradient that a model makes in plain loops.
#pragma once

#include "backend/backend.h"
#include "base/memory.h"

struct ts_optimiser;

// First member of every reference training, so that the engine's functions below can take any of them.
typedef struct ts_reference {
    ts_training_spec spec;
    const struct ts_reference_model *model;
    const struct ts_optimiser *optimiser;
    int64_t parameters; // per instance, in the model's layout
    int parts;          // of a state: parameters, and each moment
    double *state;      // (count, parts, parameters)
    double *gradient;   // (parameters)
    char *memory;       // (count, optimiser->memory)
    ts_slab slab;       // all of it, and the model's own
} ts_reference;

// What a model brings: everything but `end`. All get the training, which starts with a ts_reference.
typedef struct ts_reference_model {
    size_t bytes;                    // of the training
    void (*take)(void *);            // what it needs of the slab, in both passes; all else is zero then
    ts_status (*initialise)(void *); // fills in what it took
    void (*end)(void *);             // NULL: there is nothing to free but the slab
    // Loss of an instance with given weights at a step, and its gradient. Both (parameters).
    double (*loss)(void *, int instance, int64_t step, const double *weights, double *gradient);
} ts_reference_model;

ts_status ts_reference_create(const ts_reference_model *model, const ts_training_spec *spec, void **training);

// Engine functions. State: (parts, parameters) float64 in the model's layout.
void ts_reference_destroy(void *training);
size_t ts_reference_state_bytes(const void *training);
ts_status ts_reference_get_state(const void *training, int instance, void *state);
ts_status ts_reference_set_state(void *training, int instance, const void *state);
ts_status ts_reference_get_parameters(const void *training, int instance, float *parameters);
ts_status ts_reference_train(void *training, int64_t from, int64_t to, int64_t *reached);

#define TS_REFERENCE_ENGINE_FUNCTIONS                                                                                  \
    .destroy = ts_reference_destroy, .state_bytes = ts_reference_state_bytes, .get_state = ts_reference_get_state,     \
    .set_state = ts_reference_set_state, .get_parameters = ts_reference_get_parameters, .train = ts_reference_train

// For tests: loss and gradient of instance spec->params[0] of any model at a step. weights, gradient: in the model's
// layout.
ts_status ts_reference_gradient(const ts_training_spec *spec, const double *weights, int64_t step, double *loss,
                                double *gradient);
