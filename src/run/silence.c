// A clock that only runs while we listen, and when each peer was heard last by it.
#include "run/silence.h"

#include "base/memory.h"

#include <math.h>

// Warning, wait at a stop; announced work is waited for so many times as long, and at least so long; a report is due
// that often, unless there are very many ranks.
static const double WARN = 30, STOP = 10, ANNOUNCED_TIMES = 5, ANNOUNCED_LEAST = 30, REPORT = 0.5,
                    REPORTS_A_SECOND = 200;

typedef struct peer_state {
    double heard; // by our clock
    bool announced, warned, back, lost;
} peer_state;

struct ts_silence {
    ts_silence_times times;
    peer_state *peers; // (count)
    int count, lost;
    bool begun, stopping;
    double last;  // tick
    double clock; // time listened
    double due;   // of our clock: nothing can have happened before
    int next;     // peer to be looked at; `count`: all have been
};

ts_silence_times ts_silence_times_of(double patience, int ranks) {
    double stop = fmin(STOP, patience), warn = fmin(WARN, patience / 2);
    return (ts_silence_times){
        .warn = warn,
        .patience = patience,
        .stop = stop,
        .announced = fmax(ANNOUNCED_LEAST, ANNOUNCED_TIMES * patience),
        .step = fmin(1, stop / 8),
        .report = fmin(fmax(REPORT, ranks / REPORTS_A_SECOND), fmin(stop, warn) / 4),
        .lease = stop,
    };
}

ts_status ts_silence_create(const ts_silence_times *times, int peers, ts_silence **out) {
    ts_silence *silence = ts_alloc_zero(1, sizeof *silence, "who is silent");
    if (!silence)
        return TS_ERROR_MEMORY;
    *silence = (ts_silence){.times = *times, .count = peers, .next = peers};
    silence->peers = ts_alloc_zero((size_t)peers, sizeof *silence->peers, "who is silent");
    if (!silence->peers) {
        ts_silence_free(silence);
        return TS_ERROR_MEMORY;
    }
    *out = silence;
    return TS_OK;
}

void ts_silence_free(ts_silence *silence) {
    if (!silence)
        return;
    ts_free(silence->peers);
    ts_free(silence);
}

// --- Events ---

void ts_silence_tick(ts_silence *silence, double now) {
    if (silence->begun)
        silence->clock += fmin(now - silence->last, silence->times.step);
    silence->begun = true;
    silence->last = now;
    if (silence->next == silence->count && silence->clock >= silence->due) {
        silence->next = 0;
        silence->due = silence->clock + silence->times.step / 4;
    }
}

static void hear(ts_silence *silence, int number, bool announced) {
    peer_state *p = &silence->peers[number];
    p->heard = silence->clock;
    p->announced = announced;
    p->back = p->back || p->warned;
    if (p->back)
        silence->due = silence->clock;
    p->warned = false;
}

void ts_silence_heard(ts_silence *silence, int peer) {
    hear(silence, peer, false);
}

void ts_silence_announced(ts_silence *silence, int peer) {
    hear(silence, peer, true);
}

void ts_silence_stop(ts_silence *silence) {
    silence->stopping = true;
}

// --- What follows ---

double ts_silence_of(const ts_silence *silence, int peer) {
    return silence->clock - silence->peers[peer].heard;
}

static double limit_of(const ts_silence *silence, const peer_state *p) {
    return p->announced ? silence->times.announced : silence->stopping ? silence->times.stop : silence->times.patience;
}

static ts_silence_event look(ts_silence *silence, int number) {
    peer_state *p = &silence->peers[number];
    double seconds = ts_silence_of(silence, number);
    if (p->lost)
        return TS_SILENCE_NONE;
    if (p->back) {
        p->back = false;
        return TS_SILENCE_BACK;
    }
    if (seconds >= limit_of(silence, p)) {
        p->lost = true;
        silence->lost++;
        return TS_SILENCE_LOST;
    }
    if (p->warned || seconds < (p->announced ? silence->times.patience : silence->times.warn))
        return TS_SILENCE_NONE;
    p->warned = true;
    return TS_SILENCE_WARN;
}

ts_silence_event ts_silence_next(ts_silence *silence, int *peer) {
    ts_silence_event event = TS_SILENCE_NONE;
    while (event == TS_SILENCE_NONE && silence->next < silence->count) {
        *peer = silence->next++;
        event = look(silence, *peer);
    }
    return event;
}

bool ts_silence_is_lost(const ts_silence *silence, int peer) {
    return silence->peers[peer].lost;
}

int ts_silence_lost(const ts_silence *silence) {
    return silence->lost;
}

bool ts_silence_all_near(const ts_silence *silence) {
    for (int i = 0; i < silence->count; i++)
        if (!silence->peers[i].lost && ts_silence_of(silence, i) > 4 * silence->times.report)
            return false;
    return true;
}
