// By the key's type to the function that reads it; equality and hashes of values.
#include "sweep/value.h"

#include "sweep/initial_values.h"
#include "sweep/input_file.h"
#include "sweep/measures.h"
#include "sweep/nearest.h"
#include "sweep/numbers.h"
#include "sweep/series.h"
#include "sweep/source.h"
#include "sweep/words.h"
#include "task/task.h"

#include <string.h>

enum { MAX_NAME = 256 };

static ts_status read_number(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *value) {
    double number = 0;
    bool whole = key->type == TS_INTEGER;
    int choice = whole && node->kind == TS_YAML_SCALAR ? ts_key_choice(key, node->text) : -1;
    if (choice >= 0) {
        value->integer = choice;
        return TS_OK;
    }
    ts_status status = ts_value_number(reader, key, node, whole, &number);
    if (status != TS_OK)
        return status;
    if (whole)
        value->integer = (int64_t)number;
    else
        value->real = number;
    return ts_value_in_range(reader, key, node, number);
}

// Whether it is a word for true or false, and which.
static bool is_flag(const ts_yaml_node *node, bool *flag) {
    static const char *const WORDS[][3] = {{"true", "True", "TRUE"},    {"yes", "Yes", "YES"}, {"on", "On", "ON"},
                                           {"false", "False", "FALSE"}, {"no", "No", "NO"},    {"off", "Off", "OFF"}};
    if (node->kind == TS_YAML_SCALAR && !node->quoted)
        for (int i = 0; i < 18; i++)
            if (strcmp(node->text, WORDS[i / 3][i % 3]) == 0) {
                *flag = i < 9;
                return true;
            }
    return false;
}

static ts_status read_bool(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *value) {
    return is_flag(node, &value->flag) ? TS_OK : ts_value_refuse(reader, key, node, "is not true or false");
}

static ts_status refuse_choice(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node) {
    ts_text choices = {0};
    char shown[TS_SHOWN_BYTES];
    for (int i = 0; key->choices[i]; i++)
        ts_text_addf(&choices, "%s%s", i ? ", " : "", key->choices[i]);
    if (ts_key_takes_flags(key))
        ts_text_add(&choices, ", true, false");
    const char *near = ts_nearest(node->text, key->choices);
    ts_status status = ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                                     "'%s' is not one of %s%s%s%s", ts_shown(node->text, shown), ts_text_get(&choices),
                                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    ts_text_free(&choices);
    return status;
}

static ts_status read_name(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *value) {
    if (node->kind != TS_YAML_SCALAR)
        return ts_value_refuse(reader, key, node, "is not a name");
    const char *text = node->text;
    bool as_fallback = key->fallback && strcmp(text, key->fallback) == 0;
    if (!text[0] && !(as_fallback && node->quoted))
        return ts_value_refuse(reader, key, node, "is not a name");
    int choice = ts_key_choice(key, text);
    if (choice >= 0) {
        value->name = key->choices[choice];
        return TS_OK;
    }
    bool flag;
    if (ts_key_takes_flags(key) && is_flag(node, &flag)) {
        value->name = key->choices[(int)(flag ? key->maximum : key->minimum)];
        return TS_OK;
    }
    if (key->choices && !as_fallback)
        return refuse_choice(reader, key, node);
    size_t length = strlen(text);
    if (length > MAX_NAME)
        return ts_value_refuse(reader, key, node, "is too long for a name (256 bytes at most)");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return ts_value_refuse(reader, key, node, "is not a name: it has control characters");
    value->name = ts_arena_copy(reader->arena, text, length);
    return value->name ? TS_OK : TS_ERROR_MEMORY;
}

// One value, no ranges.
static ts_status read_one(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *value) {
    *value = (ts_value){.type = key->type};
    switch (key->type) {
    case TS_INTEGER:
    case TS_REAL:
        return read_number(reader, key, node, value);
    case TS_BOOL:
        return read_bool(reader, key, node, value);
    case TS_NAME:
        return read_name(reader, key, node, value);
    case TS_WORDS:
        return ts_words_read(reader, key, node, &value->name);
    case TS_NUMBERS:
        return ts_numbers_read(reader, key, node, &value->numbers);
    case TS_STOP:
        return ts_stop_read(reader, key, node, &value->numbers);
    case TS_THRESHOLDS:
        return ts_thresholds_read(reader, key, node, &value->numbers);
    case TS_STEPS:
        return ts_steps_read(reader, key, node, &value->numbers);
    case TS_FILE:
        return ts_input_file_read(reader, key, node, &value->file);
    case TS_WEIGHTS: // has lists of its own
        break;
    }
    return ts_fail(TS_ERROR_FATAL, "key '%s' has no type", key->name);
}

// What means the same is one value.
static ts_status spell(ts_value_reader *reader, const ts_key *key, ts_value *value) {
    char spelling[TS_SPELLING_BYTES];
    const char *spelt = ts_task_spell(key, value->name, spelling);
    if (spelt == value->name || strcmp(spelt, value->name) == 0)
        return TS_OK;
    value->name = ts_arena_copy(reader->arena, spelt, strlen(spelt));
    return value->name ? TS_OK : TS_ERROR_MEMORY;
}

// As read_one, and looks at the value itself where its task has something to say about it.
static ts_status read_checked(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *value) {
    char message[1024];
    ts_status status = read_one(reader, key, node, value);
    if (status == TS_OK && key->type == TS_WORDS)
        return ts_measures_check(reader, key, node, value->name);
    if (status != TS_OK || (key->type != TS_NAME && key->type != TS_FILE))
        return status;
    if (!ts_task_check_value(key, value, !reader->filtered, message, sizeof message))
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "%s", message);
    return key->type == TS_NAME ? spell(reader, key, value) : TS_OK;
}

static ts_status too_many(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, int64_t count) {
    return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                         "%lld values are too many; a sweep has at most %d instances", (long long)count,
                         TS_SWEEP_MAX_INSTANCES);
}

// How many values a list's entries stand for (ranges count in full), into *count.
static ts_status count_items(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *list, int64_t *count) {
    *count = 0;
    ts_status status = TS_OK;
    for (const ts_yaml_node *node = list->child; node; node = node->next) {
        ts_series series = {.count = 1};
        if (ts_series_like(key, node) && ts_series_read(reader, key, node, &series) != TS_OK)
            status = TS_ERROR_USER;
        else
            *count += series.count;
    }
    if (status == TS_OK && *count > reader->items_left)
        return too_many(reader, key, list, *count);
    return status;
}

// A value that nobody asks for.
static ts_status stand_in(ts_arena *arena, const ts_key *key, ts_value *value) {
    *value = (ts_value){.type = key->type, .name = ""};
    return key->fallback ? ts_value_fallback(arena, key, value) : TS_OK;
}

static ts_status read_list(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *list, ts_value_list *out) {
    if (!list->child)
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name, "the list is empty");
    int64_t count;
    ts_status status = count_items(reader, key, list, &count);
    if (status != TS_OK)
        return status;
    reader->items_left -= count;
    out->item = ts_arena_take(reader->arena, (size_t)count, sizeof *out->item);
    if (!out->item)
        return TS_ERROR_MEMORY;
    for (const ts_yaml_node *node = list->child; node; node = node->next) {
        ts_series series = {.count = 1};
        ts_status one;
        if (ts_series_like(key, node)) {
            one = ts_series_read(reader, key, node, &series); // cannot fail: count_items read it
            if (one == TS_OK)
                one = ts_series_write(reader, key, node, &series, out->item + out->count);
        } else {
            bool counts = !reader->counts || reader->counts(reader->context, out->count);
            one = counts ? read_checked(reader, key, node, &out->item[out->count])
                         : stand_in(reader->arena, key, &out->item[out->count]);
        }
        if (one == TS_ERROR_MEMORY || one == TS_ERROR_FATAL)
            return one;
        status = one == TS_OK ? status : one;
        out->count += series.count;
    }
    return status;
}

ts_status ts_value_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool many,
                        ts_value_list *list) {
    *list = (ts_value_list){.type = key->type};
    if (key->type == TS_WEIGHTS)
        return ts_initial_values_read(reader, key, node, &list->item, &list->count);
    bool compound = key->type == TS_NUMBERS || key->type == TS_STEPS || key->type == TS_WORDS; // lists are values
    if (node->kind == TS_YAML_SEQUENCE && (many || !compound))
        return read_list(reader, key, node, list);
    ts_series series = {.count = 1};
    bool several = ts_series_like(key, node);
    if (several) {
        ts_status status = ts_series_read(reader, key, node, &series);
        if (status != TS_OK)
            return status;
        if (series.count > reader->items_left)
            return too_many(reader, key, node, series.count);
    }
    list->count = series.count;
    if (several && series.kind == TS_SERIES_RANGE && key->type != TS_NUMBERS) {
        list->range = series.range; // takes no memory
        return TS_OK;
    }
    if (several)
        reader->items_left -= list->count;
    list->item = ts_arena_take(reader->arena, (size_t)list->count, sizeof *list->item);
    if (!list->item)
        return TS_ERROR_MEMORY;
    return several ? ts_series_write(reader, key, node, &series, list->item)
                   : read_checked(reader, key, node, list->item);
}

ts_status ts_value_fallback(ts_arena *arena, const ts_key *key, ts_value *value) {
    *value = (ts_value){.type = key->type, .name = key->fallback};
    if (key->type == TS_NAME || key->type == TS_WORDS)
        return TS_OK;
    if (key->type == TS_FILE) { // a list of keys can name no file
        value->file = &ts_no_file;
        return TS_OK;
    }
    if (key->type == TS_WEIGHTS) {
        value->initial = &ts_no_initial;
        return TS_OK;
    }
    ts_faults faults = {.file = "defaults"};
    ts_value_reader reader = {.arena = arena, .faults = &faults, .items_left = TS_SWEEP_MAX_INSTANCES};
    ts_yaml *yaml;
    int line;
    ts_status status = ts_yaml_parse(key->fallback, strlen(key->fallback), &yaml, &line);
    if (status != TS_OK)
        return status;
    ts_yaml_node empty = {.text = ""};
    const ts_yaml_node *root = ts_yaml_root(yaml);
    status = read_one(&reader, key, root ? root : &empty, value);
    ts_yaml_free(yaml);
    if (status == TS_ERROR_USER) // a fault of the key's row
        status = ts_fail(TS_ERROR_FATAL, "%s", faults.shown ? faults.error[0].text : key->name);
    ts_faults_free(&faults);
    return status;
}

ts_value ts_value_list_at(const ts_value_list *list, int64_t i) {
    if (list->item)
        return list->item[i];
    if (list->type == TS_INTEGER)
        return (ts_value){.type = TS_INTEGER, .integer = list->range.first + i * list->range.step};
    return (ts_value){.type = list->type, .real = ts_range_at(&list->range, i)};
}

bool ts_value_list_has(const ts_value_list *list, const ts_value *value) {
    if (list->type != value->type)
        return false;
    if (!list->item)
        return ts_range_has(&list->range, value->type == TS_INTEGER ? (double)value->integer : value->real);
    for (int64_t i = 0; i < list->count; i++)
        if (ts_value_equal(&list->item[i], value))
            return true;
    return false;
}

bool ts_value_equal(const ts_value *a, const ts_value *b) {
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case TS_INTEGER:
        return a->integer == b->integer;
    case TS_REAL:
        return a->real == b->real;
    case TS_BOOL:
        return a->flag == b->flag;
    case TS_NAME:
    case TS_WORDS:
        return strcmp(a->name, b->name) == 0;
    case TS_FILE:
        return strcmp(a->file->digest, b->file->digest) == 0;
    case TS_WEIGHTS:
        return ts_initial_equal(a->initial, b->initial);
    default:
        break;
    }
    const ts_numbers *x = a->numbers, *y = b->numbers;
    return x->form == y->form && x->count == y->count &&
           memcmp(x->item, y->item, (size_t)x->count * sizeof x->item[0]) == 0;
}

uint64_t ts_hash_mix(uint64_t hash) {
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 33;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ byte[i]) * 0x100000001b3u;
    return hash;
}

uint64_t ts_value_hash(const ts_value *value) {
    uint64_t hash = 0xcbf29ce484222325u + (uint64_t)value->type;
    switch (value->type) {
    case TS_INTEGER:
        return ts_hash_mix(hash ^ ts_hash_mix((uint64_t)value->integer));
    case TS_REAL: {
        uint64_t bits;
        memcpy(&bits, &value->real, sizeof bits);
        return ts_hash_mix(hash ^ ts_hash_mix(bits));
    }
    case TS_BOOL:
        return ts_hash_mix(hash ^ value->flag);
    case TS_NAME:
    case TS_WORDS:
        return ts_hash_mix(hash_bytes(hash, value->name, strlen(value->name)));
    case TS_FILE:
        return ts_hash_mix(hash_bytes(hash, value->file->digest, strlen(value->file->digest)));
    case TS_WEIGHTS:
        if (!value->initial->digest[0]) // by the words, until it is known
            return ts_hash_mix(hash_bytes(hash, value->initial->path, strlen(value->initial->path)));
        return ts_hash_mix(hash_bytes(hash, value->initial->digest, strlen(value->initial->digest)));
    default:
        break;
    }
    hash = hash_bytes(hash, &value->numbers->form, sizeof value->numbers->form);
    return ts_hash_mix(hash_bytes(hash, value->numbers->item, (size_t)value->numbers->count * sizeof(double)));
}
