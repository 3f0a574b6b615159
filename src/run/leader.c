// Messages in, assignments and stops out; what has been done is counted here.
#include "run/leader.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "run/ending.h"
#include "run/silence.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Of its time rank 0 spends a few hundredths at most on saying that it may be busy, and is not any more: so many
// seconds a rank are meant for that. Many ranks hear the latter a little later than they could.
static const double ANNOUNCE_SECONDS = 1e-4, ANNOUNCE_AHEAD = 0.1;

typedef struct rank_state {
    ts_run_message reported; // its last STATE
    int64_t units, rows;     // that it was given, and has neither done nor split
    bool stopped;
} rank_state;

// A team that trains a unit.
typedef struct team {
    ts_unit unit;
    ts_team_place place;
    int returned; // ranks that have stopped it
} team;

struct ts_leader {
    ts_leader_setup setup;
    ts_run_end end;
    ts_progress_state progress;
    rank_state *ranks;     // (ranks)
    ts_silence *silence;   // of all ranks
    bool announced;        // the others know that this rank may be busy
    double announced_till; // the time that was meant for that is spent up to here
    double *seconds;       // (points of the grid)
    team *teams;           // (ranks), of which n_teams are at work
    int n_teams, numbers;  // numbers: given to teams so far
    double started;
    int64_t failures; // of this run
    int stopped;      // ranks that answered STOPPED
    bool stopping, finishing;
    double next_show;
    double heard; // ts_clock() when a rank last asked for work or ended some
};

// Ranks that ask for nothing for so many seconds are not waited for with what they could share.
static const double ASKING_SECONDS = 5;

ts_status ts_leader_create(const ts_leader_setup *setup, ts_leader **out) {
    ts_leader *leader = ts_alloc_zero(1, sizeof *leader, "the leader");
    if (!leader)
        return TS_ERROR_MEMORY;
    leader->setup = *setup;
    leader->started = leader->heard = ts_clock();
    leader->ranks = ts_alloc_zero((size_t)setup->comm->size, sizeof *leader->ranks, "the leader");
    leader->seconds = ts_alloc_zero((size_t)setup->grid->points, sizeof *leader->seconds, "the leader");
    leader->teams = ts_alloc_zero((size_t)setup->comm->size, sizeof *leader->teams, "the leader");
    const ts_silence_times times = ts_silence_times_of(setup->patience, setup->comm->size);
    if (!leader->ranks || !leader->seconds || !leader->teams ||
        ts_silence_create(&times, setup->comm->size, &leader->silence) != TS_OK) {
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
    ts_silence_free(leader->silence);
    ts_free(leader->ranks);
    ts_free(leader->seconds);
    ts_free(leader->teams);
    ts_free(leader);
}

static void send(ts_leader *leader, int to, const ts_run_message *message) {
    if (ts_comm_send(leader->setup.comm, to, message, sizeof *message) != TS_OK)
        ts_comm_abort(leader->setup.comm, "rank 0 cannot reach rank %d: %s", to, ts_message());
}

// To all ranks that are not lost, from `first` on.
static void send_all(ts_leader *leader, int first, const ts_run_message *message) {
    for (int rank = first; rank < leader->setup.comm->size; rank++)
        if (!ts_silence_is_lost(leader->silence, rank))
            send(leader, rank, message);
}

// --- Rank 0's own silence ---

void ts_leader_begin_work(ts_leader *leader) {
    if (leader->announced || leader->finishing)
        return;
    leader->announced = true;
    leader->announced_till = fmax(leader->announced_till, ts_clock()) + ANNOUNCE_SECONDS * leader->setup.comm->size;
    send_all(leader, 1, &(ts_run_message){.kind = TS_MSG_WAIT});
}

void ts_leader_end_work(ts_leader *leader) {
    if (!leader->announced || leader->finishing || leader->announced_till > ts_clock() + ANNOUNCE_AHEAD)
        return; // a tick will tell
    leader->announced = false;
    send_all(leader, 1, &(ts_run_message){.kind = TS_MSG_ALIVE});
}

// The log may be as slow as the results file.
static ts_text *begin_line(ts_leader *leader, const char *event) {
    ts_leader_begin_work(leader);
    return ts_runlog_begin(leader->setup.log, event);
}

static void end_line(ts_leader *leader) {
    ts_runlog_end(leader->setup.log);
    ts_leader_end_work(leader);
}

// --- Events ---

static void stop(ts_leader *leader, ts_status fault, const char *reason) {
    if ((leader->end.fault == TS_OK && fault != TS_OK) || !leader->end.reason[0])
        snprintf(leader->end.reason, sizeof leader->end.reason, "%s", reason);
    if (leader->end.fault == TS_OK)
        leader->end.fault = fault;
    if (leader->stopping || leader->finishing)
        return;
    leader->stopping = true;
    leader->end.stopped = true;
    ts_ending_saving(leader->setup.comm);
    ts_coordinator_close(leader->setup.coordinator);
    ts_silence_stop(leader->silence);
    send_all(leader, 0, &(ts_run_message){.kind = TS_MSG_STOP});
}

// For the progress line: what is done is in flight no more, though its rank may not have said so yet.
static void note_work(ts_leader *leader, int from, const ts_run_message *message) {
    double cost = (double)message->unit.rows * leader->setup.job->cost[message->unit.case_index];
    ts_run_message *reported = &leader->ranks[from].reported;
    leader->progress.work_done += cost;
    reported->cost_in_flight = fmax(0, reported->cost_in_flight - cost);
    reported->steps_in_flight = fmax(0, reported->steps_in_flight - message->steps);
}

// A unit's time, shared out evenly among its rows.
static void note_seconds(ts_leader *leader, const ts_unit *unit, double seconds) {
    const ts_case *of = ts_sweep_case(leader->setup.job->sweep, unit->case_index);
    for (int64_t row = unit->first_row; row < unit->first_row + unit->rows; row++)
        leader->seconds[leader->setup.grid->point_of[of->instance[row]]] += seconds / (double)unit->rows;
}

// A line about a unit.
static ts_text *begin_unit_line(ts_leader *leader, const char *event, const ts_unit *unit) {
    ts_text *line = begin_line(leader, event);
    ts_json_integer(line, "case", unit->case_index);
    ts_json_integer(line, "first_row", unit->first_row);
    ts_json_integer(line, "rows", unit->rows);
    return line;
}

// Of rows that are handed out no more, until they are anew.
static void log_rows(ts_leader *leader, const char *event, const ts_unit *unit) {
    begin_unit_line(leader, event, unit);
    end_line(leader);
}

// --- Teams ---

// A unit is not a rank's any more.
static void give_back(rank_state *rank, const ts_unit *unit) {
    rank->units--;
    rank->rows -= unit->rows;
}

// NULL: no team trains it.
static team *find_team(ts_leader *leader, const ts_unit *unit) {
    for (int i = 0; i < leader->n_teams; i++)
        if (ts_unit_is(&leader->teams[i].unit, unit))
            return &leader->teams[i];
    return NULL;
}

static void end_team(ts_leader *leader, team *of) {
    *of = leader->teams[--leader->n_teams];
}

static void send_ranks(ts_leader *leader, int first, int ranks, const ts_run_message *message) {
    for (int rank = first; rank < first + ranks; rank++)
        send(leader, rank, message);
}

// A rank cannot go on: those that train with it must not wait for it. (Some may wait for the last words of a team whose
// unit is done.) False: none do, that is known of.
static bool break_teams(ts_leader *leader, int rank) {
    bool any = false;
    for (int i = 0; i < leader->n_teams; i++) {
        const ts_team_place *place = &leader->teams[i].place;
        any = any || (rank >= place->first && rank < place->first + place->ranks);
    }
    send_all(leader, 0, &(ts_run_message){.kind = TS_MSG_BREAK, .team = {rank, 1, -1}});
    return any;
}

// One of its ranks has stopped a unit; or, where the run stops, has not begun with it, and the others must not wait.
static void note_returned(ts_leader *leader, int from, const ts_run_message *message) {
    team *of = find_team(leader, &message->unit); // NULL: a rank alone trained it
    if (leader->stopping)
        break_teams(leader, from);
    if (of && ++of->returned < of->place.ranks)
        return;
    give_back(&leader->ranks[of ? of->place.first : from], &message->unit);
    log_rows(leader, "returned", &message->unit);
    if (of)
        end_team(leader, of);
    if (ts_coordinator_returned(leader->setup.coordinator, &message->unit, 1 - message->done) != TS_OK)
        stop(leader, TS_ERROR_FATAL, ts_message());
}

// --- What ranks say ---

static void note_done(ts_leader *leader, int from, const ts_run_message *message) {
    const ts_unit *unit = &message->unit;
    team *of = find_team(leader, unit);
    if (of)
        end_team(leader, of);
    ts_coordinator_done(leader->setup.coordinator, unit, message->seconds);
    note_seconds(leader, unit, message->seconds);
    leader->end.done += unit->rows - message->failed;
    leader->end.failed += message->failed;
    leader->progress.units_done++;
    leader->progress.steps += message->steps;
    note_work(leader, from, message);
    ts_text *line = begin_unit_line(leader, "unit", unit);
    ts_json_integer(line, "failed", message->failed);
    ts_json_integer(line, "rank", from);
    ts_json_real(line, "seconds", message->seconds);
    end_line(leader);
}

static void note_failure(ts_leader *leader, const ts_run_message *message) {
    ts_text *line = begin_line(leader, "failure");
    ts_json_integer(line, "instance", message->instance);
    ts_json_string(line, "reason", message->text);
    end_line(leader);
    leader->failures++;
    if (leader->setup.max_failures >= 0 && leader->failures > leader->setup.max_failures) {
        char reason[128];
        leader->end.too_many_failed = true;
        snprintf(reason, sizeof reason, "more than %lld instance%s failed (--max-failures)",
                 (long long)leader->setup.max_failures, ts_plural(leader->setup.max_failures));
        stop(leader, TS_OK, reason);
    }
}

// A rank's sign of life, and whether it can go by ours.
static void answer(ts_leader *leader, int to, const ts_run_message *message) {
    ts_run_message sign = {.kind = leader->announced ? TS_MSG_WAIT : TS_MSG_ALIVE, .seconds = message->seconds};
    if (ts_silence_is_lost(leader->silence, to))
        sign.kind = TS_MSG_LOST;
    send(leader, to, &sign);
}

void ts_leader_receive(ts_leader *leader, int from, const ts_run_message *message) {
    ts_coordinator *coordinator = leader->setup.coordinator;
    if (message->kind == TS_MSG_STATE && !leader->finishing)
        answer(leader, from, message);
    if (ts_silence_is_lost(leader->silence, from))
        return; // what it has committed is in the file, and the next run finds it there
    if (message->kind != TS_MSG_STATE && message->kind != TS_MSG_PROGRESS)
        leader->heard = ts_clock();
    if (message->kind == TS_MSG_BUSY)
        ts_silence_announced(leader->silence, from);
    else
        ts_silence_heard(leader->silence, from);
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
        give_back(&leader->ranks[from], &message->unit);
        note_done(leader, from, message);
        return;
    case TS_MSG_FAILURE:
        note_failure(leader, message);
        return;
    case TS_MSG_SPLIT:
        give_back(&leader->ranks[from], &message->unit);
        log_rows(leader, "split", &message->unit);
        if (!ts_coordinator_split(coordinator, &message->unit))
            stop(leader, TS_ERROR_FATAL, "out of memory on rank 0");
        return;
    case TS_MSG_STATE:
        leader->ranks[from].reported = *message;
        return;
    case TS_MSG_PROGRESS:
        ts_coordinator_progress(coordinator, &message->unit, message->done);
        return;
    case TS_MSG_RETURNED:
        note_returned(leader, from, message);
        return;
    case TS_MSG_STOP_ME:
        if (message->status != TS_OK)
            break_teams(leader, from);
        stop(leader, (ts_status)message->status, message->text);
        return;
    case TS_MSG_STOPPED:
        leader->ranks[from].stopped = true;
        leader->stopped++;
        return;
    default:
        return;
    }
}

static void log_unit(ts_leader *leader, const char *event, const ts_assignment *of) {
    ts_text *line = begin_unit_line(leader, event, &of->unit);
    ts_json_integer(line, "rank", of->rank);
    if (of->ranks > 1)
        ts_json_integer(line, "ranks", of->ranks);
    end_line(leader);
}

static void assign(ts_leader *leader) {
    ts_assignment of;
    while (ts_coordinator_next(leader->setup.coordinator, &of)) {
        ts_run_message message = {.kind = TS_MSG_ASSIGN, .unit = of.unit, .team = {of.rank, of.ranks, -1}};
        if (of.ranks > 1) {
            message.team.number = leader->numbers++;
            leader->teams[leader->n_teams++] = (team){.unit = of.unit, .place = message.team};
        }
        send_ranks(leader, of.rank, of.ranks, &message);
        leader->ranks[of.rank].units++;
        leader->ranks[of.rank].rows += of.unit.rows;
        log_unit(leader, "assign", &of);
    }
    while (ts_coordinator_recall(leader->setup.coordinator, &of)) {
        send_ranks(leader, of.rank, of.ranks, &(ts_run_message){.kind = TS_MSG_RECALL, .unit = of.unit});
        log_unit(leader, "recall", &of);
    }
    if (ts_coordinator_status(leader->setup.coordinator) != TS_OK)
        stop(leader, TS_ERROR_FATAL, "out of memory on rank 0");
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
        const ts_run_message *reported = &leader->ranks[rank].reported;
        state.busy += reported->busy;
        state.work_done += reported->cost_in_flight;
        state.steps += reported->steps_in_flight;
    }
    ts_progress_show(&state);
}

// --- Silent ranks ---

// Names of some ranks, as many as fit a line: "ranks 3 (node7), 4 (node7)".
typedef struct rank_names {
    int count;
    char text[200];
} rank_names;

static void add_name(rank_names *names, const ts_leader *leader, int rank) {
    enum { SHOWN = 4 };
    size_t length = strlen(names->text);
    const char *host = leader->ranks[rank].reported.text;
    if (names->count++ < SHOWN)
        snprintf(names->text + length, sizeof names->text - length, "%s%d%s%.32s%s", length ? ", " : "", rank,
                 *host ? " (" : "", host, *host ? ")" : "");
    else if (names->count == SHOWN + 1)
        snprintf(names->text + length, sizeof names->text - length, " and more");
}

static void log_silence(ts_leader *leader, ts_silence_event event, int rank) {
    static const char *const names[] = {
        [TS_SILENCE_WARN] = "silent", [TS_SILENCE_BACK] = "heard", [TS_SILENCE_LOST] = "lost"};
    ts_text *line = begin_line(leader, names[event]);
    ts_json_integer(line, "rank", rank);
    ts_json_string(line, "host", leader->ranks[rank].reported.text);
    ts_json_integer(line, "rows", leader->ranks[rank].rows);
    ts_json_real(line, "seconds", ts_silence_of(leader->silence, rank));
    end_line(leader);
}

// What it had is neither waited for nor trained by others, since it may still be at it: it stays pending.
static void lose(ts_leader *leader, int rank) {
    rank_state *state = &leader->ranks[rank];
    ts_coordinator_lost(leader->setup.coordinator, rank, state->units);
    state->units = state->rows = 0;
    leader->stopped -= state->stopped;
    state->reported.busy = 0;
    state->reported.cost_in_flight = state->reported.steps_in_flight = 0;
    send(leader, rank, &(ts_run_message){.kind = TS_MSG_LOST});
    if (break_teams(leader, rank) || leader->setup.teams_are_fixed)
        stop(leader, TS_OK, "a rank that trains together with others is lost");
}

static void watch_ranks(ts_leader *leader) {
    rank_names silent = {0}, back = {0}, lost = {0};
    char patience[32];
    int rank;
    ts_silence_tick(leader->silence, ts_clock());
    for (ts_silence_event event; (event = ts_silence_next(leader->silence, &rank)) != TS_SILENCE_NONE;) {
        log_silence(leader, event, rank);
        add_name(event == TS_SILENCE_WARN ? &silent : event == TS_SILENCE_BACK ? &back : &lost, leader, rank);
        if (event == TS_SILENCE_LOST)
            lose(leader, rank);
    }
    if (silent.count > 0)
        ts_warn("rank%s %s fell silent; work of silent ranks is waited for up to %s (--patience), of those that write "
                "up to 5 times as long",
                ts_plural(silent.count), silent.text, ts_duration_text(leader->setup.patience, patience));
    if (back.count > 0)
        ts_warn("rank%s %s can be heard again", ts_plural(back.count), back.text);
    if (lost.count == 0)
        return;
    ts_warn("rank%s %s stayed silent and %s given up; what %s had can be trained by the next run",
            ts_plural(lost.count), lost.text, lost.count > 1 ? "are" : "is", lost.count > 1 ? "they" : "it");
    size_t length = strlen(leader->end.lost);
    snprintf(leader->end.lost + length, sizeof leader->end.lost - length, "%srank%s %s", length ? ", " : "",
             ts_plural(lost.count), lost.text);
    if (2 * ts_silence_lost(leader->silence) > leader->setup.comm->size)
        stop(leader, TS_OK, "most ranks are lost");
}

static bool is_over(const ts_leader *leader) {
    bool over = leader->stopping ? leader->stopped + ts_silence_lost(leader->silence) == leader->setup.comm->size
                                 : ts_coordinator_finished(leader->setup.coordinator);
    return over && ts_silence_all_near(leader->silence); // all that comes now, all ranks must do together
}

static void finish(ts_leader *leader) {
    leader->finishing = true;
    ts_run_message message = {.kind = TS_MSG_FINISH, .failed = ts_silence_lost(leader->silence)};
    send_all(leader, 0, &message);
}

void ts_leader_tick(ts_leader *leader) {
    if (leader->finishing)
        return;
    ts_leader_end_work(leader);
    watch_ranks(leader);
    if (leader->setup.deadline > 0 && ts_clock() >= leader->setup.deadline && !leader->stopping)
        stop(leader, TS_OK, "the time limit is near");
    if (is_over(leader)) {
        finish(leader);
        return;
    }
    if (ts_clock() > leader->heard + ASKING_SECONDS) {
        ts_coordinator_wait_no_more(leader->setup.coordinator);
        leader->heard = ts_clock();
    }
    assign(leader);
    show(leader);
}

ts_run_end ts_leader_end(const ts_leader *leader) {
    return leader->end;
}
