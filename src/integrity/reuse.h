// Instances trained before, in other results files: copied instead of trained again (`run --reuse`), or put together
// (`merge`). A row is taken by its identity, and only if its checksum is right. Old files are never written to.
#pragma once

#include "integrity/identities.h"
#include "results/store.h"

// Can `old` be reused at all: is it of this version and backend? Asked before anything is written. `name` is what the
// message calls it by, e.g. "--reuse: ".
ts_status ts_reuse_check(const char *old, const char *backend, const char *name);

typedef struct ts_reuse {
    ts_store *store; // open, of this sweep
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts; // (cases)
    const ts_identities *identities;        // of the sweep
    uint8_t *status;                        // (instances) of the store's rows; kept up to date
    // To put files together, for all of them: which file each row came from (instances), by number, of `files`. Failed
    // rows are taken too, rows that are there already must be the same, and commits do not wait for the disk.
    // NULL: first come, first served; only what is done.
    int32_t *from;
    const char *const *files;
} ts_reuse;

typedef struct ts_reuse_counts {
    int64_t done, failed; // rows that were taken
    int64_t mended;       // of those that are done: they replace a failed one
    int64_t same;         // that another file had given already
    int64_t damaged;      // left out
    int64_t elsewhere;    // finished, of no instance of the sweep
} ts_reuse_counts;

// Takes what is there from one file, files[number] (only its path counts unless `from` is given). Rank 0's alone.
// TS_ERROR_USER: two files that are put together have different results for one instance.
ts_status ts_reuse_take(const ts_reuse *reuse, const char *old, int number, ts_reuse_counts *counts);
