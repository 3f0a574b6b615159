// Model `autoencoder`: x_hat = relu(D^T h + b), h = act(W x); by default D = W and act is the identity, the toy model
// of superposition. loss = mean over batch and features of importance_i (target_i - x_hat_i)^2, + l1 mean over the
// batch of sum_k |h_k|. Parameters: W (hidden, features), W_dec (the same) where D is not W, b (features) where there
// is a bias. What backends need to know beyond model.h.
#pragma once

#include "param/key.h"

typedef struct ts_autoencoder_shape {
    int hidden, features;
    int64_t samples; // of a step; 0: exact
} ts_autoencoder_shape;

ts_autoencoder_shape ts_autoencoder_shape_of(const ts_params *params);
