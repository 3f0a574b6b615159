// Measures of a results file's instances, computed again from the weights that it keeps: one by one, or into a
// new results file. The sweep is the one in the file; nothing is trained. And those of weights from elsewhere, into a
// results file. Serial: rank 0's alone.
#pragma once

#include "base/status.h"
#include "param/key.h"
#include "sweep/sweep.h"

#include <stdint.h>

struct ts_data;

// An instance that is done, at its last step.
typedef struct ts_remeasured {
    int64_t instance, step;
    const ts_params *params;
    const struct ts_data *data;
    const double *measures; // as ts_model.measure gives them, concluded
} ts_remeasured;

// Calls `take` for every instance that is done and has weights, case by case, up to the first fault. What follows from
// a curve is taken from the file's.
ts_status ts_remeasure_each(const char *path, ts_status (*take)(const ts_remeasured *one, void *context),
                            void *context);

typedef struct ts_remeasure_counts {
    int64_t measured; // instances whose measures are new
    int64_t taken;    // finished ones that were taken over as they are: they have no weights
    int64_t pending;  // not trained, or damaged
} ts_remeasure_counts;

// Makes the results file `output`, which must not exist, of the same sweep. It is written under the name
// `output`.part, which a later call continues, and renamed when it is whole.
ts_status ts_remeasure_file(const char *path, const char *output, ts_remeasure_counts *counts);

// Makes the results file `output`, which must not exist, of a sweep of one instance that is done: its weights are those
// of the file `weights`, its measures theirs. Of the time before the end there is nothing (NaN); its backend is
// TS_BACKEND_ELSEWHERE.
ts_status ts_remeasure_weights(const ts_sweep *sweep, const char *weights, const char *output);
