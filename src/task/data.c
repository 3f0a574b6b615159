// The task fills its part; all that it made is freed here.
#include "task/data.h"

#include "base/memory.h"
#include "task/circle.h"
#include "task/task.h"

// Of the table as measures see it, in the numbers of the elements that tokens stand for.
static ts_status find_structure(ts_data *data) {
    ts_table *own = data->symmetry ? data->symmetry->own_table : NULL;
    ts_status status = own ? ts_table_examine(own) : TS_OK;
    const ts_table *table = own ? own : data->table;
    if (status == TS_OK && table->group)
        status = ts_subgroups_create(table, TS_MAX_SUBGROUP_NUMBERS, &data->subgroups);
    bool numbered = table->modulus == table->n || (data->symmetry && data->symmetry->circles == 1);
    return status == TS_OK ? ts_circle_places(table, numbered, &data->place) : status;
}

ts_status ts_data_create(const ts_params *params, ts_data **out) {
    ts_data *data = ts_alloc_zero(1, sizeof *data, "a task's data");
    if (!data)
        return TS_ERROR_MEMORY;
    const ts_task *task = params->schema->task;
    bool features = task->kind == TS_KIND_FEATURES;
    data->features = features ? ts_alloc_zero(1, sizeof *data->features, "a task's data") : NULL;
    ts_status status = features && !data->features ? TS_ERROR_MEMORY : task->create(params, data);
    if (status == TS_OK && features)
        status = ts_feature_data_finish(data->features);
    if (status == TS_OK && !data->symmetry && data->table && data->table->group)
        status = ts_symmetry_of_group(data->table, &data->symmetry);
    if (status == TS_OK && data->table)
        status = find_structure(data);
    if (status == TS_OK)
        *out = data;
    else
        ts_data_free(data);
    return status;
}

void ts_data_free(ts_data *data) {
    if (!data)
        return;
    ts_feature_data_free(data->features);
    ts_symmetry_free(data->symmetry);
    ts_subgroups_free(data->subgroups);
    ts_free(data->place);
    ts_table_free(data->table);
    ts_free(data);
}
