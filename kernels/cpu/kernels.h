// CPU kernels: one table of functions per instruction set, all made from the same source (simd.h). Which one
// runs is decided at run time by src/backend/cpu.c. Kernels know shapes and pointers, nothing of sweeps or
// ranks.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Feature rows are padded to whole vectors: `stride` floats, pads zero.
enum { TS_VECTOR_LANES = 16, TS_MAX_BLOCK = 8 };
#define TS_PAD(n) (((n) + TS_VECTOR_LANES - 1) / TS_VECTOR_LANES * TS_VECTOR_LANES)

// One autoencoder: shapes, parameters and scratch, for ts_kernels.autoencoder_gradient.
typedef struct ts_autoencoder_work {
    int hidden, features;
    int stride;              // TS_PAD(features)
    int hidden_stride;       // TS_PAD(hidden)
    const float *parameters; // (hidden + 1, stride): rows of W, then b
    const float *scale;      // (stride) importance / features, pads 0
    float *gradient;         // (hidden + 1, stride): written
    // Scratch.
    float *w_columns;  // (stride, hidden_stride): W transposed
    float *dw_columns; // (stride, hidden_stride)
    float *h, *dh;     // (TS_MAX_BLOCK, hidden_stride)
    float *x;          // (TS_MAX_BLOCK, stride): zero on entry and on return
    float *dz;         // (TS_MAX_BLOCK, stride)
} ts_autoencoder_work;

// A batch in sparse rows: see ts_feature_batch.
typedef struct ts_sparse_rows {
    int rows;
    const int *begin, *end, *active;
    const float *value;
    const double *weight;
} ts_sparse_rows;

// One multilayer perceptron on a table task (model/mlp.h), for ts_kernels.mlp_gradient. Rows of W_x, W_y are
// padded to embed_stride floats, of W and the hidden layer to hidden_stride, of W_U and the logits to
// out_stride; pads are zero.
typedef struct ts_mlp_work {
    int n, n_out, embed, hidden;
    int embed_stride, hidden_stride, out_stride;
    int pairs;                      // training pairs
    const int *a, *b, *label;       // (pairs)
    const float *w_x, *w_y;         // (n, embed_stride)
    const float *w;                 // (2 embed, hidden_stride)
    const float *w_u;               // (hidden, out_stride)
    float *dw_x, *dw_y, *dw, *dw_u; // gradients, written
    // Scratch.
    float *left, *right;   // (n, hidden_stride): W_x W[:embed], W_y W[embed:]
    float *dleft, *dright; // (n, hidden_stride)
    float *w_u_columns;    // (out_stride, hidden_stride): W_U transposed
    float *w_columns;      // (hidden_stride, 2 embed_stride): both halves of W transposed, side by side
    float *h, *dh;         // (TS_MLP_TILE, hidden_stride)
    float *z;              // (TS_MLP_TILE, out_stride)
    const float *valid;    // (TS_VECTOR_LANES): 1 for the logits in the last vector of a row, 0 for its pads
} ts_mlp_work;

enum {
    TS_MLP_TILE = 48
}; // pairs handled at once: their hidden layer, logits and gradients stay in the cache

// take = 1 - beta, rounded once from double precision (1 - 0.999f is off by 5e-5); decay = 1 - lr * weight
// decay.
typedef struct ts_adam_constants {
    float beta1, take1, beta2, take2, rate, root, epsilon, decay;
} ts_adam_constants;

typedef struct ts_kernels {
    const char *name;

    // Loss of the batch, and its gradient.
    double (*autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch);

    // Gradient of the mean cross-entropy over the training pairs. False if a loss is not finite.
    bool (*mlp_gradient)(const ts_mlp_work *work);

    // exp of each of `count` (a multiple of TS_VECTOR_LANES) numbers, to 2 ulp; below -87.3 the result is 0.
    void (*exponential)(const float *x, float *out, int64_t count);

    // state: (3, count): parameters, first and second moments; count a multiple of TS_VECTOR_LANES.
    void (*adam)(float *state, const float *gradient, int64_t count, ts_adam_constants constants);

    // Multiply-adds of independent chains in registers, `rounds` times; returns the operations done. For
    // finding the machine's peak; *sink keeps the result alive.
    double (*peak)(int64_t rounds, float *sink);
} ts_kernels;

#ifdef TS_HAVE_AVX512
extern const ts_kernels ts_kernels_avx512;
#endif
#ifdef TS_HAVE_AVX2
extern const ts_kernels ts_kernels_avx2;
#endif
extern const ts_kernels ts_kernels_portable;

// Names of the functions and the table of the instruction set being compiled.
#ifdef TS_KERNELS
#define TS_JOIN_(a, b)   a##_##b
#define TS_JOIN(a, b)    TS_JOIN_(a, b)
#define TS_FOR_SET(name) TS_JOIN(name, TS_KERNELS)
double TS_FOR_SET(ts_autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch);
void TS_FOR_SET(ts_adam)(float *state, const float *gradient, int64_t count, ts_adam_constants constants);
bool TS_FOR_SET(ts_mlp_gradient)(const ts_mlp_work *work);
void TS_FOR_SET(ts_exponential)(const float *x, float *out, int64_t count);
double TS_FOR_SET(ts_peak)(int64_t rounds, float *sink);
#endif
