// Stand-in for NCCL's header of the same name, with what this project uses. Implemented by
// tests/emulator/nccl.cpp.
#pragma once

#include "cuda_runtime_api.h"

#define NCCL_MAJOR 2

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { ncclSuccess = 0, ncclInvalidArgument = 4 } ncclResult_t;

ncclResult_t ncclGetVersion(int *version);
const char *ncclGetErrorString(ncclResult_t result);

#ifdef __cplusplus
}
#endif
