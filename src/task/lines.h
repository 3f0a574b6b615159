// Lines of integers in a text: for files that tasks are given (tables, element orders). Blank lines are
// skipped, as is white space round numbers; CR LF ends a line like LF.
#pragma once

#include "param/key.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ts_lines {
    const char *at, *end;
    int number; // of the line last returned, from 1
} ts_lines;

ts_lines ts_lines_of(const ts_file *file);

// The next line that holds something; false: there is none.
bool ts_lines_next(ts_lines *lines, const char **begin, const char **end);

// The next word of a line: up to the separator (',', or ' ' for any white space) or the line's end, *at then
// stands behind it. False: the line is at its end. A number over the limit is `limit`, anything that is not a
// whole number >= 0 is -1; `word` (32 bytes) is what stands there, for messages.
bool ts_lines_integer(const char **at, const char *end, char separator, int limit, int *value, char *word);
