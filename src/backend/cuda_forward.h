// A network's pairs forwards through its operations in double precision on the GPU (network/pass.h is the same on the
// processor): a batch of pairs at a time, from tables that the processor has made.
#pragma once

#include "backend/cuda_workspace.h"
#include "model/network.h"

typedef struct ts_cuda_forward {
    const ts_pass *pass;
    const int *token; // (tokens) on the device; NULL: pairs have the network's numbers
    int n, batch;
    double **value; // (nodes) on the device: (batch, width) of pairs, or (rows, width); NULL: not needed
    size_t table_numbers;
    double *tables; // (table_numbers)
    ts_slab slab;
} ts_cuda_forward;

// n: tokens. The network outlives it. Free with ts_cuda_forward_free, also after a fault.
ts_status ts_cuda_forward_create(const ts_network *network, int n, ts_cuda_forward *forward);
void ts_cuda_forward_free(ts_cuda_forward *forward);

size_t ts_cuda_forward_numbers(const ts_cuda_forward *forward); // of one pair
// Takes tables and rows for `batch` pairs from the slab.
void ts_cuda_forward_take(ts_cuda_forward *forward, int batch, ts_cuda_slab *slab);
ts_status ts_cuda_forward_upload(ts_cuda_forward *forward, const ts_cuda_workspace *workspace);

// Up to `batch` pairs; their rows are then in `value`.
ts_status ts_cuda_forward_run(const ts_cuda_forward *forward, const ts_cuda_workspace *workspace,
                              const ts_measure_pairs *pairs);
