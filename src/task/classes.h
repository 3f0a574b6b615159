// Conjugacy classes of a group given by its multiplication table, with inverses and element orders: what the
// character theory of irreps.h is computed on. Classes are numbered by their first element.
// Not for tables that are no group: the caller has looked at table->group.
#pragma once

#include "task/table.h"

typedef struct ts_classes {
    int order;                        // of the group
    int inverse[TS_MAX_ORDER];        // (order) of each element
    int of[TS_MAX_ORDER];             // (order) class of each element
    int count;                        // how many classes
    int representative[TS_MAX_ORDER]; // (count) first element; ascending
    int size[TS_MAX_ORDER];           // (count) elements
    int period[TS_MAX_ORDER];         // (count) order of the elements
} ts_classes;

// O(order * count). The table's order is at most TS_MAX_ORDER.
void ts_classes_find(const ts_table *table, ts_classes *classes);

// Class of the inverses of class c.
int ts_classes_inverse(const ts_classes *classes, int c);
