// Model `mlp` on table tasks: hidden[a, b] = f([W_x[a], W_y[b]] W + b), logits = hidden W_U + b_U, or with one
// embedding for both tokens, or with none: hidden[a, b] = f(U[a] + V[b] + b). What engines need beyond model.h.
#pragma once

#include "param/key.h"
#include "task/table.h"

// What stands for a token (key `embedding`): an embedding W_x or W_y [n, embed]; W_E [n, embed] of both tokens; a row
// of U [n, hidden] of both; a row of U, or of V [n, hidden].
typedef enum ts_mlp_embedding {
    TS_MLP_SEPARATE,
    TS_MLP_SHARED,
    TS_MLP_ONE_HOT,
    TS_MLP_ONE_HOT_SEPARATE
} ts_mlp_embedding;

// By default tensors are, in the order in which they are drawn: W_x, W_y, W [2 embed, hidden], W_U [hidden, n_out].
typedef struct ts_mlp_shape {
    int n, n_out, embed, hidden;
    ts_mlp_embedding embedding;
    bool hidden_bias, output_bias; // b (hidden), b_U (n_out), behind the others
} ts_mlp_shape;

ts_mlp_shape ts_mlp_shape_of(const ts_params *params);
