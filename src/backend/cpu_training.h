// What the CPU engines share: float32 weights and moments of K instances with rows padded to whole vectors, and updates
// by a gradient that a model's kernel makes. One thread trains one instance after the other, with whoever shares the
// parts of a step.
#pragma once

#include "backend/backend.h"
#include "backend/cpu_optimiser.h"
#include "base/memory.h"

// First member of every CPU training, so that the engine's functions below can take any of them.
typedef struct ts_cpu_training {
    ts_training_spec spec;
    const struct ts_cpu_model *model;
    const ts_kernels *kernels;
    ts_padded_layout layout;
    float *state;    // (count, layout.parts, layout.padded): weights, moments; pads 0
    float *gradient; // (layout.padded), 0 at first
    float *scratch;  // of an update
    ts_adam *adam;   // (count)
    ts_slab slab;    // all of it, and the model's own
} ts_cpu_training;

// What a model brings: everything but `end`. All get the training, which starts with a ts_cpu_training.
typedef struct ts_cpu_model {
    size_t bytes;                         // of the training
    ts_status (*set_shape)(void *);       // from its spec and layout; all else is zero then
    void (*take)(void *);                 // what it needs of the slab, in both passes
    ts_status (*initialise)(void *);      // fills in what it took
    void (*select)(void *, int instance); // whose gradients are wanted from now on
    // Writes `gradient`; *finite: all losses are. An error is its team's.
    ts_status (*make_gradient)(void *, int64_t step, bool *finite);
    void (*end)(void *); // NULL: there is nothing to free but the slab
} ts_cpu_model;

ts_status ts_cpu_training_create(const ts_cpu_model *model, const ts_training_spec *spec, void **training);

float *ts_cpu_state(const ts_cpu_training *t, int instance); // (layout.parts, layout.padded)
const float *ts_cpu_weights(const ts_cpu_training *t, int instance, int tensor);
float *ts_cpu_gradient(const ts_cpu_training *t, int tensor);

// Engine functions. State: (layout.parts, parameters) float32 in the model's layout.
void ts_cpu_training_destroy(void *training);
size_t ts_cpu_training_state_bytes(const void *training);
ts_status ts_cpu_training_get_state(const void *training, int instance, void *state);
ts_status ts_cpu_training_set_state(void *training, int instance, const void *state);
ts_status ts_cpu_training_get_parameters(const void *training, int instance, float *parameters);
ts_status ts_cpu_training_train(void *training, int64_t from, int64_t to, int64_t *reached);

// One instance, between ts_cpu_begin_steps and its end.
ts_status ts_cpu_training_train_one(ts_cpu_training *t, int instance, int64_t from, int64_t to, int64_t *reached);

#define TS_CPU_STATE_FUNCTIONS                                                                                         \
    .destroy = ts_cpu_training_destroy, .state_bytes = ts_cpu_training_state_bytes,                                    \
    .get_state = ts_cpu_training_get_state, .set_state = ts_cpu_training_set_state,                                    \
    .get_parameters = ts_cpu_training_get_parameters
#define TS_CPU_ENGINE_FUNCTIONS TS_CPU_STATE_FUNCTIONS, .train = ts_cpu_training_train
