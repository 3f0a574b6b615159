// Any network on a GPU, forwards and backwards over all training pairs or samples of K instances at once: each
// operation of its list a kernel or a few (kernels/cuda/network.h), for all rows that it has. How sums are cut follows
// from the shape alone, never from K. Pairs of a large instance come in parts, each with sums of its own; the caller
// adds them up. Where weights, pairs and samples come from, the loss, and what becomes of the gradient, are the
// caller's matter, too.
#pragma once

#include "backend/cuda_pairs.h"
#include "backend/padded_layout.h"
#include "cuda/network.h"
#include "network/plan.h"

// Where a node's rows are: (instances, rows, stride). Those of parameters lie with the weights.
typedef struct ts_cuda_node_rows {
    int rows, stride;
    bool used;               // something is written there
    float *value, *gradient; // gradient: of pairs
    int64_t cleared;         // where that of others begins in `cleared`; of sums in several parts, in a part's sums
} ts_cuda_node_rows;

// Parts of a step, at most; each of a large instance is then enough for a GPU.
enum { TS_CUDA_MOST_PARTS = 16 };

typedef struct ts_cuda_pass {
    const ts_graph *graph;
    const ts_padded_layout *layout; // of parameters, in rows of TS_QUAD
    int instances;
    int parts, pairs; // of a step, and the most pairs of a part; or samples, in one
    ts_plan plan;
    ts_cuda_node_rows *place; // (nodes); owned
    int64_t cleared_floats, scratch_floats, partial_floats;
    // Of a part's sums over pairs, where there are several: floats of an instance. First those of parameters, from this
    // one on so many (whole tensors), then those of tables.
    int64_t summed, summed_from, summed_parameters;
    // On the device.
    float *cleared; // gradients that are added to: first (instances, layout->padded) of parameters, then of nodes
    float *scratch; // (instances, scratch_floats): what rows give to an input that several of them share
    float *partial; // (instances, partial_floats): sums over parts of the rows
} ts_cuda_pass;

// What it goes over, on the device.
typedef struct ts_cuda_batch {
    const float *weights;       // (layout->padded) of the first instance
    int64_t weights_step;       // floats from an instance's to the next one's
    const ts_cuda_pairs *pairs; // of networks that learn a table: all, or those of a part
    const int *stopped;         // (instances)
    float *sums;                // (instances, summed): of a part, or of all. NULL: there is one part
    bool tf32x3;                // products on the way back are (ts_product_work)
} ts_cuda_batch;

// Graph and layout must outlive the pass. rows: all pairs, or samples, of a step. Free with ts_cuda_pass_free, also
// after a fault. Then what it needs of the device, in both passes of the slab.
ts_status ts_cuda_pass_create(const ts_graph *graph, const ts_padded_layout *layout, int instances, int rows,
                              ts_cuda_pass *pass);
void ts_cuda_pass_take(ts_cuda_pass *pass, ts_cuda_slab *slab);
void ts_cuda_pass_free(ts_cuda_pass *pass);

// Where rows of a node of pairs or samples are: the output's, which become its gradient between the two passes, and the
// samples', which are there before the first.
ts_operand ts_cuda_pass_rows(const ts_cuda_pass *pass, int node);

// Which operations: those of pairs, or what tokens or nothing have rows for. One part: all at once. Several: forward
// through tables; both ways through each part's pairs, with its sums; back through tables, with the sums of all.
typedef enum ts_cuda_pass_of { TS_OF_TABLES = 1, TS_OF_PAIRS = 2, TS_OF_ALL = 3 } ts_cuda_pass_of;

// Each puts a pass on the stream. In the end the parameters' gradient is at the beginning of `cleared`.
cudaError_t ts_cuda_pass_forward(const ts_cuda_pass *pass, const ts_cuda_batch *batch, ts_cuda_pass_of of,
                                 cudaStream_t stream);
cudaError_t ts_cuda_pass_back(const ts_cuda_pass *pass, const ts_cuda_batch *batch, ts_cuda_pass_of of,
                              cudaStream_t stream);
