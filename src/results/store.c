// The results file during a run: opened by every rank, filled in row by row.
#include "results/store.h"

#include "base/memory.h"
#include "hdf5/shared_file.h"
#include "results/rows.h"

struct ts_store {
    ts_h5 h5; // for reading: it knows where each dataset lies
    ts_rows rows;
    ts_shared_file *file;
    const ts_comm *comm;
};

bool ts_store_in_place(const ts_store *store) {
    return ts_shared_file_in_place(store->file);
}

static ts_status open_rows(ts_store *store, const char *path, const ts_sweep *sweep,
                           const ts_record_layout *const *layouts) {
    ts_h5_open(&store->h5, path, false);
    store->h5.direct = store->file;
    ts_rows_begin(&store->rows, &store->h5, sweep, layouts, false);
    if (store->h5.status == TS_OK && !ts_store_in_place(store)) // what HDF5 opened may then be another file than ours
        store->h5.status = ts_fail(TS_ERROR_FATAL, "'%s' was deleted, moved or replaced while it was opened", path);
    return store->h5.status;
}

static ts_status end(ts_store *store) {
    ts_rows_end(&store->rows);
    ts_status status = ts_h5_end(&store->h5);
    ts_shared_file_close(store->file);
    ts_free(store);
    return status;
}

ts_status ts_store_open(const char *path, const ts_comm *comm, const ts_sweep *sweep,
                        const ts_record_layout *const *layouts, ts_store **store) {
    *store = NULL;
    ts_store *made = ts_alloc_zero(1, sizeof *made, "the results file");
    ts_status status = ts_comm_agree(comm, made ? TS_OK : TS_ERROR_MEMORY);
    if (status == TS_OK)
        status = ts_shared_file_open(path, comm, &made->file);
    if (status != TS_OK) {
        ts_free(made);
        return status;
    }
    made->comm = comm;
    status = ts_comm_agree(comm, open_rows(made, path, sweep, layouts));
    if (status != TS_OK) {
        end(made); // its fault has been reported
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
    return ts_comm_agree(comm, end(store));
}
