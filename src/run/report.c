#include "run/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/program.h"
#include "base/terminal.h"
#include "model/model.h"
#include "store/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_report_headline(ts_reader *reader, const char **headline) {
    int64_t n = ts_reader_instances(reader);
    double *column = ts_alloc((size_t)n * sizeof *column, "a column");
    ts_status status = column ? TS_ERROR_FATAL : TS_ERROR_MEMORY;
    *headline = "train_loss";
    for (int i = 0; ts_models[i] && status != TS_OK && status != TS_ERROR_MEMORY; i++) {
        status = ts_reader_column(reader, ts_models[i]->headline, column);
        if (status == TS_OK)
            *headline = ts_models[i]->headline;
    }
    ts_free(column);
    return status == TS_ERROR_MEMORY ? status : TS_OK;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void print_case(const ts_reader_case *of, const uint8_t *status, const double *column, double *sorted,
                       const double *seconds, int width, ts_text *line) {
    int64_t done = 0, failed = 0, known = 0;
    for (int64_t r = 0; r < of->rows; r++) {
        int64_t instance = of->instance[r];
        done += status[instance] == TS_ROW_DONE;
        failed += status[instance] == TS_ROW_FAILED;
        if (status[instance] == TS_ROW_DONE && column[instance] == column[instance])
            sorted[known++] = column[instance];
    }
    char counts[64], time[32] = "";
    snprintf(counts, sizeof counts, "%lld/%lld", (long long)done, (long long)of->rows);
    if (seconds && *seconds > 0)
        ts_duration_text(*seconds, time);
    ts_text_clear(line);
    ts_terminal_add(line, of->label, width);
    ts_text_addf(line, " %13s ", counts);
    if (known > 0) {
        qsort(sorted, (size_t)known, sizeof *sorted, ascending);
        double mean = 0;
        for (int64_t i = 0; i < known; i++)
            mean += sorted[i] / (double)known;
        ts_text_addf(line, "%11.4g %11.4g %11.4g %11.4g", sorted[0], sorted[known / 2], mean,
                     sorted[known - 1]);
    } else {
        ts_text_addf(line, "%11s %11s %11s %11s", "-", "-", "-", "-");
    }
    ts_text_addf(line, " %9s", time);
    if (failed)
        ts_text_addf(line, "  %lld failed", (long long)failed);
    ts_print_line(ts_text_get(line));
}

ts_status ts_report_cases(ts_reader *reader, const double *seconds, int most) {
    int64_t n = ts_reader_instances(reader);
    int cases = ts_reader_cases(reader), shown = cases < most ? cases : most, width = 4;
    const uint8_t *row_status;
    double *column = ts_alloc((size_t)n * 2 * sizeof *column, "a report");
    const char *headline;
    ts_status status = column ? ts_report_headline(reader, &headline) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_reader_status(reader, &row_status);
    if (status == TS_OK)
        status = ts_reader_column(reader, headline, column);
    if (status != TS_OK) {
        ts_free(column);
        return status;
    }
    for (int i = 0; i < shown; i++) {
        int columns = ts_terminal_columns(ts_reader_case_at(reader, i)->label);
        width = columns > width ? columns : width;
    }
    ts_text line = {0};
    ts_print("%-*s %13s %11s %11s %11s %11s %9s   (%s)", width, "case", "done", "best", "median", "mean",
             "worst", seconds ? "time" : "", headline);
    for (int i = 0; i < shown; i++)
        print_case(ts_reader_case_at(reader, i), row_status, column, column + n, seconds ? &seconds[i] : NULL,
                   width, &line);
    if (cases > shown)
        ts_print("... and %d more cases", cases - shown);
    status = ts_text_status(&line);
    ts_text_free(&line);
    ts_free(column);
    return status;
}

// Is there anything in it that is spelt out when it is printed?
static bool has_unseen(const char *argument) {
    uint32_t code;
    for (size_t length; *argument; argument += length)
        if ((length = ts_utf8_character(argument, &code)) == 0 || !ts_terminal_shows(code))
            return true;
    return false;
}

// An argument as a shell would need it: plain, 'quoted', or $'with escapes', which ts_print makes.
static void add_quoted(ts_text *text, const char *argument) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-@%";
    ts_text_add(text, " ");
    if (*argument && strspn(argument, plain) == strlen(argument)) {
        ts_text_add(text, argument);
        return;
    }
    bool escaped = has_unseen(argument);
    ts_text_add(text, escaped ? "$'" : "'");
    for (const char *p = argument; *p; p++) {
        if (escaped && (*p == '\'' || *p == '\\'))
            ts_text_add(text, "\\");
        ts_text_add(text, *p == '\'' && !escaped ? "'\\''" : (char[]){*p, 0});
    }
    ts_text_add(text, "'");
}

// A path, which must not look like an option.
static void add_path(ts_text *text, const char *path) {
    ts_text safe = {0};
    ts_text_add(&safe, *path == '-' ? "./" : "");
    ts_text_add(&safe, path);
    text->failed |= ts_text_status(&safe) != TS_OK;
    add_quoted(text, ts_text_get(&safe));
    ts_text_free(&safe);
}

// Begins a line "next: ..." with this program's command.
static void add_command(ts_text *line, const char *name) {
    char program[TS_COMMAND_BYTES];
    ts_program_command(program);
    ts_text_add(line, "next:");
    add_quoted(line, program);
    ts_text_addf(line, " %s", name);
}

// Ends a line "next: ..." and prints it.
static void print_next(ts_text *line) {
    if (ts_text_status(line) == TS_OK)
        ts_print_line(ts_text_get(line));
    ts_text_free(line);
}

void ts_report_looks(const char *path) {
    ts_text line = {0};
    char plotter[TS_COMMAND_BYTES];
    add_command(&line, "status");
    add_path(&line, path);
    if (ts_program_plotter(plotter)) {
        ts_text_add(&line, "   or  ");
        add_quoted(&line, plotter);
        add_path(&line, path);
    }
    print_next(&line);
}

void ts_report_continue(const char *sweep, const char *path, const char *const *overrides, int n_overrides) {
    ts_text line = {0};
    add_command(&line, "run");
    add_path(&line, sweep);
    ts_text_add(&line, " -o");
    add_path(&line, path);
    for (int i = 0; i < n_overrides; i++) {
        ts_text_add(&line, " --set");
        add_quoted(&line, overrides[i]);
    }
    ts_text_add(&line, "   (goes on from here)");
    print_next(&line);
}
