// The values that a key has in several sweeps together, as one sweep file would give them.
#pragma once

#include "base/text.h"
#include "sweep/sweep.h"

// Adds them to `out`: "0..9", "1..9..2" or "[a, b]", each value once. Whole numbers are sorted, upwards unless they go
// down in each of the sweeps, where they are in order there; all others come in the order in which they are met.
// Nothing is added if no instance has the key.
ts_status ts_union_write(const ts_sweep *const *sweeps, int n_sweeps, const char *key, ts_text *out);
