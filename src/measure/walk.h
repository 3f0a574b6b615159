// The walk over all pairs of a table, in parts: blocks of rows of pairs, whose number follows from the table alone
// (ts_measure_parts). Threads of the rank that have no unit take parts, ranks of a team have shares of them; each part
// has sums of its own, and a fixed binary tree (base/tree.h) adds them up. So no bit depends on who made the parts.
#pragma once

#include "measure/help.h"
#include "measure/pairs.h"

typedef struct ts_walk ts_walk;

// help: NULL: nobody helps; it and the pairs outlive the walk. Free with ts_walk_free, also after a fault.
ts_status ts_walk_create(const ts_pairs *pairs, const ts_measure_help *help, ts_walk **walk);
void ts_walk_free(ts_walk *walk);

// Room for sums of up to `numbers` numbers, and `scratch` numbers for each thread; before the first sum.
ts_status ts_walk_reserve(ts_walk *walk, size_t numbers, size_t scratch);

// A sum over all pairs.
typedef struct ts_walk_sum {
    size_t numbers;
    // Adds what rows first .. end - 1 of pairs give, in order, to sums (numbers): on any thread, on some at once. It
    // ends early if the pairs' `pause` says stop.
    void (*add)(const void *context, ts_rows *rows, int first, int end, double *sums);
    const void *context;
} ts_walk_sum;

// total (numbers). All ranks of a team make the same calls. Once the walk is over (below) it does nothing, and the
// total is of no use.
void ts_walk_add_up(ts_walk *walk, const ts_walk_sum *sum, double *total);

// Calls make(context, rows, i) for all i < count, on the rank's threads that are free: for what is independent of each
// other. Each rank of a team makes all of it.
void ts_walk_each(ts_walk *walk, int count, void (*make)(void *context, ts_rows *rows, int i), void *context);

// TS_OK: it may go on. TS_STOPPED: it was asked to stop; an error: a rank is lost. With a team all ranks learn it from
// the same sum: one that is asked to stop makes no more rows, but is there where sums are added up, and says it there.
ts_status ts_walk_status(const ts_walk *walk);

// Whether all ranks of the team that help can go on, so that none waits where sums are added up for one that cannot:
// TS_OK, or an error if `mine` is one on any of them. n: of the table.
ts_status ts_walk_agree(const ts_measure_help *help, int n, ts_status mine);
