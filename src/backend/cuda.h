// The CUDA backend's host side: this rank's device, its memory and errors. Engines (cuda_<model>.c) are C; kernels
// are reached by the functions of kernels/cuda/kernels.h. Nothing above src/backend knows of CUDA.
#pragma once

#include "base/status.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The backend's functions: see ts_backend.
ts_status ts_cuda_probe(void);
const char *ts_cuda_device(void);
const char *ts_cuda_detail(int index);
void ts_cuda_place(int node_rank, int node_size);

// Makes this rank's device the calling thread's. Every engine function starts with it: trainings are made, used and
// freed by different threads. Several ranks, and several slots of a rank, may share a device.
ts_status ts_cuda_enter(void);

// TS_OK, or a message "what: why": TS_ERROR_MEMORY if the device's memory is out, else TS_ERROR_FATAL.
ts_status ts_cuda_check(cudaError_t error, const char *what);

// What sizes depend on; valid after ts_cuda_probe or ts_cuda_enter returned TS_OK.
typedef struct ts_cuda_properties {
    int multiprocessors;
    int64_t id;          // the same in every process of the node and different on other devices; not negative
    size_t memory;       // bytes of the device
    size_t block_shared; // most shared memory of a block
    size_t shared;       // shared memory of a multiprocessor; every block takes block_reserve more than it asks for
    size_t block_reserve;
    int threads, blocks, registers; // most of a multiprocessor
} ts_cuda_properties;
const ts_cuda_properties *ts_cuda_properties_of(void);

// Blocks of that size that fit on the device at once, at least one on each multiprocessor.
int64_t ts_cuda_resident_blocks(int threads, int registers_of_thread, size_t shared_bytes);

// Instances, of so many blocks each, that take `rounds` rounds of the GPU with `resident` blocks on a multiprocessor,
// and none of another; at least 1.
int64_t ts_cuda_fill(int64_t blocks, int resident, int rounds);

// Device memory in two passes, as ts_slab: takes are added up, ts_cuda_slab_reserve allocates, takes hand out.
// 256-byte aligned. Its contents are whatever was there. If memory is out, reserve waits while other slabs of this
// process hold any, so a thread must not reserve one while it holds another.
typedef struct ts_cuda_slab {
    char *base;
    size_t used, size;
} ts_cuda_slab;
ts_status ts_cuda_slab_reserve(ts_cuda_slab *slab, const char *what);
// The same for memory that is kept for later use, without waiting, so that a thread may hold others: TS_ERROR_MEMORY.
// Such a slab is in use from then on, or idle; idle ones are given up by `give_up` where memory is short.
ts_status ts_cuda_slab_reserve_now(ts_cuda_slab *slab, const char *what);
void ts_cuda_slab_set_idle(bool idle);
void ts_cuda_slab_free_idle(ts_cuda_slab *slab); // of one that is idle
void ts_cuda_on_shortage(void (*give_up)(void)); // it must not reserve, and frees by ts_cuda_slab_free_idle
void *ts_cuda_slab_take(ts_cuda_slab *slab, size_t count, size_t size);
void ts_cuda_slab_free(ts_cuda_slab *slab);

// Host memory that the device copies from and to while the host goes on; NULL on failure, with a message.
void *ts_cuda_pinned(size_t bytes, const char *what);
void ts_cuda_pinned_free(void *pinned);

// Copies, in the stream's order. Upload has read the host's memory, which may be any, when it returns; send reads
// pinned memory when the stream gets there; download has written it only after ts_cuda_wait.
ts_status ts_cuda_upload(void *device, const void *host, size_t bytes, cudaStream_t stream);
ts_status ts_cuda_send(void *device, const void *pinned, size_t bytes, cudaStream_t stream);
ts_status ts_cuda_download(void *host, const void *device, size_t bytes, cudaStream_t stream);
ts_status ts_cuda_zero(void *device, size_t bytes, cudaStream_t stream);

ts_status ts_cuda_stream(cudaStream_t *stream);
void ts_cuda_stream_free(cudaStream_t stream); // NULL: nothing
ts_status ts_cuda_wait(cudaStream_t stream, const char *what);
