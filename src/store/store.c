// The results file during a run: opened by every rank, filled in row by row.
#define _POSIX_C_SOURCE 200809L
#include "store/store.h"

#include "base/memory.h"
#include "store/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ts_store {
    ts_h5 h5;
    ts_rows rows;
    const ts_comm *comm;
    int fd; // of our own, for fdatasync: MPI-IO does not give its own away
    char *path;
};

bool ts_store_in_place(const ts_store *store) {
    struct stat open_file, at_path;
    return fstat(store->fd, &open_file) == 0 && stat(store->path, &at_path) == 0 &&
           open_file.st_dev == at_path.st_dev && open_file.st_ino == at_path.st_ino;
}

static ts_status open_all(ts_store *store, const char *path, const ts_sweep *sweep,
                          const ts_record_layout *const *layouts) {
    store->fd = open(path, O_RDWR | O_CLOEXEC);
    int error = errno;
    ts_h5_open_shared(&store->h5, store->path, store->comm); // collective, so whatever has failed alone
    ts_rows_begin(&store->rows, &store->h5, sweep, layouts);
    if (store->h5.status != TS_OK)
        return store->h5.status;
    if (store->fd < 0)
        store->h5.status = ts_fail_errno(TS_ERROR_FATAL, error, "cannot open '%s' for writing", path);
    else if (!ts_store_in_place(store)) // what HDF5 opened may then be another file than ours
        store->h5.status =
            ts_fail(TS_ERROR_FATAL, "'%s' was deleted, moved or replaced while it was opened", path);
    return store->h5.status;
}

static void end(ts_store *store) {
    ts_rows_end(&store->rows);
    ts_h5_end(&store->h5);
    if (store->fd >= 0 && close(store->fd) != 0 && store->h5.status == TS_OK)
        store->h5.status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot close '%s'", store->path);
}

static void free_store(ts_store *store) {
    if (store)
        ts_free(store->path);
    ts_free(store);
}

ts_status ts_store_open(const char *path, const ts_comm *comm, const ts_sweep *sweep,
                        const ts_record_layout *const *layouts, ts_store **store) {
    *store = NULL;
    ts_store *made = ts_alloc_zero(1, sizeof *made, "the results file");
    if (made)
        made->path = ts_copy_text(path);
    ts_status status = ts_comm_agree(comm, made && made->path ? TS_OK : TS_ERROR_MEMORY);
    if (status != TS_OK) {
        free_store(made);
        return status;
    }
    made->comm = comm;
    status = ts_comm_agree(comm, open_all(made, path, sweep, layouts));
    if (status != TS_OK) {
        end(made);
        free_store(made);
        return status;
    }
    *store = made;
    return TS_OK;
}

static void sync_data(ts_store *store) {
    if (store->h5.status == TS_OK && fdatasync(store->fd) != 0)
        store->h5.status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot write '%s' to the disk", store->path);
}

ts_status ts_store_commit(ts_store *store, int case_index, int64_t first_row, int64_t count,
                          const ts_row *rows) {
    ts_rows_put(&store->rows, case_index, first_row, count, rows);
    sync_data(store); // a status may only reach the disk after what it vouches for
    ts_rows_put_status(&store->rows, case_index, first_row, count, rows);
    sync_data(store);
    return store->h5.status;
}

ts_status ts_store_close(ts_store *store) {
    end(store);
    ts_status status = ts_comm_agree(store->comm, store->h5.status);
    free_store(store);
    return status;
}
