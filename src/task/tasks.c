// The list of tasks: a new one is one file and one line here.
#include "task/task.h"

#include <string.h>

extern const ts_task ts_task_tree, ts_task_independent, ts_task_group, ts_task_cayley, ts_task_power;

const ts_task *const ts_tasks[] = {
    &ts_task_tree, &ts_task_independent, &ts_task_group, &ts_task_cayley, &ts_task_power, NULL,
};

const ts_task *ts_task_find(const char *name) {
    for (int i = 0; ts_tasks[i]; i++)
        if (strcmp(ts_tasks[i]->name, name) == 0)
            return ts_tasks[i];
    return NULL;
}

int64_t ts_task_features(const ts_params *params) {
    double features = 0;
    return params->schema->task->derive(params, "features", &features) ? (int64_t)features : 0;
}
