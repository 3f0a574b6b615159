// What C calls of the CUDA kernels: one function a kernel, which starts it on a stream and returns at once. Shapes
// and pointers only; all pointers are to device memory.
#pragma once

#include "optimiser.h"

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// How a feature task's batches are drawn (task/feature_data.h), and the inputs where they can be listed. A row is
// `words` words of bits, one a feature.
typedef struct ts_cuda_features {
    int features, words;
    int samples; // a step; 0: every input, weighted by its probability
    int inputs;  // that can occur; 0: too many to list, samples are drawn feature by feature

    // inputs > 0
    const uint32_t *bits;            // (inputs, words)
    const float *probability;        // (inputs)
    int depth, early_stopping;       // of a tree split by fair bits; depth 0: drawn by the alias method
    int alias_bits;                  // its columns are 2^alias_bits
    const uint64_t *alias_threshold; // (columns)
    const int *alias_other;          // (columns)

    // inputs == 0
    int binary, correlated_pairs, anticorrelated_pairs;
    float low, span;           // values are low + span u, u uniform in [0, 1)
    const uint64_t *threshold; // (features)
} ts_cuda_features;

// Where a block keeps what, in floats from the start of its memory: shared memory, or global memory for shapes that
// do not fit. All multiples of 4.
typedef struct ts_cuda_autoencoder_layout {
    int tile;           // rows of the batch handled at once, a multiple of 32
    int groups;         // warps that share a row's features
    int row_groups;     // warps that share a feature's rows
    int draws;          // steps whose batches are drawn together
    int chunk;          // hidden units that a thread holds at once, in float4
    int hidden_stride;  // hidden, padded to whole chunks
    int row_stride;     // features, padded to an odd number
    int most_rows;      // of a batch
    int nodes;          // counters of a batch that is drawn
    size_t w;           // (features, hidden_stride) columns of W, then b (features)
    size_t moments;     // (2) like w; in global memory if that is where `moments_on_chip` says they are
    size_t scale;       // (features) importance / features
    size_t h;           // (tile, hidden_stride)
    size_t dh;          // (groups, tile, hidden_stride)
    size_t dz;          // (tile, row_stride); (draws, nodes) counters while batches are drawn
    size_t value;       // (tile, row_stride) of features that are on, where these have values
    size_t bits;        // (tile, words)
    size_t partial;     // (row_groups) like w: gradients
    size_t list_input;  // (draws, most_rows) rows of the drawn batches
    size_t list_weight; // (draws, most_rows)
    size_t list_rows;   // (draws)
    size_t total;
} ts_cuda_autoencoder_layout;

// Where weights and moments are while a block trains.
typedef enum ts_cuda_placement {
    TS_ALL_ON_CHIP,
    TS_MOMENTS_OFF_CHIP,
    TS_ALL_OFF_CHIP,
} ts_cuda_placement;

// K autoencoders of one shape (model/autoencoder.h), a block each.
typedef struct ts_cuda_autoencoder_work {
    ts_cuda_features data;
    ts_cuda_autoencoder_layout layout;
    ts_cuda_placement placement;
    int instances, hidden, features;
    float *state;               // (instances, TS_ADAM_PARTS, (hidden + 1) * features): W and b, then moments
    const float *scale;         // (instances, features)
    const uint64_t *seed;       // (instances)
    const ts_adam_betas *betas; // (instances)
    const int *schedule;        // (instances) which learning rates
    const ts_adam_rates *rates; // (schedules, schedule_steps)
    int schedule_steps;         // at least `steps`
    int64_t
        *reached; // (instances) in: those == from are trained; out: from + steps, or where they stop (ts_engine.train)
    double *loss; // (instances) of the last step's batch
    float *scratch; // (instances, scratch_floats) for what is not on chip
    size_t scratch_floats;
    int64_t from; // the step to start at
    int steps;
} ts_cuda_autoencoder_work;

enum { TS_AUTOENCODER_THREADS = 256 }; // of a block, at most

// Lays out a block's memory for the shape, with as much on chip as fits and `at_least` allows. The bits of a training
// depend on tile, groups and row_groups only, and these on the shape only. `block_shared`: most bytes a block may
// have.
void ts_cuda_autoencoder_plan(ts_cuda_autoencoder_work *work, double expected_rows, ts_cuda_placement at_least,
                              size_t block_shared);
int ts_cuda_autoencoder_threads(const ts_cuda_autoencoder_work *work);
size_t ts_cuda_autoencoder_shared(const ts_cuda_autoencoder_work *work); // bytes

cudaError_t ts_cuda_autoencoder_train(const ts_cuda_autoencoder_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
