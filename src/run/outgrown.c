// The old sweep is read back from the file, and its instances looked for in the new one.
#define _POSIX_C_SOURCE 200809L
#include "run/outgrown.h"

#include "base/file.h"
#include "base/memory.h"
#include "integrity/identities.h"
#include "results/origin.h"
#include "results/rows.h"
#include "run/fewer_steps.h"
#include "run/job.h"
#include "run/next.h"

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
static bool has_other_sweep(ts_reader *reader, const ts_sweep *sweep, const ts_backend *backend) {
    ts_sweep *own = NULL;
    uint8_t digest[32], own_digest[32];
    bool other = strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0 &&
                 strcmp(ts_reader_attribute(reader, "backend"), backend->name) == 0 &&
                 ts_origin_read(reader, &own) == TS_OK && ts_sweep_digest(own, own_digest) == TS_OK &&
                 ts_sweep_digest(sweep, digest) == TS_OK && memcmp(digest, own_digest, sizeof digest) != 0;
    ts_sweep_free(own);
    return other;
}

// Instances that are done in the file and are some of the sweep's.
static int64_t count_same(ts_reader *reader, const ts_sweep *sweep) {
    const uint8_t *done;
    ts_identities *identities = NULL;
    int64_t same = 0;
    ts_status status = ts_reader_status(reader, &done);
    if (status == TS_OK)
        status = ts_identities_make(sweep, &identities);
    for (int64_t i = 0; i < ts_reader_instances(reader) && status == TS_OK; i++) {
        char *identity = NULL;
        if (done[i] == TS_ROW_DONE)
            status = ts_reader_identity(reader, i, &identity);
        same += identity && ts_identities_find(identities, identity) >= 0;
        ts_free(identity);
    }
    ts_identities_free(identities);
    return status == TS_OK ? same : 0;
}

static void advise(const char *path, const ts_sweep *sweep, const ts_backend *backend, const ts_run_options *options,
                   ts_text *advice) {
    const ts_backend *best;
    char output[PATH_MAX];
    ts_reader *reader;
    if (ts_reader_open(path, &reader) != TS_OK)
        return;
    bool other = has_other_sweep(reader, sweep, backend);
    int64_t same = other ? count_same(reader, sweep) : 0;
    int64_t fewer = other && same == 0 ? ts_fewer_steps_count(sweep, path) : 0;
    ts_reader_close(reader);
    if (same + fewer == 0 || !free_name(path, output))
        return;
    bool chosen = ts_job_backend(sweep, "auto", &best) == TS_OK && best == backend;
    if (same > 0)
        ts_text_addf(advice, "%lld finished instance%s the same; to take over what is the same:", (long long)same,
                     same == 1 ? " is" : "s are");
    else
        ts_text_addf(advice, "%lld instance%s go on from where %s ended with fewer steps:", (long long)fewer,
                     fewer == 1 ? " can" : "s can", fewer == 1 ? "it" : "they");
    ts_next_take_over(options, output, chosen ? NULL : backend->name, path, advice);
}

void ts_outgrown_advise(const char *path, const ts_sweep *sweep, const ts_backend *backend,
                        const ts_run_options *options, ts_text *advice) {
    char reason[TS_MESSAGE_BYTES]; // why it was refused stays the message
    snprintf(reason, sizeof reason, "%s", ts_message());
    advise(path, sweep, backend, options, advice);
    ts_fail_again(TS_ERROR_FATAL, reason);
}
