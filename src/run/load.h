// A sweep file, read by rank 0 and expanded by every rank from the same text.
#pragma once

#include "base/comm.h"
#include "sweep/sweep.h"

// Collective. On TS_ERROR_USER ts_message() holds all errors, one a line.
ts_status ts_load_sweep(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                        ts_sweep **sweep);

// The same of a sweep whose results may be there already, in the file `output` (NULL: called after the sweep): files of
// weights that cannot be read are as they are noted there, and their weights are not at hand (ts_initial).
ts_status ts_load_sweep_again(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                              const char *output, ts_sweep **sweep);
