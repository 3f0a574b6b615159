// safetensors by hand; HDF5 through the library.
#include "weights/weights.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <hdf5.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t tensor_bytes(const ts_stored_tensor *tensor) {
    size_t items = 1;
    for (int d = 0; d < tensor->rank; d++)
        items *= (size_t)tensor->size[d];
    return items * sizeof(float);
}

// Format: length of the header (uint64, little-endian), JSON header padded with spaces to 8 bytes, data.
ts_status ts_weights_write_safetensors(const char *path, const ts_stored_weights *weights, const char *metadata) {
    const ts_stored_tensor *tensors = weights->tensor;
    ts_text header = {0};
    size_t offset = 0;
    char step[32];
    snprintf(step, sizeof step, "%lld", (long long)weights->step); // metadata are texts
    ts_json_open(&header, NULL, '{');
    ts_json_open(&header, "__metadata__", '{');
    ts_json_string(&header, "format", "pt");
    ts_json_string(&header, "toysweep", metadata);
    ts_json_string(&header, "step", step);
    ts_json_close(&header, '}');
    for (int i = 0; i < weights->count; i++) {
        size_t bytes = tensor_bytes(&tensors[i]);
        ts_json_open(&header, tensors[i].name, '{');
        ts_json_string(&header, "dtype", "F32");
        ts_json_open(&header, "shape", '[');
        for (int d = 0; d < tensors[i].rank; d++)
            ts_json_integer(&header, NULL, tensors[i].size[d]);
        ts_json_close(&header, ']');
        ts_json_open(&header, "data_offsets", '[');
        ts_json_integer(&header, NULL, (int64_t)offset);
        ts_json_integer(&header, NULL, (int64_t)(offset + bytes));
        ts_json_close(&header, ']');
        ts_json_close(&header, '}');
        offset += bytes;
    }
    ts_json_close(&header, '}');
    while (header.length % 8 && !header.failed)
        ts_text_add(&header, " ");
    ts_text file = {0};
    uint64_t length = header.length;
    ts_text_append(&file, (const char *)&length, sizeof length);
    ts_text_add(&file, ts_text_get(&header));
    for (int i = 0; i < weights->count; i++)
        ts_text_append(&file, (const char *)tensors[i].data, tensor_bytes(&tensors[i]));
    ts_status status = header.failed ? ts_text_status(&header) : ts_text_status(&file);
    if (status == TS_OK)
        status = ts_file_write_durably(path, file.bytes, file.length);
    ts_text_free(&header);
    ts_text_free(&file);
    return status;
}

// Without the time at which it is made, so that the same weights are the same bytes.
static int write_dataset(hid_t file, const ts_stored_tensor *tensor) {
    hsize_t size[4];
    for (int d = 0; d < tensor->rank; d++)
        size[d] = (hsize_t)tensor->size[d];
    hid_t space = H5Screate_simple(tensor->rank, size, NULL), plan = H5Pcreate(H5P_DATASET_CREATE), dataset = -1;
    if (plan >= 0 && H5Pset_obj_track_times(plan, false) >= 0)
        dataset = H5Dcreate2(file, tensor->name, H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    int ok = dataset >= 0 && H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor->data) >= 0;
    if (dataset >= 0)
        ok = H5Dclose(dataset) >= 0 && ok;
    if (plan >= 0)
        H5Pclose(plan);
    H5Sclose(space);
    return ok;
}

static int write_metadata(hid_t file, const char *metadata) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(metadata) + 1);
    hid_t dataset = H5Acreate2(file, "parameters", type, space, H5P_DEFAULT, H5P_DEFAULT);
    int ok = dataset >= 0 && H5Awrite(dataset, type, metadata) >= 0;
    if (dataset >= 0)
        H5Aclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

static int write_step(hid_t file, int64_t step) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, "step", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int ok = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, &step) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return ok;
}

static int write_all(hid_t file, const ts_stored_weights *weights, const char *metadata) {
    int ok = write_metadata(file, metadata) && write_step(file, weights->step);
    for (int i = 0; i < weights->count && ok; i++)
        ok = write_dataset(file, &weights->tensor[i]);
    return ok && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0;
}

// The file is made in memory: on a full disk HDF5 would leave half of one.
ts_status ts_weights_write_hdf5(const char *path, const ts_stored_weights *weights, const char *metadata) {
    enum { GROW_BYTES = 1 << 20 };
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = -1;
    if (access >= 0 && H5Pset_fapl_core(access, GROW_BYTES, false) >= 0)
        file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    ssize_t size = file >= 0 && write_all(file, weights, metadata) ? H5Fget_file_image(file, NULL, 0) : -1;
    void *image = size > 0 ? ts_alloc((size_t)size, "exported weights") : NULL;
    ts_status status = TS_ERROR_MEMORY;
    if (size <= 0 || (image && H5Fget_file_image(file, image, (size_t)size) != size))
        status = ts_fail(TS_ERROR_FATAL, "cannot make '%s': HDF5 cannot put the weights into a file", path);
    else if (image)
        status = ts_file_write_durably(path, image, (size_t)size);
    ts_free(image);
    if (file >= 0)
        H5Fclose(file);
    if (access >= 0)
        H5Pclose(access);
    return status;
}
