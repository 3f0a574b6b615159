// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A number is a pure function of (key, counter), so results depend neither on order nor on threads.
#pragma once

#include <stdint.h>

// What a stream of an instance is for; part of the counter, so that streams never overlap.
typedef enum ts_stream {
    TS_STREAM_WEIGHTS = 0,  // initial weights; step is the tensor's number
    TS_STREAM_BATCH = 1,    // training batches; step is the training step
    TS_STREAM_FINAL = 2,    // fresh samples for final measures
    TS_STREAM_ESTIMATE = 3, // more of them, for an estimate of the expected loss; step is the number of a portion
    TS_STREAM_NOISE = 4 // on a network's tables, as it is measured; step is which noise, lane the side. On pairs: step
                        // 4 and more, lane the left token
} ts_stream;

// A position in one stream: key = the instance's seed, counter = (block, lane, step, stream).
typedef struct ts_philox {
    uint32_t key[2];
    uint32_t counter[4];
} ts_philox;

ts_philox ts_philox_at(uint64_t seed, ts_stream stream, uint32_t step, uint32_t lane);

// The block of four words at the position; the second also steps counter[0].
void ts_philox_block(const ts_philox *at, uint32_t out[4]);
void ts_philox_next(ts_philox *at, uint32_t out[4]);

// Many blocks of one stream and step at once, as fast as the processor can: block i is that of the counter
// (block[i], lane[i], at->counter[2], at->counter[3]) -> out (count, 4). The counter of `at` is not stepped.
void ts_philox_many(const ts_philox *at, const uint32_t *block, const uint32_t *lane, int count, uint32_t *out);

// Of each of such blocks, taken as 64 pairs of bits (bit i of words 0 and 1, bit i of words 2 and 3), and of those
// pairs that mask[i] (bit by bit) chooses: how many are (1, 0), + 2^32 times how many are (0, 1) -> out (count). All
// arrays have room for the next multiple of TS_PHILOX_TOGETHER; what lies there is read and written, and means nothing.
enum { TS_PHILOX_TOGETHER = 8 };
void ts_philox_splits(const ts_philox *at, const uint32_t *block, const uint32_t *lane, const uint64_t *mask, int count,
                      uint64_t *out);

// `count` standard normals, float64 (Box-Muller on 53-bit uniforms in (0, 1]).
void ts_philox_normals(ts_philox *at, double *out, int64_t count);
