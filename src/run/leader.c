// Messages in, assignments and stops out; what has been done is counted here.
#include "run/leader.h"

#include "base/clock.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>

struct ts_leader {
    ts_leader_setup setup;
    ts_run_end end;
    ts_progress_state progress;
    ts_run_message *reported; // (ranks) each rank's last STATE
    double *seconds;          // (points of the grid)
    double started;
    int64_t failures; // of this run
    int stopped;      // ranks that answered STOPPED
    bool stopping, finishing;
    double next_show;
};

ts_status ts_leader_create(const ts_leader_setup *setup, ts_leader **out) {
    ts_leader *leader = ts_alloc_zero(1, sizeof *leader, "the leader");
    if (!leader)
        return TS_ERROR_MEMORY;
    leader->setup = *setup;
    leader->started = ts_clock();
    leader->reported = ts_alloc_zero((size_t)setup->comm->size, sizeof *leader->reported, "the leader");
    leader->seconds = ts_alloc_zero((size_t)setup->grid->points, sizeof *leader->seconds, "the leader");
    if (!leader->reported || !leader->seconds) {
        ts_leader_free(leader);
        return TS_ERROR_MEMORY;
    }
    leader->end.seconds = leader->seconds;
    leader->end.done = setup->done;
    leader->end.failed = setup->failed;
    leader->progress = (ts_progress_state){
        .instances = ts_sweep_instances(setup->job->sweep),
        .work_total = ts_coordinator_waiting(setup->coordinator),
        .slots = (int64_t)setup->slots * setup->comm->size,
    };
    *out = leader;
    return TS_OK;
}

void ts_leader_free(ts_leader *leader) {
    if (!leader)
        return;
    ts_free(leader->reported);
    ts_free(leader->seconds);
    ts_free(leader);
}

static void send(ts_leader *leader, int to, const ts_run_message *message) {
    if (ts_comm_send(leader->setup.comm, to, message, sizeof *message) != TS_OK)
        ts_comm_abort(leader->setup.comm, "rank 0 cannot reach rank %d: %s", to, ts_message());
}

static void send_all(ts_leader *leader, ts_message_kind kind) {
    ts_run_message message = {.kind = kind};
    for (int rank = 0; rank < leader->setup.comm->size; rank++)
        send(leader, rank, &message);
}

static void stop(ts_leader *leader, ts_status fault, const char *reason) {
    if ((leader->end.fault == TS_OK && fault != TS_OK) || !leader->end.reason[0])
        snprintf(leader->end.reason, sizeof leader->end.reason, "%s", reason);
    if (leader->end.fault == TS_OK)
        leader->end.fault = fault;
    if (leader->stopping || leader->finishing)
        return;
    leader->stopping = true;
    leader->end.stopped = true;
    ts_coordinator_close(leader->setup.coordinator);
    send_all(leader, TS_MSG_STOP);
}

// For the progress line: what is done is in flight no more, though its rank may not have said so yet.
static void note_work(ts_leader *leader, int from, const ts_run_message *message) {
    double cost = (double)message->unit.rows * leader->setup.job->cost[message->unit.case_index];
    ts_run_message *reported = &leader->reported[from];
    leader->progress.work_done += cost;
    if (message->kind == TS_MSG_WIDE) // not among what waited for the coordinator
        leader->progress.work_total += cost;
    reported->cost_in_flight = fmax(0, reported->cost_in_flight - cost);
    reported->steps_in_flight = fmax(0, reported->steps_in_flight - message->steps);
}

// A unit's time, shared out evenly among its rows.
static void note_seconds(ts_leader *leader, const ts_unit *unit, double seconds) {
    const ts_case *of = ts_sweep_case(leader->setup.job->sweep, unit->case_index);
    for (int64_t row = unit->first_row; row < unit->first_row + unit->rows; row++)
        leader->seconds[leader->setup.grid->point_of[of->instance[row]]] += seconds / (double)unit->rows;
}

static void note_done(ts_leader *leader, int from, const ts_run_message *message) {
    const ts_unit *unit = &message->unit;
    if (message->kind == TS_MSG_DONE) // wide units are not the coordinator's
        ts_coordinator_done(leader->setup.coordinator, unit, message->seconds);
    note_seconds(leader, unit, message->seconds);
    leader->end.done += unit->rows - message->failed;
    leader->end.failed += message->failed;
    leader->progress.units_done++;
    leader->progress.steps += message->steps;
    note_work(leader, from, message);
    ts_text *line = ts_runlog_begin(leader->setup.log, "unit");
    ts_json_integer(line, "case", unit->case_index);
    ts_json_integer(line, "first_row", unit->first_row);
    ts_json_integer(line, "rows", unit->rows);
    ts_json_integer(line, "failed", message->failed);
    ts_json_integer(line, "rank", from);
    ts_json_real(line, "seconds", message->seconds);
    ts_runlog_end(leader->setup.log);
}

static void note_failure(ts_leader *leader, const ts_run_message *message) {
    ts_text *line = ts_runlog_begin(leader->setup.log, "failure");
    ts_json_integer(line, "instance", message->instance);
    ts_json_string(line, "reason", message->text);
    ts_runlog_end(leader->setup.log);
    leader->failures++;
    if (leader->setup.max_failures >= 0 && leader->failures > leader->setup.max_failures) {
        char reason[128];
        leader->end.too_many_failed = true;
        snprintf(reason, sizeof reason, "more than %lld instance%s failed (--max-failures)",
                 (long long)leader->setup.max_failures, ts_plural(leader->setup.max_failures));
        stop(leader, TS_OK, reason);
    }
}

void ts_leader_receive(ts_leader *leader, int from, const ts_run_message *message) {
    ts_coordinator *coordinator = leader->setup.coordinator;
    switch ((ts_message_kind)message->kind) {
    case TS_MSG_REQUEST:
    case TS_MSG_AHEAD:
        if (ts_coordinator_request(coordinator, from, message->kind == TS_MSG_REQUEST) != TS_OK)
            stop(leader, TS_ERROR_FATAL, ts_message());
        return;
    case TS_MSG_URGENT:
        if (ts_coordinator_make_urgent(coordinator, from) != TS_OK)
            stop(leader, TS_ERROR_FATAL, ts_message());
        return;
    case TS_MSG_DONE:
    case TS_MSG_WIDE:
        note_done(leader, from, message);
        return;
    case TS_MSG_FAILURE:
        note_failure(leader, message);
        return;
    case TS_MSG_SPLIT:
        if (!ts_coordinator_split(coordinator, &message->unit))
            stop(leader, TS_ERROR_FATAL, "out of memory on rank 0");
        return;
    case TS_MSG_STATE:
        leader->reported[from] = *message;
        return;
    case TS_MSG_STOP_ME:
        stop(leader, (ts_status)message->status, message->text);
        return;
    case TS_MSG_STOPPED:
        leader->stopped++;
        return;
    default:
        return;
    }
}

static void assign(ts_leader *leader) {
    ts_run_message message = {.kind = TS_MSG_ASSIGN};
    int rank;
    while (ts_coordinator_next(leader->setup.coordinator, &rank, &message.unit)) {
        send(leader, rank, &message);
        ts_text *line = ts_runlog_begin(leader->setup.log, "assign");
        ts_json_integer(line, "case", message.unit.case_index);
        ts_json_integer(line, "first_row", message.unit.first_row);
        ts_json_integer(line, "rows", message.unit.rows);
        ts_json_integer(line, "rank", rank);
        ts_runlog_end(leader->setup.log);
    }
}

static void show(ts_leader *leader) {
    double now = ts_clock();
    if (now < leader->next_show)
        return;
    leader->next_show = now + 0.1;
    ts_progress_state state = leader->progress;
    state.done = leader->end.done;
    state.failed = leader->end.failed;
    state.units_out = ts_coordinator_units_out(leader->setup.coordinator);
    state.elapsed = now - leader->started;
    for (int rank = 0; rank < leader->setup.comm->size; rank++) {
        state.busy += leader->reported[rank].busy;
        state.work_done += leader->reported[rank].cost_in_flight;
        state.steps += leader->reported[rank].steps_in_flight;
    }
    ts_progress_show(&state);
}

void ts_leader_tick(ts_leader *leader) {
    if (leader->finishing)
        return;
    if (leader->setup.deadline > 0 && ts_clock() >= leader->setup.deadline && !leader->stopping)
        stop(leader, TS_OK, "the time limit is near");
    bool over = leader->stopping ? leader->stopped == leader->setup.comm->size
                                 : ts_coordinator_finished(leader->setup.coordinator);
    if (over) {
        leader->finishing = true;
        send_all(leader, TS_MSG_FINISH);
        return;
    }
    assign(leader);
    show(leader);
}

ts_run_end ts_leader_end(const ts_leader *leader) {
    return leader->end;
}
