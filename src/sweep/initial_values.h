// Weights to begin with as a sweep has them (TS_WEIGHTS, the key `init_from`): a path, or {file: F, instance: I, step:
// S}. What they are is found later (initial.h).
#pragma once

#include "sweep/value_reader.h"

struct ts_initial_file;

// Weights in use: those that stand in the sweep, or an instance that was matched with.
typedef struct ts_found {
    ts_initial value;             // first, so that a value leads here
    struct ts_initial_file *file; // NULL: not looked for yet
    uint64_t shape;               // hash of the model and sizes that they are of
    bool refused;                 // a fault is reported
    struct ts_found *next;        // in the order in which they were found
    struct ts_found *beside;      // of the same instance, at another step
} ts_found;

// Values of `node`: one, or those of a list, and of each {file: ..., instance: ..., step: ...} one for each file,
// instance and step in it; *items (*count) in the reader's arena. TS_ERROR_USER: reported.
ts_status ts_initial_values_read(ts_value_reader *reader, const ts_key *key, const ts_yaml_node *node, ts_value **items,
                                 int64_t *count);

// The same weights; before they are known, the same words.
bool ts_initial_equal(const ts_initial *a, const ts_initial *b);
