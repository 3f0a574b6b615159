// The check of a results file that is there before a run: is it the sweep's, and is everything in it still as it was
// written?
#pragma once

#include "results/format.h"

// Serial. Checks that `path` is an intact results file of this sweep, program version and backend, and reads
// the status of every instance into status (instances). Rows marked done or failed whose checksum does not
// match go back to pending, in the file too (their number in *damaged). TS_ERROR_FATAL, file untouched, if it
// is a results file of something else (the difference is named) or structurally broken. retry_failed: failed
// rows go back to pending.
ts_status ts_check_results(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                           const char *backend, bool retry_failed, uint8_t *status, int64_t *damaged);
