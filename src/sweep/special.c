// Top-level keys that are not parameters: name, where, exclude.
#include "sweep/spec.h"

#include "base/file.h"
#include "sweep/nearest.h"

#include <string.h>

enum { MAX_NAME = 64 };

const char *const ts_spec_specials[] = {"name", "grid", "zip", "cases", "exclude", "where", "instances", NULL};

bool ts_spec_is_special(const char *key) {
    for (int i = 0; ts_spec_specials[i]; i++)
        if (strcmp(key, ts_spec_specials[i]) == 0)
            return true;
    return false;
}

// NULL, or why the results file cannot be called that.
static const char *name_fault(const char *name, size_t length) {
    if (length == 0)
        return "is empty";
    if (length > MAX_NAME)
        return "is longer than 64 bytes";
    if (name[0] == '.')
        return "starts with '.'";
    for (size_t i = 0; i < length; i++)
        if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return name[i] == '/' ? "contains '/'" : "contains a control character";
    return NULL;
}

ts_status ts_spec_read_name(ts_spec *spec, const char *file, const ts_yaml_node *node, int line) {
    if (node && node->kind != TS_YAML_SCALAR)
        return ts_faults_add(spec->faults, line, "name", "must be a word");
    const char *name = node ? node->text : ts_path_name(file);
    size_t length = strlen(name);
    if (!node && length >= 5 && strcmp(name + length - 5, ".yaml") == 0)
        length -= 5;
    else if (!node && length >= 4 && strcmp(name + length - 4, ".yml") == 0)
        length -= 4;
    const char *fault = name_fault(name, length);
    char shown[TS_SHOWN_BYTES];
    if (fault && node)
        return ts_faults_add(spec->faults, line, "name", "'%s' %s; it names the results file", ts_shown(name, shown),
                             fault);
    if (fault)
        return ts_faults_add(spec->faults, 0, NULL, "the file's name cannot name the sweep (it %s); add `name: ...`",
                             fault);
    spec->sweep->name = ts_arena_copy(&spec->sweep->arena, name, length);
    return spec->sweep->name ? TS_OK : TS_ERROR_MEMORY;
}

// --- where ---

static ts_status add_where(ts_spec *spec, const ts_yaml_node *node, int line) {
    if (node->kind != TS_YAML_SCALAR || !node->text[0])
        return ts_faults_add(spec->faults, line, "where", "must be an expression, like hidden <= features");
    ts_status status = ts_where_compile(node->text, spec->key, spec->n_keys, &spec->where[spec->n_where]);
    if (status == TS_ERROR_USER)
        return ts_faults_add(spec->faults, line, "where", "%s", ts_message());
    if (status == TS_OK)
        spec->where_line[spec->n_where++] = line;
    return status;
}

ts_status ts_spec_read_where(ts_spec *spec, const ts_yaml_node *node, int line) {
    bool list = node->kind == TS_YAML_SEQUENCE;
    size_t most = list ? (size_t)node->count : 1;
    if (list && !node->child)
        return ts_faults_add(spec->faults, line, "where", "the list is empty");
    spec->where = ts_arena_take(&spec->sweep->arena, most, sizeof(ts_where *));
    spec->where_line = ts_arena_take(&spec->sweep->arena, most, sizeof(int));
    if (!spec->where || !spec->where_line)
        return TS_ERROR_MEMORY;
    if (!list)
        return add_where(spec, node, line);
    ts_status status = TS_OK;
    for (const ts_yaml_node *one = node->child; one && status != TS_ERROR_MEMORY; one = one->next)
        status = add_where(spec, one, one->line);
    return status;
}

// --- exclude ---

static ts_status add_exclusion(ts_spec *spec, const ts_yaml_node *node) {
    if (node->kind != TS_YAML_MAPPING || !node->child)
        return ts_faults_add(spec->faults, node->line, "exclude",
                             "each entry must be a mapping of keys to the values that match");
    ts_exclusion *made = &spec->exclude[spec->n_exclude];
    made->match = ts_arena_take(&spec->sweep->arena, (size_t)node->count, sizeof *made->match);
    if (!made->match)
        return TS_ERROR_MEMORY;
    spec->n_exclude++;
    for (const ts_yaml_node *key = node->child; key; key = key->next) {
        if (ts_spec_is_special(key->key))
            ts_faults_add(spec->faults, key->key_line, key->key, "is not a parameter; it cannot be excluded");
        else
            made->match[made->count++] = (ts_match){.key = key->key, .node = key, .line = key->key_line};
    }
    return TS_OK;
}

ts_status ts_spec_read_exclude(ts_spec *spec, const ts_yaml_node *node) {
    if (node->kind != TS_YAML_SEQUENCE || !node->child)
        return ts_faults_add(spec->faults, node->key_line, "exclude",
                             "must be a list of mappings, like [{key: value}]");
    spec->exclude = ts_arena_take(&spec->sweep->arena, (size_t)node->count, sizeof *spec->exclude);
    if (!spec->exclude)
        return TS_ERROR_MEMORY;
    ts_status status = TS_OK;
    for (const ts_yaml_node *one = node->child; one && status != TS_ERROR_MEMORY; one = one->next)
        status = add_exclusion(spec, one);
    return status;
}
