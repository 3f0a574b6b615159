// Training pairs of K instances on a GPU, and lists of them by token, for models that learn a table.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"

typedef struct ts_cuda_pairs {
    int tokens, n_out;
    int first, count; // of an instance's training pairs, those that are trained on here: all, or this rank's part
    float share;      // 1 / all of them
    // On the device.
    int *token; // (instances, 2, count): a and b of each training pair, ascending
    int *label; // (instances, count)
    int *order; // (instances, 2, count): pairs sorted by a, by b
    int *begin; // (instances, 2, tokens + 1): where each token's pairs begin in `order`
} ts_cuda_pairs;

// Counts them. Then what they need of the device, in both passes of the slab; then the lists themselves.
void ts_cuda_pairs_begin(ts_cuda_pairs *pairs, const ts_training_spec *spec);
void ts_cuda_pairs_take(ts_cuda_pairs *pairs, int instances, ts_cuda_slab *slab);
ts_status ts_cuda_pairs_upload(const ts_cuda_pairs *pairs, const ts_training_spec *spec, cudaStream_t stream);
