// The multilayer perceptron on the CPU: the fused tile kernel, on padded weights.
#include "backend/cpu_table.h"
#include "model/mlp.h"

#include <string.h>

enum { W_X, W_Y, W, W_U };

typedef struct training {
    ts_cpu_table table; // first
    ts_mlp_work work;
} training;

static ts_status create_slab(training *t) {
    ts_mlp_work *w = &t->work;
    size_t hidden = (size_t)w->hidden_stride, out = (size_t)w->out_stride, tokens = (size_t)w->n * hidden;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->table.slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        ts_cpu_table_take(&t->table);
        w->left = ts_slab_take(&t->table.slab, tokens, sizeof(float));
        w->right = ts_slab_take(&t->table.slab, tokens, sizeof(float));
        w->dleft = ts_slab_take(&t->table.slab, tokens, sizeof(float));
        w->dright = ts_slab_take(&t->table.slab, tokens, sizeof(float));
        w->w_u_columns = ts_slab_take(&t->table.slab, out * hidden, sizeof(float));
        // Transposed by whole tiles: rows of 2 embed_stride, each half up to a tile longer than embed.
        w->w_columns = ts_slab_take(&t->table.slab, hidden * 2 * (size_t)w->embed_stride, sizeof(float));
        w->h = ts_slab_take(&t->table.slab, TS_MLP_TILE * hidden, sizeof(float));
        w->dh = ts_slab_take(&t->table.slab, TS_MLP_TILE * hidden, sizeof(float));
        w->z = ts_slab_take(&t->table.slab, TS_MLP_TILE * out, sizeof(float));
    }
    ts_slab_clear(&t->table.slab);
    return TS_OK;
}

// Points the kernel's work at an instance.
static void aim(void *handle, int instance) {
    training *t = handle;
    ts_mlp_work *w = &t->work;
    const ts_cpu_table *table = &t->table;
    w->a = ts_cpu_table_pairs(table, instance) + table->first;
    w->b = w->a + table->train;
    w->label = w->b + table->train;
    w->w_x = ts_cpu_table_weights(table, instance, W_X);
    w->w_y = ts_cpu_table_weights(table, instance, W_Y);
    w->w = ts_cpu_table_weights(table, instance, W);
    w->w_u = ts_cpu_table_weights(table, instance, W_U);
    w->dw_x = ts_cpu_table_gradient(table, W_X);
    w->dw_y = ts_cpu_table_gradient(table, W_Y);
    w->dw = ts_cpu_table_gradient(table, W);
    w->dw_u = ts_cpu_table_gradient(table, W_U);
    w->valid = table->valid;
}

static bool make_gradient(const void *handle) {
    const training *t = handle;
    return t->table.kernels->mlp_gradient(&t->work);
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_mlp_shape shape = ts_mlp_shape_of(&spec->params[0]);
    ts_cpu_table_begin(&t->table, spec);
    t->table.aim = aim;
    t->table.make_gradient = make_gradient;
    t->work = (ts_mlp_work){
        .n = shape.n,
        .n_out = shape.n_out,
        .embed = shape.embed,
        .hidden = shape.hidden,
        .embed_stride = TS_PAD(shape.embed),
        .hidden_stride = TS_PAD(shape.hidden),
        .out_stride = TS_PAD(shape.n_out),
        .pairs = (int)t->table.own,
        .all_pairs = (int)t->table.train,
    };
    ts_status status = create_slab(t);
    if (status == TS_OK)
        status = ts_cpu_table_initialise(&t->table, 0);
    if (status != TS_OK) {
        ts_cpu_table_destroy(t);
        return status;
    }
    *handle = t;
    return TS_OK;
}

const ts_engine ts_cpu_mlp = {
    .model = "mlp",
    .wide = true,
    .create = create,
    .destroy = ts_cpu_table_destroy,
    .state_bytes = ts_cpu_table_state_bytes,
    .get_state = ts_cpu_table_get_state,
    .set_state = ts_cpu_table_set_state,
    .get_parameters = ts_cpu_table_get_parameters,
    .train = ts_cpu_table_train,
};
