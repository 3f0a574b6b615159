// The transformer's gradient on a table task. The last token is always the same, so there is one query per head,
// and what attention takes from a token is made once a step: attention scores, and rows of x W_V W_O [W_in, W_U]. With
// attention w_a, w_b of head h to a and b (the rest goes to the last token itself, which is in `constant`), a pair is
//     [pre, rest] = constant + sum_h w_a left_h[a] + w_b right_h[b]   ->  h = relu(pre)
//     z = h (W_out W_U) + rest  ->  dz (cross-entropy)  ->  dpre = dz (W_out W_U)^T [h > 0]
//     d(W_out W_U) += h^T dz;  dleft_h[a] += w_a [dpre, dz];  dright_h[b] += w_b [dpre, dz];  dw_a, dw_b
// tile by tile through the cache; what is left are small products between rows of tokens and weights. If W_out W_U
// would be more work than W_out and W_U one after the other, `rest` is the residual stream, and W_U comes after.
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/rows.h"
#include "cpu/transformer_pairs.h"
#include "cpu/transpose.h"

#include <string.h>

// --- From weights to what each token gives ---

static void make_inputs(const ts_transformer_work *w) {
    size_t d = (size_t)w->model_stride, n = (size_t)w->n;
    float *last = w->x + (n + 2) * d;
    memcpy(w->x, w->w_e, n * d * sizeof(float));
    for (size_t i = 0; i < d; i += LANES) {
        vec at = vadd(vload(w->w_e + n * d + i), vload(w->w_pos + 2 * d + i));
        vstore(last + i, at);
        for (size_t j = 0; j < 2; j++)
            vstore(w->x + (n + j) * d + i, vsub(vload(w->w_pos + j * d + i), at));
    }
}

static void make_scores(const ts_transformer_work *w) {
    int k = w->head_stride, d = w->model_stride;
    const float *last = w->x + (size_t)(w->n + 2) * (size_t)d;
    float scale = 1 / sqrtf((float)w->head);
    for (int h = 0; h < w->heads; h++) {
        size_t at = (size_t)h * (size_t)w->model * (size_t)k;
        float *q = w->q + h * k;
        multiply(q, k, 1, k, plain(last, d), w->w_q + at, k, w->model, PRODUCT_SET);
        for (int i = 0; i < w->model; i++)
            w->key_query[i * w->heads_stride + h] = scale * dot(w->w_k + at + (size_t)i * (size_t)k, q, k);
    }
    multiply(w->score, w->heads_stride, w->n + 2, w->heads_stride, plain(w->x, d), w->key_query, w->heads_stride,
             w->model, PRODUCT_SET);
    transpose(w->key_query, w->model, w->heads_stride, w->heads_stride, w->key_query_transposed, d);
}

// [W_in, W_U], or [W_in, identity].
static void make_into(const ts_transformer_work *w) {
    for (int i = 0; i < w->model; i++) {
        float *row = w->into + (size_t)i * (size_t)w->width, *rest = row + w->neurons_stride;
        memcpy(row, w->w_in + (size_t)i * (size_t)w->neurons_stride, (size_t)w->neurons_stride * sizeof(float));
        if (w->direct)
            memcpy(rest, w->w_u + (size_t)i * (size_t)w->out_stride, (size_t)w->out_stride * sizeof(float));
        else
            rest[i] = 1;
    }
    transpose(w->into, w->model, w->width, w->width, w->into_transposed, w->model_stride);
}

static void make_read(const ts_transformer_work *w) {
    if (w->direct)
        multiply(w->read, w->read_stride, w->neurons, w->read_stride, plain(w->w_out, w->model_stride), w->w_u,
                 w->out_stride, w->model, PRODUCT_SET);
    else
        memcpy(w->read, w->w_out, (size_t)w->neurons * (size_t)w->model_stride * sizeof(float));
    transpose(w->read, w->neurons, w->read_stride, w->read_stride, w->read_transposed, w->neurons_stride);
    transpose(w->w_u, w->model, w->out_stride, w->out_stride, w->w_u_transposed, w->model_stride);
}

static void make_values(const ts_transformer_work *w) {
    int k = w->head_stride, d = w->model_stride, inner = w->heads * k, row = w->heads * w->width;
    for (int h = 0; h < w->heads; h++) {
        const float *w_v = w->w_v + (size_t)h * (size_t)w->model * (size_t)k;
        float *out = w->out + (size_t)(h * k) * (size_t)w->width;
        multiply(w->value + h * k, inner, w->n + 3, k, plain(w->x, d), w_v, k, w->model, PRODUCT_SET);
        multiply(out, w->width, w->head, w->width, plain(w->w_o + (size_t)(h * w->head) * (size_t)d, d), w->into,
                 w->width, w->model, PRODUCT_SET);
        multiply(w->right + h * w->width, row, w->n + 3, w->width, plain(w->value + h * k, inner), out, w->width,
                 w->head, PRODUCT_SET);
        transpose(w_v, w->model, k, k, w->w_v_transposed + (size_t)(h * k) * (size_t)d, d);
    }
    transpose(w->out, inner, w->width, w->width, w->out_transposed, inner);
}

// Position's part of each token's row, and what does not depend on a pair.
static void finish_head_out(const ts_transformer_work *w) {
    size_t row = (size_t)w->heads * (size_t)w->width, n = (size_t)w->n;
    const float *first = w->right + n * row, *second = first + row, *itself = second + row;
    for (size_t t = 0; t < n; t++) {
        float *left = w->left + t * row, *right = w->right + t * row;
        for (size_t i = 0; i < row; i += LANES) {
            vec token = vload(right + i);
            vstore(left + i, vadd(token, vload(first + i)));
            vstore(right + i, vadd(token, vload(second + i)));
        }
    }
    const float *last = w->x + (n + 2) * (size_t)w->model_stride;
    multiply(w->constant, w->width, 1, w->width, plain(last, w->model_stride), w->into, w->width, w->model,
             PRODUCT_SET);
    for (int h = 0; h < w->heads; h++)
        add_row(w->constant, false, itself + h * w->width, 1, w->width);
}

// --- And back to weights ---

// dright becomes the gradient of all rows of value out.
static void finish_gradients(const ts_transformer_work *w) {
    size_t row = (size_t)w->heads * (size_t)w->width, n = (size_t)w->n;
    float *first = w->dright + n * row, *second = first + row, *itself = second + row;
    memset(first, 0, 2 * row * sizeof(float));
    for (size_t t = 0; t < n; t++) {
        float *left = w->dleft + t * row, *right = w->dright + t * row;
        for (size_t i = 0; i < row; i += LANES) {
            vec of_a = vload(left + i), of_b = vload(right + i);
            vstore(first + i, vadd(vload(first + i), of_a));
            vstore(second + i, vadd(vload(second + i), of_b));
            vstore(right + i, vadd(of_a, of_b));
        }
    }
    for (int h = 0; h < w->heads; h++)
        memcpy(itself + h * w->width, w->dconstant, (size_t)w->width * sizeof(float));
}

// value out: dx, dW_V, dW_O, and what dW_in and (direct) dW_U have of it.
static void values_gradient(const ts_transformer_work *w) {
    int k = w->head_stride, d = w->model_stride, inner = w->heads * k, row = w->heads * w->width;
    const float *last = w->x + (size_t)(w->n + 2) * (size_t)d;
    for (int h = 0; h < w->heads; h++) {
        const float *dhead_out = w->dright + h * w->width, *w_o = w->w_o + (size_t)(h * w->head) * (size_t)d;
        float *dout = w->dout + (size_t)(h * k) * (size_t)w->width;
        multiply(w->dvalue + h * k, inner, w->n + 3, k, plain(dhead_out, row), w->out_transposed + h * k, inner,
                 w->width, PRODUCT_SET);
        multiply(dout, w->width, w->head, w->width, transposed(w->value + h * k, inner), dhead_out, row, w->n + 3,
                 PRODUCT_SET);
        multiply(w->dw_v + (size_t)h * (size_t)w->model * (size_t)k, k, w->model, k, transposed(w->x, d),
                 w->dvalue + h * k, inner, w->n + 3, PRODUCT_SET);
        multiply(w->dw_o + (size_t)(h * w->head) * (size_t)d, d, w->head, d, plain(dout, w->width), w->into_transposed,
                 d, w->width, PRODUCT_SET);
        multiply(w->dw_in, w->neurons_stride, w->model, w->neurons_stride, transposed(w_o, d), dout, w->width, w->head,
                 h > 0 ? PRODUCT_CONTINUE : PRODUCT_SET);
        if (w->direct)
            multiply(w->dw_u, w->out_stride, w->model, w->out_stride, transposed(w_o, d), dout + w->neurons_stride,
                     w->width, w->head, h > 0 ? PRODUCT_CONTINUE : PRODUCT_SET);
    }
    multiply(w->dx, d, w->n + 3, d, plain(w->dvalue, inner), w->w_v_transposed, d, inner, PRODUCT_SET);
    // The last token's own way around attention.
    multiply(w->dw_in, w->neurons_stride, w->model, w->neurons_stride, transposed(last, d), w->dconstant, w->width, 1,
             PRODUCT_CONTINUE);
    if (w->direct)
        multiply(w->dw_u, w->out_stride, w->model, w->out_stride, transposed(last, d), w->dconstant + w->neurons_stride,
                 w->width, 1, PRODUCT_CONTINUE);
    multiply(w->dx + (size_t)(w->n + 2) * (size_t)d, d, 1, d, plain(w->dconstant, w->width), w->into_transposed, d,
             w->width, PRODUCT_CONTINUE);
}

static void scores_gradient(const ts_transformer_work *w) {
    int k = w->head_stride, d = w->model_stride, rows = w->n + 2;
    const float *last = w->x + (size_t)(w->n + 2) * (size_t)d;
    float *dlast = w->dx + (size_t)(w->n + 2) * (size_t)d, scale = 1 / sqrtf((float)w->head);
    multiply(w->dkey_query, w->heads_stride, w->model, w->heads_stride, transposed(w->x, d), w->dscore, w->heads_stride,
             rows, PRODUCT_SET);
    multiply(w->dx, d, rows, d, plain(w->dscore, w->heads_stride), w->key_query_transposed, d, w->heads,
             PRODUCT_CONTINUE);
    memset(w->dq, 0, (size_t)w->heads * (size_t)k * sizeof(float));
    for (int h = 0; h < w->heads; h++) {
        size_t at = (size_t)h * (size_t)w->model * (size_t)k;
        const float *q = w->q + h * k;
        float *dq = w->dq + h * k;
        memset(w->dw_k + at, 0, (size_t)w->model * (size_t)k * sizeof(float));
        memset(w->dw_q + at, 0, (size_t)w->model * (size_t)k * sizeof(float));
        for (int i = 0; i < w->model; i++) {
            float g = scale * w->dkey_query[i * w->heads_stride + h];
            add_row(w->dw_k + at + (size_t)i * (size_t)k, false, q, g, k);
            add_row(dq, false, w->w_k + at + (size_t)i * (size_t)k, g, k);
        }
        for (int i = 0; i < w->model; i++) {
            add_row(w->dw_q + at + (size_t)i * (size_t)k, false, dq, last[i], k);
            dlast[i] += dot(w->w_q + at + (size_t)i * (size_t)k, dq, k);
        }
    }
}

static void read_gradient(const ts_transformer_work *w) {
    int d = w->model_stride, read = w->direct ? w->n_out : w->model;
    transpose(w->dread_transposed, read, w->neurons_stride, w->neurons_stride, w->dread, w->read_stride);
    if (!w->direct) {
        memcpy(w->dw_out, w->dread, (size_t)w->neurons * (size_t)d * sizeof(float));
        return;
    }
    multiply(w->dw_out, d, w->neurons, d, plain(w->dread, w->read_stride), w->w_u_transposed, d, w->n_out, PRODUCT_SET);
    multiply(w->dw_u, w->out_stride, w->model, w->out_stride, transposed(w->w_out, d), w->dread, w->read_stride,
             w->neurons, PRODUCT_CONTINUE);
}

static void inputs_gradient(const ts_transformer_work *w) {
    size_t d = (size_t)w->model_stride, n = (size_t)w->n;
    const float *first = w->dx + n * d, *second = first + d, *last = second + d;
    memcpy(w->dw_e, w->dx, n * d * sizeof(float));
    memcpy(w->dw_pos, first, 2 * d * sizeof(float));
    for (size_t i = 0; i < d; i += LANES) {
        vec g = vsub(vsub(vload(last + i), vload(first + i)), vload(second + i));
        vstore(w->dw_pos + 2 * d + i, g);
        vstore(w->dw_e + n * d + i, g);
    }
}

bool TS_FOR_SET(ts_transformer_gradient)(const ts_transformer_work *w) {
    size_t rows = (size_t)w->n * (size_t)w->heads * (size_t)w->width * sizeof(float);
    float share = 1.0f / (float)w->pairs;
    bool finite = true;
    make_inputs(w);
    make_scores(w);
    make_into(w);
    make_read(w);
    make_values(w);
    finish_head_out(w);
    memset(w->dleft, 0, rows);
    memset(w->dright, 0, rows);
    memset(w->dconstant, 0, (size_t)w->width * sizeof(float));
    memset(w->dscore, 0, (size_t)(w->n + 2) * (size_t)w->heads_stride * sizeof(float));
    memset(w->dread_transposed, 0, (size_t)w->read_stride * (size_t)w->neurons_stride * sizeof(float));
    if (!w->direct)
        memset(w->dw_u, 0, (size_t)w->model * (size_t)w->out_stride * sizeof(float));
    for (int first = 0; first < w->pairs; first += TS_TRANSFORMER_TILE) {
        int count = w->pairs - first < TS_TRANSFORMER_TILE ? w->pairs - first : TS_TRANSFORMER_TILE;
        finite = train_tile(w, first, count, share) && finite;
    }
    finish_gradients(w);
    values_gradient(w);
    scores_gradient(w);
    read_gradient(w);
    inputs_gradient(w);
    return finite;
}
