#include "base/status.h"

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
    memcpy(message, text, sizeof text);
    return status;
}

// What a user can do about faults that any file may have.
static const char *cure(int error) {
    if (error == ENOSPC || error == EDQUOT)
        return "; free some space, then run the same command again";
    if (error == EIO)
        return "; check the disk or the file system, then run the same command again";
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
