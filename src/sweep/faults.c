// A list sorted by line, without repetitions.
#include "sweep/faults.h"

#include "base/memory.h"
#include "sweep/nearest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TEXT = 2048 };

static void write_place(const ts_faults *faults, int line, char *out, size_t bytes) {
    if (line == TS_LINE_SET)
        snprintf(out, bytes, "--set");
    else if (line == 0)
        snprintf(out, bytes, "%.512s", faults->file);
    else
        snprintf(out, bytes, "%.512s:%d", faults->file, line);
}

ts_status ts_faults_add(ts_faults *faults, int line, const char *key, const char *format, ...) {
    if (faults->shown == TS_FAULTS_MAX) {
        faults->count++;
        return TS_ERROR_USER;
    }
    char place[600], what[MAX_TEXT], text[MAX_TEXT + 800], shown[TS_SHOWN_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    write_place(faults, line, place, sizeof place);
    if (key)
        snprintf(text, sizeof text, "%s: key '%s': %s%s%s%s", place, ts_shown(key, shown), what,
                 faults->of[0] ? " (" : "", faults->of, faults->of[0] ? ")" : "");
    else
        snprintf(text, sizeof text, "%s: %s", place, what);
    ts_text entry = {0}; // one, whatever is quoted in it
    ts_text_add_shown(&entry, text);
    for (int i = 0; i < faults->shown; i++) {
        if (strcmp(faults->error[i].text, ts_text_get(&entry)) == 0) {
            ts_text_free(&entry);
            return TS_ERROR_USER;
        }
    }
    faults->count++;
    if (ts_text_status(&entry) != TS_OK) {
        ts_text_free(&entry);
        return TS_ERROR_USER; // still counted, so that the sweep is refused
    }
    // Stable insertion by line; what concerns no line comes last.
    unsigned rank = line > 0 ? (unsigned)line : ~0u;
    int at = faults->shown++;
    for (; at > 0; at--) {
        unsigned before = faults->error[at - 1].line > 0 ? (unsigned)faults->error[at - 1].line : ~0u;
        if (before <= rank)
            break;
        faults->error[at] = faults->error[at - 1];
    }
    faults->error[at].line = line;
    faults->error[at].text = entry.bytes;
    return TS_ERROR_USER;
}

ts_status ts_faults_finish(const ts_faults *faults, ts_text *out) {
    ts_text_clear(out);
    for (int i = 0; i < faults->shown; i++)
        ts_text_addf(out, "%s\n", faults->error[i].text);
    if (faults->count > faults->shown)
        ts_text_addf(out, "... and %lld more\n", (long long)(faults->count - faults->shown));
    return ts_fail(TS_ERROR_USER, "%s", faults->shown ? faults->error[0].text : "the sweep file is not valid");
}

void ts_faults_free(ts_faults *faults) {
    for (int i = 0; i < faults->shown; i++)
        ts_free(faults->error[i].text);
    faults->shown = 0;
}
