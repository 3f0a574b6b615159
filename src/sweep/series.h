// Several values written as one: a range a..b..step, {linspace: [a, b, n]} and {logspace: [a, b, n]}, for every key
// whose values are numbers. A part of value.h, for its use only; the arithmetic of ranges is number.h's, that of the
// others spacing.h's.
#pragma once

#include "sweep/spacing.h"
#include "sweep/value_reader.h"

typedef enum ts_series_kind { TS_SERIES_RANGE, TS_SERIES_SPACING } ts_series_kind;

typedef struct ts_series {
    ts_series_kind kind;
    int64_t count;
    union {
        ts_range range;
        ts_spacing spacing;
    };
} ts_series;

bool ts_series_like(const ts_key *key, const ts_yaml_node *node);

// Ends, count and bounds. TS_ERROR_USER: reported.
ts_status ts_series_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_series *series);

// The values, into item (count). TS_ERROR_USER: one of them is no value of the key; reported.
ts_status ts_series_write(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, const ts_series *series,
                          ts_value *item);
