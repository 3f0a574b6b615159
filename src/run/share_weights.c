// Sizes first, then texts, then the numbers of one set of weights after the other.
#include "run/share_weights.h"

#include "base/memory.h"

#include <string.h>

// One set of weights on its way; texts by where they begin, -1: there is none.
typedef struct item {
    int64_t instance, step, found_instance, found_step, count;
    int64_t path, matched, digest;
    int64_t number_bytes; // 0: they are not at hand
    int64_t wide;         // float64
} item;

static int64_t put(ts_text *texts, const char *text) {
    int64_t at = (int64_t)texts->length;
    if (!text)
        return -1;
    ts_text_append(texts, text, strlen(text) + 1);
    return at;
}

static item pack(const ts_initial *one, ts_text *texts) {
    bool there = one->narrow || one->wide;
    return (item){.instance = one->instance,
                  .step = one->step,
                  .found_instance = one->found_instance,
                  .found_step = one->found_step,
                  .count = one->count,
                  .path = put(texts, one->path),
                  .matched = put(texts, one->matched),
                  .digest = put(texts, one->digest),
                  .number_bytes = there ? one->count * (int64_t)(one->wide ? sizeof(double) : sizeof(float)) : 0,
                  .wide = one->wide != NULL};
}

static ts_noted_weights unpack(const ts_shared_weights *shared, const item *one, const char *numbers) {
    return (ts_noted_weights){
        .path = shared->texts + one->path,
        .instance = one->instance,
        .step = one->step,
        .matched = one->matched < 0 ? NULL : shared->texts + one->matched,
        .found_instance = one->found_instance,
        .found_step = one->found_step,
        .digest = shared->texts + one->digest,
        .narrow = one->number_bytes && !one->wide ? (const float *)(const void *)numbers : NULL,
        .wide = one->number_bytes && one->wide ? (const double *)(const void *)numbers : NULL,
    };
}

// Rank 0's numbers, into the others' room for all of them.
static void share_numbers(const ts_comm *comm, const ts_initial *const *initial, const item *items, int64_t count,
                          ts_shared_weights *shared) {
    char *at = shared->numbers;
    for (int64_t i = 0; i < count; i++) {
        const void *mine = !initial ? NULL : items[i].wide ? (const void *)initial[i]->wide : initial[i]->narrow;
        ts_comm_broadcast(comm, initial ? (void *)(uintptr_t)mine : at, (size_t)items[i].number_bytes);
        if (initial)
            continue;
        shared->noted[i] = unpack(shared, &items[i], at);
        at += (items[i].number_bytes + 7) / 8 * 8;
    }
}

// Room for all, on ranks that have none of it.
static ts_status take_room(const item *items, int64_t count, ts_shared_weights *shared) {
    size_t bytes = 0;
    for (int64_t i = 0; i < count; i++)
        bytes += (size_t)(items[i].number_bytes + 7) / 8 * 8;
    shared->noted = ts_alloc_zero((size_t)count, sizeof *shared->noted, "weights to begin with");
    shared->numbers = ts_alloc(bytes, "weights to begin with");
    return shared->noted && shared->numbers ? TS_OK : TS_ERROR_MEMORY;
}

ts_status ts_share_weights(const ts_comm *comm, const ts_sweep *sweep, ts_shared_weights *shared) {
    *shared = (ts_shared_weights){0};
    const ts_initial *const *initial = NULL;
    int64_t sizes[2] = {sweep ? ts_sweep_initial(sweep, &initial) : 0};
    ts_text texts = {0};
    item *items = NULL;
    ts_comm_broadcast(comm, sizes, sizeof *sizes);
    shared->count = sizes[0];
    items = ts_alloc_zero((size_t)shared->count, sizeof *items, "weights to begin with");
    for (int64_t i = 0; sweep && items && i < shared->count; i++)
        items[i] = pack(initial[i], &texts);
    sizes[1] = (int64_t)texts.length;
    ts_status status = ts_comm_agree(comm, items ? ts_text_status(&texts) : TS_ERROR_MEMORY);
    if (status == TS_OK) {
        ts_comm_broadcast(comm, items, (size_t)shared->count * sizeof *items);
        ts_comm_broadcast(comm, &sizes[1], sizeof sizes[1]);
        if (!sweep)
            shared->texts = ts_alloc((size_t)sizes[1], "weights to begin with");
        status = sweep ? TS_OK : shared->texts ? take_room(items, shared->count, shared) : TS_ERROR_MEMORY;
        status = ts_comm_agree(comm, status);
    }
    if (status == TS_OK) {
        ts_comm_broadcast(comm, sweep ? texts.bytes : shared->texts, (size_t)sizes[1]);
        share_numbers(comm, initial, items, shared->count, shared);
    }
    ts_free(items);
    ts_text_free(&texts);
    return status;
}

void ts_shared_weights_free(ts_shared_weights *shared) {
    ts_free(shared->noted);
    ts_free(shared->texts);
    ts_free(shared->numbers);
    *shared = (ts_shared_weights){0};
}
