// Updates of K instances on a GPU, in float32: every optimiser of model/optimiser.h by its kernels, and what becomes of
// a gradient before. cuda_optimiser.c lists them: a new one is a function and a row there. Not: where a gradient comes
// from, and which instances stop.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"
#include "backend/padded_layout.h"
#include "cuda/update.h"
#include "model/adam.h"

// As ts_engine.can: whether there are kernels of its optimiser.
const char *ts_cuda_optimiser_can(const ts_params *params);

// Updates whose constants are sent at once.
enum { TS_CUDA_STEPS_AHEAD = 256 };

typedef struct ts_cuda_updates {
    const ts_training_spec *spec;
    const ts_padded_layout *layout;
    // On the device.
    ts_update_constants *constants; // (instances)
    ts_update_rates *rates;         // (TS_CUDA_STEPS_AHEAD, instances)
    float *scratch;
    // On the host.
    ts_adam *adam;               // (instances)
    ts_update_rates *next_rates; // as `rates`, pinned
} ts_cuda_updates;

// What they need of the device, in both passes of the slab. Then what they need of the host, and their constants; free
// with ts_cuda_updates_free, also after a fault. Spec and layout must outlive them.
void ts_cuda_updates_take(ts_cuda_updates *updates, ts_cuda_slab *slab);
ts_status ts_cuda_updates_create(ts_cuda_updates *updates, cudaStream_t stream);
void ts_cuda_updates_free(ts_cuda_updates *updates);

// Constants of `steps` updates of an instance, from number `from` on; then all that were made, sent.
void ts_cuda_updates_prepare(ts_cuda_updates *updates, int instance, int64_t from, int64_t steps);
ts_status ts_cuda_updates_send(const ts_cuda_updates *updates, int64_t steps, cudaStream_t stream);

// An update of all instances that have not stopped, put on the stream. `of`: all parameters, without constants and
// rates. Only ts_adam_can's take gradients that are in parts.
cudaError_t ts_cuda_updates_queue(const ts_cuda_updates *updates, const ts_update_work *of, cudaStream_t stream);
