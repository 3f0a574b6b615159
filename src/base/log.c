// Standard output and standard error, each line cleaned of what would steer a terminal.
#include "base/log.h"

#include "base/status.h"
#include "base/terminal.h"

#include <stdarg.h>
#include <stdio.h>

static void (*clear_line)(void);
static bool warnings_muted;

// One write a line, so that lines of several ranks do not mix; without allocating, since memory may be what is short.
static void put_error(const char *kind, const char *text) {
    enum { START = 64 };
    char line[START + 2 * TS_MESSAGE_BYTES];
    int length = snprintf(line, sizeof line, "toysweep: %s%s\n", kind, text);
    if ((size_t)length >= sizeof line)
        line[length = sizeof line - 1] = 0;
    if (clear_line)
        clear_line();
    fwrite(line, 1, (size_t)length, stderr);
}

static void write_error(const char *kind, const char *format, va_list arguments) {
    char text[TS_MESSAGE_BYTES], shown[2 * TS_MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    ts_terminal_text(text, shown, sizeof shown);
    put_error(kind, shown);
}

void ts_log_mute(bool muted) {
    warnings_muted = muted;
}

void ts_warn(const char *format, ...) {
    va_list arguments;
    if (warnings_muted)
        return;
    va_start(arguments, format);
    write_error("warning: ", format, arguments);
    va_end(arguments);
}

void ts_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_error("", format, arguments);
    va_end(arguments);
}

void ts_error_message(void) {
    put_error("", ts_message());
}

void ts_print_line(const char *text) {
    char shown[1024];
    while (*text) {
        text += ts_terminal_text(text, shown, sizeof shown);
        fputs(shown, stdout);
    }
    putchar('\n');
}

void ts_print(const char *format, ...) {
    char text[TS_PRINT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ts_print_line(text);
}

void ts_log_set_clear(void (*clear)(void)) {
    clear_line = clear;
}
