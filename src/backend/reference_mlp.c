// The multilayer perceptron in plain double-precision loops, pair by pair: the oracle for the factored
// kernels.
#include "backend/reference_pairs.h"
#include "model/mlp.h"
#include "task/data.h"

#include <string.h>

typedef struct training {
    ts_reference_pairs base; // first
    ts_mlp_shape shape;
    double *x;      // (2 embed): embeddings of a pair's a and b
    double *hidden; // (hidden): before ReLU
    double *logits; // (n_out), then their gradient
} training;

static double pair_gradient(void *handle, const double *weights, int pair, double share, double *gradient) {
    const training *t = handle;
    ts_mlp_shape s = t->shape;
    size_t tokens = (size_t)s.n * (size_t)s.embed, embed = (size_t)s.embed, hidden = (size_t)s.hidden;
    size_t a = (size_t)(pair / s.n) * embed, b = tokens + (size_t)(pair % s.n) * embed;
    const double *w = weights + 2 * tokens, *w_u = w + 2 * embed * hidden;
    double *dw = gradient + 2 * tokens, *dw_u = dw + 2 * embed * hidden;
    double *x = t->x, *h = t->hidden, *logits = t->logits;
    memcpy(x, weights + a, embed * sizeof(double));
    memcpy(x + embed, weights + b, embed * sizeof(double));
    memset(h, 0, hidden * sizeof(double));
    for (size_t i = 0; i < 2 * embed; i++)
        for (size_t k = 0; k < hidden; k++)
            h[k] += x[i] * w[i * hidden + k];
    memset(logits, 0, (size_t)s.n_out * sizeof(double));
    for (size_t k = 0; k < hidden; k++)
        for (int j = 0; j < s.n_out; j++)
            logits[j] += (h[k] <= 0 ? 0 : h[k]) * w_u[k * (size_t)s.n_out + (size_t)j];
    double loss = ts_reference_cross_entropy(logits, s.n_out, t->base.base.spec.data->table->result[pair]);
    for (size_t k = 0; k < hidden; k++) {
        double dh = 0;
        if (h[k] <= 0)
            continue;
        for (int j = 0; j < s.n_out; j++) {
            dh += share * logits[j] * w_u[k * (size_t)s.n_out + (size_t)j];
            dw_u[k * (size_t)s.n_out + (size_t)j] += share * logits[j] * h[k];
        }
        for (size_t i = 0; i < embed; i++) {
            gradient[a + i] += dh * w[i * hidden + k];
            gradient[b + i] += dh * w[(embed + i) * hidden + k];
        }
        for (size_t i = 0; i < 2 * embed; i++)
            dw[i * hidden + k] += dh * x[i];
    }
    return share * loss;
}

static void take(void *handle) {
    training *t = handle;
    ts_slab *slab = &t->base.base.slab;
    ts_mlp_shape s = t->shape = ts_mlp_shape_of(&t->base.base.spec.params[0]);
    t->base.pair_gradient = pair_gradient;
    ts_reference_pairs_take(t);
    t->x = ts_slab_take(slab, 2 * (size_t)s.embed, sizeof(double));
    t->hidden = ts_slab_take(slab, (size_t)s.hidden, sizeof(double));
    t->logits = ts_slab_take(slab, (size_t)s.n_out, sizeof(double));
}

static const ts_reference_model MODEL = {
    .bytes = sizeof(training),
    .take = take,
    .initialise = ts_reference_pairs_initialise,
    .loss = ts_reference_pairs_loss,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_reference_create(&MODEL, spec, handle);
}

const ts_engine ts_reference_mlp = {.model = "mlp", .create = create, TS_REFERENCE_ENGINE_FUNCTIONS};
