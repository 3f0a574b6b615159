// Model `transformer` on table tasks: attention over the tokens a, b and (unless `context: none`) "=", and a hidden
// layer, once or in several layers; only the last position is read. What engines and the files of the model need
// beyond model.h.
#pragma once

#include "network/graph.h"
#include "param/key.h"

#include <stdbool.h>
#include <stdint.h>

enum { TS_MOST_LAYERS = 4, TS_MOST_POSITIONS = TS_MOST_SOURCES };

// Tensors of one layer without biases and layer norm, in the order in which they are drawn, with d = model, k = head,
// m = neurons: W_E [n + 1, d], W_pos [3, d], W_Q, W_K, W_V [heads, d, k], W_O [heads, k, d], W_in [d, m],
// W_out [m, d], W_U [d, n_out].
enum { TS_W_E, TS_W_POS, TS_W_Q, TS_W_K, TS_W_V, TS_W_O, TS_W_IN, TS_W_OUT, TS_W_U, TS_TRANSFORMER_TENSORS };

// Tensors that every layer has, those of biases and of layer norm last: b_in [m], b_out [d]; gains and biases [d].
typedef enum ts_layer_tensor {
    TS_LAYER_Q,
    TS_LAYER_K,
    TS_LAYER_V,
    TS_LAYER_O,
    TS_LAYER_IN,
    TS_LAYER_OUT,
    TS_LAYER_B_IN,
    TS_LAYER_B_OUT,
    TS_LAYER_GAIN_1, // before attention
    TS_LAYER_SHIFT_1,
    TS_LAYER_GAIN_2, // before the hidden layer
    TS_LAYER_SHIFT_2,
    TS_LAYER_TENSORS,
} ts_layer_tensor;

typedef struct ts_transformer_shape {
    int n, classes;  // of the table
    int n_out;       // outputs, of which the first are the classes
    int model;       // width of the residual stream
    int heads;       //
    int head;        // width of one
    int neurons;     // width of the hidden layer
    int layers;      //
    int positions;   // 3, or 2 without "="
    bool separate;   // a and b have embeddings of their own: W_E [2 n (+ 1), d], those of b behind those of a
    bool mask;       // a position attends to itself and those before it; else to all
    bool bias, norm; // there are b_in and b_out; layer norms
    ts_activation activation;
    double rate; // weights of attention are rate softmax(scores) + 1 - rate
} ts_transformer_shape;

ts_transformer_shape ts_transformer_shape_of(const ts_params *params);

// Where a tensor of a layer, W_U, and the gain of the last layer norm (its bias is behind it) stand in the layout.
int ts_transformer_tensor(const ts_transformer_shape *shape, ts_layer_tensor which, int layer);
int ts_transformer_unembedding(const ts_transformer_shape *shape);
int ts_transformer_last_norm(const ts_transformer_shape *shape);

// ts_model.define.
int ts_transformer_define(const ts_params *params, ts_graph *graph);

// Whether it takes fewer operations to take `pairs` pairs from the hidden layer to logits through the product
// W_out W_U, made once, than through W_out and then W_U.
bool ts_transformer_direct(const ts_transformer_shape *shape, double pairs);
