// Weights of one instance, out of a results file: those of its end, or of any checkpoint that the file keeps. Serial;
// never writes.
#pragma once

#include "results/reader.h"

enum { TS_STORED_TENSORS = 64, TS_STORED_END = -1 };

typedef struct ts_stored_tensor {
    char name[64];
    int rank;
    int64_t size[4];
    float *data; // row-major; owned
} ts_stored_tensor;

typedef struct ts_stored_weights {
    int64_t step; // the updates that they have had
    int count;
    ts_stored_tensor tensor[TS_STORED_TENSORS];
} ts_stored_weights;

// Of the results file at `path`, which `reader` has open; `step`: a checkpoint's, or TS_STORED_END. TS_ERROR_USER: it
// has none of these, and the message says which it has, or how to get them. To be freed in any case.
ts_status ts_stored_weights_read(const char *path, ts_reader *reader, int64_t instance, int64_t step,
                                 ts_stored_weights *weights);
void ts_stored_weights_free(ts_stored_weights *weights);
