// Batches of features in rows of vectors.
#include "backend/cpu_samples.h"

#include "model/network.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

static const ts_params *params_of(const ts_cpu_samples *s, int instance) {
    return &s->spec->params[instance];
}

void ts_cpu_samples_begin(ts_cpu_samples *s, const ts_training_spec *spec, const ts_graph *graph) {
    int width = graph->node[graph->output].width;
    *s = (ts_cpu_samples){
        .spec = spec,
        .features = spec->data->features->features,
        .width = width,
        .stride = TS_PAD(width),
        .absolute = ts_network_target_is_absolute(&spec->params[0]),
        .fixed = ts_network_draw(&spec->params[0], 1) == ts_network_draw(&spec->params[0], 0),
    };
}

void ts_cpu_samples_take(ts_cpu_samples *s, int rows, ts_slab *slab) {
    size_t stride = (size_t)s->stride, count = (size_t)s->spec->count;
    bool penalised = s->width > s->features;
    s->scale = ts_slab_take_zero(slab, count * stride, sizeof *s->scale);
    s->linear = penalised ? ts_slab_take_zero(slab, count * stride, sizeof *s->linear) : NULL;
    s->target = penalised || s->absolute ? ts_slab_take_zero(slab, (size_t)rows * stride, sizeof *s->target) : NULL;
}

ts_status ts_cpu_samples_fill(ts_cpu_samples *s) {
    for (int i = 0; i < s->spec->count; i++) {
        size_t at = (size_t)i * (size_t)s->stride;
        ts_network_scale(params_of(s, i), s->features, NULL, s->scale + at);
        for (int f = s->features; f < s->width; f++)
            s->linear[at + (size_t)f] = (float)ts_network_penalty(params_of(s, i));
    }
    return ts_feature_batch_create(s->spec->data->features, ts_network_samples(params_of(s, 0)), &s->batch);
}

void ts_cpu_samples_free(ts_cpu_samples *s) {
    ts_feature_batch_free(&s->batch);
}

void ts_cpu_samples_select(ts_cpu_samples *s, int instance) {
    s->drawn = s->drawn && s->instance == instance;
    s->instance = instance;
}

void ts_cpu_samples_draw(ts_cpu_samples *s, int64_t step) {
    const ts_params *params = params_of(s, s->instance);
    if (s->drawn)
        return;
    ts_feature_draw(s->spec->data->features, (uint64_t)ts_params_integer(params, "seed"), TS_STREAM_BATCH,
                    ts_network_draw(params, step), ts_network_samples(params), &s->batch);
    s->drawn = s->fixed;
}

static void enter(const ts_feature_batch *batch, int first, int rows, bool absolute, int stride, float *out) {
    memset(out, 0, (size_t)rows * (size_t)stride * sizeof *out);
    for (int r = 0; r < rows; r++)
        for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++) {
            float value = batch->value ? batch->value[e] : 1;
            out[r * stride + batch->active[e]] = absolute ? fabsf(value) : value;
        }
}

void ts_cpu_samples_enter(const ts_cpu_samples *s, int first, int rows, float *x) {
    enter(&s->batch, first, rows, false, TS_PAD(s->features), x);
}

double ts_cpu_samples_loss(const ts_cpu_samples *s, const ts_kernels *kernels, int first, int rows, const float *x,
                           float *z) {
    size_t at = (size_t)s->instance * (size_t)s->stride;
    if (s->target)
        enter(&s->batch, first, rows, s->absolute, s->stride, s->target);
    return kernels->loss_of_squares(z, s->target ? s->target : x, s->scale + at, s->linear ? s->linear + at : NULL,
                                    s->batch.weight + first, rows, s->stride);
}
