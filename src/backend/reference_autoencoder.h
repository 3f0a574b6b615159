// What tests need of the reference autoencoder beyond the engine: one loss and gradient, for finite
// differences.
#pragma once

#include "backend/backend.h"

// Loss and gradient of instance spec->params[0] on the batch of `step`. weights, gradient: ((hidden + 1) *
// features) in the model's layout.
ts_status ts_reference_autoencoder_gradient(const ts_training_spec *spec, const double *weights, int64_t step,
                                            double *loss, double *gradient);
