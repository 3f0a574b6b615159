// Distributions by task, and the draw of a batch: which features are active, and how strongly.
#include "task/feature_data.h"
#include <math.h>
#include <string.h>

// --- Making ---

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

ts_status ts_support_create(int count, int most, ts_support *support) {
    support->count = count;
    support->begin = ts_alloc((size_t)(count + 1) * sizeof(int), "a task's inputs");
    support->active = ts_alloc((size_t)count * (size_t)most * sizeof(int), "a task's inputs");
    support->probability = ts_alloc((size_t)count * sizeof(double), "a task's inputs");
    return support->begin && support->active && support->probability ? TS_OK : TS_ERROR_MEMORY;
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
    ts_free(data->independent.group);
    ts_free(data);
}

enum { BLOCKS = 512, VALUE_BLOCKS = 1 << 30 };

// Random blocks of one sample: a word for each feature.
static int blocks_of_sample(const ts_feature_data *data) {
    return (data->features + 3) / 4;
}

// Blocks that are drawn together: a tree's level, else as many as stay in the cache and at least one
// sample's.
static size_t blocks_at_once(const ts_feature_data *data, int64_t samples) {
    if (data->tree.depth > 0)
        return (size_t)(samples / 64 + (1 << data->tree.depth) + TS_PHILOX_TOGETHER);
    size_t sample = (size_t)blocks_of_sample(data);
    return data->support.count > 0 || sample < BLOCKS ? BLOCKS : sample;
}

ts_status ts_feature_batch_create(const ts_feature_data *data, int64_t samples, ts_feature_batch *batch) {
    size_t support = (size_t)data->support.count;
    bool finite = support > 0;
    size_t rows = finite ? support : (size_t)samples;
    size_t entries = finite ? 0 : rows * (size_t)data->features + 1; // one more: see draw_active
    size_t blocks = blocks_at_once(data, samples);
    *batch = (ts_feature_batch){0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&batch->slab, "a batch") != TS_OK)
            return TS_ERROR_MEMORY;
        batch->own_weight = ts_slab_take(&batch->slab, rows, sizeof(double));
        batch->own_begin = ts_slab_take(&batch->slab, rows, sizeof(int));
        batch->own_end = ts_slab_take(&batch->slab, rows, sizeof(int));
        // The bit tree counts nodes, not inputs; there are at most twice as many.
        batch->count = ts_slab_take(&batch->slab, finite ? 2 * support + 2 : 0, sizeof(int));
        batch->block = ts_slab_take(&batch->slab, blocks, sizeof(uint32_t));
        batch->lane = ts_slab_take(&batch->slab, blocks, sizeof(uint32_t));
        batch->words = ts_slab_take(&batch->slab, blocks, 4 * sizeof(uint32_t));
        bool splits = data->tree.depth > 0 && data->tree.early_stopping;
        batch->mask = ts_slab_take(&batch->slab, splits ? blocks : 0, sizeof(uint64_t));
        batch->splits = ts_slab_take(&batch->slab, splits ? blocks : 0, sizeof(uint64_t));
        batch->own_active = ts_slab_take(&batch->slab, entries, sizeof(int));
        batch->own_value = ts_slab_take(&batch->slab, entries, sizeof(float));
    }
    batch->blocks = (int)blocks;
    return TS_OK;
}

void ts_feature_batch_free(ts_feature_batch *batch) {
    ts_slab_free(&batch->slab);
    *batch = (ts_feature_batch){0};
}

// --- Drawing ---

// Samples that one block of random bits decides, where none stops.
enum { SAMPLES_A_BLOCK = 128 };

static uint64_t low_bits(int n) {
    return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (n > 0 ? n : 0)) - 1;
}

// Splits n samples by fair bits, block by block, where none stops: how many of them go to the left.
static int split_node(const uint32_t *words, int n) {
    int left = 0;
    for (; n > 0; n -= SAMPLES_A_BLOCK, words += 4) {
        uint64_t low = (uint64_t)words[1] << 32 | words[0], high = (uint64_t)words[3] << 32 | words[2];
        left += __builtin_popcountll(low & low_bits(n)) + __builtin_popcountll(high & low_bits(n - 64));
    }
    return left;
}

// Node n draws from lane n.
static void draw_to_leaves(const ts_bit_tree *tree, const ts_philox *random, ts_feature_batch *batch) {
    int *count = batch->count;
    for (int level = 0, first = 0; level < tree->depth; level++, first = 2 * first + 1) {
        int end = 2 * first + 1, blocks = 0;
        for (int node = first; node < end; node++)
            for (int b = 0; b * SAMPLES_A_BLOCK < count[node]; b++, blocks++) {
                batch->block[blocks] = (uint32_t)b;
                batch->lane[blocks] = (uint32_t)node;
            }
        ts_philox_many(random, batch->block, batch->lane, blocks, batch->words);
        const uint32_t *words = batch->words;
        for (int node = first; node < end; node++) {
            int left = split_node(words, count[node]);
            words += 4 * ((count[node] + SAMPLES_A_BLOCK - 1) / SAMPLES_A_BLOCK);
            count[2 * node + 1] = left;
            count[2 * node + 2] = count[node] - left;
            count[node] = 0;
        }
    }
}

// Blocks of a node with n samples, two bits each, from `at` on: whole rows of TS_PHILOX_TOGETHER are written, the next
// node's over what is too much. Returns the end.
static int list_blocks(ts_feature_batch *batch, int node, int n, int at) {
    int blocks = (n + 63) / 64;
    for (int first = 0; first < blocks; first += TS_PHILOX_TOGETHER)
        for (int b = 0; b < TS_PHILOX_TOGETHER; b++) {
            batch->block[at + first + b] = (uint32_t)(first + b);
            batch->lane[at + first + b] = (uint32_t)node;
            batch->mask[at + first + b] = ~(uint64_t)0;
        }
    if (blocks > 0)
        batch->mask[at + blocks - 1] = low_bits(n - 64 * (blocks - 1));
    return at + blocks;
}

// As draw_to_leaves, with a bit for each child: on if its own is 1 and its sibling's is 0; else the sample stops.
static void draw_with_stops(const ts_bit_tree *tree, const ts_philox *random, ts_feature_batch *batch) {
    int *count = batch->count;
    for (int level = 0, first = 0; level < tree->depth; level++, first = 2 * first + 1) {
        int end = 2 * first + 1, blocks = 0;
        for (int node = first; node < end; node++)
            blocks = list_blocks(batch, node, count[node], blocks);
        ts_philox_splits(random, batch->block, batch->lane, batch->mask, blocks, batch->splits);
        // Sums up to each block, so that those of a node need no loop of their own.
        uint64_t *sum = batch->splits, total = 0, here;
        for (int i = 0; i <= blocks; i++, total += here) {
            here = sum[i];
            sum[i] = total;
        }
        for (int node = first, at = 0; node < end; node++) {
            int next = at + (count[node] + 63) / 64;
            uint64_t both = sum[next] - sum[at];
            int left = (int)(uint32_t)both, right = (int)(both >> 32);
            count[node] -= left + right;
            count[2 * node + 1] = left;
            count[2 * node + 2] = right;
            at = next;
        }
    }
}

// Counts of the support's inputs: with early stopping all nodes in heap order, else the leaves from left to
// right.
static const int *draw_bit_tree(const ts_bit_tree *tree, const ts_philox *random, int samples,
                                ts_feature_batch *batch) {
    batch->count[0] = samples;
    if (tree->early_stopping) {
        draw_with_stops(tree, random, batch);
        return batch->count;
    }
    draw_to_leaves(tree, random, batch);
    return batch->count + (1 << tree->depth) - 1;
}

// Two words a sample: the column, and its own input or the other.
static void draw_alias(const ts_alias *alias, const ts_philox *random, int64_t samples, ts_feature_batch *batch) {
    for (int64_t done = 0; done < samples; done += 2 * batch->blocks) {
        int64_t here = samples - done < 2 * batch->blocks ? samples - done : 2 * batch->blocks;
        int blocks = (int)((here + 1) / 2);
        for (int b = 0; b < blocks; b++) {
            batch->block[b] = (uint32_t)(done / 2 + b);
            batch->lane[b] = 0;
        }
        ts_philox_many(random, batch->block, batch->lane, blocks, batch->words);
        for (int64_t i = 0; i < here; i++) {
            const uint32_t *words = batch->words + 2 * i;
            uint32_t column = alias->bits ? words[0] >> (32 - alias->bits) : 0;
            bool own = words[1] < alias->threshold[column];
            batch->count[own ? (int)column : alias->other[column]]++;
        }
    }
}

const int *ts_feature_count(const ts_feature_data *data, uint64_t seed, ts_stream stream, uint32_t step,
                            int64_t samples, ts_feature_batch *batch) {
    ts_philox random = ts_philox_at(seed, stream, step, 0);
    if (data->tree.depth > 0)
        return draw_bit_tree(&data->tree, &random, (int)samples, batch);
    memset(batch->count, 0, (size_t)data->support.count * sizeof *batch->count);
    draw_alias(&data->alias, &random, samples, batch);
    return batch->count;
}

// The rows of inputs drawn so often.
static void enter_counts(const ts_feature_data *data, const int *count, int64_t samples, ts_feature_batch *batch) {
    const ts_support *support = &data->support;
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

// One sample's active features from `at` on, decided by words (features); returns the end.
static int draw_active(const ts_feature_data *data, const uint32_t *words, int at, int *active) {
    const ts_independent *law = &data->independent;
    int correlated = 2 * law->correlated_pairs, paired = correlated + 2 * law->anticorrelated_pairs;
    for (int f = 0; f < correlated; f += 2) {
        if (words[f] < law->threshold[f]) {
            active[at++] = f;
            active[at++] = f + 1;
        }
    }
    for (int f = correlated; f < paired; f += 2) {
        if (words[f] < law->threshold[f])
            active[at++] = f;
        else if (words[f] < 2 * law->threshold[f])
            active[at++] = f + 1;
    }
    // Written whether it is on or not: there is no telling, so a branch would cost more.
    for (int f = paired; f < data->features; f++) {
        active[at] = f;
        at += words[f] < law->threshold[f];
    }
    return at;
}

// Values of one sample's active features, from blocks far behind those that decide which are.
static void draw_values(const ts_independent *law, ts_philox random, int count, float *value) {
    random.counter[0] = VALUE_BLOCKS;
    for (int i = 0; i < count; i += 4) {
        uint32_t words[4];
        ts_philox_next(&random, words);
        for (int k = 0; k < 4 && i + k < count; k++)
            value[i + k] = law->low + law->span * ((float)(words[k] >> 8) * 0x1p-24f);
    }
}

// Sample s draws from lane s.
static void draw_samples(const ts_feature_data *data, ts_philox random, int64_t samples, ts_feature_batch *batch) {
    int at = 0, per_sample = blocks_of_sample(data), at_once = batch->blocks / per_sample;
    for (int64_t done = 0; done < samples; done += at_once) {
        int here = samples - done < at_once ? (int)(samples - done) : at_once;
        for (int b = 0; b < here * per_sample; b++) {
            batch->block[b] = (uint32_t)(b % per_sample);
            batch->lane[b] = (uint32_t)(done + b / per_sample);
        }
        ts_philox_many(&random, batch->block, batch->lane, here * per_sample, batch->words);
        for (int i = 0; i < here; i++) {
            const uint32_t *words = batch->words + (size_t)i * 4 * (size_t)per_sample;
            int begin = at;
            at = draw_active(data, words, at, batch->own_active);
            random.counter[1] = (uint32_t)(done + i);
            if (!data->independent.binary)
                draw_values(&data->independent, random, at - begin, batch->own_value + begin);
            batch->own_begin[done + i] = begin;
            batch->own_end[done + i] = at;
            batch->own_weight[done + i] = 1.0 / (double)samples;
        }
    }
    batch->rows = (int)samples;
    batch->begin = batch->own_begin;
    batch->end = batch->own_end;
    batch->weight = batch->own_weight;
    batch->active = batch->own_active;
    batch->value = data->independent.binary ? NULL : batch->own_value;
}

void ts_feature_draw(const ts_feature_data *data, uint64_t seed, ts_stream stream, uint32_t step, int64_t samples,
                     ts_feature_batch *batch) {
    const ts_support *support = &data->support;
    if (samples > 0 && support->count == 0) {
        draw_samples(data, ts_philox_at(seed, stream, step, 0), samples, batch);
    } else if (samples > 0) {
        enter_counts(data, ts_feature_count(data, seed, stream, step, samples, batch), samples, batch);
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
