// How a run is going, for people: one live line on a terminal, or one plain line at most every 30 s in a log. What it
// says never goes back: the share done does not shrink, and where the time left grows, the line says so.
#pragma once

#include <stdint.h>

typedef enum ts_progress_mode { TS_PROGRESS_AUTO, TS_PROGRESS_BAR, TS_PROGRESS_LOG, TS_PROGRESS_NONE } ts_progress_mode;

typedef struct ts_progress_state {
    int64_t instances, done, failed; // of the whole sweep
    int64_t units_done, units_out;   // of this run
    double work_done, work_total;    // predicted seconds of what this run has to train
    double steps;                    // training steps taken by this run
    int64_t busy, slots;
    double elapsed; // seconds
} ts_progress_state;

// AUTO becomes BAR if standard error is a terminal (that can clear a line), else LOG.
void ts_progress_start(ts_progress_mode mode);
void ts_progress_show(const ts_progress_state *state); // call as often as convenient
void ts_progress_end(void);                            // clears the live line

// What is shown of `state` in so many columns, the most important last to be left out; 0: a log's whole line, without
// the bar. `now` as from ts_clock; calls follow each other in time.
enum { TS_PROGRESS_BYTES = 512 };
void ts_progress_line(const ts_progress_state *state, double now, int columns, char out[TS_PROGRESS_BYTES]);
