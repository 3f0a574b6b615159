// Names of groups as the key `group` has them, S5 or C7:C3xQ8: read into factors, and written in the one form that
// stands for all names of a construction. What each name means: docs/workloads.md. Tables are group.c's.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum ts_group_family {
    TS_CYCLIC,
    TS_DIHEDRAL,
    TS_SYMMETRIC,
    TS_ALTERNATING,
    TS_DICYCLIC,   // Dic<n>, of n a power of 2 Q<4n>
    TS_SEMIDIRECT, // C<n>:C<m>
    TS_SL,
    TS_GL,
    TS_PSL,
    TS_PGL,
} ts_group_family;

typedef struct ts_group_factor {
    ts_group_family family;
    int degree;        // n; of matrices q
    int acting, twist; // of C<n>:C<m>: m, and k, to whose power its generator takes that of C<n>
    double order;      // may be far more than a table takes
} ts_group_factor;

enum { TS_MAX_FACTORS = 16 };

typedef struct ts_group_name {
    int count;
    ts_group_factor factor[TS_MAX_FACTORS];
    double order; // of the direct product
} ts_group_name;

// Two names of one construction are read alike: Dic2 as Q8, C7:C2 as D7, C7:C1 as C7, GL(2,2) as SL(2,2). False: it is
// no name; what is wrong with it and the cure is in `message`, or "" where it is like none.
bool ts_group_name_read(const char *text, ts_group_name *out, char *message, size_t bytes);

// The one name of a group that was read, of at most TS_MAX_ORDER elements.
void ts_group_name_write(const ts_group_name *name, char *out, size_t bytes);
