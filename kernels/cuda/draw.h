// Batches of feature tasks on the device: the same random numbers (base/random.h) and the same integer arithmetic as
// task/feature_data.c, so that host and device see the same batch, sample by sample.
#pragma once

#include "cuda/device.h"
#include "cuda/kernels.h"

struct philox_words {
    uint32_t word[4];
};

// Block (c0, c1, c2, c3) of the stream with that seed: Philox4x32-10.
static __device__ __forceinline__ philox_words philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2,
                                                      uint32_t c3) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

enum { STREAM_BATCH = 1, VALUE_BLOCKS = 1 << 30 }; // TS_STREAM_BATCH; see draw_values in feature_data.c

static __device__ __forceinline__ uint64_t low_bits(int n) {
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (n > 0 ? n : 0)) - 1;
}

// Samples of `n` that block `random` sends to the left and to the right child.
static __device__ __forceinline__ void split(const philox_words &random, bool early_stopping, int n, int *left,
                                             int *right) {
    uint64_t low = (uint64_t)random.word[1] << 32 | random.word[0],
             high = (uint64_t)random.word[3] << 32 | random.word[2];
    if (early_stopping) {
        *left = __popcll(low & ~high & low_bits(n));
        *right = __popcll(high & ~low & low_bits(n));
    } else {
        int here = n < 128 ? n : 128;
        *left = __popcll(low & low_bits(n)) + __popcll(high & low_bits(n - 64));
        *right = here - *left;
    }
}

// One level of the tree for `draws` steps from `step` on: the samples of its nodes go on to their children, and what
// stopped a level above is what is left there. Threads of the block share nodes and their random blocks.
static __device__ __forceinline__ void split_level(const ts_cuda_features &data, uint64_t seed, uint32_t step,
                                                   int draws, int level, int nodes, int *count) {
    int first = (1 << level) - 1, here = 1 << level, pairs = draws * here;
    int per_block = data.early_stopping ? 64 : 128;
    int sharing = (int)blockDim.x / pairs; // threads of a node
    sharing = sharing > 0 ? sharing : 1;
    for (int item = (int)threadIdx.x; item < pairs * sharing; item += (int)blockDim.x) {
        int draw = item / sharing / here, node = first + item / sharing % here;
        int *mine = count + (size_t)draw * (size_t)nodes;
        int n = mine[node], to_left = 0, to_right = 0;
        for (int b = item % sharing; b * per_block < n; b += sharing) {
            int left, right;
            split(philox(seed, (uint32_t)b, (uint32_t)node, step + (uint32_t)draw, STREAM_BATCH), data.early_stopping,
                  n - b * per_block, &left, &right);
            to_left += left;
            to_right += right;
        }
        if (to_left)
            atomicAdd(&mine[2 * node + 1], to_left);
        if (to_right)
            atomicAdd(&mine[2 * node + 2], to_right);
    }
}

static __device__ __forceinline__ void keep_stopped(int draws, int level, int nodes, int *count) {
    int first = (1 << level) - 1, here = 1 << level;
    for (int item = (int)threadIdx.x; item < draws * here; item += (int)blockDim.x) {
        int *mine = count + (size_t)(item / here) * (size_t)nodes, node = first + item % here;
        mine[node] -= mine[2 * node + 1] + mine[2 * node + 2];
    }
}

// Counts of inputs by the alias method: two words a sample.
static __device__ __forceinline__ void draw_alias(const ts_cuda_features &data, uint64_t seed, uint32_t step, int draws,
                                                  int nodes, int *count) {
    int blocks = (data.samples + 1) / 2;
    for (int item = (int)threadIdx.x; item < draws * blocks; item += (int)blockDim.x) {
        int draw = item / blocks, b = item % blocks;
        philox_words random = philox(seed, (uint32_t)b, 0, step + (uint32_t)draw, STREAM_BATCH);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            if (2 * b + i >= data.samples)
                break;
            uint32_t column = data.alias_bits ? random.word[2 * i] >> (32 - data.alias_bits) : 0;
            bool own = random.word[2 * i + 1] < data.alias_threshold[column];
            atomicAdd(&count[(size_t)draw * (size_t)nodes + (own ? column : (uint32_t)data.alias_other[column])], 1);
        }
    }
}

// How often each input occurs in the batches of `draws` steps from `step` on: count (draws, nodes), where the inputs
// start at data's first input (first_input). All threads of the block; ends with a barrier.
static __device__ __forceinline__ void draw_counts(const ts_cuda_features &data, uint64_t seed, uint32_t step,
                                                   int draws, int nodes, int *count) {
    for (int i = (int)threadIdx.x; i < draws * nodes; i += (int)blockDim.x)
        count[i] = data.depth > 0 && i % nodes == 0 ? data.samples : 0;
    __syncthreads();
    if (data.depth > 0) {
        for (int level = 0; level <= data.depth; level++) {
            if (level < data.depth)
                split_level(data, seed, step, draws, level, nodes, count);
            if (level > 0)
                keep_stopped(draws, level - 1, nodes, count);
            __syncthreads();
        }
    } else {
        draw_alias(data, seed, step, draws, nodes, count);
        __syncthreads();
    }
}

// Without early stopping only leaves are inputs.
static __device__ __forceinline__ int first_input(const ts_cuda_features &data) {
    return data.depth > 0 && !data.early_stopping ? (1 << data.depth) - 1 : 0;
}

// Which of the 32 features from 32 * word on are on in sample `sample`.
static __device__ __forceinline__ uint32_t draw_word(const ts_cuda_features &data, uint64_t seed, uint32_t step,
                                                     uint32_t sample, int word) {
    int correlated = 2 * data.correlated_pairs, paired = correlated + 2 * data.anticorrelated_pairs;
    uint32_t bits = 0;
    for (int block = 0; block < 8 && 32 * word + 4 * block < data.features; block++) {
        philox_words random = philox(seed, (uint32_t)(8 * word + block), sample, step, STREAM_BATCH);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int f = 32 * word + 4 * block + i, even = f & ~1;
            if (f >= data.features)
                break;
            // The first of a pair decides for both.
            uint32_t own = random.word[i], first = f & 1 ? random.word[i & ~1] : own;
            uint64_t threshold = data.threshold[f < paired ? even : f];
            bool on = f < correlated ? first < threshold
                      : f >= paired  ? own < threshold
                      : f == even    ? first < threshold
                                     : first >= threshold && first < 2 * threshold;
            bits |= (uint32_t)on << (4 * block + i);
        }
    }
    return bits;
}

// Values of the features in `bits`, the first of which is the sample's `rank`-th that is on: value[bit].
static __device__ __forceinline__ void draw_word_values(const ts_cuda_features &data, uint64_t seed, uint32_t step,
                                                        uint32_t sample, int rank, uint32_t bits, float *value) {
    philox_words random = {};
    for (int block = -1; bits; bits &= bits - 1, rank++) {
        if (rank / 4 != block) {
            block = rank / 4;
            random = philox(seed, VALUE_BLOCKS + (uint32_t)block, sample, step, STREAM_BATCH);
        }
        uint32_t word = rank % 4 == 0   ? random.word[0]
                        : rank % 4 == 1 ? random.word[1]
                        : rank % 4 == 2 ? random.word[2]
                                        : random.word[3];
        // Not fused, as the host does it.
        value[__ffs((int)bits) - 1] = __fadd_rn(data.low, __fmul_rn(data.span, (float)(word >> 8) * 0x1p-24f));
    }
}
