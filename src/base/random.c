#include "base/random.h"

#include <math.h>

enum { ROUNDS = 10 };
static const uint32_t MULTIPLY_0 = 0xD2511F53, MULTIPLY_1 = 0xCD9E8D57; // the paper's constants
static const uint32_t WEYL_0 = 0x9E3779B9, WEYL_1 = 0xBB67AE85;

ts_philox ts_philox_at(uint64_t seed, ts_stream stream, uint32_t step, uint32_t lane) {
    return (ts_philox){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .counter = {0, lane, step, stream}};
}

void ts_philox_block(const ts_philox *at, uint32_t out[4]) {
    uint32_t c0 = at->counter[0], c1 = at->counter[1], c2 = at->counter[2], c3 = at->counter[3];
    uint32_t k0 = at->key[0], k1 = at->key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLY_0 * c0, p1 = (uint64_t)MULTIPLY_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void ts_philox_next(ts_philox *at, uint32_t out[4]) {
    ts_philox_block(at, out);
    at->counter[0]++;
}

void ts_philox_fill(ts_philox *at, uint32_t *out, int blocks) {
    for (int i = 0; i < blocks; i++) {
        uint32_t words[4];
        ts_philox_next(at, words);
        for (int w = 0; w < 4; w++)
            out[w * blocks + i] = words[w];
    }
}

void ts_philox_normals(ts_philox *at, double *out, int64_t count) {
    const double two_pi = 6.283185307179586476925;
    for (int64_t i = 0; i < count; i += 2) {
        uint32_t words[4];
        ts_philox_next(at, words);
        uint64_t bits_u = ((uint64_t)words[0] << 32 | words[1]) >> 11;
        uint64_t bits_v = ((uint64_t)words[2] << 32 | words[3]) >> 11;
        double u = ((double)bits_u + 1) * 0x1p-53, v = (double)bits_v * 0x1p-53;
        double radius = sqrt(-2 * log(u));
        out[i] = radius * cos(two_pi * v);
        if (i + 1 < count)
            out[i + 1] = radius * sin(two_pi * v);
    }
}
