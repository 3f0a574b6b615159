// The files are checked against each other before one is made; then their rows are taken one file at a time.
#define _POSIX_C_SOURCE 200809L
#include "run/merged_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "results/format.h"
#include "results/records.h"
#include "run/target.h"
#include "run/whole.h"

#include <stdio.h>
#include <string.h>

typedef struct merge {
    const char *const *files;
    int n_files;
    const ts_sweep *sweep;
    char backend[32];
    int cases;
    ts_record_layout **layouts; // (cases)
    ts_target target;
    ts_reuse_counts *counts; // (n_files)
    ts_identities *identities;
    uint8_t *status; // (instances)
    int32_t *from;   // (instances) number of the file
} merge;

// All of this version, and of one backend.
static ts_status check_files(merge *m) {
    ts_status status = ts_format_backend(m->files[0], m->backend);
    for (int i = 0; i < m->n_files && status == TS_OK; i++)
        status = ts_reuse_check(m->files[i], m->backend, "");
    return status;
}

static ts_status prepare(merge *m) {
    size_t instances = (size_t)ts_sweep_instances(m->sweep);
    m->cases = ts_sweep_cases(m->sweep);
    m->layouts = ts_alloc_zero((size_t)m->cases, sizeof *m->layouts, "cases");
    m->status = ts_alloc_zero(instances, 1, "the instances' status");
    m->from = ts_alloc_zero(instances, sizeof *m->from, "instances");
    ts_status status = m->layouts && m->status && m->from ? TS_OK : TS_ERROR_MEMORY;
    for (int c = 0; c < m->cases && status == TS_OK; c++)
        status = ts_records_layout(m->sweep, c, &m->layouts[c]);
    return status == TS_OK ? ts_identities_make(m->sweep, &m->identities) : status;
}

static ts_status take_rows(void *context, ts_store *store) {
    merge *m = context;
    const ts_reuse reuse = {.store = store,
                            .sweep = m->sweep,
                            .layouts = (const ts_record_layout *const *)m->layouts,
                            .identities = m->identities,
                            .status = m->status,
                            .from = m->from,
                            .files = m->files};
    ts_status status = TS_OK;
    for (int i = 0; i < m->n_files && status == TS_OK; i++)
        status = ts_reuse_take(&reuse, m->files[i], i, &m->counts[i]);
    return status == TS_OK ? ts_store_sync(store) : status;
}

static void clean_up(merge *m) {
    for (int c = 0; c < m->cases && m->layouts; c++)
        ts_record_layout_free(m->layouts[c]);
    ts_free(m->layouts);
    ts_free(m->status);
    ts_free(m->from);
    ts_identities_free(m->identities);
    ts_target_end(&m->target);
    ts_free(m);
}

// What the sweep is called if its file does not say: as the results file.
static void name_of(const char *output, char name[64]) {
    const char *own = ts_path_name(output);
    size_t length = strlen(own);
    length -= length > 3 && strcmp(own + length - 3, ".h5") == 0 ? 3 : 0;
    snprintf(name, 64, "%.*s", (int)length, own);
}

ts_status ts_merged_file_make(const char *const *files, int n_files, const char *output, const ts_sweep *sweep,
                              ts_sweep **made, ts_reuse_counts *counts) {
    char name[64];
    merge *m = ts_alloc_zero(1, sizeof *m, "files");
    *made = NULL;
    if (!m)
        return TS_ERROR_MEMORY;
    *m = (merge){.files = files, .n_files = n_files, .sweep = sweep, .counts = counts, .target.lock.fd = -1};
    name_of(output, name);
    ts_status status = check_files(m);
    if (status == TS_OK && !sweep) {
        status = ts_whole_sweep(files, n_files, name, made);
        m->sweep = *made;
    }
    if (status == TS_OK)
        status = prepare(m);
    if (status == TS_OK)
        status = ts_target_begin(output, &m->target);
    if (status == TS_OK)
        status =
            ts_target_make(&m->target, m->sweep, (const ts_record_layout *const *)m->layouts, m->backend, take_rows, m);
    clean_up(m);
    return status;
}
