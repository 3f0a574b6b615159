// The file's structure, mapping by mapping, and --set over it.
#include "sweep/spec.h"

#include "base/memory.h"
#include "model/optimiser.h"
#include "sweep/initial.h"
#include "sweep/nearest.h"
#include "sweep/synonyms.h"

#include <stdio.h>
#include <string.h>

static const char *const PLACES[] = {"at the top level", "in grid", "in zip", "in cases"};

// --- Known keys ---

const ts_key *ts_spec_key(const ts_spec *spec, const char *name) {
    for (int i = 0; i < spec->n_keys; i++)
        if (strcmp(spec->key[i]->name, name) == 0)
            return spec->key[i];
    return NULL;
}

// Of more keys than there is room for the rest is left out, which check_lists finds.
static void add_key(ts_spec *spec, const ts_key *key) {
    if (spec->n_keys < TS_MAX_KNOWN)
        spec->key[spec->n_keys++] = key;
}

// Whether lists of all names have room for them, and every task has a model.
static ts_status check_lists(const ts_spec *spec) {
    int names = spec->n_keys;
    for (int i = 0; ts_spec_specials[i]; i++)
        names++;
    for (int i = 0; ts_derived_name(i); i++)
        names++;
    if (names > TS_MAX_KNOWN)
        return ts_fail(TS_ERROR_FATAL, "tasks and models have more than %d keys and derived quantities", TS_MAX_KNOWN);
    for (int t = 0; ts_tasks[t]; t++)
        if (!ts_model_usual(ts_tasks[t]))
            return ts_fail(TS_ERROR_FATAL, "no model learns the task '%s' by default", ts_tasks[t]->name);
    return TS_OK;
}

static void add_keys(ts_spec *spec, const ts_key *keys) {
    for (const ts_key *key = keys; key->name; key++)
        add_key(spec, key);
}

static ts_status list_known(ts_spec *spec) {
    ts_sweep *sweep = spec->sweep;
    while (ts_tasks[sweep->n_tasks])
        sweep->n_tasks++;
    while (ts_models[sweep->n_models])
        sweep->n_models++;
    while (ts_optimisers[sweep->n_optimisers])
        sweep->n_optimisers++;
    const char **tasks = ts_arena_take(&sweep->arena, (size_t)sweep->n_tasks + 1, sizeof *tasks);
    const char **models = ts_arena_take(&sweep->arena, (size_t)sweep->n_models + 1, sizeof *models);
    if (!tasks || !models)
        return TS_ERROR_MEMORY;
    for (int t = 0; t < sweep->n_tasks; t++)
        tasks[t] = ts_tasks[t]->name;
    for (int m = 0; m < sweep->n_models; m++)
        models[m] = ts_models[m]->name;
    spec->task_key = (ts_key){.name = "task", .type = TS_NAME, .choices = tasks, .traits = TS_SHAPES};
    spec->model_key =
        (ts_key){.name = "model", .type = TS_NAME, .fallback = "", .choices = models, .traits = TS_SHAPES};
    // These two first, so that they are found before their rows in the common list, which have no choices.
    spec->key[spec->n_keys++] = &spec->task_key;
    spec->key[spec->n_keys++] = &spec->model_key;
    for (const ts_key *key = ts_common_keys; key->name; key++)
        if (!ts_spec_key(spec, key->name))
            add_key(spec, key);
    for (int t = 0; t < sweep->n_tasks; t++)
        add_keys(spec, ts_tasks[t]->keys);
    for (int m = 0; m < sweep->n_models; m++) {
        add_keys(spec, ts_models[m]->keys);
        add_keys(spec, ts_models[m]->optimiser->keys);
        add_keys(spec, ts_step_keys);
    }
    add_keys(spec, ts_optimizer_keys);
    for (int o = 0; o < sweep->n_optimisers; o++)
        add_keys(spec, ts_optimisers[o]->keys);
    return check_lists(spec);
}

static ts_meant meant_by(const ts_spec *spec, const char *word, bool special, bool derived) {
    const char *names[TS_MAX_KNOWN + 1]; // check_lists saw to it that they fit
    int n = 0;
    for (int i = 0; i < spec->n_keys; i++)
        names[n++] = spec->key[i]->name;
    for (int i = 0; special && ts_spec_specials[i]; i++)
        names[n++] = ts_spec_specials[i];
    for (int i = 0; derived && ts_derived_name(i); i++)
        names[n++] = ts_derived_name(i);
    names[n] = NULL;
    return ts_meant_by(word, names);
}

ts_meant ts_sweep_meant(const char *word) {
    ts_sweep none = {0};
    ts_spec spec = {.sweep = &none};
    ts_meant meant = {0};
    if (list_known(&spec) == TS_OK)
        meant = meant_by(&spec, word, true, true);
    ts_arena_free(&none.arena);
    return meant;
}

// Notes that the key was meant to be given, in a place that has a fault of its own: it is not reported as missing.
static void expect(ts_spec *spec, const char *key) {
    ts_expected *one = ts_arena_take(&spec->sweep->arena, 1, sizeof *one);
    if (!one)
        return; // another message more
    *one = (ts_expected){key, spec->expected};
    spec->expected = one;
}

ts_status ts_spec_unknown(ts_spec *spec, int line, const char *key, bool special, bool derived) {
    char text[TS_MEANT_BYTES];
    ts_meant meant = {0};
    if (spec->faults->shown < TS_FAULTS_MAX) // looked for only while the error will be shown
        meant = meant_by(spec, key, special, derived);
    for (int i = 0; i < TS_MEANT_MAX && meant.key[i]; i++)
        expect(spec, meant.key[i]);
    if (meant.key[0])
        return ts_faults_add(spec->faults, line, key, "unknown; %s", ts_meant_text(&meant, text));
    return ts_faults_add(spec->faults, line, key, "unknown; no task or model has it");
}

// --- Overrides (--set) ---

static ts_override *find_override(ts_spec *spec, const char *key) {
    for (int i = 0; i < spec->n_overrides; i++)
        if (strcmp(spec->override[i].key, key) == 0)
            return &spec->override[i];
    return NULL;
}

static ts_status add_override(ts_spec *spec, const char *text) {
    static const char *const FIXED[] = {"grid", "zip", "cases", "exclude"};
    char shown[TS_SHOWN_BYTES];
    const char *equals = strchr(text, '=');
    spec->malformed = spec->malformed || !equals;
    if (!equals || equals == text)
        return ts_faults_add(spec->faults, TS_LINE_SET, NULL, "'%s' is not key=value", ts_shown(text, shown));
    char *key = ts_arena_copy(&spec->sweep->arena, text, (size_t)(equals - text));
    if (!key)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < 4; i++)
        if (strcmp(key, FIXED[i]) == 0)
            return ts_faults_add(spec->faults, TS_LINE_SET, key, "can only be written in the file");
    ts_override made = {.key = key, .text = equals + 1};
    if (strcmp(key, "name") != 0 && strcmp(key, "where") != 0) {
        int line;
        ts_status status = ts_yaml_parse(equals + 1, strlen(equals + 1), &made.yaml, &line);
        if (status == TS_ERROR_USER) {
            expect(spec, key);
            return ts_faults_add(spec->faults, TS_LINE_SET, key, "%s", ts_message());
        }
        if (status != TS_OK)
            return status;
    }
    ts_override *earlier = find_override(spec, key); // the last one counts
    if (earlier)
        ts_yaml_free(earlier->yaml);
    else
        earlier = &spec->override[spec->n_overrides++];
    *earlier = made;
    return TS_OK;
}

static ts_status read_overrides(ts_spec *spec, const ts_sweep_source *source) {
    spec->override = ts_arena_take(&spec->sweep->arena, (size_t)source->n_overrides, sizeof *spec->override);
    if (!spec->override)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < source->n_overrides; i++) {
        ts_status status = add_override(spec, source->overrides[i]);
        if (status == TS_ERROR_MEMORY)
            return status;
    }
    return TS_OK;
}

// What --set gave as the value; a missing value reads as an empty scalar, which no key takes.
static const ts_yaml_node *override_node(const ts_override *override) {
    static const ts_yaml_node EMPTY = {.kind = TS_YAML_SCALAR, .text = "", .line = TS_LINE_SET};
    const ts_yaml_node *root = override->yaml ? ts_yaml_root(override->yaml) : NULL;
    return root ? root : &EMPTY;
}

// --- Settings ---

static bool is_from_instances(const ts_setting *setting) {
    return setting->node->key && strcmp(setting->node->key, "instances") == 0;
}

ts_setting *ts_setting_find(ts_setting *setting, int count, const char *key) {
    for (int i = 0; i < count; i++)
        if (strcmp(setting[i].key, key) == 0)
            return &setting[i];
    return NULL;
}

static const char *line_text(int line, char out[32]) {
    snprintf(out, 32, line == TS_LINE_SET ? "by --set" : "on line %d", line);
    return out;
}

ts_status ts_spec_given_twice(ts_spec *spec, const ts_setting *first, const ts_setting *second) {
    char a[32], b[32];
    return ts_faults_add(spec->faults, second->line, second->key, "is given twice: %s %s%s and %s %s%s; keep one",
                         line_text(first->line, a), PLACES[first->place],
                         is_from_instances(first) ? " (as instances)" : "", line_text(second->line, b),
                         PLACES[second->place], is_from_instances(second) ? " (as instances)" : "");
}

// Adds to a list of settings (the sweep's own, or a case entry's); what was implied gives way to what was
// said.
static ts_status add_setting(ts_spec *spec, ts_setting *list, int *count, ts_setting made, bool at_top) {
    if (!ts_spec_key(spec, made.key))
        return made.implied ? TS_OK : ts_spec_unknown(spec, made.line, made.key, at_top, false);
    ts_setting *earlier = ts_setting_find(list, *count, made.key);
    if (earlier && made.implied)
        return TS_OK;
    if (earlier && earlier->implied)
        *earlier = made;
    else if (earlier)
        return ts_spec_given_twice(spec, earlier, &made);
    else
        list[(*count)++] = made;
    return TS_OK;
}

static ts_status add_shared(ts_spec *spec, ts_setting made) {
    return add_setting(spec, spec->setting, &spec->n_settings, made, made.place == TS_SETTING_TOP);
}

static ts_yaml_node *made_node(ts_spec *spec, const char *text, int line) {
    ts_yaml_node *node = ts_arena_take(&spec->sweep->arena, 1, sizeof *node);
    if (!node)
        return NULL;
    *node = (ts_yaml_node){.kind = TS_YAML_SCALAR, .line = line, .key = "instances", .key_line = line};
    node->text = ts_arena_copy(&spec->sweep->arena, text, strlen(text));
    return node->text ? node : NULL;
}

// `instances: N` as two settings, seed and stacked_instances. TS_ERROR_USER: reported.
static ts_status read_instances(ts_spec *spec, const ts_yaml_node *node, int line, ts_setting_place place,
                                ts_setting out[2]) {
    ts_decimal number;
    int64_t count = 0;
    char shown[TS_SHOWN_BYTES];
    const char *fault = node->kind != TS_YAML_SCALAR || node->quoted
                            ? ts_not_a_number
                            : ts_decimal_read(node->text, strlen(node->text), &number);
    if (!fault)
        fault = ts_decimal_integer(&number, &count);
    if (fault && node->kind == TS_YAML_SCALAR && fault != ts_not_a_number)
        return ts_faults_add(spec->faults, line, "instances", "'%s' %s", ts_shown(node->text, shown), fault);
    if (fault)
        return ts_faults_add(spec->faults, line, "instances", "must be a whole number, like 5");
    if (count < 1)
        return ts_faults_add(spec->faults, line, "instances", "%lld is below the minimum 1", (long long)count);
    if (count > TS_SWEEP_MAX_INSTANCES)
        return ts_faults_add(spec->faults, line, "instances", "%lld is more than the %d that a sweep may have",
                             (long long)count, TS_SWEEP_MAX_INSTANCES);
    char text[64];
    snprintf(text, sizeof text, "0..%lld", (long long)(count - 1));
    ts_yaml_node *seeds = made_node(spec, text, line);
    snprintf(text, sizeof text, "%lld", (long long)count);
    ts_yaml_node *stacked = made_node(spec, text, line);
    if (!seeds || !stacked)
        return TS_ERROR_MEMORY;
    out[0] = (ts_setting){.key = "seed", .node = seeds, .line = line, .place = place};
    out[1] = (ts_setting){.key = "stacked_instances", .node = stacked, .line = line, .place = place, .implied = true};
    return TS_OK;
}

static ts_status add_instances(ts_spec *spec, const ts_yaml_node *node, int line) {
    ts_setting made[2];
    ts_status status = read_instances(spec, node, line, TS_SETTING_TOP, made);
    if (status != TS_OK)
        return status;
    // --set seed=... replaces the seeds; what was drawn for a stack of N stays what it was.
    ts_override *seed = find_override(spec, "seed");
    if (!seed)
        status = add_shared(spec, made[0]);
    else if (!seed->used)
        status = add_shared(spec, (ts_setting){.key = "seed", .node = override_node(seed), .line = TS_LINE_SET});
    if (seed)
        seed->used = true;
    return status == TS_OK ? add_shared(spec, made[1]) : status;
}

// One entry of the top level, grid or zip that is a parameter.
static ts_status add_parameter(ts_spec *spec, const ts_yaml_node *node, ts_setting_place place) {
    bool seed = strcmp(node->key, "seed") == 0;
    ts_override *override = find_override(spec, node->key);
    if (!override && seed)
        override = find_override(spec, "instances");
    if (!override)
        return add_shared(spec, (ts_setting){.key = node->key, .node = node, .line = node->key_line, .place = place});
    if (place == TS_SETTING_ZIP)
        return ts_faults_add(spec->faults, TS_LINE_SET, override->key,
                             "'%s' is in zip (line %d); change it in the file", node->key, node->key_line);
    override->used = true;
    if (strcmp(override->key, "instances") == 0)
        return add_instances(spec, override_node(override), TS_LINE_SET);
    return add_shared(
        spec, (ts_setting){.key = node->key, .node = override_node(override), .line = TS_LINE_SET, .place = place});
}

// Entries of grid or zip.
static ts_status read_block(ts_spec *spec, const ts_yaml_node *block, ts_setting_place place) {
    spec->malformed = spec->malformed || block->kind != TS_YAML_MAPPING;
    if (block->kind != TS_YAML_MAPPING || !block->child)
        return ts_faults_add(spec->faults, block->key_line, block->key, "must be a mapping of keys to values");
    ts_status status = TS_OK;
    for (const ts_yaml_node *node = block->child; node && status != TS_ERROR_MEMORY; node = node->next) {
        if (!ts_spec_is_special(node->key)) {
            status = add_parameter(spec, node, place);
            continue;
        }
        spec->malformed = true;
        status = ts_faults_add(spec->faults, node->key_line, node->key,
                               "is not allowed in %s; write it at the top level", block->key);
    }
    return status;
}

// --- Cases ---

static ts_status add_to_entry(ts_spec *spec, ts_entry *entry, ts_setting made) {
    return add_setting(spec, entry->setting, &entry->count, made, false);
}

static ts_status read_entry_key(ts_spec *spec, ts_entry *entry, const ts_yaml_node *node) {
    bool instances = strcmp(node->key, "instances") == 0, seed = strcmp(node->key, "seed") == 0;
    if (ts_spec_is_special(node->key) && !instances) {
        entry->malformed = true;
        return ts_faults_add(
            spec->faults, node->key_line, node->key, "is not allowed in cases; write it at the top level%s",
            strcmp(node->key, "grid") == 0  ? ", or its keys in the entry: lists and ranges sweep there too"
            : strcmp(node->key, "zip") == 0 ? ", or an entry for each combination"
                                            : "");
    }
    if (find_override(spec, node->key) || (seed && find_override(spec, "instances")))
        return TS_OK; // comes in at the top level
    if (!instances)
        return add_to_entry(
            spec, entry,
            (ts_setting){.key = node->key, .node = node, .line = node->key_line, .place = TS_SETTING_CASE});
    ts_setting made[2];
    ts_status status = read_instances(spec, node, node->key_line, TS_SETTING_CASE, made);
    if (status == TS_OK && !find_override(spec, "seed"))
        status = add_to_entry(spec, entry, made[0]);
    return status == TS_OK ? add_to_entry(spec, entry, made[1]) : status;
}

static ts_status read_entry(ts_spec *spec, ts_entry *entry, const ts_yaml_node *node) {
    entry->line = node->line;
    entry->malformed = node->kind != TS_YAML_MAPPING;
    if (node->kind != TS_YAML_MAPPING || !node->child)
        return ts_faults_add(spec->faults, node->line, "cases", "each entry must be a mapping, like {key: value}");
    entry->setting = ts_arena_take(&spec->sweep->arena, (size_t)node->count + 1, sizeof *entry->setting);
    if (!entry->setting)
        return TS_ERROR_MEMORY;
    for (const ts_yaml_node *key = node->child; key; key = key->next) {
        ts_status status = read_entry_key(spec, entry, key);
        if (status == TS_ERROR_MEMORY)
            return status;
    }
    return TS_OK;
}

static ts_status read_cases(ts_spec *spec, const ts_yaml_node *node) {
    ts_sweep *sweep = spec->sweep;
    spec->malformed = spec->malformed || node->kind != TS_YAML_SEQUENCE;
    if (node->kind != TS_YAML_SEQUENCE || !node->child)
        return ts_faults_add(spec->faults, node->key_line, "cases", "must be a list of mappings");
    sweep->has_cases = true;
    sweep->n_entries = 0;
    sweep->entry = ts_arena_take(&sweep->arena, (size_t)node->count, sizeof *sweep->entry);
    if (!sweep->entry)
        return TS_ERROR_MEMORY;
    ts_status status = TS_OK;
    for (const ts_yaml_node *one = node->child; one && status != TS_ERROR_MEMORY; one = one->next)
        status = read_entry(spec, &sweep->entry[sweep->n_entries++], one);
    return status;
}

// --- The file ---

static ts_status read_special(ts_spec *spec, const ts_yaml_node *node) {
    const char *key = node->key;
    ts_override *override = find_override(spec, key);
    if (strcmp(key, "grid") == 0)
        return read_block(spec, node, TS_SETTING_GRID);
    if (strcmp(key, "zip") == 0)
        return read_block(spec, node, TS_SETTING_ZIP);
    if (strcmp(key, "cases") == 0)
        return read_cases(spec, node);
    if (strcmp(key, "exclude") == 0)
        return ts_spec_read_exclude(spec, node);
    if (override && strcmp(key, "instances") != 0)
        return TS_OK; // name, where: read from --set, at the end
    if (strcmp(key, "name") == 0)
        return ts_spec_read_name(spec, NULL, node, node->key_line);
    if (strcmp(key, "where") == 0)
        return ts_spec_read_where(spec, node, node->line);
    if (override && override->used)
        return TS_OK;
    if (override)
        override->used = true;
    return add_instances(spec, override ? override_node(override) : node, override ? TS_LINE_SET : node->key_line);
}

// What --set gave and the file did not.
static ts_status add_unused_overrides(ts_spec *spec) {
    ts_status status = TS_OK;
    for (int i = 0; i < spec->n_overrides && status != TS_ERROR_MEMORY; i++) {
        ts_override *override = &spec->override[i];
        ts_yaml_node text = {.kind = TS_YAML_SCALAR, .text = override->text, .quoted = true};
        if (override->used)
            continue;
        if (strcmp(override->key, "name") == 0)
            status = ts_spec_read_name(spec, NULL, &text, TS_LINE_SET);
        else if (strcmp(override->key, "where") == 0)
            status = ts_spec_read_where(spec, &text, TS_LINE_SET);
        else if (strcmp(override->key, "instances") == 0)
            status = add_instances(spec, override_node(override), TS_LINE_SET);
        else
            status = add_shared(
                spec, (ts_setting){.key = override->key, .node = override_node(override), .line = TS_LINE_SET});
    }
    return status;
}

static bool has_filter(const ts_spec *spec, const ts_yaml_node *root) {
    bool set = false;
    for (int i = 0; i < spec->n_overrides; i++)
        set = set || strcmp(spec->override[i].key, "where") == 0;
    return set || ts_yaml_get(root, "where") || ts_yaml_get(root, "exclude");
}

static ts_status read_root(ts_spec *spec, const ts_yaml_node *root) {
    ts_sweep *sweep = spec->sweep;
    static const ts_yaml_node NOTHING = {.kind = TS_YAML_MAPPING};
    if (!root)
        root = &NOTHING; // all may come from --set; else the keys that are missing are named
    if (root->kind != TS_YAML_MAPPING)
        return ts_faults_add(spec->faults, root->line, NULL, "a sweep file is a mapping: lines of `key: value`");
    const ts_yaml_node *grid = ts_yaml_get(root, "grid"), *zip = ts_yaml_get(root, "zip");
    size_t most = (size_t)root->count + (size_t)(grid ? grid->count : 0) + (size_t)(zip ? zip->count : 0) +
                  2 * (size_t)spec->n_overrides + 4;
    spec->setting = ts_arena_take(&sweep->arena, most, sizeof *spec->setting);
    sweep->entry = ts_arena_take(&sweep->arena, 1, sizeof *sweep->entry);
    if (!spec->setting || !sweep->entry)
        return TS_ERROR_MEMORY;
    sweep->n_entries = 1;
    spec->reader.filtered = has_filter(spec, root);
    ts_status status = TS_OK;
    for (const ts_yaml_node *node = root->child; node && status != TS_ERROR_MEMORY; node = node->next)
        status = ts_spec_is_special(node->key) ? read_special(spec, node) : add_parameter(spec, node, TS_SETTING_TOP);
    return status == TS_ERROR_MEMORY ? status : add_unused_overrides(spec);
}

ts_status ts_spec_read(ts_spec *spec, const ts_sweep_source *source) {
    int line;
    spec->reader = (ts_value_reader){.arena = &spec->sweep->arena,
                                     .faults = spec->faults,
                                     .sweep_file = source->file,
                                     .given = source->files,
                                     .n_given = source->n_files,
                                     .items_left = TS_SWEEP_MAX_INSTANCES};
    ts_status status = ts_initials_begin(&spec->reader, source, &spec->sweep->name);
    if (status == TS_OK)
        status = list_known(spec);
    if (status == TS_OK)
        status = read_overrides(spec, source);
    if (status != TS_OK)
        return status;
    status = ts_yaml_parse(source->text, source->bytes, &spec->yaml, &line);
    if (status == TS_ERROR_USER)
        return ts_faults_add(spec->faults, line, NULL, "%s", ts_message());
    if (status == TS_OK)
        status = read_root(spec, ts_yaml_root(spec->yaml));
    if (status != TS_ERROR_MEMORY && !spec->sweep->name)
        status = ts_spec_read_name(spec, source->file, NULL, 0);
    return status == TS_ERROR_USER ? TS_OK : status; // reported; what follows may find more
}

void ts_spec_free(ts_spec *spec) {
    ts_initials_end(&spec->reader);
    ts_yaml_free(spec->yaml);
    for (int i = 0; i < spec->n_overrides; i++)
        ts_yaml_free(spec->override[i].yaml);
    for (int i = 0; i < spec->n_where; i++)
        ts_where_free(spec->where[i]);
}
