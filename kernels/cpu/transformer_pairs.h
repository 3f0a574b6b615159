// What a transformer's pairs take of their tokens, and what they give back, tile by tile (transformer.c has the
// formulas). Pairs come in the order of (b / TS_TRANSFORMER_BLOCK, a, b), so that few rows of tokens are in use, and
// several pairs of a tile have a token in common: what they read of it, and add to it, is then in registers. Sums still
// run over pairs in their order.
#pragma once

#include "cpu/cross_entropy.h"
#include "cpu/kernels.h"
#include "cpu/product.h"

// Pairs, heads and vectors of a row at once.
enum {
    PAIRS = VECTOR_REGISTERS >= 32 ? 4 : 2,
    HEADS = VECTOR_REGISTERS >= 32 ? 4 : 2,
    WIDE = VECTOR_REGISTERS >= 32 ? 4 : 2,
};

_Static_assert(PAIRS == (VECTOR_REGISTERS >= 32 ? 4 : 2),
               "mix_vectors and scatter_heads have a case for each number of pairs left");

// Numbers of all heads' rows of a token.
static inline size_t token_stride(const ts_transformer_work *w) {
    return (size_t)w->heads * (size_t)w->width;
}

// Where the attention of pair `slot` of the tile begins, in `attention` and `dattention`: to a (0) or b (1).
static inline size_t attention_at(const ts_transformer_work *w, int slot, int second) {
    return (size_t)(2 * slot + second) * (size_t)w->heads_stride;
}

// How many pairs from the first one on, of `count`, have its token a.
static inline int same_token(const int *a, int count) {
    int n = 1;
    while (n < count && a[n] == a[0])
        n++;
    return n;
}

// --- Forwards ---

// Softmax over the scores of a, b and the last token (0: scores are less its own), heads as lanes.
static inline void attend(const ts_transformer_work *w, int a, int b, float *to_a, float *to_b) {
    size_t stride = (size_t)w->heads_stride;
    const float *left = w->score + (size_t)a * stride, *right = w->score + (size_t)b * stride;
    const float *first = w->score + (size_t)w->n * stride, *second = first + stride;
    for (size_t h = 0; h < stride; h += LANES) {
        vec s_a = vadd(vload(left + h), vload(first + h)), s_b = vadd(vload(right + h), vload(second + h));
        vec largest = vmax(vzero(), vmax(s_a, s_b));
        vec e_a = vexp(vsub(s_a, largest), vzero()), e_b = vexp(vsub(s_b, largest), vzero());
        vec sum = vadd(vadd(e_a, e_b), vexp(vsub(vzero(), largest), vzero()));
        vstore(to_a + h, vdiv(e_a, sum));
        vstore(to_b + h, vdiv(e_b, sum));
    }
}

// What pairs take of the rows of their tokens, from `column` on, goes to `out` (pairs, stride).
typedef struct mixture {
    const int *a, *b; // (pairs)
    int pairs, column;
    float *out;
    size_t stride;
    bool relu;
} mixture;

// `vectors` vectors of `pairs` pairs from place `slot` on, which have the same token a.
INLINE void mix(const ts_transformer_work *w, const mixture *m, int vectors, int slot, int pairs) {
    size_t token = token_stride(w);
    const float *left = w->left + (size_t)m->a[slot] * token + m->column, *right[PAIRS];
    vec sum[PAIRS][WIDE];
    for (int t = 0; t < pairs; t++) {
        right[t] = w->right + (size_t)m->b[slot + t] * token + m->column;
        for (int v = 0; v < vectors; v++)
            sum[t][v] = vload(w->constant + m->column + v * LANES);
    }
    for (int h = 0; h < w->heads; h++) {
        vec of_a[WIDE];
        for (int v = 0; v < vectors; v++)
            of_a[v] = vload(left + h * w->width + v * LANES);
        for (int t = 0; t < pairs; t++) {
            vec by_a = vset(w->attention[attention_at(w, slot + t, 0) + (size_t)h]);
            vec by_b = vset(w->attention[attention_at(w, slot + t, 1) + (size_t)h]);
            for (int v = 0; v < vectors; v++) {
                sum[t][v] = vfma(by_a, of_a[v], sum[t][v]);
                sum[t][v] = vfma(by_b, vload(right[t] + h * w->width + v * LANES), sum[t][v]);
            }
        }
    }
    for (int t = 0; t < pairs; t++) {
        float *out = m->out + (size_t)(slot + t) * m->stride;
        for (int v = 0; v < vectors; v++)
            vstore(out + v * LANES, m->relu ? vwhere_positive(sum[t][v], sum[t][v]) : sum[t][v]);
    }
}

INLINE void mix_vectors(const ts_transformer_work *w, const mixture *m, int vectors) {
    for (int t = 0, pairs; t < m->pairs; t += pairs) {
        pairs = same_token(m->a + t, m->pairs - t < PAIRS ? m->pairs - t : PAIRS);
        switch (pairs) {
        case 2:
            mix(w, m, vectors, t, 2);
            break;
#if defined(TS_KERNELS_AVX512)
        case 3:
            mix(w, m, vectors, t, 3);
            break;
        case 4:
            mix(w, m, vectors, t, 4);
            break;
#endif
        default:
            mix(w, m, vectors, t, 1);
        }
    }
}

// A few columns of all pairs, then the next: those of the tokens in use stay in the first-level cache.
INLINE void mix_columns(const ts_transformer_work *w, mixture m, int end) {
    for (; m.column + WIDE * LANES <= end; m.column += WIDE * LANES, m.out += WIDE * LANES)
        mix_vectors(w, &m, WIDE);
    for (; m.column < end; m.column += LANES, m.out += LANES)
        mix_vectors(w, &m, 1);
}

static void load_tile(const ts_transformer_work *w, const int *a, const int *b, int count) {
    int neurons = w->neurons_stride;
    mixture hidden = {.a = a, .b = b, .pairs = count, .out = w->h, .stride = (size_t)neurons, .relu = true};
    mixture rest = {
        .a = a, .b = b, .pairs = count, .column = neurons, .out = w->mixed + neurons, .stride = (size_t)w->width};
    for (int t = 0; t < count; t++)
        attend(w, a[t], b[t], w->attention + attention_at(w, t, 0), w->attention + attention_at(w, t, 1));
    mix_columns(w, hidden, neurons);
    mix_columns(w, rest, w->width);
}

// --- Backwards ---

// Pairs of the tile that have a token in common, with its rows (heads, width).
typedef struct common {
    const int *slot; // (pairs)
    int pairs;
    const float *row;
    float *drow;
    int of_b; // 0: token a; 1: token b
} common;

// Gradients of the rows of `heads` heads, `vectors` vectors of them from `column` on. The next token's are asked for
// meanwhile, as tokens mostly come one after the other.
INLINE void scatter_columns(const ts_transformer_work *w, const common *c, int head, int heads, int column,
                            int vectors) {
    size_t at = (size_t)head * (size_t)w->width + (size_t)column, soon = at + token_stride(w);
    float *drow = c->drow + at;
    vec sum[HEADS][WIDE];
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++) {
            __builtin_prefetch(c->row + soon + h * w->width + v * LANES);
            __builtin_prefetch(c->drow + soon + h * w->width + v * LANES, 1);
            sum[h][v] = vload(drow + h * w->width + v * LANES);
        }
    for (int t = 0; t < c->pairs; t++) {
        const float *d = w->mixed + (size_t)c->slot[t] * (size_t)w->width + column;
        const float *to = w->attention + attention_at(w, c->slot[t], c->of_b) + head;
        vec g[WIDE];
        for (int v = 0; v < vectors; v++)
            g[v] = vload(d + v * LANES);
        for (int h = 0; h < heads; h++) {
            vec by = vset(to[h]);
            for (int v = 0; v < vectors; v++)
                sum[h][v] = vfma(by, g[v], sum[h][v]);
        }
    }
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++)
            vstore(drow + h * w->width + v * LANES, sum[h][v]);
}

// Gradients of the attention of `heads` heads, of `pairs` pairs from the t-th on. `gates`: before that, the gradients
// of the hidden layer become what they are on the other side of its relu, and all are added to `dconstant`.
INLINE void scatter_attention(const ts_transformer_work *w, const common *c, int head, int heads, int t, int pairs,
                              bool gates) {
    const float *row = c->row + (size_t)head * (size_t)w->width, *hidden[PAIRS];
    float *d[PAIRS];
    vec sum[PAIRS][HEADS];
    for (int p = 0; p < pairs; p++) {
        d[p] = w->mixed + (size_t)c->slot[t + p] * (size_t)w->width;
        hidden[p] = w->h + (size_t)c->slot[t + p] * (size_t)w->neurons_stride;
        for (int h = 0; h < heads; h++)
            sum[p][h] = vzero();
    }
    for (int i = 0; i < w->width; i += LANES) {
        vec of[HEADS], all = gates ? vload(w->dconstant + i) : vzero();
        for (int h = 0; h < heads; h++)
            of[h] = vload(row + h * w->width + i);
        for (int p = 0; p < pairs; p++) {
            vec g = vload(d[p] + i);
            if (gates && i < w->neurons_stride) {
                g = vwhere_positive(vload(hidden[p] + i), g);
                vstore(d[p] + i, g);
            }
            all = vadd(all, g);
            for (int h = 0; h < heads; h++)
                sum[p][h] = vfma(g, of[h], sum[p][h]);
        }
        if (gates)
            vstore(w->dconstant + i, all);
    }
    for (int p = 0; p < pairs; p++) {
        float *dto = w->dattention + attention_at(w, c->slot[t + p], c->of_b) + head;
        for (int h = 0; h < heads; h++)
            dto[h] = vsum(sum[p][h]);
    }
}

INLINE void scatter_heads(const ts_transformer_work *w, const common *c, int head, int heads, bool gates) {
    int i = 0, t = 0;
    for (; t + PAIRS <= c->pairs; t += PAIRS)
        scatter_attention(w, c, head, heads, t, PAIRS, gates);
    switch (c->pairs - t) {
    case 1:
        scatter_attention(w, c, head, heads, t, 1, gates);
        break;
#if defined(TS_KERNELS_AVX512)
    case 2:
        scatter_attention(w, c, head, heads, t, 2, gates);
        break;
    case 3:
        scatter_attention(w, c, head, heads, t, 3, gates);
        break;
#endif
    default:
        break;
    }
    for (; i + WIDE * LANES <= w->width; i += WIDE * LANES)
        scatter_columns(w, c, head, heads, i, WIDE);
    for (; i < w->width; i += LANES)
        scatter_columns(w, c, head, heads, i, 1);
}

// The first heads of tokens a gate, before anything else reads the gradients: tokens b come later.
static void scatter_common(const ts_transformer_work *w, const common *c) {
    bool gates = c->of_b == 0;
    for (int h = 0, heads; h < w->heads; h += heads, gates = false) {
        heads = w->heads - h < HEADS ? 1 : HEADS;
        if (heads == HEADS && gates)
            scatter_heads(w, c, h, HEADS, true);
        else if (heads == HEADS)
            scatter_heads(w, c, h, HEADS, false);
        else if (gates)
            scatter_heads(w, c, h, 1, true);
        else
            scatter_heads(w, c, h, 1, false);
    }
}

// From the gradients of the attention of pairs slot .. slot + count - 1 to those of their scores.
static void attend_back(const ts_transformer_work *w, const int *a, const int *b, int slot, int count) {
    size_t stride = (size_t)w->heads_stride;
    float *first = w->dscore + (size_t)w->n * stride, *second = first + stride;
    for (size_t h = 0; h < stride; h += LANES) {
        vec of_first = vload(first + h), of_second = vload(second + h);
        for (int t = 0; t < count; t++) {
            size_t to_a = attention_at(w, slot + t, 0) + h, to_b = attention_at(w, slot + t, 1) + h;
            float *left = w->dscore + (size_t)a[t] * stride + h, *right = w->dscore + (size_t)b[t] * stride + h;
            vec w_a = vload(w->attention + to_a), w_b = vload(w->attention + to_b);
            vec g_a = vload(w->dattention + to_a), g_b = vload(w->dattention + to_b);
            vec mean = vfma(w_a, g_a, vmul(w_b, g_b));
            vec s_a = vmul(w_a, vsub(g_a, mean)), s_b = vmul(w_b, vsub(g_b, mean));
            vstore(left, vadd(vload(left), s_a));
            vstore(right, vadd(vload(right), s_b));
            of_first = vadd(of_first, s_a);
            of_second = vadd(of_second, s_b);
        }
        vstore(first + h, of_first);
        vstore(second + h, of_second);
    }
}

// Of pairs slot .. slot + count - 1, whose tokens b lie in one block.
static void scatter_block(const ts_transformer_work *w, const int *a, const int *b, int slot, int count) {
    int block = *b - *b % TS_TRANSFORMER_BLOCK, end[TS_TRANSFORMER_BLOCK + 1] = {0}, order[TS_TRANSFORMER_TILE];
    size_t token = token_stride(w);
    for (int t = 0; t < count; t++)
        order[t] = slot + t;
    for (int t = 0, pairs; t < count; t += pairs) {
        size_t at = (size_t)a[t] * token;
        pairs = same_token(a + t, count - t);
        scatter_common(w, &(common){order + t, pairs, w->left + at, w->dleft + at, 0});
    }
    // Sorted by tokens b, those of one in their order: end[i] is where token block + i begins until all are put, and
    // then where it ends.
    for (int t = 0; t < count; t++)
        end[b[t] - block + 1]++;
    for (int i = 0; i < TS_TRANSFORMER_BLOCK; i++)
        end[i + 1] += end[i];
    for (int t = 0; t < count; t++)
        order[end[b[t] - block]++] = slot + t;
    for (int i = 0, t = 0; i < TS_TRANSFORMER_BLOCK; t = end[i++]) {
        size_t at = (size_t)(block + i) * token;
        if (end[i] > t)
            scatter_common(w, &(common){order + t, end[i] - t, w->right + at, w->dright + at, 1});
    }
    attend_back(w, a, b, slot, count);
}

static void scatter_tile(const ts_transformer_work *w, const int *a, const int *b, int count) {
    for (int t = 0, pairs; t < count; t += pairs) {
        for (pairs = 1; t + pairs < count && b[t + pairs] / TS_TRANSFORMER_BLOCK == b[t] / TS_TRANSFORMER_BLOCK;)
            pairs++;
        scatter_block(w, a + t, b + t, t, pairs);
    }
}

// --- Both, with what is between: from the hidden layer to losses, and back ---

// Pairs first .. first + count - 1. False if a loss is not finite.
static bool train_tile(const ts_transformer_work *w, int first, int count, float share) {
    int neurons = w->neurons_stride, read = w->direct ? w->n_out : w->model;
    int logits_stride = w->direct ? w->width : w->out_stride;
    float *rest = w->mixed + neurons, *logits = w->direct ? rest : w->logits;
    bool finite = true;
    load_tile(w, w->a + first, w->b + first, count);
    multiply(rest, w->width, count, read, plain(w->h, neurons), w->read, w->read_stride, w->neurons, PRODUCT_CONTINUE);
    if (!w->direct)
        multiply(logits, logits_stride, count, w->n_out, plain(rest, w->width), w->w_u, w->out_stride, w->model,
                 PRODUCT_SET);
    for (int t = 0; t < count; t++)
        finite = cross_entropy(logits + (size_t)t * (size_t)logits_stride, w->out_stride / LANES, w->valid,
                               w->label[first + t], share) &&
                 finite;
    if (!w->direct) {
        multiply(w->dw_u, w->out_stride, w->model, w->n_out, transposed(rest, w->width), logits, logits_stride, count,
                 PRODUCT_CONTINUE);
        multiply(rest, w->width, count, w->model_stride, plain(logits, logits_stride), w->w_u_transposed,
                 w->model_stride, w->n_out, PRODUCT_SET);
    }
    multiply(w->mixed, w->width, count, neurons, plain(rest, w->width), w->read_transposed, neurons, read, PRODUCT_SET);
    multiply(w->dread_transposed, neurons, read, neurons, transposed(rest, w->width), w->h, neurons, count,
             PRODUCT_CONTINUE);
    scatter_tile(w, w->a + first, w->b + first, count);
    return finite;
}
