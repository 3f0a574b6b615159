// How long the main thread waits for other ranks, and whether it may.
#define _POSIX_C_SOURCE 200809L
#include "run/ending.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/thread.h"
#include "run/options.h"
#include "run/signals.h"
#include "run/silence.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// One for the process: it must outlive what ends before MPI does.
static struct {
    ts_ending_setup setup;
    int rank;
    ts_silence_times times;
    _Atomic ts_ending_phase phase;
    atomic_int code;   // to end with
    atomic_bool saved; // the lock is given back, too
} watched;

static bool wants_to_stop(void) {
    return ts_signals_seen() || (watched.setup.deadline > 0 && ts_clock() >= watched.setup.deadline);
}

// Seconds that the main thread may wait for other ranks where it does now.
static double limit(void) {
    const ts_silence_times *times = &watched.times;
    bool closing = atomic_load(&watched.phase) == TS_PHASE_CLOSE, stopping = wants_to_stop();
    if (atomic_load(&watched.phase) == TS_PHASE_TRAIN)
        return INFINITY;
    if (watched.rank != 0) // rank 0 has work of its own, and tells nobody how long that takes
        return closing || stopping ? times->announced : INFINITY;
    if (stopping)
        return times->stop;
    return closing ? times->patience : times->announced;
}

static void end_now(double waited) {
    char text[32];
    ts_error("rank %d has waited %s for other ranks, and ends: %s", watched.rank, ts_duration_text(waited, text),
             atomic_load(&watched.phase) == TS_PHASE_CLOSE ? "all that was finished is saved"
                                                           : "run again to continue");
    if (watched.rank == 0 && !atomic_load(&watched.saved)) {
        ts_lock_remove(watched.setup.lock);
        ts_ending_saved(watched.setup.comm, TS_EXIT_STOPPED);
    }
    _exit(atomic_load(&watched.code));
}

static void *watch(void *argument) {
    double since = 0, waited = 0, last = ts_clock();
    bool warned = false;
    sigset_t all;
    (void)argument;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        ts_sleep(watched.times.step / 4);
        double now = ts_clock(), begun = ts_comm_waiting();
        bool goes_on = begun > 0 && begun == since;
        waited = goes_on ? waited + fmin(now - last, watched.times.step) : 0; // a suspended job has not waited
        warned = warned && goes_on;
        since = begun;
        last = now;
        if (waited >= limit())
            end_now(waited);
        if (watched.rank == 0 && waited >= watched.times.warn && !warned && isfinite(limit())) {
            char text[32];
            ts_warn("rank 0 has waited %s for other ranks: one of them may be stuck", ts_duration_text(waited, text));
            warned = true;
        }
    }
    return NULL;
}

void ts_ending_watch(const ts_ending_setup *setup) {
    pthread_t thread;
    if (setup->comm->size == 1)
        return;
    watched.setup = *setup;
    watched.rank = setup->comm->rank;
    watched.times = ts_silence_times_of(setup->patience, setup->comm->size);
    watched.code = TS_EXIT_STOPPED;
    if (ts_thread_start(&thread, watch, NULL) == TS_OK)
        pthread_detach(thread);
    else
        ts_warn("%s; ranks that fall silent are noticed only while all train", ts_message());
}

void ts_ending_phase_begins(ts_ending_phase phase) {
    atomic_store(&watched.phase, phase);
}

// Into the file that the environment names.
static void say(const ts_comm *comm, const char *text) {
    const char *path = getenv("TOYSWEEP_END_FILE");
    if (comm->rank == 0 && path && *path && ts_file_write_durably(path, text, strlen(text)) != TS_OK)
        ts_warn("TOYSWEEP_END_FILE: %s", ts_message());
}

void ts_ending_saving(const ts_comm *comm) {
    say(comm, "saving\n");
}

void ts_ending_saved(const ts_comm *comm, int code) {
    char text[16];
    atomic_store(&watched.code, code);
    atomic_store(&watched.saved, true);
    ts_ending_phase_begins(TS_PHASE_CLOSE);
    snprintf(text, sizeof text, "%d\n", code);
    say(comm, text);
}
