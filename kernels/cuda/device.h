// What a kernel file needs of CUDA, from nvcc or, in tests, from the emulator that runs the same source on the
// processor (tests/emulator). Kernels use dynamic shared memory only, no float atomics, and inline PTX only in
// helpers of this file that the emulator has its own version of. Host code includes kernels.h instead.
#pragma once

// Bytes of shared memory that a block may have: on any GPU from the A100 on, on an A100, on an H100 and later.
#define TS_SHARED_ANYWHERE (99 << 10)
#define TS_SHARED_A100     (163 << 10)
#define TS_SHARED_H100     (227 << 10)

// More than this a kernel has to ask for.
#define TS_SHARED_WITHOUT_ASKING (48 << 10)

#include <cuda_runtime.h>

// Lets blocks of `kernel` have so much. It always asks for the most that a block can have: the limit is the kernel's,
// and another thread may be about to launch it with more.
template <typename Kernel> static cudaError_t ts_allow_shared(Kernel *kernel, size_t bytes) {
    int device = 0, most = 0;
    if (bytes <= TS_SHARED_WITHOUT_ASKING)
        return cudaSuccess;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error == cudaSuccess)
        error = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                     cudaFuncAttributeMaxDynamicSharedMemorySize, most);
    return error;
}

// Starts `kernel` on the stream; evaluates to its cudaError_t. A template's arguments need parentheses:
// LAUNCH((step<4, true>), ...).
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                                         \
    [&]() -> cudaError_t {                                                                                             \
        size_t ts_bytes = shared_bytes;                                                                                \
        cudaError_t ts_error = ts_allow_shared(kernel, ts_bytes);                                                      \
        return ts_error == cudaSuccess ? TS_START(kernel, grid, block, ts_bytes, stream, __VA_ARGS__) : ts_error;      \
    }()

#ifdef TS_EMULATE
#include "emulator.h"
#else

#define TS_START(kernel, grid, block, shared_bytes, stream, ...)                                                       \
    ts_start(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)

template <typename... Parameters, typename... Arguments>
static cudaError_t ts_start(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                            cudaStream_t stream, Arguments... arguments) {
    kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
    return cudaGetLastError();
}

// The block's dynamic shared memory as T *name, 128-byte aligned.
#define DYN_SHARED(T, name)                                                                                            \
    extern __shared__ __align__(128) unsigned char ts_shared[];                                                        \
    T *name = reinterpret_cast<T *>(ts_shared)

// --- Tensor cores ---

// The nearest TF32 (10 bits after the leading one), of two the one farther from 0.
__device__ __forceinline__ float ts_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

// By the whole warp: sum (16, 8) += a (16, 8) b (8, 8), of TF32 numbers. A lane holds, with g = lane / 4, t = lane % 4:
// a (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); b (t, g), (t + 4, g); sum (g, 2 t), (g, 2 t + 1), (g + 8, 2 t),
// (g + 8, 2 t + 1).
__device__ __forceinline__ void ts_tf32_multiply(float (&sum)[4], const float (&a)[4], const float (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
                   "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

#endif
