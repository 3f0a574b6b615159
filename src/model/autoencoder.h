// Model `autoencoder`: x_hat = relu(W^T W x + b), the toy model of superposition.
// loss = mean over batch and features of importance_i (x_i - x_hat_i)^2. Parameters: W [hidden, features],
// b [features]. What backends need to know beyond model.h.
#pragma once

#include "param/key.h"

typedef struct ts_autoencoder_shape {
    int hidden, features;
    int64_t samples; // batch; 0: exact
} ts_autoencoder_shape;

ts_autoencoder_shape ts_autoencoder_shape_of(const ts_params *params);
