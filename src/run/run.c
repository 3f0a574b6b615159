#define _GNU_SOURCE
#include "run/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "integrity/check.h"
#include "integrity/lock.h"
#include "integrity/reuse.h"
#include "results/create.h"
#include "results/format.h"
#include "results/reader.h"
#include "results/rows.h"
#include "run/leader.h"
#include "run/load.h"
#include "run/next.h"
#include "run/outgrown.h"
#include "run/report.h"
#include "run/schedule.h"
#include "run/signals.h"
#include "run/wide.h"
#include "run/worker.h"
#include "task/data.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Ranks of a killed run may take some seconds to die.
static const double LOCK_PATIENCE = 10;
static const double POLL_SECONDS = 1e-3;
enum { POINTS_SHOWN = 60 }; // in the report

typedef struct run {
    const ts_comm *comm;
    const ts_run_options *options;
    double started;
    int slots;
    char path[PATH_MAX]; // the results file
    ts_sweep *sweep;
    ts_job *job;
    ts_lock lock;
    ts_store *store;
    // Rank 0 only.
    uint8_t *status; // (instances) of the results file before this run
    ts_grid *grid;   // of the sweep, for the report
    int64_t done, failed, pending, reused;
    int64_t *reused_from; // (options->n_reuse) rows of each file
    ts_text advice;       // what else to say if it ends at once
    ts_coordinator *coordinator;
    ts_runlog *log;
    ts_leader *leader;
} run;

int ts_run_cores(const ts_comm *comm) {
    cpu_set_t mask;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : (int)online;
    int share = (int)(online / comm->node_size);
    int cores = allowed < share ? allowed : share;
    return cores < 1 ? 1 : cores;
}

int64_t ts_run_slot_bytes(const ts_comm *comm, int slots) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    // Half of the node's memory, shared by its ranks' slots.
    return (int64_t)pages * size / 2 / ((int64_t)comm->node_size * slots);
}

int ts_exit_code(ts_status status) {
    return status == TS_OK ? TS_EXIT_DONE : status == TS_ERROR_USER ? TS_EXIT_USAGE : TS_EXIT_OTHER;
}

static ts_status sibling(const run *r, const char *suffix, char out[PATH_MAX]) {
    if ((size_t)snprintf(out, PATH_MAX, "%s%s", r->path, suffix) >= PATH_MAX)
        return ts_fail(TS_ERROR_USER, "the path of the results file is too long");
    return TS_OK;
}

// --- Before training ---

// An unfinished file goes on with the backend it was begun with; else all ranks take what rank 0 finds best.
static ts_status choose_backend(run *r, const ts_backend **backend) {
    char name[32];
    snprintf(name, sizeof name, "%s", r->options->backend);
    if (r->comm->rank == 0 && strcmp(name, "auto") == 0 && ts_path_exists(r->path)) {
        char existing[32];
        if (ts_format_backend(r->path, existing) == TS_OK && ts_backend_find(existing))
            snprintf(name, sizeof name, "%s", existing);
    }
    ts_status status = TS_OK;
    if (r->comm->rank == 0 && (status = ts_job_backend(r->sweep, name, backend)) == TS_OK)
        snprintf(name, sizeof name, "%s", (*backend)->name);
    status = ts_comm_agree(r->comm, status);
    if (status != TS_OK)
        return status;
    ts_comm_broadcast(r->comm, name, sizeof name);
    return ts_comm_agree(r->comm, ts_job_backend(r->sweep, name, backend));
}

// Rank 0: makes the file, or checks the one that is there.
static ts_status prepare_file(run *r) {
    const ts_job *job = r->job;
    int64_t n = ts_sweep_instances(r->sweep), damaged = 0;
    char lock[PATH_MAX];
    ts_status status = sibling(r, ".lock", lock);
    if (status == TS_OK)
        status = ts_lock_take(lock, LOCK_PATIENCE, &r->lock);
    if (status != TS_OK)
        return status;
    r->status = ts_alloc_zero((size_t)n, 1, "the instances' status");
    if (!r->status)
        return TS_ERROR_FATAL;
    const ts_record_layout *const *layouts = (const ts_record_layout *const *)job->layouts;
    for (int i = 0; i < r->options->n_reuse && status == TS_OK; i++)
        status = ts_reuse_check(r->options->reuse[i], job->backend->name, "--reuse: ");
    if (status != TS_OK)
        return status;
    if (!ts_path_exists(r->path))
        return ts_results_create(r->path, r->sweep, layouts, job->backend->name);
    status = ts_check_results(r->path, r->sweep, layouts, job->backend->name, r->options->retry_failed,
                              r->status, &damaged);
    if (status == TS_ERROR_FATAL)
        ts_outgrown_advise(r->path, r->sweep, job->backend, r->options, &r->advice);
    if (status == TS_OK && damaged > 0)
        ts_warn("%s: %lld damaged rows; they are trained again", r->path, (long long)damaged);
    return status;
}

static ts_status open_file(run *r) {
    ts_status status = TS_OK;
    char lock[PATH_MAX];
    if (r->comm->rank == 0)
        status = prepare_file(r);
    status = ts_comm_agree(r->comm, status);
    if (status != TS_OK)
        return status;
    if (r->comm->rank != 0 && (status = sibling(r, ".lock", lock)) == TS_OK)
        status = ts_lock_join(lock, &r->lock);
    status = ts_comm_agree(r->comm, status);
    if (status == TS_OK)
        status = ts_store_open(r->path, r->comm, r->sweep, (const ts_record_layout *const *)r->job->layouts,
                               &r->store);
    return ts_comm_agree(r->comm, status);
}

static void visit_start(const ts_yaml_node *line, void *context) {
    const ts_yaml_node *event = ts_yaml_get(line, "event"), *device = ts_yaml_get(line, "device");
    if (event && event->text && strcmp(event->text, "start") == 0 && device && device->text)
        snprintf(context, 32, "%s", device->text);
}

// Bits are those of one kind of processor: say so if the run goes on with kernels that round otherwise.
static void warn_of_other_device(const run *r, const char *log_path) {
    char before[32] = "";
    const char *now = r->job->backend->device();
    bool portable = strcmp(now, "portable") == 0;
    if (ts_runlog_read(log_path, visit_start, before) == TS_OK && *before && strcmp(before, now) != 0 &&
        (portable || strcmp(before, "portable") == 0))
        ts_warn("this run uses %s kernels, the one before used %s: instances that are new now differ in "
                "their last "
                "bits from what that one would have given",
                now, before);
}

static void log_start(run *r) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    ts_text *line = ts_runlog_begin(r->log, "start");
    ts_json_string(line, "version", TOYSWEEP_VERSION);
    ts_json_string(line, "sweep", r->options->sweep);
    ts_json_string(line, "host", host);
    ts_json_integer(line, "pid", getpid());
    ts_json_integer(line, "ranks", r->comm->size);
    ts_json_integer(line, "slots", r->slots);
    ts_json_string(line, "backend", r->job->backend->name);
    ts_json_string(line, "device", r->job->backend->device());
    ts_json_integer(line, "done", r->done);
    ts_json_integer(line, "failed", r->failed);
    ts_json_integer(line, "pending", r->pending);
    ts_json_integer(line, "reused", r->reused);
    ts_json_open(line, "reused_from", '[');
    for (int i = 0; i < r->options->n_reuse; i++) {
        ts_json_open(line, NULL, '{');
        ts_json_string(line, "file", r->options->reuse[i]);
        ts_json_integer(line, "rows", r->reused_from[i]);
        ts_json_close(line, '}');
    }
    ts_json_close(line, ']');
    ts_runlog_end(r->log);
}

static void count_status(run *r) {
    r->done = r->failed = r->pending = 0;
    for (int64_t i = 0; i < ts_sweep_instances(r->sweep); i++) {
        r->done += r->status[i] == TS_ROW_DONE;
        r->failed += r->status[i] == TS_ROW_FAILED;
        r->pending += r->status[i] == TS_ROW_PENDING;
    }
}

static double deadline(const run *r) {
    // What is left after the limit must be enough to save everything.
    double limit = r->options->time_limit, margin = limit * 0.05 > 60 ? 60 : limit * 0.05;
    return limit > 0 ? r->started + limit - margin : 0;
}

// Rank 0: takes over what other files have, the first of them first.
static ts_status reuse_files(run *r) {
    ts_identities *identities = NULL;
    int n = r->options->n_reuse;
    if (n == 0)
        return TS_OK;
    r->reused_from = ts_alloc_zero((size_t)n, sizeof *r->reused_from, "rows to be reused");
    ts_status status = r->reused_from ? ts_identities_make(r->sweep, &identities) : TS_ERROR_FATAL;
    const ts_reuse reuse = {.store = r->store,
                            .sweep = r->sweep,
                            .layouts = (const ts_record_layout *const *)r->job->layouts,
                            .identities = identities,
                            .status = r->status};
    for (int i = 0; i < n && status == TS_OK; i++) {
        ts_reuse_counts counts;
        status = ts_reuse_take(&reuse, r->options->reuse[i], i, &counts);
        r->reused += r->reused_from[i] = counts.done;
        if (status == TS_OK)
            ts_print("%s: %lld instance%s taken over from %s", r->path, (long long)counts.done,
                     ts_plural(counts.done), r->options->reuse[i]);
    }
    ts_identities_free(identities);
    return status;
}

// Rank 0: what is there to do, and who decides.
static ts_status prepare_leader(run *r) {
    char log_path[PATH_MAX];
    ts_status status = reuse_files(r);
    if (status != TS_OK)
        return status;
    count_status(r);
    status = sibling(r, ".log.jsonl", log_path);
    if (status == TS_OK)
        warn_of_other_device(r, log_path);
    if (status == TS_OK)
        status = ts_runlog_open(log_path, &r->log);
    if (status == TS_OK)
        status = ts_grid_make(r->sweep, &r->grid);
    if (status == TS_OK)
        status = ts_schedule_make(r->job, r->status, r->comm->size, r->slots,
                                  ts_run_slot_bytes(r->comm, r->slots), &r->coordinator);
    if (status != TS_OK)
        return status;
    if (r->pending > 0)
        log_start(r);
    ts_leader_setup setup = {
        .comm = r->comm,
        .job = r->job,
        .coordinator = r->coordinator,
        .log = r->log,
        .grid = r->grid,
        .slots = r->slots,
        .done = r->done,
        .failed = r->failed,
        .deadline = deadline(r),
        .max_failures = r->options->max_failures,
    };
    return ts_leader_create(&setup, &r->leader);
}

// --- Training ---

// Takes all waiting messages; *over: the leader said FINISH.
static bool receive(run *r, ts_worker *worker, bool *over) {
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

static void hear(void *context, int from, const ts_run_message *message) {
    run *r = context;
    ts_leader_receive(r->leader, from, message);
}

static ts_status train_wide(run *r) {
    ts_wide_setup setup = {
        .comm = r->comm,
        .job = r->job,
        .store = r->store,
        .status = r->status,
        .checkpoint_interval = r->options->checkpoint_interval,
        .deadline = deadline(r),
        .hear = hear,
        .context = r,
    };
    return ts_wide_train(&setup);
}

static ts_status train(run *r) {
    ts_worker_setup setup = {r->comm, r->job, r->store, r->slots, r->options->checkpoint_interval};
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

// --- Afterwards ---

static void print_report(run *r, const ts_run_end *end) {
    ts_reader *reader = NULL;
    ts_report *report = NULL;
    char elapsed[32];
    ts_status status = ts_reader_open(r->path, &reader);
    if (status == TS_OK)
        status = ts_report_open(reader, r->grid, &report);
    if (status == TS_OK)
        status = ts_report_print(report, r->path, end->seconds, POINTS_SHOWN);
    if (status != TS_OK)
        ts_warn("no report: %s", ts_message());
    ts_report_close(report);
    ts_reader_close(reader);
    int64_t left = ts_sweep_instances(r->sweep) - end->done - end->failed;
    putchar('\n');
    ts_print("%s: %lld done, %lld failed, %lld left, in %s", r->path, (long long)end->done,
             (long long)end->failed, (long long)left, ts_duration_text(ts_clock() - r->started, elapsed));
    if (end->fault == TS_OK && left == 0)
        ts_next_look(r->path);
    else
        ts_next_continue(r->options->sweep, r->path, r->options->overrides, r->options->n_overrides);
}

static int exit_code(const run *r, const ts_run_end *end) {
    int64_t left = ts_sweep_instances(r->sweep) - end->done - end->failed;
    if (end->fault != TS_OK)
        return TS_EXIT_OTHER;
    if (end->too_many_failed && left > 0)
        return TS_EXIT_FAILURES;
    if (left > 0)
        return TS_EXIT_STOPPED;
    return end->failed > 0 ? TS_EXIT_FAILURES : TS_EXIT_DONE;
}

// Rank 0, after the file is closed.
static int finish(run *r) {
    ts_run_end end = ts_leader_end(r->leader);
    int code = exit_code(r, &end);
    ts_progress_end();
    if (r->pending == 0) {
        char copied[64] = "", failed[80] = "";
        if (r->reused)
            snprintf(copied, sizeof copied, " (%lld copied now)", (long long)r->reused);
        if (r->failed)
            snprintf(failed, sizeof failed, " (%lld failed; --retry-failed trains them again)",
                     (long long)r->failed);
        ts_print("%s: nothing to do, all %lld instances are finished%s%s", r->path,
                 (long long)ts_sweep_instances(r->sweep), copied, failed);
    } else {
        ts_text *line = ts_runlog_begin(r->log, "end");
        ts_json_integer(line, "exit", code);
        ts_json_string(line, "reason", end.reason);
        ts_json_integer(line, "done", end.done);
        ts_json_integer(line, "failed", end.failed);
        ts_json_real(line, "seconds", ts_clock() - r->started);
        ts_runlog_end(r->log);
        print_report(r, &end);
        if (code != TS_EXIT_DONE && end.reason[0])
            ts_error("stopped: %s%s", end.reason, code == TS_EXIT_STOPPED ? "; run again to continue" : "");
        else if (code == TS_EXIT_FAILURES)
            ts_error("%lld instance%s failed; %s.log.jsonl says why", (long long)end.failed,
                     ts_plural(end.failed), r->path);
    }
    if (code == TS_EXIT_DONE || code == TS_EXIT_FAILURES)
        ts_state_remove_directory(r->job->state_directory);
    return code;
}

// A table that is no group trains all the same, but that may not be what was meant.
static void warn_of_tables(const run *r) {
    char verdict[128];
    for (int c = 0; c < r->job->cases; c++) {
        const ts_data *data = r->job->data[c];
        const ts_table *table = data ? data->table : NULL;
        if (table && !data->symmetry)
            ts_warn("the table of case %s is %s; it trains without measures per irrep",
                    ts_sweep_case(r->sweep, c)->title, ts_table_verdict(table, verdict));
    }
}

// Before anything is made: is it a place for a results file, with room for the names of the files beside it?
static ts_status check_path(const char *path) {
    static const char LONGEST_SUFFIX[] = ".log.jsonl";
    if (strlen(ts_path_name(path)) + sizeof LONGEST_SUFFIX - 1 > NAME_MAX)
        return ts_fail(TS_ERROR_FATAL, "File name too long: '%s' leaves no room for '%s' behind it",
                       ts_path_name(path), LONGEST_SUFFIX);
    return ts_path_check_regular(path);
}

// The sweep, and the results file it goes to.
static ts_status read_sweep(run *r) {
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

static ts_status set_up(run *r) {
    const ts_backend *backend;
    ts_status status = choose_backend(r, &backend);
    if (status == TS_OK)
        status = ts_comm_agree(r->comm, ts_job_create(r->sweep, backend, r->path, &r->job));
    if (status == TS_OK)
        status = ts_comm_agree(r->comm, ts_wide_check(r->job, r->comm->size));
    if (status != TS_OK)
        return status;
    if (r->comm->rank == 0)
        warn_of_tables(r);
    status = ts_comm_agree(r->comm, ts_sweep_digest(r->sweep, r->job->digest));
    if (status == TS_OK)
        status = open_file(r);
    if (status != TS_OK)
        return status;
    if (r->comm->rank == 0)
        status = prepare_leader(r);
    return ts_comm_agree(r->comm, status);
}

static void clean_up(run *r) {
    char lock[PATH_MAX];
    if (r->comm->rank == 0 && sibling(r, ".lock", lock) == TS_OK)
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
    run r = {.comm = comm, .options = options, .started = ts_clock(), .lock = {-1}};
    r.slots = options->threads > 0 ? options->threads : ts_run_cores(comm);
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
        status = set_up(&r);
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
        code = finish(&r);
    }
    clean_up(&r);
    ts_comm_broadcast(comm, &code, sizeof code);
    return code;
}
