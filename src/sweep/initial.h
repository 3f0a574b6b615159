// Weights that instances begin with (TS_WEIGHTS, the key `init_from`): read as a path, or as {file: F, instance: I,
// step: S}, while a sweep's values are typed; found in their file when the first point that has them is met, as only a
// point says which tensors of which sizes there must be, and, where no instance is given, which one is meant. What
// kinds of files there are is not known here (ts_weights_access).
#pragma once

#include "sweep/value.h"

struct ts_sweep_source;

enum { TS_INITIAL_MAX_BYTES = 1 << 30 }; // of all weights that a sweep begins with

// Room for what a sweep names, into reader->initials; in its arena. `name`: where the sweep's will be.
ts_status ts_initials_begin(ts_value_reader *reader, const struct ts_sweep_source *source, const char *const *name);

// There are weights to begin with that are not known yet.
bool ts_initial_is_open(const ts_initial *value);

// Finds the point's, which its task and model found in order. `line`: for faults. *found: what its value is from now
// on. TS_ERROR_USER: reported, now or before.
ts_status ts_initial_resolve(ts_value_reader *reader, const ts_params *params, int line, const ts_initial **found);

// Whether known weights are those of the point's model and sizes. TS_ERROR_USER: reported.
ts_status ts_initial_check(ts_value_reader *reader, const ts_params *params, int line);

// All that were found, in that order, in the reader's arena. Gives them their names for people.
ts_status ts_initials_list(const ts_value_reader *reader, const ts_initial ***list, int64_t *count);

// Closes files.
void ts_initials_end(ts_value_reader *reader);
