#define _POSIX_C_SOURCE 200809L
#include "run/outgrown.h"

#include "base/file.h"
#include "run/job.h"
#include "run/report.h"
#include "store/origin.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// Another file's name, of which there is none: small-2.h5 for small.h5.
static bool free_name(const char *path, char out[PATH_MAX]) {
    const char *dot = strrchr(ts_path_name(path), '.');
    int stem = (int)(dot && dot > ts_path_name(path) ? dot - path : (ptrdiff_t)strlen(path));
    for (int n = 2; n < 1000; n++) {
        if (snprintf(out, PATH_MAX, "%.*s-%d%s", stem, path, n, path + stem) >= PATH_MAX)
            return false;
        if (!ts_path_exists(out))
            return true;
    }
    return false;
}

// Is it a file of this version and backend, and of the sweep that it holds, which is not `sweep`?
static bool has_other_sweep(const char *path, const ts_sweep *sweep, const ts_backend *backend) {
    ts_reader *reader;
    ts_sweep *own = NULL;
    uint8_t digest[32], own_digest[32];
    if (ts_reader_open(path, &reader) != TS_OK)
        return false;
    bool other = strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0 &&
                 strcmp(ts_reader_attribute(reader, "backend"), backend->name) == 0 &&
                 ts_origin_read(reader, &own) == TS_OK && ts_sweep_digest(own, own_digest) == TS_OK &&
                 ts_sweep_digest(sweep, digest) == TS_OK && memcmp(digest, own_digest, sizeof digest) != 0;
    ts_sweep_free(own);
    ts_reader_close(reader);
    return other;
}

static void advise(const char *path, const ts_sweep *sweep, const ts_backend *backend,
                   const ts_run_options *options, ts_text *advice) {
    const ts_backend *best;
    char output[PATH_MAX];
    if (!has_other_sweep(path, sweep, backend) || !free_name(path, output))
        return;
    bool chosen = ts_job_backend(sweep, "auto", &best) == TS_OK && best == backend;
    ts_text_add(advice, "to take over what is the same: ");
    ts_report_take_over(options, output, chosen ? NULL : backend->name, path, advice);
}

void ts_outgrown_advise(const char *path, const ts_sweep *sweep, const ts_backend *backend,
                        const ts_run_options *options, ts_text *advice) {
    char reason[TS_MESSAGE_BYTES]; // why it was refused stays the message
    snprintf(reason, sizeof reason, "%s", ts_message());
    advise(path, sweep, backend, options, advice);
    ts_fail_again(TS_ERROR_FATAL, reason);
}
