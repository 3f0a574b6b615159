// Which engine of a backend trains each case of a sweep, and why not a fused one: as `plan`, `status` and the run log
// say it. It follows from the sweep alone; nothing is made or timed for it.
#pragma once

#include "backend/backend.h"
#include "base/text.h"
#include "sweep/sweep.h"

// Cases that the same engine trains, for the same reason.
typedef struct ts_engine_use {
    const char *name, *why; // as of ts_backend_engine; why NULL: it is the backend's first kind
    int cases, first;       // how many, and the first of them
} ts_engine_use;

typedef struct ts_engines {
    const ts_sweep *sweep; // which must outlive it
    const ts_backend *backend;
    int count;
    ts_engine_use *use; // (count) in the order of the sweep; owned
    int *of;            // (cases) which of them; owned
} ts_engines;

// Free with ts_engines_free, also after a fault. TS_ERROR_USER: the backend cannot train some case.
ts_status ts_engines_find(const ts_sweep *sweep, const ts_backend *backend, ts_engines *engines);
void ts_engines_free(ts_engines *engines);

// A line for all cases, or one for each use. heading: what the first one begins with; the others are indented by as
// much.
void ts_engines_print(const ts_engines *engines, const char *heading);

// Members "engine" and, where it has one, "engine_why" of a case.
void ts_engines_json_case(const ts_engines *engines, int case_index, ts_text *out);
// Member "engines": a list of the uses, with how many cases each has.
void ts_engines_json(const ts_engines *engines, ts_text *out);
