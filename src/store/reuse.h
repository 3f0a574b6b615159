// Instances trained before, for another results file: copied instead of trained again.
#pragma once

#include "store/store.h"

// Can `old` be reused at all? Asked before anything is written.
ts_status ts_store_reuse_check(const char *old, const char *backend);

// Copies from the results file `old` every finished instance (status done, checksum right) whose identity is
// that of a pending instance of the sweep into the open store, and marks it done in `status` (instances).
// *copied: how many. Rank 0's alone. `old` has passed ts_store_reuse_check.
ts_status ts_store_reuse(ts_store *store, const char *old, const ts_sweep *sweep,
                         const ts_record_layout *const *layouts, uint8_t *status, int64_t *copied);
