// A scanner: one event a number, row or fault, in one pass over the text.
#include "base/integer_rows.h"

#include "base/terminal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 64 };

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// The end of a line of Unix, of Windows (its CR is a blank before it), or of old Macs, which have CR alone.
static bool ends_line(const char *at, const char *end) {
    return *at == '\n' || (*at == '\r' && (at + 1 == end || at[1] != '\n'));
}

static bool is_separator(char c) {
    return c == ',' || c == ';';
}

static bool is_in(char c, const char *set) {
    return c && strchr(set, c);
}

// --- Where rows begin ---

// Whether `last` ends the word "return", by which a file that GAP reads as a function begins.
static bool is_return(const char *text, const char *last) {
    static const char WORD[] = "return";
    const char *begin = last - text >= 5 ? last - 5 : NULL;
    return begin && memcmp(begin, WORD, 6) == 0 && (begin == text || is_blank(begin[-1]) || begin[-1] == '\n');
}

// Behind "name =", "name :=", "return" or "array(" in front of a list, if that is what the text begins with; else
// `text`.
static const char *skip_name(const char *text, const char *end) {
    static const char *const NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:=( \t\r\n";
    const char *bracket = text, *last = NULL;
    for (; bracket < end && is_in(*bracket, NAME); bracket++)
        if (!is_blank(*bracket) && *bracket != '\n')
            last = bracket;
    return last && bracket < end && *bracket == '[' && (*last == '=' || *last == '(' || is_return(text, last)) ? bracket
                                                                                                               : text;
}

ts_integer_rows ts_integer_rows_of(const char *text, size_t bytes) {
    ts_integer_rows rows = {.at = text, .end = text + bytes, .line_begin = text, .here = 1};
    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        rows.at = rows.line_begin = text + 3;
    const char *first = rows.at;
    bool comment = false;
    for (; first < rows.end && (comment || is_blank(*first) || *first == '\n' || *first == '#'); first++)
        comment = *first == '#' || (comment && !ends_line(first, rows.end));
    const char *list = first < rows.end && is_in(*first, "[({") ? first : skip_name(first, rows.end);
    rows.lists = list > first || (first < rows.end && is_in(*first, "[({"));
    for (; rows.at < list; rows.at++)
        if (ends_line(rows.at, rows.end)) {
            rows.here++;
            rows.line_begin = rows.at + 1;
        }
    return rows;
}

// --- Events ---

static void take_place(ts_integer_rows *rows) {
    rows->line = rows->here;
    rows->spot = rows->at;
    rows->spot_line = rows->line_begin;
}

int ts_integer_rows_column(const ts_integer_rows *rows) {
    int column = 1;
    for (const char *c = rows->spot_line; c < rows->spot; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    return column;
}

static ts_integer_rows_event fail(ts_integer_rows *rows, const char *fault) {
    take_place(rows);
    rows->fault = fault;
    return TS_INTEGER_ROWS_FAULT;
}

static ts_integer_rows_event end_row(ts_integer_rows *rows) {
    take_place(rows);
    rows->in_entry = false;
    rows->ended = true;
    return TS_INTEGER_ROWS_ROW;
}

// A row's first entry counts both anew.
static ts_integer_rows_event add_entry(ts_integer_rows *rows) {
    if (!rows->entries)
        rows->row++;
    rows->entries++;
    return TS_INTEGER_ROWS_NUMBER;
}

static bool separate(ts_integer_rows *rows, char separator) {
    bool same = !rows->separator || rows->separator == separator;
    rows->separator = separator;
    return same;
}

static ts_integer_rows_event fail_mixed(ts_integer_rows *rows) {
    return fail(rows, "numbers are separated in two ways; use commas, semicolons or blanks alone");
}

// --- Numbers ---

static void copy_word(const char *from, size_t length, char word[TS_INTEGER_ROWS_WORD]) {
    char copy[2 * TS_INTEGER_ROWS_WORD];
    size_t copied = length < sizeof copy ? length : sizeof copy - 1;
    memcpy(copy, from, copied);
    copy[copied] = 0;
    if (ts_terminal_text(copy, word, TS_INTEGER_ROWS_WORD - 3) < length)
        strcat(word, "...");
}

// A whole number >= 0, however it is written; -1: it is none. What is so small that only 0 is left of it is none.
static int read_whole(const char *from, size_t length) {
    char copy[MAX_NUMBER], *rest;
    if (length == 0 || length >= sizeof copy)
        return -1;
    for (size_t i = 0; i < length; i++)
        if (!is_in(from[i], i == 0 ? "+.0123456789" : "+-.eE0123456789"))
            return -1;
    memcpy(copy, from, length);
    copy[length] = 0;
    errno = 0;
    double value = strtod(copy, &rest);
    if (*rest || (errno == ERANGE && value < 1) || value != floor(value))
        return -1;
    return value < TS_INTEGER_ROWS_LARGE ? (int)value : TS_INTEGER_ROWS_LARGE;
}

static ts_integer_rows_event take_number(ts_integer_rows *rows) {
    if (rows->lists && !rows->in_row)
        return fail(rows, "a number stands outside of the lists that are rows");
    if (rows->in_entry && !separate(rows, ' '))
        return fail_mixed(rows);
    take_place(rows);
    const char *from = rows->at, *to = from;
    char quote = is_in(*from, "\"'") ? *from : 0;
    if (quote) {
        for (from = ++to; to < rows->end && *to != quote && !ends_line(to, rows->end);)
            to++;
        if (to == rows->end || *to != quote)
            return fail(rows, "a quotation mark is not closed");
        rows->at = to + 1;
    } else {
        while (to < rows->end && !is_blank(*to) && !is_in(*to, rows->lists ? ",;\n#\"'[](){}" : ",;\n#\"'"))
            to++;
        rows->at = to;
    }
    for (; quote && from < to && is_blank(*from);)
        from++;
    for (; quote && from < to && is_blank(to[-1]);)
        to--;
    copy_word(from, (size_t)(to - from), rows->word);
    rows->value = read_whole(from, (size_t)(to - from));
    rows->in_entry = true;
    return add_entry(rows);
}

// --- Between numbers ---

// Whether nothing but separators and blanks stands before the line's end (or, in lists, the row's). What has been
// looked through is not looked at again.
static bool ends_row(ts_integer_rows *rows) {
    const char *at = rows->at;
    if (at < rows->no_end || at < rows->row_end)
        return at < rows->row_end;
    while (at < rows->end && (is_separator(*at) || is_blank(*at)) && !ends_line(at, rows->end))
        at++;
    if (at == rows->end || ends_line(at, rows->end) || *at == '#' || (rows->lists && is_in(*at, "])}")))
        rows->row_end = at;
    else
        rows->no_end = at;
    return rows->at < rows->row_end;
}

// *event: an entry with nothing in it has come, or a fault. False: go on.
static bool take_separator(ts_integer_rows *rows, ts_integer_rows_event *event) {
    bool in_row = !rows->lists || rows->in_row;
    if (in_row && rows->in_entry) {
        rows->in_entry = false;
        *event = separate(rows, *rows->at) ? TS_INTEGER_ROWS_NUMBER : fail_mixed(rows);
        rows->at++;
        return *event == TS_INTEGER_ROWS_FAULT;
    }
    if (in_row && !ends_row(rows)) {
        take_place(rows);
        rows->word[0] = 0;
        rows->value = -1;
        rows->at++;
        *event = add_entry(rows);
        return true;
    }
    rows->at++;
    return false;
}

static bool take_open(ts_integer_rows *rows, ts_integer_rows_event *event) {
    if (rows->depth == TS_INTEGER_ROWS_DEPTH || (rows->in_row && rows->entries)) {
        *event = fail(rows, "a list stands within a row");
        return true;
    }
    rows->open[rows->depth++] = *rows->at++;
    rows->in_row = true;
    return false;
}

static bool take_close(ts_integer_rows *rows, ts_integer_rows_event *event) {
    char opened = rows->depth ? rows->open[rows->depth - 1] : 0, closing = *rows->at;
    bool matches =
        (opened == '[' && closing == ']') || (opened == '(' && closing == ')') || (opened == '{' && closing == '}');
    if (!matches && !(closing == ')' && !rows->depth)) { // "array([...])": its ( was passed over
        *event = fail(rows, "a bracket has no partner");
        return true;
    }
    if (rows->in_row && !rows->entries) {
        *event = fail(rows, "a list is empty");
        return true;
    }
    bool row = rows->in_row;
    if (row)
        *event = end_row(rows);
    rows->depth -= rows->depth > 0;
    rows->in_row = false;
    rows->at++;
    return row;
}

static ts_integer_rows_event take_end(ts_integer_rows *rows) {
    if (rows->depth)
        return fail(rows, "a bracket is not closed");
    return rows->entries ? end_row(rows) : TS_INTEGER_ROWS_END;
}

ts_integer_rows_event ts_integer_rows_next(ts_integer_rows *rows) {
    ts_integer_rows_event event;
    if (rows->ended)
        rows->entries = 0;
    rows->ended = false;
    while (rows->at < rows->end) {
        char c = *rows->at;
        if (ends_line(rows->at, rows->end)) {
            bool row = !rows->lists && rows->entries;
            if (row)
                end_row(rows);
            rows->here++;
            rows->line_begin = ++rows->at;
            if (row)
                return TS_INTEGER_ROWS_ROW;
        } else if (c == '#') {
            while (rows->at < rows->end && !ends_line(rows->at, rows->end))
                rows->at++;
        } else if (is_blank(c)) {
            rows->at++;
        } else if (is_separator(c)) {
            if (take_separator(rows, &event))
                return event;
        } else if (rows->lists && is_in(c, "[({")) {
            if (take_open(rows, &event))
                return event;
        } else if (rows->lists && is_in(c, "])}")) {
            if (take_close(rows, &event))
                return event;
        } else {
            return take_number(rows);
        }
    }
    return take_end(rows);
}

// --- What the rows are ---

ts_integer_rows_survey ts_integer_rows_look(const char *text, size_t bytes, int n) {
    bool seen[TS_INTEGER_ROWS_SURVEY_MAX + 1] = {false};
    int distinct = 0, most = n < TS_INTEGER_ROWS_SURVEY_MAX ? n : TS_INTEGER_ROWS_SURVEY_MAX;
    ts_integer_rows_survey survey = {0};
    ts_integer_rows rows = ts_integer_rows_of(text, bytes);
    for (ts_integer_rows_event event; !survey.fault && (event = ts_integer_rows_next(&rows)) != TS_INTEGER_ROWS_END;) {
        if (event == TS_INTEGER_ROWS_FAULT)
            survey = (ts_integer_rows_survey){survey.rows, 0, rows.fault, rows.line, ts_integer_rows_column(&rows)};
        survey.rows += event == TS_INTEGER_ROWS_ROW;
        if (event == TS_INTEGER_ROWS_NUMBER && rows.value >= 0 && rows.value <= most && !seen[rows.value]) {
            seen[rows.value] = true;
            distinct++;
        }
    }
    survey.origin = !survey.fault && !seen[0] && distinct == n;
    return survey;
}

const char *ts_integer_rows_place(const ts_integer_rows *rows, char out[TS_INTEGER_ROWS_PLACE]) {
    if (rows->lists)
        snprintf(out, TS_INTEGER_ROWS_PLACE, "line %d, row %d", rows->line, rows->row);
    else
        snprintf(out, TS_INTEGER_ROWS_PLACE, "line %d", rows->line);
    return out;
}
