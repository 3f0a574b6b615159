// Who has fallen silent: a pure state machine. What was heard and how late it is go in as calls, who is to be named, is
// back, or is given up comes out of ts_silence_next; no communication, no clock, so that tests run it in virtual time.
//
// Silence is counted in time for which we listened: of the time between two ticks only `step` counts. If all of a job
// is suspended, or our own main thread was busy, nobody else has been silent.
#pragma once

#include "base/status.h"

#include <stdbool.h>

typedef struct ts_silence_times { // seconds
    double warn;                  // of silence, after which a peer is named
    double patience;              // after which it is given up; named, if it said before that it would be busy
    double stop;                  // after which it is given up while the run stops
    double announced;             // after which one is given up, always, that said before that it would be busy
    double step;                  // the most that counts of the time between two ticks
    double report;                // how often to give a sign of life
    double lease; // for so long after a sign of life that was answered, nobody has given the one who sent it up
} ts_silence_times;

// What follows from a run's patience and its number of ranks.
ts_silence_times ts_silence_times_of(double patience, int ranks);

typedef enum ts_silence_event { TS_SILENCE_NONE, TS_SILENCE_WARN, TS_SILENCE_BACK, TS_SILENCE_LOST } ts_silence_event;

typedef struct ts_silence ts_silence;

// Time begins with the first tick.
ts_status ts_silence_create(const ts_silence_times *times, int peers, ts_silence **silence);
void ts_silence_free(ts_silence *silence);

void ts_silence_tick(ts_silence *silence, double now); // now and then, before what has arrived is looked at
void ts_silence_heard(ts_silence *silence, int peer);
void ts_silence_announced(ts_silence *silence, int peer); // heard, and may now be busy until it is heard again
void ts_silence_stop(ts_silence *silence);                // the run stops

// The next of those that something has happened to since; TS_SILENCE_NONE: nobody.
ts_silence_event ts_silence_next(ts_silence *silence, int *peer);

double ts_silence_of(const ts_silence *silence, int peer); // seconds since it was heard last
bool ts_silence_is_lost(const ts_silence *silence, int peer);
int ts_silence_lost(const ts_silence *silence); // how many are
// Everybody who is not lost has been heard a moment ago.
bool ts_silence_all_near(const ts_silence *silence);
