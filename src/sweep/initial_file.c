// Opening, and instances by the texts of what they differ in.
#include "sweep/initial_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "sweep/members.h"
#include "sweep/nearest.h"
#include "sweep/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- Opening ---

static const char *full_path(ts_value_reader *reader, const char *written) {
    const char *base = written[0] != '/' && reader->sweep_file ? reader->sweep_file : "";
    ts_text path = {0};
    ts_text_append(&path, base, (size_t)(ts_path_name(base) - base));
    ts_text_add(&path, written);
    const char *kept = ts_text_status(&path) == TS_OK ? ts_arena_copy(reader->arena, path.bytes, path.length) : NULL;
    ts_text_free(&path);
    return kept;
}

ts_initial_file *ts_initial_file_of(ts_value_reader *reader, const char *path) {
    ts_initials *initials = reader->initials;
    for (ts_initial_file *file = initials->file; file; file = file->next)
        if (strcmp(file->path, path) == 0)
            return file;
    ts_initial_file *file = ts_arena_take(reader->arena, 1, sizeof *file);
    if (!file)
        return NULL;
    file->path = ts_arena_copy(reader->arena, path, strlen(path));
    file->full = full_path(reader, path);
    if (!file->path || !file->full)
        return NULL;
    file->next = initials->file;
    initials->file = file;
    return file;
}

static bool is_noted(const ts_initials *initials, const char *path) {
    for (int i = 0; i < initials->n_noted; i++)
        if (strcmp(initials->noted[i].path, path) == 0)
            return true;
    return false;
}

// Asks for what was noted before, once; a fault that is met is no news beside the one that made it ask.
static void recall(ts_initials *initials) {
    if (initials->recall && *initials->name)
        (void)initials->recall(initials->context, *initials->name, &initials->noted, &initials->n_noted);
    initials->recall = NULL;
}

ts_status ts_initial_file_open(ts_value_reader *reader, ts_initial_file *file, int line) {
    ts_initials *initials = reader->initials;
    if (file->refused)
        return TS_ERROR_USER;
    if (file->opened)
        return TS_OK;
    ts_status status = initials->access ? initials->access->open(file->full, &file->handle, &file->instances)
                                        : ts_fail(TS_ERROR_USER, "'%s' is not among the weights noted", file->path);
    file->opened = status == TS_OK;
    if (status == TS_ERROR_MEMORY || status == TS_OK)
        return status;
    char fault[TS_MESSAGE_BYTES];
    snprintf(fault, sizeof fault, "%s", ts_message());
    recall(initials);
    if (is_noted(initials, file->path)) {
        file->opened = file->noted = true;
        return TS_OK;
    }
    file->refused = true;
    return ts_faults_add(reader->faults, line, TS_INIT_FROM,
                         "%s; give a readable file of weights or results, its path relative to the sweep file", fault);
}

void ts_initial_file_close(ts_initials *initials, ts_initial_file *file) {
    if (file->opened && !file->noted)
        initials->access->close(file->handle);
    file->opened = false;
    ts_free(file->row);
    file->row = NULL;
}

// --- Instances by text ---

static uint64_t hash_of(const ts_initial_file *file, const char *text, int64_t step) {
    uint64_t hash = ts_value_hash(&(ts_value){.type = TS_NAME, .name = text});
    if (file->noted) // notes are of steps, too
        hash = ts_hash_mix(hash + (uint64_t)step);
    return hash ? hash : 1;
}

static ts_initial_row *place_of(const ts_initial_file *file, uint64_t hash) {
    size_t at = hash & (file->slots - 1);
    while (file->row[at].hash && file->row[at].hash != hash)
        at = (at + 1) & (file->slots - 1);
    return &file->row[at];
}

static void enter(ts_initial_file *file, uint64_t hash, int64_t instance) {
    ts_initial_row *row = place_of(file, hash);
    row->several = row->hash && !file->noted; // notes of several files may be the same
    row->hash = hash;
    row->instance = instance;
}

static ts_status make_rows(ts_initial_file *file, int64_t count) {
    file->slots = 16;
    while (file->slots < 2 * (size_t)count)
        file->slots *= 2;
    file->row = ts_alloc_zero(file->slots, sizeof *file->row, "instances of a results file");
    return file->row ? TS_OK : TS_ERROR_MEMORY;
}

// Enters a name among the keys. What an instance itself begins with tells none: that is another than the point's.
static ts_status add_key(ts_value_reader *reader, ts_initial_file *file, const ts_member *member) {
    enum { MOST = TS_MAX_KEYS };
    if (!file->key)
        file->key = ts_arena_take(reader->arena, MOST, sizeof *file->key);
    if (!file->key)
        return TS_ERROR_MEMORY;
    if (member->name_bytes == strlen(TS_INIT_FROM) && memcmp(member->name, TS_INIT_FROM, member->name_bytes) == 0)
        return TS_OK;
    for (int i = 0; i < file->keys; i++)
        if (strlen(file->key[i]) == member->name_bytes && memcmp(file->key[i], member->name, member->name_bytes) == 0)
            return TS_OK;
    if (file->keys == MOST)
        return ts_fail(TS_ERROR_USER, "'%s' has instances with more than %d parameters", file->full, MOST);
    const char *name = ts_arena_copy(reader->arena, member->name, member->name_bytes);
    if (!name)
        return TS_ERROR_MEMORY;
    file->key[file->keys++] = name;
    return TS_OK;
}

static int compare_names(const ts_member *a, const ts_member *b) {
    size_t bytes = a->name_bytes < b->name_bytes ? a->name_bytes : b->name_bytes;
    int order = memcmp(a->name, b->name, bytes);
    return order ? order : (a->name_bytes > b->name_bytes) - (a->name_bytes < b->name_bytes);
}

// Enters the parameters in which two instances differ; members are in the order of their names.
static ts_status add_differences(ts_value_reader *reader, ts_initial_file *file, const char *one, const char *other) {
    ts_member a, b;
    bool has_a = ts_member_next(&one, &a), has_b = ts_member_next(&other, &b);
    ts_status status = TS_OK;
    while ((has_a || has_b) && status == TS_OK) {
        int order = !has_a ? 1 : !has_b ? -1 : compare_names(&a, &b);
        bool same = order == 0 && a.value_bytes == b.value_bytes && memcmp(a.value, b.value, a.value_bytes) == 0;
        if (!same)
            status = add_key(reader, file, order <= 0 ? &a : &b);
        if (order <= 0)
            has_a = ts_member_next(&one, &a);
        if (order >= 0)
            has_b = ts_member_next(&other, &b);
    }
    return status;
}

// {"hidden":4,"seed":0}: the values of the file's keys in an object of parameters, null for those that it lacks.
static const char *text_of(const ts_initial_file *file, const char *object, ts_text *out) {
    ts_member member;
    ts_text_clear(out);
    for (int i = 0; i < file->keys; i++) {
        ts_text_addf(out, "%s\"%s\":", i ? "," : "{", file->key[i]);
        if (ts_member_find(object, file->key[i], &member))
            ts_text_append(out, member.value, member.value_bytes);
        else
            ts_text_add(out, "null");
    }
    ts_text_add(out, file->keys ? "}" : "{}");
    return ts_text_get(out);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ts_status find_keys(ts_value_reader *reader, ts_initial_file *file) {
    const ts_weights_access *access = reader->initials->access;
    char *first = NULL;
    ts_status status = access->resolved(file->handle, 0, &first);
    for (int64_t i = 1; i < file->instances && status == TS_OK; i++) {
        char *other = NULL;
        status = access->resolved(file->handle, i, &other);
        if (status == TS_OK)
            status = add_differences(reader, file, first, other);
        ts_free(other);
    }
    ts_free(first);
    if (file->keys)
        qsort(file->key, (size_t)file->keys, sizeof *file->key, by_name);
    return status;
}

static ts_status list_instances(ts_value_reader *reader, ts_initial_file *file) {
    ts_text text = {0};
    ts_status status = find_keys(reader, file);
    if (status == TS_OK)
        status = make_rows(file, file->instances);
    for (int64_t i = 0; i < file->instances && status == TS_OK; i++) {
        char *object = NULL;
        status = reader->initials->access->resolved(file->handle, i, &object);
        if (status == TS_OK)
            enter(file, hash_of(file, text_of(file, object, &text), -1), i);
        ts_free(object);
        status = status == TS_OK ? ts_text_status(&text) : status;
    }
    ts_text_free(&text);
    return status;
}

// The texts that were noted all have the same keys.
static ts_status list_noted(ts_value_reader *reader, ts_initial_file *file) {
    const ts_initials *initials = reader->initials;
    ts_status status = make_rows(file, initials->n_noted);
    for (int i = 0; i < initials->n_noted && status == TS_OK; i++) {
        const ts_noted_weights *note = &initials->noted[i];
        const char *at = note->matched;
        ts_member member;
        if (!at || strcmp(note->path, file->path) != 0)
            continue;
        while (status == TS_OK && ts_member_next(&at, &member))
            status = add_key(reader, file, &member);
        enter(file, hash_of(file, note->matched, note->step), i);
    }
    return status;
}

// --- Matching ---

// "(by hidden and seed)"
static void list_keys(const ts_initial_file *file, ts_text *out) {
    for (int i = 0; i < file->keys; i++)
        ts_text_addf(out, "%s%s", i == 0 ? "" : i + 1 < file->keys ? ", " : " and ", file->key[i]);
}

static ts_status refuse(ts_value_reader *reader, const ts_initial_file *file, int line, const char *text,
                        bool several) {
    ts_text keys = {0};
    list_keys(file, &keys);
    ts_status status = ts_text_status(&keys);
    if (status == TS_OK && several)
        status = ts_faults_add(reader->faults, line, TS_INIT_FROM,
                               "several of the %lld instances of '%s' have %s, and which of them is meant cannot be "
                               "told; say it: {file: %s, instance: I}",
                               (long long)file->instances, file->full, file->keys ? text : "the same parameters",
                               file->path);
    else if (status == TS_OK)
        status = ts_faults_add(reader->faults, line, TS_INIT_FROM,
                               "'%s' has no instance like this one: its %lld instances differ in %s, and none has %s; "
                               "give these values to the sweep's instances, or say which instance is meant: {file: "
                               "%s, instance: I}",
                               file->full, (long long)file->instances, ts_text_get(&keys), text, file->path);
    ts_text_free(&keys);
    return status;
}

ts_status ts_initial_file_match(ts_value_reader *reader, ts_initial_file *file, const ts_params *params, int64_t step,
                                int line, ts_initial_row **row, ts_text *matched) {
    ts_status status = TS_OK;
    if (!file->listed)
        status = file->noted ? list_noted(reader, file) : list_instances(reader, file);
    if (status == TS_ERROR_USER || status == TS_ERROR_FATAL) {
        file->refused = true;
        return ts_faults_add(reader->faults, line, TS_INIT_FROM, "%s", ts_message());
    }
    if (status != TS_OK)
        return status;
    file->listed = true;
    ts_text object = {0};
    ts_params_json(params, &object);
    const char *text = text_of(file, ts_text_get(&object), matched);
    status = ts_text_status(&object) == TS_OK ? ts_text_status(matched) : TS_ERROR_MEMORY;
    if (status == TS_OK) {
        *row = place_of(file, hash_of(file, text, step));
        if (!(*row)->hash || (*row)->several)
            status = refuse(reader, file, line, text, (*row)->several);
    }
    ts_text_free(&object);
    return status;
}
