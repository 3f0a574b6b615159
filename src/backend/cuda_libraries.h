// cuBLAS and NCCL, found when the program runs: a build with CUDA starts where they are missing. Each is a list of the
// functions used, with the types of the libraries' own headers. Measures are products of cuBLAS in double precision; in
// float32 it is what tests/bench measures our own by.
#pragma once

#include "base/status.h"

#include <cublas_v2.h>
#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

typedef struct ts_cublas {
    __typeof__(&cublasCreate) create;
    __typeof__(&cublasDestroy) destroy; // waits for the whole GPU
    __typeof__(&cublasGetVersion) get_version;
    __typeof__(&cublasSetStream) set_stream;
    __typeof__(&cublasSetWorkspace) set_workspace;
    __typeof__(&cublasSetMathMode) set_math_mode;
    __typeof__(&cublasGetStatusString) status_string;
    __typeof__(&cublasSgemmStridedBatched) sgemm_strided_batched;
    __typeof__(&cublasDgemm) dgemm;
    __typeof__(&cublasDgemmStridedBatched) dgemm_strided_batched;
} ts_cublas;

ts_status ts_cublas_load(void);             // TS_ERROR_USER, with a message, if it cannot be loaded; asks once
const ts_cublas *ts_cublas_functions(void); // after ts_cublas_load returned TS_OK
const char *ts_cublas_version(void);        // "13.0.1"
// TS_OK, or a message "what: why".
ts_status ts_cublas_check(cublasStatus_t status, const char *what);

// NCCL, for ranks that train one instance together (cuda_team.h). A build without its header knows only that.
ts_status ts_nccl_load(void);
const char *ts_nccl_version(void);
#if __has_include(<nccl.h>)
#define TS_HAVE_NCCL
typedef struct ts_nccl {
    __typeof__(&ncclGetVersion) get_version;
    __typeof__(&ncclGetErrorString) error_string;
    __typeof__(&ncclGetUniqueId) get_unique_id;
    __typeof__(&ncclCommInitRank) comm_init_rank;
    __typeof__(&ncclCommDestroy) comm_destroy;
    __typeof__(&ncclCommAbort) comm_abort;
    __typeof__(&ncclAllGather) all_gather;
} ts_nccl;
const ts_nccl *ts_nccl_functions(void); // after ts_nccl_load returned TS_OK
#endif
