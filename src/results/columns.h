// The columns that the sweep alone determines, one row per instance: number, case, identity, seed, what
// varies, what tasks derive of it, and the resolved parameters. Making a results file writes them, checking one
// compares them: both slab by slab, so that memory stays small at ten million instances.
#pragma once

#include "results/format.h"
#include "sweep/canonical.h"
#include "task/task.h"

typedef enum ts_column_kind {
    TS_COLUMN_INSTANCE, // 0, 1, 2, ...: the scale
    TS_COLUMN_CASE,
    TS_COLUMN_IDENTITY,
    TS_COLUMN_SEED,
    TS_COLUMN_KEY,
    TS_COLUMN_DERIVED,  // ts_task.columns of a task in the sweep
    TS_COLUMN_RESOLVED, // in /sweep
} ts_column_kind;

typedef struct ts_column {
    ts_column_kind kind;
    const char *name; // path from the root
    const char *help; // long_name
    const ts_key *key;
    int position;                // of the key among those of the instance at hand; -1: it has none of that name
    const ts_quantity *quantity; // of a derived column, likewise; NULL: its task has none of that name
    ts_h5_form form;
    char *slab;    // (slab_rows) items of the form's type
    ts_text texts; // what a slab of texts points into
} ts_column;

typedef struct ts_columns {
    const ts_sweep *sweep;
    ts_canonical *canonical;  // of the instance at hand; owned
    ts_sha256_stream *digest; // of the instances so far; owned
    const ts_schema *schema;  // that the columns' positions are of
    int count;
    ts_column *column; // (count); owned
    int64_t slab_rows;
    char *slabs; // owned
} ts_columns;

// Free with ts_columns_free, also after a fault.
ts_status ts_columns_make(const ts_sweep *sweep, ts_columns *columns);

// Bytes of their texts, about, with what HDF5 adds to each. Goes through all instances.
ts_status ts_columns_text_bytes(ts_columns *columns, int64_t *bytes);
void ts_columns_free(ts_columns *columns);

// Text i of the slab of a column of texts.
const char *ts_column_text(const ts_column *column, int64_t i);

// Fills the slabs with instances first .. first + count - 1, count <= slab_rows.
ts_status ts_columns_fill(ts_columns *columns, int64_t first, int64_t count);

// The sweep's digest (ts_sweep_digest), once every instance has been filled in, each once and in order. Once.
void ts_columns_digest(ts_columns *columns, uint8_t digest[TS_SHA256_BYTES]);
