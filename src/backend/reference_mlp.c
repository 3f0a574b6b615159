// The multilayer perceptron in plain double-precision loops, pair by pair: the oracle for the factored
// kernels.
#include "backend/reference_table.h"
#include "model/mlp.h"
#include "task/data.h"

#include <string.h>

// Shape, and scratch for one pair.
typedef struct pass {
    ts_mlp_shape shape;
    double x[]; // (2 embed) embeddings of a and b, then (hidden) hidden layer, (n_out) logits
} pass;

static double pair_gradient(const ts_reference_table *t, const double *weights, int pair, double share,
                            double *gradient) {
    pass *p = t->own;
    ts_mlp_shape s = p->shape;
    size_t tokens = (size_t)s.n * (size_t)s.embed, embed = (size_t)s.embed, hidden = (size_t)s.hidden;
    size_t a = (size_t)(pair / s.n) * embed, b = tokens + (size_t)(pair % s.n) * embed;
    const double *w = weights + 2 * tokens, *w_u = w + 2 * embed * hidden;
    double *dw = gradient + 2 * tokens, *dw_u = dw + 2 * embed * hidden;
    double *x = p->x, *h = x + 2 * embed, *z = h + hidden;
    memcpy(x, weights + a, embed * sizeof(double));
    memcpy(x + embed, weights + b, embed * sizeof(double));
    memset(h, 0, hidden * sizeof(double));
    for (size_t i = 0; i < 2 * embed; i++)
        for (size_t k = 0; k < hidden; k++)
            h[k] += x[i] * w[i * hidden + k];
    memset(z, 0, (size_t)s.n_out * sizeof(double));
    for (size_t k = 0; k < hidden; k++)
        for (int j = 0; j < s.n_out; j++)
            z[j] += (h[k] <= 0 ? 0 : h[k]) * w_u[k * (size_t)s.n_out + (size_t)j];
    double loss = ts_reference_cross_entropy(z, s.n_out, t->spec.data->table->result[pair]);
    for (size_t k = 0; k < hidden; k++) {
        double dh = 0;
        if (h[k] <= 0)
            continue;
        for (int j = 0; j < s.n_out; j++) {
            dh += share * z[j] * w_u[k * (size_t)s.n_out + (size_t)j];
            dw_u[k * (size_t)s.n_out + (size_t)j] += share * z[j] * h[k];
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

static ts_status create(const ts_training_spec *spec, void **training) {
    ts_mlp_shape s = ts_mlp_shape_of(&spec->params[0]);
    ts_reference_table *t = NULL;
    size_t numbers = 2 * (size_t)s.embed + (size_t)s.hidden + (size_t)s.n_out;
    ts_status status = ts_reference_table_create(spec, sizeof(pass) + numbers * sizeof(double), &t);
    if (status != TS_OK)
        return status;
    ((pass *)t->own)->shape = s;
    t->pair_gradient = pair_gradient;
    *training = t;
    return TS_OK;
}

const ts_engine ts_reference_mlp = {
    .model = "mlp",
    .create = create,
    .destroy = ts_reference_table_destroy,
    .state_bytes = ts_reference_state_bytes,
    .get_state = ts_reference_get_state,
    .set_state = ts_reference_set_state,
    .get_parameters = ts_reference_get_parameters,
    .train = ts_reference_table_train,
};
