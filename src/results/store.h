// A results file (docs/results-file.md) during a run: open on every rank and filled in row by row, so that it is a
// readable file at every moment and nothing committed is ever lost. It was made before, with everything in place
// (create.h), and checked (integrity/check.h).
#pragma once

#include "results/io.h"
#include "results/rows.h"

typedef struct ts_store ts_store;

// Collective. Opens for a run, to be written as asked (io.h). From here on no metadata is written, and every write is
// independent: only closing waits for other ranks.
ts_status ts_store_open(const char *path, const ts_comm *comm, ts_io_way asked, const ts_sweep *sweep,
                        const ts_record_layout *const *layouts, ts_store **store);
void ts_store_sweep(const ts_store *store, uint8_t digest[32]); // ts_sweep_digest of the sweep that made it
const ts_io *ts_store_io(const ts_store *store);                // how it is written, and why so; the store's

// Independent. Writes rows first_row .. first_row + count - 1 of a case: data and checksums, fdatasync, then
// the status bytes, fdatasync. When it returns TS_OK the rows are on disk.
ts_status ts_store_commit(ts_store *store, int case_index, int64_t first_row, int64_t count, const ts_row *rows);

// For a file that does not have its own name yet: as ts_store_commit, but what is written is on disk only after
// ts_store_sync. And a row read back (record: layout->bytes).
ts_status ts_store_put(ts_store *store, int case_index, int64_t first_row, int64_t count, const ts_row *rows);
ts_status ts_store_sync(ts_store *store);
ts_status ts_store_get(ts_store *store, int case_index, int64_t row, void *record, ts_row *out);

// Is the open file still the one at its path? False if it was deleted, moved or replaced since.
bool ts_store_in_place(const ts_store *store);

ts_status ts_store_close(ts_store *store); // collective
