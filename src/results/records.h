// Records of a results file, read back one by one, also out of a file that another version of the program
// made: what it lacks of this one's measures is then NaN. Serial; never writes. What is known of the file
// without its sweep is reader.h's.
#pragma once

#include "results/reader.h"
#include "results/store.h"

typedef struct ts_records ts_records;

// The results file that `reader` has open, of this sweep (origin.h). All must outlive the records. Layouts of cases
// that are not read may be NULL.
ts_status ts_records_open(const char *path, const ts_reader *reader, const ts_sweep *sweep,
                          const ts_record_layout *const *layouts, ts_records **records);
void ts_records_close(ts_records *records);

// The layout of a case's records, for a caller that has no data of the case at hand: it makes them, and keeps none.
// Free with ts_record_layout_free.
ts_status ts_records_layout(const ts_sweep *sweep, int case_index, ts_record_layout **layout);

// Reads a row into `record` (layout->bytes), which *row then points to. *intact: false if its checksum does
// not match (of other versions' files it is not looked at).
ts_status ts_records_read(ts_records *records, int case_index, int64_t index, void *record, ts_row *row, bool *intact);

// Is what the file says of a finished instance - parameters, results, weights - what was written? Another version's
// file is not looked at. TS_ERROR_FATAL, with a message: it is not.
ts_status ts_records_check(const char *path, ts_reader *reader, int64_t instance);
