// The autoencoder on the CPU: fused kernels on a batch that is drawn at every step. Small ones go in lanes.
#include "backend/cpu_lanes.h"
#include "backend/cpu_training.h"
#include "model/autoencoder.h"
#include "model/network.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

typedef struct training {
    ts_cpu_training base; // first
    ts_autoencoder_shape shape;
    float *scale;    // (count, stride): importance / features; pads 0
    uint64_t *seeds; // (count)
    uint64_t seed;   // of the instance selected
    ts_autoencoder_work work;
    ts_feature_batch batch;
    ts_cpu_lanes lanes;
} training;

static ts_status set_shape(void *handle) {
    training *t = handle;
    t->shape = ts_autoencoder_shape_of(&t->base.spec.params[0]);
    t->work = (ts_autoencoder_work){
        .hidden = t->shape.hidden,
        .features = t->shape.features,
        .stride = TS_PAD(t->shape.features),
        .hidden_stride = TS_PAD(t->shape.hidden),
    };
    ts_cpu_lanes_begin(&t->lanes, &t->base, t->shape);
    return TS_OK;
}

static void take(void *handle) {
    training *t = handle;
    ts_autoencoder_work *work = &t->work;
    ts_slab *slab = &t->base.slab;
    size_t stride = (size_t)work->stride, hidden_stride = (size_t)work->hidden_stride;
    t->scale = ts_slab_take(slab, (size_t)t->base.spec.count * stride, sizeof(float));
    t->seeds = ts_slab_take(slab, (size_t)t->base.spec.count, sizeof *t->seeds);
    work->gradient = t->base.gradient;
    work->w_transposed = ts_slab_take(slab, stride * hidden_stride, sizeof(float));
    work->dw_transposed = ts_slab_take(slab, stride * hidden_stride, sizeof(float));
    work->h = ts_slab_take(slab, TS_MAX_BLOCK * hidden_stride, sizeof(float));
    work->dh = ts_slab_take(slab, TS_MAX_BLOCK * hidden_stride, sizeof(float));
    work->x = ts_slab_take(slab, TS_MAX_BLOCK * stride, sizeof(float));
    work->dz = ts_slab_take(slab, TS_MAX_BLOCK * stride, sizeof(float));
    ts_cpu_lanes_take(&t->lanes, slab);
}

static ts_status initialise(void *handle) {
    training *t = handle;
    size_t stride = (size_t)t->work.stride;
    memset(t->work.x, 0, TS_MAX_BLOCK * stride * sizeof(float));
    memset(t->scale, 0, (size_t)t->base.spec.count * stride * sizeof(float));
    for (int i = 0; i < t->base.spec.count; i++) {
        ts_network_scale(&t->base.spec.params[i], t->shape.features, NULL, t->scale + (size_t)i * stride);
        t->seeds[i] = (uint64_t)ts_params_integer(&t->base.spec.params[i], "seed");
    }
    ts_cpu_lanes_fill(&t->lanes, &t->batch, t->scale, t->seeds);
    return ts_feature_batch_create(t->base.spec.data->features, t->shape.samples, &t->batch);
}

static void select_instance(void *handle, int instance) {
    training *t = handle;
    t->seed = t->seeds[instance];
    t->work.parameters = ts_cpu_weights(&t->base, instance, 0);
    t->work.scale = t->scale + (size_t)instance * (size_t)t->work.stride;
}

static ts_status make_gradient(void *handle, int64_t step, bool *finite) {
    training *t = handle;
    ts_feature_draw(t->base.spec.data->features, t->seed, TS_STREAM_BATCH, (uint32_t)step, t->shape.samples, &t->batch);
    const ts_sparse_rows rows = {
        .rows = t->batch.rows,
        .begin = t->batch.begin,
        .end = t->batch.end,
        .active = t->batch.active,
        .value = t->batch.value,
        .weight = t->batch.weight,
    };
    *finite = isfinite(t->base.kernels->autoencoder_gradient(&t->work, &rows));
    return TS_OK;
}

static void end(void *handle) {
    ts_feature_batch_free(&((training *)handle)->batch);
}

static const ts_cpu_model MODEL = {
    .bytes = sizeof(training),
    .set_shape = set_shape,
    .take = take,
    .initialise = initialise,
    .select = select_instance,
    .make_gradient = make_gradient,
    .end = end,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_cpu_training_create(&MODEL, spec, handle);
}

static ts_status train(void *handle, int64_t from, int64_t to, int64_t *reached) {
    training *t = handle;
    return t->lanes.used ? ts_cpu_lanes_train(&t->lanes, from, to, reached)
                         : ts_cpu_training_train(handle, from, to, reached);
}

static const char *can(const ts_params *params) {
    const char *lacks = ts_network_fused_can(params);
    return lacks ? lacks : ts_cpu_optimiser_can(params);
}

static int together(const ts_params *params, const ts_data *data) {
    return ts_cpu_lanes_fit(ts_autoencoder_shape_of(params), data->features) ? TS_VECTOR_LANES : 1;
}

const ts_engine ts_cpu_autoencoder = {.name = TS_FUSED,
                                      .help = TS_FUSED_HELP,
                                      .model = "autoencoder",
                                      .can = can,
                                      .create = create,
                                      TS_CPU_STATE_FUNCTIONS,
                                      .train = train,
                                      .together = together};
