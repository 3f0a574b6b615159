// Rows of whole numbers in a text, as people and programs write tables: one row a line, or lists in brackets; numbers
// separated by commas, semicolons or blanks, in quotes or not, 2, 2.0 or 2e+00. A byte order mark, blank lines, what
// stands behind # and separators at a line's end are passed over. What the numbers mean is the caller's business.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum ts_integer_rows_event {
    TS_INTEGER_ROWS_NUMBER, // `value` and `word`
    TS_INTEGER_ROWS_ROW,    // a row has ended; `entries` of it came
    TS_INTEGER_ROWS_END,
    TS_INTEGER_ROWS_FAULT, // the text is no rows of numbers: `fault`; nothing can be read behind it
} ts_integer_rows_event;

enum { TS_INTEGER_ROWS_WORD = 32, TS_INTEGER_ROWS_DEPTH = 3 };

typedef struct ts_integer_rows {
    const char *at, *end, *line_begin;
    bool lists;                       // rows are the innermost lists in brackets, not lines
    bool in_row, in_entry;            // lists: in an innermost one; in_entry: behind a number, no separator yet
    char separator;                   // of numbers, so far: ',' or ';', or ' ' for blanks; 0: none yet
    char open[TS_INTEGER_ROWS_DEPTH]; // brackets
    int depth, here;                  // brackets open; line of `at`, from 1
    const char *no_end;               // from where it was looked for last up to here nothing ends a row
    const char *row_end;              // or the row ends here: nothing but separators and blanks before
    bool ended;                       // the last event was a row's end

    int value;                       // -1: not a whole number >= 0; TS_INTEGER_ROWS_LARGE: that or more
    char word[TS_INTEGER_ROWS_WORD]; // as it stands there, for messages
    int line;                        // of the event, from 1
    const char *spot, *spot_line;    // where the event is, and where its line begins
    int row, entries;                // of the event, from 1; entries of the row so far
    const char *fault;
} ts_integer_rows;

enum { TS_INTEGER_ROWS_LARGE = 1 << 30 };

ts_integer_rows ts_integer_rows_of(const char *text, size_t bytes);
ts_integer_rows_event ts_integer_rows_next(ts_integer_rows *rows);

int ts_integer_rows_column(const ts_integer_rows *rows); // of the event, from 1, in characters

// What a text holds as a whole.
typedef struct ts_integer_rows_survey {
    long long rows; // up to the end or a fault
    int origin;     // 1: its numbers are counted from 1 to n without doubt: each of them occurs, and 0 does not. Else 0
    const char *fault; // NULL: none
    int line, column;  // of the fault
} ts_integer_rows_survey;

enum { TS_INTEGER_ROWS_SURVEY_MAX = 1024 }; // n beyond it: origin 0
ts_integer_rows_survey ts_integer_rows_look(const char *text, size_t bytes, int n);

// "line 3", or "line 1, row 3" where rows are not lines: where the row at hand stands.
enum { TS_INTEGER_ROWS_PLACE = 48 };
const char *ts_integer_rows_place(const ts_integer_rows *rows, char out[TS_INTEGER_ROWS_PLACE]);
