// A results file whose sweep has changed since, most often because it has grown: how to take over what is the same.
#pragma once

#include "base/text.h"
#include "run/options.h"
#include "sweep/sweep.h"

struct ts_backend;

// After `path` was refused. If that is because it is an intact file of another sweep that has finished instances of
// this one, adds what to type, for a run into another file that reuses it; else nothing. Never a fault.
void ts_outgrown_advise(const char *path, const ts_sweep *sweep, const struct ts_backend *backend,
                        const ts_run_options *options, ts_text *advice);
