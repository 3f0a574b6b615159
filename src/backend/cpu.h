// The CPU backend's choice of kernels: the best instruction set this processor has, or the one that the
// environment variable TOYSWEEP_KERNELS (avx512, avx2, portable) names.
#pragma once

#include "cpu/kernels.h"

#include "base/status.h"

const ts_kernels *ts_cpu_kernels(void);                   // never NULL once ts_cpu_probe is TS_OK
const ts_kernels *ts_cpu_kernels_named(const char *name); // NULL: unknown, or this processor cannot run them
extern const char *const ts_cpu_kernel_names[];           // best first, NULL-terminated
ts_status ts_cpu_probe(void);
const char *ts_cpu_device(void);

// Around steps: numbers below 1.2e-38 count as 0 in the calling thread, as late in training there are many of them and
// each costs the processor some hundred cycles. Give what `begin` returned to `end`.
unsigned ts_cpu_begin_steps(void);
void ts_cpu_end_steps(unsigned before);
