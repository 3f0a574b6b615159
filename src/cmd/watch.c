// A picture is lines of text, cut to the terminal; curves are kept from one picture to the next.
#define _POSIX_C_SOURCE 200809L
#include "cmd/watch.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/screen.h"
#include "base/terminal.h"
#include "integrity/lock.h"
#include "run/live.h"
#include "run/report.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double SECONDS = 2;
enum { MOST_LINES = 1000, MOST_COLUMNS = 1000, BAR = 10, MOST_CURVE = 60, ABOVE = 4 };

// Of a line: that of an instance which is finished, or had got so far.
typedef struct curve {
    int64_t instance; // -1: none yet
    int64_t steps;    // -1: finished
    double *value;    // (count) owned
    int64_t count;
} curve;

typedef struct watch {
    const char *path;
    ts_reader *reader;
    const ts_sweep *sweep;
    const ts_grid *grid;
    struct stat file;           // as it was when it was opened
    ts_record_layout **layouts; // (cases) of those of which curves were in states; NULL: no sweep
    int64_t most;               // lines that are shown at most
    curve *curves;              // (most)
    ts_report *report;
    ts_live_instance *live; // (n_live)
    int64_t n_live;
} watch;

// --- Curves ---

static void keep(curve *c, int64_t instance, int64_t steps, double *value, int64_t count) {
    ts_free(c->value);
    *c = (curve){instance, steps, value, count};
    while (c->count > 0 && isnan(c->value[c->count - 1])) // not measured yet
        c->count--;
}

// What cannot be read is no curve: the table is what counts.
static void find_curve(const watch *w, int64_t line, const ts_summary *s, curve *c) {
    int64_t best = ts_report_best(w->report, line), count = 0;
    double *value = NULL;
    if (best >= 0) {
        if (c->instance == best && c->steps == -1)
            return;
        if (ts_reader_curve(w->reader, best, s->measure, &value, &count) == TS_ERROR_USER)
            ts_reader_curve(w->reader, best, "train_loss", &value, &count);
        keep(c, best, -1, value, count);
        return;
    }
    const ts_live_instance *one = NULL;
    for (int64_t i = 0; i < w->n_live && w->grid && !one; i++)
        if (w->grid->point_of[w->live[i].instance] == line)
            one = &w->live[i];
    if (!one || (c->instance == one->instance && c->steps == one->latest.steps_done))
        return;
    int case_index = ts_sweep_case_of(w->sweep, one->instance);
    ts_live_curve(w->path, w->reader, w->sweep, one->instance, s->measure, &w->layouts[case_index], &value, &count);
    keep(c, one->instance, one->latest.steps_done, value, count);
}

// --- Lines ---

// What of a line there is room for, the least important last.
enum { DONE, DONE_BAR, BEST, MEDIAN, CURVE, PARTS };

typedef struct widths {
    int terminal;
    int label;
    int part[PARTS]; // 0: left out
} widths;

// Adds a line, cut to the terminal.
static void add_line(ts_text *out, const widths *width, const char *text) {
    ts_text shown = {0};
    ts_text_add_shown(&shown, text);
    if (out->length)
        ts_text_append(out, "\n", 1);
    ts_text_append(out, ts_text_get(&shown), ts_terminal_cut(ts_text_get(&shown), width->terminal));
    out->failed = out->failed || shown.failed;
    ts_text_free(&shown);
}

static void add_blanks(ts_text *out, int count) {
    if (count > 0)
        ts_text_addf(out, "%*s", count, "");
}

static void share_out(const watch *w, int64_t shown, widths *width) {
    static const int wanted[PARTS] = {[DONE_BAR] = BAR + 2, [BEST] = 10, [MEDIAN] = 10, [CURVE] = MOST_CURVE};
    ts_text label = {0};
    int longest = 5, done = 4;
    for (int64_t line = 0; line < shown; line++) {
        ts_summary s = ts_report_summary(w->report, line);
        ts_report_label(w->report, line, &label);
        int columns = ts_terminal_columns(ts_text_get(&label));
        int digits = snprintf(NULL, 0, "%lld/%lld", (long long)s.done, (long long)s.instances);
        longest = columns > longest ? columns : longest;
        done = digits > done ? digits : done;
    }
    ts_text_free(&label);
    int most = width->terminal / 3 > 12 ? width->terminal / 3 : 12;
    width->label = longest < most ? longest : most;
    int left = width->terminal - width->label;
    for (int i = 0; i < PARTS; i++) {
        int columns = i == DONE ? done : wanted[i];
        if (i == CURVE && left - 2 < columns)
            columns = left - 2 < 8 ? INT_MAX / 2 : left - 2;
        width->part[i] = columns + 2 <= left ? columns : 0;
        left -= width->part[i] ? columns + 2 : 0;
    }
    if (longest > width->label && left > 0)
        width->label = longest < width->label + left ? longest : width->label + left;
}

// The name, and blanks up to what stands beside.
static void begin_line(const widths *width, const char *name, ts_text *line) {
    ts_text shown = {0};
    ts_text_clear(line);
    ts_text_add_shown(&shown, name);
    ts_text_append(line, ts_text_get(&shown), ts_terminal_cut(ts_text_get(&shown), width->label));
    line->failed = line->failed || shown.failed;
    ts_text_free(&shown);
    add_blanks(line, width->label - ts_terminal_columns(ts_text_get(line)));
}

static void add_right(ts_text *line, int columns, const char *cell) {
    if (columns)
        ts_text_addf(line, "  %*s", columns, cell);
}

static void add_number(ts_text *line, int columns, double value) {
    char cell[32] = "-";
    if (!isnan(value))
        snprintf(cell, sizeof cell, "%.4g", value);
    add_right(line, columns, cell);
}

static void add_headings(const watch *w, const widths *width, ts_text *out, ts_text *line) {
    begin_line(width, w->grid ? "point" : "case", line);
    add_right(line, width->part[DONE_BAR], "");
    add_right(line, width->part[DONE], "done");
    add_right(line, width->part[BEST], "best");
    add_right(line, width->part[MEDIAN], "median");
    if (width->part[CURVE])
        ts_text_add(line, "  loss");
    add_line(out, width, ts_text_get(line));
}

static void add_row(const watch *w, const widths *width, int64_t row, ts_text *out, ts_text *line) {
    ts_text label = {0};
    ts_summary s = ts_report_summary(w->report, row);
    char cell[3 * MOST_CURVE + 64];
    ts_report_label(w->report, row, &label);
    begin_line(width, ts_text_get(&label), line);
    line->failed = line->failed || label.failed;
    ts_text_free(&label);
    ts_terminal_bar((double)s.done / (double)s.instances, BAR, cell);
    add_right(line, width->part[DONE_BAR], cell);
    snprintf(cell, sizeof cell, "%lld/%lld", (long long)s.done, (long long)s.instances);
    add_right(line, width->part[DONE], cell);
    add_number(line, width->part[BEST], s.best);
    add_number(line, width->part[MEDIAN], s.median);
    if (width->part[CURVE]) {
        curve *c = &w->curves[row];
        find_curve(w, row, &s, c);
        ts_terminal_curve(c->value, c->count, width->part[CURVE], cell);
        ts_text_addf(line, "  %s", cell);
    }
    add_line(out, width, ts_text_get(line));
}

static void add_head(const watch *w, const widths *width, bool running, ts_text *out, ts_text *line) {
    int64_t all = ts_reader_instances(w->reader), done, failed;
    char bar[32 + 3];
    ts_report_count(w->report, &done, &failed);
    ts_text_clear(line);
    ts_text_addf(line, "%s: sweep '%s', %s", w->path, ts_reader_attribute(w->reader, "name"),
                 running ? "a run is writing" : "no run is writing");
    add_line(out, width, ts_text_get(line));
    ts_text_clear(line);
    ts_terminal_bar((double)(done + failed) / (double)all, width->terminal >= 80 ? 32 : BAR, bar);
    ts_text_addf(line, "%s %lld done, %lld failed, %lld pending of %lld", bar, (long long)done, (long long)failed,
                 (long long)(all - done - failed), (long long)all);
    add_line(out, width, ts_text_get(line));
    add_line(out, width, "every 2 s until no run is writing; q leaves");
}

// --- The picture ---

static ts_status draw(const watch *w, bool running) {
    ts_text out = {0}, line = {0};
    widths width = {.terminal = ts_terminal_width(STDOUT_FILENO, 80)};
    int rows = ts_terminal_height(STDOUT_FILENO, 24);
    int64_t lines = ts_report_lines(w->report), shown = rows > ABOVE ? rows - ABOVE : 0;
    width.terminal = width.terminal < MOST_COLUMNS ? width.terminal : MOST_COLUMNS;
    shown = lines <= shown ? lines : shown - 1; // and one that says how many more
    shown = shown < 0 ? 0 : shown < w->most ? shown : w->most;
    share_out(w, shown, &width);
    add_head(w, &width, running, &out, &line);
    add_headings(w, &width, &out, &line);
    for (int64_t row = 0; row < shown; row++)
        add_row(w, &width, row, &out, &line);
    if (lines > shown) {
        ts_text_clear(&line);
        ts_text_addf(&line, "and %lld more", (long long)(lines - shown));
        add_line(&out, &width, ts_text_get(&line));
    }
    for (char *at = out.bytes; at && rows > 0 && (at = strchr(at, '\n')); at++)
        if (--rows == 0)
            *at = 0; // a terminal of a few rows
    ts_status status = line.failed ? ts_text_status(&line) : ts_text_status(&out);
    if (status == TS_OK)
        status = ts_screen_show(ts_text_get(&out));
    ts_text_free(&line);
    ts_text_free(&out);
    return status;
}

static ts_status check_in_place(const watch *w) {
    struct stat now;
    if (stat(w->path, &now) != 0)
        return ts_fail(TS_ERROR_FATAL, "cannot read '%s' any more: %s", w->path, strerror(errno));
    if (now.st_dev != w->file.st_dev || now.st_ino != w->file.st_ino)
        return ts_fail(TS_ERROR_FATAL, "'%s' is another file now; give the command again", w->path);
    if (now.st_size < w->file.st_size) // HDF5 would read zeros
        return ts_fail(TS_ERROR_FATAL, "'%s' is shorter than it was: it is damaged", w->path);
    return TS_OK;
}

static ts_status look(watch *w, bool running) {
    ts_status status = check_in_place(w);
    if (status == TS_OK && w->sweep)
        status = ts_live_list(w->path, w->reader, w->sweep, &w->live, &w->n_live);
    if (status == TS_OK)
        status = ts_report_open(w->reader, w->grid, &w->report);
    if (status == TS_OK)
        status = draw(w, running);
    ts_report_close(w->report);
    w->report = NULL;
    ts_free(w->live);
    w->live = NULL;
    w->n_live = 0;
    return status;
}

static ts_status begin(watch *w) {
    int64_t lines = w->grid ? w->grid->points : ts_reader_cases(w->reader);
    w->most = lines < MOST_LINES ? lines : MOST_LINES;
    if (stat(w->path, &w->file) != 0)
        return ts_fail(TS_ERROR_FATAL, "cannot read '%s': %s", w->path, strerror(errno));
    if (w->sweep && !(w->layouts = ts_alloc_zero((size_t)ts_sweep_cases(w->sweep), sizeof *w->layouts, "cases")))
        return TS_ERROR_MEMORY;
    if (!(w->curves = ts_alloc_zero((size_t)w->most, sizeof *w->curves, "curves")))
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < w->most; i++)
        w->curves[i].instance = -1;
    return TS_OK;
}

static void end(watch *w) {
    for (int64_t i = 0; i < w->most && w->curves; i++)
        ts_free(w->curves[i].value);
    for (int i = 0; w->layouts && i < ts_sweep_cases(w->sweep); i++)
        ts_record_layout_free(w->layouts[i]);
    ts_free(w->layouts);
    ts_free(w->curves);
}

// Draws until there is nothing more to draw.
static ts_status keep_drawing(watch *w, bool *over) {
    char lock[PATH_MAX];
    ts_status status;
    bool running;
    snprintf(lock, sizeof lock, "%s.lock", w->path);
    do {
        running = ts_lock_is_held(lock); // first: the last picture is of all that was written
        status = look(w, running);
    } while (status == TS_OK && running && ts_screen_wait(SECONDS));
    *over = !running;
    return status;
}

ts_status ts_watch(const char *path, ts_reader *reader, const ts_sweep *sweep, const ts_grid *grid, bool *over) {
    watch w = {.path = path, .reader = reader, .sweep = sweep, .grid = grid};
    *over = false;
    ts_status status = begin(&w);
    if (status == TS_OK) {
        ts_log_mute(true);
        status = ts_screen_open();
        if (status == TS_OK)
            status = keep_drawing(&w, over);
        ts_screen_close();
        ts_log_mute(false);
    }
    end(&w);
    return status;
}
