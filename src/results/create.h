// Making a results file: everything is put in place at once, and a run then only fills in rows at fixed offsets.
#pragma once

#include "results/format.h"

// Serial. Makes the file for a sweep: `path`.tmp with all metadata, filled datasets and space reserved on
// disk, then fsync and rename. `layouts`: one per case. TS_ERROR_FATAL (full disk, no permission, ...) leaves
// nothing behind.
ts_status ts_results_create(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                            const char *backend);

// Bytes that ts_results_create will need, about and rather more (datasets exactly, metadata estimated); and how many
// datasets it makes.
int64_t ts_results_size(const ts_sweep *sweep, const ts_record_layout *const *layouts, int64_t *datasets);
