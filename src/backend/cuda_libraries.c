// Finds cuBLAS and NCCL, and what they are called in them.
#define _GNU_SOURCE
#include "backend/cuda_libraries.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TEXT_(a) #a
#define TEXT(a)  TEXT_(a)

// Where the libraries are looked for: by the loader's rules (LD_LIBRARY_PATH, ld.so.conf), the version of the headers
// first. Tests name the emulator's.
#ifndef TS_CUBLAS_LIBRARY
#define TS_CUBLAS_LIBRARY "libcublas.so." TEXT(CUBLAS_VER_MAJOR)
#endif
#ifndef TS_NCCL_LIBRARY
#define TS_NCCL_LIBRARY "libnccl.so." TEXT(NCCL_MAJOR)
#endif

// A function's address; false, with a message, if the library has none of that name.
static bool find(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    if (!address) {
        ts_fail(TS_ERROR_USER, "%s", dlerror());
        return false;
    }
    memcpy(function, &address, sizeof address); // C has no cast from an object's to a function's pointer
    return true;
}

#define FIND(library, function, out) find(library, TEXT(function), &(out))

// --- cuBLAS ---

static struct {
    pthread_once_t once;
    ts_status status;
    char message[256], version[32];
    ts_cublas functions;
} cublas = {.once = PTHREAD_ONCE_INIT};

static bool find_cublas(void *library, ts_cublas *out) {
    return FIND(library, cublasCreate, out->create) && FIND(library, cublasDestroy, out->destroy) &&
           FIND(library, cublasGetVersion, out->get_version) && FIND(library, cublasSetStream, out->set_stream) &&
           FIND(library, cublasSetWorkspace, out->set_workspace) &&
           FIND(library, cublasSetMathMode, out->set_math_mode) &&
           FIND(library, cublasGetStatusString, out->status_string) &&
           FIND(library, cublasSgemmStridedBatched, out->sgemm_strided_batched) &&
           FIND(library, cublasDgemm, out->dgemm) &&
           FIND(library, cublasDgemmStridedBatched, out->dgemm_strided_batched);
}

static void load_cublas(void) {
    void *library = dlopen(TS_CUBLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    int version = 0;
    if (!library)
        ts_fail(TS_ERROR_USER, "cannot be loaded (%s); load your cluster's CUDA module", dlerror());
    if (!library || !find_cublas(library, &cublas.functions)) {
        cublas.status = TS_ERROR_USER;
        snprintf(cublas.message, sizeof cublas.message, "%s", ts_message());
        return;
    }
    cublas.functions.get_version(NULL, &version);
    snprintf(cublas.version, sizeof cublas.version, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}

ts_status ts_cublas_load(void) {
    pthread_once(&cublas.once, load_cublas);
    return cublas.status == TS_OK ? TS_OK : ts_fail(cublas.status, "%s", cublas.message);
}

const ts_cublas *ts_cublas_functions(void) {
    return &cublas.functions;
}

const char *ts_cublas_version(void) {
    return cublas.version;
}

ts_status ts_cublas_check(cublasStatus_t status, const char *what) {
    if (status == CUBLAS_STATUS_SUCCESS)
        return TS_OK;
    return ts_fail(status == CUBLAS_STATUS_ALLOC_FAILED ? TS_ERROR_MEMORY : TS_ERROR_FATAL, "%s: %s", what,
                   cublas.functions.status_string(status));
}

// --- NCCL ---

#ifdef TS_HAVE_NCCL
static struct {
    pthread_once_t once;
    ts_status status;
    char message[256], version[32];
    ts_nccl functions;
} nccl = {.once = PTHREAD_ONCE_INIT};

static bool find_nccl(void *library, ts_nccl *out) {
    return FIND(library, ncclGetVersion, out->get_version) && FIND(library, ncclGetErrorString, out->error_string) &&
           FIND(library, ncclGetUniqueId, out->get_unique_id) && FIND(library, ncclCommInitRank, out->comm_init_rank) &&
           FIND(library, ncclCommDestroy, out->comm_destroy) && FIND(library, ncclCommAbort, out->comm_abort) &&
           FIND(library, ncclAllGather, out->all_gather);
}

static void load_nccl(void) {
    void *library = dlopen(TS_NCCL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    int version = 0;
    if (!library)
        ts_fail(TS_ERROR_USER, "cannot be loaded (%s)", dlerror());
    if (!library || !find_nccl(library, &nccl.functions)) {
        nccl.status = TS_ERROR_USER;
        snprintf(nccl.message, sizeof nccl.message, "%s", ts_message());
        return;
    }
    nccl.functions.get_version(&version);
    snprintf(nccl.version, sizeof nccl.version, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}

ts_status ts_nccl_load(void) {
    pthread_once(&nccl.once, load_nccl);
    return nccl.status == TS_OK ? TS_OK : ts_fail(nccl.status, "%s", nccl.message);
}

const ts_nccl *ts_nccl_functions(void) {
    return &nccl.functions;
}

const char *ts_nccl_version(void) {
    return nccl.version;
}
#else
ts_status ts_nccl_load(void) {
    return ts_fail(TS_ERROR_USER, "is not known to this build");
}

const char *ts_nccl_version(void) {
    return "";
}
#endif
