// Philox rounds, and what is made of their words.
#include "base/random.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

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

// --- Many blocks ---

static void many_plain(const ts_philox *at, const uint32_t *block, const uint32_t *lane, int count, uint32_t *out) {
    ts_philox one = *at;
    for (int i = 0; i < count; i++) {
        one.counter[0] = block[i];
        one.counter[1] = lane[i];
        ts_philox_block(&one, out + 4 * (size_t)i);
    }
}

static void splits_plain(const ts_philox *at, const uint32_t *block, const uint32_t *lane, const uint64_t *mask,
                         int count, uint64_t *out) {
    ts_philox one = *at;
    for (int i = 0; i < count; i++) {
        uint32_t words[4];
        one.counter[0] = block[i];
        one.counter[1] = lane[i];
        ts_philox_block(&one, words);
        uint64_t low = (uint64_t)words[1] << 32 | words[0], high = (uint64_t)words[3] << 32 | words[2];
        out[i] = (uint64_t)__builtin_popcountll(low & ~high & mask[i]) |
                 (uint64_t)__builtin_popcountll(high & ~low & mask[i]) << 32;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

// Each 64-bit lane holds one 32-bit word of one block; what the products leave in the upper halves is never
// read.
__attribute__((target("avx512f"))) static int many_avx512(const ts_philox *at, const uint32_t *block,
                                                          const uint32_t *lane, int count, uint32_t *out) {
    const __m512i multiply_0 = _mm512_set1_epi64(MULTIPLY_0), multiply_1 = _mm512_set1_epi64(MULTIPLY_1);
    const __m512i low = _mm512_set1_epi64(0xffffffff);
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    int i = 0;
    for (; i + 8 <= count; i += 8) {
        __m512i c0 = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)(block + i)));
        __m512i c1 = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)(lane + i)));
        __m512i c2 = _mm512_set1_epi64(at->counter[2]), c3 = _mm512_set1_epi64(at->counter[3]);
        uint32_t k0 = at->key[0], k1 = at->key[1];
        for (int round = 0; round < ROUNDS; round++) {
            __m512i p0 = _mm512_mul_epu32(c0, multiply_0), p1 = _mm512_mul_epu32(c2, multiply_1);
            c0 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p1, 32), c1), _mm512_set1_epi64(k0));
            c2 = _mm512_xor_si512(_mm512_xor_si512(_mm512_srli_epi64(p0, 32), c3), _mm512_set1_epi64(k1));
            c1 = p1;
            c3 = p0;
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        __m512i c01 = _mm512_or_si512(_mm512_and_si512(c0, low), _mm512_slli_epi64(c1, 32));
        __m512i c23 = _mm512_or_si512(_mm512_and_si512(c2, low), _mm512_slli_epi64(c3, 32));
        _mm512_storeu_si512(out + 4 * (size_t)i, _mm512_permutex2var_epi64(c01, first, c23));
        _mm512_storeu_si512(out + 4 * (size_t)i + 16, _mm512_permutex2var_epi64(c01, second, c23));
    }
    return i;
}

__attribute__((target("avx2"))) static int many_avx2(const ts_philox *at, const uint32_t *block, const uint32_t *lane,
                                                     int count, uint32_t *out) {
    const __m256i multiply_0 = _mm256_set1_epi64x(MULTIPLY_0), multiply_1 = _mm256_set1_epi64x(MULTIPLY_1);
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        __m256i c0 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)(block + i)));
        __m256i c1 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)(lane + i)));
        __m256i c2 = _mm256_set1_epi64x(at->counter[2]), c3 = _mm256_set1_epi64x(at->counter[3]);
        uint32_t k0 = at->key[0], k1 = at->key[1];
        for (int round = 0; round < ROUNDS; round++) {
            __m256i p0 = _mm256_mul_epu32(c0, multiply_0), p1 = _mm256_mul_epu32(c2, multiply_1);
            c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), _mm256_set1_epi64x(k0));
            c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), _mm256_set1_epi64x(k1));
            c1 = p1;
            c3 = p0;
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        __m256i c01 = _mm256_or_si256(_mm256_and_si256(c0, low), _mm256_slli_epi64(c1, 32));
        __m256i c23 = _mm256_or_si256(_mm256_and_si256(c2, low), _mm256_slli_epi64(c3, 32));
        __m256i even = _mm256_unpacklo_epi64(c01, c23), odd = _mm256_unpackhi_epi64(c01, c23);
        __m256i *to = (__m256i *)(void *)(out + 4 * (size_t)i);
        _mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
        _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
    }
    return i;
}

// Four blocks, a word of each in the lower half of a 64-bit lane.
typedef struct four_blocks {
    __m256i c0, c1, c2, c3;
} four_blocks;

__attribute__((target("avx2"))) static inline four_blocks load_four(const ts_philox *at, const uint32_t *block,
                                                                    const uint32_t *lane) {
    return (four_blocks){
        .c0 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)block)),
        .c1 = _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)lane)),
        .c2 = _mm256_set1_epi64x(at->counter[2]),
        .c3 = _mm256_set1_epi64x(at->counter[3]),
    };
}

__attribute__((target("avx2"))) static inline void round_of_four(four_blocks *b, __m256i k0, __m256i k1) {
    __m256i p0 = _mm256_mul_epu32(b->c0, _mm256_set1_epi64x(MULTIPLY_0));
    __m256i p1 = _mm256_mul_epu32(b->c2, _mm256_set1_epi64x(MULTIPLY_1));
    b->c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), b->c1), k0);
    b->c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), b->c3), k1);
    b->c1 = p1;
    b->c3 = p0;
}

// Bits set in each 64-bit lane, by a table of those of 4 bits.
__attribute__((target("avx2"))) static inline __m256i ones_of(__m256i bits) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                           2, 3, 2, 3, 3, 4);
    const __m256i four = _mm256_set1_epi8(15);
    __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, four));
    __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bits, 4), four));
    return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

__attribute__((target("avx2"))) static inline void store_four(const four_blocks *b, const uint64_t *mask,
                                                              uint64_t *out) {
    __m256i chosen = _mm256_loadu_si256((const __m256i *)(const void *)mask);
    __m256i low = _mm256_blend_epi32(b->c0, _mm256_slli_epi64(b->c1, 32), 0xaa);
    __m256i high = _mm256_blend_epi32(b->c2, _mm256_slli_epi64(b->c3, 32), 0xaa);
    __m256i left = ones_of(_mm256_and_si256(_mm256_andnot_si256(high, low), chosen));
    __m256i right = ones_of(_mm256_and_si256(_mm256_andnot_si256(low, high), chosen));
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_or_si256(left, _mm256_slli_epi64(right, 32)));
}

// Two times four blocks at once, as one would wait for its own products.
__attribute__((target("avx2"))) static void splits_avx2(const ts_philox *at, const uint32_t *block,
                                                        const uint32_t *lane, const uint64_t *mask, int count,
                                                        uint64_t *out) {
    for (int i = 0; i < count; i += TS_PHILOX_TOGETHER) {
        four_blocks a = load_four(at, block + i, lane + i), b = load_four(at, block + i + 4, lane + i + 4);
        __m256i k0 = _mm256_set1_epi64x(at->key[0]), k1 = _mm256_set1_epi64x(at->key[1]);
        for (int round = 0; round < ROUNDS; round++) {
            round_of_four(&a, k0, k1);
            round_of_four(&b, k0, k1);
            k0 = _mm256_add_epi32(k0, _mm256_set1_epi64x(WEYL_0));
            k1 = _mm256_add_epi32(k1, _mm256_set1_epi64x(WEYL_1));
        }
        store_four(&a, mask + i, out + i);
        store_four(&b, mask + i + 4, out + i + 4);
    }
}

void ts_philox_splits(const ts_philox *at, const uint32_t *block, const uint32_t *lane, const uint64_t *mask, int count,
                      uint64_t *out) {
    if (__builtin_cpu_supports("avx2"))
        splits_avx2(at, block, lane, mask, count, out);
    else
        splits_plain(at, block, lane, mask, count, out);
}

// The blocks that are left, together with some that nobody asked for.
static void many_left(const ts_philox *at, const uint32_t *block, const uint32_t *lane, int count, uint32_t *out) {
    uint32_t blocks[4] = {0}, lanes[4] = {0}, words[16];
    if (count == 0)
        return;
    memcpy(blocks, block, (size_t)count * sizeof *blocks);
    memcpy(lanes, lane, (size_t)count * sizeof *lanes);
    many_avx2(at, blocks, lanes, 4, words);
    memcpy(out, words, (size_t)count * 4 * sizeof *words);
}

void ts_philox_many(const ts_philox *at, const uint32_t *block, const uint32_t *lane, int count, uint32_t *out) {
    int done = 0;
    if (__builtin_cpu_supports("avx512f"))
        done = many_avx512(at, block, lane, count, out);
    if (!__builtin_cpu_supports("avx2")) {
        many_plain(at, block, lane, count, out);
        return;
    }
    done += many_avx2(at, block + done, lane + done, count - done, out + 4 * (size_t)done);
    many_left(at, block + done, lane + done, count - done, out + 4 * (size_t)done);
}

#else

void ts_philox_splits(const ts_philox *at, const uint32_t *block, const uint32_t *lane, const uint64_t *mask, int count,
                      uint64_t *out) {
    splits_plain(at, block, lane, mask, count, out);
}

void ts_philox_many(const ts_philox *at, const uint32_t *block, const uint32_t *lane, int count, uint32_t *out) {
    many_plain(at, block, lane, count, out);
}

#endif

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
