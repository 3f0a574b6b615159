// Errors of a sweep file, collected so that all are shown together: "file:line: key 'hiden': unknown", by
// line. Not for faults of the machine (memory, files): those are ts_fail's alone.
#pragma once

#include "base/status.h"
#include "base/text.h"

#include <stdint.h>

enum { TS_FAULTS_MAX = 50, TS_LINE_SET = -1 }; // errors shown; the "line" of what --set gave

typedef struct ts_faults {
    const char *file;
    char of[80];   // what errors added now are of, said behind each; "": nothing to be said
    int64_t count; // distinct errors among the first TS_FAULTS_MAX, then every one
    int shown;
    struct {
        int line;
        char *text; // owned
    } error[TS_FAULTS_MAX];
} ts_faults;

// Adds an error, unless the same text is there already; returns TS_ERROR_USER. `key` NULL: about no key.
// `line` 0: about the whole file.
ts_status ts_faults_add(ts_faults *faults, int line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// All of them, a line each, ordered by line; ts_message() becomes the first.
ts_status ts_faults_finish(const ts_faults *faults, ts_text *out);
void ts_faults_free(ts_faults *faults);
