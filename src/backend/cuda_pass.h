// Any network on a GPU, forwards and backwards over all training pairs of K instances at once: each operation of its
// list a kernel or a few (kernels/cuda/network.h), for all rows that it has. How sums are cut follows from the shape
// alone, never from K. Where weights and pairs come from, and what becomes of the gradient, is the caller's matter.
#pragma once

#include "backend/cuda.h"
#include "backend/padded_layout.h"
#include "cuda/network.h"
#include "network/plan.h"

// Where a node's rows are: (instances, rows, stride). Those of parameters lie with the weights.
typedef struct ts_cuda_node_rows {
    int rows, stride;
    bool used;               // something is written there
    float *value, *gradient; // gradient: of pairs
    int64_t cleared;         // where that of others begins in `cleared`
} ts_cuda_node_rows;

typedef struct ts_cuda_pass {
    const ts_graph *graph;
    const ts_padded_layout *layout; // of parameters, in rows of TS_QUAD
    int instances, pairs;
    ts_plan plan;
    ts_cuda_node_rows *place; // (nodes); owned
    int64_t cleared_floats, scratch_floats, partial_floats;
    // On the device.
    float *cleared; // gradients that are added to: first (instances, layout->padded) of parameters, then of nodes
    float *scratch; // (instances, scratch_floats): what rows give to an input that several of them share
    float *partial; // (instances, partial_floats): sums over parts of the rows
    int *bad;       // (instances, blocks): 1 where a loss is not finite
    int blocks;
} ts_cuda_pass;

// What it learns, on the device but for share and loss: as in ts_cuda_training.
typedef struct ts_cuda_pairs {
    ts_loss loss;
    float share;          // 1 / pairs
    const float *weights; // (layout->padded) of the first instance
    int64_t weights_step; // floats from an instance's to the next one's
    const int *token;     // (instances, 2, pairs)
    const int *label;     // (instances, pairs)
    const int *order;     // (instances, 2, pairs)
    const int *begin;     // (instances, 2, tokens + 1)
    const int *stopped;   // (instances)
} ts_cuda_pairs;

// Graph and layout must outlive the pass. Free with ts_cuda_pass_free, also after a fault. Then what it needs of the
// device, in both passes of the slab.
ts_status ts_cuda_pass_create(const ts_graph *graph, const ts_padded_layout *layout, int instances, int pairs,
                              ts_cuda_pass *pass);
void ts_cuda_pass_take(ts_cuda_pass *pass, ts_cuda_slab *slab);
void ts_cuda_pass_free(ts_cuda_pass *pass);

// One time forwards and backwards, put on the stream: then the parameters' gradient is at the beginning of `cleared`,
// the output's gradient in the place of its value.
cudaError_t ts_cuda_pass_queue(const ts_cuda_pass *pass, const ts_cuda_pairs *pairs, cudaStream_t stream);
