// CUDA kernels of the model `mlp` (model/mlp.h), beside those of step.h: its pairs' part of a step, fused where the
// hidden layer and the logits are narrow enough, else its hidden layer alone.
#pragma once

#include "step.h"

#ifdef __cplusplus
extern "C" {
#endif

// hidden = relu(left[a] + right[b]) for every pair, and if it is fused: logits = hidden W_U, their gradient dz,
// dhidden = dz W_U^T where hidden > 0, and dW_U = hidden^T dz, in one partial sum for each block of pairs.
typedef struct ts_mlp_pairs_work {
    int instances, tokens, pairs, hidden, n_out;
    int hidden_stride, out_stride;
    float share;           // 1 / pairs
    const float *embedded; // (instances, 2, tokens, hidden_stride): left, right
    const float *w_u;      // (hidden, out_stride) of the first instance
    int64_t w_u_step;      // floats from one instance's to the next one's
    const int *token;      // (instances, 2, pairs): a, b
    const int *label;      // (instances, pairs)
    float *hidden_rows;    // (instances, pairs, hidden_stride): dhidden if fused, else hidden
    int blocks;            // ts_mlp_fused_blocks(pairs)
    float *dw_u;           // (instances, blocks, hidden, out_stride)
    int *bad;              // (instances, blocks): 1 where some loss is not finite
    const int *stopped;    // (instances)
    size_t block_shared;   // bytes of shared memory that a block may have
} ts_mlp_pairs_work;

// The least shared memory that the fused kernel's blocks do with; SIZE_MAX if the network is too wide for it.
size_t ts_mlp_fused_shared(int hidden, int n_out);
int ts_mlp_fused_blocks(int pairs);
cudaError_t ts_cuda_mlp_fused(const ts_mlp_pairs_work *work, cudaStream_t stream);
cudaError_t ts_cuda_mlp_hidden(const ts_mlp_pairs_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
