#include "nccl.h"

extern "C" {

ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_MAJOR * 10000;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
    return result == ncclSuccess ? "no error" : "an error";
}

} // extern "C"
