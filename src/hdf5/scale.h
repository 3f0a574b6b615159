// Dimension scales, as HDF5's own library (H5DS) lays them down: the datasets that name and number the
// dimensions of others. Written by hand because H5DS rewrites a scale's list at every dataset attached to it,
// and leaves padding bytes in it undefined, so that equal inputs would give unequal files.
#pragma once

#include "hdf5/hdf5.h"

enum { TS_SCALE_NAME = 64 };

// One dataset's dimension that a scale stands for.
typedef struct ts_scale_use {
    hobj_ref_t dataset;
    uint32_t dimension;
    uint32_t padding; // always 0
} ts_scale_use;

typedef struct ts_scale {
    char name[TS_SCALE_NAME];
    int64_t length;
    hid_t dataset; // open between begin and end
    hobj_ref_t reference;
    ts_scale_use *use; // (uses); owned
    int uses, capacity;
} ts_scale;

// Makes the dataset `name` and marks it as a scale. `values`: (length), or NULL if the caller writes them.
// Faults are noted in h5. End every scale that was begun, also after a fault.
void ts_scale_begin(ts_h5 *h5, hid_t group, const char *name, ts_h5_type type, int64_t length, const void *values,
                    ts_scale *scale);

// Dimension i of `dataset` is numbered by scale[i].
void ts_scale_attach(ts_h5 *h5, hid_t dataset, int rank, ts_scale *const *scale);

// Writes down what is attached, and closes.
void ts_scale_end(ts_h5 *h5, ts_scale *scale);
