// Growing by doubling; JSON with commas put in by what came before.
#include "base/text.h"

#include "base/memory.h"
#include "base/terminal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_text_free(ts_text *text) {
    ts_free(text->bytes);
    *text = (ts_text){0};
}

void ts_text_clear(ts_text *text) {
    text->length = 0;
    text->comma = false;
    if (text->bytes)
        text->bytes[0] = 0;
}

ts_status ts_text_status(const ts_text *text) {
    return text->failed ? ts_fail(TS_ERROR_MEMORY, "out of memory for text") : TS_OK;
}

const char *ts_text_get(const ts_text *text) {
    return text->bytes ? text->bytes : "";
}

void ts_text_append(ts_text *text, const char *bytes, size_t length) {
    if (text->failed)
        return;
    if (text->length + length + 1 > text->capacity) {
        size_t capacity = (text->length + length + 1) * 2;
        capacity = capacity < 128 ? 128 : capacity;
        char *grown = ts_realloc(text->bytes, capacity, "text");
        if (!grown) {
            text->failed = true;
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

void ts_text_add(ts_text *text, const char *string) {
    ts_text_append(text, string, strlen(string));
}

void ts_text_add_shown(ts_text *text, const char *string) {
    char piece[256];
    while (*string) {
        string += ts_terminal_text(string, piece, sizeof piece);
        ts_text_add(text, piece);
    }
}

void ts_text_addf(ts_text *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    char small[256];
    int length = vsnprintf(small, sizeof small, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof small) {
        ts_text_append(text, small, (size_t)length);
    } else if (length >= 0) {
        char *large = ts_alloc((size_t)length + 1, "text");
        if (large) {
            vsnprintf(large, (size_t)length + 1, format, again);
            ts_text_append(text, large, (size_t)length);
        } else {
            text->failed = true;
        }
        ts_free(large);
    }
    va_end(again);
}

static void add_quoted(ts_text *text, const char *value) {
    ts_text_add(text, "\"");
    while (*value) {
        uint32_t code;
        size_t length = ts_utf8_character(value, &code);
        if (length == 0)
            ts_text_add(text, "\\ufffd"); // JSON is UTF-8, and has nothing for other bytes
        else if (code == '"' || code == '\\')
            ts_text_addf(text, "\\%c", (int)code);
        else if (code <= 0xffff && !ts_terminal_shows(code))
            ts_text_addf(text, "\\u%04x", (unsigned)code);
        else
            ts_text_append(text, value, length);
        value += length ? length : 1;
    }
    ts_text_add(text, "\"");
}

// Comma and key before a member's value.
static void begin_value(ts_text *text, const char *key) {
    if (text->comma)
        ts_text_add(text, ",");
    text->comma = true;
    if (key) {
        add_quoted(text, key);
        ts_text_add(text, ":");
    }
}

void ts_json_open(ts_text *text, const char *key, char bracket) {
    begin_value(text, key);
    ts_text_append(text, &bracket, 1);
    text->comma = false;
}

void ts_json_close(ts_text *text, char bracket) {
    ts_text_append(text, &bracket, 1);
    text->comma = true;
}

void ts_json_string(ts_text *text, const char *key, const char *value) {
    begin_value(text, key);
    add_quoted(text, value);
}

void ts_json_integer(ts_text *text, const char *key, int64_t value) {
    begin_value(text, key);
    ts_text_addf(text, "%lld", (long long)value);
}

void ts_json_real(ts_text *text, const char *key, double value) {
    char number[32];
    begin_value(text, key);
    ts_text_add(text, isfinite(value) ? ts_real_text(value, number) : "null");
}

void ts_json_bool(ts_text *text, const char *key, bool value) {
    begin_value(text, key);
    ts_text_add(text, value ? "true" : "false");
}

const char *ts_real_text(double value, char out[32]) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

const char *ts_plural(int64_t count) {
    return count == 1 ? "" : "s";
}

ts_status ts_json_print(ts_text *text) {
    ts_status status = ts_text_status(text);
    if (status == TS_OK) {
        puts(ts_text_get(text));
        fflush(stdout); // warnings on standard error may come between two of them, not within one
    }
    ts_text_free(text);
    return status;
}
