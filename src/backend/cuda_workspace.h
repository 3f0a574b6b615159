// What measuring one network takes of a GPU - memory, a stream, products in double precision - kept from one network to
// the next, as to allocate and to free memory holds up whatever else runs there.
#pragma once

#include "backend/cuda.h"
#include "backend/cuda_libraries.h"

#include "cuda/measure.h"

typedef struct ts_cuda_workspace {
    ts_cuda_slab slab; // carved by whoever has it, from used = 0 on
    cudaStream_t stream;
    cublasHandle_t cublas; // NULL: not started
    void *cublas_room;     // memory that is cuBLAS's alone, so that no stream has an influence on another's bits; NULL:
                           // products are our own
    struct ts_cuda_workspace *next;
} ts_cuda_workspace;

// One of at least so many bytes. TS_ERROR_MEMORY: there is no memory for it. Give it back also after a fault (NULL:
// nothing).
ts_status ts_cuda_workspace_take(size_t bytes, ts_cuda_workspace **workspace);
void ts_cuda_workspace_give_back(ts_cuda_workspace *workspace);

// C = A B, by cuBLAS where it is there: each of several is called for by itself or, where all have as many rows, with
// all that the shape gives, so that no bit depends on what else is measured.
ts_status ts_cuda_workspace_product(const ts_cuda_workspace *workspace, const ts_measure_product *work);

void ts_cuda_workspace_use_own(bool own); // products, though cuBLAS is there: for tests
