// Units to slots and outcomes to the file and to the leader, one tick at a time.
#include "run/worker.h"

#include "base/clock.h"
#include "base/memory.h"
#include "integrity/state.h"
#include "results/rows.h"
#include "run/desk.h"

#include <math.h>
#include <stdio.h>

struct ts_worker {
    ts_worker_setup setup;
    ts_slot *slot; // (setup.slots)
    int started;   // slots that have a thread
    ts_desk desk;
    double next_save, next_report;
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
    worker->slot = ts_alloc_zero((size_t)setup->slots, sizeof *worker->slot, "a worker's slots");
    worker->outcome = ts_alloc_zero(1, sizeof *worker->outcome, "a worker");
    ts_status status = worker->slot && worker->outcome ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_desk_open(&worker->desk, setup->slots);
    for (; status == TS_OK && worker->started < setup->slots; worker->started += status == TS_OK)
        status = ts_slot_start(&worker->slot[worker->started], setup->job);
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
    ts_free(worker->slot);
    ts_free(worker->outcome);
    ts_free(worker);
}

// --- Finished units ---

static void report_failure(ts_worker *worker, int64_t instance, const char *reason) {
    ts_run_message message = {.kind = TS_MSG_FAILURE, .instance = instance};
    snprintf(message.text, sizeof message.text, "%s", reason);
    send(worker, &message);
}

// Commits rows and tells the leader; the unit's state is not needed any more.
static ts_status commit(ts_worker *worker, const ts_unit *unit, const ts_row *rows, double seconds) {
    ts_status status = ts_store_commit(worker->setup.store, unit->case_index, unit->first_row, unit->rows, rows);
    if (status != TS_OK)
        return status;
    ts_state_remove(worker->setup.job->state_directory, unit);
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

// An instance that does not fit into memory even alone.
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
    if (outcome->state == TS_SLOT_FINISHED)
        return commit_trained(worker, outcome);
    if (outcome->state == TS_SLOT_STOPPED)
        return TS_OK;
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
    if (ts_desk_start(&worker->desk, &unit))
        ts_slot_give(slot, &unit);
}

// Takes outcomes, and gives idle slots what waits for them. True if there was an outcome.
static bool harvest(ts_worker *worker) {
    bool happened = false;
    for (int i = 0; i < worker->setup.slots; i++) {
        ts_slot *slot = &worker->slot[i];
        ts_slot_state state = ts_slot_look(slot);
        if (state != TS_SLOT_WORKING && state != TS_SLOT_IDLE) {
            ts_slot_take(slot, worker->outcome);
            ts_desk_finish(&worker->desk);
            start_next(worker, slot); // the slot need not wait for the commit
            ts_status status = settle(worker, worker->outcome);
            ts_trainer_free(worker->outcome->trainer);
            if (status != TS_OK)
                ts_worker_stop(worker, status, ts_message());
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
    for (int i = 0; i < worker->setup.slots; i++) {
        ts_unit unit;
        double rows = ts_slot_progress(&worker->slot[i], &unit);
        if (rows > 0) {
            rows *= (double)unit.rows;
            message.cost_in_flight += rows * job->cost[unit.case_index];
            message.steps_in_flight += rows * job->steps[unit.case_index];
        }
    }
    send(worker, &message);
}

bool ts_worker_tick(ts_worker *worker) {
    bool happened = harvest(worker);
    for (ts_message_kind kind; ts_desk_ask(&worker->desk, &kind);)
        send_kind(worker, kind);
    if (worker->desk.stopping)
        return happened;
    double now = ts_clock();
    if (now >= worker->next_save) {
        for (int i = 0; i < worker->setup.slots; i++)
            ts_slot_save(&worker->slot[i]);
        worker->next_save = now + worker->setup.checkpoint_interval;
    }
    if (now >= worker->next_report) {
        report(worker);
        // Rank 0 gets some 200 reports a second at most.
        worker->next_report = now + fmax(0.5, worker->setup.comm->size / 200.0);
    }
    return happened;
}

bool ts_worker_receive(ts_worker *worker, const ts_run_message *message) {
    switch ((ts_message_kind)message->kind) {
    case TS_MSG_ASSIGN:
        if (ts_desk_receive(&worker->desk, &message->unit) != TS_OK)
            ts_worker_stop(worker, TS_ERROR_FATAL, ts_message());
        return false;
    case TS_MSG_STOP:
        ts_worker_stop(worker, TS_OK, NULL);
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
    if (worker->desk.stopping)
        return;
    ts_desk_stop(&worker->desk);
    for (int i = 0; i < worker->setup.slots; i++)
        ts_slot_stop(&worker->slot[i]);
}
