// Batches of features on a GPU.
#include "backend/cuda_samples.h"

#include "backend/cuda_features.h"
#include "base/memory.h"
#include "model/network.h"
#include "task/data.h"

static int64_t samples_of(const ts_training_spec *spec) {
    return ts_params_integer(&spec->params[0], "batch");
}

// Rows of a batch, at most.
static int most_rows(const ts_feature_data *data, int64_t samples) {
    int64_t inputs = data->support.count;
    return (int)(samples == 0 || (inputs > 0 && inputs < samples) ? inputs : samples);
}

void ts_cuda_samples_begin(ts_samples_work *s, const ts_training_spec *spec) {
    const ts_feature_data *data = spec->data->features;
    int inputs = data->support.count;
    *s = (ts_samples_work){
        .instances = spec->count,
        .batch = most_rows(data, samples_of(spec)),
        .nodes = inputs == 0 || samples_of(spec) == 0 ? 0
                 : data->tree.depth > 0               ? (2 << data->tree.depth) - 1
                                                      : inputs,
    };
    s->blocks = ts_cuda_cross_entropy_blocks(s->batch);
}

void ts_cuda_samples_take(ts_samples_work *s, const ts_training_spec *spec, int stride, ts_cuda_slab *slab) {
    size_t count = (size_t)s->instances, listed = s->nodes > 0 ? count * (size_t)s->batch : 0;
    ts_cuda_features_take(spec->data->features, samples_of(spec), slab, &s->data);
    s->count = ts_cuda_slab_take(slab, count * (size_t)s->nodes, sizeof *s->count);
    s->input = ts_cuda_slab_take(slab, listed, sizeof *s->input);
    s->weight = ts_cuda_slab_take(slab, listed, sizeof *s->weight);
    s->drawn = ts_cuda_slab_take(slab, count, sizeof *s->drawn);
    s->scale = ts_cuda_slab_take(slab, count * (size_t)stride, sizeof *s->scale);
    s->seed = ts_cuda_slab_take(slab, count, sizeof *s->seed);
}

ts_status ts_cuda_samples_upload(const ts_samples_work *s, const ts_training_spec *spec, int stride,
                                 cudaStream_t stream) {
    const ts_feature_data *data = spec->data->features;
    float *scale = ts_alloc_zero((size_t)stride, sizeof *scale, "training");
    ts_status status = scale ? ts_cuda_features_upload(data, &s->data, stream) : TS_ERROR_MEMORY;
    for (int i = 0; i < spec->count && status == TS_OK; i++) {
        uint64_t seed = (uint64_t)ts_params_integer(&spec->params[i], "seed");
        ts_network_scale(&spec->params[i], data->features, NULL, scale);
        status = ts_cuda_upload(s->scale + (size_t)i * (size_t)stride, scale, (size_t)stride * sizeof *scale, stream);
        if (status == TS_OK)
            status = ts_cuda_upload(s->seed + i, &seed, sizeof seed, stream);
    }
    ts_free(scale);
    return status;
}
