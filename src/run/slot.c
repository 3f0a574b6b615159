// The thread's loop, and the mutex between it and the main thread.
#define _POSIX_C_SOURCE 200809L
#include "run/slot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "integrity/state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static ts_status make_trainer(ts_job *job, const ts_unit *unit, ts_trainer **trainer) {
    ts_params *params = ts_alloc((size_t)unit->rows * sizeof *params, "a unit's parameters");
    if (!params)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < unit->rows; i++)
        ts_case_params(job->sweep, unit->case_index, unit->first_row + i, &params[i]);
    const ts_trainer_spec spec = {
        .params = params,
        .count = (int)unit->rows,
        .layout = job->layouts[unit->case_index],
        .data = job->data[unit->case_index],
        .engine = job->engines[unit->case_index],
    };
    ts_status status = ts_trainer_create(&spec, trainer);
    ts_free(params);
    return status;
}

// Continues from the unit's saved state, if there is one that fits.
static ts_status restore(ts_job *job, const ts_unit *unit, ts_trainer *trainer) {
    void *state = NULL;
    size_t bytes = 0;
    ts_status status =
        ts_state_load(job->state_directory, job->digest, unit, ts_trainer_state_bytes(trainer), &state, &bytes);
    if (status != TS_OK || !state)
        return status;
    status = ts_trainer_restore(trainer, state, bytes);
    if (status == TS_ERROR_UNIT) {
        ts_warn("%s: it starts over", ts_message());
        status = TS_OK;
    }
    ts_free(state);
    return status;
}

// Trains the slot's unit; returns the state to end in.
static ts_slot_state work(ts_slot *slot, ts_trainer **trainer) {
    ts_job *job = slot->job;
    slot->status = make_trainer(job, &slot->unit, trainer);
    if (slot->status == TS_OK)
        slot->status = restore(job, &slot->unit, *trainer);
    if (slot->status == TS_OK) {
        pthread_mutex_lock(&slot->mutex);
        slot->trainer = *trainer;
        pthread_mutex_unlock(&slot->mutex);
    }
    bool finished = false;
    while (slot->status == TS_OK && !finished) {
        slot->status = ts_trainer_advance(*trainer, &slot->pause, &finished);
        if (slot->status != TS_OK || finished)
            break;
        slot->status = ts_job_save_state(job, &slot->unit, *trainer);
        int saved = TS_PAUSE_SAVE;
        if (!atomic_compare_exchange_strong(&slot->pause, &saved, TS_PAUSE_NONE) && slot->status == TS_OK)
            return TS_SLOT_STOPPED;
    }
    if (slot->status == TS_OK)
        return TS_SLOT_FINISHED;
    snprintf(slot->message, sizeof slot->message, "%s", ts_message());
    return TS_SLOT_FAULT;
}

static void *slot_main(void *argument) {
    ts_slot *slot = argument;
    // Signals are the main thread's.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_mutex_lock(&slot->mutex);
    for (;;) {
        while (slot->state != TS_SLOT_WORKING && !slot->quit)
            pthread_cond_wait(&slot->wake, &slot->mutex);
        if (slot->quit)
            break;
        pthread_mutex_unlock(&slot->mutex);
        ts_trainer *trainer = NULL;
        double start = ts_clock();
        ts_slot_state end = work(slot, &trainer);
        pthread_mutex_lock(&slot->mutex);
        slot->seconds = ts_clock() - start;
        slot->trainer = trainer;
        slot->state = end;
    }
    pthread_mutex_unlock(&slot->mutex);
    return NULL;
}

ts_status ts_slot_start(ts_slot *slot, ts_job *job) {
    memset(slot, 0, sizeof *slot);
    slot->job = job;
    pthread_mutex_init(&slot->mutex, NULL);
    pthread_cond_init(&slot->wake, NULL);
    return ts_thread_start(&slot->thread, slot_main, slot);
}

void ts_slot_end(ts_slot *slot) {
    pthread_mutex_lock(&slot->mutex);
    slot->quit = true;
    atomic_store(&slot->pause, TS_PAUSE_STOP);
    pthread_cond_signal(&slot->wake);
    pthread_mutex_unlock(&slot->mutex);
    pthread_join(slot->thread, NULL);
    ts_trainer_free(slot->trainer);
    pthread_cond_destroy(&slot->wake);
    pthread_mutex_destroy(&slot->mutex);
}

void ts_slot_give(ts_slot *slot, const ts_unit *unit) {
    pthread_mutex_lock(&slot->mutex);
    slot->unit = *unit;
    slot->trainer = NULL;
    slot->state = TS_SLOT_WORKING;
    atomic_store(&slot->pause, TS_PAUSE_NONE);
    pthread_cond_signal(&slot->wake);
    pthread_mutex_unlock(&slot->mutex);
}

ts_slot_state ts_slot_look(ts_slot *slot) {
    pthread_mutex_lock(&slot->mutex);
    ts_slot_state state = slot->state;
    pthread_mutex_unlock(&slot->mutex);
    return state;
}

void ts_slot_take(ts_slot *slot, ts_outcome *outcome) {
    pthread_mutex_lock(&slot->mutex);
    outcome->state = slot->state;
    outcome->unit = slot->unit;
    outcome->trainer = slot->trainer;
    outcome->status = slot->status;
    outcome->seconds = slot->seconds;
    memcpy(outcome->message, slot->message, sizeof outcome->message);
    slot->trainer = NULL;
    slot->state = TS_SLOT_IDLE;
    pthread_mutex_unlock(&slot->mutex);
}

void ts_slot_save(ts_slot *slot) {
    int none = TS_PAUSE_NONE;
    atomic_compare_exchange_strong(&slot->pause, &none, TS_PAUSE_SAVE);
}

void ts_slot_stop(ts_slot *slot) {
    atomic_store(&slot->pause, TS_PAUSE_STOP);
}

double ts_slot_progress(ts_slot *slot, ts_unit *unit) {
    pthread_mutex_lock(&slot->mutex);
    bool training = slot->state == TS_SLOT_WORKING && slot->trainer;
    *unit = slot->unit;
    double progress = training ? ts_trainer_progress(slot->trainer) : 0;
    pthread_mutex_unlock(&slot->mutex);
    return progress;
}
