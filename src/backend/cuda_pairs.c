// Draws and sorts training pairs.
#include "backend/cuda_pairs.h"

#include "base/memory.h"
#include "model/network.h"
#include "task/data.h"

#include <string.h>

void ts_cuda_pairs_begin(ts_cuda_pairs *p, const ts_training_spec *spec) {
    const ts_table *table = spec->data->table;
    int64_t pairs = ts_network_train(&spec->params[0], table);
    *p = (ts_cuda_pairs){
        .tokens = table->n,
        .n_out = ts_network_outputs(&spec->params[0]),
        .train = (int)pairs,
        .parts = 1,
        .end = 1,
        .count = (int)pairs,
        .share = 1.0f / (float)pairs,
    };
}

// Pairs before a part.
static int begin_of(const ts_cuda_pairs *p, int part) {
    return (int)((int64_t)p->train * part / p->parts);
}

void ts_cuda_pairs_cut(ts_cuda_pairs *p, int parts, int first, int end) {
    p->parts = parts;
    p->first = first;
    p->end = end;
    p->count = begin_of(p, end) - begin_of(p, first);
}

void ts_cuda_pairs_take(ts_cuda_pairs *p, int instances, ts_cuda_slab *slab) {
    size_t count = (size_t)instances, pairs = (size_t)p->count;
    p->token = ts_cuda_slab_take(slab, count * 2 * pairs, sizeof(int));
    p->label = ts_cuda_slab_take(slab, count * pairs, sizeof(int));
    p->order = ts_cuda_slab_take(slab, count * 2 * pairs, sizeof(int));
    p->begin = ts_cuda_slab_take(slab, (size_t)(p->end - p->first) * count * 2 * (size_t)(p->tokens + 1), sizeof(int));
}

ts_cuda_pairs ts_cuda_pairs_part(const ts_cuda_pairs *p, int instances, int part) {
    ts_cuda_pairs of = *p;
    size_t count = (size_t)instances, before = count * (size_t)(begin_of(p, part) - begin_of(p, p->first));
    of.first = part;
    of.end = part + 1;
    of.count = begin_of(p, part + 1) - begin_of(p, part);
    of.token += 2 * before;
    of.label += before;
    of.order += 2 * before;
    of.begin += (size_t)(part - p->first) * count * 2 * (size_t)(p->tokens + 1);
    return of;
}

// One instance's pairs of a part as they go to the device.
typedef struct pair_lists {
    int *drawn; // (n * n): of all parts
    int *token; // (2, pairs)
    int *label; // (pairs)
    int *order; // (2, pairs)
    int *begin; // (2, tokens + 1)
    ts_slab slab;
} pair_lists;

static ts_status lists_create(const ts_cuda_pairs *p, pair_lists *lists) {
    size_t pairs = (size_t)(p->train / p->parts + 1), tokens = (size_t)p->tokens;
    *lists = (pair_lists){0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&lists->slab, "training pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        lists->drawn = ts_slab_take(&lists->slab, tokens * tokens, sizeof(int));
        lists->token = ts_slab_take(&lists->slab, 2 * pairs, sizeof(int));
        lists->label = ts_slab_take(&lists->slab, pairs, sizeof(int));
        lists->order = ts_slab_take(&lists->slab, 2 * pairs, sizeof(int));
        lists->begin = ts_slab_take(&lists->slab, 2 * (tokens + 1), sizeof(int));
    }
    return TS_OK;
}

// Pairs by token, each token's in their order: counting, sums of the counts, placing.
static void sort_by_token(const int *token, int pairs, int tokens, int *order, int *begin) {
    memset(begin, 0, (size_t)(tokens + 1) * sizeof *begin);
    for (int p = 0; p < pairs; p++)
        begin[token[p] + 1]++;
    for (int i = 0; i < tokens; i++)
        begin[i + 1] += begin[i];
    for (int p = 0; p < pairs; p++)
        order[begin[token[p]]++] = p;
    for (int i = tokens; i > 0; i--)
        begin[i] = begin[i - 1];
    begin[0] = 0;
}

static void enter(const ts_cuda_pairs *p, const ts_table *table, pair_lists *lists) {
    for (int i = 0; i < p->count; i++) {
        int pair = lists->drawn[begin_of(p, p->first) + i];
        lists->token[i] = pair / p->tokens;
        lists->token[p->count + i] = pair % p->tokens;
        lists->label[i] = table->result[pair];
    }
    for (int side = 0; side < 2; side++)
        sort_by_token(lists->token + side * p->count, p->count, p->tokens, lists->order + side * p->count,
                      lists->begin + side * (p->tokens + 1));
}

static ts_status upload(const ts_cuda_pairs *p, size_t instance, const pair_lists *lists, cudaStream_t stream) {
    size_t pairs = (size_t)p->count, begins = 2 * (size_t)(p->tokens + 1);
    ts_status status = ts_cuda_upload(p->token + instance * 2 * pairs, lists->token, 2 * pairs * sizeof(int), stream);
    if (status == TS_OK)
        status = ts_cuda_upload(p->label + instance * pairs, lists->label, pairs * sizeof(int), stream);
    if (status == TS_OK)
        status = ts_cuda_upload(p->order + instance * 2 * pairs, lists->order, 2 * pairs * sizeof(int), stream);
    if (status == TS_OK)
        status = ts_cuda_upload(p->begin + instance * begins, lists->begin, begins * sizeof(int), stream);
    return status;
}

ts_status ts_cuda_pairs_upload(const ts_cuda_pairs *p, const ts_training_spec *spec, cudaStream_t stream) {
    const ts_table *table = spec->data->table;
    pair_lists lists;
    ts_status status = lists_create(p, &lists);
    for (int i = 0; i < spec->count && status == TS_OK; i++) {
        int64_t train;
        ts_network_pairs(&spec->params[i], table, lists.drawn, &train);
        for (int part = p->first; part < p->end && status == TS_OK; part++) {
            ts_cuda_pairs of = ts_cuda_pairs_part(p, spec->count, part);
            enter(&of, table, &lists);
            status = upload(&of, (size_t)i, &lists, stream);
        }
    }
    ts_slab_free(&lists.slab);
    return status;
}
