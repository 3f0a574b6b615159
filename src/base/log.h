// Lines for people: on standard error "toysweep: ..." each, on standard output as they are. Every line that quotes a
// file or an argument goes through here: a line stays a line, and what would steer the terminal is spelt out
// (terminal.h). Not the run log (run/runlog.h), not progress (run/progress.h), not JSON (text.h).
#pragma once

#include <stdbool.h>

void ts_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ts_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ts_error_message(void); // ts_message(), which may be several lines

// Warnings are left out while a picture fills the terminal.
void ts_log_mute(bool muted);

// A line on standard output; its end is added. Room for a few paths; ts_print_line takes a text of any length.
enum { TS_PRINT_BYTES = 16384 };
void ts_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ts_print_line(const char *text);

// Called before a line is written to standard error, so that a live progress line can be cleared first. NULL: none.
void ts_log_set_clear(void (*clear)(void));
