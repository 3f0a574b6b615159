// Model `transformer` on table tasks: one layer, causal attention over the tokens a, b and "=" (token n), ReLU,
// no biases, no normalisation; only the last position is read. What engines need beyond model.h.
#pragma once

#include "param/key.h"

#include <stdbool.h>
#include <stdint.h>

// Tensors in the order in which they are drawn, with d = model, k = head, m = neurons:
// W_E [n + 1, d], W_pos [3, d], W_Q, W_K, W_V [heads, d, k], W_O [heads, k, d], W_in [d, m], W_out [m, d],
// W_U [d, n_out].
enum { TS_W_E, TS_W_POS, TS_W_Q, TS_W_K, TS_W_V, TS_W_O, TS_W_IN, TS_W_OUT, TS_W_U, TS_TRANSFORMER_TENSORS };

typedef struct ts_transformer_shape {
    int n, n_out;
    int model;   // width of the residual stream
    int heads;   //
    int head;    // width of one
    int neurons; // width of the hidden layer
} ts_transformer_shape;

ts_transformer_shape ts_transformer_shape_of(const ts_params *params);

// Whether it takes fewer operations to take `pairs` pairs from the hidden layer to logits through the product
// W_out W_U, made once, than through W_out and then W_U.
bool ts_transformer_direct(const ts_transformer_shape *shape, double pairs);
