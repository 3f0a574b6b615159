#define _POSIX_C_SOURCE 200809L
#include "run/progress.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double BAR_SECONDS = 0.2, LOG_SECONDS = 30;

static ts_progress_mode active = TS_PROGRESS_NONE;
static double next_line;

static void clear_line(void) {
    fputs("\r\033[K", stderr);
}

void ts_progress_start(ts_progress_mode mode) {
    if (mode == TS_PROGRESS_AUTO)
        mode = isatty(STDERR_FILENO) ? TS_PROGRESS_BAR : TS_PROGRESS_LOG;
    active = mode;
    next_line = ts_clock() + (mode == TS_PROGRESS_LOG ? LOG_SECONDS : 0);
    if (mode == TS_PROGRESS_BAR)
        ts_log_set_clear(clear_line);
}

// Seconds still to go at the pace so far; negative: cannot be told yet.
static double remaining_seconds(const ts_progress_state *state) {
    if (state->work_done <= 0)
        return -1;
    return state->elapsed * (state->work_total - state->work_done) / state->work_done;
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

void ts_progress_show(const ts_progress_state *state) {
    double now = ts_clock();
    if (active == TS_PROGRESS_NONE || now < next_line)
        return;
    next_line = now + (active == TS_PROGRESS_BAR ? BAR_SECONDS : LOG_SECONDS);
    char elapsed[32], remaining[32], rate[32], failed[48] = "", bar[21];
    double share = state->work_total > 0 ? state->work_done / state->work_total : 1;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    if (state->failed)
        snprintf(failed, sizeof failed, ", %lld failed", (long long)state->failed);
    memset(bar, '.', 20);
    memset(bar, '#', (size_t)(share * 20));
    bar[20] = 0;
    double left = remaining_seconds(state);
    fprintf(stderr,
            "%s%s%s%5.1f%%  %lld/%lld instances%s, %lld units (%lld running)  %s steps/s  %lld/%lld busy  "
            "%s%s%s left%s",
            active == TS_PROGRESS_BAR ? "\r\033[K[" : "toysweep: ", active == TS_PROGRESS_BAR ? bar : "",
            active == TS_PROGRESS_BAR ? "]" : "", 100 * share, (long long)state->done,
            (long long)state->instances, failed, (long long)state->units_done, (long long)state->units_out,
            rate_text(state->elapsed > 0 ? state->steps / state->elapsed : 0, rate), (long long)state->busy,
            (long long)state->slots, ts_duration_text(state->elapsed, elapsed), " elapsed, ",
            left < 0 ? "?" : ts_duration_text(left, remaining), active == TS_PROGRESS_BAR ? "" : "\n");
    fflush(stderr);
}

void ts_progress_end(void) {
    if (active == TS_PROGRESS_BAR)
        clear_line();
    ts_log_set_clear(NULL);
    active = TS_PROGRESS_NONE;
}
