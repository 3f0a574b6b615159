// What CUDA engines that go step by step share: weights and moments of K instances on the device with rows padded to 16
// bytes, their training pairs, a step recorded once as a graph and replayed, updates, and instances that stop by
// themselves. Which kernels make the gradient is an engine's matter.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"
#include "backend/cuda_optimiser.h"
#include "backend/cuda_pairs.h"
#include "backend/cuda_team.h"
#include "backend/padded_layout.h"
#include "base/memory.h"
#include "cuda/step.h"

// First member of every such training, so that the engine's functions below can take any of them.
typedef struct ts_cuda_training {
    ts_training_spec spec;
    const struct ts_cuda_model *model;
    int instances;
    ts_cuda_pairs pairs; // of models that learn a table
    // Of engines that train with a team: parts of a step's sums over pairs, and how many numbers these are.
    int parts;
    int64_t summed;
    ts_cuda_team *team; // NULL: this rank trains alone
    ts_padded_layout layout;
    ts_cuda_updates updates;
    // On the device.
    float *state;  // (instances, layout.parts, layout.padded): weights, moments; pads 0
    int *progress; // (4, instances): stopped, taken, spoiled; the step at which `taken` began
    ts_cuda_slab device;
    // On the host.
    int *next_progress; // as `progress`, pinned
    float *staging;     // (layout.parts, layout.padded), pinned: one instance's state on its way
    cudaStream_t stream;
    cudaGraphExec_t step;
    cudaError_t error; // of the step being recorded: it sticks, and further kernels are not started
    bool back;         // that step has come to its loss
    bool broken;       // something has failed on this rank
} ts_cuda_training;

// What a model brings. All get the training, which starts with a ts_cuda_training.
typedef struct ts_cuda_model {
    size_t bytes;                    // of the training
    ts_status (*set_shape)(void *);  // from its spec, layout and pairs, which it may cut; all else is zero then
    void (*take)(void *);            // what it needs of the device, in both passes; zero at first
    ts_status (*initialise)(void *); // fills in what it took; NULL: nothing
    void (*queue)(void *);           // puts one step on the stream
    void (*end)(void *);             // NULL: there is nothing to free but that; also after any fault
} ts_cuda_model;

// Collective over its team.
ts_status ts_cuda_training_create(const ts_cuda_model *model, const ts_training_spec *spec, void **training);

// An operand that is a tensor of the weights: one part, a row after the other.
ts_operand ts_cuda_training_weights(const ts_cuda_training *t, int tensor);

// (instances) on the device: whether it has stopped; updates taken since `begun`, the number of an update.
const int *ts_cuda_training_stopped(const ts_cuda_training *t);
const int *ts_cuda_training_taken(const ts_cuda_training *t);
const int *ts_cuda_training_begun(const ts_cuda_training *t);

// Parts of a step, for all instances that have not stopped. A product (0 parts: one): its instances and, on the way
// back, its precision are filled in here.
// Logits (n_out) of the pairs become their gradient; `bad` (instances, blocks): losses that are not finite.
void ts_cuda_training_multiply(ts_cuda_training *t, ts_product_work product);
void ts_cuda_training_cross_entropy(ts_cuda_training *t, ts_operand logits, int blocks, int *bad);

// The end of a step: instances with a loss that is not finite stop, the others take it. Gradients: (instances, whole)
// of the parameters before `whole`, `parts` partial sums (instances, parts, padded - whole) of the rest.
typedef struct ts_cuda_gradient {
    float *whole; // changed
    const float *partial;
    int64_t whole_count;
    int parts;
    const int *bad; // (instances, blocks)
    int blocks;
} ts_cuda_gradient;
void ts_cuda_training_update(ts_cuda_training *t, const ts_cuda_gradient *gradient);

// As ts_engine.can, of engines with kernels of their own for one model, which make sums over pairs in one part.
const char *ts_cuda_fused_can(const ts_params *params);

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
