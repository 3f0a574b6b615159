// Rows of a dataset to and from memory: through HDF5, in blocks of limited size, or past it, straight into the file.
#include "hdf5/hdf5.h"

#include "base/log.h"
#include "base/memory.h"
#include "hdf5/shared_file.h"

#include <stdio.h>
#include <string.h>

// Either direction, of one block of the dataset.
typedef struct transfer {
    hid_t dataset, type, space;
    void *read;        // one of the two
    const void *write; //
} transfer;

static bool move_block(ts_h5 *h5, const transfer *move, int rank, const hsize_t *start_at, const hsize_t *size,
                       size_t offset) {
    hid_t memory = H5S_ALL, file = H5S_ALL;
    bool fine = true;
    if (rank) {
        memory = H5Screate_simple(rank, size, NULL);
        file = move->space;
        fine = memory >= 0 && H5Sselect_hyperslab(file, H5S_SELECT_SET, start_at, NULL, size, NULL) >= 0;
    }
    if (fine && move->read)
        fine = H5Dread(move->dataset, move->type, memory, file, H5P_DEFAULT, (char *)move->read + offset) >= 0;
    else if (fine)
        fine = H5Dwrite(move->dataset, move->type, memory, file, H5P_DEFAULT, (const char *)move->write + offset) >= 0;
    if (!fine)
        ts_h5_fault_at(h5, move->read ? "read" : "write", move->dataset); // before HDF5 forgets it
    if (rank)
        ts_h5_close(h5, memory);
    return fine;
}

// Cuts the rows into blocks of at most h5->limit bytes: whole runs along the first dimension `cut` whose
// items are small enough, one index at a time along those before it.
static bool move_rows(ts_h5 *h5, const transfer *move, const ts_h5_form *form, int64_t first, int64_t count) {
    hsize_t end[TS_H5_DIMENSIONS] = {0}, at[TS_H5_DIMENSIONS] = {0}, size[TS_H5_DIMENSIONS] = {0};
    memcpy(end, form->size, sizeof end);
    at[0] = (hsize_t)first;
    end[0] = (hsize_t)(first + count);
    size_t item = (size_t)ts_h5_row_bytes(form); // bytes of one index along `cut`
    int cut = 0;
    while (cut < form->rank - 1 && item > h5->limit)
        item /= form->size[++cut];
    hsize_t run = h5->limit / item ? h5->limit / item : 1;
    for (size_t offset = 0; at[0] < end[0];) {
        for (int i = 0; i < form->rank; i++)
            size[i] = i < cut ? 1 : form->size[i];
        size[cut] = end[cut] - at[cut] < run ? end[cut] - at[cut] : run;
        if (!move_block(h5, move, form->rank, at, size, offset))
            return false;
        offset += size[cut] * item;
        at[cut] += size[cut];
        for (int i = cut; i > 0 && at[i] == end[i]; i--) {
            at[i] = 0;
            at[i - 1]++;
        }
    }
    return true;
}

static void move_all(ts_h5 *h5, transfer move, const ts_h5_form *form, int64_t first, int64_t count) {
    if (h5->status != TS_OK || count == 0 || ts_h5_row_bytes(form) == 0)
        return;
    bool whole = form->rank == 0 || ((hsize_t)count == form->size[0] && ts_h5_total_bytes(form) <= (int64_t)h5->limit);
    move.type = ts_h5_type_id(form->type);
    move.space = whole ? H5S_ALL : H5Dget_space(move.dataset);
    bool fine = move.space >= 0;
    if (fine && whole)
        fine = move_block(h5, &move, 0, NULL, NULL, 0);
    else if (fine)
        fine = move_rows(h5, &move, form, first, count);
    if (!fine)
        ts_h5_fault_at(h5, move.read ? "read" : "write", move.dataset);
    if (!whole)
        ts_h5_close(h5, move.space);
}

// All datasets are contiguous and lie in the file as in memory.
static void write_directly(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count,
                           const void *data) {
    if (h5->status != TS_OK)
        return;
    int64_t row = ts_h5_row_bytes(form);
    haddr_t place = H5Dget_offset(dataset);
    if (place == HADDR_UNDEF)
        ts_h5_fault_at(h5, "write", dataset);
    else
        h5->status = ts_shared_file_write(h5->direct, (int64_t)place + first * row, data, (size_t)(count * row));
}

static void warn_without(ts_h5 *h5, const char *fault) {
    if (h5->status == TS_OK && !h5->mpio_failed)
        ts_warn("MPI-IO failed, and what it could not write was written without it: %s", fault);
    h5->mpio_failed = true;
}

// Independent transfers, MPI's default: no other rank is waited for. What MPI-IO fails to do is done without it: to
// some of its drivers an interruption is a fault, and a short count; of a true fault the system then says what it is.
static void write_by_mpi(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count,
                         const void *data) {
    if (h5->status != TS_OK)
        return;
    move_all(h5, (transfer){.dataset = dataset, .write = data}, form, first, count);
    if (h5->status == TS_OK)
        return;
    char fault[TS_MESSAGE_BYTES];
    snprintf(fault, sizeof fault, "%s", ts_message());
    h5->status = TS_OK;
    write_directly(h5, dataset, form, first, count, data);
    warn_without(h5, fault);
}

void ts_h5_write(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count, const void *data) {
    if (h5->mpio)
        write_by_mpi(h5, dataset, form, first, count, data);
    else if (h5->direct)
        write_directly(h5, dataset, form, first, count, data);
    else
        move_all(h5, (transfer){.dataset = dataset, .write = data}, form, first, count);
}

// --- Items here and there ---

// A transfer of each item by itself, but in one call: independent transfers join no items, so that what other ranks
// write between them is not touched.
static bool move_items(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, const int64_t *row, int64_t count,
                       const void *data) {
    hsize_t *at = ts_alloc((size_t)count * sizeof *at, "rows to be written");
    hsize_t size = (hsize_t)count;
    if (!at) {
        h5->status = TS_ERROR_MEMORY;
        return false;
    }
    for (int64_t i = 0; i < count; i++)
        at[i] = (hsize_t)row[i];
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(1, &size, NULL);
    bool fine = space >= 0 && memory >= 0 && H5Sselect_elements(space, H5S_SELECT_SET, (size_t)count, at) >= 0 &&
                H5Dwrite(dataset, ts_h5_type_id(form->type), memory, space, H5P_DEFAULT, data) >= 0;
    if (!fine)
        ts_h5_fault_at(h5, "write", dataset);
    ts_h5_close(h5, memory);
    ts_h5_close(h5, space);
    ts_free(at);
    return fine;
}

static void write_items_directly(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, const int64_t *row, int64_t count,
                                 const void *data) {
    haddr_t place = H5Dget_offset(dataset);
    if (place == HADDR_UNDEF)
        ts_h5_fault_at(h5, "write", dataset);
    else
        h5->status =
            ts_shared_file_write_items(h5->direct, (int64_t)place, ts_h5_item_bytes(form->type), row, count, data);
}

void ts_h5_write_items(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, const int64_t *row, int64_t count,
                       const void *data) {
    if (h5->status != TS_OK || count == 0)
        return;
    if (h5->direct && !h5->mpio) {
        write_items_directly(h5, dataset, form, row, count, data);
    } else if (!move_items(h5, dataset, form, row, count, data) && h5->mpio && h5->status != TS_ERROR_MEMORY) {
        char fault[TS_MESSAGE_BYTES];
        snprintf(fault, sizeof fault, "%s", ts_message());
        h5->status = TS_OK;
        write_items_directly(h5, dataset, form, row, count, data);
        warn_without(h5, fault);
    }
}

void ts_h5_read(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count, void *data) {
    move_all(h5, (transfer){.dataset = dataset, .read = data}, form, first, count);
}
