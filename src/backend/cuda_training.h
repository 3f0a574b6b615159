// What the CUDA engines of models that learn a table share: weights and moments of K instances on the device with rows
// padded to 16 bytes, their training pairs and lists of them by token, a step recorded once as a graph and replayed,
// AdamW, and instances that stop by themselves. Which kernels make the gradient is an engine's matter.
#pragma once

#include "backend/adam_constants.h"
#include "backend/backend.h"
#include "backend/cuda.h"
#include "backend/cuda_team.h"
#include "backend/padded_layout.h"
#include "base/memory.h"
#include "cuda/step.h"

// First member of every such training, so that the engine's functions below can take any of them.
typedef struct ts_cuda_training {
    ts_training_spec spec;
    const struct ts_cuda_model *model;
    int instances, tokens, n_out;
    int first,
        pairs;          // of an instance's training pairs, those that are trained on here: all, or this rank's part
    float share;        // 1 / all of them
    ts_cuda_team *team; // NULL: this rank trains alone
    ts_padded_layout layout;
    // On the device.
    float *state;         // (instances, layout.parts, layout.padded): weights, moments; pads 0
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
    float *staging;            // (layout.parts, layout.padded), pinned: one instance's state on its way
    cudaStream_t stream;
    cudaGraphExec_t step;
    cudaError_t error; // of the step being recorded: it sticks, and further kernels are not started
} ts_cuda_training;

// Steps whose constants are sent, and that are queued, at once.
enum { TS_CUDA_STEPS_AHEAD = 256 };

// What a model brings. All get the training, which starts with a ts_cuda_training.
typedef struct ts_cuda_model {
    size_t bytes;                   // of the training
    ts_status (*set_shape)(void *); // from its spec and layout; all else is zero then
    void (*take)(void *);           // what it needs of the device, in both passes; zero at first
    void (*queue)(void *);          // puts one step on the stream
    void (*end)(void *);            // NULL: there is nothing to free but that; also after any fault
} ts_cuda_model;

// Collective over its team.
ts_status ts_cuda_training_create(const ts_cuda_model *model, const ts_training_spec *spec, void **training);

// An operand that is a tensor of the weights: one part, a row after the other.
ts_operand ts_cuda_training_weights(const ts_cuda_training *t, int tensor);
const int *ts_cuda_training_stopped(const ts_cuda_training *t);

// Parts of a step, for all instances that have not stopped. A product (0 parts: one): its instances are filled in here.
// Logits (n_out) of the pairs become their gradient; `bad` (instances, blocks): losses that are not finite.
void ts_cuda_training_multiply(ts_cuda_training *t, ts_product_work product);
void ts_cuda_training_cross_entropy(ts_cuda_training *t, ts_operand logits, int blocks, int *bad);

// The end of a step: instances with a loss that is not finite stop, the others take it. Gradients: (instances, whole)
// of the parameters before `whole`, `parts` partial sums (instances, parts, padded - whole) of the rest.
typedef struct ts_cuda_gradient {
    const float *whole, *partial;
    int64_t whole_count;
    int parts;
    const int *bad; // (instances, blocks)
    int blocks;
} ts_cuda_gradient;
void ts_cuda_training_update(ts_cuda_training *t, const ts_cuda_gradient *gradient);

// Engine functions. State: (layout.parts, parameters) float32 in the model's layout.
void ts_cuda_training_destroy(void *training);
size_t ts_cuda_training_state_bytes(const void *training);
ts_status ts_cuda_training_get_state(const void *training, int instance, void *state);
ts_status ts_cuda_training_set_state(void *training, int instance, const void *state);
ts_status ts_cuda_training_get_parameters(const void *training, int instance, float *parameters);
ts_status ts_cuda_training_train(void *training, int64_t from, int64_t to, int64_t *reached);

#define TS_CUDA_ENGINE_FUNCTIONS                                                                                       \
    .destroy = ts_cuda_training_destroy, .state_bytes = ts_cuda_training_state_bytes,                                  \
    .get_state = ts_cuda_training_get_state, .set_state = ts_cuda_training_set_state,                                  \
    .get_parameters = ts_cuda_training_get_parameters, .train = ts_cuda_training_train
