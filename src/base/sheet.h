// A sheet for people on standard output: cells under headings, each column as wide as what stands in it. Rows are
// printed some thousand at a time, so that any number of them takes little memory. For programs there is JSON (text.h).
#pragma once

#include "base/text.h"

enum { TS_SHEET_COLUMNS = 16 };

typedef struct ts_sheet_column {
    const char *heading;
    bool left; // aligned; else right
    int spare; // 0: always shown. Where lines are wider than the terminal, columns of 1 are left out, then those of 2,
               // ...
} ts_sheet_column;

typedef struct ts_sheet {
    const ts_sheet_column *column;
    int columns;
    int width[TS_SHEET_COLUMNS];
    bool shown[TS_SHEET_COLUMNS];
    int terminal; // columns of the terminal; 0: it is none, or not known
    bool headed;  // the headings are printed
    int64_t cells;
    ts_text text; // the cells, each with its NUL
} ts_sheet;

void ts_sheet_begin(ts_sheet *sheet, const ts_sheet_column *column, int columns);

// The next cell, row by row.
void ts_sheet_add(ts_sheet *sheet, const char *cell);
void ts_sheet_addf(ts_sheet *sheet, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Prints what is left, and frees it.
ts_status ts_sheet_end(ts_sheet *sheet);
