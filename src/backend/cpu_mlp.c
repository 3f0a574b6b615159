// The multilayer perceptron on the CPU: one thread trains one instance after the other with the fused tile
// kernel. Padding is this engine's own matter: states and weights go in and out without it.
#include "backend/backend.h"
#include "backend/cpu.h"
#include "base/memory.h"
#include "model/mlp.h"
#include "model/network.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/data.h"

#include <string.h>

// One tensor as it lies here: `rows` of `columns` numbers, `stride` apart.
typedef struct padded_tensor {
    int64_t rows, columns, stride;
    int64_t offset; // from the start of an instance's parameters
} padded_tensor;

enum { TENSORS = 4, W_X = 0, W_Y, W, W_U };

typedef struct training {
    ts_training_spec spec;
    const ts_kernels *kernels;
    padded_tensor tensor[TENSORS];
    int64_t padded, packed; // floats of one instance's parameters, with and without pads
    float *state;           // (count, 3, padded): weights, first and second moments
    float *gradient;        // (padded)
    int *pairs;             // (count, 3, train): a, b and label of each training pair
    int64_t train;
    float *valid;
    ts_adam *adam; // (count)
    ts_mlp_work work;
    ts_slab slab;
} training;

static float *state_of(const training *t, int instance) {
    return t->state + (size_t)instance * 3 * (size_t)t->padded;
}

// Copies one instance's parameters packed <-> padded.
static void repack(const training *t, const float *from, float *to, bool unpack) {
    int64_t at = 0;
    for (int i = 0; i < TENSORS; i++) {
        const padded_tensor *tensor = &t->tensor[i];
        for (int64_t r = 0; r < tensor->rows; r++, at += tensor->columns) {
            int64_t padded = tensor->offset + r * tensor->stride;
            memcpy(to + (unpack ? padded : at), from + (unpack ? at : padded),
                   (size_t)tensor->columns * sizeof(float));
        }
    }
}

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    ts_slab_free(&t->slab);
    ts_free(t);
}

static void lay_out(training *t) {
    ts_parameter_layout layout;
    t->spec.params->schema->model->layout(t->spec.params, &layout);
    t->packed = layout.total;
    for (int i = 0; i < TENSORS; i++) {
        const ts_tensor *tensor = &layout.tensor[i];
        t->tensor[i] = (padded_tensor){tensor->size[0], tensor->size[1], TS_PAD(tensor->size[1]), t->padded};
        t->padded += tensor->size[0] * t->tensor[i].stride;
    }
}

static ts_status create_slab(training *t) {
    ts_mlp_work *w = &t->work;
    size_t count = (size_t)t->spec.count, padded = (size_t)t->padded,
           tokens = (size_t)w->n * (size_t)w->hidden_stride;
    size_t hidden = (size_t)w->hidden_stride, out = (size_t)w->out_stride;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->state = ts_slab_take(&t->slab, count * 3 * padded, sizeof(float));
        t->gradient = ts_slab_take(&t->slab, padded, sizeof(float));
        t->pairs = ts_slab_take(&t->slab, count * 3 * (size_t)t->train, sizeof(int));
        t->valid = ts_slab_take(&t->slab, TS_VECTOR_LANES, sizeof(float));
        t->adam = ts_slab_take(&t->slab, count, sizeof(ts_adam));
        w->left = ts_slab_take(&t->slab, tokens, sizeof(float));
        w->right = ts_slab_take(&t->slab, tokens, sizeof(float));
        w->dleft = ts_slab_take(&t->slab, tokens, sizeof(float));
        w->dright = ts_slab_take(&t->slab, tokens, sizeof(float));
        w->w_u_columns = ts_slab_take(&t->slab, out * hidden, sizeof(float));
        // Transposed by whole tiles: rows of 2 embed_stride, each half up to a tile longer than embed.
        w->w_columns = ts_slab_take(&t->slab, hidden * 2 * (size_t)w->embed_stride, sizeof(float));
        w->h = ts_slab_take(&t->slab, TS_MLP_TILE * hidden, sizeof(float));
        w->dh = ts_slab_take(&t->slab, TS_MLP_TILE * hidden, sizeof(float));
        w->z = ts_slab_take(&t->slab, TS_MLP_TILE * out, sizeof(float));
    }
    memset(t->slab.base, 0, t->slab.size);
    return TS_OK;
}

static ts_status initialise(training *t) {
    const ts_table *table = t->spec.data->table;
    float *initial = ts_alloc((size_t)t->packed * sizeof *initial, "initial weights");
    int *pairs = ts_alloc((size_t)table->n * (size_t)table->n * sizeof *pairs, "training pairs");
    if (!initial || !pairs) {
        ts_free(initial);
        ts_free(pairs);
        return TS_ERROR_MEMORY;
    }
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        int *own = t->pairs + (size_t)i * 3 * (size_t)t->train;
        params->schema->model->initialise(params, initial);
        repack(t, initial, state_of(t, i), true);
        ts_network_pairs(params, table, pairs, &t->train);
        for (int64_t p = 0; p < t->train; p++) {
            own[p] = pairs[p] / table->n;
            own[t->train + p] = pairs[p] % table->n;
            own[2 * t->train + p] = table->result[pairs[p]];
        }
    }
    for (int j = 0; j < TS_VECTOR_LANES; j++)
        t->valid[j] = t->work.out_stride - TS_VECTOR_LANES + j < t->work.n_out ? 1 : 0;
    ts_free(initial);
    ts_free(pairs);
    return TS_OK;
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_mlp_shape shape = ts_mlp_shape_of(&spec->params[0]);
    t->spec = *spec;
    t->kernels = ts_cpu_kernels();
    t->train = (int64_t)(ts_params_real(&spec->params[0], "train_fraction") * ((double)shape.n * shape.n));
    t->work = (ts_mlp_work){
        .n = shape.n,
        .n_out = shape.n_out,
        .embed = shape.embed,
        .hidden = shape.hidden,
        .embed_stride = TS_PAD(shape.embed),
        .hidden_stride = TS_PAD(shape.hidden),
        .out_stride = TS_PAD(shape.n_out),
        .pairs = (int)t->train,
    };
    lay_out(t);
    ts_status status = create_slab(t);
    if (status == TS_OK)
        status = initialise(t);
    if (status != TS_OK) {
        destroy(t);
        return status;
    }
    *handle = t;
    return TS_OK;
}

// Points the kernel's work at an instance.
static void aim(training *t, int instance) {
    ts_mlp_work *w = &t->work;
    const float *weights = state_of(t, instance);
    const int *pairs = t->pairs + (size_t)instance * 3 * (size_t)t->train;
    w->a = pairs;
    w->b = pairs + t->train;
    w->label = pairs + 2 * t->train;
    w->w_x = weights + t->tensor[W_X].offset;
    w->w_y = weights + t->tensor[W_Y].offset;
    w->w = weights + t->tensor[W].offset;
    w->w_u = weights + t->tensor[W_U].offset;
    w->dw_x = t->gradient + t->tensor[W_X].offset;
    w->dw_y = t->gradient + t->tensor[W_Y].offset;
    w->dw = t->gradient + t->tensor[W].offset;
    w->dw_u = t->gradient + t->tensor[W_U].offset;
    w->valid = t->valid;
}

static int64_t train_instance(training *t, int instance, int64_t from, int64_t to) {
    ts_adam *adam = ts_adam_at(&t->adam[instance], &t->spec.params[instance], from);
    ts_adam_constants constants = {
        .beta1 = (float)adam->beta1,
        .take1 = (float)(1 - adam->beta1),
        .beta2 = (float)adam->beta2,
        .take2 = (float)(1 - adam->beta2),
        .epsilon = (float)adam->epsilon,
    };
    aim(t, instance);
    for (int64_t step = from; step < to; step++) {
        if (!t->kernels->mlp_gradient(&t->work))
            return step;
        ts_adam_step next = ts_adam_next(adam);
        constants.rate = (float)next.rate;
        constants.root = (float)next.root;
        constants.decay = (float)next.decay;
        t->kernels->adam(state_of(t, instance), t->gradient, t->padded, constants);
    }
    return to;
}

static ts_status train(void *handle, int64_t from, int64_t to, int64_t *reached) {
    training *t = handle;
    for (int i = 0; i < t->spec.count; i++)
        if (reached[i] == from)
            reached[i] = train_instance(t, i, from, to);
    return TS_OK;
}

// State: (3, parameters) float32 in the model's layout.
static size_t state_bytes(const void *handle) {
    return 3 * (size_t)((const training *)handle)->packed * sizeof(float);
}

static void get_state(const void *handle, int instance, void *state) {
    const training *t = handle;
    for (int part = 0; part < 3; part++)
        repack(t, state_of(t, instance) + part * t->padded, (float *)state + part * t->packed, false);
}

static void set_state(void *handle, int instance, const void *state) {
    const training *t = handle;
    for (int part = 0; part < 3; part++)
        repack(t, (const float *)state + part * t->packed, state_of(t, instance) + part * t->padded, true);
}

static void get_parameters(const void *handle, int instance, float *parameters) {
    repack(handle, state_of(handle, instance), parameters, false);
}

const ts_engine ts_cpu_mlp = {
    .model = "mlp",
    .create = create,
    .destroy = destroy,
    .state_bytes = state_bytes,
    .get_state = get_state,
    .set_state = set_state,
    .get_parameters = get_parameters,
    .train = train,
};
