// Muon (Jordan et al. 2024): of matrices between hidden layers, a step along the orthogonal matrix that is nearest to
// the momentum, made by five Newton-Schulz iterations; AdamW steps the other tensors. With g the gradient of a matrix
// (rows, columns) and p the weights,
//     m = momentum m + (1 - momentum) g;  u = momentum m + (1 - momentum) g;  x = u / (|u| + 1e-7)
//     five times: a = x x^T;  x = 3.4445 x + (-4.7750 a + 2.0315 a a) x
//     p = (1 - lr weight_decay) p - lr sqrt(max(1, rows / columns)) x
// A tensor of three dimensions is so many matrices, of the last two. Not: how float32 does it (kernels/cpu/muon.c).
#pragma once

#include "network/layout.h"

#include <stdbool.h>

// Of x, of x a, and of x a a; and what keeps it from a division by 0.
#define TS_MUON_LINEAR  3.4445
#define TS_MUON_CUBIC   (-4.7750)
#define TS_MUON_QUINTIC 2.0315
#define TS_MUON_EPSILON 1e-7
enum { TS_MUON_ITERATIONS = 5 };

// Whether Muon steps the tensor: one of matrices neither dimension of which counts tokens, positions or outputs.
bool ts_muon_takes(const ts_tensor *tensor);

// The matrices of a tensor: so many of them, of (rows, columns) each.
typedef struct ts_matrices {
    int64_t count, rows, columns;
} ts_matrices;
ts_matrices ts_muon_matrices(const ts_tensor *tensor);

double ts_muon_factor(ts_matrices shape); // sqrt(max(1, rows / columns))
