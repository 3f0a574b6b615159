// The dimensions that measures have: how long one is in a case, and what stands at its indices.
#pragma once

#include "param/key.h"
#include "task/data.h"

enum { TS_MEASURE_DIMENSION_NAMES = 16 }; // that there are

// Indices of those that measures of the same names give for each.
enum { TS_SPLIT_TRAIN, TS_SPLIT_TEST, TS_SPLIT_ALL, TS_SPLITS }; // "split"
enum { TS_UNCORRECTED, TS_MEAN_PUT_BACK, TS_CORRECTIONS };       // "correction"

enum { TS_INTERVENTIONS = 14 };   // "intervention"
enum { TS_COSET_THRESHOLDS = 4 }; // "coset_threshold"
extern const double ts_coset_threshold[TS_COSET_THRESHOLDS];

bool ts_dimension_is_known(const char *dimension);

// 0: the case has no such dimension, and no measures with it.
int64_t ts_dimension_length(const ts_params *params, const ts_data *data, const char *dimension);

// What stands at an index, e.g. an irrep's name; NULL: the index itself. Also of dimensions of tensors.
const char *ts_dimension_label(const ts_data *data, const char *dimension, int64_t index);

// The name it has elsewhere; "" or NULL: none.
const char *ts_dimension_alias(const ts_data *data, const char *dimension, int64_t index);
