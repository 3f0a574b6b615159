// Threads of a rank that have no unit of their own help those that have one: whoever has work that can be cut into
// parts offers it, and each thread that is free takes parts until there are none. Who takes which is chance, so the
// work must come to the same however it is shared.
#pragma once

#include "base/status.h"

#include <stdbool.h>

typedef struct ts_crew ts_crew;

// For up to so many threads at work at once; 1: nobody ever helps. Where there is no room for so many threads, fewer
// help.
ts_status ts_crew_create(int threads, ts_crew **crew);
void ts_crew_free(ts_crew *crew); // when nobody works

// A thread begins or ends a unit of its own: one less, or one more, may help.
void ts_crew_begin_unit(ts_crew *crew);
void ts_crew_end_unit(ts_crew *crew);

// Work in parts. A helper takes parts until it is wanted elsewhere (ts_crew_may_help) or none is left.
typedef struct ts_crew_work {
    void (*help)(void *context);
    bool (*is_left)(void *context); // a part that nobody has taken
    void *context;
} ts_crew_work;

// Calls lead(context), which takes parts itself and returns when none is left, while others help; returns when they
// have, too.
void ts_crew_share(ts_crew *crew, const ts_crew_work *work, void (*lead)(void *context));

// Whether the thread that helps may take one more part.
bool ts_crew_may_help(const ts_crew *crew);
