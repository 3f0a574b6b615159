// Which reader a file takes, by its first bytes; else what the file is instead.
#define _POSIX_C_SOURCE 200809L
#include "weights/tensor_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// --- What kind of file is it? ---

static ts_status open_stream(ts_tensor_file *file, int64_t *bytes) {
    struct stat info;
    int fd;
    ts_status status = ts_file_open_input(file->path, TS_ERROR_USER, &fd);
    if (status != TS_OK)
        return status;
    file->stream = fdopen(fd, "rb");
    if (!file->stream || fstat(fd, &info) != 0) {
        int error = errno;
        if (!file->stream)
            close(fd);
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot read '%s'", file->path);
    }
    *bytes = (int64_t)info.st_size;
    return *bytes > 0 ? TS_OK : ts_fail(TS_ERROR_USER, "'%s' is empty", file->path);
}

static size_t read_at(FILE *stream, int64_t offset, void *out, size_t bytes) {
    return fseeko(stream, (off_t)offset, SEEK_SET) == 0 ? fread(out, 1, bytes, stream) : 0;
}

// HDF5 may have a block of another program's before it: at 0, 512, 1024, 2048, ...
static bool is_hdf5(FILE *stream, int64_t bytes) {
    unsigned char found[8];
    for (int64_t at = 0; at + (int64_t)sizeof found <= bytes; at = at ? 2 * at : 512)
        if (read_at(stream, at, found, sizeof found) == sizeof found &&
            memcmp(found, "\211HDF\r\n\032\n", sizeof found) == 0)
            return true;
    return false;
}

static ts_status refuse(const char *path, const unsigned char *start, size_t bytes) {
    static const char *const TORCH = "in Python: import torch, safetensors.torch; "
                                     "safetensors.torch.save_file(torch.load(FILE, map_location=\"cpu\"), "
                                     "\"weights.safetensors\")";
    bool zip = bytes >= 4 && memcmp(start, "PK\3\4", 4) == 0;
    size_t name_bytes = bytes >= 30 ? start[26] + 256u * start[27] : 0;
    bool numpy =
        zip && name_bytes >= 4 && 30 + name_bytes <= bytes && memcmp(start + 30 + name_bytes - 4, ".npy", 4) == 0;
    if (numpy || (bytes >= 6 && memcmp(start, "\223NUMPY", 6) == 0))
        return ts_fail(TS_ERROR_USER,
                       "'%s' is a NumPy file, which is not read; convert it, in Python: import numpy, "
                       "safetensors.numpy; safetensors.numpy.save_file(dict(numpy.load(FILE)), "
                       "\"weights.safetensors\")",
                       path);
    if (zip || (bytes >= 2 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5))
        return ts_fail(TS_ERROR_USER,
                       "'%s' is a PyTorch file (a pickle, which can run any program and is not read); "
                       "convert its state dict, %s",
                       path, TORCH);
    return ts_fail(TS_ERROR_USER, "'%s' is neither an HDF5 nor a safetensors file", path);
}

// safetensors: the header's length (8 bytes), then the header, a JSON object.
static ts_status recognise(ts_tensor_file *file, int64_t bytes) {
    unsigned char start[1024];
    size_t got = read_at(file->stream, 0, start, sizeof start);
    if (ferror(file->stream))
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", file->path);
    if (is_hdf5(file->stream, bytes))
        file->reader = &ts_tensor_hdf5;
    else if (got > 8 && start[8] == '{' && start[6] == 0 && start[7] == 0)
        file->reader = &ts_tensor_safetensors;
    else
        return refuse(file->path, start, got);
    return TS_OK;
}

ts_status ts_tensor_file_open(const char *path, ts_tensor_file *file) {
    *file = (ts_tensor_file){.path = path, .hdf5 = -1};
    int64_t bytes = 0;
    ts_status status = open_stream(file, &bytes);
    if (status == TS_OK)
        status = recognise(file, bytes);
    return status == TS_OK ? file->reader->list(file) : status;
}

ts_status ts_tensor_file_read(ts_tensor_file *file, const ts_file_tensor *tensor, double *out) {
    return file->reader->read(file, tensor, out);
}

void ts_tensor_file_close(ts_tensor_file *file) {
    if (file->reader)
        file->reader->close(file);
    if (file->stream)
        fclose(file->stream);
    for (int i = 0; i < file->count; i++)
        ts_free(file->tensor[i].name);
    ts_free(file->tensor);
    *file = (ts_tensor_file){.path = file->path, .hdf5 = -1};
}

// --- For the readers ---

ts_file_tensor *ts_tensor_file_add(ts_tensor_file *file, const char *name, ts_status *status) {
    if (file->count == TS_TENSORS_MOST) {
        *status = ts_fail(TS_ERROR_USER, "'%s' has more than %d tensors", file->path, TS_TENSORS_MOST);
        return NULL;
    }
    if (file->count == file->capacity) {
        int capacity = file->capacity ? 2 * file->capacity : 32;
        ts_file_tensor *grown = ts_realloc(file->tensor, (size_t)capacity * sizeof *grown, "names of tensors");
        if (!grown) {
            *status = TS_ERROR_MEMORY;
            return NULL;
        }
        file->tensor = grown;
        file->capacity = capacity;
    }
    ts_file_tensor *tensor = &file->tensor[file->count];
    *tensor = (ts_file_tensor){.name = ts_copy_text(name)};
    if (!tensor->name) {
        *status = TS_ERROR_MEMORY;
        return NULL;
    }
    file->count++;
    return tensor;
}

bool ts_file_tensor_shape(ts_file_tensor *tensor, int rank, const int64_t *size) {
    tensor->rank = rank;
    tensor->count = 1;
    for (int d = 0; d < rank; d++) {
        tensor->size[d] = size[d];
        if (size[d] < 0 || (size[d] > 0 && tensor->count > (INT64_MAX >> 4) / size[d]))
            return false;
        tensor->count *= size[d];
    }
    return true;
}

const char *ts_shape_text(int rank, const int64_t *size, char out[TS_SHAPE_BYTES]) {
    snprintf(out, TS_SHAPE_BYTES, "a single number");
    for (int d = 0, at = 0; d < rank && at < TS_SHAPE_BYTES; d++)
        at += snprintf(out + at, (size_t)(TS_SHAPE_BYTES - at), d ? " x %lld" : "%lld", (long long)size[d]);
    return out;
}
