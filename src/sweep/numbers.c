// The forms in which such a value may be written: one number, a list, or a mapping with a rule.
#include "sweep/numbers.h"

#include "sweep/nearest.h"
#include "sweep/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// More measurements than this of one run would be a mistake, and its curves would not fit anywhere.
static const double MAX_STEPS = 1e6;

static ts_numbers *take_numbers(ts_arena *arena, ts_numbers_form form, int count) {
    ts_numbers *numbers = ts_arena_take(arena, 1, sizeof *numbers + (size_t)count * sizeof numbers->item[0]);
    if (numbers) {
        numbers->form = form;
        numbers->count = count;
    }
    return numbers;
}

const ts_numbers *ts_numbers_scalar(ts_arena *arena, double value) {
    ts_numbers *numbers = take_numbers(arena, TS_NUMBERS_SCALAR, 1);
    if (numbers)
        numbers->item[0] = value;
    return numbers;
}

// An entry of a list: a number (a range of count 0), or, of steps, a range of them.
static ts_status read_entry(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double *number,
                            ts_range *range) {
    *range = (ts_range){0};
    bool steps = key->type == TS_STEPS;
    if (!steps || node->kind != TS_YAML_SCALAR || node->quoted || !ts_range_like(node->text)) {
        ts_status status = ts_value_number(reader, key, node, steps, number);
        return status == TS_OK ? ts_value_in_range(reader, key, node, *number) : status;
    }
    return ts_value_range(reader, key, node, true, range);
}

// How many numbers there are.
static ts_status count_list(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *list, int *count) {
    if (!list->child)
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name, "the list is empty");
    ts_status status = TS_OK;
    double number, sum = 0;
    ts_range range;
    reader->in_list = true;
    for (const ts_yaml_node *node = list->child; node; node = node->next) {
        ts_status one = read_entry(reader, key, node, &number, &range);
        status = one == TS_OK ? status : one;
        sum += range.count ? (double)range.count : 1;
    }
    reader->in_list = false;
    if (status != TS_OK)
        return status;
    if (key->type == TS_STEPS && (sum > MAX_STEPS || sum > (double)reader->items_left))
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name, "%.0f steps are too many; %s %.0f",
                             sum, sum > MAX_STEPS ? "at most" : "with those of other lists they are above",
                             sum > MAX_STEPS ? MAX_STEPS : (double)TS_SWEEP_MAX_INSTANCES);
    *count = (int)sum;
    reader->items_left -= key->type == TS_STEPS ? *count : 0;
    return TS_OK;
}

static ts_status read_list(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *list, ts_numbers **out) {
    int count = 0;
    ts_status status = count_list(reader, key, list, &count);
    ts_numbers *numbers = *out = status == TS_OK ? take_numbers(reader->arena, TS_NUMBERS_LIST, count) : NULL;
    if (!numbers)
        return status == TS_OK ? TS_ERROR_MEMORY : status;
    double *item = numbers->item;
    for (const ts_yaml_node *node = list->child; node; node = node->next) {
        ts_range range;
        status = read_entry(reader, key, node, item, &range); // cannot fail: count_list read it
        if (status != TS_OK)
            return status;
        for (int64_t i = 0; i < range.count; i++)
            item[i] = ts_range_at(&range, i);
        item += range.count ? range.count : 1;
    }
    return TS_OK;
}

static ts_status refuse_form(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                             const char *expected) {
    char is[96];
    snprintf(is, sizeof is, "is not %s", expected);
    return ts_value_refuse(reader, key, node, is);
}

// An entry of a mapping that is none of those allowed.
static ts_status refuse_entry(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *entry,
                              const char *const *allowed, const char *expected) {
    char shown[TS_SHOWN_BYTES];
    const char *near = ts_nearest(entry->key, allowed);
    int line = reader->set ? TS_LINE_SET : entry->key_line;
    if (near)
        return ts_faults_add(reader->faults, line, key->name, "'%s' is unknown; did you mean '%s'?",
                             ts_shown(entry->key, shown), near);
    return ts_faults_add(reader->faults, line, key->name, "'%s' is unknown; expected %s", ts_shown(entry->key, shown),
                         expected);
}

// {power: a[, base: B]}
static ts_status read_power(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *mapping,
                            const ts_numbers **out) {
    static const double MOST = 100; // beyond it the second number is below any that counts
    const ts_yaml_node *power = ts_yaml_get(mapping, "power"), *base = ts_yaml_get(mapping, "base");
    ts_numbers *numbers = take_numbers(reader->arena, TS_NUMBERS_POWER, 2);
    if (!numbers)
        return TS_ERROR_MEMORY;
    *out = numbers;
    numbers->item[1] = 1;
    ts_status status = ts_value_number(reader, key, power, false, &numbers->item[0]);
    if (status == TS_OK)
        status = ts_value_between(reader, key, power, numbers->item[0], 0, MOST);
    if (status == TS_OK && base)
        status = ts_value_number(reader, key, base, false, &numbers->item[1]);
    return status == TS_OK && base ? ts_value_in_range(reader, key, base, numbers->item[1]) : status;
}

// {base: B[, branching: b]} or {power: a[, base: B]}
static ts_status read_rule(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *mapping,
                           const ts_numbers **out) {
    static const char *const ALLOWED[] = {"base", "branching", "power", NULL};
    static const char *const EXPECTED = "{base: B}, {base: B, branching: b} or {power: a, base: B}";
    for (const ts_yaml_node *entry = mapping->child; entry; entry = entry->next)
        if (strcmp(entry->key, "base") != 0 && strcmp(entry->key, "branching") != 0 && strcmp(entry->key, "power") != 0)
            return refuse_entry(reader, key, entry, ALLOWED, EXPECTED);
    if (ts_yaml_get(mapping, "power"))
        return ts_yaml_get(mapping, "branching") ? refuse_form(reader, key, mapping, EXPECTED)
                                                 : read_power(reader, key, mapping, out);
    const ts_yaml_node *base = ts_yaml_get(mapping, "base"), *branching = ts_yaml_get(mapping, "branching");
    if (!base)
        return refuse_form(reader, key, mapping, EXPECTED);
    ts_numbers *numbers = take_numbers(reader->arena, TS_NUMBERS_GEOMETRIC, branching ? 2 : 1);
    if (!numbers)
        return TS_ERROR_MEMORY;
    ts_status status = ts_value_number(reader, key, base, false, &numbers->item[0]);
    if (status == TS_OK)
        status = ts_value_in_range(reader, key, base, numbers->item[0]);
    if (status != TS_OK)
        return status;
    *out = numbers;
    if (!branching)
        return TS_OK;
    status = ts_value_number(reader, key, branching, true, &numbers->item[1]);
    if (status == TS_OK && (numbers->item[1] < 2 || numbers->item[1] > 1e6))
        return ts_faults_add(reader->faults, ts_value_line(reader, branching), key->name,
                             "branching must be between 2 and 1000000");
    return status;
}

ts_status ts_numbers_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                          const ts_numbers **out) {
    if (node->kind == TS_YAML_MAPPING)
        return read_rule(reader, key, node, out);
    ts_numbers *numbers = NULL;
    if (node->kind == TS_YAML_SEQUENCE) {
        ts_status status = read_list(reader, key, node, &numbers);
        *out = numbers;
        return status;
    }
    double number = 0;
    ts_status status = ts_value_number(reader, key, node, false, &number);
    if (status == TS_OK)
        status = ts_value_in_range(reader, key, node, number);
    if (status != TS_OK)
        return status;
    *out = ts_numbers_scalar(reader->arena, number);
    return *out ? TS_OK : TS_ERROR_MEMORY;
}

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Ascending and without duplicates: one set of steps, one identity.
static void sort_steps(ts_numbers *steps) {
    qsort(steps->item, (size_t)steps->count, sizeof steps->item[0], compare_numbers);
    int kept = 0;
    for (int i = 0; i < steps->count; i++)
        if (i == 0 || steps->item[i] != steps->item[kept - 1])
            steps->item[kept++] = steps->item[i];
    steps->count = kept;
}

ts_status ts_steps_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_numbers **out) {
    static const char *const ALLOWED[] = {"log", "every", NULL};
    static const char *const EXPECTED = "{log: N}, {every: N} or a list of steps";
    ts_numbers *numbers = NULL;
    if (node->kind == TS_YAML_SEQUENCE) {
        ts_status status = read_list(reader, key, node, &numbers);
        if (status == TS_OK)
            sort_steps(numbers);
        *out = numbers;
        return status;
    }
    if (node->kind == TS_YAML_SCALAR || node->count != 1)
        return refuse_form(reader, key, node, EXPECTED);
    const ts_yaml_node *entry = node->child;
    bool log = strcmp(entry->key, "log") == 0;
    if (!log && strcmp(entry->key, "every") != 0)
        return refuse_entry(reader, key, entry, ALLOWED, EXPECTED);
    numbers = take_numbers(reader->arena, log ? TS_NUMBERS_LOG : TS_NUMBERS_EVERY, 1);
    if (!numbers)
        return TS_ERROR_MEMORY;
    *out = numbers;
    ts_status status = ts_value_number(reader, key, entry, true, &numbers->item[0]);
    double most = log ? MAX_STEPS : key->maximum;
    return status == TS_OK ? ts_value_between(reader, key, entry, numbers->item[0], 1, most) : status;
}

// none, or {test_loss: X[, for: N]}
ts_status ts_stop_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_numbers **out) {
    static const char *const ALLOWED[] = {"test_loss", "for", NULL};
    static const char *const EXPECTED = "none or {test_loss: X, for: N}";
    bool never = node->kind == TS_YAML_SCALAR && strcmp(node->text, "none") == 0;
    if (node->kind != TS_YAML_MAPPING && !never)
        return refuse_form(reader, key, node, EXPECTED);
    for (const ts_yaml_node *entry = node->child; entry && !never; entry = entry->next)
        if (strcmp(entry->key, ALLOWED[0]) != 0 && strcmp(entry->key, ALLOWED[1]) != 0)
            return refuse_entry(reader, key, entry, ALLOWED, EXPECTED);
    const ts_yaml_node *loss = never ? NULL : ts_yaml_get(node, "test_loss");
    const ts_yaml_node *steps = never ? NULL : ts_yaml_get(node, "for");
    if (!never && !loss)
        return refuse_form(reader, key, node, EXPECTED);
    ts_numbers *numbers = take_numbers(reader->arena, never ? TS_NUMBERS_NEVER : TS_NUMBERS_BELOW, never ? 0 : 2);
    if (!numbers)
        return TS_ERROR_MEMORY;
    *out = numbers;
    if (never)
        return TS_OK;
    numbers->item[1] = 0;
    ts_status status = ts_value_number(reader, key, loss, false, &numbers->item[0]);
    if (status == TS_OK && steps)
        status = ts_value_number(reader, key, steps, true, &numbers->item[1]);
    for (int i = 0; i < 2 && status == TS_OK; i++)
        status = ts_value_in_range(reader, key, i == 0 || !steps ? loss : steps, numbers->item[i]);
    return status;
}

// {memorised: X, grokked: Y}; one that is not there is as it is by default.
ts_status ts_thresholds_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node,
                             const ts_numbers **out) {
    static const char *const ALLOWED[] = {"memorised", "grokked", NULL};
    static const char *const EXPECTED = "{memorised: X, grokked: Y}";
    if (node->kind != TS_YAML_MAPPING || !node->child)
        return refuse_form(reader, key, node, EXPECTED);
    for (const ts_yaml_node *entry = node->child; entry; entry = entry->next)
        if (strcmp(entry->key, ALLOWED[0]) != 0 && strcmp(entry->key, ALLOWED[1]) != 0)
            return refuse_entry(reader, key, entry, ALLOWED, EXPECTED);
    ts_numbers *numbers = take_numbers(reader->arena, TS_NUMBERS_KNOWN, 2);
    if (!numbers)
        return TS_ERROR_MEMORY;
    *out = numbers;
    ts_status status = TS_OK;
    for (int i = 0; i < 2 && status == TS_OK; i++) {
        const ts_yaml_node *entry = ts_yaml_get(node, ALLOWED[i]);
        numbers->item[i] = ts_key_threshold(key, i);
        if (entry)
            status = ts_value_number(reader, key, entry, false, &numbers->item[i]);
        if (entry && status == TS_OK)
            status = ts_value_in_range(reader, key, entry, numbers->item[i]);
    }
    return status;
}
