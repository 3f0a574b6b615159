// Batches of K instances that learn features, on a GPU: what of a task and of its instances draws them there
// (kernels/cuda/samples.h). Not: where the rows lie that they are entered into.
#pragma once

#include "backend/backend.h"
#include "backend/cuda.h"
#include "cuda/samples.h"

// Shapes. Then what they need of the device, in both passes of the slab, and what is there from the beginning; the last
// `penalised` columns of the output count by themselves. begun, taken, stopped, x, output and bad are the caller's.
void ts_cuda_samples_begin(ts_samples_work *samples, const ts_training_spec *spec);
void ts_cuda_samples_take(ts_samples_work *samples, const ts_training_spec *spec, int penalised, ts_cuda_slab *slab);
ts_status ts_cuda_samples_upload(const ts_samples_work *samples, const ts_training_spec *spec, int penalised,
                                 cudaStream_t stream);
