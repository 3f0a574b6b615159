// Multiply-adds in registers alone: the processor's peak, which benchmarks are measured by.
#include "cpu/kernels.h"
#include "cpu/simd.h"

// Ten chains of registers hide the latency of a multiply-add (4 cycles, two a cycle): a `vec` of AVX2 is two of them.
enum { CHAINS = VECTOR_REGISTERS >= 32 ? 10 : 5 };

double TS_FOR_SET(ts_peak)(int64_t rounds, float *sink) {
    vec chain[CHAINS], factor = vset(0.999f), term = vset(0.001f);
    float begin[CHAINS * LANES]; // all apart: of two that are equal the compiler would make one
    for (int i = 0; i < CHAINS * LANES; i++)
        begin[i] = (float)i;
    for (int c = 0; c < CHAINS; c++)
        chain[c] = vload(begin + LANES * c);
    for (int64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++)
            chain[c] = vfma(chain[c], factor, term);
    vec sum = vzero();
    for (int c = 0; c < CHAINS; c++)
        sum = vadd(sum, chain[c]);
    *sink = vsum(sum);
    return 2.0 * LANES * CHAINS * (double)rounds;
}
