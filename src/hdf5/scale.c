// The attributes of the dimension scale convention, written one by one.
#include "hdf5/scale.h"

#include "base/memory.h"

#include <string.h>

_Static_assert(sizeof(ts_scale_use) == 16, "as H5DS's own list entries");

// A plain ASCII attribute with its NUL, as H5DS writes CLASS and NAME.
static void put_ascii(ts_h5 *h5, hid_t object, const char *name, const char *text) {
    if (h5->status != TS_OK)
        return;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute = -1;
    if (type >= 0 && space >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0)
        attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, text) < 0)
        ts_h5_fault(h5, "write attribute", name);
    ts_h5_close(h5, attribute);
    ts_h5_close(h5, space);
    ts_h5_close(h5, type);
}

static void put_list(ts_h5 *h5, hid_t object, const char *name, hid_t type, int count, const void *values) {
    if (h5->status != TS_OK)
        return;
    hid_t space = H5Screate_simple(1, (hsize_t[]){(hsize_t)count}, NULL);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, values) < 0)
        ts_h5_fault(h5, "write attribute", name);
    ts_h5_close(h5, attribute);
    ts_h5_close(h5, space);
}

void ts_scale_begin(ts_h5 *h5, hid_t group, const char *name, ts_h5_type type, int64_t length, const void *values,
                    ts_scale *scale) {
    *scale = (ts_scale){.length = length, .dataset = -1};
    if (h5->status != TS_OK)
        return;
    if (strlen(name) >= sizeof scale->name) {
        h5->status = ts_fail(TS_ERROR_FATAL, "'%s': the dimension name '%s' is too long", h5->path, name);
        return;
    }
    strcpy(scale->name, name);
    ts_h5_form form = {.type = type, .rank = 1, .size = {(hsize_t)length}};
    scale->dataset = ts_h5_create_dataset(h5, group, name, &form);
    put_ascii(h5, scale->dataset, "CLASS", "DIMENSION_SCALE");
    put_ascii(h5, scale->dataset, "NAME", name);
    if (values)
        ts_h5_write(h5, scale->dataset, &form, 0, length, values);
    if (h5->status == TS_OK && H5Rcreate(&scale->reference, scale->dataset, ".", H5R_OBJECT, -1) < 0)
        ts_h5_fault(h5, "refer to", name);
}

static void add_use(ts_h5 *h5, ts_scale *scale, hobj_ref_t dataset, int dimension) {
    if (scale->uses == scale->capacity) {
        int capacity = scale->capacity ? 2 * scale->capacity : 16;
        ts_scale_use *use = ts_realloc(scale->use, (size_t)capacity * sizeof *use, "a dimension scale");
        if (!use) {
            h5->status = TS_ERROR_MEMORY;
            return;
        }
        scale->use = use;
        scale->capacity = capacity;
    }
    scale->use[scale->uses++] = (ts_scale_use){.dataset = dataset, .dimension = (uint32_t)dimension};
}

void ts_scale_attach(ts_h5 *h5, hid_t dataset, int rank, ts_scale *const *scale) {
    hobj_ref_t reference;
    hvl_t list[TS_H5_DIMENSIONS];
    if (h5->status == TS_OK && H5Rcreate(&reference, dataset, ".", H5R_OBJECT, -1) < 0)
        ts_h5_fault(h5, "refer to", "a dataset");
    for (int i = 0; h5->status == TS_OK && i < rank; i++) {
        list[i] = (hvl_t){.len = 1, .p = &scale[i]->reference};
        add_use(h5, scale[i], reference, i);
    }
    if (h5->status != TS_OK)
        return;
    hid_t type = H5Tvlen_create(H5T_STD_REF_OBJ);
    put_list(h5, dataset, "DIMENSION_LIST", type, rank, list);
    ts_h5_close(h5, type);
}

static hid_t use_type(void) {
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(ts_scale_use));
    if (type >= 0 && (H5Tinsert(type, "dataset", offsetof(ts_scale_use, dataset), H5T_STD_REF_OBJ) < 0 ||
                      H5Tinsert(type, "dimension", offsetof(ts_scale_use, dimension), H5T_STD_I32LE) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

void ts_scale_end(ts_h5 *h5, ts_scale *scale) {
    if (scale->uses > 0 && h5->status == TS_OK) {
        hid_t type = use_type();
        put_list(h5, scale->dataset, "REFERENCE_LIST", type, scale->uses, scale->use);
        ts_h5_close(h5, type);
    }
    ts_h5_close(h5, scale->dataset);
    ts_free(scale->use);
    *scale = (ts_scale){.dataset = -1};
}
