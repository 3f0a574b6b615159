// Model `mlp` on table tasks: hidden[a, b] = relu([W_x[a], W_y[b]] W), logits = hidden W_U, no biases;
// full-batch AdamW on the mean cross-entropy over the training pairs. What engines need beyond model.h.
#pragma once

#include "param/key.h"
#include "task/table.h"

// Tensors in the order in which they are drawn: W_x [n, embed], W_y [n, embed], W [2 embed, hidden],
// W_U [hidden, n_out].
typedef struct ts_mlp_shape {
    int n, n_out, embed, hidden;
} ts_mlp_shape;

ts_mlp_shape ts_mlp_shape_of(const ts_params *params);
