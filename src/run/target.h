// A results file that is made without a run, by `measure`, `merge` and `status`: under the name FILE.part, and renamed
// when it is whole. It must not be there before; FILE.lock is held meanwhile. Rank 0's alone.
#pragma once

#include "base/status.h"
#include "integrity/lock.h"
#include "results/store.h"

#include <limits.h>

typedef struct ts_target {
    char path[PATH_MAX], part[PATH_MAX];
    ts_lock lock;
} ts_target;

// End it also after a fault.
ts_status ts_target_begin(const char *output, ts_target *target);
ts_status ts_target_settle(const ts_target *target); // the part becomes the file

// Makes the part as a results file of the sweep, whose rows `fill` puts into the store, and lets it become the file;
// after a fault it is removed.
ts_status ts_target_make(const ts_target *target, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                         const char *backend, ts_status (*fill)(void *context, ts_store *store), void *context);

void ts_target_end(ts_target *target);
