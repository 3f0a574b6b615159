#include "task/lines.h"

#include <string.h>

enum { WORD_BYTES = 32 };

ts_lines ts_lines_of(const ts_file *file) {
    return (ts_lines){.at = file->content, .end = file->content + file->bytes};
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

bool ts_lines_next(ts_lines *lines, const char **begin, const char **end) {
    while (lines->at < lines->end) {
        const char *from = lines->at, *to = memchr(from, '\n', (size_t)(lines->end - from));
        to = to ? to : lines->end;
        lines->at = to < lines->end ? to + 1 : to;
        lines->number++;
        while (from < to && is_space(*from))
            from++;
        while (from < to && is_space(to[-1]))
            to--;
        if (from < to) {
            *begin = from;
            *end = to;
            return true;
        }
    }
    return false;
}

static void copy_word(const char *from, const char *to, char *word) {
    size_t length = (size_t)(to - from), shown = length < WORD_BYTES - 4 ? length : WORD_BYTES - 4;
    for (size_t i = 0; i < shown; i++)
        word[i] = from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
    strcpy(word + shown, shown < length ? "..." : "");
}

bool ts_lines_integer(const char **at, const char *end, char separator, int limit, int *value, char *word) {
    const char *from = *at, *to;
    if (from >= end)
        return false;
    for (to = from; to < end && (separator == ' ' ? !is_space(*to) : *to != separator); to++)
        ;
    *at = to < end ? to + 1 : to;
    while (separator == ' ' && *at < end && is_space(**at))
        ++*at;
    while (from < to && is_space(*from))
        from++;
    while (from < to && is_space(to[-1]))
        to--;
    copy_word(from, to, word);
    *value = from < to ? 0 : -1;
    for (const char *c = from; c < to && *value >= 0; c++) {
        if (*c < '0' || *c > '9')
            *value = -1;
        else if (*value < limit)
            *value = 10 * *value + (*c - '0') < limit ? 10 * *value + (*c - '0') : limit;
    }
    return true;
}
