// Fuzz target: a file of weights trained elsewhere. HDF5 itself is not the target: the bytes say which valid HDF5 file
// is made - what stands under each name, its shape, type and storage. Read whole, or refused with a message that names
// the file; never a value outside the parameters.
#define _GNU_SOURCE
#include "fuzz.h"

#include "weights/weights_reader.h"

#include <hdf5.h>
#include <math.h>

static const char *const SWEEPS[] = {
    "task: tree\ndepth: 2\nhidden: 3\n",
    "task: group\ngroup: S3\nembed: 4\nhidden: 5\n",
};

// The input, a byte at a time; zeros when it is used up.
typedef struct choices {
    const uint8_t *at;
    size_t left;
} choices;

static unsigned choose(choices *from, unsigned n) {
    if (from->left == 0)
        return 0;
    from->left--;
    return *from->at++ % n;
}

enum { GUARD = 64 }; // numbers in the guard behind the parameters

static hid_t make_type(choices *from) {
    hid_t type;
    switch (choose(from, 12)) {
    case 1:
        return H5Tcopy(H5T_IEEE_F64LE);
    case 2:
        return H5Tcopy(H5T_IEEE_F32BE);
    case 3:
        return H5Tcopy(H5T_STD_I8LE);
    case 4:
        return H5Tcopy(H5T_STD_U64BE);
    case 5:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, choose(from, 3) ? 5 : H5T_VARIABLE);
        return type;
    case 6:
        type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "re", 0, H5T_IEEE_F32LE);
        H5Tinsert(type, "im", 4, H5T_IEEE_F32LE);
        return type;
    case 7:
        return H5Tcreate(H5T_OPAQUE, 4);
    case 8:
        return H5Tenum_create(H5T_STD_I32LE);
    case 9:
        return H5Tvlen_create(H5T_IEEE_F32LE);
    case 10:
        return H5Tarray_create2(H5T_IEEE_F32LE, 1, (hsize_t[]){2});
    case 11:
        return H5Tcopy(H5T_STD_REF_OBJ);
    default:
        return H5Tcopy(H5T_IEEE_F32LE);
    }
}

static hid_t make_space(choices *from, const ts_tensor *tensor) {
    hsize_t size[6] = {1, 1, 1, 1, 1, 1};
    int rank = tensor->rank;
    for (int d = 0; d < rank; d++)
        size[d] = (hsize_t)tensor->size[d];
    switch (choose(from, 8)) {
    case 1:
        rank = (int)choose(from, 6); // 0: a scalar
        break;
    case 2:
        size[choose(from, 4)] += 1;
        break;
    case 3:
        size[0] = 0;
        break;
    case 4:
        size[0] = (hsize_t)1 << choose(from, 63); // larger than the file: never written
        break;
    case 5:
        return H5Screate(H5S_NULL);
    default:
        break;
    }
    return H5Screate_simple(rank, size, NULL);
}

static void make_dataset(choices *from, hid_t file, const char *name, const ts_tensor *tensor) {
    hid_t type = make_type(from), space = make_space(from, tensor), list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[6] = {2, 2, 2, 2, 2, 2};
    int rank = H5Sget_simple_extent_ndims(space);
    unsigned storage = choose(from, 4);
    if (storage == 1 && rank > 0) {
        H5Pset_chunk(list, rank, chunk);
        H5Pset_deflate(list, 1);
    } else if (storage == 2) {
        H5Pset_layout(list, H5D_COMPACT);
    } else if (storage == 3) {
        H5Pset_external(list, "nowhere.raw", 0, H5F_UNLIMITED);
    }
    hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
}

static void make_object(choices *from, hid_t file, const ts_tensor *tensor) {
    hid_t id;
    switch (choose(from, 8)) {
    case 1:
        return; // missing
    case 2:
        if ((id = H5Gcreate2(file, tensor->name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)) >= 0)
            H5Gclose(id);
        return;
    case 3:
        H5Lcreate_soft("/nowhere", file, tensor->name, H5P_DEFAULT, H5P_DEFAULT);
        return;
    case 4:
        H5Lcreate_soft(tensor->name, file, tensor->name, H5P_DEFAULT, H5P_DEFAULT); // to itself
        return;
    case 5:
        H5Lcreate_external("nowhere.h5", "/x", file, tensor->name, H5P_DEFAULT, H5P_DEFAULT);
        return;
    case 6:
        make_dataset(from, file, "other", tensor);
        H5Lcreate_hard(file, "other", file, tensor->name, H5P_DEFAULT, H5P_DEFAULT);
        H5Ldelete(file, "other", H5P_DEFAULT);
        return;
    default:
        make_dataset(from, file, tensor->name, tensor);
    }
}

static void make_file(choices *from, const char *path, const ts_parameter_layout *layout) {
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    fuzz_require(file >= 0);
    for (int i = 0; i < layout->count; i++)
        make_object(from, file, &layout->tensor[i]);
    fuzz_require(H5Fclose(file) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ts_parameter_layout layouts[2];
    static const ts_model *models[2];
    static char directory[64], path[96];
    if (!*path) {
        for (int i = 0; i < 2; i++) {
            ts_sweep *sweep = fuzz_sweep(SWEEPS[i]);
            ts_params params;
            fuzz_require(sweep);
            ts_case_params(sweep, 0, 0, &params);
            models[i] = params.schema->model;
            models[i]->layout(&params, &layouts[i]);
            ts_sweep_free(sweep);
        }
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        fuzz_directory(directory);
        snprintf(path, sizeof path, "%s/weights.h5", directory);
    }
    choices from = {data, size};
    unsigned which = choose(&from, 2);
    const ts_parameter_layout *layout = &layouts[which];
    make_file(&from, path, layout);
    double *parameters = ts_alloc((size_t)(layout->total + GUARD) * sizeof *parameters, "weights");
    fuzz_require(parameters);
    for (int64_t i = 0; i < layout->total + GUARD; i++)
        parameters[i] = NAN;
    ts_status status = ts_weights_read(path, models[which], layout, parameters);
    fuzz_require(status == TS_OK || (status == TS_ERROR_USER && strstr(ts_message(), path)));
    for (int64_t i = 0; i < layout->total + GUARD; i++)
        fuzz_require(i < layout->total ? status != TS_OK || isfinite((float)parameters[i]) : isnan(parameters[i]));
    ts_free(parameters);
    return 0;
}
