// MT19937 and PyTorch's way from its words to permutations and normal numbers.
#include "base/torch_random.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

// --- MT19937 (Matsumoto, Nishimura 1998) ---

enum { WORDS = 624, SHIFT = 397 };

void ts_torch_seed(ts_torch_random *random, uint64_t seed) {
    random->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < WORDS; i++) {
        uint32_t before = random->state[i - 1];
        random->state[i] = 1812433253u * (before ^ before >> 30) + i;
    }
    random->next = WORDS;
}

static void refill(ts_torch_random *random) {
    uint32_t *state = random->state;
    for (int i = 0; i < WORDS; i++) {
        uint32_t joined = (state[i] & 0x80000000u) | (state[(i + 1) % WORDS] & 0x7fffffffu);
        state[i] = state[(i + SHIFT) % WORDS] ^ joined >> 1 ^ (joined & 1 ? 0x9908b0dfu : 0);
    }
    random->next = 0;
}

uint32_t ts_torch_u32(ts_torch_random *random) {
    if (random->next == WORDS)
        refill(random);
    uint32_t word = random->state[random->next++];
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680u;
    word ^= word << 15 & 0xefc60000u;
    return word ^ word >> 18;
}

void ts_torch_randperm(ts_torch_random *random, int64_t count, int *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = (int)i;
    ts_torch_shuffle(random, count, out);
}

void ts_torch_shuffle(ts_torch_random *random, int64_t count, int *list) {
    for (int64_t i = 0; i < count - 1; i++) {
        int64_t other = i + ts_torch_u32(random) % (count - i);
        int swapped = list[i];
        list[i] = list[other];
        list[other] = swapped;
    }
}

// --- Normals ---
// PyTorch fills blocks of 16 with AVX2 code whose logarithm, sine and cosine are the float32 polynomials of
// Cephes; its compiler fused their multiply-adds. The last bits come from just these steps, so they are
// spelt out here, with fmaf where a step was fused. The C library's logf and cosf differ in about one value
// in five.

static float horner(float x, const float *coefficient, int count) {
    float sum = coefficient[0];
    for (int i = 1; i < count; i++)
        sum = fmaf(sum, x, coefficient[i]);
    return sum;
}

// ln x, x a positive normal number.
static float logarithm(float x) {
    static const float P[] = {7.0376836292E-2f,  -1.1514610310E-1f, 1.1676998740E-1f,
                              -1.2420140846E-1f, 1.4249322787E-1f,  -1.6668057665E-1f,
                              2.0000714765E-1f,  -2.4999993993E-1f, 3.3333331174E-1f};
    static const float LN2_LOW = -2.12194440e-4f, LN2_HIGH = 0.693359375f, SQRT_HALF = 0.70710678118654752f;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    float exponent = (float)((int)(bits >> 23) - 126), mantissa; // mantissa in [0.5, 1)
    bits = (bits & 0x007fffffu) | 0x3f000000u;
    memcpy(&mantissa, &bits, sizeof bits);
    bool low = mantissa < SQRT_HALF;
    float m = low ? mantissa - 1 + mantissa : mantissa - 1;
    exponent -= low ? 1 : 0;
    float square = m * m, y = horner(m, P, 9) * m;
    y = fmaf(y, square, exponent * LN2_LOW);
    y = fmaf(-square, 0.5f, y);
    return fmaf(exponent, LN2_HIGH, m + y);
}

// Of x in [0, 2 pi].
static void sine_cosine(float x, float *sine, float *cosine) {
    static const float COS[] = {2.443315711809948E-005f, -1.388731625493765E-003f, 4.166664568298827E-002f};
    static const float SIN[] = {-1.9515295891E-4f, 8.3321608736E-3f, -1.6666654611E-1f};
    static const float FOUR_OVER_PI = 1.27323954473516f;
    int octant = ((int)(x * FOUR_OVER_PI) + 1) & ~1;
    float y = (float)octant;
    x = fmaf(y, -0.78515625f, x); // x - y pi/4, with pi/4 in three pieces
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x, c = horner(z, COS, 3) * z, s = horner(z, SIN, 3) * z;
    c = fmaf(c, z, -(z * 0.5f)) + 1;
    s = fmaf(s, x, x);
    bool swapped = octant & 2;
    *sine = swapped ? c : s;
    *cosine = swapped ? s : c;
    if (octant & 4)
        *sine = -*sine;
    if (~(octant - 2) & 4)
        *cosine = -*cosine;
}

static void uniforms(ts_torch_random *random, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(ts_torch_u32(random) & 0xffffff) * 0x1p-24f;
}

void ts_torch_uniform(ts_torch_random *random, int64_t count, float bound, float *out) {
    uniforms(random, count, out);
    for (int64_t i = 0; i < count; i++)
        out[i] = out[i] * (bound - -bound) + -bound;
}

// Sixteen uniforms into normals, in place (Box and Muller).
static void transform(float block[16]) {
    static const float TWO_PI = 6.283185307179586f;
    for (int j = 0; j < 8; j++) {
        float sine, cosine, radius = sqrtf(-2 * logarithm(1 - block[j]));
        sine_cosine(TWO_PI * block[j + 8], &sine, &cosine);
        block[j] = radius * cosine;
        block[j + 8] = radius * sine;
    }
}

void ts_torch_normal(ts_torch_random *random, int64_t count, float factor, float *out) {
    uniforms(random, count, out);
    for (int64_t i = 0; i + 16 <= count; i += 16)
        transform(out + i);
    if (count % 16 != 0) {
        // The last 16 are drawn anew, those of the last whole block among them.
        uniforms(random, 16, out + count - 16);
        transform(out + count - 16);
    }
    for (int64_t i = 0; i < count; i++)
        out[i] *= factor;
}
