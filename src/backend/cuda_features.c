// A feature task's data, laid out for kernels and copied to the device.
#include "backend/cuda_features.h"

#include "base/memory.h"

void ts_cuda_features_take(const ts_feature_data *data, int64_t samples, ts_cuda_slab *slab, ts_cuda_features *out) {
    bool listed = data->support.count > 0, alias = listed && data->tree.depth == 0 && data->alias.bits >= 0;
    size_t inputs = (size_t)data->support.count, words = ((size_t)data->features + 31) / 32;
    size_t columns = alias ? (size_t)1 << data->alias.bits : 0;
    *out = (ts_cuda_features){
        .features = data->features,
        .words = (int)words,
        .samples = (int)samples,
        .inputs = data->support.count,
        .depth = data->tree.depth,
        .early_stopping = data->tree.early_stopping,
        .alias_bits = alias ? data->alias.bits : 0,
        .binary = data->independent.binary,
        .low = data->independent.low,
        .span = data->independent.span,
        .correlated_pairs = data->independent.correlated_pairs,
        .anticorrelated_pairs = data->independent.anticorrelated_pairs,
        .bits = ts_cuda_slab_take(slab, inputs * words, sizeof(uint32_t)),
        .probability = ts_cuda_slab_take(slab, inputs, sizeof(float)),
        .alias_threshold = ts_cuda_slab_take(slab, columns, sizeof(uint64_t)),
        .alias_other = ts_cuda_slab_take(slab, columns, sizeof(int)),
        .threshold = ts_cuda_slab_take(slab, listed ? 0 : (size_t)data->features, sizeof(uint64_t)),
    };
}

static ts_status upload_support(const ts_support *support, const ts_cuda_features *features, cudaStream_t stream) {
    size_t inputs = (size_t)features->inputs, words = (size_t)features->words;
    uint32_t *bits = ts_alloc_zero(inputs * words, sizeof *bits, "a task's inputs");
    float *probability = ts_alloc_zero(inputs, sizeof *probability, "a task's inputs");
    ts_status status = bits && probability ? TS_OK : TS_ERROR_MEMORY;
    for (size_t i = 0; status == TS_OK && i < inputs; i++) {
        probability[i] = (float)support->probability[i];
        for (int e = support->begin[i]; e < support->begin[i + 1]; e++)
            bits[i * words + (size_t)support->active[e] / 32] |= 1u << support->active[e] % 32;
    }
    if (status == TS_OK)
        status = ts_cuda_upload((void *)(uintptr_t)features->bits, bits, inputs * words * sizeof *bits, stream);
    if (status == TS_OK)
        status =
            ts_cuda_upload((void *)(uintptr_t)features->probability, probability, inputs * sizeof *probability, stream);
    ts_free(bits);
    ts_free(probability);
    return status;
}

ts_status ts_cuda_features_upload(const ts_feature_data *data, const ts_cuda_features *features, cudaStream_t stream) {
    if (features->inputs == 0)
        return ts_cuda_upload((void *)(uintptr_t)features->threshold, data->independent.threshold,
                              (size_t)features->features * sizeof(uint64_t), stream);
    ts_status status = upload_support(&data->support, features, stream);
    if (status != TS_OK || data->tree.depth > 0)
        return status;
    size_t columns = (size_t)1 << features->alias_bits;
    status = ts_cuda_upload((void *)(uintptr_t)features->alias_threshold, data->alias.threshold,
                            columns * sizeof(uint64_t), stream);
    return status != TS_OK ? status
                           : ts_cuda_upload((void *)(uintptr_t)features->alias_other, data->alias.other,
                                            columns * sizeof(int), stream);
}
