// A file under another name until it is whole.
#define _POSIX_C_SOURCE 200809L
#include "run/target.h"

#include "base/file.h"
#include "results/create.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double PATIENCE = 0; // seconds to wait for the lock

static ts_status name_target(const char *output, ts_target *t) {
    char named[PATH_MAX];
    if (!*output)
        return ts_fail(TS_ERROR_USER, "-o: the path is empty");
    if (strlen(output) + 16 > sizeof named)
        return ts_fail(TS_ERROR_USER, "-o: the path is too long");
    ts_status status = ts_path_resolve(output, named);
    if (status != TS_OK)
        return status;
    if ((size_t)snprintf(t->path, PATH_MAX, "%s", named) >= PATH_MAX - 16)
        return ts_fail(TS_ERROR_USER, "-o: the path is too long");
    snprintf(t->part, PATH_MAX, "%s.part", t->path);
    return TS_OK;
}

ts_status ts_target_begin(const char *output, ts_target *t) {
    char lock[PATH_MAX];
    t->lock.fd = -1;
    ts_status status = name_target(output, t);
    if (status == TS_OK) {
        snprintf(lock, sizeof lock, "%s.lock", t->path);
        status = ts_lock_take(lock, PATIENCE, &t->lock);
    }
    if (status == TS_OK && ts_path_exists(t->path))
        return ts_fail(TS_ERROR_USER, "'%s' exists; remove it, or choose another file with -o", t->path);
    return status;
}

ts_status ts_target_settle(const ts_target *t) {
    if (rename(t->part, t->path) != 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot rename '%s' to '%s'", t->part, t->path);
    return ts_file_sync_directory(t->path);
}

ts_status ts_target_make(const ts_target *t, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                         const char *backend, ts_status (*fill)(void *context, ts_store *store), void *context) {
    static const ts_comm SERIAL = {.size = 1, .node_size = 1};
    ts_store *store;
    ts_status status = ts_results_create(t->part, sweep, layouts, backend);
    if (status != TS_OK)
        return status;
    status = ts_store_open(t->part, &SERIAL, TS_IO_POSIX, sweep, layouts, &store);
    if (status == TS_OK) {
        status = fill(context, store);
        char reason[TS_MESSAGE_BYTES];
        snprintf(reason, sizeof reason, "%s", ts_message());
        ts_status closed = ts_store_close(store);
        status = status == TS_OK ? closed : ts_fail_again(status, reason);
    }
    if (status == TS_OK)
        status = ts_target_settle(t);
    if (status != TS_OK)
        unlink(t->part);
    return status;
}

void ts_target_end(ts_target *t) {
    ts_lock_remove(&t->lock);
    ts_lock_release(&t->lock);
}
