// What the CPU engines of table models share: float32 weights and moments of K instances with rows padded to
// whole vectors, their training pairs, and AdamW on a gradient that a model's kernel makes. One thread trains
// one instance after the other; or the ranks of a team one together, whose gradients are added up at every step. Padding is the engines' own matter: states and weights go in and out without it.
#pragma once

#include "backend/backend.h"
#include "backend/cpu.h"
#include "base/memory.h"
#include "model/model.h"
#include "model/optimiser.h"

// A tensor as it lies here: `rows` of `columns` numbers, `stride` apart; rows are all dimensions but the last.
typedef struct ts_cpu_tensor {
    int64_t rows, columns, stride;
    int64_t offset; // from the start of an instance's parameters
} ts_cpu_tensor;

typedef struct ts_cpu_table {
    ts_training_spec spec;
    const ts_kernels *kernels;
    int tensors;
    ts_cpu_tensor tensor[TS_MAX_TENSORS];
    int64_t padded, packed; // floats of one instance's parameters, with and without pads
    int64_t train;          // training pairs of an instance
    int64_t first, own;     // those that are trained on here: all, or this rank's part of them
    float *state;           // (count, 3, padded): weights, first and second moments
    float *gradient;        // (padded)
    int *pairs;             // (count, 3, train): a, b and label of each training pair
    float *valid;           // (TS_VECTOR_LANES): 1 for the logits in the last vector of a row, 0 for its pads
    ts_adam *adam;          // (count)
    ts_slab slab;           // all of it, and the engine's own
    // The engine's: points its work at an instance; fills the gradient, false if a loss is not finite.
    void (*aim)(void *training, int instance);
    bool (*make_gradient)(const void *training);
} ts_cpu_table;

// Shapes, all else zeroed; then what it needs of the slab, in both passes; then initial weights and pairs. Pairs are in
// the order of the table, or, with block > 0, `block` columns b after the other, each in the order of the table.
void ts_cpu_table_begin(ts_cpu_table *t, const ts_training_spec *spec);
void ts_cpu_table_take(ts_cpu_table *t);
ts_status ts_cpu_table_initialise(ts_cpu_table *t, int block);

const float *ts_cpu_table_weights(const ts_cpu_table *t, int instance, int tensor);
float *ts_cpu_table_gradient(const ts_cpu_table *t, int tensor);
const int *ts_cpu_table_pairs(const ts_cpu_table *t, int instance); // (3, train)

// Engine functions; `training` starts with a ts_cpu_table. State: (3, parameters) float32 in the model's layout.
void ts_cpu_table_destroy(void *training);
size_t ts_cpu_table_state_bytes(const void *training);
ts_status ts_cpu_table_get_state(const void *training, int instance, void *state);
ts_status ts_cpu_table_set_state(void *training, int instance, const void *state);
ts_status ts_cpu_table_get_parameters(const void *training, int instance, float *parameters);
ts_status ts_cpu_table_train(void *training, int64_t from, int64_t to, int64_t *reached);
