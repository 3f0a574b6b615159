// Tasks: what is learned. A task is one file with a table of keys, checks, and a function that makes its
// data; tasks.c lists them all. Formulas: docs/workloads.md.
#pragma once

#include "param/key.h"

#include <stdint.h>

struct ts_data; // task/data.h

// A derived quantity that is a column of the results file: a whole number (TS_INTEGER, from derive) or a
// name (TS_NAME, from describe).
typedef struct ts_task_column {
    const char *name;
    ts_key_type type;
    const char *help; // long_name
} ts_task_column;

typedef struct ts_task {
    const char *name;
    const char *help;
    const char *const *models; // names of the models that can learn it, the default first; NULL-terminated
    const ts_key *keys;        // NULL name ends the table
    const ts_task_column *columns; // NULL name ends the table; NULL: none

    // Checks a value of one of the task's keys by itself, before any filter; `kept`: no filter can drop it, so that
    // also what only a point must not have is a fault. False: what is wrong, and the cure, is in `message`. NULL: its
    // type says all.
    bool (*check_value)(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes);

    // Checks what no single key's range can. NULL if fine; else the offending key's name, with a sentence
    // (what is wrong and the cure) in `message`.
    const char *(*check)(const ts_params *params, char *message, size_t bytes);

    // Derived quantities, usable in `where` and `exclude`: "features" (feature tasks), "order" (tables).
    // False: the task has no such quantity.
    bool (*derive)(const ts_params *params, const char *name, double *value);

    // Derived quantities that are names, for its columns. NULL: the task has no such quantity (or function).
    const char *(*describe)(const ts_params *params, const char *name);

    // Fills its part of the data of the case `params` belongs to (see ts_data_create); nothing in it depends
    // on keys that don't shape a case. After a fault the caller frees what was made.
    ts_status (*create)(const ts_params *params, struct ts_data *data);
} ts_task;

extern const ts_task *const ts_tasks[]; // NULL-terminated

// As the check_value of the task whose key it is; true for any other key.
bool ts_task_check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes);

// Features of the instance's task (derive "features"); 0 if it has none.
int64_t ts_task_features(const ts_params *params);
