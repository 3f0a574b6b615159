// The thread's loop, and the mutex between it and the main thread.
#define _POSIX_C_SOURCE 200809L
#include "run/slot.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "integrity/state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

// --- A team, if it is one ---

static ts_status exchange(void *context, int number, const ts_transfer *transfers, int count) {
    return ts_exchange(context, number, transfers, count);
}

static ts_status join_team(ts_slot *slot) {
    const ts_team_place *place = &slot->place;
    if (place->ranks == 1)
        return TS_OK;
    ts_status status = ts_comm_team_create(exchange, slot->exchanges, place->number, slot->rank, place->first,
                                           place->ranks, &slot->comm);
    slot->team = (ts_team){
        .rank = slot->rank - place->first,
        .size = place->ranks,
        .add_floats = ts_comm_team_add_floats,
        .add_doubles = ts_comm_team_add_doubles,
        .largest = ts_comm_team_largest,
        .context = slot->comm,
    };
    return status == TS_ERROR_MEMORY ? TS_ERROR_FATAL : status; // it cannot tell the others
}

static void leave_team(ts_slot *slot) {
    ts_comm_team_free(slot->comm);
    slot->comm = NULL;
}

static bool leads(const ts_slot *slot) {
    return slot->rank == slot->place.first;
}

static ts_status largest(const ts_slot *slot, int64_t *values, int count) {
    return slot->comm ? ts_comm_team_largest(slot->comm, values, count) : TS_OK;
}

// The worst status of the team, so that none goes on alone.
static ts_status agree(const ts_slot *slot, ts_status mine) {
    int64_t worst = mine;
    ts_status status = largest(slot, &worst, 1);
    if (status != TS_OK)
        return status;
    return mine == TS_OK && worst != TS_OK ? ts_fail((ts_status)worst, "another rank of the team failed") : mine;
}

// --- A unit ---

static ts_status make_trainer(ts_slot *slot, ts_trainer **trainer) {
    const ts_unit *unit = &slot->unit;
    ts_job *job = slot->job;
    ts_params *params = ts_alloc((size_t)unit->rows * sizeof *params, "a unit's parameters");
    ts_status status = agree(slot, params ? TS_OK : TS_ERROR_MEMORY);
    if (status != TS_OK || !params) {
        ts_free(params);
        return status;
    }
    for (int64_t i = 0; i < unit->rows; i++)
        ts_case_params(job->sweep, unit->case_index, unit->first_row + i, &params[i]);
    const ts_trainer_spec spec = {
        .params = params,
        .count = (int)unit->rows,
        .layout = job->layouts[unit->case_index],
        .data = job->data[unit->case_index],
        .engine = job->engines[unit->case_index],
        .team = slot->comm ? &slot->team : NULL,
        .crew = job->crew,
        .device = job->backend->pairs,
    };
    status = ts_trainer_create(&spec, trainer);
    ts_free(params);
    return agree(slot, status);
}

// A unit that has to begin needs the weights of `init_from`; one that goes on does not.
static ts_status check_begins(const ts_slot *slot) {
    const ts_unit *unit = &slot->unit;
    for (int64_t i = 0; i < unit->rows; i++) {
        ts_params params;
        ts_case_params(slot->job->sweep, unit->case_index, unit->first_row + i, &params);
        const ts_initial *initial = ts_params_initial(&params);
        if (initial->path[0] && !initial->narrow && !initial->wide)
            return ts_fail(TS_ERROR_FATAL,
                           "'%s', which " TS_INIT_FROM
                           " names, cannot be read, and instance %lld has yet to begin with "
                           "its weights: put it back, and run the same command again",
                           initial->path,
                           (long long)ts_sweep_case(slot->job->sweep, unit->case_index)->instance[unit->first_row + i]);
    }
    return TS_OK;
}

// Continues from the unit's saved state, if there is one that fits; in a team, on all ranks or on none.
static ts_status restore(ts_slot *slot, ts_trainer *trainer) {
    const ts_job *job = slot->job;
    void *state = NULL;
    size_t bytes = 0;
    ts_status status = ts_state_load(job->state_directory, job->digest, &slot->unit,
                                     ts_trainer_most_state_bytes(trainer), &state, &bytes);
    int64_t mark = state ? 1 + (int64_t)ts_crc32(0, state, bytes) : 0; // of its contents; 0: there is none
    int64_t found[2] = {mark, -mark};
    ts_status told = largest(slot, found, 2);
    bool everywhere = found[0] > 0 && found[0] == -found[1];
    if (found[0] > 0 && !everywhere && leads(slot))
        ts_warn("not all ranks that train an instance together can read its last saved state; it starts over");
    bool restored = told == TS_OK && status == TS_OK && everywhere;
    if (restored)
        status = ts_trainer_restore(trainer, state, bytes);
    if (status == TS_ERROR_UNIT) { // on all ranks: they have read the same
        if (leads(slot))
            ts_warn("%s: it starts over", ts_message());
        status = TS_OK;
        restored = false;
    }
    if (told == TS_OK && status == TS_OK && !restored)
        status = check_begins(slot);
    ts_free(state);
    return told == TS_OK ? agree(slot, status) : told;
}

// Between two steps, all ranks of a team at the same: saves the state, and says whether to stop. (A rank may not have
// been asked itself.)
static ts_status pause_here(ts_slot *slot, const ts_trainer *trainer, bool *stop) {
    int64_t asked = atomic_load(&slot->pause);
    ts_status status = largest(slot, &asked, 1);
    if (status == TS_OK)
        status = agree(slot, leads(slot) ? ts_job_save_state(slot->job, &slot->unit, trainer) : TS_OK);
    int saved = TS_PAUSE_SAVE;
    atomic_compare_exchange_strong(&slot->pause, &saved, TS_PAUSE_NONE);
    *stop = asked == TS_PAUSE_STOP;
    return status;
}

// Trains the slot's unit; returns the state to end in.
static ts_slot_state work(ts_slot *slot, ts_trainer **trainer) {
    slot->status = join_team(slot);
    if (slot->status == TS_OK)
        slot->status = make_trainer(slot, trainer);
    if (slot->status == TS_OK)
        slot->status = restore(slot, *trainer);
    if (slot->status == TS_OK) {
        pthread_mutex_lock(&slot->mutex);
        slot->trainer = *trainer;
        pthread_mutex_unlock(&slot->mutex);
    }
    bool finished = false, stop = false;
    while (slot->status == TS_OK && !finished && !stop) {
        slot->status = ts_trainer_advance(*trainer, &slot->pause, &finished);
        if (slot->status == TS_OK && !finished)
            slot->status = pause_here(slot, *trainer, &stop);
    }
    if (slot->status == TS_OK)
        return finished ? TS_SLOT_FINISHED : TS_SLOT_STOPPED;
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
        ts_crew_begin_unit(slot->job->crew);
        ts_slot_state end = work(slot, &trainer);
        leave_team(slot);
        ts_crew_end_unit(slot->job->crew);
        pthread_mutex_lock(&slot->mutex);
        slot->seconds = ts_clock() - start;
        slot->trainer = trainer;
        slot->state = end;
    }
    pthread_mutex_unlock(&slot->mutex);
    return NULL;
}

ts_status ts_slot_start(ts_slot *slot, ts_job *job, ts_exchanges *exchanges, int rank) {
    memset(slot, 0, sizeof *slot);
    slot->job = job;
    slot->exchanges = exchanges;
    slot->rank = rank;
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

void ts_slot_give(ts_slot *slot, const ts_unit *unit, const ts_team_place *place) {
    pthread_mutex_lock(&slot->mutex);
    slot->unit = *unit;
    slot->place = *place;
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
    outcome->place = slot->place;
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

double ts_slot_progress(ts_slot *slot, ts_unit *unit, ts_team_place *place) {
    pthread_mutex_lock(&slot->mutex);
    bool training = slot->state == TS_SLOT_WORKING && slot->trainer;
    *unit = slot->unit;
    *place = slot->place;
    double progress = training ? ts_trainer_progress(slot->trainer) : 0;
    pthread_mutex_unlock(&slot->mutex);
    return progress;
}
