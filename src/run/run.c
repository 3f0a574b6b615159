// The run command: reads the sweep, has all prepared, trains, and ends in any case as it should.
#define _GNU_SOURCE
#include "run/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "run/load.h"
#include "run/machine.h"
#include "run/session.h"
#include "run/signals.h"
#include "run/wide.h"
#include "run/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double POLL_SECONDS = 1e-3;

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
        memcpy(&message, bytes, sizeof message);
        happened = true;
        if (message.kind < TS_MSG_ASSIGN)
            ts_leader_receive(r->leader, from, &message);
        else
            *over = ts_worker_receive(worker, &message);
    }
    return happened;
}

static void deliver(void *context, int from, const ts_run_message *message) {
    ts_session *r = context;
    ts_leader_receive(r->leader, from, message);
}

static ts_status train_wide(ts_session *r) {
    ts_wide_setup setup = {
        .comm = r->comm,
        .job = r->job,
        .store = r->store,
        .status = r->status,
        .checkpoint_interval = r->options->checkpoint_interval,
        .deadline = ts_session_deadline(r),
        .deliver = deliver,
        .context = r,
    };
    return ts_wide_train(&setup);
}

static ts_status train(ts_session *r) {
    ts_worker_setup setup = {
        .comm = r->comm,
        .job = r->job,
        .store = r->store,
        .slots = r->slots,
        .checkpoint_interval = r->options->checkpoint_interval,
    };
    ts_worker *worker = NULL;
    ts_status status = ts_comm_agree(r->comm, ts_worker_create(&setup, &worker));
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
        if (!happened)
            ts_sleep(POLL_SECONDS);
    }
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
    ts_status status =
        ts_load_sweep(r->comm, r->options->sweep, r->options->overrides, r->options->n_overrides, &r->sweep);
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
    char lock[PATH_MAX];
    if (r->comm->rank == 0 && ts_session_beside(r, ".lock", lock) == TS_OK)
        ts_lock_release(&r->lock, lock, true);
    else
        ts_lock_release(&r->lock, NULL, false);
    ts_leader_free(r->leader);
    ts_coordinator_free(r->coordinator);
    ts_runlog_close(r->log);
    ts_free(r->status);
    ts_free(r->reused_from);
    ts_text_free(&r->advice);
    ts_grid_free(r->grid);
    ts_job_free(r->job);
    ts_sweep_free(r->sweep);
}

int ts_run(const ts_comm *comm, const ts_run_options *options) {
    ts_session r = {.comm = comm, .options = options, .started = ts_clock(), .lock = {-1}};
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
    if (status == TS_OK)
        status = ts_session_prepare(&r);
    if (status == TS_OK) {
        ts_progress_start(comm->rank == 0 ? options->progress : TS_PROGRESS_NONE);
        status = train_wide(&r);
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
    ts_comm_broadcast(comm, &code, sizeof code);
    return code;
}
