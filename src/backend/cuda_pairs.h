// Training pairs of K instances on a GPU, and lists of them by token, for models that learn a table.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"

typedef struct ts_cuda_pairs {
    int tokens, n_out;
    int train;             // training pairs of an instance,
    int parts, first, end; // in so many parts of equal size, of which first .. end - 1 are trained on here: all of one
    int count;             // pairs of these
    float share;           // 1 / train
    // On the device: of each part, one after the other.
    int *token; // (instances, 2, count): a and b of each training pair, ascending
    int *label; // (instances, count)
    int *order; // (instances, 2, count): pairs sorted by a, by b
    int *begin; // (instances, 2, tokens + 1): where each token's pairs begin in `order`
} ts_cuda_pairs;

// Counts them; all are one part, unless they are cut. Then what they need of the device, in both passes of the slab;
// then the lists themselves.
void ts_cuda_pairs_begin(ts_cuda_pairs *pairs, const ts_training_spec *spec);
void ts_cuda_pairs_cut(ts_cuda_pairs *pairs, int parts, int first, int end);
void ts_cuda_pairs_take(ts_cuda_pairs *pairs, int instances, ts_cuda_slab *slab);
ts_status ts_cuda_pairs_upload(const ts_cuda_pairs *pairs, const ts_training_spec *spec, cudaStream_t stream);

// The pairs of one part that is trained on here, as pairs that are in one part.
ts_cuda_pairs ts_cuda_pairs_part(const ts_cuda_pairs *pairs, int instances, int part);
