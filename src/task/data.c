// The task fills its part; all that it made is freed here. What is there is listed by the keys that it was made of.
#define _POSIX_C_SOURCE 200809L
#include "task/data.h"

#include "base/memory.h"
#include "task/circle.h"
#include "task/split.h"
#include "task/task.h"

#include <pthread.h>
#include <string.h>

// Data that are in use. A sweep may have 65536 cases that all learn something else.
enum { BUCKETS = 4096 };
typedef struct ts_data_entry {
    ts_data *data;
    int64_t users;
    ts_text keys; // what it was made of, as JSON
    struct ts_data_entry *next;
} ts_data_entry;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static ts_data_entry *bucket[BUCKETS];

// Of the table as measures see it, in the numbers of the elements that tokens stand for.
static ts_status find_structure(ts_data *data) {
    ts_table *own = data->symmetry ? data->symmetry->own_table : NULL;
    ts_status status = own ? ts_table_examine(own) : TS_OK;
    const ts_table *table = own ? own : data->table;
    if (status == TS_OK && table->group)
        status = ts_subgroups_create(table, TS_MAX_SUBGROUP_NUMBERS, &data->subgroups);
    bool numbered = table->modulus == table->n || (data->symmetry && data->symmetry->circles == 1);
    return status == TS_OK ? ts_circle_places(table, numbered, &data->place) : status;
}

static void free_data(ts_data *data) {
    if (!data)
        return;
    ts_feature_data_free(data->features);
    ts_symmetry_free(data->symmetry);
    ts_subgroups_free(data->subgroups);
    ts_free(data->place);
    ts_table_free(data->table);
    ts_free(data);
}

static ts_status make_data(const ts_params *params, ts_data **out) {
    ts_data *data = ts_alloc_zero(1, sizeof *data, "a task's data");
    if (!data)
        return TS_ERROR_MEMORY;
    const ts_task *task = params->schema->task;
    bool features = task->kind == TS_KIND_FEATURES;
    data->features = features ? ts_alloc_zero(1, sizeof *data->features, "a task's data") : NULL;
    ts_status status = features && !data->features ? TS_ERROR_MEMORY : task->create(params, data);
    if (status == TS_OK && features)
        status = ts_feature_data_finish(data->features);
    if (status == TS_OK && !data->symmetry && data->table && data->table->group)
        status = ts_symmetry_of_group(data->table, &data->symmetry);
    if (status == TS_OK && data->table)
        status = find_structure(data);
    if (status == TS_OK)
        *out = data;
    else
        free_data(data);
    return status;
}

// --- Sharing ---

// The task, and its keys that say what is learned.
static ts_status write_keys(const ts_params *params, ts_text *out) {
    const ts_schema *schema = params->schema;
    ts_json_open(out, NULL, '{');
    ts_json_string(out, "task", schema->task->name);
    for (const ts_key *key = schema->task->keys; key->name; key++) {
        int position = ts_schema_find(schema, key->name);
        if (position >= 0 && key->traits & TS_SHAPES && !ts_split_has_key(key->name))
            ts_value_json(&params->value[position], key->name, out);
    }
    ts_json_close(out, '}');
    return ts_text_status(out);
}

static ts_data_entry **bucket_of(const ts_text *keys) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < keys->length; i++)
        hash = (hash ^ (unsigned char)keys->bytes[i]) * 1099511628211u;
    return &bucket[(hash ^ hash >> 32) % BUCKETS];
}

static ts_data_entry *find(ts_data_entry *first, const ts_text *keys) {
    while (first && (first->keys.length != keys->length || memcmp(first->keys.bytes, keys->bytes, keys->length) != 0))
        first = first->next;
    return first;
}

// Takes the keys over.
static ts_status enter(ts_data *data, ts_text *keys, ts_data_entry **first) {
    ts_data_entry *entry = ts_alloc_zero(1, sizeof *entry, "a task's data");
    if (!entry)
        return TS_ERROR_MEMORY;
    *entry = (ts_data_entry){.data = data, .keys = *keys, .next = *first};
    *keys = (ts_text){0};
    data->entry = *first = entry;
    return TS_OK;
}

static ts_status find_or_make(const ts_params *params, ts_text *keys, ts_data **out) {
    ts_data_entry **first = bucket_of(keys), *entry = find(*first, keys);
    ts_data *data = entry ? entry->data : NULL;
    ts_status status = data ? TS_OK : make_data(params, &data);
    if (status == TS_OK && !entry && (status = enter(data, keys, first)) != TS_OK)
        free_data(data);
    if (status != TS_OK)
        return status;
    data->entry->users++;
    *out = data;
    return TS_OK;
}

ts_status ts_data_create(const ts_params *params, ts_data **out) {
    ts_text keys = {0};
    ts_status status = write_keys(params, &keys);
    if (status == TS_OK) {
        pthread_mutex_lock(&mutex);
        status = find_or_make(params, &keys, out);
        pthread_mutex_unlock(&mutex);
    }
    ts_text_free(&keys);
    return status;
}

// Takes it off the list; true: nobody else uses it.
static bool leave(ts_data_entry *entry) {
    pthread_mutex_lock(&mutex);
    bool last = --entry->users == 0;
    ts_data_entry **at = bucket_of(&entry->keys);
    while (last && *at != entry)
        at = &(*at)->next;
    if (last)
        *at = entry->next;
    pthread_mutex_unlock(&mutex);
    return last;
}

void ts_data_free(ts_data *data) {
    if (!data || !leave(data->entry))
        return;
    ts_text_free(&data->entry->keys);
    ts_free(data->entry);
    free_data(data);
}
