// All subgroups of a group, from its table. What a network does on their cosets is the measures' business.
#pragma once

#include "task/table.h"

#include <stddef.h>

enum { TS_SUBGROUP_BYTES = 80 };

// Where subgroups times elements would be more, a group's subgroups are not listed (S6 has 1455 subgroups of its 720
// elements, which are 2^20).
enum { TS_MAX_SUBGROUP_NUMBERS = 1 << 22 };

typedef struct ts_subgroups {
    int n, count;
    // (count) ascending by order, of one order by their elements, the first that they differ in: the trivial one is the
    // first, the whole group the last.
    int *order;
    size_t *first;                   // (count) where a subgroup's elements begin in `element`
    int *element;                    // of one after the other, ascending
    char (*name)[TS_SUBGROUP_BYTES]; // (count) order, number among those of it, and generators, as "6.2 <1,9>"
} ts_subgroups;

// *subgroups: NULL if subgroups times elements are more than `most`. Time is about that of a join of each subgroup with
// each cyclic one: a quarter of a second for S6.
ts_status ts_subgroups_create(const ts_table *table, int64_t most, ts_subgroups **subgroups);
void ts_subgroups_free(ts_subgroups *subgroups);

// The coset of each element, numbered in the order of their first elements: right cosets H g, or left ones g H.
// coset (n). Returns how many there are.
int ts_subgroup_cosets(const ts_table *table, const ts_subgroups *subgroups, int index, bool left, int *coset);
