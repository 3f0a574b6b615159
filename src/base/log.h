// Lines for people on standard error, "toysweep: ..." each. Not the run log (store/runlog.h) and not progress
// (run/progress.h).
#pragma once

void ts_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ts_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Called before a line is written, so that a live progress line can be cleared first. NULL: none.
void ts_log_set_clear(void (*clear)(void));
