// Which ranks train what several can share, and what is called back because ranks that are idle now can join it. Widths
// are team_plan.h's.
#pragma once

#include "run/teams.h"

// Seconds of one thread of the longest that waits, where it is given to a rank alone: what is longer goes before it.
// Infinity where it should not wait for anything else.
double ts_team_choice_longest(const ts_teams *teams);

// The next that begins now, with its ranks, where other units of so many seconds wait; NULL: none.
ts_wide *ts_team_choice_next(ts_teams *teams, double seconds, int64_t units);

// The next that is to come back, provided that nothing else waits; NULL: none.
ts_wide *ts_team_choice_recall(ts_teams *teams);
