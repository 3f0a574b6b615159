// Files, instances and steps, each with each.
#include "sweep/initial_values.h"

#include "sweep/nearest.h"
#include "sweep/series.h"

#include <string.h>

// Whole numbers as values of any integer key are written: ranges, spaced ones, lists of these.
typedef struct whole {
    ts_value *item; // (count); NULL: not given
    int64_t count;
} whole;

typedef struct wanted {
    whole instance, step;
} wanted;

static const ts_key INSTANCE_KEY = {"init_from.instance", TS_INTEGER, NULL, 0, 0x1p53, NULL, false, NULL};
static const ts_key STEP_KEY = {"init_from.step", TS_INTEGER, NULL, 0, 0x1p53, NULL, false, NULL};

// One number, or several written as one, into item (*count), unless that is NULL.
static ts_status read_numbers(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value *item,
                              int64_t *count) {
    ts_series series = {.count = 1};
    double number = 0;
    if (ts_series_like(key, node)) {
        ts_status status = ts_series_read(reader, key, node, &series);
        *count = series.count;
        return status == TS_OK && item ? ts_series_write(reader, key, node, &series, item) : status;
    }
    *count = 1;
    ts_status status = ts_value_number(reader, key, node, true, &number);
    if (status == TS_OK)
        status = ts_value_in_range(reader, key, node, number);
    if (item)
        *item = (ts_value){.type = TS_INTEGER, .integer = (int64_t)number};
    return status;
}

static ts_status read_whole(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, whole *out) {
    bool list = node->kind == TS_YAML_SEQUENCE;
    const ts_yaml_node *first = list ? node->child : node;
    int64_t count, total = 0;
    if (!first)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "the list is empty");
    for (const ts_yaml_node *one = first; one; one = list ? one->next : NULL) {
        ts_status status = read_numbers(reader, key, one, NULL, &count);
        if (status != TS_OK)
            return status;
        total += count;
    }
    if (total > reader->items_left)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                             "%lld values are too many for a sweep", (long long)total);
    out->item = ts_arena_take(reader->arena, (size_t)total, sizeof *out->item);
    if (!out->item)
        return TS_ERROR_MEMORY;
    for (const ts_yaml_node *one = first; one; one = list ? one->next : NULL) {
        ts_status status = read_numbers(reader, key, one, out->item + out->count, &count);
        if (status != TS_OK)
            return status;
        out->count += count;
    }
    return TS_OK;
}

static ts_status refuse_node(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node) {
    return ts_value_refuse(reader, key, node,
                           "is no file of weights; give its path, or {file: FILE, instance: I, step: S} for an "
                           "instance of a results file, or \"\" for none");
}

static ts_status check_path(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node) {
    char shown[TS_SHOWN_BYTES];
    if (node->kind != TS_YAML_SCALAR || (!node->text[0] && !node->quoted))
        return refuse_node(reader, key, node);
    for (const char *c = node->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                                 "'%s' is no path: it has control characters", ts_shown(node->text, shown));
    return TS_OK;
}

static ts_status write(ts_value_reader *reader, const char *path, int64_t instance, int64_t step, ts_value *value) {
    *value = (ts_value){.type = TS_WEIGHTS, .initial = &ts_no_initial};
    if (!path[0])
        return TS_OK;
    ts_found *made = ts_arena_take(reader->arena, 1, sizeof *made);
    const char *kept = ts_arena_copy(reader->arena, path, strlen(path));
    if (!made || !kept)
        return TS_ERROR_MEMORY;
    made->value = (ts_initial){.path = kept,
                               .instance = instance,
                               .step = step,
                               .name = kept,
                               .found_instance = -1,
                               .found_step = -1,
                               .written = &made->value};
    value->initial = &made->value;
    return TS_OK;
}

static int64_t integer_at(const whole *numbers, int64_t i) {
    return numbers->count ? numbers->item[i].integer : -1;
}

// One value for each file, instance and step; the last varies fastest.
static ts_status write_all(ts_value_reader *reader, const ts_yaml_node *files, const wanted *w, ts_value *item,
                           int64_t *count) {
    int64_t instances = w->instance.count ? w->instance.count : 1, steps = w->step.count ? w->step.count : 1;
    bool several = files->kind == TS_YAML_SEQUENCE;
    ts_status status = TS_OK;
    for (const ts_yaml_node *file = several ? files->child : files; file; file = several ? file->next : NULL)
        for (int64_t i = 0; i < instances; i++)
            for (int64_t s = 0; s < steps && status == TS_OK; s++)
                status =
                    write(reader, file->text, integer_at(&w->instance, i), integer_at(&w->step, s), &item[(*count)++]);
    return status;
}

// A mapping's members. TS_ERROR_USER: reported.
static ts_status read_members(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                              const ts_yaml_node **files, wanted *w) {
    static const char *const NAMES[] = {"file", "instance", "step", NULL};
    ts_status status = TS_OK;
    for (const ts_yaml_node *one = node->child; one && status == TS_OK; one = one->next) {
        char shown[TS_SHOWN_BYTES];
        const char *near = ts_nearest(one->key, NAMES);
        if (strcmp(one->key, "file") == 0)
            *files = one;
        else if (strcmp(one->key, "instance") == 0)
            status = read_whole(reader, &INSTANCE_KEY, one, &w->instance);
        else if (strcmp(one->key, "step") == 0)
            status = read_whole(reader, &STEP_KEY, one, &w->step);
        else
            status = ts_faults_add(reader->faults, ts_value_line(reader, one), key->name,
                                   "'%s' is none of file, instance and step%s%s%s", ts_shown(one->key, shown),
                                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (status == TS_OK && !*files)
        status = ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                               "{...} has no file; give {file: FILE, instance: I, step: S}, the last two where they "
                               "are wanted");
    return status;
}

// How many values an entry of a list, or the only one, stands for; its files, instances and steps.
static ts_status look_at(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                         const ts_yaml_node **files, wanted *w, int64_t *count) {
    *w = (wanted){0};
    *files = node->kind == TS_YAML_MAPPING ? NULL : node;
    *count = 1;
    ts_status status = TS_OK;
    if (node->kind == TS_YAML_MAPPING)
        status = read_members(reader, key, node, files, w);
    else if (node->kind != TS_YAML_SCALAR)
        return refuse_node(reader, key, node);
    if (status != TS_OK)
        return status;
    bool several = (*files)->kind == TS_YAML_SEQUENCE;
    if (several && !(*files)->child)
        return ts_faults_add(reader->faults, ts_value_line(reader, *files), key->name, "the list is empty");
    *count = several ? (*files)->count : 1;
    for (const ts_yaml_node *one = several ? (*files)->child : *files; one && status == TS_OK;
         one = several ? one->next : NULL)
        status = check_path(reader, key, one);
    const int64_t times[] = {w->instance.count, w->step.count};
    for (int i = 0; i < 2; i++)
        if (times[i] && (*count *= times[i]) > reader->items_left)
            return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                                 "more values than the %lld that a sweep may have", (long long)reader->items_left);
    return status;
}

ts_status ts_initial_values_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value **items,
                                 int64_t *count) {
    bool list = node->kind == TS_YAML_SEQUENCE;
    const ts_yaml_node *first = list ? node->child : node, *files;
    int64_t total = 0, here;
    wanted w;
    ts_status status = TS_OK;
    *count = 0;
    if (!first)
        return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "the list is empty");
    for (const ts_yaml_node *one = first; one; one = list ? one->next : NULL) {
        ts_status seen = look_at(reader, key, one, &files, &w, &here);
        if (seen == TS_ERROR_MEMORY || seen == TS_ERROR_FATAL)
            return seen;
        status = seen == TS_OK ? status : seen;
        total += seen == TS_OK ? here : 0;
        reader->items_left -= seen == TS_OK ? here : 0;
    }
    if (status != TS_OK)
        return status;
    *items = ts_arena_take(reader->arena, (size_t)total, sizeof **items);
    if (!*items)
        return TS_ERROR_MEMORY;
    reader->items_left += total; // as before, for the same look again
    for (const ts_yaml_node *one = first; one && status == TS_OK; one = list ? one->next : NULL) {
        status = look_at(reader, key, one, &files, &w, &here);
        if (status == TS_OK)
            status = write_all(reader, files, &w, *items, count);
        reader->items_left -= here;
    }
    return status;
}

bool ts_initial_equal(const ts_initial *a, const ts_initial *b) {
    if (a->digest[0] && b->digest[0])
        return strcmp(a->digest, b->digest) == 0;
    a = a->written;
    b = b->written;
    return strcmp(a->path, b->path) == 0 && a->instance == b->instance && a->step == b->step;
}
