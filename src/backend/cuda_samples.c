// Batches of features on a GPU.
#include "backend/cuda_samples.h"

#include "backend/cuda_features.h"
#include "base/memory.h"
#include "model/network.h"
#include "task/data.h"

static int64_t samples_of(const ts_training_spec *spec) {
    return ts_network_samples(&spec->params[0]);
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
        .fixed = ts_network_draw(spec->params, 1) == ts_network_draw(spec->params, 0),
        .absolute = ts_network_target_is_absolute(spec->params),
    };
    s->blocks = ts_cuda_cross_entropy_blocks(s->batch);
}

void ts_cuda_samples_take(ts_samples_work *s, const ts_training_spec *spec, int penalised, ts_cuda_slab *slab) {
    size_t stride = (size_t)s->output.stride, count = (size_t)s->instances,
           listed = s->nodes > 0 ? count * (size_t)s->batch : 0;
    ts_cuda_features_take(spec->data->features, samples_of(spec), slab, &s->data);
    s->count = ts_cuda_slab_take(slab, count * (size_t)s->nodes, sizeof *s->count);
    s->input = ts_cuda_slab_take(slab, listed, sizeof *s->input);
    s->weight = ts_cuda_slab_take(slab, listed, sizeof *s->weight);
    s->drawn = ts_cuda_slab_take(slab, count, sizeof *s->drawn);
    s->scale = ts_cuda_slab_take(slab, count * stride, sizeof *s->scale);
    s->linear = penalised > 0 ? ts_cuda_slab_take(slab, count * stride, sizeof *s->linear) : NULL;
    s->seed = ts_cuda_slab_take(slab, count, sizeof *s->seed);
}

// A row of numbers of an instance.
static ts_status upload_row(const ts_samples_work *s, float *rows, int instance, const float *row,
                            cudaStream_t stream) {
    size_t stride = (size_t)s->output.stride;
    return ts_cuda_upload(rows + (size_t)instance * stride, row, stride * sizeof *row, stream);
}

// row (output.stride): to work with, zeros.
static ts_status upload_instance(const ts_samples_work *s, const ts_training_spec *spec, int penalised, int i,
                                 float *row, cudaStream_t stream) {
    int features = spec->data->features->features;
    uint64_t seed = (uint64_t)ts_params_integer(&spec->params[i], "seed");
    ts_network_scale(&spec->params[i], features, NULL, row);
    ts_status status = upload_row(s, s->scale, i, row, stream);
    for (int f = 0; f < features + penalised; f++)
        row[f] = f < features ? 0 : (float)ts_network_penalty(&spec->params[i]);
    if (status == TS_OK && penalised > 0)
        status = upload_row(s, s->linear, i, row, stream);
    for (int f = features; f < features + penalised; f++)
        row[f] = 0;
    return status == TS_OK ? ts_cuda_upload(s->seed + i, &seed, sizeof seed, stream) : status;
}

ts_status ts_cuda_samples_upload(const ts_samples_work *s, const ts_training_spec *spec, int penalised,
                                 cudaStream_t stream) {
    float *row = ts_alloc_zero((size_t)s->output.stride, sizeof *row, "training");
    ts_status status = row ? ts_cuda_features_upload(spec->data->features, &s->data, stream) : TS_ERROR_MEMORY;
    for (int i = 0; i < spec->count && status == TS_OK; i++)
        status = upload_instance(s, spec, penalised, i, row, stream);
    ts_free(row);
    return status;
}
