// The multilayer perceptron in plain double-precision loops, pair by pair: the oracle for the factored
// kernels.
#include "backend/reference_mlp.h"

#include "backend/reference.h"
#include "base/memory.h"
#include "model/mlp.h"
#include "model/network.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

typedef struct training {
    ts_reference_state reference; // first
    ts_training_spec spec;
    ts_mlp_shape shape;
    double *gradient; // (parameters)
    double *x;        // (2 embed) both embeddings of a pair, and then their gradient
    double *h;        // (hidden)
    double *z;        // (n_out)
    int *pairs;       // (count, n * n)
    int64_t train;
    ts_adam *adam; // (count)
    ts_slab slab;
} training;

static void destroy(void *handle) {
    training *t = handle;
    if (!t)
        return;
    ts_slab_free(&t->slab);
    ts_free(t);
}

static ts_status create_slab(training *t) {
    size_t count = (size_t)t->spec.count, n = (size_t)t->shape.n,
           parameters = (size_t)t->reference.parameters;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->reference.state = ts_slab_take(&t->slab, count * 3 * parameters, sizeof(double));
        t->gradient = ts_slab_take(&t->slab, parameters, sizeof(double));
        t->x = ts_slab_take(&t->slab, 2 * (size_t)t->shape.embed, sizeof(double));
        t->h = ts_slab_take(&t->slab, (size_t)t->shape.hidden, sizeof(double));
        t->z = ts_slab_take(&t->slab, (size_t)t->shape.n_out, sizeof(double));
        t->pairs = ts_slab_take(&t->slab, count * n * n, sizeof(int));
        t->adam = ts_slab_take(&t->slab, count, sizeof(ts_adam));
    }
    memset(t->slab.base, 0, t->slab.size);
    return TS_OK;
}

static ts_status initialise(training *t) {
    float *initial = ts_alloc((size_t)t->reference.parameters * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        params->schema->model->initialise(params, initial);
        for (int64_t p = 0; p < t->reference.parameters; p++)
            ts_reference_weights(&t->reference, i)[p] = initial[p];
        ts_network_pairs(params, t->spec.data->table,
                     t->pairs + (size_t)i * (size_t)t->shape.n * (size_t)t->shape.n, &t->train);
    }
    ts_free(initial);
    return TS_OK;
}

static ts_status create(const ts_training_spec *spec, void **handle) {
    training *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_parameter_layout layout;
    spec->params[0].schema->model->layout(&spec->params[0], &layout);
    t->spec = *spec;
    t->shape = ts_mlp_shape_of(&spec->params[0]);
    t->reference.parameters = layout.total;
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

// Turns logits into the gradient of the pair's cross-entropy; returns that loss.
static double cross_entropy(double *z, int count, int label) {
    double target = z[label], largest = 0, others = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, z[j] - target);
    for (int j = 0; j < count; j++) {
        z[j] = exp(z[j] - target - largest);
        others += j == label ? 0 : z[j];
    }
    double total = exp(-largest) + others;
    for (int j = 0; j < count; j++)
        z[j] = j == label ? -others / total : z[j] / total;
    return largest > 0 ? largest + log(total) : log1p(others);
}

static double pair_gradient(training *t, const double *weights, int pair, double share, double *gradient) {
    ts_mlp_shape s = t->shape;
    size_t tokens = (size_t)s.n * (size_t)s.embed, embed = (size_t)s.embed, hidden = (size_t)s.hidden;
    size_t a = (size_t)(pair / s.n) * embed, b = tokens + (size_t)(pair % s.n) * embed;
    const double *w = weights + 2 * tokens, *w_u = w + 2 * embed * hidden;
    double *dw = gradient + 2 * tokens, *dw_u = dw + 2 * embed * hidden;
    memcpy(t->x, weights + a, embed * sizeof(double));
    memcpy(t->x + embed, weights + b, embed * sizeof(double));
    memset(t->h, 0, hidden * sizeof(double));
    for (size_t i = 0; i < 2 * embed; i++)
        for (size_t k = 0; k < hidden; k++)
            t->h[k] += t->x[i] * w[i * hidden + k];
    memset(t->z, 0, (size_t)s.n_out * sizeof(double));
    for (size_t k = 0; k < hidden; k++)
        for (int j = 0; j < s.n_out; j++)
            t->z[j] += (t->h[k] > 0 ? t->h[k] : 0) * w_u[k * (size_t)s.n_out + (size_t)j];
    double loss = cross_entropy(t->z, s.n_out, t->spec.data->table->result[pair]);
    for (size_t k = 0; k < hidden; k++) {
        double dh = 0;
        if (t->h[k] <= 0)
            continue;
        for (int j = 0; j < s.n_out; j++) {
            dh += share * t->z[j] * w_u[k * (size_t)s.n_out + (size_t)j];
            dw_u[k * (size_t)s.n_out + (size_t)j] += share * t->z[j] * t->h[k];
        }
        for (size_t i = 0; i < embed; i++) {
            gradient[a + i] += dh * w[i * hidden + k];
            gradient[b + i] += dh * w[(embed + i) * hidden + k];
        }
        for (size_t i = 0; i < 2 * embed; i++)
            dw[i * hidden + k] += dh * t->x[i];
    }
    return share * loss;
}

static double loss_and_gradient(training *t, const double *weights, int instance, double *gradient) {
    const int *pairs = t->pairs + (size_t)instance * (size_t)t->shape.n * (size_t)t->shape.n;
    double loss = 0;
    memset(gradient, 0, (size_t)t->reference.parameters * sizeof(double));
    for (int64_t p = 0; p < t->train; p++)
        loss += pair_gradient(t, weights, pairs[p], 1.0 / (double)t->train, gradient);
    return loss;
}

static int64_t train_instance(training *t, int instance, int64_t from, int64_t to) {
    ts_adam *adam = ts_adam_at(&t->adam[instance], &t->spec.params[instance], from);
    for (int64_t step = from; step < to; step++) {
        if (!isfinite(
                loss_and_gradient(t, ts_reference_weights(&t->reference, instance), instance, t->gradient)))
            return step;
        ts_adam_update(ts_reference_weights(&t->reference, instance), t->gradient, t->reference.parameters,
                       adam);
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

ts_status ts_reference_mlp_gradient(const ts_training_spec *spec, const double *weights, double *loss,
                                    double *gradient) {
    void *handle = NULL;
    ts_status status = create(spec, &handle);
    if (status != TS_OK)
        return status;
    *loss = loss_and_gradient(handle, weights, 0, gradient);
    destroy(handle);
    return TS_OK;
}

const ts_engine ts_reference_mlp = {
    .model = "mlp",
    .create = create,
    .destroy = destroy,
    .state_bytes = ts_reference_state_bytes,
    .get_state = ts_reference_get_state,
    .set_state = ts_reference_set_state,
    .get_parameters = ts_reference_get_parameters,
    .train = train,
};
