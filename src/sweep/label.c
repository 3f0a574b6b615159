// Keys that tell cases apart, and their values as text.
#include "sweep/label.h"

#include "task/task.h"

#include <string.h>

enum { LONGEST_VALUE = 48, LONGEST_LEARNED = 120 };

static bool is_common(const ts_key *key) {
    for (const ts_key *common = ts_common_keys; common->name; common++)
        if (common == key)
            return true;
    return false;
}

static bool is_selecting(const ts_key *key) {
    return strcmp(key->name, "task") == 0 || strcmp(key->name, "model") == 0 || strcmp(key->name, "optimizer") == 0;
}

// Cuts what was added after `from` to `most` bytes, between two characters. False: it did.
static bool cut(ts_text *out, size_t from, size_t most) {
    if (out->failed || out->length - from <= most)
        return true;
    size_t end = from + most - 3;
    while (end > from && ((unsigned char)out->bytes[end] & 0xc0) == 0x80)
        end--;
    out->length = end;
    out->bytes[end] = 0;
    ts_text_add(out, "...");
    return false;
}

static bool add(const ts_params *params, int position, bool people, ts_text *out) {
    const ts_value *value = &params->value[position];
    ts_text_addf(out, "%s%s=", out->length ? "," : "", params->schema->key[position]->name);
    size_t from = out->length;
    bool named = people && (value->type == TS_FILE || value->type == TS_WEIGHTS);
    if (named)
        ts_text_add(out, value->type == TS_FILE ? value->file->name : value->initial->name);
    else
        ts_value_text(value, out);
    for (size_t i = from; !people && i < out->length && out->bytes; i++) {
        unsigned char c = (unsigned char)out->bytes[i];
        if (c == '/' || c < 0x20 || c == 0x7f)
            out->bytes[i] = '_';
    }
    return !people || named || cut(out, from, LONGEST_VALUE);
}

static bool write(const ts_params *params, const ts_key_set *shown, bool people, ts_text *out) {
    bool whole = true;
    ts_text_clear(out);
    for (int rank = 0; rank < 3; rank++)
        for (int i = 0; i < params->schema->count; i++) {
            const ts_key *key = params->schema->key[i];
            if (ts_key_set_has(shown, i) && ts_params_counts(params, i) &&
                (is_selecting(key) ? 0
                 : is_common(key)  ? 2
                                   : 1) == rank)
                whole = add(params, i, people, out) && whole;
        }
    if (!out->length)
        ts_text_add(out, "all");
    return whole;
}

void ts_label_write(const ts_params *params, const ts_key_set *shown, ts_text *out) {
    write(params, shown, false, out);
}

bool ts_label_write_title(const ts_params *params, const ts_key_set *shown, ts_text *out) {
    return write(params, shown, true, out);
}

void ts_label_write_learned(const ts_params *params, int case_index, ts_text *out) {
    ts_text_clear(out);
    params->schema->task->label(params, out);
    if (!cut(out, 0, LONGEST_LEARNED))
        ts_text_addf(out, " (case %d)", case_index);
}

void ts_label_instance(const ts_sweep *sweep, int64_t instance, ts_text *out) {
    const ts_key *const *keys;
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    ts_key_set shown = {0};
    ts_key_set_add_name(&shown, params.schema, "seed");
    int count = ts_sweep_swept(sweep, &keys);
    for (int k = 0; k < count; k++)
        ts_key_set_add_name(&shown, params.schema, keys[k]->name);
    count = ts_sweep_varying(sweep, &keys);
    for (int k = 0; k < count; k++)
        if (strcmp(keys[k]->name, "init_seed") == 0 || strcmp(keys[k]->name, "split_seed") == 0)
            ts_key_set_add_name(&shown, params.schema, keys[k]->name);
    ts_label_write_title(&params, &shown, out);
}
