// How an instance's parameters, and its optimiser's moments, lie where an engine trains them: the tensors of the
// model's layout with every row padded to a whole number of units, a vector or what the device reads at once. Pads are
// the engine's own matter: weights and saved states are packed, as the model has them. Not: who owns the numbers.
#pragma once

#include "model/model.h"

#include <stddef.h>

// Rows are all dimensions but the last, `stride` floats apart.
typedef struct ts_padded_tensor {
    int64_t rows, columns, stride;
    int64_t offset; // from the start of an instance's parameters
} ts_padded_tensor;

typedef struct ts_padded_layout {
    ts_parameter_layout model; // the one without pads
    int tensors;
    ts_padded_tensor tensor[TS_MAX_TENSORS];
    int64_t padded, packed; // floats of the parameters, with and without pads
    int parts;              // of a state: see ts_optimiser_parts
} ts_padded_layout;

// Of instances with such parameters; rows end at multiples of `unit` floats.
void ts_padded_layout_make(const ts_params *params, int unit, ts_padded_layout *layout);

size_t ts_padded_state_floats(const ts_padded_layout *layout); // parts * padded
size_t ts_packed_state_floats(const ts_padded_layout *layout); // parts * packed

// The first `parts` parts: padded (parts, layout->padded) <-> packed (parts, layout->packed). Pads stay as they are.
void ts_padded_pack(const ts_padded_layout *layout, int parts, const float *padded, float *packed);
void ts_padded_unpack(const ts_padded_layout *layout, int parts, const float *packed, float *padded);
