#include "task/feature_data.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

// --- Making
// -----------------------------------------------------------------------------------------------------

// Vose's construction on the support padded to a power of two with inputs of probability 0.
static ts_status make_alias(const ts_support *support, ts_alias *alias) {
    int bits = 0;
    while ((1 << bits) < support->count)
        bits++;
    int columns = 1 << bits, n_small = 0, n_large = 0;
    alias->threshold = ts_alloc_zero((size_t)columns, sizeof *alias->threshold, "an alias table");
    alias->other = ts_alloc_zero((size_t)columns, sizeof *alias->other, "an alias table");
    double *share = ts_alloc_zero((size_t)columns, sizeof *share, "an alias table");
    int *small = ts_alloc_zero((size_t)columns, 2 * sizeof *small, "an alias table");
    if (!alias->threshold || !alias->other || !share || !small) {
        ts_free(share);
        ts_free(small);
        return TS_ERROR_MEMORY;
    }
    int *large = small + columns;
    for (int c = 0; c < columns; c++) {
        share[c] = c < support->count ? support->probability[c] * columns : 0;
        alias->other[c] = c;
        if (share[c] < 1)
            small[n_small++] = c;
        else
            large[n_large++] = c;
    }
    while (n_small > 0 && n_large > 0) {
        int low = small[--n_small], high = large[n_large - 1];
        alias->threshold[low] = (uint64_t)llround(share[low] * 0x1p32);
        alias->other[low] = high;
        share[high] -= 1 - share[low];
        if (share[high] < 1) {
            n_large--;
            small[n_small++] = high;
        }
    }
    // Left over by rounding: full columns.
    while (n_large > 0)
        alias->threshold[large[--n_large]] = 0x100000000u;
    while (n_small > 0)
        alias->threshold[small[--n_small]] = 0x100000000u;
    alias->bits = bits;
    ts_free(share);
    ts_free(small);
    return TS_OK;
}

ts_status ts_feature_data_finish(ts_feature_data *data) {
    data->alias.bits = -1;
    if (data->support.count == 0 || data->tree.depth > 0)
        return TS_OK;
    return make_alias(&data->support, &data->alias);
}

void ts_feature_data_free(ts_feature_data *data) {
    if (!data)
        return;
    ts_free(data->support.begin);
    ts_free(data->support.active);
    ts_free(data->support.probability);
    ts_free(data->alias.threshold);
    ts_free(data->alias.other);
    ts_free(data->independent.threshold);
    ts_free(data);
}

ts_status ts_feature_batch_create(const ts_feature_data *data, int64_t samples, ts_feature_batch *batch) {
    size_t support = (size_t)data->support.count;
    bool finite = support > 0;
    size_t rows = finite ? support : (size_t)samples;
    size_t entries = finite ? 0 : rows * (size_t)data->features;
    ts_slab slab = {0};
    *batch = (ts_feature_batch){0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&slab, "a batch") != TS_OK)
            return TS_ERROR_MEMORY;
        batch->own_weight = ts_slab_take(&slab, rows, sizeof(double));
        batch->own_begin = ts_slab_take(&slab, rows, sizeof(int));
        batch->own_end = ts_slab_take(&slab, rows, sizeof(int));
        // The bit tree counts nodes, not inputs; there are at most twice as many.
        batch->count = ts_slab_take(&slab, finite ? 2 * support + 2 : 0, sizeof(int));
        batch->own_active = ts_slab_take(&slab, entries, sizeof(int));
        batch->own_value = ts_slab_take(&slab, entries, sizeof(float));
    }
    batch->memory = slab.base;
    return TS_OK;
}

void ts_feature_batch_free(ts_feature_batch *batch) {
    ts_free(batch->memory);
    *batch = (ts_feature_batch){0};
}

// --- Drawing
// ----------------------------------------------------------------------------------------------------

// Splits n samples by fair bits: *left and *right of them go to the children, the rest stops (early stopping
// only).
static void split_node(ts_philox *random, int n, bool early_stopping, int *left, int *right) {
    int to_left = 0, to_right = 0;
    while (n > 0) {
        uint32_t words[4];
        ts_philox_next(random, words);
        uint64_t low = (uint64_t)words[1] << 32 | words[0], high = (uint64_t)words[3] << 32 | words[2];
        if (early_stopping) { // 64 samples: a bit for each child; on if its own is 1 and its sibling's is 0
            uint64_t mask = n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
            to_left += __builtin_popcountll(low & ~high & mask);
            to_right += __builtin_popcountll(high & ~low & mask);
            n -= 64;
        } else { // 128 samples, a bit each
            uint64_t mask_low = n < 64 ? ((uint64_t)1 << n) - 1 : ~(uint64_t)0;
            uint64_t mask_high = n < 128 ? (n <= 64 ? 0 : ((uint64_t)1 << (n - 64)) - 1) : ~(uint64_t)0;
            int here = n < 128 ? n : 128;
            int ones = __builtin_popcountll(low & mask_low) + __builtin_popcountll(high & mask_high);
            to_left += ones;
            to_right += here - ones;
            n -= 128;
        }
    }
    *left = to_left;
    *right = to_right;
}

// Counts of the support's inputs: with early stopping all nodes in heap order, else the leaves from left to
// right.
static void draw_bit_tree(const ts_feature_data *data, ts_philox base, int samples, int *count) {
    int internal = (1 << data->tree.depth) - 1;
    bool early = data->tree.early_stopping;
    count[0] = samples;
    for (int node = 0; node < internal; node++) {
        int left = 0, right = 0;
        if (count[node] > 0) {
            ts_philox random = base;
            random.counter[1] = (uint32_t)node;
            split_node(&random, count[node], early, &left, &right);
        }
        count[node] -= left + right;
        count[2 * node + 1] = left;
        count[2 * node + 2] = right;
    }
}

static void draw_alias(const ts_alias *alias, ts_philox random, int64_t samples, int *count) {
    for (int64_t i = 0; i < samples; i += 2) {
        uint32_t words[4];
        ts_philox_next(&random, words);
        for (int k = 0; k < 2 && i + k < samples; k++) {
            uint32_t column = alias->bits ? words[2 * k] >> (32 - alias->bits) : 0;
            bool own = words[2 * k + 1] < alias->threshold[column];
            count[own ? (int)column : alias->other[column]]++;
        }
    }
}

static void draw_counts(const ts_feature_data *data, ts_philox random, int64_t samples,
                        ts_feature_batch *batch) {
    const ts_support *support = &data->support;
    int *count = batch->count;
    if (data->tree.depth > 0) {
        draw_bit_tree(data, random, (int)samples, count);
        if (!data->tree.early_stopping)
            count += (1 << data->tree.depth) - 1; // only leaves are inputs
    } else {
        memset(count, 0, (size_t)support->count * sizeof *count);
        draw_alias(&data->alias, random, samples, count);
    }
    int rows = 0;
    double share = 1.0 / (double)samples;
    for (int i = 0; i < support->count; i++) {
        if (count[i] == 0)
            continue;
        batch->own_begin[rows] = support->begin[i];
        batch->own_end[rows] = support->begin[i + 1];
        batch->own_weight[rows] = count[i] * share;
        rows++;
    }
    batch->rows = rows;
    batch->begin = batch->own_begin;
    batch->end = batch->own_end;
    batch->weight = batch->own_weight;
    batch->active = support->active;
    batch->value = NULL;
}

// Words of one sample's stream, four at a time.
typedef struct word_stream {
    ts_philox random;
    uint32_t words[4];
    int used;
} word_stream;

static uint32_t next_word(word_stream *stream) {
    if (stream->used == 4) {
        ts_philox_next(&stream->random, stream->words);
        stream->used = 0;
    }
    return stream->words[stream->used++];
}

static int switch_on(const ts_feature_data *data, word_stream *stream, int feature, int at,
                     ts_feature_batch *batch) {
    batch->own_active[at] = feature;
    if (!data->independent.binary)
        batch->own_value[at] = (float)(next_word(stream) >> 8) * 0x1p-24f;
    return at + 1;
}

// One sample's active features from `at` on; returns the end.
static int draw_independent(const ts_feature_data *data, word_stream *stream, int at,
                            ts_feature_batch *batch) {
    const ts_independent *law = &data->independent;
    int correlated = 2 * law->correlated_pairs, paired = correlated + 2 * law->anticorrelated_pairs;
    for (int f = 0; f < correlated; f += 2) {
        if (next_word(stream) < law->threshold[f]) {
            at = switch_on(data, stream, f, at, batch);
            at = switch_on(data, stream, f + 1, at, batch);
        }
    }
    for (int f = correlated; f < paired; f += 2) {
        uint32_t word = next_word(stream);
        if (word < law->threshold[f])
            at = switch_on(data, stream, f, at, batch);
        else if (word < 2 * law->threshold[f])
            at = switch_on(data, stream, f + 1, at, batch);
    }
    for (int f = paired; f < data->features; f++)
        if (next_word(stream) < law->threshold[f])
            at = switch_on(data, stream, f, at, batch);
    return at;
}

static void draw_samples(const ts_feature_data *data, ts_philox random, int64_t samples,
                         ts_feature_batch *batch) {
    int at = 0;
    for (int64_t i = 0; i < samples; i++) {
        word_stream stream = {.random = random, .used = 4};
        stream.random.counter[1] = (uint32_t)i;
        batch->own_begin[i] = at;
        at = draw_independent(data, &stream, at, batch);
        batch->own_end[i] = at;
        batch->own_weight[i] = 1.0 / (double)samples;
    }
    batch->rows = (int)samples;
    batch->begin = batch->own_begin;
    batch->end = batch->own_end;
    batch->weight = batch->own_weight;
    batch->active = batch->own_active;
    batch->value = data->independent.binary ? NULL : batch->own_value;
}

void ts_feature_draw(const ts_feature_data *data, uint64_t seed, ts_stream stream, uint32_t step,
                     int64_t samples, ts_feature_batch *batch) {
    const ts_support *support = &data->support;
    if (samples > 0 && support->count == 0) {
        draw_samples(data, ts_philox_at(seed, stream, step, 0), samples, batch);
    } else if (samples > 0) {
        draw_counts(data, ts_philox_at(seed, stream, step, 0), samples, batch);
    } else {
        batch->rows = support->count;
        batch->begin = support->begin;
        batch->end = support->begin + 1;
        batch->weight = support->probability;
        batch->active = support->active;
        batch->value = NULL;
    }
}

double ts_feature_expected_rows(const ts_feature_data *data, int64_t samples) {
    const ts_support *support = &data->support;
    if (support->count == 0)
        return (double)samples;
    if (samples == 0)
        return support->count;
    double rows = 0;
    for (int i = 0; i < support->count; i++)
        rows += 1 - pow(1 - support->probability[i], (double)samples);
    return rows;
}
