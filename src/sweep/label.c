// Keys that tell cases apart, and their values as text.
#include "sweep/label.h"

#include "base/file.h"

#include <string.h>

enum { LONGEST_VALUE = 48 };

static bool is_common(const ts_key *key) {
    for (const ts_key *common = ts_common_keys; common->name; common++)
        if (common == key)
            return true;
    return false;
}

static bool is_selecting(const ts_key *key) {
    return strcmp(key->name, "task") == 0 || strcmp(key->name, "model") == 0;
}

// A file's own name; its path as written where the sweep has another file of that name.
static const char *file_name(const ts_sweep *sweep, const ts_file *file) {
    const ts_file *const *files;
    int count = ts_sweep_files(sweep, &files);
    const char *name = ts_path_name(file->path);
    for (int i = 0; i < count; i++)
        if (strcmp(ts_path_name(files[i]->path), name) == 0 && strcmp(files[i]->digest, file->digest) != 0)
            return file->path;
    return *name ? name : "none";
}

// Cuts what was added after `from` to LONGEST_VALUE bytes, between two characters. False: it did.
static bool cut(ts_text *out, size_t from) {
    if (out->failed || out->length - from <= LONGEST_VALUE)
        return true;
    size_t end = from + LONGEST_VALUE - 3;
    while (end > from && ((unsigned char)out->bytes[end] & 0xc0) == 0x80)
        end--;
    out->length = end;
    out->bytes[end] = 0;
    ts_text_add(out, "...");
    return false;
}

static bool add(const ts_sweep *sweep, const ts_params *params, int position, ts_text *out) {
    const ts_value *value = &params->value[position];
    ts_text_addf(out, "%s%s=", out->length ? "," : "", params->schema->key[position]->name);
    size_t from = out->length;
    bool named = sweep && value->type == TS_FILE;
    if (named)
        ts_text_add(out, file_name(sweep, value->file));
    else
        ts_value_text(value, out);
    for (size_t i = from; !sweep && i < out->length && out->bytes; i++) {
        unsigned char c = (unsigned char)out->bytes[i];
        if (c == '/' || c < 0x20 || c == 0x7f)
            out->bytes[i] = '_';
    }
    return !sweep || named || cut(out, from);
}

static bool write(const ts_sweep *sweep, const ts_params *params, uint64_t shown, ts_text *out) {
    bool whole = true;
    ts_text_clear(out);
    for (int rank = 0; rank < 3; rank++)
        for (int i = 0; i < params->schema->count; i++) {
            const ts_key *key = params->schema->key[i];
            if (shown >> i & 1 && (is_selecting(key) ? 0 : is_common(key) ? 2 : 1) == rank)
                whole = add(sweep, params, i, out) && whole;
        }
    if (!out->length)
        ts_text_add(out, "all");
    return whole;
}

void ts_label_write(const ts_params *params, uint64_t shown, ts_text *out) {
    write(NULL, params, shown, out);
}

bool ts_label_write_title(const ts_sweep *sweep, const ts_params *params, uint64_t shown, ts_text *out) {
    return write(sweep, params, shown, out);
}

static uint64_t position_bit(const ts_schema *schema, const char *key) {
    int position = ts_schema_find(schema, key);
    return position >= 0 ? (uint64_t)1 << position : 0;
}

void ts_label_instance(const ts_sweep *sweep, int64_t instance, ts_text *out) {
    const ts_key *const *keys;
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    uint64_t shown = position_bit(params.schema, "seed");
    int count = ts_sweep_swept(sweep, &keys);
    for (int k = 0; k < count; k++)
        shown |= position_bit(params.schema, keys[k]->name);
    count = ts_sweep_varying(sweep, &keys);
    for (int k = 0; k < count; k++)
        if (strcmp(keys[k]->name, "init_seed") == 0 || strcmp(keys[k]->name, "split_seed") == 0)
            shown |= position_bit(params.schema, keys[k]->name);
    ts_label_write_title(sweep, &params, shown, out);
}
