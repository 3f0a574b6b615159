// A feature task's data on the device, for kernels that draw its batches (kernels/cuda/draw.h).
#pragma once

#include "backend/cuda.h"
#include "cuda/kernels.h"
#include "task/feature_data.h"

// Takes the device memory of the data's arrays from the slab, in both of its passes; `out` points to it after the
// second.
void ts_cuda_features_take(const ts_feature_data *data, int64_t samples, ts_cuda_slab *slab, ts_cuda_features *out);

// Copies the data there.
ts_status ts_cuda_features_upload(const ts_feature_data *data, const ts_cuda_features *features, cudaStream_t stream);
