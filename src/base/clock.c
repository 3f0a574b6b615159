// CLOCK_MONOTONIC for all that is measured; "1h30m" and the like, both ways.
#define _POSIX_C_SOURCE 200809L
#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double ts_clock(void) {
    return read_clock(CLOCK_MONOTONIC);
}

double ts_clock_thread(void) {
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

double ts_clock_process(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void ts_sleep(double seconds) {
    struct timespec wait = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&wait, NULL);
}

static double unit_seconds(char unit) {
    return unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : unit == 'd' ? 86400 : 0;
}

ts_status ts_duration_parse(const char *text, double *seconds) {
    double total = 0;
    const char *p = text;
    int parts = 0;
    while (isdigit((unsigned char)*p)) {
        char *end;
        double number = strtod(p, &end);
        double unit = *end ? unit_seconds(*end) : (parts == 0 ? 1 : 0);
        if (unit == 0)
            break;
        total += number * unit;
        parts++;
        p = *end ? end + 1 : end;
    }
    if (parts == 0 || *p || !(total > 0) || total > 1e9)
        return ts_fail(TS_ERROR_USER, "'%s' is not a duration: write 30s, 5m or 1h50m", text);
    *seconds = total;
    return TS_OK;
}

const char *ts_duration_text(double seconds, char out[32]) {
    long whole = seconds < 1e12 ? (long)(seconds + 0.5) : 0;
    if (!(seconds >= 0) || seconds >= 1e12)
        snprintf(out, 32, "?");
    else if (seconds < 1)
        snprintf(out, 32, "%.0fms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(out, 32, "%.1fs", seconds);
    else if (whole < 3600)
        snprintf(out, 32, "%ldm%02lds", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(out, 32, "%ldh%02ldm", whole / 3600, whole / 60 % 60);
    else
        snprintf(out, 32, "%ldd%02ldh", whole / 86400, whole / 3600 % 24);
    return out;
}

const char *ts_clock_utc(char out[32]) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return out;
}
