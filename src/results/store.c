// The results file during a run: opened by every rank, filled in row by row.
#include "results/store.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "hdf5/shared_file.h"
#include "results/rows.h"
#include "results/stacks.h"

#include <stdio.h>
#include <string.h>

struct ts_store {
    ts_h5 h5;
    ts_rows rows;
    ts_shared_file *file; // whatever writes, this makes it durable
    ts_io io;
    const ts_comm *comm;
    uint8_t sweep[TS_SHA256_BYTES];
};

const ts_io *ts_store_io(const ts_store *store) {
    return &store->io;
}

void ts_store_sweep(const ts_store *store, uint8_t digest[TS_SHA256_BYTES]) {
    memcpy(digest, store->sweep, sizeof store->sweep);
}

bool ts_store_in_place(const ts_store *store) {
    return ts_shared_file_in_place(store->file);
}

// What is opened, of which sweep.
typedef struct opening {
    const char *path;
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts;
} opening;

// What the sweep is known by, as the file says.
static void read_sweep(ts_store *store, const char *path) {
    char *text = NULL;
    if (store->h5.status == TS_OK)
        store->h5.status = ts_h5_get_text(store->h5.file, "sweep_sha256", &text);
    if (store->h5.status == TS_OK && !(text && ts_sha256_of_text(text, store->sweep)))
        store->h5.status = ts_fail(TS_ERROR_FATAL,
                                   "'%s' is damaged: its attribute sweep_sha256 is not 64 hexadecimal "
                                   "digits",
                                   path);
    ts_free(text);
}

static ts_status open_rows(ts_store *store, const opening *o) {
    if (store->io.way == TS_IO_MPIO) {
        ts_h5_open_mpio(&store->h5, o->path, store->file);
    } else {
        ts_h5_open(&store->h5, o->path, false); // HDF5 only tells where each dataset lies
        store->h5.direct = store->file;
    }
    read_sweep(store, o->path);
    ts_rows_begin(&store->rows, &store->h5, o->sweep, o->layouts, false);
    if (store->h5.status == TS_OK && !ts_store_in_place(store)) // what HDF5 opened may then be another file than ours
        store->h5.status = ts_fail(TS_ERROR_FATAL, "'%s' was deleted, moved or replaced while it was opened", o->path);
    return store->h5.status;
}

static ts_status close_rows(ts_store *store) {
    ts_rows_end(&store->rows);
    return ts_h5_end(&store->h5);
}

static ts_status open_everywhere(ts_store *store, const opening *o) {
    ts_status status = ts_comm_agree(store->comm, open_rows(store, o));
    if (status != TS_OK)
        close_rows(store); // its fault has been reported
    return status;
}

// By MPI-IO if that is chosen. Where a rank cannot open it so, all do without if they may.
static ts_status open_as_asked(ts_store *store, ts_io_way asked, const opening *o) {
    ts_status status = ts_io_choose(asked, store->comm, o->path, &store->io);
    if (status == TS_OK)
        status = open_everywhere(store, o);
    if (status == TS_OK || store->io.way != TS_IO_MPIO)
        return status;
    if (asked == TS_IO_MPIO)
        return ts_fail(status, "--io mpio: %s; run the same command again, or with --io posix", ts_message());
    store->io.way = TS_IO_POSIX;
    snprintf(store->io.reason, sizeof store->io.reason, "MPI-IO cannot open it: %s", ts_message());
    status = open_everywhere(store, o);
    if (status == TS_OK && store->comm->rank == 0)
        ts_warn("%s; it is written without", store->io.reason);
    return status;
}

static ts_status end(ts_store *store) {
    ts_status status = close_rows(store);
    ts_shared_file_close(store->file);
    ts_free(store);
    return status;
}

ts_status ts_store_open(const char *path, const ts_comm *comm, ts_io_way asked, const ts_sweep *sweep,
                        const ts_record_layout *const *layouts, ts_store **store) {
    *store = NULL;
    ts_store *made = ts_alloc_zero(1, sizeof *made, "the results file");
    ts_status status = ts_comm_agree(comm, made ? TS_OK : TS_ERROR_MEMORY);
    if (status == TS_OK)
        status = ts_shared_file_open(path, comm, &made->file);
    if (status == TS_OK) {
        made->comm = comm;
        status = open_as_asked(made, asked, &(opening){path, sweep, layouts});
    }
    if (status != TS_OK) {
        if (made)
            ts_shared_file_close(made->file);
        ts_free(made);
        return status;
    }
    *store = made;
    return TS_OK;
}

static void sync_data(ts_store *store) {
    if (store->h5.status == TS_OK)
        store->h5.status = ts_shared_file_sync(store->file);
}

ts_status ts_store_commit(ts_store *store, int case_index, int64_t first_row, int64_t count, const ts_row *rows) {
    ts_rows_put(&store->rows, case_index, first_row, count, rows);
    sync_data(store); // a status may only reach the disk after what it vouches for
    ts_rows_put_status(&store->rows, case_index, first_row, count, rows);
    sync_data(store);
    return store->h5.status;
}

ts_status ts_store_put(ts_store *store, int case_index, int64_t first_row, int64_t count, const ts_row *rows) {
    ts_rows_put(&store->rows, case_index, first_row, count, rows);
    ts_rows_put_status(&store->rows, case_index, first_row, count, rows);
    return store->h5.status;
}

ts_status ts_store_sync(ts_store *store) {
    sync_data(store);
    return store->h5.status;
}

ts_status ts_store_get(ts_store *store, int case_index, int64_t row, void *record, ts_row *out) {
    ts_rows_root root;
    ts_rows_get_root(&store->rows, case_index, row, &root, record);
    ts_rows_get(&store->rows, case_index, row, 1, record);
    *out = (ts_row){(ts_row_status)root.status, root.steps_done, record};
    return store->h5.status;
}

ts_status ts_store_close(ts_store *store) {
    const ts_comm *comm = store->comm;
    ts_status status = ts_comm_agree(comm, store->h5.status); // all have written
    if (status == TS_OK && comm->rank == 0) {
        ts_stacks_fill(&store->rows);
        sync_data(store);
    }
    ts_status ended = ts_comm_agree(comm, end(store));
    return status == TS_OK ? ended : status;
}
