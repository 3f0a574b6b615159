// The run command: reads the sweep, has all prepared, trains, and ends in any case as it should.
#define _GNU_SOURCE
#include "run/run.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "run/ending.h"
#include "run/load.h"
#include "run/machine.h"
#include "run/session.h"
#include "run/signals.h"
#include "run/silence.h"
#include "run/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// How long to wait for messages, and for what other ranks of a team send.
static const double POLL_SECONDS = 1e-3, EXCHANGE_SECONDS = 3e-5;

int ts_exit_code(ts_status status) {
    return status == TS_OK ? TS_EXIT_DONE : status == TS_ERROR_USER ? TS_EXIT_USAGE : TS_EXIT_OTHER;
}

// --- Training ---

// Takes all waiting messages; *over: the leader said FINISH.
static bool receive(ts_session *r, ts_worker *worker, bool *over) {
    bool happened = false;
    char bytes[TS_MESSAGE_MAX];
    size_t size;
    int from;
    while (!*over && ts_comm_poll(r->comm, &from, bytes, &size)) {
        ts_run_message message;
        if (size != sizeof message)
            continue; // of ts_comm_leave: the run has ended without this rank
        memcpy(&message, bytes, sizeof message);
        happened = true;
        if (message.kind < TS_MSG_ASSIGN)
            ts_leader_receive(r->leader, from, &message);
        else
            *over = ts_worker_receive(worker, &message);
        if (*over && message.failed > 0)
            ts_comm_part();
    }
    return happened;
}

// Threads without a unit help, where a step has parts that they can take.
static ts_status make_crew(ts_session *r) {
    bool shares = false;
    for (int c = 0; c < r->job->cases; c++)
        shares = shares || r->job->parts[c] > 1;
    ts_status status = ts_crew_create(shares ? r->slots : 1, &r->crew);
    r->job->crew = r->crew;
    return status;
}

// Rank 0 has been silent for too long. What is unfinished here is saved, but not into the midst of another run: each
// has a lock file of its own.
static void end_alone(const ts_session *r, ts_worker *worker) {
    char silent[32];
    bool ours = ts_lock_in_place(&r->lock) && !atomic_load(&r->job->given_up);
    ts_warn("rank %d has heard nothing from rank 0 for %s, and ends%s", r->comm->rank,
            ts_duration_text(r->options->patience, silent), ours ? "; it saves what is unfinished" : "");
    if (ours)
        ts_worker_save(worker);
    // A launcher ends all ranks when one ends so: others, who notice a little later, are to save as well.
    ts_sleep(ts_silence_times_of(r->options->patience, r->comm->size).stop);
    _exit(TS_EXIT_STOPPED);
}

static ts_status train(ts_session *r) {
    ts_worker_setup setup = {
        .comm = r->comm,
        .job = r->job,
        .store = r->store,
        .exchanges = r->exchanges,
        .slots = r->slots,
        .checkpoint_interval = r->options->checkpoint_interval,
        .patience = r->options->patience,
        .leader = r->leader,
    };
    ts_worker *worker = NULL;
    ts_status status = ts_comm_agree(r->comm, ts_worker_create(&setup, &worker));
    ts_ending_phase_begins(TS_PHASE_TRAIN);
    bool over = false;
    int seen = 0;
    while (status == TS_OK && !over) {
        bool happened = ts_worker_tick(worker);
        if (r->leader)
            ts_leader_tick(r->leader);
        happened = receive(r, worker, &over) || happened;
        if (ts_signals_seen() && !seen) {
            char reason[64];
            seen = ts_signals_seen();
            snprintf(reason, sizeof reason, "signal %d (%s)", seen, strsignal(seen));
            ts_worker_stop(worker, TS_OK, reason);
        }
        if (!over && ts_worker_is_cut_off(worker))
            end_alone(r, worker);
        bool exchanging = ts_exchanges_carry(r->exchanges);
        if (!happened)
            ts_exchanges_sleep(r->exchanges, exchanging ? EXCHANGE_SECONDS : POLL_SECONDS);
    }
    ts_ending_phase_begins(TS_PHASE_CLOSE);
    if (worker)
        ts_worker_end_teams(worker);
    ts_worker_free(worker);
    return status;
}

// --- All of it ---

// Before anything is made: is it a place for a results file, with room for the names of the files beside it?
static ts_status check_path(const char *path) {
    static const char LONGEST_SUFFIX[] = ".log.jsonl";
    if (strlen(ts_path_name(path)) + sizeof LONGEST_SUFFIX - 1 > NAME_MAX)
        return ts_fail(TS_ERROR_FATAL, "File name too long: '%s' leaves no room for '%s' behind it", ts_path_name(path),
                       LONGEST_SUFFIX);
    return ts_path_check_regular(path);
}

// The sweep, and the results file it goes to.
static ts_status read_sweep(ts_session *r) {
    ts_status status = ts_load_sweep_again(r->comm, r->options->sweep, r->options->overrides, r->options->n_overrides,
                                           r->options->output, &r->sweep);
    if (status != TS_OK)
        return status;
    char named[PATH_MAX];
    if (r->options->output)
        snprintf(named, sizeof named, "%s", r->options->output);
    else
        snprintf(named, sizeof named, "%s.h5", ts_sweep_name(r->sweep));
    // Lock, log and states go by the file's own name, however it is called.
    status = ts_path_resolve(named, r->path);
    if (status == TS_OK)
        status = check_path(r->path);
    return ts_comm_agree(r->comm, status);
}

static void clean_up(ts_session *r) {
    if (r->comm->rank == 0)
        ts_lock_remove(&r->lock);
    ts_lock_release(&r->lock);
    ts_leader_free(r->leader);
    ts_coordinator_free(r->coordinator);
    ts_runlog_close(r->log);
    ts_free(r->status);
    ts_free(r->reused_from);
    ts_free(r->foreign);
    ts_free(r->continued);
    ts_fewer_steps_free(&r->fewer);
    ts_text_free(&r->advice);
    ts_grid_free(r->grid);
    ts_exchanges_free(r->exchanges);
    ts_crew_free(r->crew);
    ts_job_free(r->job);
    ts_sweep_free(r->sweep);
}

static int run(const ts_comm *comm, const ts_run_options *options) {
    ts_session r = {.comm = comm, .options = options, .started = ts_clock(), .lock.fd = -1};
    r.slots = options->threads > 0 ? options->threads : ts_machine_cores(comm);
    if (options->output && (!*options->output || strlen(options->output) >= sizeof r.path - 16)) {
        if (comm->rank == 0)
            ts_error("-o: the path is %s", *options->output ? "too long" : "empty");
        return TS_EXIT_USAGE;
    }
    ts_status status = read_sweep(&r);
    if (status == TS_OK && options->names_only) {
        if (comm->rank == 0) { // byte by byte, for a program to read
            puts(ts_sweep_name(r.sweep));
            puts(r.path);
        }
        ts_sweep_free(r.sweep);
        return TS_EXIT_DONE;
    }
    const ts_ending_setup ending = {
        .comm = comm, .patience = options->patience, .deadline = ts_session_deadline(&r), .lock = &r.lock};
    if (status == TS_OK) {
        ts_ending_watch(&ending);
        status = ts_session_prepare(&r);
    }
    if (status == TS_OK) {
        ts_progress_start(comm->rank == 0 ? options->progress : TS_PROGRESS_NONE);
        status = ts_comm_agree(comm, make_crew(&r));
        if (status == TS_OK)
            status = ts_comm_agree(comm, ts_exchanges_create(&r.exchanges));
        if (status == TS_OK)
            status = train(&r);
        if (status == TS_OK && !ts_store_in_place(r.store))
            status = ts_fail(TS_ERROR_FATAL,
                             "%s was deleted, moved or replaced during the run; its results are lost "
                             "unless it was moved",
                             r.path);
        status = ts_comm_agree(comm, status);
    }
    ts_status closed = ts_comm_agree(comm, r.store ? ts_store_close(r.store) : TS_OK);
    if (status == TS_OK)
        status = closed;
    int code = ts_exit_code(status);
    if (comm->rank == 0 && status != TS_OK && *ts_message()) {
        ts_progress_end();
        ts_error_message();
        if (r.advice.length > 0 && ts_text_status(&r.advice) == TS_OK)
            ts_error("%s", ts_text_get(&r.advice));
    } else if (comm->rank == 0 && status == TS_OK) {
        code = ts_session_finish(&r);
    }
    clean_up(&r);
    return code;
}

int ts_run(const ts_comm *comm, const ts_run_options *options) {
    int code = run(comm, options);
    if (!options->names_only)
        ts_ending_saved(comm, code);
    return code;
}
