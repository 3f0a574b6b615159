// What the CUDA engines of table models share: weights and moments of K instances on the device with rows padded to
// 16 bytes, their training pairs and lists of them by token, a step recorded once as a graph and replayed, AdamW, and
// instances that stop by themselves. Which kernels make the gradient is an engine's matter.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"
#include "backend/cuda_team.h"
#include "base/memory.h"
#include "cuda/table.h"
#include "model/model.h"
#include "model/optimiser.h"

// A tensor as it lies on the device; rows are all dimensions but the last.
typedef struct ts_cuda_tensor {
    int64_t rows, columns;
    int stride;     // floats between rows
    int64_t offset; // from the start of an instance's parameters
} ts_cuda_tensor;

typedef struct ts_cuda_table {
    ts_training_spec spec;
    int instances, tokens, n_out;
    int first,
        pairs;   // of an instance's training pairs, those that are trained on here: all, or this rank's part
    float share; // 1 / all of them
    ts_cuda_team *team; // NULL: this rank trains alone
    int tensors;
    ts_cuda_tensor tensor[TS_MAX_TENSORS];
    int64_t padded, packed; // floats of one instance's parameters, with and without pads
    // On the device.
    float *state;         // (instances, 3, padded): weights, first and second moments
    int *token;           // (instances, 2, pairs): a and b of each training pair, ascending
    int *label;           // (instances, pairs)
    int *order;           // (instances, 2, pairs): pairs sorted by a, by b
    int *begin;           // (instances, 2, tokens + 1): where each token's pairs begin in `order`
    ts_adam_betas *betas; // (instances)
    ts_adam_rates *rates; // (TS_CUDA_STEPS_AHEAD, instances)
    int *progress;        // (3, instances): stopped, taken, spoiled
    ts_cuda_slab device;
    // On the host.
    ts_adam *adam;             // (instances)
    ts_adam_rates *next_rates; // as `rates`, pinned
    int *next_progress;        // as `progress`, pinned
    float *staging;            // (3, padded), pinned: one instance's state on its way
    cudaStream_t stream;
    cudaGraphExec_t step;
} ts_cuda_table;

// Steps whose constants are sent, and that are queued, at once.
enum { TS_CUDA_STEPS_AHEAD = 256 };

// Making a training, in this order: shapes and, collective, its team; what it needs of the device, with what the engine takes, in both passes;
// initial weights and pairs, all else on the device zero; one step, as `queue` puts it on the stream.
void ts_cuda_table_begin(ts_cuda_table *t, const ts_training_spec *spec);
void ts_cuda_table_take(ts_cuda_table *t);
ts_status ts_cuda_table_initialise(ts_cuda_table *t);
ts_status ts_cuda_table_record(ts_cuda_table *t, cudaError_t (*queue)(const void *training),
                               const void *training);
void ts_cuda_table_end(ts_cuda_table *t); // frees everything, after whichever of these failed

// An operand that is a tensor of the weights: one part, a row after the other.
ts_operand ts_cuda_table_weights(const ts_cuda_table *t, int tensor);
const int *ts_cuda_table_stopped(const ts_cuda_table *t);

// The end of a step: instances with a loss that is not finite stop, the others take it. Gradients: (instances, whole)
// of the parameters before `whole`, `parts` partial sums (instances, parts, padded - whole) of the rest.
typedef struct ts_cuda_gradient {
    const float *whole, *partial;
    int64_t whole_count;
    int parts;
    const int *bad; // (instances, blocks)
    int blocks;
} ts_cuda_gradient;
cudaError_t ts_cuda_table_update(const ts_cuda_table *t, const ts_cuda_gradient *gradient);

// Engine functions; `training` starts with a ts_cuda_table. State: (3, parameters) float32 in the model's layout.
size_t ts_cuda_table_state_bytes(const void *training);
ts_status ts_cuda_table_get_state(const void *training, int instance, void *state);
ts_status ts_cuda_table_set_state(void *training, int instance, const void *state);
ts_status ts_cuda_table_get_parameters(const void *training, int instance, float *parameters);
ts_status ts_cuda_table_train(void *training, int64_t from, int64_t to, int64_t *reached);
