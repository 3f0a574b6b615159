// The multilayer perceptron's gradient on a table task. Since the first layer is linear in each embedding,
// [W_x[a], W_y[b]] W = left[a] + right[b] with two small products; what is left per pair goes tile by tile
// through the cache:
//     h = relu(left[a] + right[b])  ->  z = h W_U  ->  dz (cross-entropy)  ->  dh = dz W_U^T [h > 0]
//     dW_U += h^T dz;  dleft[a] += dh;  dright[b] += dh
// and back: dW_x = dleft W[:e]^T, dW[:e] = W_x^T dleft, and the same on the right.
#include "cpu/cross_entropy.h"
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/transpose.h"

#include <string.h>

// Terms of the first layer's sums are added up in blocks of this many, which rounds less than one long chain does, and
// as PyTorch does it where rounding decides on which side of its kink a unit of the published S5 run begins.
enum { EMBED_BLOCK = 64 };

// left = W_x W[:embed], right = W_y W[embed:].
static void embed(const ts_mlp_work *w) {
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < w->embed; k += EMBED_BLOCK) {
            product p = {
                .a = (side ? w->w_y : w->w_x) + k,
                .row_step = (size_t)w->embed_stride,
                .depth_step = 1,
                .b = w->w + (size_t)(side * w->embed + k) * (size_t)w->hidden_stride,
                .b_stride = (size_t)w->hidden_stride,
                .c = side ? w->right : w->left,
                .c_stride = (size_t)w->hidden_stride,
                .rows = w->n,
                .vectors = w->hidden_stride / LANES,
                .depth = w->embed - k < EMBED_BLOCK ? w->embed - k : EMBED_BLOCK,
                .into = k == 0 ? PRODUCT_SET : PRODUCT_ADD,
            };
            multiply(&p);
        }
}

static void load_tile(const ts_mlp_work *w, int first, int count) {
    size_t stride = (size_t)w->hidden_stride;
    for (int t = 0; t < count; t++) {
        const float *left = w->left + (size_t)w->a[first + t] * stride;
        const float *right = w->right + (size_t)w->b[first + t] * stride;
        float *h = w->h + (size_t)t * stride;
        for (size_t k = 0; k < stride; k += LANES) {
            vec z = vadd(vload(left + k), vload(right + k));
            vstore(h + k, vwhere_positive(z, z));
        }
    }
}

static void scatter_tile(const ts_mlp_work *w, int first, int count) {
    size_t stride = (size_t)w->hidden_stride;
    for (int t = 0; t < count; t++) {
        const float *h = w->h + (size_t)t * stride, *dh = w->dh + (size_t)t * stride;
        float *left = w->dleft + (size_t)w->a[first + t] * stride;
        float *right = w->dright + (size_t)w->b[first + t] * stride;
        for (size_t k = 0; k < stride; k += LANES) {
            vec d = vwhere_positive(vload(h + k), vload(dh + k));
            vstore(left + k, vadd(vload(left + k), d));
            vstore(right + k, vadd(vload(right + k), d));
        }
    }
}

static bool train_tile(const ts_mlp_work *w, int first, int count, float share) {
    size_t hidden_stride = (size_t)w->hidden_stride, out_stride = (size_t)w->out_stride;
    bool finite = true;
    load_tile(w, first, count);
    product logits = {
        .a = w->h,
        .row_step = hidden_stride,
        .depth_step = 1,
        .b = w->w_u,
        .b_stride = out_stride,
        .c = w->logits,
        .c_stride = out_stride,
        .rows = count,
        .vectors = w->out_stride / LANES,
        .depth = w->hidden,
    };
    multiply(&logits);
    for (int t = 0; t < count; t++)
        finite = cross_entropy(w->logits + (size_t)t * out_stride, w->out_stride / LANES, w->valid, w->label[first + t],
                               share) &&
                 finite;
    product dh = {
        .a = w->logits,
        .row_step = out_stride,
        .depth_step = 1,
        .b = w->w_u_transposed,
        .b_stride = hidden_stride,
        .c = w->dh,
        .c_stride = hidden_stride,
        .rows = count,
        .vectors = w->hidden_stride / LANES,
        .depth = w->n_out,
    };
    multiply(&dh);
    product dw_u = {
        .a = w->h,
        .row_step = 1,
        .depth_step = hidden_stride,
        .b = w->logits,
        .b_stride = out_stride,
        .c = w->dw_u,
        .c_stride = out_stride,
        .rows = w->hidden,
        .vectors = w->out_stride / LANES,
        .depth = count,
        .into = PRODUCT_CONTINUE,
    };
    multiply(&dw_u);
    scatter_tile(w, first, count);
    return finite;
}

// dW_x, dW_y and dW from dleft and dright.
static void embed_gradient(const ts_mlp_work *w) {
    size_t embed_stride = (size_t)w->embed_stride, hidden_stride = (size_t)w->hidden_stride;
    for (int side = 0; side < 2; side++) {
        const float *d = side ? w->dright : w->dleft;
        product embedding = {
            .a = d,
            .row_step = hidden_stride,
            .depth_step = 1,
            .b = w->w_transposed + (size_t)side * embed_stride,
            .b_stride = 2 * embed_stride,
            .c = side ? w->dw_y : w->dw_x,
            .c_stride = embed_stride,
            .rows = w->n,
            .vectors = w->embed_stride / LANES,
            .depth = w->hidden,
        };
        multiply(&embedding);
        product weights = {
            .a = side ? w->w_y : w->w_x,
            .row_step = 1,
            .depth_step = embed_stride,
            .b = d,
            .b_stride = hidden_stride,
            .c = w->dw + (size_t)side * (size_t)w->embed * hidden_stride,
            .c_stride = hidden_stride,
            .rows = w->embed,
            .vectors = w->hidden_stride / LANES,
            .depth = w->n,
        };
        multiply(&weights);
    }
}

bool TS_FOR_SET(ts_mlp_gradient)(const ts_mlp_work *w) {
    size_t tokens = (size_t)w->n * (size_t)w->hidden_stride * sizeof(float);
    bool finite = true;
    float share = 1.0f / (float)w->all_pairs;
    embed(w);
    transpose(w->w_u, w->hidden, w->out_stride, w->out_stride, w->w_u_transposed, w->hidden_stride);
    for (int side = 0; side < 2; side++)
        transpose(w->w + (size_t)side * (size_t)w->embed * (size_t)w->hidden_stride, w->embed, w->hidden_stride,
                  w->hidden_stride, w->w_transposed + side * w->embed_stride, 2 * w->embed_stride);
    memset(w->dleft, 0, tokens);
    memset(w->dright, 0, tokens);
    memset(w->dw_u, 0, (size_t)w->hidden * (size_t)w->out_stride * sizeof(float));
    for (int first = 0; first < w->pairs; first += TS_MLP_TILE) {
        int count = w->pairs - first < TS_MLP_TILE ? w->pairs - first : TS_MLP_TILE;
        finite = train_tile(w, first, count, share) && finite;
    }
    embed_gradient(w);
    return finite;
}

void TS_FOR_SET(ts_exponential)(const float *x, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES)
        vstore(out + i, vexp(vload(x + i), vzero()));
}
