// A growable string, and the one JSON writer on top of it. Memory faults stick: appending to a failed text
// does nothing, and ts_text_status tells at the end, so that writers need no check per call.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ts_text {
    char *bytes;   // NUL-terminated; NULL while empty; owned
    size_t length; // without the NUL
    size_t capacity;
    bool failed;
    bool comma; // the next JSON member or element needs a comma before it
} ts_text;

void ts_text_free(ts_text *text);
void ts_text_clear(ts_text *text); // empties it, keeps the memory
ts_status ts_text_status(const ts_text *text);
const char *ts_text_get(const ts_text *text); // "" when empty

void ts_text_append(ts_text *text, const char *bytes, size_t length);
void ts_text_add(ts_text *text, const char *string);
void ts_text_add_shown(ts_text *text, const char *string); // as a terminal may show it (terminal.h)
void ts_text_addf(ts_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *ts_plural(int64_t count); // "s", or "" of one: "%lld instance%s"

// Prints a JSON text as a line of its own on standard output, whole, and frees it.
ts_status ts_json_print(ts_text *text);

// JSON: key NULL inside arrays and for the outermost value. Numbers round-trip exactly (shortest form);
// NaN and infinities become null; bytes that are no UTF-8 become U+FFFD, and what a terminal would obey is escaped.
void ts_json_open(ts_text *text, const char *key, char bracket); // '{' or '['
void ts_json_close(ts_text *text, char bracket);                 // '}' or ']'
void ts_json_string(ts_text *text, const char *key, const char *value);
void ts_json_integer(ts_text *text, const char *key, int64_t value);
void ts_json_real(ts_text *text, const char *key, double value);
void ts_json_bool(ts_text *text, const char *key, bool value);

// The shortest decimal that reads back as exactly `value`, e.g. "0.001"; at most 32 bytes with its NUL.
const char *ts_real_text(double value, char out[32]);
