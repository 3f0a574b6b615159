// Weights of an instance of a results file, as tensors of a file.
#include "base/memory.h"
#include "results/stored_weights.h"
#include "weights/tensor_file.h"

#include <stdio.h>
#include <string.h>

static ts_status add(ts_tensor_file *file, const ts_stored_tensor *stored) {
    ts_status status = TS_OK;
    ts_file_tensor *tensor = ts_tensor_file_add(file, stored->name, &status);
    if (!tensor)
        return status;
    tensor->kind = TS_TENSOR_REAL;
    snprintf(tensor->type, sizeof tensor->type, "F32");
    if (!ts_file_tensor_shape(tensor, stored->rank, stored->size))
        return ts_fail(TS_ERROR_USER, "'%s' is damaged: '%s' has too many numbers", file->path, stored->name);
    return TS_OK;
}

static ts_status list(ts_tensor_file *file) {
    ts_status status = TS_OK;
    for (int i = 0; i < file->stored->count && status == TS_OK; i++)
        status = add(file, &file->stored->tensor[i]);
    return status;
}

static ts_status read_tensor(ts_tensor_file *file, const ts_file_tensor *tensor, double *out) {
    const ts_stored_tensor *stored = &file->stored->tensor[tensor - file->tensor]; // in the same order
    for (int64_t i = 0; i < tensor->count; i++)
        out[i] = stored->data[i];
    return TS_OK;
}

static void close_stored(ts_tensor_file *file) {
    ts_stored_weights_free(file->stored);
    ts_free(file->stored);
}

const ts_tensor_reader ts_tensor_stored = {.list = list, .read = read_tensor, .close = close_stored};

ts_status ts_tensor_file_open_stored(const char *path, ts_reader *reader, int64_t instance, int64_t *step,
                                     const char *name, ts_tensor_file *file) {
    *file = (ts_tensor_file){.path = name, .hdf5 = -1};
    file->stored = ts_alloc_zero(1, sizeof *file->stored, "an instance's weights");
    if (!file->stored)
        return TS_ERROR_MEMORY;
    file->reader = &ts_tensor_stored;
    ts_status status = ts_stored_weights_read(path, reader, instance, *step < 0 ? TS_STORED_END : *step, file->stored);
    *step = file->stored->step;
    return status == TS_OK ? list(file) : status;
}
