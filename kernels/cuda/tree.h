// CUDA kernels of sums that are made in parts and added up in a tree (base/tree.h). Which parts are added to which, and
// how they travel between GPUs, is the backend's matter (src/backend/cuda_network.c, cuda_team.h).
#pragma once

#include "step.h"

#ifdef __cplusplus
extern "C" {
#endif

// to = to + from, of each instance.
typedef struct ts_tree_work {
    int instances, count;       // count: a multiple of TS_QUAD
    float *to;                  // (instances, count), instances to_step floats apart
    const float *from;          // (instances, count), from_step floats apart
    int64_t to_step, from_step; // multiples of TS_QUAD
    const int *stopped;         // (instances)
} ts_tree_work;
cudaError_t ts_cuda_tree_add(const ts_tree_work *work, cudaStream_t stream);

// Whether any flag of an instance is set: 1 or 0.
typedef struct ts_any_work {
    int instances, sets, count;
    const int *flag;    // (sets, instances, count), sets set_step apart
    int64_t set_step;   // ints
    int *any;           // (instances)
    const int *stopped; // (instances)
} ts_any_work;
cudaError_t ts_cuda_any(const ts_any_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
