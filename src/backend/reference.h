// The backend `reference`: one engine for every model and optimiser. It executes a network as its model defines it, in
// double precision (network/pass.h), and takes the optimiser's own update.
#pragma once

#include "backend/backend.h"

extern const ts_engine ts_reference_engine;

// For tests: loss and gradient of instance spec->params[0] of any model at a step. weights, gradient: in the model's
// layout.
ts_status ts_reference_gradient(const ts_training_spec *spec, const double *weights, int64_t step, double *loss,
                                double *gradient);
