// The list of tasks: a new one is one file and one line here.
#include "task/task.h"

#include <math.h>
#include <string.h>

extern const ts_task ts_task_tree, ts_task_independent, ts_task_one_hot, ts_task_group, ts_task_cayley, ts_task_power,
    ts_task_expression;

const ts_task *const ts_tasks[] = {
    &ts_task_tree,   &ts_task_independent, &ts_task_one_hot,    &ts_task_group,
    &ts_task_cayley, &ts_task_power,       &ts_task_expression, NULL,
};

// Of all tasks, as a key is its task's own row.
static const ts_task *owner_of(const ts_key *key) {
    for (int i = 0; ts_tasks[i]; i++)
        for (const ts_key *own = ts_tasks[i]->keys; own->name; own++)
            if (own == key)
                return ts_tasks[i];
    return NULL;
}

const char *ts_task_spell(const ts_key *key, const char *name, char *out) {
    const ts_task *task = owner_of(key);
    if (!task || !task->spell)
        return name;
    task->spell(key, name, out);
    return out;
}

bool ts_task_check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    const ts_task *task = owner_of(key);
    return !task || !task->check_value || task->check_value(key, value, kept, message, bytes);
}

const char *ts_kind_name(ts_kind kind) {
    static const char *const NAMES[] = {[TS_KIND_FEATURES] = "features", [TS_KIND_TABLE] = "table"};
    return NAMES[kind];
}

const ts_quantity *ts_task_quantity(const ts_task *task, const char *name) {
    for (const ts_quantity *one = task->derived; one->name; one++)
        if (strcmp(one->name, name) == 0)
            return one;
    return NULL;
}

bool ts_task_derive(const ts_params *params, const char *name, double *value) {
    const ts_quantity *quantity = ts_task_quantity(params->schema->task, name);
    *value = quantity && quantity->number ? quantity->number(params) : NAN;
    return !isnan(*value);
}

int64_t ts_task_features(const ts_params *params) {
    double features;
    return ts_task_derive(params, "features", &features) ? (int64_t)features : 0;
}
