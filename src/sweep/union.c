// Two texts of values as one list, sorted as they were.
#include "sweep/union.h"

#include "base/memory.h"
#include "sweep/value.h"

#include <stdlib.h>

// Each value once, in the order in which they are met, found by their hashes.
typedef struct values {
    ts_value *item;
    size_t count, capacity;
    size_t *hashed;       // (2 * capacity) index + 1; 0: free
    bool rising, falling; // whole numbers within each sweep
} values;

static size_t place_of(const values *list, const ts_value *value) {
    size_t pairings = 2 * list->capacity, at = ts_hash_mix(ts_value_hash(value)) % pairings;
    while (list->hashed[at] && !ts_value_equal(&list->item[list->hashed[at] - 1], value))
        at = (at + 1) % pairings;
    return at;
}

static ts_status grow(values *list) {
    list->capacity = list->capacity ? 2 * list->capacity : 64;
    ts_value *item = ts_realloc(list->item, list->capacity * sizeof *item, "a key's values");
    list->item = item ? item : list->item;
    ts_free(list->hashed);
    list->hashed = ts_alloc_zero(2 * list->capacity, sizeof *list->hashed, "a key's values");
    if (!item || !list->hashed)
        return TS_ERROR_MEMORY;
    for (size_t i = 0; i < list->count; i++)
        list->hashed[place_of(list, &list->item[i])] = i + 1;
    return TS_OK;
}

// begin: values that earlier sweeps gave.
static ts_status add(values *list, const ts_value *value, size_t begin) {
    if (list->count == list->capacity && grow(list) != TS_OK)
        return TS_ERROR_MEMORY;
    size_t at = place_of(list, value);
    if (list->hashed[at])
        return TS_OK;
    if (list->count > begin && value->type == TS_INTEGER) {
        list->rising = list->rising && value->integer > list->item[list->count - 1].integer;
        list->falling = list->falling && value->integer < list->item[list->count - 1].integer;
    }
    list->item[list->count++] = *value;
    list->hashed[at] = list->count;
    return TS_OK;
}

static ts_status add_all(const ts_sweep *sweep, const char *key, values *list) {
    size_t begin = list->count;
    ts_status status = TS_OK;
    for (int64_t i = 0; i < ts_sweep_instances(sweep) && status == TS_OK; i++) {
        ts_params params;
        ts_sweep_params(sweep, i, &params);
        int position = ts_schema_find(params.schema, key);
        if (position < 0)
            continue;
        ts_value value = params.value[position];
        if (value.type == TS_WEIGHTS)
            value.initial = value.initial->written; // one value for all that it is matched with
        status = add(list, &value, begin);
    }
    return status;
}

static int upwards(const void *a, const void *b) {
    int64_t left = ((const ts_value *)a)->integer, right = ((const ts_value *)b)->integer;
    return left < right ? -1 : left > right;
}

static int downwards(const void *a, const void *b) {
    return upwards(b, a);
}

// The step of whole numbers that are equally far apart; 0: they are not.
static int64_t step_of(const values *list) {
    int64_t step = list->count > 1 ? list->item[1].integer - list->item[0].integer : 0;
    for (size_t i = 1; i < list->count; i++)
        if (list->item[i].integer - list->item[i - 1].integer != step)
            return 0;
    return step;
}

static void write_weights(const ts_initial *initial, ts_text *out) {
    if (initial->instance < 0 && initial->step < 0) {
        ts_json_string(out, NULL, initial->path);
        return;
    }
    ts_json_open(out, NULL, '{');
    ts_json_string(out, "file", initial->path);
    if (initial->instance >= 0)
        ts_json_integer(out, "instance", initial->instance);
    if (initial->step >= 0)
        ts_json_integer(out, "step", initial->step);
    ts_json_close(out, '}');
}

static void write_list(const values *list, ts_text *out) {
    ts_text_add(out, list->count > 1 ? "[" : "");
    for (size_t i = 0; i < list->count; i++) {
        ts_text_add(out, i ? ", " : "");
        out->comma = false;
        if (list->item[i].type == TS_FILE)
            ts_json_string(out, NULL, list->item[i].file->path);
        else if (list->item[i].type == TS_WEIGHTS)
            write_weights(list->item[i].initial, out);
        else
            ts_value_text(&list->item[i], out);
    }
    ts_text_add(out, list->count > 1 ? "]" : "");
    out->comma = false;
}

static void write(values *list, ts_text *out) {
    int64_t step = 0;
    if (list->count > 0 && list->item[0].type == TS_INTEGER) {
        if (list->rising || list->falling)
            qsort(list->item, list->count, sizeof *list->item, list->rising ? upwards : downwards);
        step = step_of(list);
    }
    if (step != 1 && (step == 0 || list->count < 3)) {
        write_list(list, out);
        return;
    }
    ts_text_addf(out, "%lld..%lld", (long long)list->item[0].integer, (long long)list->item[list->count - 1].integer);
    if (step != 1)
        ts_text_addf(out, "..%lld", (long long)step);
}

ts_status ts_union_write(const ts_sweep *const *sweeps, int n_sweeps, const char *key, ts_text *out) {
    values list = {.rising = true, .falling = true};
    ts_status status = TS_OK;
    for (int i = 0; i < n_sweeps && status == TS_OK; i++)
        status = add_all(sweeps[i], key, &list);
    if (status == TS_OK)
        write(&list, out);
    ts_free(list.item);
    ts_free(list.hashed);
    return status;
}
