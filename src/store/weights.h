// One instance's weights as a file of their own, one entry per parameter: safetensors, or HDF5 with a dataset
// each.
#pragma once

#include "base/status.h"
#include "store/reader.h"

// `metadata`: a JSON object text kept with the weights (the instance's parameters). Existing files are
// replaced.
ts_status ts_weights_write_safetensors(const char *path, const ts_reader_tensor *tensors, int count,
                                       const char *metadata);
ts_status ts_weights_write_hdf5(const char *path, const ts_reader_tensor *tensors, int count,
                                const char *metadata);

// Reads an instance's parameters from an HDF5 file with one dataset per tensor (float32 or float64), under the model's
// own or published names, into `parameters` in the model's layout. A fault names what is missing or has another shape.
struct ts_model;
struct ts_parameter_layout;
ts_status ts_weights_read_hdf5(const char *path, const struct ts_model *model,
                               const struct ts_parameter_layout *layout, float *parameters);
