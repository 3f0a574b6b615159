// The trainable tensors of a network: names, shapes, and where they lie among an instance's parameters.
#pragma once

#include <stdint.h>

enum { TS_MAX_DIMENSIONS = 4, TS_MAX_TENSORS = 64 };

// What a tensor is at first: drawn, zeros, ones.
typedef enum ts_tensor_start { TS_DRAWN, TS_BIAS, TS_GAIN } ts_tensor_start;

// One trainable tensor. Row-major: its rows are all dimensions but the last. Tensors lie one after the other in the
// order of the list.
typedef struct ts_tensor {
    const char *name;                         // dataset under weights/
    int rank;                                 // number of dimensions
    int64_t size[TS_MAX_DIMENSIONS];          // e.g. {hidden, features}
    const char *dimension[TS_MAX_DIMENSIONS]; // e.g. {"hidden", "feature"}
    int64_t offset;                           // in numbers, from the start of the instance's parameters
    ts_tensor_start kind;
    int64_t
        fan_in; // of weights, for how large they are at first: how many numbers feed a unit; of embeddings their width
} ts_tensor;

typedef struct ts_parameter_layout {
    int count;
    ts_tensor tensor[TS_MAX_TENSORS];
    int64_t total; // numbers
} ts_parameter_layout;

int64_t ts_tensor_numbers(const ts_tensor *tensor);
void ts_layout_place(ts_parameter_layout *layout); // its tensors one after the other: fills in offsets and total
