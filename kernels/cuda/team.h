// CUDA kernels for ranks that train one instance together, each with a part of its pairs: a rank's own gradient in one
// piece, and the sum of everybody's. How pieces travel between GPUs is the backend's matter (src/backend/cuda_team.h).
#pragma once

#include "step.h"

#ifdef __cplusplus
extern "C" {
#endif

// A piece: `count` floats of gradient, then TS_QUAD floats of which the first is 1 where a loss was not finite, else 0.
typedef struct ts_team_work {
    int count;          // a multiple of TS_QUAD
    const float *whole; // (whole_count), and the rest in parts: as in ts_update_work
    int whole_count;
    int parts;
    const float *partial; // (parts, count - whole_count)
    const int *bad;       // (blocks): 1 where some loss is not finite
    int blocks;
    float *own; // (count + TS_QUAD)
    int ranks;
    const float *pieces; // (ranks, count + TS_QUAD)
    float *sum;          // (count): added in double precision in the order of ranks
    int *sum_bad;        // (1): 1 where any rank's loss is not finite
    const int *stopped;  // (1)
} ts_team_work;
cudaError_t ts_cuda_team_collect(const ts_team_work *work, cudaStream_t stream); // own
cudaError_t ts_cuda_team_add(const ts_team_work *work, cudaStream_t stream);     // sum, sum_bad

#ifdef __cplusplus
}
#endif
