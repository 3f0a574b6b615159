// The multilayer perceptron on the CPU: the fused tile kernel, on padded weights.
#include "backend/cpu_pairs.h"
#include "model/mlp.h"

enum { W_X, W_Y, W, W_U };

typedef struct training {
    ts_cpu_training base; // first
    ts_cpu_pairs pairs;
    ts_mlp_work work;
} training;

static ts_status set_shape(void *handle) {
    training *t = handle;
    ts_mlp_shape shape = ts_mlp_shape_of(&t->base.spec.params[0]);
    ts_cpu_pairs_begin(&t->pairs, &t->base.spec);
    t->work = (ts_mlp_work){
        .n = shape.n,
        .n_out = shape.n_out,
        .embed = shape.embed,
        .hidden = shape.hidden,
        .embed_stride = TS_PAD(shape.embed),
        .hidden_stride = TS_PAD(shape.hidden),
        .out_stride = TS_PAD(shape.n_out),
        .pairs = (int)t->pairs.own,
        .all_pairs = (int)t->pairs.train,
    };
    return TS_OK;
}

static void take(void *handle) {
    training *t = handle;
    ts_mlp_work *w = &t->work;
    ts_slab *slab = &t->base.slab;
    size_t hidden = (size_t)w->hidden_stride, out = (size_t)w->out_stride, tokens = (size_t)w->n * hidden;
    ts_cpu_pairs_take(&t->pairs, &t->base.spec, slab);
    w->valid = t->pairs.valid;
    w->left = ts_slab_take(slab, tokens, sizeof(float));
    w->right = ts_slab_take(slab, tokens, sizeof(float));
    w->dleft = ts_slab_take(slab, tokens, sizeof(float));
    w->dright = ts_slab_take(slab, tokens, sizeof(float));
    w->w_u_transposed = ts_slab_take(slab, out * hidden, sizeof(float));
    // Transposed by whole tiles: rows of 2 embed_stride, each half up to a tile longer than embed.
    w->w_transposed = ts_slab_take(slab, hidden * 2 * (size_t)w->embed_stride, sizeof(float));
    w->h = ts_slab_take(slab, TS_MLP_TILE * hidden, sizeof(float));
    w->dh = ts_slab_take(slab, TS_MLP_TILE * hidden, sizeof(float));
    w->logits = ts_slab_take(slab, TS_MLP_TILE * out, sizeof(float));
}

static ts_status initialise(void *handle) {
    training *t = handle;
    return ts_cpu_pairs_draw(&t->pairs, &t->base.spec, 0);
}

static void select_instance(void *handle, int instance) {
    training *t = handle;
    ts_mlp_work *w = &t->work;
    const ts_cpu_training *base = &t->base;
    ts_cpu_pairs_of(&t->pairs, instance, &w->a, &w->b, &w->label);
    w->w_x = ts_cpu_weights(base, instance, W_X);
    w->w_y = ts_cpu_weights(base, instance, W_Y);
    w->w = ts_cpu_weights(base, instance, W);
    w->w_u = ts_cpu_weights(base, instance, W_U);
    w->dw_x = ts_cpu_gradient(base, W_X);
    w->dw_y = ts_cpu_gradient(base, W_Y);
    w->dw = ts_cpu_gradient(base, W);
    w->dw_u = ts_cpu_gradient(base, W_U);
}

static bool make_gradient(void *handle, int64_t step) {
    training *t = handle;
    (void)step; // all pairs at every one
    return t->base.kernels->mlp_gradient(&t->work);
}

static const ts_cpu_model MODEL = {
    .bytes = sizeof(training),
    .set_shape = set_shape,
    .take = take,
    .initialise = initialise,
    .select = select_instance,
    .make_gradient = make_gradient,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_cpu_training_create(&MODEL, spec, handle);
}

const ts_engine ts_cpu_mlp = {.model = "mlp", .wide = true, .create = create, TS_CPU_ENGINE_FUNCTIONS};
