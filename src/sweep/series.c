// Ends and steps checked, counted, and only then written out.
#include "sweep/series.h"

#include "sweep/numbers.h"

#include <math.h>
#include <string.h>

static const char *const SPACINGS[] = {"linspace", "logspace"};

static bool is_spacing(const ts_yaml_node *node) {
    return node->kind == TS_YAML_MAPPING && node->count == 1 &&
           (strcmp(node->child->key, SPACINGS[0]) == 0 || strcmp(node->child->key, SPACINGS[1]) == 0);
}

bool ts_series_like(const ts_key *key, const ts_yaml_node *node) {
    if (key->type != TS_INTEGER && key->type != TS_REAL && key->type != TS_NUMBERS)
        return false;
    return is_spacing(node) || (node->kind == TS_YAML_SCALAR && !node->quoted && ts_range_like(node->text));
}

static ts_status read_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_series *series) {
    ts_status status = ts_value_range(reader, key, node, key->type == TS_INTEGER, &series->range);
    series->count = series->range.count;
    return status;
}

// [a, b, n] into its numbers.
static ts_status read_three(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *list,
                            ts_decimal number[3]) {
    double value = 0;
    if (list->kind != TS_YAML_SEQUENCE || list->count != 3)
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name,
                             "%s takes first value, last value and how many: {%s: [a, b, n]}", list->key, list->key);
    int i = 0;
    for (const ts_yaml_node *node = list->child; node; node = node->next, i++) {
        bool whole = i == 2 || key->type == TS_INTEGER;
        ts_status status = ts_value_number(reader, key, node, whole, &value);
        if (status != TS_OK)
            return status;
        ts_decimal_read(node->text, strlen(node->text), &number[i]); // cannot fail: it was read
    }
    return TS_OK;
}

// NumPy's logspace takes exponents of ten. Whole numbers of which one is below 0 can be meant in no other way.
static bool are_exponents(const ts_decimal number[3]) {
    for (int i = 0; i < 2; i++)
        if (number[i].value != floor(number[i].value) || fabs(number[i].value) > 300)
            return false;
    return (number[0].value < 0 || number[1].value < 0) && number[0].value != number[1].value && number[2].value >= 2 &&
           number[2].value <= 100000;
}

static ts_status read_spacing(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_series *series) {
    const ts_yaml_node *list = node->child;
    ts_decimal number[3];
    ts_status status = read_three(reader, key, list, number);
    if (status != TS_OK)
        return status;
    series->count = (int64_t)number[2].value;
    bool log = strcmp(list->key, "logspace") == 0;
    if (log && are_exponents(number))
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name,
                             "logspace takes the values at its ends, not their exponents: write "
                             "{logspace: [1e%d, 1e%d, %d]}",
                             (int)number[0].value, (int)number[1].value, (int)series->count);
    for (const ts_yaml_node *end = list->child; end->next && status == TS_OK; end = end->next)
        status = ts_value_in_range(reader, key, end, number[end != list->child].value);
    if (status != TS_OK)
        return status;
    const char *fault = ts_spacing_make(log, &number[0], &number[1], series->count, &series->spacing);
    if (fault)
        return ts_faults_add(reader->faults, ts_value_line(reader, list), key->name, "%s %s", list->key, fault);
    return TS_OK;
}

ts_status ts_series_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_series *series) {
    series->kind = node->kind == TS_YAML_SCALAR ? TS_SERIES_RANGE : TS_SERIES_SPACING;
    return series->kind == TS_SERIES_RANGE ? read_range(reader, key, node, series)
                                           : read_spacing(reader, key, node, series);
}

static ts_status write_one(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number,
                           ts_value *item) {
    char text[32];
    *item = (ts_value){.type = key->type};
    if (key->type == TS_REAL) {
        item->real = number;
    } else if (key->type == TS_INTEGER) {
        if (number != floor(number))
            return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name,
                                 "%s gives %s, which is not an integer; choose ends and count that give integers, or "
                                 "write a list",
                                 node->child->key, ts_real_text(number, text));
        item->integer = (int64_t)number;
    } else {
        item->numbers = ts_numbers_scalar(reader->arena, number);
        return item->numbers ? TS_OK : TS_ERROR_MEMORY;
    }
    return TS_OK;
}

ts_status ts_series_write(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_series *series,
                          ts_value *item) {
    for (int64_t i = 0; i < series->count; i++) {
        double number =
            series->kind == TS_SERIES_RANGE ? ts_range_at(&series->range, i) : ts_spacing_at(&series->spacing, i);
        ts_status status = write_one(reader, key, node, number, &item[i]);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}
