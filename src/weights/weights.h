// One instance's weights written to a file of their own, one entry per parameter: safetensors, or HDF5 with a dataset
// each. Reading such files: weights_reader.h.
#pragma once

#include "base/status.h"
#include "results/stored_weights.h"

// `metadata`: a JSON object text kept with the weights (the instance's parameters); so is their step. Existing files
// are replaced.
ts_status ts_weights_write_safetensors(const char *path, const ts_stored_weights *weights, const char *metadata);
ts_status ts_weights_write_hdf5(const char *path, const ts_stored_weights *weights, const char *metadata);
