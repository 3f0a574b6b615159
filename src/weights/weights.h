// One instance's weights written to a file of their own, one entry per parameter: safetensors, or HDF5 with a dataset
// each. Reading such files: weights_reader.h.
#pragma once

#include "base/status.h"
#include "results/reader.h"

// `metadata`: a JSON object text kept with the weights (the instance's parameters). Existing files are
// replaced.
ts_status ts_weights_write_safetensors(const char *path, const ts_reader_tensor *tensors, int count,
                                       const char *metadata);
ts_status ts_weights_write_hdf5(const char *path, const ts_reader_tensor *tensors, int count, const char *metadata);
