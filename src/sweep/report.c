#include "sweep/report.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "sweep/nearest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 2048 };

static void write_place(const ts_report *report, int line, char *out, size_t bytes) {
    if (line == TS_LINE_SET)
        snprintf(out, bytes, "--set");
    else if (line == 0)
        snprintf(out, bytes, "%.512s", report->file);
    else
        snprintf(out, bytes, "%.512s:%d", report->file, line);
}

ts_status ts_report_add(ts_report *report, int line, const char *key, const char *format, ...) {
    if (report->shown == TS_REPORT_MAX) {
        report->count++;
        return TS_ERROR_USER;
    }
    char place[600], what[MAX_TEXT], text[MAX_TEXT + 800], shown[TS_SHOWN_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    write_place(report, line, place, sizeof place);
    if (key)
        snprintf(text, sizeof text, "%s: key '%s': %s", place, ts_shown(key, shown), what);
    else
        snprintf(text, sizeof text, "%s: %s", place, what);
    ts_text entry = {0}; // one, whatever is quoted in it
    ts_terminal_add(&entry, text, 0);
    for (int i = 0; i < report->shown; i++) {
        if (strcmp(report->error[i].text, ts_text_get(&entry)) == 0) {
            ts_text_free(&entry);
            return TS_ERROR_USER;
        }
    }
    report->count++;
    if (ts_text_status(&entry) != TS_OK) {
        ts_text_free(&entry);
        return TS_ERROR_USER; // still counted, so that the sweep is refused
    }
    // Stable insertion by line; what concerns no line comes last.
    unsigned rank = line > 0 ? (unsigned)line : ~0u;
    int at = report->shown++;
    for (; at > 0; at--) {
        unsigned before = report->error[at - 1].line > 0 ? (unsigned)report->error[at - 1].line : ~0u;
        if (before <= rank)
            break;
        report->error[at] = report->error[at - 1];
    }
    report->error[at].line = line;
    report->error[at].text = entry.bytes;
    return TS_ERROR_USER;
}

ts_status ts_report_finish(const ts_report *report, ts_text *out) {
    ts_text_clear(out);
    for (int i = 0; i < report->shown; i++)
        ts_text_addf(out, "%s\n", report->error[i].text);
    if (report->count > report->shown)
        ts_text_addf(out, "... and %lld more\n", (long long)(report->count - report->shown));
    return ts_fail(TS_ERROR_USER, "%s",
                   report->shown ? report->error[0].text : "the sweep file is not valid");
}

void ts_report_free(ts_report *report) {
    for (int i = 0; i < report->shown; i++)
        ts_free(report->error[i].text);
    report->shown = 0;
}
