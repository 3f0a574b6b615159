// CUDA kernels for networks that learn features, of K instances: the batches of a step, drawn as task/feature_data.c
// draws them, as rows of numbers; and the loss of squares. Beside step.h's; the autoencoder's own kernel is in
// kernels.h.
#pragma once

#include "kernels.h"
#include "step.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ts_samples_work {
    ts_cuda_features data;
    int instances;
    int batch;         // rows: all inputs, as many as can be drawn, or samples
    int nodes;         // counters of a batch that is drawn from a list of inputs; 0: it is not
    int *count;        // (instances, nodes)
    int *input;        // (instances, batch): those that were drawn, ascending
    float *weight;     // (instances, batch): their shares
    int *drawn;        // (instances): how many
    int fixed;         // all steps have the batch of step 0
    float *scale;      // (instances, output.stride): importance / features, pads 0
    float *linear;     // (instances, output.stride): what output counts by itself, pads 0. NULL: nothing does
    int absolute;      // x_hat is compared with |x|
    uint64_t *seed;    // (instances)
    const int *begun;  // (instances): the step is begun + taken
    const int *taken;  // (instances)
    ts_operand x;      // (batch, features), written: of rows that there are not, zeros
    ts_operand output; // (batch, features or more), written: x_hat, and what is penalised, becomes the loss's gradient
    int blocks;        // ts_cuda_cross_entropy_blocks(batch)
    int *bad;          // (instances, blocks): 1 where some loss is not finite
    const int *stopped;
} ts_samples_work;
cudaError_t ts_cuda_samples_list(const ts_samples_work *work, cudaStream_t stream); // where nodes > 0
cudaError_t ts_cuda_samples_enter(const ts_samples_work *work, cudaStream_t stream);
cudaError_t ts_cuda_loss_of_squares(const ts_samples_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
