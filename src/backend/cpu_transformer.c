// The transformer on the CPU: the fused tile kernel, on padded weights.
#include "backend/cpu_pairs.h"
#include "model/network.h"
#include "model/transformer.h"
#include "network/plan.h"

#include <string.h>

typedef struct training {
    ts_cpu_training base; // first
    ts_cpu_pairs pairs;
    ts_transformer_work work;
} training;

static float *take(ts_slab *slab, int rows, int columns) {
    return ts_slab_take(slab, (size_t)rows * (size_t)columns, sizeof(float));
}

static void take_scratch(ts_transformer_work *w, ts_slab *slab) {
    int rows = w->n + 3, inner = w->heads * w->head_stride, row = w->heads * w->width;
    float **const pairs[][2] = {{&w->x, &w->dx},
                                {&w->q, &w->dq},
                                {&w->key_query, &w->dkey_query},
                                {&w->score, &w->dscore},
                                {&w->value, &w->dvalue},
                                {&w->out, &w->dout},
                                {&w->right, &w->dright},
                                {&w->left, &w->dleft},
                                {&w->constant, &w->dconstant},
                                {&w->read, &w->dread},
                                {&w->attention, &w->dattention}};
    const int sizes[][2] = {{rows, w->model_stride},
                            {w->heads, w->head_stride},
                            {w->model, w->heads_stride},
                            {rows, w->heads_stride},
                            {rows, inner},
                            {inner, w->width},
                            {rows, row},
                            {w->n, row},
                            {1, w->width},
                            {w->neurons_stride, w->read_stride},
                            {TS_TRANSFORMER_TILE, 2 * w->heads_stride}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int side = 0; side < 2; side++)
            *pairs[i][side] = take(slab, sizes[i][0], sizes[i][1]);
    w->key_query_transposed = take(slab, w->heads_stride, w->model_stride);
    w->w_v_transposed = take(slab, inner, w->model_stride);
    w->into = take(slab, w->model, w->width);
    w->into_transposed = take(slab, w->width, w->model_stride);
    w->out_transposed = take(slab, w->width, inner);
    w->read_transposed = take(slab, w->read_stride, w->neurons_stride);
    w->dread_transposed = take(slab, w->read_stride, w->neurons_stride);
    w->w_u_transposed = take(slab, w->out_stride, w->model_stride);
    w->h = take(slab, TS_TRANSFORMER_TILE, w->neurons_stride);
    w->mixed = take(slab, TS_TRANSFORMER_TILE, w->width);
    w->logits = take(slab, TS_TRANSFORMER_TILE, w->direct ? 0 : w->out_stride);
}

static void take_all(void *handle) {
    training *t = handle;
    ts_cpu_pairs_take(&t->pairs, &t->base.spec, &t->base.slab);
    take_scratch(&t->work, &t->base.slab);
    t->work.valid = t->pairs.valid;
}

// What kernels add to, or leave pads of as they are.
static void clear(float *matrix, int rows, int columns) {
    memset(matrix, 0, (size_t)rows * (size_t)columns * sizeof *matrix);
}

static ts_status initialise(void *handle) {
    training *t = handle;
    const ts_transformer_work *w = &t->work;
    clear(w->key_query, w->model, w->heads_stride);
    clear(w->into, w->model, w->width);
    clear(w->out, w->heads * w->head_stride, w->width);
    clear(w->dattention, TS_TRANSFORMER_TILE, 2 * w->heads_stride);
    return ts_cpu_pairs_draw(&t->pairs, &t->base.spec, TS_TRANSFORMER_BLOCK);
}

static void select_instance(void *handle, int instance) {
    training *t = handle;
    ts_transformer_work *w = &t->work;
    const float **const weights[] = {&w->w_e, &w->w_pos, &w->w_q,   &w->w_k, &w->w_v,
                                     &w->w_o, &w->w_in,  &w->w_out, &w->w_u};
    float **const gradients[] = {&w->dw_e, &w->dw_pos, &w->dw_q,   &w->dw_k, &w->dw_v,
                                 &w->dw_o, &w->dw_in,  &w->dw_out, &w->dw_u};
    for (int i = 0; i < TS_TRANSFORMER_TENSORS; i++) {
        *weights[i] = ts_cpu_weights(&t->base, instance, i);
        *gradients[i] = ts_cpu_gradient(&t->base, i);
    }
    ts_cpu_pairs_of(&t->pairs, instance, &w->a, &w->b, &w->label);
}

static ts_status make_gradient(void *handle, int64_t step, bool *finite) {
    training *t = handle;
    (void)step; // all pairs at every one
    *finite = t->base.kernels->transformer_gradient(&t->work);
    return TS_OK;
}

static ts_status set_shape(void *handle) {
    training *t = handle;
    ts_transformer_shape shape = ts_transformer_shape_of(&t->base.spec.params[0]);
    ts_cpu_pairs_begin(&t->pairs, &t->base.spec);
    t->work = (ts_transformer_work){
        .n = shape.n,
        .n_out = shape.n_out,
        .model = shape.model,
        .heads = shape.heads,
        .head = shape.head,
        .neurons = shape.neurons,
        .model_stride = TS_PAD(shape.model),
        .heads_stride = TS_PAD(shape.heads),
        .head_stride = TS_PAD(shape.head),
        .neurons_stride = TS_PAD(shape.neurons),
        .out_stride = TS_PAD(shape.n_out),
        .direct = ts_transformer_direct(&shape, (double)t->pairs.train),
        .pairs = (int)t->pairs.train,
    };
    t->work.read_stride = t->work.direct ? t->work.out_stride : t->work.model_stride;
    t->work.width = t->work.neurons_stride + t->work.read_stride;
    return TS_OK;
}

static const ts_cpu_model MODEL = {
    .bytes = sizeof(training),
    .set_shape = set_shape,
    .take = take_all,
    .initialise = initialise,
    .select = select_instance,
    .make_gradient = make_gradient,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_cpu_training_create(&MODEL, spec, handle);
}

static const char *can(const ts_params *params) {
    const char *why = ts_cpu_optimiser_can(params);
    why = why ? why : ts_network_fused_can(params);
    if (why)
        return why;
    double multiply_adds = params->schema->model->step_operations(params, NULL) / 2;
    return multiply_adds < TS_ONE_PART ? NULL : "it is so large that its sums are made in parts";
}

const ts_engine ts_cpu_transformer = {.name = TS_FUSED,
                                      .help = TS_FUSED_HELP,
                                      .model = "transformer",
                                      .can = can,
                                      .create = create,
                                      TS_CPU_ENGINE_FUNCTIONS};
