// What tests need of the reference transformer beyond the engine: one loss and gradient.
#pragma once

#include "backend/backend.h"

// Mean cross-entropy over the training pairs of instance spec->params[0], and its gradient. weights,
// gradient: in the model's layout.
ts_status ts_reference_transformer_gradient(const ts_training_spec *spec, const double *weights, double *loss,
                                            double *gradient);
