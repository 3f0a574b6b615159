// A team's step loop, the thread that meanwhile looks for signals and deadlines, and which team trains what.
#define _POSIX_C_SOURCE 200809L
#include "run/wide.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/team.h"
#include "base/thread.h"
#include "integrity/state.h"
#include "model/model.h"
#include "results/rows.h"
#include "run/signals.h"
#include "train/trainer.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const double WATCH_SECONDS = 0.05;

// --- Pauses ---

// While the main thread trains and talks to its team, a second one watches for what makes it pause.
typedef struct watch {
    const ts_wide_setup *setup;
    pthread_t thread;
    atomic_int pause; // ts_pause
    atomic_int quit;
} watch;

static void *watch_main(void *argument) {
    watch *w = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    double save = ts_clock() + w->setup->checkpoint_interval;
    while (!atomic_load(&w->quit)) {
        double now = ts_clock();
        int none = TS_PAUSE_NONE;
        if (ts_signals_seen() || (w->setup->deadline > 0 && now >= w->setup->deadline))
            atomic_store(&w->pause, TS_PAUSE_STOP);
        if (now >= save) {
            atomic_compare_exchange_strong(&w->pause, &none, TS_PAUSE_SAVE);
            save = now + w->setup->checkpoint_interval;
        }
        ts_sleep(WATCH_SECONDS);
    }
    return NULL;
}

// --- One instance on one team ---

typedef struct team {
    const ts_wide_setup *setup;
    ts_comm_team *comm;
    ts_team hooks;
    watch watch;
} team;

static bool sum(void *context, float *values, int64_t count, bool mine) {
    ts_comm_team *comm = context;
    int64_t bad = !mine;
    ts_comm_team_sum(comm, values, count);
    ts_comm_team_largest(comm, &bad, 1);
    return !bad;
}

static void largest(void *context, int64_t *values, int count) {
    ts_comm_team_largest(context, values, count);
}

static bool leads(const team *t) {
    return t->hooks.rank == 0;
}

// The worst status of the team, so that none goes on alone.
static ts_status agree(const team *t, ts_status mine) {
    int64_t worst = mine;
    ts_comm_team_largest(t->comm, &worst, 1);
    return mine == TS_OK && worst != TS_OK ? ts_fail((ts_status)worst, "another rank of the team failed") : mine;
}

// A rank that lost its device in the middle of a step: the others wait for it, where nothing reaches them.
static void give_up(const team *t) {
    ts_comm_abort(t->setup->comm, "rank %d: %s", t->setup->comm->rank, ts_message());
}

static void tell(const team *t, ts_run_message *message) {
    if (ts_comm_send(t->setup->comm, 0, message, sizeof *message) != TS_OK)
        ts_warn("%s", ts_message()); // the run goes on; only the log and the progress line miss it
}

static ts_status make_trainer(team *t, const ts_unit *unit, ts_trainer **trainer) {
    ts_job *job = t->setup->job;
    ts_params params;
    ts_parameter_layout layout;
    const ts_trainer_spec spec = {
        .params = &params,
        .count = 1,
        .layout = job->layouts[unit->case_index],
        .data = job->data[unit->case_index],
        .engine = job->engines[unit->case_index],
        .team = &t->hooks,
    };
    ts_case_params(job->sweep, unit->case_index, unit->first_row, &params);
    params.schema->model->layout(&params, &layout);
    // Rows may be padded to whole vectors.
    ts_status status = ts_comm_team_reserve(t->comm, 2 * layout.total + 65536);
    if (status == TS_OK)
        status = ts_trainer_create(&spec, trainer);
    if (status == TS_ERROR_FATAL)
        give_up(t);
    return agree(t, status);
}

// All ranks read the same saved state, or none does.
static ts_status restore(team *t, const ts_unit *unit, ts_trainer **trainer) {
    void *state = NULL;
    size_t bytes = 0;
    ts_status status = ts_state_load(t->setup->job->state_directory, t->setup->job->digest, unit,
                                     ts_trainer_state_bytes(*trainer), &state, &bytes);
    int64_t found[2] = {state != NULL, -(int64_t)(state != NULL)};
    ts_comm_team_largest(t->comm, found, 2);
    bool everywhere = found[1] == -1;
    if (found[0] && !everywhere && leads(t))
        ts_warn("not all ranks can read the saved state of a wide instance; it starts over");
    if (status == TS_OK && everywhere)
        status = ts_trainer_restore(*trainer, state, bytes);
    if (status == TS_ERROR_UNIT) { // on all ranks: they have read the same
        if (leads(t))
            ts_warn("%s: it starts over", ts_message());
        status = TS_OK;
    }
    ts_free(state);
    return agree(t, status);
}

static ts_status commit(team *t, const ts_unit *unit, const ts_trainer *trainer, double seconds) {
    ts_job *job = t->setup->job;
    ts_trained trained = ts_trainer_result(trainer, 0);
    ts_row row = {trained.failure ? TS_ROW_FAILED : TS_ROW_DONE, trained.steps_done, trained.record};
    ts_run_message message = {.kind = TS_MSG_FAILURE};
    message.instance = ts_sweep_case(job->sweep, unit->case_index)->instance[unit->first_row];
    if (trained.failure) {
        snprintf(message.text, sizeof message.text, "%s", trained.failure);
        tell(t, &message);
    }
    ts_status status = ts_store_commit(t->setup->store, unit->case_index, unit->first_row, 1, &row);
    if (status != TS_OK)
        return status;
    ts_state_remove(job->state_directory, unit);
    message = (ts_run_message){.kind = TS_MSG_WIDE,
                               .unit = *unit,
                               .seconds = seconds,
                               .steps = (double)trained.steps_done,
                               .failed = trained.failure != NULL};
    tell(t, &message);
    return TS_OK;
}

// *stopped: the team paused for good, with the state saved.
static ts_status train_unit(team *t, const ts_unit *unit, bool *stopped) {
    ts_trainer *trainer = NULL;
    bool finished = false;
    double start = ts_clock();
    ts_status status = make_trainer(t, unit, &trainer);
    if (status == TS_OK)
        status = restore(t, unit, &trainer);
    while (status == TS_OK && !finished && !*stopped) {
        status = ts_trainer_advance(trainer, &t->watch.pause, &finished);
        if (status == TS_ERROR_FATAL)
            give_up(t);
        if (status != TS_OK || finished)
            break;
        int64_t pause = atomic_load(&t->watch.pause);
        ts_comm_team_largest(t->comm, &pause, 1);
        status = agree(t, leads(t) ? ts_job_save_state(t->setup->job, unit, trainer) : TS_OK);
        *stopped = pause == TS_PAUSE_STOP;
        int saved = TS_PAUSE_SAVE;
        atomic_compare_exchange_strong(&t->watch.pause, &saved, TS_PAUSE_NONE);
    }
    if (status == TS_OK && finished)
        status = agree(t, leads(t) ? commit(t, unit, trainer, ts_clock() - start) : TS_OK);
    ts_trainer_free(trainer);
    return status;
}

// --- All of them ---

// Pending instances that take `ranks` ranks are dealt to the teams in turn.
static ts_status train_share(team *t, int number, int teams, int ranks, const uint8_t *status, bool *stopped) {
    const ts_job *job = t->setup->job;
    int turn = 0;
    for (int c = 0; c < job->cases; c++) {
        const ts_case *of = ts_sweep_case(job->sweep, c);
        if (job->ranks[c] != ranks)
            continue;
        for (int64_t row = 0; row < of->rows && !*stopped; row++) {
            if (status[of->instance[row]] != TS_ROW_PENDING || turn++ % teams != number)
                continue;
            ts_unit unit = {c, row, 1};
            ts_status one = train_unit(t, &unit, stopped);
            if (one != TS_OK)
                return one;
        }
    }
    return TS_OK;
}

// A team has stopped: for a signal to any of its ranks, or the time limit.
static void tell_why(const team *t) {
    int64_t signal = ts_signals_seen();
    ts_run_message message = {.kind = TS_MSG_STOP_ME};
    ts_comm_team_largest(t->comm, &signal, 1);
    if (signal)
        snprintf(message.text, sizeof message.text, "signal %d (%s)", (int)signal, strsignal((int)signal));
    else
        snprintf(message.text, sizeof message.text, "the time limit is near");
    if (leads(t))
        tell(t, &message);
}

static ts_status train_with(const ts_wide_setup *setup, int ranks, const uint8_t *status, bool *stopped) {
    int teams = setup->comm->size / ranks, number = setup->comm->rank / ranks;
    team t = {.setup = setup};
    ts_status made = ts_comm_team_create(setup->comm, number < teams ? number : -1, &t.comm);
    if (made != TS_OK || !t.comm)
        return made;
    t.hooks =
        (ts_team){.rank = ts_comm_team_rank(t.comm), .size = ranks, .sum = sum, .largest = largest, .context = t.comm};
    t.watch.setup = setup;
    ts_status watched = ts_thread_start(&t.watch.thread, watch_main, &t.watch);
    made = agree(&t, watched);
    if (made == TS_OK)
        made = train_share(&t, number, teams, ranks, status, stopped);
    atomic_store(&t.watch.quit, 1);
    if (watched == TS_OK)
        pthread_join(t.watch.thread, NULL);
    if (*stopped)
        tell_why(&t);
    ts_comm_team_free(t.comm);
    return made;
}

static void send(const ts_wide_setup *setup, int to, ts_message_kind kind) {
    ts_run_message message = {.kind = (int32_t)kind};
    if (ts_comm_send(setup->comm, to, &message, sizeof message) != TS_OK)
        ts_comm_abort(setup->comm, "rank %d cannot reach rank %d: %s", setup->comm->rank, to, ts_message());
}

// Rank 0. Takes one waiting message, if there is one. *over counts ranks that are done; *stop: the leader told this
// rank's worker, which is not there yet, to stop.
static bool take_message(const ts_wide_setup *setup, int *over, bool *stop) {
    char bytes[TS_MESSAGE_MAX];
    size_t size;
    int from;
    ts_run_message message;
    if (!ts_comm_poll(setup->comm, &from, bytes, &size))
        return false;
    memcpy(&message, bytes, sizeof message);
    *over += message.kind == TS_MSG_WIDE_OVER;
    *stop = *stop || message.kind == TS_MSG_STOP;
    if (message.kind < TS_MSG_ASSIGN && message.kind != TS_MSG_WIDE_OVER)
        setup->deliver(setup->context, from, &message);
    return true;
}

// Every rank says that it is done; rank 0 takes every message sent before that.
static void gather(const ts_wide_setup *setup) {
    send(setup, 0, TS_MSG_WIDE_OVER);
    if (setup->comm->rank != 0)
        return;
    int over = 0;
    bool stop = false;
    while (over < setup->comm->size)
        if (!take_message(setup, &over, &stop))
            ts_sleep(1e-3);
    while (take_message(setup, &over, &stop)) // what the leader has answered to the last
        ;
    if (stop)
        send(setup, 0, TS_MSG_STOP);
}

ts_status ts_wide_check(const ts_job *job, int ranks) {
    for (int c = 0; c < job->cases; c++) {
        int needed = job->ranks[c];
        if (needed > ranks)
            return ts_fail(TS_ERROR_USER,
                           "ranks_per_instance: %d needs as many ranks, and there %s %d; start with mpirun "
                           "-n %d",
                           needed, ranks == 1 ? "is" : "are", ranks, needed);
    }
    return TS_OK;
}

ts_status ts_wide_train(const ts_wide_setup *setup) {
    const ts_job *job = setup->job;
    int64_t instances = ts_sweep_instances(job->sweep);
    if (job->widest == 1)
        return TS_OK;
    uint8_t *rows = ts_alloc((size_t)instances, "the instances' status");
    ts_status status = ts_comm_agree(setup->comm, rows ? TS_OK : TS_ERROR_FATAL);
    if (status == TS_OK && setup->comm->rank == 0)
        memcpy(rows, setup->status, (size_t)instances);
    if (status == TS_OK)
        ts_comm_broadcast(setup->comm, rows, (size_t)instances);
    bool stopped = false;
    for (int ranks = job->widest; ranks > 1 && status == TS_OK; ranks--) {
        bool any = false;
        for (int c = 0; c < job->cases; c++)
            any = any || job->ranks[c] == ranks;
        if (any && !stopped)
            status = train_with(setup, ranks, rows, &stopped);
        status = ts_comm_agree(setup->comm, status);
        stopped = ts_comm_any(setup->comm, stopped);
    }
    if (status == TS_OK)
        gather(setup);
    ts_free(rows);
    return status;
}
