// Units to slots and outcomes to the file and to the leader, one tick at a time. A rank that has not heard from rank 0
// for a while may have been given up (it may have been stopped, and not know): it commits and saves nothing before rank
// 0 has answered.
#define _POSIX_C_SOURCE 200809L
#include "run/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "integrity/state.h"
#include "results/rows.h"
#include "run/desk.h"
#include "run/leader.h"
#include "run/silence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double SAVE_SECONDS = 60; // for the states of a rank that is cut off

// A unit that this rank was given to train with others.
typedef struct shared_unit {
    ts_unit unit;
    ts_team_place place;
    bool recalled, broken; // to be stopped as soon as it begins; the team has lost a rank
} shared_unit;

struct ts_worker {
    ts_worker_setup setup;
    ts_slot *slot; // (setup.slots)
    int started;   // slots that have a thread
    ts_desk desk;
    shared_unit *shared; // (setup.slots + 1), as many as wait or are trained
    int n_shared;
    double next_save, next_report;
    ts_silence_times times;
    ts_silence *silence; // of rank 0
    double lease;        // on ts_clock: till then nobody has given this rank up
    bool wants_stop, given_up;
    bool was_short; // of memory
    char host[64];
    ts_outcome *outcome; // scratch
};

static void send(ts_worker *worker, const ts_run_message *message) {
    if (ts_comm_send(worker->setup.comm, 0, message, sizeof *message) != TS_OK)
        ts_comm_abort(worker->setup.comm, "rank %d cannot reach rank 0: %s", worker->setup.comm->rank, ts_message());
}

static void send_kind(ts_worker *worker, ts_message_kind kind) {
    ts_run_message message = {.kind = kind};
    send(worker, &message);
}

ts_status ts_worker_create(const ts_worker_setup *setup, ts_worker **out) {
    ts_worker *worker = ts_alloc_zero(1, sizeof *worker, "a worker");
    if (!worker)
        return TS_ERROR_MEMORY;
    worker->setup = *setup;
    worker->next_save = ts_clock() + setup->checkpoint_interval;
    worker->times = ts_silence_times_of(setup->patience, setup->comm->size);
    worker->lease = ts_clock() + worker->times.lease; // all have met a moment ago
    gethostname(worker->host, sizeof worker->host - 1);
    worker->slot = ts_alloc_zero((size_t)setup->slots, sizeof *worker->slot, "a worker's slots");
    worker->shared = ts_alloc_zero((size_t)setup->slots + 1, sizeof *worker->shared, "a worker");
    worker->outcome = ts_alloc_zero(1, sizeof *worker->outcome, "a worker");
    ts_status status = worker->slot && worker->shared && worker->outcome ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_silence_create(&worker->times, 1, &worker->silence);
    if (status == TS_OK)
        status = ts_desk_open(&worker->desk, setup->slots);
    for (; status == TS_OK && worker->started < setup->slots; worker->started += status == TS_OK)
        status = ts_slot_start(&worker->slot[worker->started], setup->job, setup->exchanges, setup->comm->rank);
    if (status == TS_OK)
        *out = worker;
    else
        ts_worker_free(worker);
    return status;
}

void ts_worker_free(ts_worker *worker) {
    if (!worker)
        return;
    for (int i = 0; i < worker->started; i++)
        ts_slot_end(&worker->slot[i]);
    ts_desk_close(&worker->desk);
    ts_silence_free(worker->silence);
    ts_free(worker->slot);
    ts_free(worker->shared);
    ts_free(worker->outcome);
    ts_free(worker);
}

// --- Units trained with other ranks ---

static shared_unit *find_shared(ts_worker *worker, const ts_unit *unit) {
    for (int i = 0; i < worker->n_shared; i++)
        if (ts_unit_is(&worker->shared[i].unit, unit))
            return &worker->shared[i];
    return NULL;
}

// A slot that has the unit. NULL: none has.
static ts_slot *find_slot(ts_worker *worker, const ts_unit *unit) {
    for (int i = 0; i < worker->setup.slots; i++) {
        ts_unit has;
        ts_team_place place;
        ts_slot_progress(&worker->slot[i], &has, &place);
        if (ts_slot_look(&worker->slot[i]) != TS_SLOT_IDLE && ts_unit_is(&has, unit))
            return &worker->slot[i];
    }
    return NULL;
}

static void give_back(ts_worker *worker, const ts_unit *unit, double done) {
    send(worker, &(ts_run_message){.kind = TS_MSG_RETURNED, .unit = *unit, .done = done});
}

// One that is finished by now is committed.
static void recall(ts_worker *worker, const ts_unit *unit) {
    ts_slot *slot = find_slot(worker, unit);
    shared_unit *shared = find_shared(worker, unit);
    if (slot)
        ts_slot_stop(slot);
    else if (shared) // a rank of its team may have begun with it
        shared->recalled = true;
    else if (ts_desk_drop(&worker->desk, unit))
        give_back(worker, unit, 0);
}

// Teams with any of these ranks.
static void break_teams(ts_worker *worker, const ts_team_place *of) {
    for (int i = 0; i < worker->n_shared; i++) {
        const ts_team_place *place = &worker->shared[i].place;
        if (place->first >= of->first + of->ranks || of->first >= place->first + place->ranks)
            continue;
        ts_exchanges_break(worker->setup.exchanges, place->number);
        worker->shared[i].broken = true;
    }
}

// What becomes of a unit that a team trained, on this rank; its first rank does what is to be done for all.
typedef struct share {
    bool leads, broken;
} share;

static share leave(ts_worker *worker, const ts_outcome *outcome) {
    shared_unit *shared = find_shared(worker, &outcome->unit);
    share mine = {.leads = outcome->place.first == worker->setup.comm->rank, .broken = shared && shared->broken};
    if (shared)
        *shared = worker->shared[--worker->n_shared];
    return mine;
}

// Once they are at it, they save their units' states. A team that waits for this rank to begin hears that it does not.
static void stop_slots(ts_worker *worker) {
    for (int i = worker->n_shared - 1; i >= 0; i--)
        if (ts_desk_drop(&worker->desk, &worker->shared[i].unit)) {
            give_back(worker, &worker->shared[i].unit, 0);
            worker->shared[i] = worker->shared[--worker->n_shared];
        }
    ts_desk_stop(&worker->desk);
    for (int i = 0; i < worker->setup.slots; i++)
        ts_slot_stop(&worker->slot[i]);
}

// --- Contact with rank 0 ---

static bool may_write(const ts_worker *worker) {
    return worker->setup.leader || (!worker->given_up && ts_clock() < worker->lease);
}

// Before a commit, which may take long.
static void announce(ts_worker *worker) {
    if (worker->setup.leader)
        ts_leader_begin_work(worker->setup.leader);
    else
        send_kind(worker, TS_MSG_BUSY);
}

static void hear(ts_worker *worker, const ts_run_message *message) {
    worker->lease = fmax(worker->lease, message->seconds + worker->times.lease);
    if (message->kind == TS_MSG_WAIT)
        ts_silence_announced(worker->silence, 0);
    else
        ts_silence_heard(worker->silence, 0);
}

static void watch_leader(ts_worker *worker) {
    char silent[32], patience[32];
    int peer;
    ts_silence_tick(worker->silence, ts_clock());
    ts_silence_event event = ts_silence_next(worker->silence, &peer);
    int rank = worker->setup.comm->rank;
    if (event == TS_SILENCE_WARN && rank == 1) // one speaks for all
        ts_warn("rank 0 has been silent for %s; the other ranks wait for it up to %s (--patience)",
                ts_duration_text(worker->times.warn, silent), ts_duration_text(worker->times.patience, patience));
    else if (event == TS_SILENCE_BACK && rank == 1)
        ts_warn("rank 0 can be heard again");
}

bool ts_worker_is_cut_off(const ts_worker *worker) {
    return !worker->setup.leader && ts_silence_is_lost(worker->silence, 0);
}

// Nothing that this rank does is part of the run any more. Ending now, it might take the others with it: launchers end
// all ranks when one has failed.
static void give_up(ts_worker *worker) {
    if (worker->given_up)
        return;
    ts_warn("rank %d was silent for too long, and rank 0 has given it up: it trains and writes nothing more",
            worker->setup.comm->rank);
    worker->given_up = true;
    atomic_store(&worker->setup.job->given_up, true);
    stop_slots(worker);
}

// --- Finished units ---

static void report_failure(ts_worker *worker, int64_t instance, const char *reason) {
    ts_run_message message = {.kind = TS_MSG_FAILURE, .instance = instance};
    snprintf(message.text, sizeof message.text, "%s", reason);
    send(worker, &message);
}

// Commits rows and tells the leader; the unit's state is not needed any more.
static ts_status commit(ts_worker *worker, const ts_unit *unit, const ts_row *rows, double seconds) {
    announce(worker);
    ts_status status = ts_store_commit(worker->setup.store, unit->case_index, unit->first_row, unit->rows, rows);
    if (status != TS_OK)
        return status;
    ts_state_remove(worker->setup.job->state_directory, unit);
    if (worker->setup.leader)
        ts_leader_end_work(worker->setup.leader);
    ts_run_message message = {.kind = TS_MSG_DONE, .unit = *unit, .seconds = seconds};
    for (int64_t i = 0; i < unit->rows; i++) {
        message.steps += (double)rows[i].steps_done;
        message.failed += rows[i].status == TS_ROW_FAILED;
    }
    send(worker, &message);
    return TS_OK;
}

static ts_status commit_trained(ts_worker *worker, const ts_outcome *outcome) {
    const ts_unit *unit = &outcome->unit;
    const ts_case *of = ts_sweep_case(worker->setup.job->sweep, unit->case_index);
    ts_row *rows = ts_alloc((size_t)unit->rows * sizeof *rows, "rows to commit");
    if (!rows)
        return TS_ERROR_FATAL;
    for (int64_t i = 0; i < unit->rows; i++) {
        ts_trained trained = ts_trainer_result(outcome->trainer, (int)i);
        rows[i] = (ts_row){trained.failure ? TS_ROW_FAILED : TS_ROW_DONE, trained.steps_done, trained.record};
        if (trained.failure)
            report_failure(worker, of->instance[unit->first_row + i], trained.failure);
    }
    ts_status status = commit(worker, unit, rows, outcome->seconds);
    ts_free(rows);
    return status;
}

// An instance that does not fit into memory with nothing beside it, or that a team trained.
static ts_status commit_out_of_memory(ts_worker *worker, const ts_outcome *outcome) {
    const ts_record_layout *layout = worker->setup.job->layouts[outcome->unit.case_index];
    void *record = ts_alloc(layout->bytes, "a failed record");
    if (!record)
        return TS_ERROR_FATAL;
    ts_record_reset(layout, record);
    const ts_case *of = ts_sweep_case(worker->setup.job->sweep, outcome->unit.case_index);
    report_failure(worker, of->instance[outcome->unit.first_row], outcome->message);
    ts_row row = {TS_ROW_FAILED, 0, record};
    ts_status status = commit(worker, &outcome->unit, &row, outcome->seconds);
    ts_free(record);
    return status;
}

static ts_status settle(ts_worker *worker, const ts_outcome *outcome) {
    share mine = leave(worker, outcome);
    if (outcome->state == TS_SLOT_STOPPED) {
        if (!worker->desk.stopping) // recalled: the leader hands it out again
            give_back(worker, &outcome->unit, ts_trainer_progress(outcome->trainer));
        return TS_OK;
    }
    if (!mine.leads && outcome->status == TS_OK)
        return TS_OK;
    if (outcome->state == TS_SLOT_FINISHED)
        return commit_trained(worker, outcome);
    if (mine.broken || (!mine.leads && outcome->status == TS_ERROR_MEMORY))
        return TS_OK; // given up, or said by the first rank
    if (outcome->status != TS_ERROR_MEMORY)
        return ts_fail(outcome->status, "%s", outcome->message);
    if (outcome->unit.rows == 1)
        return commit_out_of_memory(worker, outcome);
    ts_run_message message = {.kind = TS_MSG_SPLIT, .unit = outcome->unit};
    send(worker, &message);
    return TS_OK;
}

static void start_next(ts_worker *worker, ts_slot *slot) {
    ts_unit unit;
    ts_team_place alone = {worker->setup.comm->rank, 1, -1};
    if (!ts_desk_start(&worker->desk, &unit))
        return;
    const shared_unit *shared = find_shared(worker, &unit);
    ts_slot_give(slot, &unit, shared ? &shared->place : &alone);
    if (shared && shared->recalled)
        ts_slot_stop(slot);
}

// A slot is idle again. True: its unit, one instance that this rank trains by itself, found no memory, which others
// have: it is trained again when they are done, or goes back to rank 0, if that has recalled it.
static bool tries_again(ts_worker *worker, ts_slot *slot, const ts_outcome *outcome) {
    bool is_short = outcome->state == TS_SLOT_FAULT && outcome->status == TS_ERROR_MEMORY;
    if (!is_short || outcome->unit.rows > 1 || outcome->place.ranks > 1) {
        ts_desk_finish(&worker->desk);
        return false;
    }
    if (atomic_load(&slot->pause) == TS_PAUSE_STOP && !worker->desk.stopping) {
        ts_desk_finish(&worker->desk);
        give_back(worker, &outcome->unit, 0);
        return true;
    }
    if (!ts_desk_try_alone(&worker->desk, &outcome->unit))
        return false;
    if (!worker->was_short && !worker->desk.stopping)
        ts_warn("instances for which there is too little memory beside others are trained alone, which takes longer "
                "(fewer --threads leave each more): %s",
                outcome->message);
    worker->was_short = true;
    return true;
}

// Takes outcomes, and gives idle slots what waits for them. True if there was an outcome.
static bool harvest(ts_worker *worker) {
    bool happened = false;
    for (int i = 0; i < worker->setup.slots && may_write(worker); i++) {
        ts_slot *slot = &worker->slot[i];
        ts_slot_state state = ts_slot_look(slot);
        if (state != TS_SLOT_WORKING && state != TS_SLOT_IDLE) {
            ts_slot_take(slot, worker->outcome);
            bool again = tries_again(worker, slot, worker->outcome), waits = worker->desk.alone > 0;
            if (!waits)
                start_next(worker, slot); // the slot need not wait for the commit
            ts_status status = again ? TS_OK : settle(worker, worker->outcome);
            ts_trainer_free(worker->outcome->trainer);
            if (status != TS_OK)
                ts_worker_stop(worker, status, ts_message());
            if (waits) // what is to be alone waits for the memory, too
                start_next(worker, slot);
            happened = true;
        } else if (state == TS_SLOT_IDLE) {
            start_next(worker, slot);
        }
    }
    return happened;
}

// --- Talk ---

static void report(ts_worker *worker) {
    const ts_job *job = worker->setup.job;
    ts_run_message message = {.kind = TS_MSG_STATE, .busy = worker->desk.slots - worker->desk.idle};
    message.seconds = ts_clock();
    memcpy(message.text, worker->host, sizeof worker->host);
    for (int i = 0; i < worker->setup.slots; i++) {
        ts_unit unit;
        ts_team_place place;
        double rows = ts_slot_progress(&worker->slot[i], &unit, &place);
        if (rows > 0 && place.first == worker->setup.comm->rank) {
            if (place.ranks > 1)
                send(worker, &(ts_run_message){.kind = TS_MSG_PROGRESS, .unit = unit, .done = rows});
            rows *= (double)unit.rows;
            message.cost_in_flight += rows * job->cost[unit.case_index];
            message.steps_in_flight += rows * job->steps[unit.case_index];
        }
    }
    send(worker, &message);
}

// What slots save when they stop must be this rank's to save.
static void stop_if_allowed(ts_worker *worker) {
    if (worker->wants_stop && !worker->desk.stopping && may_write(worker))
        stop_slots(worker);
}

// Of a team its first rank says when.
static void save_slot(ts_worker *worker, ts_slot *slot) {
    ts_unit unit;
    ts_team_place place;
    ts_slot_progress(slot, &unit, &place);
    if (place.first == worker->setup.comm->rank)
        ts_slot_save(slot);
}

bool ts_worker_tick(ts_worker *worker) {
    if (!worker->setup.leader)
        watch_leader(worker);
    stop_if_allowed(worker);
    bool happened = harvest(worker);
    double now = ts_clock();
    if (now >= worker->next_report) {
        report(worker);
        worker->next_report = now + worker->times.report;
    }
    if (worker->given_up)
        return happened;
    for (ts_message_kind kind; ts_desk_ask(&worker->desk, &kind);)
        send_kind(worker, kind);
    if (now >= worker->next_save && !worker->desk.stopping && may_write(worker)) {
        for (int i = 0; i < worker->setup.slots; i++)
            save_slot(worker, &worker->slot[i]);
        worker->next_save = now + worker->setup.checkpoint_interval;
    }
    return happened;
}

bool ts_worker_receive(ts_worker *worker, const ts_run_message *message) {
    switch ((ts_message_kind)message->kind) {
    case TS_MSG_ASSIGN:
        if (ts_desk_receive(&worker->desk, &message->unit) != TS_OK)
            ts_worker_stop(worker, TS_ERROR_FATAL, ts_message());
        else if (message->team.ranks > 1 && worker->desk.stopping)
            give_back(worker, &message->unit, 0);
        else if (message->team.ranks > 1)
            worker->shared[worker->n_shared++] = (shared_unit){.unit = message->unit, .place = message->team};
        return false;
    case TS_MSG_RECALL:
        recall(worker, &message->unit);
        return false;
    case TS_MSG_BREAK:
        break_teams(worker, &message->team);
        return false;
    case TS_MSG_STOP:
        ts_worker_stop(worker, TS_OK, NULL);
        return false;
    case TS_MSG_ALIVE:
    case TS_MSG_WAIT:
        hear(worker, message);
        return false;
    case TS_MSG_LOST:
        hear(worker, message);
        give_up(worker);
        return false;
    default:
        return message->kind == TS_MSG_FINISH;
    }
}

void ts_worker_stop(ts_worker *worker, ts_status status, const char *reason) {
    if (reason) {
        ts_run_message message = {.kind = TS_MSG_STOP_ME, .status = (int32_t)status};
        snprintf(message.text, sizeof message.text, "%s", reason);
        send(worker, &message);
    }
    worker->wants_stop = true;
    stop_if_allowed(worker); // else a tick will
}

// Until a slot has ended, or it is `end`.
static void wait_for_slot(ts_worker *worker, ts_slot *slot, double end) {
    while (ts_slot_look(slot) == TS_SLOT_WORKING && ts_clock() < end) {
        ts_exchanges_carry(worker->setup.exchanges);
        ts_sleep(1e-3);
    }
}

void ts_worker_end_teams(ts_worker *worker) {
    double end = ts_clock() + SAVE_SECONDS;
    for (int i = 0; i < worker->setup.slots; i++)
        wait_for_slot(worker, &worker->slot[i], end);
    break_teams(worker, &(ts_team_place){.ranks = worker->setup.comm->size});
}

void ts_worker_save(ts_worker *worker) {
    double end = ts_clock() + SAVE_SECONDS;
    stop_slots(worker);
    for (int i = 0; i < worker->setup.slots; i++) {
        wait_for_slot(worker, &worker->slot[i], end);
        if (ts_slot_look(&worker->slot[i]) != TS_SLOT_FINISHED)
            continue;
        ts_slot_take(&worker->slot[i], worker->outcome);
        ts_job_save_state(worker->setup.job, &worker->outcome->unit, worker->outcome->trainer);
    }
}
