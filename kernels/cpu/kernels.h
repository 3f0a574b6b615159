// CPU kernels: one table of functions per instruction set, all made from the same source (simd.h). Which one
// runs is decided at run time by src/backend/cpu.c. Kernels know shapes and pointers, nothing of sweeps or
// ranks.
#pragma once

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

// take = 1 - beta, rounded once from double precision (1 - 0.999f is off by 5e-5).
typedef struct ts_adam_constants {
    float beta1, take1, beta2, take2, rate, root, epsilon;
} ts_adam_constants;

typedef struct ts_kernels {
    const char *name;

    // Loss of the batch, and its gradient.
    double (*autoencoder_gradient)(const ts_autoencoder_work *work, const ts_sparse_rows *batch);

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
double TS_FOR_SET(ts_peak)(int64_t rounds, float *sink);
#endif
