// The thread's message, and what a user can do about an errno.
#include "base/status.h"

#include "base/terminal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[TS_MESSAGE_BYTES];

ts_status ts_fail(ts_status status, const char *format, ...) {
    // Formatted apart first: an argument may be the message itself ("reading x: <message>").
    char text[TS_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ts_terminal_text(text, message, sizeof message);
    return status;
}

ts_status ts_fail_again(ts_status status, const char *text) {
    char copy[TS_MESSAGE_BYTES];
    int length = snprintf(copy, sizeof copy, "%s", text);
    if (length > 0 && (size_t)length < sizeof copy && copy[length - 1] == '\n')
        copy[length - 1] = 0;
    memcpy(message, copy, sizeof copy);
    return status;
}

// What a user can do about faults that any file or thread may have.
static const char *cure(int error) {
    static const struct {
        int error;
        const char *text;
    } cures[] = {
        {ENOSPC, "; free some space, then run the same command again"},
        {EDQUOT, "; your quota on this file system is used up: free some of it or ask for more, then run the same "
                 "command again"},
        {EINTR, "; run the same command again"},
        {EIO, "; check the disk or the file system, then run the same command again"},
        {ESTALE, "; the file server has lost the file: see whether it is there, then run the same command again"},
        {EFBIG, "; the limit on the size of files is reached (ulimit -f, or the file system's own): raise "
                "it, then run "
                "the same command again"},
        {EMFILE, "; the limit on open files is reached: raise it (ulimit -n), then run the same command again"},
        {ENFILE, "; the machine has too many files open: close other programs, then run the same command again"},
        {ENOMEM, "; free some memory or raise its limit (ulimit -v, the job's own), then run the same command again"},
        {EROFS, "; the file system is read-only: choose another place with -o"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof *cures; i++)
        if (cures[i].error == error)
            return cures[i].text;
    return "";
}

ts_status ts_fail_errno(ts_status status, int error, const char *format, ...) {
    char text[TS_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return ts_fail(status, "%s: %s%s", text, strerror(error), cure(error));
}

const char *ts_message(void) {
    return message;
}
