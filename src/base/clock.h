// Time: the one monotonic clock, processor time, durations as users write them, and the wall clock for the run log.
#pragma once

#include "base/status.h"

// Seconds since an arbitrary start; never goes back.
double ts_clock(void);

// Seconds of processor time that the calling thread, or all threads of the process, have taken: other programs that
// keep the machine busy do not count.
double ts_clock_thread(void);
double ts_clock_process(void);

void ts_sleep(double seconds);

// "30s", "5m", "1h50m", "2d", or plain seconds -> seconds > 0. TS_ERROR_USER with a message otherwise.
ts_status ts_duration_parse(const char *text, double *seconds);

// 5400 -> "1h30m", 12.3 -> "12.3s", 0.004 -> "4ms".
const char *ts_duration_text(double seconds, char out[32]);

// Now, as "2026-01-31T12:00:00Z".
const char *ts_clock_utc(char out[32]);
