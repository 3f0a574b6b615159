// An instance's weights from a file made elsewhere: which of its tensors are the model's, whatever they are called and
// however they lie. What kinds of file there are is not known here (tensor_file.h).
#pragma once

#include "base/status.h"

struct ts_model;
struct ts_parameter_layout;
struct ts_tensor_file;

// Reads `parameters` (layout->total) in the model's layout. Tensors have the model's own or published names, all after
// one prefix or none. Layouts that are in use are transposed into the model's, with a warning. TS_ERROR_USER with a
// message: a tensor is missing, of another shape, or not finite in float32, or there is one that the model lacks and
// that is not zero (masks aside). Numbers are exactly as they are there (but within float32's range).
ts_status ts_weights_read(const char *path, const struct ts_model *model, const struct ts_parameter_layout *layout,
                          double *parameters);

// The same of an open file.
ts_status ts_weights_take(struct ts_tensor_file *file, const struct ts_model *model,
                          const struct ts_parameter_layout *layout, double *parameters);
