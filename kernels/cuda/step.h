// CUDA kernels of a training step, for models that learn a table (mlp, transformer): products of small matrices, the
// cross-entropy's gradient, sums over the pairs of a token, whether an instance goes on. Plain structs of shapes and
// device pointers; what a step is made of, and where memory comes from, is the engines' matter
// (src/backend/cuda_training.h).
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Rows in device memory start at multiples of 16 bytes: padded to multiples of TS_QUAD floats, pads zero.
enum { TS_QUAD = 4 };
#define TS_QUADS(n)    (((n) + TS_QUAD - 1) / TS_QUAD)
#define TS_QUAD_PAD(n) (TS_QUADS(n) * TS_QUAD)
enum { TS_TABLE_MAX_OUT = 1024 };

// Every function queues one kernel on the stream. Work of an instance whose `stopped` is set is skipped.

// Matrices, `parts` of them to an instance: sides, heads, or stretches of a depth. Written where a work says so.
typedef struct ts_operand {
    const float *first;
    int64_t instance_step, part_step; // floats
    int stride;                       // floats between rows, a multiple of TS_QUAD
} ts_operand;

// C = A B, or C = A B + `plus`. Each number is one chain of multiply-adds along the depth, or (`tf32x3`) sums of its
// slabs of 8 or 16 on tensor cores, added up in their order.

typedef enum ts_product_form {
    TS_PRODUCT_PLAIN,        // A (rows, depth), B (depth, columns)
    TS_PRODUCT_A_TRANSPOSED, // A is stored as (depth, rows)
    TS_PRODUCT_B_TRANSPOSED, // B is stored as (columns, depth)
} ts_product_form;

typedef struct ts_product_work {
    ts_product_form form;
    int rows, columns, depth;
    int instances, parts;
    bool tf32x3;        // each factor in two TF32 parts, on tensor cores: as accurate as float32 but for its last bits
    int part_depth;     // 0: every part has the whole depth; else part i has [i part_depth, (i + 1) part_depth)
    ts_operand a, b, c; // c is written
    const float *mask;  // NULL, or (B_TRANSPOSED) laid out as C, perhaps C itself: C is 0 where it is not > 0
    const float *plus;  // NULL, or (others) laid out as C, perhaps C itself
    const int *stopped; // (instances)
} ts_product_work;
cudaError_t ts_cuda_product(const ts_product_work *work, cudaStream_t stream);

// Rows of logits become the gradient of the mean cross-entropy, as docs/workloads.md has it: never p - 1.
typedef struct ts_cross_entropy_work {
    int instances, pairs, n_out;
    float share;        // 1 / pairs
    ts_operand logits;  // (pairs, n_out), written
    const int *label;   // (instances, pairs)
    int blocks;         // ts_cuda_cross_entropy_blocks(pairs)
    int *bad;           // (instances, blocks): 1 where some loss is not finite
    const int *stopped; // (instances)
} ts_cross_entropy_work;
int ts_cuda_cross_entropy_blocks(int pairs);
cudaError_t ts_cuda_cross_entropy(const ts_cross_entropy_work *work, cudaStream_t stream);

// Sums of rows over the pairs of each token, in the pairs' order, for each side: of the pairs whose left (side 0),
// whose right (side 1) token it is; with weights for each of `heads`: out[token][head] = sum of weights[p][head]
// rows[p].
typedef struct ts_segment_work {
    int instances, tokens, pairs;
    int columns;        // of rows, a multiple of TS_QUAD
    int heads;          // 1 without weights
    ts_operand rows;    // (pairs, columns) of each side
    ts_operand weights; // first: NULL, or (pairs, heads) of each side, rows padded to TS_QUAD
    ts_operand out;     // (tokens, heads, columns) of each side, written
    const int *begin;   // (instances, 2, tokens + 1) into `order`
    const int *order;   // (instances, 2, pairs): pairs sorted by their left, by their right token
    float *plain;       // NULL, or (with weights) (instances, tokens, columns): left sums without weights
    const int *stopped; // (instances)
} ts_segment_work;
cudaError_t ts_cuda_segments(const ts_segment_work *work, cudaStream_t stream);

// C (columns) = sum of A's rows, of each part.
typedef struct ts_sum_work {
    int instances, parts, rows;
    int columns;        // a multiple of TS_QUAD
    ts_operand a, c;    // c is written
    const int *stopped; // (instances)
} ts_sum_work;
cudaError_t ts_cuda_sum(const ts_sum_work *work, cudaStream_t stream);

// An instance that is not spoiled, and whose losses were all finite, takes another step; any other stops.
typedef struct ts_verdict_work {
    int instances, blocks;
    const int *bad;     // (instances, blocks)
    const int *spoiled; // (instances): 1 after an update that left some number not finite
    int *stopped;       // (instances)
    int *taken;         // (instances): steps taken since the constants were written
} ts_verdict_work;
cudaError_t ts_cuda_verdict(const ts_verdict_work *work, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
