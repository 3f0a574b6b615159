// What unfinished instances have come to, from the last states that their units saved (integrity/state.h): where they
// are, and a results file in which they have their curves so far. Serial: rank 0's alone; never touches the run's
// files.
#pragma once

#include "results/reader.h"
#include "sweep/sweep.h"
#include "train/trainer.h"

typedef struct ts_live_instance {
    int64_t instance;
    int64_t steps; // that it is to do
    ts_latest latest;
} ts_live_instance;

// Pending instances of which there is a state, in the order of their cases: *list (*count), free with ts_free. Quick:
// only the beginnings of states are read.
ts_status ts_live_list(const char *path, ts_reader *reader, const ts_sweep *sweep, ts_live_instance **list,
                       int64_t *count);

// The curve of one of these, out of its state: the measure of that name, or train_loss where its case has none, a
// number for each checkpoint, NaN where there is none yet. *value (*count), free with ts_free. *layout: that of its
// case, which is made if it is NULL; the caller frees it. TS_ERROR_USER: there is none, or it is of another version.
ts_status ts_live_curve(const char *path, const ts_reader *reader, const ts_sweep *sweep, int64_t instance,
                        const char *name, ts_record_layout **layout, double **value, int64_t *count);

// Makes the results file `output`, which must not exist: that at `path`, of which `sweep` is, and in the rows of its
// unfinished instances what they have measured. These rows stay pending; *count: how many have something.
// TS_ERROR_USER: another version made it.
ts_status ts_live_file(const char *path, const ts_reader *reader, const ts_sweep *sweep, const char *output,
                       int64_t *count);
