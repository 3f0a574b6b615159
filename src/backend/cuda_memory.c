// Device memory, pinned host memory, copies and streams.
#include "backend/cuda.h"

#include <pthread.h>

// Under the address sanitizer (kernels then run on the processor) nobody may touch what is between two arrays.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { ALIGNMENT = 256, GAP = 256 };
#else
enum { ALIGNMENT = 256, GAP = 0 };
#define ASAN_POISON_MEMORY_REGION(address, bytes)   ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

// Slabs of this process that hold memory and are in use; who gives up idle ones (NULL: there are none).
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static int alive;
static void (*give_up_idle)(void);

static cudaError_t allocate_once(void **base, size_t bytes) {
    cudaError_t error = cudaMalloc(base, bytes);
    if (error != cudaErrorMemoryAllocation || !give_up_idle)
        return error;
    cudaGetLastError();
    give_up_idle();
    return cudaMalloc(base, bytes);
}

// Takes the memory; `wait`: as soon as other slabs of the process have left enough of it. Who holds a slab never waits
// for another, so this ends.
static cudaError_t allocate(void **base, size_t bytes, bool wait) {
    pthread_mutex_lock(&mutex);
    cudaError_t error = allocate_once(base, bytes);
    while (error == cudaErrorMemoryAllocation && alive > 0 && wait) {
        cudaGetLastError();
        pthread_cond_wait(&freed, &mutex);
        error = allocate_once(base, bytes);
    }
    alive += error == cudaSuccess;
    pthread_mutex_unlock(&mutex);
    return error;
}

static ts_status reserve(ts_cuda_slab *slab, const char *what, bool wait) {
    void *base = NULL;
    slab->size = slab->used > 0 ? slab->used : ALIGNMENT;
    slab->used = 0;
    cudaError_t error = allocate(&base, slab->size, wait);
    slab->base = error == cudaSuccess ? base : NULL;
    if (error != cudaErrorMemoryAllocation)
        return ts_cuda_check(error, what);
    cudaGetLastError();
    return ts_fail(TS_ERROR_MEMORY, "out of memory on the GPU: %zu bytes for %s", slab->size, what);
}

ts_status ts_cuda_slab_reserve(ts_cuda_slab *slab, const char *what) {
    return reserve(slab, what, true);
}

ts_status ts_cuda_slab_reserve_now(ts_cuda_slab *slab, const char *what) {
    return reserve(slab, what, false);
}

void ts_cuda_slab_set_idle(bool idle) {
    pthread_mutex_lock(&mutex);
    alive += idle ? -1 : 1;
    pthread_cond_broadcast(&freed);
    pthread_mutex_unlock(&mutex);
}

void ts_cuda_slab_free_idle(ts_cuda_slab *slab) {
    cudaFree(slab->base);
    *slab = (ts_cuda_slab){0};
}

void ts_cuda_on_shortage(void (*give_up)(void)) {
    pthread_mutex_lock(&mutex);
    give_up_idle = give_up;
    pthread_mutex_unlock(&mutex);
}

void *ts_cuda_slab_take(ts_cuda_slab *slab, size_t count, size_t size) {
    char *taken = slab->base ? slab->base + slab->used : NULL;
    size_t bytes = count * size, whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
    if (taken && GAP > 0)
        ASAN_UNPOISON_MEMORY_REGION(taken, bytes); // a slab may be carved anew
    if (taken && GAP > 0)
        ASAN_POISON_MEMORY_REGION(taken + bytes, whole - bytes);
    slab->used += whole;
    return taken;
}

void ts_cuda_slab_free(ts_cuda_slab *slab) {
    if (slab->base) {
        cudaFree(slab->base); // which may take until the GPU has done all that waits: others need not wait for that
        pthread_mutex_lock(&mutex);
        alive--;
        pthread_cond_broadcast(&freed);
        pthread_mutex_unlock(&mutex);
    }
    *slab = (ts_cuda_slab){0};
}

void *ts_cuda_pinned(size_t bytes, const char *what) {
    void *pinned = NULL;
    if (cudaMallocHost(&pinned, bytes > 0 ? bytes : 1) == cudaSuccess)
        return pinned;
    cudaGetLastError();
    ts_fail(TS_ERROR_MEMORY, "out of memory: %zu pinned bytes for %s", bytes, what);
    return NULL;
}

void ts_cuda_pinned_free(void *pinned) {
    if (pinned)
        cudaFreeHost(pinned);
}

// A GPU that reads the host's own pages need not have done so before the call returns, so it is waited for.
ts_status ts_cuda_upload(void *device, const void *host, size_t bytes, cudaStream_t stream) {
    ts_status status = ts_cuda_send(device, host, bytes, stream);
    return status == TS_OK ? ts_cuda_wait(stream, "copying to the GPU") : status;
}

ts_status ts_cuda_send(void *device, const void *pinned, size_t bytes, cudaStream_t stream) {
    return ts_cuda_check(cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, stream), "copying to the GPU");
}

ts_status ts_cuda_download(void *host, const void *device, size_t bytes, cudaStream_t stream) {
    return ts_cuda_check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream), "copying from the GPU");
}

ts_status ts_cuda_zero(void *device, size_t bytes, cudaStream_t stream) {
    return ts_cuda_check(cudaMemsetAsync(device, 0, bytes, stream), "clearing memory of the GPU");
}

ts_status ts_cuda_stream(cudaStream_t *stream) {
    *stream = NULL;
    return ts_cuda_check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "making a stream");
}

void ts_cuda_stream_free(cudaStream_t stream) {
    if (stream)
        cudaStreamDestroy(stream);
}

ts_status ts_cuda_wait(cudaStream_t stream, const char *what) {
    return ts_cuda_check(cudaStreamSynchronize(stream), what);
}
