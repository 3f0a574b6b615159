// Plain numbers, and what is said of a node that is not what its key takes.
#include "sweep/value_reader.h"

#include "sweep/nearest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int ts_value_line(const ts_value_reader *reader, const ts_yaml_node *node) {
    return reader->set ? TS_LINE_SET : node->line;
}

// As people write it: whole numbers without an exponent.
static const char *number_text(double number, char out[32]) {
    if (fabs(number) >= 1e15 || number != floor(number))
        return ts_real_text(number, out);
    snprintf(out, 32, "%.0f", number);
    return out;
}

static ts_status refuse_bound(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number,
                              const char *what, double bound) {
    char shown[32], limit[32];
    return ts_faults_add(reader->faults, ts_value_line(reader, node), key->name, "%s is %s %s",
                         number_text(number, shown), what, number_text(bound, limit));
}

ts_status ts_value_between(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number,
                           double minimum, double maximum) {
    if (number < minimum)
        return refuse_bound(reader, key, node, number, "below the minimum", minimum);
    return number > maximum ? refuse_bound(reader, key, node, number, "above the maximum", maximum) : TS_OK;
}

ts_status ts_value_in_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, double number) {
    return ts_value_between(reader, key, node, number, key->minimum, key->maximum);
}

// What stands there, as messages name it.
static const char *node_text(const ts_key *key, const ts_yaml_node *node, char out[TS_SHOWN_BYTES + 2]) {
    char shown[TS_SHOWN_BYTES];
    bool compound = key->type == TS_NUMBERS || key->type == TS_STEPS || key->type == TS_STOP ||
                    key->type == TS_THRESHOLDS || key->type == TS_WORDS;
    if (node->kind == TS_YAML_MAPPING)
        return compound ? "'{...}'" : "a mapping ({...})";
    if (node->kind == TS_YAML_SEQUENCE)
        return compound ? "'[...]'" : "a list within a list";
    snprintf(out, TS_SHOWN_BYTES + 2, "'%s'", ts_shown(node->text, shown));
    return out;
}

ts_status ts_value_refuse(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const char *is) {
    char text[TS_SHOWN_BYTES + 2];
    int line = ts_value_line(reader, node);
    if (node->kind == TS_YAML_SCALAR && !node->quoted && !node->text[0])
        return ts_faults_add(reader->faults, line, key->name, "has no value");
    bool numeric = key->type == TS_INTEGER || key->type == TS_REAL;
    const char *near = numeric && node->kind == TS_YAML_MAPPING && node->count == 1
                           ? ts_nearest(node->child->key, (const char *const[]){"linspace", "logspace", NULL})
                           : NULL;
    if (near)
        return ts_faults_add(reader->faults, line, key->name, "%s %s; did you mean '%s'?", node_text(key, node, text),
                             is, near);
    ts_decimal number;
    if (numeric && node->kind == TS_YAML_SCALAR && node->quoted &&
        !ts_decimal_read(node->text, strlen(node->text), &number))
        return ts_faults_add(reader->faults, line, key->name,
                             "%s %s but a word, as it stands in quotes; leave them out", node_text(key, node, text),
                             is);
    // Within a list that is one value, what would be several can only have been meant as a sweep.
    bool range = node->kind == TS_YAML_SCALAR && ts_range_like(node->text);
    bool swept = reader->in_list && (range ? key->type != TS_STEPS : node->kind != TS_YAML_SCALAR);
    return ts_faults_add(reader->faults, line, key->name, "%s %s%s", node_text(key, node, text), is,
                         swept ? " (this list is one value; to sweep it, put it under grid)" : "");
}

ts_status ts_value_number(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool whole,
                          double *out) {
    ts_decimal number;
    int64_t integer;
    const char *fault = node->kind != TS_YAML_SCALAR || node->quoted
                            ? ts_not_a_number
                            : ts_decimal_read(node->text, strlen(node->text), &number);
    if (fault == ts_not_a_number && whole)
        fault = "is not an integer";
    if (!fault && whole)
        fault = ts_decimal_integer(&number, &integer);
    if (fault)
        return ts_value_refuse(reader, key, node, fault);
    *out = number.value;
    return TS_OK;
}

ts_status ts_value_range(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, bool whole,
                         ts_range *range) {
    const char *fault = ts_range_read(node->text, range);
    if (!fault && whole && range->divisor != 1)
        fault = "is not a range of integers";
    if (fault)
        return ts_value_refuse(reader, key, node, fault);
    ts_status status = ts_value_in_range(reader, key, node, ts_range_at(range, 0));
    return status == TS_OK ? ts_value_in_range(reader, key, node, ts_range_at(range, range->count - 1)) : status;
}
