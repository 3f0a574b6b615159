// HDF5, checked: the few calls the results file needs, with one sticky fault per file. After a fault every
// further call does nothing, so that callers write straight down and ask once; handles are closed all the
// same. Knows nothing of what the file holds (see format.h).
#pragma once

#include "base/status.h"

#include <hdf5.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Texts are of variable length because netCDF before 4.9.1 breaks down on arrays of texts of fixed length,
// and xarray reads them when it opens a file.
typedef enum ts_h5_type {
    TS_H5_UINT8,
    TS_H5_UINT32,
    TS_H5_INT32,
    TS_H5_INT64,
    TS_H5_FLOAT32,
    TS_H5_FLOAT64,
    TS_H5_TEXT, // UTF-8, of variable length: in memory a char * with its NUL
} ts_h5_type;

enum { TS_H5_TYPES = 7, TS_H5_DIMENSIONS = 8 };

// What a dataset looks like. All are contiguous, little-endian, with their space allocated and filled from
// the start (floats with the canonical quiet NaN, the others with zeros).
typedef struct ts_h5_form {
    ts_h5_type type;
    int rank; // 0: a scalar
    hsize_t size[TS_H5_DIMENSIONS];
} ts_h5_form;

typedef struct ts_h5 {
    const char *path;              // for messages; the caller's
    hid_t file;                    // -1: closed
    ts_status status;              // sticky
    int error;                     // errno of the fault; 0: not known
    size_t limit;                  // largest single transfer in bytes
    struct ts_shared_file *direct; // if not NULL, data are written with it, past HDF5; the caller's
    bool mpio;                     // opened by HDF5's MPI driver: `direct` is for what that cannot write
    bool mpio_failed;              // and has been said to
    hid_t group_plan;              // creation properties: order tracked, no times
    hid_t dataset_plan[TS_H5_TYPES];
} ts_h5;

// Before MPI starts: HDF5 then does not clean up by itself, neither at exit nor in MPI_Finalize, where a file that
// could not be closed (full disk) would make it crash. Calling it again does no harm.
void ts_h5_start(void);

// --- Files. Each starts `h5` afresh; end with ts_h5_end, also after a fault. ---
void ts_h5_begin(ts_h5 *h5, const char *path); // no file yet
void ts_h5_create(ts_h5 *h5, const char *path);
void ts_h5_create_in_memory(ts_h5 *h5);                      // gone when it is closed
void ts_h5_open(ts_h5 *h5, const char *path, bool writable); // serial, no file locking, no buffers for data
ts_status ts_h5_end(ts_h5 *h5);                              // the first fault, or that of closing

// Independent: of a file that `file` has open on this rank, for writing through HDF5's MPI driver, of which MPI_Init
// must be over and no thread but the main one. Metadata must not be changed. ts_h5_end lets go of it without closing
// it.
void ts_h5_open_mpio(ts_h5 *h5, const char *path, struct ts_shared_file *file);

// Notes HDF5's own fault as "cannot <doing> '<name>'" unless there was one before; of an open object, by its path in
// the file.
void ts_h5_fault(ts_h5 *h5, const char *doing, const char *name);
void ts_h5_fault_at(ts_h5 *h5, const char *doing, hid_t object);

// --- Objects: -1 after a fault; ts_h5_close takes any handle, -1 too ---
// Links to other files are not followed.
hid_t ts_h5_create_group(ts_h5 *h5, hid_t parent, const char *name);
hid_t ts_h5_create_dataset(ts_h5 *h5, hid_t parent, const char *name, const ts_h5_form *form);
hid_t ts_h5_open_group(ts_h5 *h5, hid_t parent, const char *name);
hid_t ts_h5_open_dataset(ts_h5 *h5, hid_t parent, const char *name);
void ts_h5_close(ts_h5 *h5, hid_t id);
bool ts_h5_has(hid_t parent, const char *name);   // false also where it cannot be looked for
bool ts_h5_lacks(hid_t parent, const char *name); // there is certainly none
hid_t ts_h5_try_dataset(hid_t parent,
                        const char *name); // -1: there is none, or it cannot be opened; never a fault

// Form of an existing dataset. False if it is none of ours: another type, not contiguous, not allocated.
bool ts_h5_form_of(hid_t dataset, ts_h5_form *form);
bool ts_h5_same_form(const ts_h5_form *a, const ts_h5_form *b);
hid_t ts_h5_type_id(ts_h5_type type);              // HDF5's own; not to be closed
size_t ts_h5_item_bytes(ts_h5_type type);          // in memory
int64_t ts_h5_row_bytes(const ts_h5_form *form);   // in memory, of one index of the first dimension
int64_t ts_h5_total_bytes(const ts_h5_form *form); // in memory, of the whole

// --- Data: rows first .. first + count - 1 of the first dimension (a scalar: 0, 1), whole rows, as they lie
// in the file. Split into transfers of at most `limit` bytes. ---
void ts_h5_write(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count, const void *data);
// The same of items of a list (rank 1) here and there: data[i] goes to row[i], ascending.
void ts_h5_write_items(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, const int64_t *row, int64_t count,
                       const void *data);
void ts_h5_read(ts_h5 *h5, hid_t dataset, const ts_h5_form *form, int64_t first, int64_t count, void *data);

// --- Attributes ---
void ts_h5_put_text(ts_h5 *h5, hid_t object, const char *name, const char *text);
void ts_h5_put_int32(ts_h5 *h5, hid_t object, const char *name, int32_t value);
// *text is NULL if there is none of that kind (or memory ran out, which is returned); freed with ts_free.
ts_status ts_h5_get_text(hid_t object, const char *name, char **text);
// False if there is none of that kind; never a fault.
bool ts_h5_get_int32(hid_t object, const char *name, int32_t *value);
