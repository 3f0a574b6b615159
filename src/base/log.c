#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static void (*clear_line)(void);

static void write_line(const char *kind, const char *format, va_list arguments) {
    // One write a line, so that lines of several ranks do not mix.
    char text[8192];
    vsnprintf(text, sizeof text, format, arguments);
    if (clear_line)
        clear_line();
    fprintf(stderr, "toysweep: %s%s\n", kind, text);
}

void ts_warn(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line("warning: ", format, arguments);
    va_end(arguments);
}

void ts_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    write_line("", format, arguments);
    va_end(arguments);
}

void ts_log_set_clear(void (*clear)(void)) {
    clear_line = clear;
}
