// The parts of the line, left out from the least important on until it fits.
#define _POSIX_C_SOURCE 200809L
#include "run/progress.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double BAR_SECONDS = 0.2, LOG_SECONDS = 30;
static const double FIRST_ESTIMATE = 1;              // seconds of training without which there is none
static const double WORD_SECONDS = 10;               // for which a grown estimate is explained
static const double SLACK = 0.05, SLACK_SECONDS = 1; // by which an estimate may grow before that is shown

static ts_progress_mode active = TS_PROGRESS_NONE;
static double next_line;

// What was shown last.
static struct {
    double share;
    double left;   // seconds; negative: none yet
    double before; // the estimate that had to be raised last
    double raised; // when
} shown_last;

static void clear_line(void) {
    fputs("\r\033[K", stderr);
}

static bool can_clear(void) {
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void ts_progress_start(ts_progress_mode mode) {
    if (mode == TS_PROGRESS_AUTO)
        mode = can_clear() ? TS_PROGRESS_BAR : TS_PROGRESS_LOG;
    active = mode;
    shown_last.share = 0;
    shown_last.left = shown_last.before = shown_last.raised = -1;
    next_line = ts_clock() + (mode == TS_PROGRESS_LOG ? LOG_SECONDS : 0);
    if (mode == TS_PROGRESS_BAR)
        ts_log_set_clear(clear_line);
}

// Costs are predictions, and work in flight can be lost: the share then waits.
static void tell_share(const ts_progress_state *state) {
    double share = state->work_total > 0 ? state->work_done / state->work_total : 1;
    share = share > 1 ? 1 : share;
    if (share > shown_last.share)
        shown_last.share = share;
}

// Seconds still to go at the pace so far. What wavers is held; what grows is shown.
static void tell_left(const ts_progress_state *state, double now) {
    if (state->work_done <= 0 || state->elapsed < FIRST_ESTIMATE)
        return;
    double left = state->elapsed * (state->work_total - state->work_done) / state->work_done;
    left = left > 0 ? left : 0;
    if (shown_last.left >= 0 && left > shown_last.left) {
        if (left <= shown_last.left * (1 + SLACK) + SLACK_SECONDS)
            return;
        if (now - shown_last.raised >= WORD_SECONDS || shown_last.left < shown_last.before)
            shown_last.before = shown_last.left;
        shown_last.raised = now;
    }
    shown_last.left = left;
}

// 1234567 -> "1.23 M"
static const char *rate_text(double rate, char out[32]) {
    static const char *const units[] = {"", " k", " M", " G"};
    int unit = 0;
    for (; rate >= 1000 && unit < 3; unit++)
        rate /= 1000;
    snprintf(out, 32, "%.3g%s", rate, units[unit]);
    return out;
}

// Parts of a line in their order; where there is no room for all, those of the highest rank go first.
enum { PART_BAR, PART_SHARE, PART_DONE, PART_FAILED, PART_UNITS, PART_RATE, PART_BUSY, PART_ELAPSED, PART_LEFT, PARTS };
static const int RANK[PARTS] = {[PART_SHARE] = 0,   [PART_LEFT] = 1, [PART_FAILED] = 2, [PART_DONE] = 3, [PART_BAR] = 4,
                                [PART_ELAPSED] = 5, [PART_RATE] = 6, [PART_UNITS] = 7,  [PART_BUSY] = 8};

typedef char part[64];

static void write_left(double now, part out) {
    char left[32], before[32];
    ts_duration_text(shown_last.left, left); // "?" if there is none yet
    ts_duration_text(shown_last.before, before);
    bool explained =
        shown_last.raised >= 0 && now - shown_last.raised < WORD_SECONDS && shown_last.left > shown_last.before;
    if (explained && strcmp(left, before) != 0)
        snprintf(out, sizeof(part), "%s left (up from %s)", left, before);
    else
        snprintf(out, sizeof(part), "%s left", left);
}

static void write_parts(const ts_progress_state *state, double now, bool bar, part parts[PARTS]) {
    char text[32];
    memset(parts, 0, PARTS * sizeof(part));
    if (bar)
        ts_terminal_bar(shown_last.share, 20, parts[PART_BAR]);
    snprintf(parts[PART_SHARE], sizeof(part), "%5.1f%%", 100 * shown_last.share);
    snprintf(parts[PART_DONE], sizeof(part), "%lld/%lld instances", (long long)state->done,
             (long long)state->instances);
    if (state->failed)
        snprintf(parts[PART_FAILED], sizeof(part), "%lld failed", (long long)state->failed);
    snprintf(parts[PART_UNITS], sizeof(part), "%lld units (%lld running)", (long long)state->units_done,
             (long long)state->units_out);
    snprintf(parts[PART_RATE], sizeof(part), "%s steps/s",
             rate_text(state->elapsed > 0 ? state->steps / state->elapsed : 0, text));
    snprintf(parts[PART_BUSY], sizeof(part), "%lld/%lld busy", (long long)state->busy, (long long)state->slots);
    snprintf(parts[PART_ELAPSED], sizeof(part), "%s elapsed", ts_duration_text(state->elapsed, text));
    write_left(now, parts[PART_LEFT]);
}

static size_t join(part parts[PARTS], char out[TS_PROGRESS_BYTES]) {
    size_t length = 0;
    out[0] = 0;
    for (int i = 0; i < PARTS; i++)
        if (parts[i][0])
            length += (size_t)snprintf(out + length, TS_PROGRESS_BYTES - length, "%s%s", length ? "  " : "", parts[i]);
    return length;
}

void ts_progress_line(const ts_progress_state *state, double now, int columns, char out[TS_PROGRESS_BYTES]) {
    part parts[PARTS];
    tell_share(state);
    tell_left(state, now);
    write_parts(state, now, columns > 0, parts);
    size_t length = join(parts, out); // all of it is ASCII
    for (int rank = PARTS - 1; columns > 0 && length > (size_t)columns && rank > 0; rank--) {
        for (int i = 0; i < PARTS; i++)
            if (RANK[i] == rank)
                parts[i][0] = 0;
        length = join(parts, out);
    }
    if (columns > 0 && length > (size_t)columns)
        out[columns] = 0;
}

void ts_progress_show(const ts_progress_state *state) {
    char line[TS_PROGRESS_BYTES];
    double now = ts_clock();
    if (active == TS_PROGRESS_NONE || now < next_line)
        return;
    bool bar = active == TS_PROGRESS_BAR;
    next_line = now + (bar ? BAR_SECONDS : LOG_SECONDS);
    // A terminal begins a new line when the last column is filled.
    int columns = bar ? ts_terminal_width(STDERR_FILENO, 80) - 1 : 0;
    ts_progress_line(state, now, bar && columns < 1 ? 1 : columns, line);
    fprintf(stderr, bar ? "\r\033[K%s" : "toysweep: %s\n", line);
    fflush(stderr);
}

void ts_progress_end(void) {
    if (active == TS_PROGRESS_BAR)
        clear_line();
    ts_log_set_clear(NULL);
    active = TS_PROGRESS_NONE;
}
