// Rank 0 reads; all others get its bytes.
#define _GNU_SOURCE
#include "run/load.h"

#include "base/file.h"
#include "base/memory.h"
#include "results/format.h"
#include "results/origin.h"
#include "run/share_weights.h"
#include "weights/initial_weights.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static ts_status read_text(const char *path, char **text, size_t *bytes) {
    if (ts_format_has_signature(path))
        return ts_fail(TS_ERROR_USER,
                       "'%s' is an HDF5 file, not a sweep file; a results file goes with -o (toysweep run "
                       "SWEEP.yaml -o %s)",
                       path, path);
    return ts_file_read_or_pipe(path, TS_SWEEP_MAX_BYTES, text, bytes);
}

// Rank 0's text on every rank; free with ts_free.
static ts_status share_text(const ts_comm *comm, const char *path, char **text, size_t *bytes) {
    ts_status status = TS_OK;
    *text = NULL;
    *bytes = 0;
    if (comm->rank == 0)
        status = read_text(path, text, bytes);
    status = ts_comm_agree(comm, status);
    if (status != TS_OK)
        return status;
    ts_comm_broadcast(comm, bytes, sizeof *bytes);
    if (comm->rank != 0)
        *text = ts_alloc_zero(*bytes + 1, 1, "the sweep file");
    status = ts_comm_agree(comm, *text ? TS_OK : TS_ERROR_MEMORY);
    if (status == TS_OK)
        ts_comm_broadcast(comm, *text, *bytes);
    return status;
}

// What a results file has noted of the sweep it was made for.
typedef struct results {
    const char *output;
    ts_reader *reader;
    ts_origin *origin;
} results;

static ts_status recall(void *context, const char *name, const ts_noted_weights **noted, int *n_noted) {
    results *r = context;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", r->output ? r->output : name, r->output ? "" : ".h5");
    ts_status status = ts_path_exists(path) ? ts_reader_open(path, &r->reader) : TS_ERROR_USER;
    if (status == TS_OK)
        status = ts_origin_open(r->reader, &r->origin);
    if (status != TS_OK)
        return status;
    *noted = ts_origin_source(r->origin)->noted;
    *n_noted = ts_origin_source(r->origin)->n_noted;
    return TS_OK;
}

static void forget(results *r) {
    ts_origin_close(r->origin);
    ts_reader_close(r->reader);
}

static ts_status read_sweep(const ts_sweep_source *source, ts_sweep **sweep) {
    ts_status status = ts_sweep_read(source, sweep);
    const char *errors = ts_sweep_errors();
    return status == TS_ERROR_USER && *errors ? ts_fail_again(status, errors) : status;
}

// Whether the sweep may begin with weights.
static bool may_have_weights(const ts_sweep_source *source) {
    bool may = strstr(source->text, TS_INIT_FROM);
    for (int i = 0; i < source->n_overrides; i++)
        may = may || strstr(source->overrides[i], TS_INIT_FROM);
    return may;
}

// Rank 0 reads the files of weights, and all others take them from it.
static ts_status read_by_turns(const ts_comm *comm, const ts_sweep_source *source, ts_sweep **sweep) {
    ts_shared_weights shared = {0};
    ts_status status = ts_comm_agree(comm, comm->rank == 0 ? read_sweep(source, sweep) : TS_OK);
    if (status == TS_OK)
        status = ts_share_weights(comm, comm->rank == 0 ? *sweep : NULL, &shared);
    if (status == TS_OK && comm->rank != 0) {
        ts_sweep_source others = *source;
        others.weights = NULL;
        others.recall = NULL;
        others.noted = shared.noted;
        others.n_noted = (int)shared.count;
        status = read_sweep(&others, sweep);
    }
    ts_shared_weights_free(&shared);
    return status;
}

static ts_status load(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                      results *before, ts_sweep **sweep) {
    char *text;
    size_t bytes;
    ts_status status = share_text(comm, path, &text, &bytes);
    if (status == TS_OK) {
        ts_sweep_source source = {.file = path,
                                  .text = text,
                                  .bytes = bytes,
                                  .overrides = overrides,
                                  .n_overrides = n_overrides,
                                  .weights = &ts_initial_weights,
                                  .recall = before ? recall : NULL,
                                  .context = before,
                                  .trains = true};
        bool turns = comm->size > 1 && may_have_weights(&source);
        status = turns ? read_by_turns(comm, &source, sweep) : read_sweep(&source, sweep);
        status = ts_comm_agree(comm, status);
    }
    ts_free(text);
    return status;
}

ts_status ts_load_sweep(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                        ts_sweep **sweep) {
    return load(comm, path, overrides, n_overrides, NULL, sweep);
}

ts_status ts_load_sweep_again(const ts_comm *comm, const char *path, const char *const *overrides, int n_overrides,
                              const char *output, ts_sweep **sweep) {
    results before = {.output = output};
    ts_status status = load(comm, path, overrides, n_overrides, &before, sweep);
    forget(&before);
    return status;
}
