// A file of named tensors, by whatever program it was made: HDF5 (tensor_hdf5.c) or safetensors
// (tensor_safetensors.c), or an instance of a results file (tensor_stored.c). Nothing in it is trusted: it is read
// only, without locks, nothing outside the file is ever opened, and nothing is allocated for its data but what the
// caller asks for. What the tensors mean is not known here (weights_reader.h).
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TS_TENSOR_RANK = 32, TS_TENSORS_MOST = 10000, TS_TENSOR_TYPE_BYTES = 40 };

typedef enum ts_tensor_kind {
    TS_TENSOR_REAL,  // can be read
    TS_TENSOR_WHOLE, // can be read
    TS_TENSOR_TEXT,  // strings
    TS_TENSOR_OTHER, // anything else: cannot be read
} ts_tensor_kind;

typedef struct ts_file_tensor {
    char *name; // as in the file; HDF5: with its groups' names, and '/' between them
    ts_tensor_kind kind;
    char type[TS_TENSOR_TYPE_BYTES]; // for messages: "F32", "compound", ...
    int rank;
    int64_t size[TS_TENSOR_RANK];
    int64_t count;   // numbers
    uint64_t offset; // safetensors: of its data in the file
} ts_file_tensor;

struct ts_tensor_reader;

typedef struct ts_tensor_file {
    const char *path; // the caller's
    int count, capacity;
    ts_file_tensor *tensor; // (count)
    const struct ts_tensor_reader *reader;
    FILE *stream;                     // safetensors
    int64_t hdf5;                     // HDF5: its handle; -1: closed
    struct ts_stored_weights *stored; // of a results file; owned
} ts_tensor_file;

// Opens a file and lists its tensors. TS_ERROR_USER with a message: it is no such file (what it is instead, and how to
// convert it, where that is known), or one of what is not followed (links to other files, data kept elsewhere). Close
// it also after a fault.
ts_status ts_tensor_file_open(const char *path, ts_tensor_file *file);
void ts_tensor_file_close(ts_tensor_file *file);

// The same of one instance's weights at a step of a results file (ts_stored_weights_read), *step becoming the one they
// are of. `name`: what messages call it; the caller's.
struct ts_reader;
ts_status ts_tensor_file_open_stored(const char *path, struct ts_reader *reader, int64_t instance, int64_t *step,
                                     const char *name, ts_tensor_file *file);

// The numbers of a tensor that can be read, row-major, into out (tensor->count): exactly, but for 64-bit integers
// beyond 2^53.
ts_status ts_tensor_file_read(ts_tensor_file *file, const ts_file_tensor *tensor, double *out);

// "3 x 6", "a single number"
enum { TS_SHAPE_BYTES = 96 };
const char *ts_shape_text(int rank, const int64_t *size, char out[TS_SHAPE_BYTES]);

// --- For the two readers ---

typedef struct ts_tensor_reader {
    ts_status (*list)(ts_tensor_file *file);
    ts_status (*read)(ts_tensor_file *file, const ts_file_tensor *tensor, double *out);
    void (*close)(ts_tensor_file *file);
} ts_tensor_reader;

extern const ts_tensor_reader ts_tensor_hdf5, ts_tensor_safetensors, ts_tensor_stored;

// A new tensor, its name copied; NULL with *status set: memory ran out, or there are too many.
ts_file_tensor *ts_tensor_file_add(ts_tensor_file *file, const char *name, ts_status *status);

// Sets the shape, and count; false: more numbers than can be.
bool ts_file_tensor_shape(ts_file_tensor *tensor, int rank, const int64_t *size);
