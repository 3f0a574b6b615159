// This rank's device: finding it, what it is like, errors.
#include "backend/cuda.h"

#include "backend/cuda_libraries.h"

#include <pthread.h>
#include <stdio.h>

static int rank_on_node;

// Found out once, by whoever asks first.
static struct {
    pthread_once_t once;
    ts_status status;
    char message[512];
    char name[256];
    int count, device;
    ts_cuda_properties properties;
} found = {.once = PTHREAD_ONCE_INIT};

void ts_cuda_place(int node_rank, int node_size) {
    (void)node_size;
    rank_on_node = node_rank;
}

ts_status ts_cuda_check(cudaError_t error, const char *what) {
    if (error == cudaSuccess)
        return TS_OK;
    cudaGetLastError(); // the next call does not fail for this one
    if (error == cudaErrorMemoryAllocation)
        return ts_fail(TS_ERROR_MEMORY, "out of memory on the GPU: %s", what);
    return ts_fail(TS_ERROR_FATAL, "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

// FNV-1a of the device's UUID.
static int64_t id_of(const struct cudaDeviceProp *device) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < sizeof device->uuid.bytes; i++)
        hash = (hash ^ (unsigned char)device->uuid.bytes[i]) * 0x100000001b3;
    return (int64_t)(hash >> 1);
}

static void not_here(const char *what, const char *why) {
    found.status = TS_ERROR_USER;
    snprintf(found.message, sizeof found.message, "%s%s%s", what, why ? ": " : "", why ? why : "");
}

// Ranks of a node take its devices in turn, those that CUDA_VISIBLE_DEVICES leaves.
static void find_device(void) {
    struct cudaDeviceProp device;
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count); // leaves `count` alone if there is no driver
    if (error == cudaErrorInsufficientDriver) {
        not_here("no NVIDIA driver, or one that is too old for this build; use --backend cpu", NULL);
    } else if (error != cudaSuccess || count == 0) {
        not_here("no GPU can be used", error == cudaSuccess ? "none was found" : cudaGetErrorString(error));
    } else if ((error = cudaSetDevice(rank_on_node % count)) != cudaSuccess ||
               (error = cudaGetDeviceProperties(&device, rank_on_node % count)) != cudaSuccess) {
        not_here("the GPU cannot be used", cudaGetErrorString(error));
    } else {
        found.count = count;
        found.device = rank_on_node % count;
        snprintf(found.name, sizeof found.name, "%s", device.name);
        found.properties = (ts_cuda_properties){
            .multiprocessors = device.multiProcessorCount,
            .id = id_of(&device),
            .memory = device.totalGlobalMem,
            .block_shared = device.sharedMemPerBlockOptin,
            .shared = device.sharedMemPerMultiprocessor,
            .block_reserve = device.reservedSharedMemPerBlock,
            .threads = device.maxThreadsPerMultiProcessor,
            .blocks = device.maxBlocksPerMultiProcessor,
            .registers = device.regsPerMultiprocessor,
        };
    }
    cudaGetLastError();
}

ts_status ts_cuda_probe(void) {
    pthread_once(&found.once, find_device);
    return found.status == TS_OK ? TS_OK : ts_fail(found.status, "%s", found.message);
}

ts_status ts_cuda_enter(void) {
    static _Thread_local int entered;
    ts_status status = ts_cuda_probe();
    if (status != TS_OK || entered)
        return status;
    status = ts_cuda_check(cudaSetDevice(found.device), "choosing the GPU");
    entered = status == TS_OK;
    return status;
}

const char *ts_cuda_device(void) {
    return ts_cuda_probe() == TS_OK ? found.name : "no GPU";
}

const ts_cuda_properties *ts_cuda_properties_of(void) {
    return &found.properties;
}

int64_t ts_cuda_resident_blocks(int threads, int registers_of_thread, size_t shared_bytes) {
    const ts_cuda_properties *p = &found.properties;
    const int64_t limits[] = {
        p->blocks,
        p->threads / threads,
        p->registers / ((int64_t)threads * registers_of_thread),
        (int64_t)(p->shared / (shared_bytes + p->block_reserve)),
    };
    int64_t blocks = limits[0];
    for (int i = 1; i < 4; i++)
        blocks = limits[i] < blocks ? limits[i] : blocks;
    return (blocks < 1 ? 1 : blocks) * p->multiprocessors;
}

int64_t ts_cuda_fill(int64_t blocks, int resident, int rounds) {
    int64_t room = (int64_t)found.properties.multiprocessors * resident * rounds;
    return room < blocks ? 1 : room / blocks;
}

// What measures are made with.
static void say_products(char *line, size_t bytes) {
    if (ts_cublas_load() == TS_OK)
        snprintf(line, bytes, "measures: by products of cuBLAS %s in double precision", ts_cublas_version());
    else
        snprintf(line, bytes, "measures: by products of toysweep's own, which take no tensor cores, as cuBLAS %s",
                 ts_message());
}

// Lines of `info`: the node's devices, or why there are none; then libraries.
const char *ts_cuda_detail(int index) {
    static char line[640];
    int count = ts_cuda_probe() == TS_OK ? found.count : 0, first_library = count > 0 ? count : 1;
    if (index < count) {
        struct cudaDeviceProp device;
        if (cudaGetDeviceProperties(&device, index) != cudaSuccess)
            return NULL;
        snprintf(line, sizeof line, "%d: %s, compute capability %d.%d, %d multiprocessors, %.1f GiB%s", index,
                 device.name, device.major, device.minor, device.multiProcessorCount,
                 (double)device.totalGlobalMem / (1 << 30), index == found.device ? " (this rank's)" : "");
    } else if (index < first_library) {
        snprintf(line, sizeof line, "none can be used: %s", found.message);
    } else if (index == first_library) {
        say_products(line, sizeof line);
    } else if (index == first_library + 1) {
        snprintf(line, sizeof line, "NCCL %s", ts_nccl_load() == TS_OK ? ts_nccl_version() : ts_message());
    } else {
        return NULL;
    }
    return line;
}
