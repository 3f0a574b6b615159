// The steps at which a run is measured.
#pragma once

#include "param/key.h"

// Steps of a `checkpoints` value for a run of `steps` steps, ascending, no duplicates, the last always
// `steps`; 0 means the initial weights. {log: N}: 0, then floor of N log-spaced numbers from 1 to `steps`
// (numpy.logspace(0, log10(steps), N) truncated), duplicates dropped. {every: N}: 0, N, 2N, ...
// Writes at most `capacity` of them (out may be NULL to count) and returns how many there are.
int64_t ts_checkpoints(const ts_numbers *value, int64_t steps, int64_t *out, int64_t capacity);
