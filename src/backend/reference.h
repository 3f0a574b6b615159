// What the reference engines share: double-precision weights and moments of K instances, saved as they are.
#pragma once

#include "backend/backend.h"

// First member of every reference training, so that the engine's functions below can take any of them.
typedef struct ts_reference_state {
    int64_t parameters; // per instance, in the model's layout
    double *state;      // (instances, 3, parameters): weights, first and second moments; the training's
} ts_reference_state;

double *ts_reference_weights(const ts_reference_state *reference, int instance);

// Engine functions; `training` starts with a ts_reference_state.
size_t ts_reference_state_bytes(const void *training);
ts_status ts_reference_get_state(const void *training, int instance, void *state);
ts_status ts_reference_set_state(void *training, int instance, const void *state);
ts_status ts_reference_get_parameters(const void *training, int instance, float *parameters);
