// What C calls of the CUDA kernels: one function a kernel, which starts it on a stream and returns at once. Shapes
// and pointers only; all pointers are to device memory. Sizes of blocks and of shared memory are in `ts_cuda_launch`.
#pragma once

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif
