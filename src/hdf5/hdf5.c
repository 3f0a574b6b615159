// Files, groups, datasets and attributes, and what is said of their faults.
#define _POSIX_C_SOURCE 200809L
#include "hdf5/hdf5.h"

#include "base/memory.h"
#include "hdf5/shared_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data go from memory to file as they are");

enum { DESCRIPTION_BYTES = 512, TRANSFER_LIMIT = 1 << 30 };

// --- Links ---

// How everything in a file is opened: links to other files, which HDF5 would follow, are refused.
static hid_t dataset_access = -1, group_access = -1;
static bool link_refused;

static herr_t refuse_link(const char *from, const char *group, const char *to, const char *object, unsigned *flags,
                          hid_t access, void *context) {
    (void)from, (void)group, (void)to, (void)object, (void)flags, (void)access, (void)context;
    link_refused = true;
    return -1;
}

static hid_t within_the_file(hid_t class) {
    hid_t access = H5Pcreate(class);
    if (access >= 0 && H5Pset_elink_cb(access, refuse_link, NULL) < 0) {
        H5Pclose(access);
        return -1;
    }
    return access;
}

// --- Types ---

// By ts_h5_type; a scalar's space. Made once, since HDF5 takes longer to copy a type than to look at one.
static hid_t type_of[TS_H5_TYPES], scalar = -1;

static hid_t text_type(void) {
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static void make_types(void) {
    const hid_t numbers[TS_H5_TEXT] = {H5T_STD_U8LE,  H5T_STD_U32LE,  H5T_STD_I32LE,
                                       H5T_STD_I64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
    memcpy(type_of, numbers, sizeof numbers);
    type_of[TS_H5_TEXT] = text_type();
    scalar = H5Screate(H5S_SCALAR);
}

hid_t ts_h5_type_id(ts_h5_type type) {
    return type_of[type];
}

// --- Faults ---

static herr_t keep_innermost(unsigned n, const H5E_error2_t *error, void *context) {
    char *text = context;
    if (n == 0 && error->desc) {
        strncpy(text, error->desc, DESCRIPTION_BYTES - 1);
        text[DESCRIPTION_BYTES - 1] = 0;
    }
    return 0;
}

static void describe(char text[DESCRIPTION_BYTES]) {
    strcpy(text, "unknown HDF5 fault");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, text);
    if (link_refused)
        strcpy(text, "it is a link to another file, and those are not followed");
    link_refused = false;
    H5Eclear2(H5E_DEFAULT);
}

// HDF5 hands the system's error on in its text alone, behind the name of the file: errno itself it may have changed
// since, for the text has the time in it too. 0: none.
static int errno_in(const char *text) {
    static const char MARK[] = "errno = ";
    int error = 0;
    while ((text = strstr(text, MARK)))
        error = atoi(text += strlen(MARK));
    return error;
}

static void fail(ts_h5 *h5, const char *doing, const char *name, const char *text) {
    h5->error = errno_in(text);
    if (h5->error)
        h5->status = ts_fail_errno(TS_ERROR_FATAL, h5->error, "'%s': cannot %s '%s'", h5->path, doing, name);
    else if (strcmp(doing, "write") == 0 || strcmp(doing, "close") == 0 || (h5->mpio && h5->file >= 0))
        h5->status = ts_fail(TS_ERROR_FATAL,
                             "'%s': cannot %s '%s': %s; see whether its disk is full or broken, then run the same "
                             "command again",
                             h5->path, doing, name, text);
    else if (h5->file >= 0 && (strncmp(doing, "open", 4) == 0 || strcmp(doing, "read") == 0))
        h5->status = ts_fail(TS_ERROR_FATAL,
                             "'%s' is damaged: cannot %s '%s': %s; move it away and start again, or go back to a copy",
                             h5->path, doing, name, text);
    else
        h5->status = ts_fail(TS_ERROR_FATAL, "'%s': cannot %s '%s': %s", h5->path, doing, name, text);
}

void ts_h5_fault(ts_h5 *h5, const char *doing, const char *name) {
    if (h5->status != TS_OK)
        return;
    char text[DESCRIPTION_BYTES];
    describe(text);
    fail(h5, doing, name, text);
}

void ts_h5_fault_at(ts_h5 *h5, const char *doing, hid_t object) {
    char text[DESCRIPTION_BYTES], name[256] = "a dataset";
    describe(text); // first: HDF5 forgets a fault at the next call
    if (H5Iget_name(object, name, sizeof name) < 0)
        strcpy(name, "a dataset");
    if (h5->status == TS_OK)
        fail(h5, doing, name, text);
}

// --- Files ---

void ts_h5_start(void) {
    static bool started;
    if (started)
        return;
    started = true;
    // HDF5's own locks are more than some file systems have, and would keep readers out while a run writes;
    // integrity/lock.h keeps runs apart. Of what all its versions know, the variable is what none overrules.
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    make_types();
    dataset_access = within_the_file(H5P_DATASET_ACCESS);
    group_access = within_the_file(H5P_GROUP_ACCESS);
}

void ts_h5_begin(ts_h5 *h5, const char *path) {
    ts_h5_start();
    *h5 = (ts_h5){.path = path, .file = -1, .limit = TRANSFER_LIMIT, .group_plan = -1};
    for (int i = 0; i < TS_H5_TYPES; i++)
        h5->dataset_plan[i] = -1;
}

// File access for every driver. V18 leaves no "open for writing" mark in the superblock that a killed run
// could leave behind, and has checksums over its metadata.
static hid_t access_plan(ts_h5 *h5) {
    hid_t plan = H5Pcreate(H5P_FILE_ACCESS);
    bool fine = plan >= 0 && H5Pset_libver_bounds(plan, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
                H5Pset_fclose_degree(plan, H5F_CLOSE_STRONG) >= 0 && H5Pset_sieve_buf_size(plan, 0) >= 0;
    if (!fine)
        ts_h5_fault(h5, "prepare", "file access");
    return plan;
}

static bool plan_order(hid_t plan) {
    return H5Pset_attr_creation_order(plan, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
           H5Pset_obj_track_times(plan, false) >= 0;
}

static bool plan_links(hid_t plan) {
    return plan >= 0 && plan_order(plan) &&
           H5Pset_link_creation_order(plan, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0;
}

static bool plan_dataset(hid_t plan, ts_h5_type type) {
    static const uint32_t nan32 = 0x7fc00000u;
    static const uint64_t nan64 = 0x7ff8000000000000u;
    bool fine = plan >= 0 && plan_order(plan) && H5Pset_layout(plan, H5D_CONTIGUOUS) >= 0 &&
                H5Pset_alloc_time(plan, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fill_time(plan, H5D_FILL_TIME_ALLOC) >= 0;
    if (type == TS_H5_FLOAT32)
        fine = fine && H5Pset_fill_value(plan, H5T_IEEE_F32LE, &nan32) >= 0;
    if (type == TS_H5_FLOAT64)
        fine = fine && H5Pset_fill_value(plan, H5T_IEEE_F64LE, &nan64) >= 0;
    return fine;
}

// Closes `access`.
static void create_file(ts_h5 *h5, hid_t access) {
    hid_t plan = H5Pcreate(H5P_FILE_CREATE);
    bool fine = plan_links(plan);
    fine = fine && plan_links(h5->group_plan = H5Pcreate(H5P_GROUP_CREATE));
    for (int i = 0; i < TS_H5_TYPES; i++)
        fine = fine && plan_dataset(h5->dataset_plan[i] = H5Pcreate(H5P_DATASET_CREATE), (ts_h5_type)i);
    if (!fine)
        ts_h5_fault(h5, "prepare", "file creation");
    if (h5->status == TS_OK && (h5->file = H5Fcreate(h5->path, H5F_ACC_TRUNC, plan, access)) < 0)
        ts_h5_fault(h5, "create", h5->path);
    ts_h5_close(h5, plan);
    ts_h5_close(h5, access);
}

void ts_h5_create(ts_h5 *h5, const char *path) {
    ts_h5_begin(h5, path);
    create_file(h5, access_plan(h5));
}

void ts_h5_create_in_memory(ts_h5 *h5) {
    ts_h5_begin(h5, "/dev/null/in memory"); // HDF5 looks for it, and it cannot be there
    hid_t access = access_plan(h5);
    if (h5->status == TS_OK && H5Pset_fapl_core(access, 1 << 20, false) < 0)
        ts_h5_fault(h5, "prepare", "file access");
    create_file(h5, access);
}

void ts_h5_open(ts_h5 *h5, const char *path, bool writable) {
    ts_h5_begin(h5, path);
    hid_t access = access_plan(h5);
    if (h5->status == TS_OK && (h5->file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access)) < 0)
        ts_h5_fault(h5, "open", path);
    ts_h5_close(h5, access);
}

#if defined TOYSWEEP_MPI && defined H5_HAVE_PARALLEL
static hid_t opened_by_mpi = -1; // the last file that was

// On MPI_COMM_SELF, for opened on all ranks together a fault of one leaves the others waiting. And by descriptor: to
// MPI-IO a colon in a path ends the name of a kind of file system, and what is at the path may have been replaced.
static void open_by_mpi(ts_h5 *h5, const ts_shared_file *file, hid_t access) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", ts_shared_file_descriptor(file));
    if (H5Pset_fapl_mpio(access, MPI_COMM_SELF, MPI_INFO_NULL) < 0)
        ts_h5_fault(h5, "prepare", "file access");
    else if ((h5->file = H5Fopen(name, H5F_ACC_RDWR, access)) < 0)
        ts_h5_fault(h5, "open", h5->path);
    opened_by_mpi = h5->file;
}
#else
static void open_by_mpi(ts_h5 *h5, const ts_shared_file *file, hid_t access) {
    (void)file, (void)access;
    h5->status = ts_fail(TS_ERROR_FATAL, "'%s': this HDF5 has no MPI", h5->path);
}
#endif

void ts_h5_open_mpio(ts_h5 *h5, const char *path, ts_shared_file *file) {
    ts_h5_begin(h5, path);
    h5->mpio = true;
    h5->direct = file;
    hid_t access = access_plan(h5);
    if (h5->status == TS_OK)
        open_by_mpi(h5, file, access);
    ts_h5_close(h5, access);
}

ts_status ts_h5_end(ts_h5 *h5) {
    for (int i = 0; i < TS_H5_TYPES; i++)
        ts_h5_close(h5, h5->dataset_plan[i]);
    ts_h5_close(h5, h5->group_plan);
    // Closed, HDF5 would write the superblock once more, and crash where it cannot. Nothing else is left to be written.
    if (!h5->mpio)
        ts_h5_close(h5, h5->file);
    h5->file = h5->group_plan = -1;
    for (int i = 0; i < TS_H5_TYPES; i++)
        h5->dataset_plan[i] = -1;
    return h5->status;
}

// --- Objects ---

void ts_h5_close(ts_h5 *h5, hid_t id) {
    static herr_t (*const CLOSE[H5I_NTYPES])(hid_t) = {
        [H5I_FILE] = H5Fclose,      [H5I_GROUP] = H5Gclose, [H5I_DATASET] = H5Dclose,     [H5I_DATATYPE] = H5Tclose,
        [H5I_DATASPACE] = H5Sclose, [H5I_ATTR] = H5Aclose,  [H5I_GENPROP_LST] = H5Pclose,
    };
    if (id < 0)
        return;
    H5I_type_t type = H5Iget_type(id);
    if (type < 0 || type >= H5I_NTYPES || !CLOSE[type] || CLOSE[type](id) < 0)
        ts_h5_fault(h5, "close", "a part of it");
}

// The handle, or the fault that there is none.
static hid_t checked(ts_h5 *h5, hid_t id, const char *doing, const char *name) {
    if (id < 0)
        ts_h5_fault(h5, doing, name);
    return id;
}

hid_t ts_h5_create_group(ts_h5 *h5, hid_t parent, const char *name) {
    if (h5->status != TS_OK)
        return -1;
    hid_t group = H5Gcreate2(parent, name, H5P_DEFAULT, h5->group_plan, H5P_DEFAULT);
    return checked(h5, group, "create group", name);
}

hid_t ts_h5_create_dataset(ts_h5 *h5, hid_t parent, const char *name, const ts_h5_form *form) {
    if (h5->status != TS_OK)
        return -1;
    hid_t space = form->rank ? H5Screate_simple(form->rank, form->size, NULL) : scalar;
    hid_t dataset =
        H5Dcreate2(parent, name, type_of[form->type], space, H5P_DEFAULT, h5->dataset_plan[form->type], H5P_DEFAULT);
    checked(h5, dataset, "create dataset", name);
    if (form->rank)
        ts_h5_close(h5, space);
    return dataset;
}

hid_t ts_h5_open_group(ts_h5 *h5, hid_t parent, const char *name) {
    return h5->status == TS_OK ? checked(h5, H5Gopen2(parent, name, group_access), "open group", name) : -1;
}

hid_t ts_h5_open_dataset(ts_h5 *h5, hid_t parent, const char *name) {
    return h5->status == TS_OK ? checked(h5, H5Dopen2(parent, name, dataset_access), "open dataset", name) : -1;
}

bool ts_h5_has(hid_t parent, const char *name) {
    return H5Lexists(parent, name, group_access) > 0;
}

bool ts_h5_lacks(hid_t parent, const char *name) {
    return H5Lexists(parent, name, group_access) == 0;
}

hid_t ts_h5_try_dataset(hid_t parent, const char *name) {
    return ts_h5_has(parent, name) ? H5Dopen2(parent, name, dataset_access) : -1;
}

size_t ts_h5_item_bytes(ts_h5_type type) {
    static const size_t bytes[TS_H5_TYPES] = {1, 4, 4, 8, 4, 8, sizeof(char *)};
    return bytes[type];
}

static bool known_type(hid_t id, ts_h5_form *form) {
    form->type = TS_H5_TEXT;
    if (H5Tis_variable_str(id) > 0)
        return H5Tget_cset(id) == H5T_CSET_UTF8;
    for (form->type = 0; form->type < TS_H5_TEXT; form->type++)
        if (H5Tequal(id, type_of[form->type]) > 0)
            return true;
    return false;
}

// HDF5 keeps a text as length (4 bytes), address (8) and index (4) of where it lies.
static hsize_t stored_bytes(const ts_h5_form *form) {
    hsize_t bytes = (hsize_t)ts_h5_total_bytes(form);
    return form->type == TS_H5_TEXT ? bytes / sizeof(char *) * 16 : bytes;
}

// Of a file that it has written into the MPI driver says no more how large it is; MPI does.
static bool find_size(hid_t file, hsize_t *size) {
#if defined TOYSWEEP_MPI && defined H5_HAVE_PARALLEL
    MPI_File *opened = NULL;
    MPI_Offset bytes = 0;
    if (file == opened_by_mpi) { // its access list would tell too, but make a communicator each time
        bool fine = H5Fget_vfd_handle(file, H5P_DEFAULT, (void **)&opened) >= 0 &&
                    MPI_File_get_size(*opened, &bytes) == MPI_SUCCESS;
        *size = (hsize_t)bytes;
        return fine;
    }
#endif
    return H5Fget_filesize(file, size) >= 0;
}

// Are all its data within the file, as far as that has an end?
static bool lies_within(hid_t dataset, haddr_t place, const ts_h5_form *form) {
    hsize_t size = 0;
    hid_t file = H5Iget_file_id(dataset);
    bool fine = H5Dget_storage_size(dataset) == stored_bytes(form) && find_size(file, &size) && place <= size &&
                stored_bytes(form) <= size - place;
    H5Fclose(file);
    return fine;
}

// Where it lies first: only contiguous data that are allocated, and in no other file, have a place; and to ask a
// virtual dataset for its extent opens the files it is made of.
bool ts_h5_form_of(hid_t dataset, ts_h5_form *form) {
    *form = (ts_h5_form){0};
    haddr_t place = H5Dget_offset(dataset);
    if (place == HADDR_UNDEF)
        return false;
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    bool fine = type >= 0 && space >= 0 && known_type(type, form);
    if (fine) {
        form->rank = H5Sget_simple_extent_ndims(space);
        fine = form->rank >= 0 && form->rank <= TS_H5_DIMENSIONS &&
               H5Sget_simple_extent_dims(space, form->size, NULL) >= 0;
    }
    fine = fine && lies_within(dataset, place, form);
    H5Sclose(space);
    H5Tclose(type);
    return fine;
}

bool ts_h5_same_form(const ts_h5_form *a, const ts_h5_form *b) {
    bool same = a->type == b->type && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->size[i] == b->size[i];
    return same;
}

int64_t ts_h5_row_bytes(const ts_h5_form *form) {
    int64_t bytes = (int64_t)ts_h5_item_bytes(form->type);
    for (int i = 1; i < form->rank; i++)
        bytes *= (int64_t)form->size[i];
    return bytes;
}

int64_t ts_h5_total_bytes(const ts_h5_form *form) {
    return ts_h5_row_bytes(form) * (form->rank ? (int64_t)form->size[0] : 1);
}

// --- Attributes ---

static void put(ts_h5 *h5, hid_t object, const char *name, hid_t type, const void *value) {
    if (h5->status != TS_OK)
        return;
    hid_t attribute = H5Acreate2(object, name, type, scalar, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, value) < 0)
        ts_h5_fault(h5, "write attribute", name);
    ts_h5_close(h5, attribute);
}

void ts_h5_put_text(ts_h5 *h5, hid_t object, const char *name, const char *text) {
    put(h5, object, name, type_of[TS_H5_TEXT], &text);
}

void ts_h5_put_int32(ts_h5 *h5, hid_t object, const char *name, int32_t value) {
    put(h5, object, name, H5T_STD_I32LE, &value);
}

// Opens an attribute if it is there, has one element, and is of class `class`.
static hid_t find(hid_t object, const char *name, H5T_class_t class) {
    if (object < 0 || H5Aexists(object, name) <= 0)
        return -1;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    bool fine = H5Tget_class(type) == class && H5Sget_simple_extent_npoints(space) == 1 &&
                (class != H5T_STRING || H5Tis_variable_str(type) > 0);
    H5Sclose(space);
    H5Tclose(type);
    if (fine)
        return attribute;
    H5Aclose(attribute);
    return -1;
}

ts_status ts_h5_get_text(hid_t object, const char *name, char **text) {
    *text = NULL;
    hid_t attribute = find(object, name, H5T_STRING);
    ts_status status = TS_OK;
    if (attribute < 0)
        return TS_OK;
    char *value = NULL;
    if (H5Aread(attribute, type_of[TS_H5_TEXT], &value) >= 0 && value) {
        *text = ts_copy_text(value);
        status = *text ? TS_OK : TS_ERROR_MEMORY;
        H5free_memory(value);
    }
    H5Aclose(attribute);
    return status;
}

bool ts_h5_get_int32(hid_t object, const char *name, int32_t *value) {
    hid_t attribute = find(object, name, H5T_INTEGER);
    bool fine = attribute >= 0 && H5Aread(attribute, H5T_NATIVE_INT32, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    return fine;
}
