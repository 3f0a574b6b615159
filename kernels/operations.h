// What operations there are, for all that execute them: on rows of a batch or of tokens (src/network/graph.h).
#pragma once

typedef enum ts_operation {
    TS_PARAMETER,   // rows of a trainable tensor
    TS_INPUT,       // what each sample is given as
    TS_LOOKUP,      // row t of a matrix for each token t
    TS_PRODUCT,     // x M, or x M^T
    TS_SUM,         // x + scale y
    TS_CONCATENATE, // [x, y]
    TS_SLICE,       // columns of x
    TS_ACTIVATION,  // f(x), number by number
    TS_SCALE,       // s x, with one number s a row
    TS_NORMALISE,   // gain (x - mean) / sqrt(variance + 1e-5) + bias: layer norm
    TS_SCORE,       // scale q . k, one number a row
    TS_ATTEND,      // rate softmax(scores) + 1 - rate, one number a source
    TS_MIX,         // sum over sources of weight_j v_j
    TS_OPERATIONS,
} ts_operation;

typedef enum ts_activation {
    TS_IDENTITY,
    TS_RELU,
    TS_SQUARE,
    TS_CUBE,
    TS_ABSOLUTE,
    TS_GELU, // x Phi(x), with the exact error function
    TS_TANH,
    TS_ACTIVATIONS,
} ts_activation;

typedef enum ts_loss {
    TS_CROSS_ENTROPY,
    TS_MSE,       // sum over outputs of (z - one-hot)^2
    TS_STABLEMAX, // -log(s(z_y) / sum_j s(z_j)), s(z) = z + 1 for z >= 0, else 1 / (1 - z)
    TS_LOSSES,
} ts_loss;

enum {
    TS_MOST_SOURCES = 3,                  // that attention reads
    TS_MOST_INPUTS = 1 + TS_MOST_SOURCES, // of an operation
};
