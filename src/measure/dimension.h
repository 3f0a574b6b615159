// The dimensions that measures have: how long one is in a case, and what stands at its indices.
#pragma once

#include "param/key.h"
#include "task/data.h"

enum { TS_MEASURE_DIMENSION_NAMES = 8 }; // that there are

bool ts_dimension_is_known(const char *dimension);

// 0: the case has no such dimension, and no measures with it.
int64_t ts_dimension_length(const ts_params *params, const ts_data *data, const char *dimension);

// What stands at an index, e.g. an irrep's name; NULL: the index itself. Also of dimensions of tensors.
const char *ts_dimension_label(const ts_data *data, const char *dimension, int64_t index);

// The name it has elsewhere; "" or NULL: none.
const char *ts_dimension_alias(const ts_data *data, const char *dimension, int64_t index);
