// From a sweep and a path to all that training needs: backend, results file, leader.
#define _POSIX_C_SOURCE 200809L
#include "run/session.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "integrity/check.h"
#include "integrity/provenance.h"
#include "integrity/reuse.h"
#include "results/create.h"
#include "results/format.h"
#include "results/rows.h"
#include "run/machine.h"
#include "run/outgrown.h"
#include "run/schedule.h"
#include "run/starts.h"
#include "task/data.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Ranks of a killed run may take some seconds to die.
static const double LOCK_PATIENCE = 10;

ts_status ts_session_beside(const ts_session *r, const char *suffix, char out[PATH_MAX]) {
    if ((size_t)snprintf(out, PATH_MAX, "%s%s", r->path, suffix) >= PATH_MAX)
        return ts_fail(TS_ERROR_USER, "the path of the results file is too long");
    return TS_OK;
}

double ts_session_deadline(const ts_session *r) {
    // What is left after the limit must be enough to save everything.
    double limit = r->options->time_limit, margin = limit * 0.05 > 60 ? 60 : limit * 0.05;
    return limit > 0 ? r->started + limit - margin : 0;
}

// --- Before training ---

// An unfinished file goes on with the backend it was begun with; else all ranks take what rank 0 finds best.
static ts_status choose_backend(ts_session *r, const ts_backend **backend) {
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
static ts_status prepare_file(ts_session *r) {
    const ts_job *job = r->job;
    int64_t n = ts_sweep_instances(r->sweep), damaged = 0;
    char lock[PATH_MAX];
    ts_status status = ts_session_beside(r, ".lock", lock);
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
    if (status == TS_OK)
        status = ts_fewer_steps_find(r->sweep, r->options->reuse, r->options->n_reuse, &r->fewer);
    if (status != TS_OK)
        return status;
    if (!ts_path_exists(r->path))
        return ts_results_create(r->path, r->sweep, layouts, job->backend->name);
    status =
        ts_check_results(r->path, r->sweep, layouts, job->backend->name, r->options->retry_failed, r->status, &damaged);
    if (status == TS_ERROR_FATAL)
        ts_outgrown_advise(r->path, r->sweep, job->backend, r->options, &r->advice);
    if (status == TS_OK && damaged > 0)
        ts_warn("%s: %lld damaged rows; they are trained again", r->path, (long long)damaged);
    return status;
}

static ts_status open_file(ts_session *r) {
    ts_status status = TS_OK;
    char lock[PATH_MAX];
    if (r->comm->rank == 0)
        status = prepare_file(r);
    status = ts_comm_agree(r->comm, status);
    if (status != TS_OK)
        return status;
    if (r->comm->rank != 0 && (status = ts_session_beside(r, ".lock", lock)) == TS_OK)
        status = ts_lock_join(lock, &r->lock);
    status = ts_comm_agree(r->comm, status);
    if (status == TS_OK)
        status = ts_store_open(r->path, r->comm, r->options->io, r->sweep,
                               (const ts_record_layout *const *)r->job->layouts, &r->store);
    if (status == TS_OK)
        ts_store_sweep(r->store, r->job->digest);
    r->job->lock = &r->lock;
    return ts_comm_agree(r->comm, status);
}

static void visit_start(const ts_yaml_node *line, void *context) {
    const ts_yaml_node *event = ts_yaml_get(line, "event"), *device = ts_yaml_get(line, "device");
    if (event && event->text && strcmp(event->text, "start") == 0 && device && device->text)
        snprintf(context, 32, "%s", device->text);
}

// Bits are those of one kind of processor: say so if the run goes on with kernels that round otherwise.
static void warn_of_other_device(const ts_session *r, const char *log_path) {
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

// Tables of which some pairs are not there.
static void put_undefined(const ts_session *r, ts_text *line) {
    bool any = false;
    for (int c = 0; c < r->job->cases; c++) {
        const ts_table *table = r->job->data[c]->table;
        int64_t all = table ? (int64_t)table->n * table->n : 0;
        if (!table || table->pairs == all)
            continue;
        if (!any)
            ts_json_open(line, "undefined", '[');
        any = true;
        ts_json_open(line, NULL, '{');
        ts_json_integer(line, "case", c);
        ts_json_integer(line, "pairs", table->pairs);
        ts_json_integer(line, "of", all);
        ts_json_close(line, '}');
    }
    if (any)
        ts_json_close(line, ']');
}

static void log_start(ts_session *r) {
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
    ts_engines_json(&r->job->uses, line);
    put_undefined(r, line);
    ts_json_string(line, "io", ts_io_names[ts_store_io(r->store)->way]);
    ts_json_string(line, "io_reason", ts_store_io(r->store)->reason);
    ts_json_integer(line, "done", r->done);
    ts_json_integer(line, "failed", r->failed);
    ts_json_integer(line, "pending", r->pending);
    ts_json_integer(line, "reused", r->reused);
    ts_json_open(line, "reused_from", '[');
    for (int i = 0; i < r->options->n_reuse; i++) {
        ts_json_open(line, NULL, '{');
        ts_json_string(line, "file", r->options->reuse[i]);
        ts_json_integer(line, "rows", r->reused_from[i]);
        if (r->continued[i] > 0)
            ts_json_integer(line, "continued", r->continued[i]);
        ts_json_close(line, '}');
    }
    ts_json_close(line, ']');
    ts_runlog_end(r->log);
}

static void count_status(ts_session *r) {
    r->done = r->failed = r->pending = 0;
    for (int64_t i = 0; i < ts_sweep_instances(r->sweep); i++) {
        r->done += r->status[i] == TS_ROW_DONE;
        r->failed += r->status[i] == TS_ROW_FAILED;
        r->pending += r->status[i] == TS_ROW_PENDING;
    }
}

// Rank 0: takes over what other files have, the first of them first.
static ts_status reuse_files(ts_session *r) {
    ts_identities *identities = NULL;
    int n = r->options->n_reuse;
    if (n == 0)
        return TS_OK;
    r->reused_from = ts_alloc_zero((size_t)n, sizeof *r->reused_from, "rows to be reused");
    r->foreign = ts_alloc_zero((size_t)n, sizeof *r->foreign, "rows to be reused");
    ts_status status = r->reused_from && r->foreign ? ts_identities_make(r->sweep, &identities) : TS_ERROR_FATAL;
    const ts_reuse reuse = {.store = r->store,
                            .sweep = r->sweep,
                            .layouts = (const ts_record_layout *const *)r->job->layouts,
                            .identities = identities,
                            .status = r->status};
    for (int i = 0; i < n && status == TS_OK; i++) {
        ts_reuse_counts counts;
        status = ts_reuse_take(&reuse, r->options->reuse[i], i, &counts);
        r->reused += r->reused_from[i] = counts.done;
        r->foreign[i] = counts.elsewhere;
        if (status == TS_OK)
            ts_print("%s: %lld instance%s taken over from %s", r->path, (long long)counts.done, ts_plural(counts.done),
                     r->options->reuse[i]);
    }
    ts_identities_free(identities);
    return status;
}

// Why nothing is taken from a file that has finished instances, none of them one of the sweep's.
static void explain_nothing(const ts_session *r, int file) {
    const char *old = r->options->reuse[file];
    ts_reader *reader;
    const uint8_t *status;
    int64_t done = 0, first = 0;
    char difference[TS_MESSAGE_BYTES];
    if (r->foreign[file] == 0 || ts_reader_open(old, &reader) != TS_OK)
        return;
    bool told = ts_reader_status(reader, &status) == TS_OK;
    for (int64_t i = ts_reader_instances(reader) - 1; i >= 0 && told; i--)
        if (status[i] == TS_ROW_DONE) {
            done++;
            first = i;
        }
    if (told && done == r->foreign[file] &&
        ts_provenance_nearest(reader, first, r->sweep, difference, sizeof difference))
        ts_warn("%s: none of its finished instances is one of this sweep's; the one most like the first differs in %s",
                old, difference);
    ts_reader_close(reader);
}

// Rank 0: what is left and has ended with fewer steps in another file goes on from there.
static ts_status start_others(ts_session *r) {
    int n = r->options->n_reuse;
    const ts_starts starts = {.files = r->options->reuse,
                              .list = &r->fewer,
                              .job = r->job,
                              .status = r->status,
                              .slots = r->slots * r->comm->size,
                              .rank_slots = r->slots,
                              .slot_bytes = ts_machine_slot_bytes(r->comm, r->slots)};
    r->continued = ts_alloc_zero((size_t)n, sizeof *r->continued, "rows to go on with");
    ts_status status = r->continued ? TS_OK : TS_ERROR_FATAL;
    if (status == TS_OK)
        status = ts_starts_make(&starts, r->continued);
    for (int i = 0; i < n && status == TS_OK; i++) {
        if (r->continued[i] > 0)
            ts_print("%s: %lld instance%s from where %s ended in %s", r->path, (long long)r->continued[i],
                     r->continued[i] == 1 ? " goes on" : "s go on", r->continued[i] == 1 ? "it" : "they",
                     r->options->reuse[i]);
        else if (r->reused_from[i] == 0)
            explain_nothing(r, i);
    }
    ts_fewer_steps_free(&r->fewer);
    return status;
}

// Rank 0: what is there to do, and who decides.
static ts_status prepare_leader(ts_session *r) {
    char log_path[PATH_MAX];
    ts_status status = reuse_files(r);
    if (status == TS_OK && r->options->n_reuse > 0)
        status = start_others(r);
    if (status != TS_OK)
        return status;
    count_status(r);
    status = ts_session_beside(r, ".log.jsonl", log_path);
    if (status == TS_OK)
        warn_of_other_device(r, log_path);
    if (status == TS_OK)
        status = ts_runlog_open(log_path, &r->log);
    if (status == TS_OK)
        status = ts_grid_make(r->sweep, &r->grid);
    if (status == TS_OK)
        status = ts_schedule_make(r->job, r->status, r->comm->size, r->slots, ts_machine_slot_bytes(r->comm, r->slots),
                                  r->options->ranks_per_instance, &r->coordinator);
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
        .deadline = ts_session_deadline(r),
        .patience = r->options->patience,
        .max_failures = r->options->max_failures,
        .teams_are_fixed = r->options->ranks_per_instance > 1,
    };
    return ts_leader_create(&setup, &r->leader);
}

// A table that is no group trains all the same, but that may not be what was meant.
static void warn_of_tables(const ts_session *r) {
    char verdict[128];
    for (int c = 0; c < r->job->cases; c++) {
        const ts_data *data = r->job->data[c];
        const ts_table *table = data->table;
        if (table && !data->symmetry)
            ts_warn("the table of case %s is %s; it trains without measures per irrep",
                    ts_sweep_case(r->sweep, c)->title, ts_table_verdict(table, verdict));
        if (table && table->group && !data->subgroups)
            ts_warn(
                "the group of case %s has too many subgroups to list (more than %d over its %d elements); it trains "
                "without measures of cosets",
                ts_sweep_case(r->sweep, c)->title, TS_MAX_SUBGROUP_NUMBERS / table->n, table->n);
    }
}

ts_status ts_session_prepare(ts_session *r) {
    const ts_backend *backend;
    ts_status status = choose_backend(r, &backend);
    if (status == TS_OK)
        status = ts_comm_agree(r->comm, ts_job_create(r->sweep, backend, r->path, &r->job));
    if (status != TS_OK)
        return status;
    if (r->comm->rank == 0)
        warn_of_tables(r);
    status = open_file(r);
    if (status != TS_OK)
        return status;
    if (r->comm->rank == 0)
        status = prepare_leader(r);
    status = ts_comm_agree(r->comm, status);
    if (status == TS_OK)
        ts_comm_broadcast(r->comm, &r->pending, sizeof r->pending);
    return status;
}
