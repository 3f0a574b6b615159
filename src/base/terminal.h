// What a terminal shows: texts from files and arguments without what would steer it, how many columns they take, and
// how many there are. Not for printing (see log.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes of the UTF-8 character at `bytes` (NUL-terminated), with its code; 0: what is there is none.
size_t ts_utf8_character(const char *bytes, uint32_t *code);

// Whether a character may be shown as it is. Not: control characters, and those that are not seen but move or turn what
// stands round them (direction marks, line separators, byte order marks).
bool ts_terminal_shows(uint32_t code);

// `text` with all that may not be shown, and bytes that are no UTF-8, spelt out as in C: \n, \x1b, \u202e. What is
// spelt out already stays as it is. At most `bytes` bytes with the NUL, whole characters; returns how many bytes of
// `text` they stand for.
size_t ts_terminal_text(const char *text, char *out, size_t bytes);

// Columns that `text` takes when it is shown so.
int ts_terminal_columns(const char *text);

// Bytes of the longest beginning of `shown`, as ts_terminal_text writes it, that fits into so many columns.
size_t ts_terminal_cut(const char *shown, int columns);

// A bar of `width` places between brackets, filled to a share of 0 to 1, into `out` (width + 3).
void ts_terminal_bar(double share, int width, char *out);

// A curve as characters of growing height, a column each, over the logarithm of value (count), into `out`
// (3 width + 1): at most `width` of them, evenly, with the first and the last. What has no logarithm is a blank.
void ts_terminal_curve(const double *value, int64_t count, int width, char *out);

// Columns of the terminal that is open as `fd`, now; what COLUMNS says where the terminal does not know (as those of
// MPI launchers), else `otherwise`.
int ts_terminal_width(int fd, int otherwise);
int ts_terminal_height(int fd, int otherwise); // its rows, or what LINES says
