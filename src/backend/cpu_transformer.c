// The transformer on the CPU: the fused tile kernel, on padded weights.
#include "backend/cpu_table.h"
#include "model/transformer.h"

#include <string.h>

typedef struct training {
    ts_cpu_table table; // first
    ts_transformer_work work;
} training;

static float *take(ts_slab *slab, int rows, int columns) {
    return ts_slab_take(slab, (size_t)rows * (size_t)columns, sizeof(float));
}

static void take_scratch(ts_transformer_work *w, ts_slab *slab) {
    int rows = w->n + 3, inner = w->heads * w->head_stride, table = w->heads * w->width;
    float **const pairs[][2] = {{&w->x, &w->dx},
                                {&w->q, &w->dq},
                                {&w->sought, &w->dsought},
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
                            {rows, table},
                            {w->n, table},
                            {1, w->width},
                            {w->neurons_stride, w->read_stride},
                            {TS_TRANSFORMER_TILE, 2 * w->heads_stride}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int side = 0; side < 2; side++)
            *pairs[i][side] = take(slab, sizes[i][0], sizes[i][1]);
    w->sought_columns = take(slab, w->heads_stride, w->model_stride);
    w->w_v_columns = take(slab, inner, w->model_stride);
    w->into = take(slab, w->model, w->width);
    w->into_columns = take(slab, w->width, w->model_stride);
    w->out_columns = take(slab, w->width, inner);
    w->read_columns = take(slab, w->read_stride, w->neurons_stride);
    w->dread_columns = take(slab, w->read_stride, w->neurons_stride);
    w->w_u_columns = take(slab, w->out_stride, w->model_stride);
    w->h = take(slab, TS_TRANSFORMER_TILE, w->neurons_stride);
    w->mixed = take(slab, TS_TRANSFORMER_TILE, w->width);
    w->z = take(slab, TS_TRANSFORMER_TILE, w->direct ? 0 : w->out_stride);
}

static ts_status create_slab(training *t) {
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->table.slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        ts_cpu_table_take(&t->table);
        take_scratch(&t->work, &t->table.slab);
    }
    ts_slab_clear(&t->table.slab);
    return TS_OK;
}

// Points the kernel's work at an instance.
static void aim(void *handle, int instance) {
    training *t = handle;
    ts_transformer_work *w = &t->work;
    const ts_cpu_table *table = &t->table;
    const float **const weights[] = {&w->w_e, &w->w_pos, &w->w_q,   &w->w_k, &w->w_v,
                                     &w->w_o, &w->w_in,  &w->w_out, &w->w_u};
    float **const gradients[] = {&w->dw_e, &w->dw_pos, &w->dw_q,   &w->dw_k, &w->dw_v,
                                 &w->dw_o, &w->dw_in,  &w->dw_out, &w->dw_u};
    for (int i = 0; i < TS_TRANSFORMER_TENSORS; i++) {
        *weights[i] = ts_cpu_table_weights(table, instance, i);
        *gradients[i] = ts_cpu_table_gradient(table, i);
    }
    w->a = ts_cpu_table_pairs(table, instance) + table->first;
    w->b = w->a + table->train;
    w->label = w->b + table->train;
    w->valid = table->valid;
}

static bool make_gradient(const void *handle) {
    const training *t = handle;
    return t->table.kernels->transformer_gradient(&t->work);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_transformer_shape shape = ts_transformer_shape_of(&spec->params[0]);
    ts_cpu_table_begin(&t->table, spec);
    t->table.aim = aim;
    t->table.make_gradient = make_gradient;
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
        .direct = ts_transformer_direct(&shape, (double)t->table.train),
        .pairs = (int)t->table.own,
        .all_pairs = (int)t->table.train,
    };
    t->work.read_stride = t->work.direct ? t->work.out_stride : t->work.model_stride;
    t->work.width = t->work.neurons_stride + t->work.read_stride;
    ts_status status = create_slab(t);
    if (status == TS_OK)
        status = ts_cpu_table_initialise(&t->table, TS_TRANSFORMER_BLOCK);
    if (status != TS_OK) {
        ts_cpu_table_destroy(t);
        return status;
    }
    *handle = t;
    return TS_OK;
}

const ts_engine ts_cpu_transformer = {
    .model = "transformer",
    .wide = true,
    .create = create,
    .destroy = ts_cpu_table_destroy,
    .state_bytes = ts_cpu_table_state_bytes,
    .get_state = ts_cpu_table_get_state,
    .set_state = ts_cpu_table_set_state,
    .get_parameters = ts_cpu_table_get_parameters,
    .train = ts_cpu_table_train,
};
