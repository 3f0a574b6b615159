// How long ranks that share one instance take, and how wide each of several instances is best trained. Arithmetic only:
// who is idle and what waits is teams.h's.
#pragma once

#include "run/coordinator_setup.h"

// Predicted seconds of one instance on `ranks` ranks with so many threads each (a fraction where units share them):
// what cannot be shared, rounds of its parts, and what the ranks exchange.
double ts_team_seconds(const ts_coordinator_case *of, int ranks, double threads);

// The fewest ranks, more than `ranks`, on which it takes less; 0 if none of up to `most` do.
int ts_team_wider(const ts_coordinator_case *of, int ranks, int most, int threads);
// Seconds of one instance on however many of up to `most` ranks are best.
double ts_team_fastest(const ts_coordinator_case *of, int most, int threads);

typedef struct ts_team_job {
    const ts_coordinator_case *of;
    double left;      // share of its work
    int first, ranks; // where, which is the plan; no ranks: it has to wait
} ts_team_job;

// Work beside these jobs, for which ranks are kept.
typedef struct ts_team_rigid {
    double seconds; // of one thread, that wait
    int64_t units;  // at most so many threads can be used
    int ranks;      // that have such units already
} ts_team_rigid;

// Plans jobs (n), which come longest first, on ranks with so many idle threads each: threads (ranks), of which those
// with at least `least` are free. All end as early as can be, at about the same time; what is left over goes to the
// longest. Ranks of a job follow each other. Ranks that were given have 0 threads afterwards.
void ts_team_plan(ts_team_job *job, int64_t n, int *threads, int ranks, int least, const ts_team_rigid *rigid);
