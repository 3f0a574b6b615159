// The transformer in plain double-precision loops, pair by pair and from its definition: the oracle for the
// factored kernels.
#include "backend/reference_pairs.h"
#include "model/model.h"
#include "model/transformer.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

enum { POSITIONS = 3, LAST = 2 };

// A training, with one pair on its way through the network and the gradients of the same numbers.
typedef struct pass {
    ts_reference_pairs base; // first
    ts_transformer_shape shape;
    const double *w[TS_TRANSFORMER_TENSORS];
    double *dw[TS_TRANSFORMER_TENSORS];
    double *x, *dx;                        // (3, d): tokens a, b and "=" with their positions
    double *q, *dq;                        // (heads, k): of the last position
    double *key, *dkey;                    // (heads, 3, k)
    double *value, *dvalue;                // (heads, 3, k)
    double *attention;                     // (heads, 3)
    double *mixed, *dmixed;                // (heads, k): values as attended to
    double *r, *dr;                        // (d): residual stream after attention
    double *hidden, *dhidden;              // (m): after ReLU
    double *y, *dy;                        // (d): residual stream at the end
    double *logits;                        // (n_out): logits, then their gradient
    size_t offset[TS_TRANSFORMER_TENSORS]; // of w and dw, in the model's layout
    size_t count;                          // of numbers from x on
} pass;

// out (columns) += in (rows) W (rows, columns)
static void apply(const double *w, int rows, int columns, const double *in, double *out) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            out[j] += in[i] * w[i * columns + j];
}

// The same backwards: dW += in^T dout, din += dout W^T.
static void apply_back(const double *w, int rows, int columns, const double *in, const double *dout, double *dw,
                       double *din) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            dw[i * columns + j] += in[i] * dout[j];
            din[i] += dout[j] * w[i * columns + j];
        }
}

static void embed(pass *p, const int token[POSITIONS]) {
    int d = p->shape.model;
    for (int j = 0; j < POSITIONS; j++)
        for (int i = 0; i < d; i++)
            p->x[j * d + i] = p->w[TS_W_E][token[j] * d + i] + p->w[TS_W_POS][j * d + i];
}

static void attend(pass *p, int h) {
    int d = p->shape.model, k = p->shape.head;
    size_t at = (size_t)h * (size_t)d * (size_t)k;
    double *attention = p->attention + h * POSITIONS, largest = -INFINITY, sum = 0;
    const double *q = p->q + h * k;
    apply(p->w[TS_W_Q] + at, d, k, p->x + LAST * d, p->q + h * k);
    for (int j = 0; j < POSITIONS; j++) {
        double *key = p->key + (h * POSITIONS + j) * k;
        apply(p->w[TS_W_K] + at, d, k, p->x + j * d, key);
        apply(p->w[TS_W_V] + at, d, k, p->x + j * d, p->value + (h * POSITIONS + j) * k);
        for (int i = 0; i < k; i++)
            attention[j] += q[i] * key[i] / sqrt((double)k);
        largest = fmax(largest, attention[j]);
    }
    for (int j = 0; j < POSITIONS; j++)
        sum += attention[j] = exp(attention[j] - largest);
    for (int j = 0; j < POSITIONS; j++) {
        attention[j] /= sum;
        for (int i = 0; i < k; i++)
            p->mixed[h * k + i] += attention[j] * p->value[(h * POSITIONS + j) * k + i];
    }
    apply(p->w[TS_W_O] + at, k, d, p->mixed + h * k, p->r);
}

static void forwards(pass *p, const int token[POSITIONS]) {
    ts_transformer_shape s = p->shape;
    size_t stream = (size_t)s.model * sizeof(double);
    embed(p, token);
    memcpy(p->r, p->x + LAST * s.model, stream);
    for (int h = 0; h < s.heads; h++)
        attend(p, h);
    apply(p->w[TS_W_IN], s.model, s.neurons, p->r, p->hidden);
    for (int i = 0; i < s.neurons; i++)
        p->hidden[i] = p->hidden[i] <= 0 ? 0 : p->hidden[i];
    memcpy(p->y, p->r, stream);
    apply(p->w[TS_W_OUT], s.neurons, s.model, p->hidden, p->y);
    apply(p->w[TS_W_U], s.model, s.n_out, p->y, p->logits);
}

static void attend_back(pass *p, int h) {
    int d = p->shape.model, k = p->shape.head;
    size_t at = (size_t)h * (size_t)d * (size_t)k;
    const double *attention = p->attention + h * POSITIONS;
    double *dmixed = p->dmixed + h * k, slope[POSITIONS] = {0}, mean = 0;
    apply_back(p->w[TS_W_O] + at, k, d, p->mixed + h * k, p->dr, p->dw[TS_W_O] + at, dmixed);
    for (int j = 0; j < POSITIONS; j++) {
        for (int i = 0; i < k; i++) {
            slope[j] += dmixed[i] * p->value[(h * POSITIONS + j) * k + i];
            p->dvalue[(h * POSITIONS + j) * k + i] = attention[j] * dmixed[i];
        }
        mean += attention[j] * slope[j];
    }
    for (int j = 0; j < POSITIONS; j++) {
        double dscore = attention[j] * (slope[j] - mean) / sqrt((double)k);
        double *key = p->key + (h * POSITIONS + j) * k, *dkey = p->dkey + (h * POSITIONS + j) * k;
        for (int i = 0; i < k; i++) {
            p->dq[h * k + i] += dscore * key[i];
            dkey[i] = dscore * p->q[h * k + i];
        }
        apply_back(p->w[TS_W_K] + at, d, k, p->x + j * d, dkey, p->dw[TS_W_K] + at, p->dx + j * d);
        apply_back(p->w[TS_W_V] + at, d, k, p->x + j * d, p->dvalue + (h * POSITIONS + j) * k, p->dw[TS_W_V] + at,
                   p->dx + j * d);
    }
    apply_back(p->w[TS_W_Q] + at, d, k, p->x + LAST * d, p->dq + h * k, p->dw[TS_W_Q] + at, p->dx + LAST * d);
}

// From the gradient of the logits.
static void backwards(pass *p, const int token[POSITIONS]) {
    ts_transformer_shape s = p->shape;
    int d = s.model;
    apply_back(p->w[TS_W_U], d, s.n_out, p->y, p->logits, p->dw[TS_W_U], p->dy);
    apply_back(p->w[TS_W_OUT], s.neurons, d, p->hidden, p->dy, p->dw[TS_W_OUT], p->dhidden);
    for (int i = 0; i < s.neurons; i++)
        p->dhidden[i] = p->hidden[i] <= 0 ? 0 : p->dhidden[i];
    memcpy(p->dr, p->dy, (size_t)d * sizeof(double));
    apply_back(p->w[TS_W_IN], d, s.neurons, p->r, p->dhidden, p->dw[TS_W_IN], p->dr);
    memcpy(p->dx + LAST * d, p->dr, (size_t)d * sizeof(double));
    for (int h = 0; h < s.heads; h++)
        attend_back(p, h);
    for (int j = 0; j < POSITIONS; j++)
        for (int i = 0; i < d; i++) {
            p->dw[TS_W_E][token[j] * d + i] += p->dx[j * d + i];
            p->dw[TS_W_POS][j * d + i] += p->dx[j * d + i];
        }
}

static double pair_gradient(void *handle, const double *weights, int pair, double share, double *gradient) {
    pass *p = handle;
    for (int i = 0; i < TS_TRANSFORMER_TENSORS; i++) {
        p->w[i] = weights + p->offset[i];
        p->dw[i] = gradient + p->offset[i];
    }
    memset(p->x, 0, p->count * sizeof *p->x);
    const int token[POSITIONS] = {pair / p->shape.n, pair % p->shape.n, p->shape.n};
    forwards(p, token);
    double loss = ts_reference_cross_entropy(p->logits, p->shape.n_out, p->base.base.spec.data->table->result[pair]);
    for (int j = 0; j < p->shape.n_out; j++)
        p->logits[j] *= share;
    backwards(p, token);
    return share * loss;
}

// The numbers of a pass, one array after the other from x on.
static void take(void *handle) {
    pass *p = handle;
    const ts_params *params = &p->base.base.spec.params[0];
    ts_transformer_shape s = p->shape = ts_transformer_shape_of(params);
    ts_parameter_layout layout;
    size_t d = (size_t)s.model, inner = (size_t)s.heads * (size_t)s.head;
    const struct {
        double **array;
        size_t count;
    } arrays[] = {
        {&p->x, POSITIONS * d},
        {&p->dx, POSITIONS * d},
        {&p->q, inner},
        {&p->dq, inner},
        {&p->key, POSITIONS * inner},
        {&p->dkey, POSITIONS * inner},
        {&p->value, POSITIONS * inner},
        {&p->dvalue, POSITIONS * inner},
        {&p->mixed, inner},
        {&p->dmixed, inner},
        {&p->r, d},
        {&p->dr, d},
        {&p->y, d},
        {&p->dy, d},
        {&p->hidden, (size_t)s.neurons},
        {&p->dhidden, (size_t)s.neurons},
        {&p->logits, (size_t)s.n_out},
        {&p->attention, POSITIONS * (size_t)s.heads},
    };
    p->count = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        p->count += arrays[i].count;
    double *at = ts_slab_take(&p->base.base.slab, p->count, sizeof *at);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; at += at ? arrays[i].count : 0, i++)
        *arrays[i].array = at;
    params->schema->model->layout(params, &layout);
    for (int i = 0; i < TS_TRANSFORMER_TENSORS; i++)
        p->offset[i] = (size_t)layout.tensor[i].offset;
    p->base.pair_gradient = pair_gradient;
    ts_reference_pairs_take(p);
}

static const ts_reference_model MODEL = {
    .bytes = sizeof(pass),
    .take = take,
    .initialise = ts_reference_pairs_initialise,
    .loss = ts_reference_pairs_loss,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_reference_create(&MODEL, spec, handle);
}

const ts_engine ts_reference_transformer = {.model = "transformer", .create = create, TS_REFERENCE_ENGINE_FUNCTIONS};
