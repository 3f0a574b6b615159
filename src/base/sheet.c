// Cells are collected, measured and then printed, so that each column is as wide as it must be.
#define _POSIX_C_SOURCE 200809L
#include "base/sheet.h"

#include "base/log.h"
#include "base/terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_AT_ONCE = 4096, GAP = 2 };

void ts_sheet_begin(ts_sheet *sheet, const ts_sheet_column *column, int columns) {
    *sheet = (ts_sheet){.column = column,
                        .columns = columns,
                        .terminal = isatty(STDOUT_FILENO) ? ts_terminal_width(STDOUT_FILENO, 0) : 0};
    for (int c = 0; c < columns; c++) {
        sheet->width[c] = ts_terminal_columns(column[c].heading);
        sheet->shown[c] = true;
    }
}

static int line_width(const ts_sheet *sheet) {
    int width = -GAP;
    for (int c = 0; c < sheet->columns; c++)
        width += sheet->shown[c] ? sheet->width[c] + GAP : 0;
    return width;
}

// Leaves columns out until lines fit the terminal, or none can be spared.
static void fit(ts_sheet *sheet) {
    for (int spare = 1; spare < TS_SHEET_COLUMNS && line_width(sheet) > sheet->terminal; spare++)
        for (int c = 0; c < sheet->columns; c++)
            sheet->shown[c] = sheet->shown[c] && sheet->column[c].spare != spare;
}

static void add_blanks(ts_text *line, int count) {
    for (int i = 0; i < count; i++)
        ts_text_add(line, " ");
}

// Adds a cell to the line; *blanks: those before it, which are not printed at the line's end.
static void add_cell(const ts_sheet *sheet, int c, const char *cell, int *blanks, ts_text *line) {
    int pad = sheet->width[c] - ts_terminal_columns(cell), before = sheet->column[c].left ? 0 : pad;
    if (!sheet->shown[c])
        return;
    *blanks += c > 0 ? GAP : 0;
    if (*cell) {
        add_blanks(line, *blanks + before);
        ts_text_add(line, cell);
    }
    *blanks = *cell ? pad - before : *blanks + pad;
}

static void print_rows(ts_sheet *sheet) {
    ts_text line = {0};
    if (!sheet->headed && sheet->terminal > 0)
        fit(sheet);
    int blanks = 0;
    for (int c = 0; c < sheet->columns && !sheet->headed; c++)
        add_cell(sheet, c, sheet->column[c].heading, &blanks, &line);
    if (!sheet->headed)
        ts_print_line(ts_text_get(&line));
    sheet->headed = true;
    const char *cell = ts_text_get(&sheet->text);
    for (int64_t i = 0; i < sheet->cells; i++, cell += strlen(cell) + 1) {
        int c = (int)(i % sheet->columns);
        if (c == 0) {
            ts_text_clear(&line);
            blanks = 0;
        }
        add_cell(sheet, c, cell, &blanks, &line);
        if (c == sheet->columns - 1)
            ts_print_line(ts_text_get(&line));
    }
    sheet->text.failed = sheet->text.failed || line.failed;
    ts_text_free(&line);
    sheet->cells = 0;
    ts_text_clear(&sheet->text);
}

void ts_sheet_add(ts_sheet *sheet, const char *cell) {
    int c = (int)(sheet->cells % sheet->columns), width = ts_terminal_columns(cell);
    sheet->width[c] = width > sheet->width[c] ? width : sheet->width[c];
    ts_text_append(&sheet->text, cell, strlen(cell) + 1);
    sheet->cells++;
    if (sheet->cells == (int64_t)ROWS_AT_ONCE * sheet->columns && !sheet->text.failed)
        print_rows(sheet);
}

void ts_sheet_addf(ts_sheet *sheet, const char *format, ...) {
    char cell[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cell, sizeof cell, format, arguments);
    va_end(arguments);
    ts_sheet_add(sheet, cell);
}

ts_status ts_sheet_end(ts_sheet *sheet) {
    if (!sheet->text.failed)
        print_rows(sheet);
    ts_status status = ts_text_status(&sheet->text);
    ts_text_free(&sheet->text);
    return status;
}
