// The whole terminal as one picture: its alternate screen, without cursor, keys read one by one. One at a time. While
// it is open, signals that end or suspend the process come to ts_screen_wait, which leaves the terminal as it was
// first. In the background it shows nothing, and waits until it is in the foreground again.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

// TS_ERROR_USER with a message: standard output is no terminal that has such a screen.
ts_status ts_screen_check(void);

// TS_ERROR_FATAL: there are no more file descriptors. Close also after a fault.
ts_status ts_screen_open(void);

// The terminal is as it was. A signal that was to end the process ends it here.
void ts_screen_close(void);

// Shows lines, each with its '\n' but for the last, in place of those before. They must fit. TS_ERROR_FATAL: they
// cannot be written.
ts_status ts_screen_show(const char *lines);

// Until so many seconds are over or the picture is to be drawn anew: another size, or in the foreground again (true).
// At q, or a signal that ends the process: false.
bool ts_screen_wait(double seconds);
