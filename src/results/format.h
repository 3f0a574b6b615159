// The results file's names and shapes, in one place for those who make, check, fill and read it.
// What a user needs to know of it is in docs/results-file.md.
#pragma once

#include "hdf5/hdf5.h"
#include "sweep/sweep.h"
#include "train/record.h"

enum { TS_FORMAT = 2, TS_MAX_MEASURE_COLUMNS = 256 };

#define TS_PROGRAM "toysweep"

// The backend of files whose instances no backend of this program has trained (`measure --weights -o`).
#define TS_BACKEND_ELSEWHERE "elsewhere"

// Opens for reading what may not be a results file, or a damaged one, and says in plain words what is wrong
// with it. After a fault there is nothing to end.
void ts_format_open(ts_h5 *h5, const char *path);

// TS_ERROR_FATAL, with a message: what `name` holds in it is not what this program writes.
ts_status ts_format_damaged(const char *path, const char *name);

// Reads the root attribute `backend` of an existing results file ("" if it cannot be read), e.g. to continue
// a file with the backend it was begun with.
ts_status ts_format_backend(const char *path, char out[32]);

// Whether a regular file begins as an HDF5 file does; false also where it cannot be read.
bool ts_format_has_signature(const char *path);

// Whether it is an HDF5 file that names this program; false also where that cannot be read.
bool ts_format_is_results(const char *path);

// The group within its case's that a field lies in: "weights", "state"; NULL: the case's own.
const char *ts_format_field_group(const ts_field *field);

// "/cases/<label>", "/cases/<label>/<name>", "/cases/<label>/weights/<name>" or "/cases/<label>/state/<name>".
void ts_format_case_path(const char *label, ts_text *out);
void ts_format_field_path(const char *label, const ts_field *field, ts_text *out);

ts_h5_form ts_format_field(const ts_field *field, int64_t rows); // of its dataset
ts_h5_form ts_format_list(ts_h5_type type, int64_t length);      // one dimension

// Fields of TS_FIELD_ROOT of all layouts (NULL: none), by name, in order of first appearance.
typedef struct ts_measure_columns {
    int count;
    const ts_field *field[TS_MAX_MEASURE_COLUMNS];
} ts_measure_columns;

ts_status ts_format_measures(const ts_sweep *sweep, const ts_record_layout *const *layouts,
                             ts_measure_columns *columns);
int ts_format_measure(const ts_measure_columns *columns, const char *name); // -1: not there

// The column of results/stacks.h, and whether a sweep has it: some of its instances are stacked.
#define TS_STACKED_COLUMN "stacked_loss"
#define TS_STACKED_HELP                                                                                                \
    "final_loss summed over the stacked instances; NaN: not all of them are done, or none are stacked"
bool ts_format_has_stacks(const ts_sweep *sweep);

// CRC of an instance's data: steps done (int64), status (one byte), then the record's fields in order.
uint32_t ts_format_checksum(const ts_record_layout *layout, int64_t steps_done, uint8_t status, const void *record);
