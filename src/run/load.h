// A sweep file, read by rank 0 and expanded by every rank from the same text.
#pragma once

#include "base/comm.h"
#include "sweep/sweep.h"

// Collective. On TS_ERROR_USER ts_message() holds all errors, one a line.
ts_status ts_load_sweep(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                        ts_sweep **sweep);
