// Which kernels the processor can run, and which of them do.
#include "backend/cpu.h"

#if defined(__x86_64__)
#include <pmmintrin.h>
#endif

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *const ts_cpu_kernel_names[] = {"avx512", "avx2", "portable", NULL};

const ts_kernels *ts_cpu_kernels_named(const char *name) {
#ifdef TS_HAVE_AVX512
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
    if (strcmp(name, "avx512") == 0)
        return avx512 ? &ts_kernels_avx512 : NULL;
#endif
#ifdef TS_HAVE_AVX2
    if (strcmp(name, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &ts_kernels_avx2 : NULL;
#endif
    return strcmp(name, "portable") == 0 ? &ts_kernels_portable : NULL;
}

const ts_kernels *ts_cpu_kernels(void) {
    const char *wanted = getenv("TOYSWEEP_KERNELS");
    if (wanted && *wanted)
        return ts_cpu_kernels_named(wanted);
    for (int i = 0; ts_cpu_kernel_names[i]; i++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[i]);
        if (kernels)
            return kernels;
    }
    return &ts_kernels_portable;
}

ts_status ts_cpu_probe(void) {
    if (ts_cpu_kernels())
        return TS_OK;
    return ts_fail(TS_ERROR_USER, "TOYSWEEP_KERNELS=%s: this processor has no such instructions; unset it",
                   getenv("TOYSWEEP_KERNELS"));
}

const char *ts_cpu_device(void) {
    return ts_cpu_kernels() ? ts_cpu_kernels()->name : "no kernels";
}

#if defined(__x86_64__)
unsigned ts_cpu_begin_steps(void) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
    return before;
}

void ts_cpu_end_steps(unsigned before) {
    _mm_setcsr(before);
}
#else // elsewhere they are counted as they are, at whatever speed
unsigned ts_cpu_begin_steps(void) {
    return 0;
}

void ts_cpu_end_steps(unsigned before) {
    (void)before;
}
#endif
