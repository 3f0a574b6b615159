// A walk over points: resolved parameters of one point after the other, touching only what changed in
// between.
#pragma once

#include "param/key_set.h"
#include "sweep/spec.h"

typedef struct ts_cursor {
    const ts_sweep *sweep;
    const ts_entry *entry; // NULL: nothing decoded yet
    const ts_pairing *pairing;
    int64_t point;
    ts_params params;            // schema NULL until the first point
    ts_key_set changed;          // those that may differ from the point before
    uint32_t digit[TS_MAX_AXES]; // index on each axis of the entry
} ts_cursor;

void ts_cursor_start(ts_cursor *cursor, const ts_sweep *sweep);
void ts_cursor_seek(ts_cursor *cursor, int64_t point);

// "depth=3, hidden=2": the point's place on its axes and what its entry of `cases` sets.
void ts_cursor_describe(const ts_cursor *cursor, ts_text *out);

// Point of an instance.
int64_t ts_sweep_point(const ts_sweep *sweep, int64_t instance);

// Hash of everything that the identity is made of, kept up to date from point to point. Two hashes: of all
// keys, and of all but the seed. (Weights to begin with count as one value of an axis, unless it is of identities.)
typedef struct ts_fingerprint {
    bool of_identities;
    uint64_t part[TS_MAX_KEYS];
    uint64_t all, no_seed;
    int seed; // its position
    const ts_pairing *pairing;
} ts_fingerprint;

// `changed`: all that changed since the last update of this fingerprint.
void ts_fingerprint_update(ts_fingerprint *fingerprint, const ts_cursor *cursor, const ts_key_set *changed);
