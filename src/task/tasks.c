// The list of tasks: a new one is one file and one line here.
#include "task/task.h"

extern const ts_task ts_task_tree, ts_task_independent, ts_task_group, ts_task_cayley, ts_task_power;

const ts_task *const ts_tasks[] = {
    &ts_task_tree, &ts_task_independent, &ts_task_group, &ts_task_cayley, &ts_task_power, NULL,
};

bool ts_task_check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    for (int i = 0; ts_tasks[i]; i++)
        for (const ts_key *own = ts_tasks[i]->keys; own->name; own++)
            if (own == key && ts_tasks[i]->check_value)
                return ts_tasks[i]->check_value(key, value, kept, message, bytes);
    return true;
}

int64_t ts_task_features(const ts_params *params) {
    double features = 0;
    return params->schema->task->derive(params, "features", &features) ? (int64_t)features : 0;
}
