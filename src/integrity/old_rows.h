// Rows of a results file whose instances are taken into another one, read with their checksums, some at a time. Serial;
// never writes.
#pragma once

#include "results/reader.h"
#include "results/rows.h"

enum { TS_OLD_ROWS = 256 };

typedef struct ts_old_rows ts_old_rows;

// The file at `old`, which `reader` has open; sweep, layouts (cases): of the other one. All must outlive the rows, of
// which none are open after a fault.
ts_status ts_old_rows_open(const char *old, ts_reader *reader, const ts_sweep *sweep,
                           const ts_record_layout *const *layouts, ts_old_rows **rows);
ts_status ts_old_rows_close(ts_old_rows *rows); // NULL: none

// Reads a row of status `status` of a case of the file into `record` (layout->bytes), which *row then points to. Of
// that layout must be the case. *intact: its checksum is right.
ts_status ts_old_rows_read(ts_old_rows *rows, const ts_reader_case *of, int64_t old_row, ts_row_status status,
                           const ts_record_layout *layout, char *record, ts_row *row, bool *intact);

// Before the layout of the rows that were read last is freed.
void ts_old_rows_leave(ts_old_rows *rows);

// So many records of a size are best held at a time, TS_OLD_ROWS at most.
int64_t ts_old_rows_at_once(size_t record_bytes);
