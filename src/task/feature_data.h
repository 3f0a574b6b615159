// Data of feature tasks: how inputs x [features] are distributed, and batches drawn from it.
// Where only finitely many inputs exist (a tree; few binary features) a batch is a list of distinct inputs
// with weights - the counts of one multinomial draw - which has the same distribution as sampling one input
// at a time. Draws use integers only, so every backend and every machine sees the same batch.
#pragma once

#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { TS_MAX_FEATURES = 65536 };

// One input that can occur: active features `active[begin[i]] .. active[begin[i + 1] - 1]`, each with
// value 1.
typedef struct ts_support {
    int count;           // 0: the inputs are not finitely many (or too many to list)
    int *begin;          // (count + 1)
    int *active;         // (begin[count]) ascending within an input
    double *probability; // (count), sums to 1
} ts_support;

// A node of the tree that splits its samples over its two children by fair bits (branching 2).
typedef struct ts_bit_tree {
    int depth;           // 0: not used
    bool early_stopping; // two bits a sample: left, right or stop; else one bit
} ts_bit_tree;

// Walker's alias method on 2^bits columns: column c gives input c if a 32-bit word is below threshold[c],
// else other[c]. Exact for dyadic probabilities, else within 2^-32.
typedef struct ts_alias {
    int bits; // -1: not used
    uint64_t *threshold;
    int *other;
} ts_alias;

// Features that are drawn together, independently of all others, and the states that they can be in.
typedef struct ts_feature_group {
    int first;  // first feature
    int size;   // features: 1 or 2
    int states; // 2: off, on; 3 (anticorrelated): off, first on, second on
    double on;  // probability of each state but off
} ts_feature_group;

// Features drawn one by one (`independent`), thresholds in units of 2^-32.
typedef struct ts_independent {
    bool binary;     // active features have the value 1; else one uniform in [low, low + span)
    float low, span; // 0 and 1 by default
    int correlated_pairs, anticorrelated_pairs;
    uint64_t *threshold; // (features) on with probability threshold / 2^32
    int groups;
    ts_feature_group *group; // (groups) ascending
} ts_independent;

typedef struct ts_feature_data {
    int features;
    ts_support support;
    ts_bit_tree tree;
    ts_alias alias;
    ts_independent independent; // used if threshold is set and support.count is 0
} ts_feature_data;

// A batch: `rows` inputs, row r with features active[begin[r]] .. active[end[r] - 1]. The arrays may belong
// to the data (finite support) or to the batch.
typedef struct ts_feature_batch {
    int rows;
    const int *begin, *end; // (rows)
    const int *active;
    const float *value;   // like active; NULL: all 1
    const double *weight; // (rows) share of the batch; sums to 1
    // Owned scratch.
    ts_slab slab;
    int *count;                     // (support)
    uint32_t *block, *lane, *words; // (blocks), (blocks), (blocks, 4): random numbers drawn together
    uint64_t *mask, *splits;        // (blocks): ts_philox_splits, of trees with stops
    int blocks;
    int *own_begin, *own_end, *own_active;
    float *own_value;
    double *own_weight;
} ts_feature_batch;

// Room for `count` inputs of at most `most` active features each, which the caller fills in.
ts_status ts_support_create(int count, int most, ts_support *support);

// Prepares the alias table of data->support; takes part in making data.
ts_status ts_feature_data_finish(ts_feature_data *data);
void ts_feature_data_free(ts_feature_data *data);

// Room for batches of up to `samples` samples (and of the whole support, where it is finite).
ts_status ts_feature_batch_create(const ts_feature_data *data, int64_t samples, ts_feature_batch *batch);
void ts_feature_batch_free(ts_feature_batch *batch);

// Draws `samples` samples for (seed, stream, step). samples = 0: the distribution itself (finite support
// only), every possible input weighted by its probability.
void ts_feature_draw(const ts_feature_data *data, uint64_t seed, ts_stream stream, uint32_t step, int64_t samples,
                     ts_feature_batch *batch);

// Of finitely many inputs, and samples > 0, how often each is drawn for such a batch: (support.count), in `batch` until
// its next draw.
const int *ts_feature_count(const ts_feature_data *data, uint64_t seed, ts_stream stream, uint32_t step,
                            int64_t samples, ts_feature_batch *batch);

// Expected number of rows of such a batch.
double ts_feature_expected_rows(const ts_feature_data *data, int64_t samples);
