// A case's data: what its task makes once and its instances share, read-only, while they are trained and
// measured. One part for each kind of data (task.h); the others are NULL. Cases that learn the same share them, too.
#pragma once

#include "param/key.h"
#include "task/feature_data.h"
#include "task/subgroups.h"
#include "task/symmetry.h"
#include "task/table.h"

typedef struct ts_data {
    ts_feature_data *features;   // feature tasks: how inputs are distributed
    ts_table *table;             // table tasks: the function to learn
    ts_symmetry *symmetry;       // of the table, where it has one: groups, sums of powers
    ts_subgroups *subgroups;     // of the table as measures see it, where it is a group that has not too many
    int *place;                  // (n) of tokens and results on a circle of n (task/circle.h); NULL: they lie on none
    struct ts_data_entry *entry; // by which others find it
} ts_data;

// Data of the case `params` belongs to: those that are there for equal keys of the task, or new ones. Free with
// ts_data_free, as often as they were created; any thread may do either.
ts_status ts_data_create(const ts_params *params, ts_data **data);
void ts_data_free(ts_data *data);
