// What every fallible function returns, and the one message that goes with it.
// The function that detects a fault writes the message (ts_fail); everyone above only propagates the code.
// Values are in the order of severity: of several ranks' statuses the largest counts.
// Not for warnings and progress: see log.h.
#pragma once

typedef enum ts_status {
    TS_OK = 0,
    TS_STOPPED,      // given up because it was asked to (pause.h): nothing is wrong, there is no message
    TS_ERROR_USER,   // bad usage or sweep file: nothing has been written; the program exits with 2
    TS_ERROR_UNIT,   // one instance cannot be trained: recorded in its row, the sweep goes on
    TS_ERROR_MEMORY, // memory (host or device) ran out: the unit may be split and tried again
    TS_ERROR_FATAL,  // the run cannot go on; the program exits with 1
} ts_status;

// Sets this thread's message (printf rules, at most TS_MESSAGE_BYTES) and returns `status`. The message is one line:
// control characters in what it quotes are spelt out (terminal.h).
enum { TS_MESSAGE_BYTES = 4096 };
ts_status ts_fail(ts_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Same, with ": " and strerror(error) appended, and the cure where the error alone tells it (full disk, limits).
ts_status ts_fail_errno(ts_status status, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Same, with a text that is a message already: another rank's or thread's, or several lines of them (the last
// newline is left out).
ts_status ts_fail_again(ts_status status, const char *text);

// Message of this thread's last failure; valid until its next one. Never NULL.
const char *ts_message(void);
