// The results file: one HDF5 file (format: docs/results-file.md), made once with everything in place, then
// only filled in at fixed offsets, so that it is a readable file at every moment and nothing committed is
// ever lost. Creating and checking are rank 0's alone; open, commit and close belong to a run, on every rank.
#pragma once

#include "base/comm.h"
#include "base/status.h"
#include "sweep/sweep.h"
#include "train/record.h"

#include <stdint.h>

// The backend of files whose instances no backend of this program has trained (`measure --weights -o`).
#define TS_BACKEND_ELSEWHERE "elsewhere"

typedef enum ts_row_status { TS_ROW_PENDING = 0, TS_ROW_DONE = 1, TS_ROW_FAILED = 2 } ts_row_status;

// Serial. Makes the file for a sweep: `path`.tmp with all metadata, filled datasets and space reserved on
// disk, then fsync and rename. `layouts`: one per case. TS_ERROR_FATAL (full disk, no permission, ...) leaves
// nothing behind.
ts_status ts_store_create(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                          const char *backend);

// Bytes that ts_store_create will need, about (datasets exactly, metadata estimated).
int64_t ts_store_size(const ts_sweep *sweep, const ts_record_layout *const *layouts);

// Serial. Checks that `path` is an intact results file of this sweep, program version and backend, and reads
// the status of every instance into status (instances). Rows marked done or failed whose checksum does not
// match go back to pending, in the file too (their number in *damaged). TS_ERROR_FATAL, file untouched, if it
// is a results file of something else (the difference is named) or structurally broken. retry_failed: failed
// rows go back to pending.
ts_status ts_store_check(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                         const char *backend, bool retry_failed, uint8_t *status, int64_t *damaged);

// Reads the root attribute `backend` of an existing results file ("" if it cannot be read), e.g. to continue
// a file with the backend it was begun with.
ts_status ts_store_backend(const char *path, char out[32]);

typedef struct ts_store ts_store;

// Collective. Opens for a run (hdf5/shared_file.h). From here on no metadata is written, and every write is
// independent.
ts_status ts_store_open(const char *path, const ts_comm *comm, const ts_sweep *sweep,
                        const ts_record_layout *const *layouts, ts_store **store);

// One trained instance. A failed one has its record too (the curve so far).
typedef struct ts_row {
    ts_row_status status; // TS_ROW_DONE or TS_ROW_FAILED
    int64_t steps_done;
    const void *record; // (layout->bytes)
} ts_row;

// Independent. Writes rows first_row .. first_row + count - 1 of a case: data and checksums, fdatasync, then
// the status bytes, fdatasync. When it returns TS_OK the rows are on disk.
ts_status ts_store_commit(ts_store *store, int case_index, int64_t first_row, int64_t count,
                          const ts_row *rows);

// For a file that does not have its own name yet: as ts_store_commit, but what is written is on disk only after
// ts_store_sync. And a row read back (record: layout->bytes).
ts_status ts_store_put(ts_store *store, int case_index, int64_t first_row, int64_t count, const ts_row *rows);
ts_status ts_store_sync(ts_store *store);
ts_status ts_store_get(ts_store *store, int case_index, int64_t row, void *record, ts_row *out);

// Is the open file still the one at its path? False if it was deleted, moved or replaced since.
bool ts_store_in_place(const ts_store *store);

ts_status ts_store_close(ts_store *store); // collective
