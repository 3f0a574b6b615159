// CUDA kernels of updates (model/optimiser.h) in float32, for K instances: Adam, gradient descent, Muon but for its
// products; and what becomes of a gradient before. In which order, and of which tensors, is the backend's matter
// (src/backend/cuda_optimiser.h).
#pragma once

#include "optimiser.h"
#include "step.h"

#ifdef __cplusplus
extern "C" {
#endif

// Of an instance. take = 1 - keep, rounded once.
typedef struct ts_update_constants {
    ts_adam_betas betas;
    float coupled;    // weight decay that is added to the gradient
    float keep, take; // of momentum
    float lambda;     // of grokfast
} ts_update_constants;

// Of one of its updates.
typedef struct ts_update_rates {
    ts_adam_rates adam;
    float rate, decay; // beside Adam's
    float keep, take;  // of grokfast's average: 0 and 1 at first
} ts_update_rates;

// What is updated: numbers first .. first + count - 1 of each instance's parameters, pads included; multiples of
// TS_QUAD. Constants are those of update taken - 1.
typedef struct ts_update_work {
    int instances, first, count;
    int padded, state_parts;
    float *state;    // (instances, state_parts, padded): weights, moments, grokfast's average
    float *gradient; // (instances, whole), changed but by adamw
    int whole;       // padded; or (adamw) less: parameters from this one on have their gradient in parts:
    int parts;
    const float *partial;                 // (instances, parts, padded - whole), to be added up in order
    const ts_update_constants *constants; // (instances)
    const ts_update_rates *rates;         // (updates, instances)
    const int *taken, *stopped;           // (instances)
    int *spoiled;                         // (instances): becomes 1 where a parameter, or a moment, is not finite now
} ts_update_work;

// The gradient: with lambda times its average, without its part along the weights (of a tensor, which is as long as
// before), with the weights' decay.
cudaError_t ts_cuda_grokfast(const ts_update_work *work, cudaStream_t stream);
cudaError_t ts_cuda_orthograd(const ts_update_work *work, cudaStream_t stream);
cudaError_t ts_cuda_add_decay(const ts_update_work *work, cudaStream_t stream);

// Before adamw: of the instances whose decay is above 1, columns of the matrix `rows` rows of `stride` long that begins
// at `first`.
cudaError_t ts_cuda_grow(const ts_update_work *work, int rows, int stride, cudaStream_t stream);

// The parameters.
cudaError_t ts_cuda_adamw(const ts_update_work *work, cudaStream_t stream);
cudaError_t ts_cuda_descent(const ts_update_work *work, cudaStream_t stream);
cudaError_t ts_cuda_momentum(const ts_update_work *work, cudaStream_t stream);

// Muon (model/muon.h): `count` numbers are so many matrices of one shape.
typedef struct ts_muon_batch {
    int matrices, rows, columns, stride;
    int shorter, square_stride; // the shorter side, and padded
    float *x;                   // (instances, matrices, rows, stride)
    float *a, *b;               // (instances, matrices, shorter, square_stride)
    float linear, cubic, quintic, factor;
    double epsilon;
} ts_muon_batch;
// Momentum, and x: what is made orthogonal, of length 1.
cudaError_t ts_cuda_muon_gather(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream);
// From a = x x^T (or x^T x) and b = a a: b = linear + cubic a + quintic b.
cudaError_t ts_cuda_muon_polynomial(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream);
// The parameters, by x.
cudaError_t ts_cuda_muon_step(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
