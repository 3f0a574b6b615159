// Rows of an open results file: the datasets of a case, opened when first needed and checked against the
// layout, and whole records written to and read from them. Used by a run (store.c) and by the check before it
// (check.c).
#pragma once

#include "results/format.h"

typedef enum ts_row_status { TS_ROW_PENDING = 0, TS_ROW_DONE = 1, TS_ROW_FAILED = 2 } ts_row_status;

// One trained instance. A failed one has its record too (the curve so far).
typedef struct ts_row {
    ts_row_status status; // TS_ROW_DONE or TS_ROW_FAILED
    int64_t steps_done;
    const void *record; // (layout->bytes)
} ts_row;

typedef struct ts_rows {
    ts_h5 *h5;
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts;
    ts_measure_columns measures;
    hid_t status, checksum, steps_done;
    hid_t stacked; // results/stacks.h; -1: the sweep has none
    hid_t measure[TS_MAX_MEASURE_COLUMNS];
    bool partial;               // what the file lacks is left out; else it is a fault
    int case_index;             // whose datasets are open; -1: none
    hid_t field[TS_MAX_FIELDS]; // of that case; -1 for root fields
    int column[TS_MAX_FIELDS];  // root fields: index into measure
    char *gather;               // one field of many rows; owned
    size_t gather_bytes;
} ts_rows;

// Opens the root's columns. End with ts_rows_end, also after a fault. Faults are noted in h5. `partial`: a file by
// another version, which need not have all the measures of this one.
void ts_rows_begin(ts_rows *rows, ts_h5 *h5, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                   bool partial);
void ts_rows_end(ts_rows *rows);

void ts_rows_open_case(ts_rows *rows, int case_index);

// Opens a dataset and notes a fault if it does not have this form.
hid_t ts_rows_open_dataset(ts_h5 *h5, const char *name, const ts_h5_form *form);

// Writes everything but the status: records, steps done, checksums (0 for a pending row).
void ts_rows_put(ts_rows *rows, int case_index, int64_t first_row, int64_t count, const ts_row *row);
void ts_rows_put_status(ts_rows *rows, int case_index, int64_t first_row, int64_t count, const ts_row *row);

// Reads the case's own fields (not those at the root) of some rows into records (count, layout->bytes). Of a
// partial file, fields that it lacks are left as they are.
void ts_rows_get(ts_rows *rows, int case_index, int64_t first_row, int64_t count, char *records);

// What the root has of a row: its fields of the record, and the rest.
typedef struct ts_rows_root {
    uint8_t status;
    uint32_t checksum;
    int64_t steps_done;
} ts_rows_root;
void ts_rows_get_root(ts_rows *rows, int case_index, int64_t row, ts_rows_root *root, char *record);
