// Batches of the task `tree` for instances in lanes: how many samples end at each node. The same random blocks as
// src/task/feature_data.c takes one instance after the other, here a block of four instances in each vector (of 64-bit
// lanes), and two of them at once, as one would wait for its own products.
#include "cpu/kernels.h"
#include "cpu/narrow.h"

typedef uint64_t four __attribute__((vector_size(32)));
enum { FOUR = 4, MOST_NODES = (2 << TS_MOST_DEPTH) - 1, ROUNDS = 10 };

INLINE four all_of(uint64_t a) {
    return (four){a, a, a, a};
}

#if defined(TS_KERNELS_AVX512) || defined(TS_KERNELS_AVX2)

// Lower halves, multiplied.
INLINE four product(four a, uint32_t by) {
    return (four)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(by));
}
// Bits set, by a table of those of 4 bits.
INLINE four ones_of(four bits) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                           2, 3, 2, 3, 3, 4);
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256((__m256i)bits, mask));
    __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16((__m256i)bits, 4), mask));
    return (four)_mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}
// The lowest n bits; none where n < 0, all where n > 64.
INLINE four low_bits(four n) {
    __m256i shift = _mm256_max_epi32((__m256i)n, _mm256_setzero_si256());
    return (four)_mm256_sub_epi64(_mm256_sllv_epi64(_mm256_set1_epi64x(1), shift), _mm256_set1_epi64x(1));
}
#else
INLINE four product(four a, uint32_t by) {
    return (a & 0xffffffff) * by;
}
INLINE four ones_of(four bits) {
    four ones;
    for (int i = 0; i < FOUR; i++)
        ones[i] = (uint64_t)__builtin_popcountll(bits[i]);
    return ones;
}
INLINE four low_bits(four n) {
    four bits;
    for (int i = 0; i < FOUR; i++)
        bits[i] = (int64_t)n[i] >= 64 ? ~(uint64_t)0 : (int64_t)n[i] > 0 ? ((uint64_t)1 << n[i]) - 1 : 0;
    return bits;
}
#endif

// A Philox block in the lower halves, as in src/base/random.c.
typedef struct blocks {
    four c0, c1, c2, c3;
} blocks;

INLINE void philox_round(blocks *b, four k0, four k1) {
    four p0 = product(b->c0, 0xD2511F53), p1 = product(b->c2, 0xCD9E8D57);
    *b = (blocks){(p1 >> 32) ^ b->c1 ^ k0, p1, (p0 >> 32) ^ b->c3 ^ k1, p0};
}

INLINE four joined(four low, four high) {
    return (low & 0xffffffff) | high << 32;
}

// Random bits of a node, and where they go.
typedef struct portion {
    int node, block;
} portion;

INLINE blocks begin_blocks(const ts_tree_draw *draw, portion of) {
    return (blocks){all_of((uint64_t)of.block), all_of((uint64_t)of.node), all_of(draw->step), all_of(draw->stream)};
}

// Samples of the portion that go to each child: of 64, two bits each, or, where none stops, of 128.
INLINE void add_portion(bool stops, portion of, const blocks *random, four *count) {
    four low = joined(random->c0, random->c1), high = joined(random->c2, random->c3);
    four left = count[of.node] - (uint64_t)(of.block * (stops ? 64 : 128));
    if (stops) {
        four mask = low_bits(left);
        count[2 * of.node + 1] += ones_of(low & ~high & mask);
        count[2 * of.node + 2] += ones_of(high & ~low & mask);
    } else {
        count[2 * of.node + 1] += ones_of(low & low_bits(left)) + ones_of(high & low_bits(left - 64));
    }
}

// Blocks that a node needs in one of the four instances or more.
INLINE int blocks_of(bool stops, four count) {
    uint64_t left = count[0] > count[1] ? count[0] : count[1], right = count[2] > count[3] ? count[2] : count[3];
    int per_block = stops ? 64 : 128, most = (int)(left > right ? left : right);
    return (most + per_block - 1) / per_block;
}

// The next portion of a level's nodes; node `end`: there is none.
INLINE portion next_portion(portion of, int end, const int *needed) {
    of.block++;
    while (of.node < end && of.block >= needed[of.node]) {
        of.node++;
        of.block = 0;
    }
    return of;
}

// Nodes first .. end - 1 of a level, all of whose counts are there.
INLINE void draw_level(const ts_tree_draw *draw, bool stops, four k0, four k1, int first, int end, four *count) {
    int needed[MOST_NODES];
    for (int node = first; node < end; node++) {
        needed[node] = blocks_of(stops, count[node]);
        count[2 * node + 1] = count[2 * node + 2] = all_of(0);
    }
    for (portion a = next_portion((portion){first, -1}, end, needed); a.node < end;) {
        portion b = next_portion(a, end, needed);
        blocks random_a = begin_blocks(draw, a), random_b = begin_blocks(draw, b);
        four key0 = k0, key1 = k1;
        for (int round = 0; round < ROUNDS; round++) {
            philox_round(&random_a, key0, key1);
            philox_round(&random_b, key0, key1);
            key0 += 0x9E3779B9; // what goes into upper halves is never read
            key1 += 0xBB67AE85;
        }
        add_portion(stops, a, &random_a, count);
        if (b.node == end)
            break;
        add_portion(stops, b, &random_b, count);
        a = next_portion(b, end, needed);
    }
    for (int node = first; node < end; node++) {
        if (!stops)
            count[2 * node + 2] = count[node] - count[2 * node + 1];
        count[node] -= count[2 * node + 1] + count[2 * node + 2];
    }
}

// Of four instances, with keys k0 and k1.
INLINE void draw_four(const ts_tree_draw *draw, bool stops, four k0, four k1, four *count) {
    count[0] = all_of((uint64_t)draw->samples);
    for (int first = 0, level = 0; level < draw->depth; level++, first = 2 * first + 1)
        draw_level(draw, stops, k0, k1, first, 2 * first + 1, count);
}

void TS_FOR_SET(ts_draw_trees)(const ts_tree_draw *draw) {
    four count[MOST_NODES];
    int leaves = 1 << draw->depth, first = draw->stops ? 0 : leaves - 1, inputs = 2 * leaves - 1 - first;
    for (int r = 0; r < inputs; r++)
        draw->partly[r] = false;
    for (int lane = 0; lane < draw->wanted; lane += FOUR) {
        const uint64_t *key0 = draw->key0 + lane, *key1 = draw->key1 + lane;
        four k0 = {key0[0], key0[1], key0[2], key0[3]}, k1 = {key1[0], key1[1], key1[2], key1[3]};
        if (draw->stops)
            draw_four(draw, true, k0, k1, count);
        else
            draw_four(draw, false, k0, k1, count);
        for (int r = 0; r < inputs; r++) {
            four own = count[first + r];
            float *weight = draw->weight + r * NARROW_LANES + lane;
            for (int i = 0; i < FOUR; i++)
                weight[i] = (float)((int)own[i] * draw->share);
            draw->partly[r] = draw->partly[r] || !own[0] || !own[1] || !own[2] || !own[3];
        }
    }
}
