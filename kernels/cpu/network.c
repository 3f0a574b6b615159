// The operations of a network on rows of float32 (operations.h), forwards and backwards. Each sum runs in an order that
// depends on the shape alone, whatever the number of rows at once. Sums and activations are in activation.h.
#include "cpu/activation.h"
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/rows.h"
#include "cpu/transpose.h"

#include <string.h>

// --- Products ---

static void make_product(const ts_row_operation *op, int rows) {
    const ts_rows *x = &op->in[0], *m = &op->in[1];
    const float *by = op->transposed ? op->matrix_transposed : m->value;
    int by_stride = op->transposed ? op->matrix_stride : m->stride;
    int depth = op->transposed ? m->width : op->matrix_rows, block = op->depth_block > 0 ? op->depth_block : depth;
    for (int k = 0; k < depth; k += block)
        multiply(op->out, op->stride, rows, op->width, plain(x->value + k, x->stride),
                 by + (size_t)k * (size_t)by_stride, by_stride, depth - k < block ? depth - k : block,
                 k > 0      ? PRODUCT_ADD
                 : op->adds ? PRODUCT_CONTINUE
                            : PRODUCT_SET);
}

// dM += x^T dout, dx = dout M^T; transposed: dM += dout^T x, dx = dout M.
static void make_product_back(const ts_row_operation *op, int rows) {
    const ts_rows *x = &op->in[0], *m = &op->in[1];
    const float *by = op->transposed ? m->value : op->matrix_transposed;
    if (op->turned)
        multiply(op->turned, op->matrix_stride, op->width, op->matrix_rows, transposed(op->dout, op->stride), x->value,
                 x->stride, rows, PRODUCT_CONTINUE);
    else if (m->gradient && op->transposed)
        multiply(m->gradient, m->stride, op->matrix_rows, m->width, transposed(op->dout, op->stride), x->value,
                 x->stride, rows, m->set ? PRODUCT_SET : PRODUCT_CONTINUE);
    else if (m->gradient)
        multiply(m->gradient, m->stride, op->matrix_rows, m->width, transposed(x->value, x->stride), op->dout,
                 op->stride, rows, m->set ? PRODUCT_SET : PRODUCT_CONTINUE);
    if (x->gradient) // maybe in the place of x
        multiply(x->gradient, x->stride, rows, x->width, plain(op->dout, op->stride), by,
                 op->transposed ? m->stride : op->matrix_stride, op->width, x->set ? PRODUCT_SET : PRODUCT_ADD);
}

// --- Columns: pads may come to lie in the middle, so these go number by number ---

static void copy_columns(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        float *out = op->out + (size_t)r * (size_t)op->stride;
        int at = 0;
        for (int i = 0; i < op->inputs; i++) {
            int count = op->operation == TS_SLICE ? op->width : op->in[i].width;
            memcpy(out + at, value_at(&op->in[i], r, a, b) + op->first, (size_t)count * sizeof *out);
            at += count;
        }
        memset(out + at, 0, (size_t)(op->stride - at) * sizeof *out);
    }
}

static void copy_columns_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        const float *dout = op->dout + (size_t)r * (size_t)op->stride;
        for (int i = 0, at = 0; i < op->inputs; i++) {
            const ts_rows *in = &op->in[i];
            int count = op->operation == TS_SLICE ? op->width : in->width;
            float *to = gradient_at(in, r, a, b);
            if (to && in->set)
                memset(to, 0, (size_t)in->stride * sizeof *to);
            for (int j = 0; to && j < count; j++)
                to[op->first + j] += dout[at + j];
            at += count;
        }
    }
}

// --- Products by one number a row ---

static void scale_rows(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++)
        add_row(op->out + (size_t)r * (size_t)op->stride, true, value_at(&op->in[0], r, a, b),
                *value_at(&op->in[1], r, a, b), op->stride);
}

static void scale_rows_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        const float *dout = op->dout + (size_t)r * (size_t)op->stride;
        float *factor = gradient_at(&op->in[1], r, a, b);
        add_row(gradient_at(&op->in[0], r, a, b), op->in[0].set, dout, *value_at(&op->in[1], r, a, b), op->stride);
        if (factor)
            enter_one(factor, op->in[1].set, dot(value_at(&op->in[0], r, a, b), dout, op->stride));
    }
}

// --- Layer norm ---

// Columns i .. i + 15 of so many: 1, pads 0.
static inline vec valid_lanes(int i, int width) {
    float lane[LANES];
    for (int j = 0; j < LANES; j++)
        lane[j] = i + j < width ? 1 : 0;
    return vload(lane);
}

// Mean of x, and 1 / sqrt(variance + 1e-5).
static float moments(const ts_row_operation *op, const float *x, float *mean) {
    vec sum = vzero(), squares = vzero();
    for (int i = 0; i < op->stride; i += LANES)
        sum = vadd(sum, vload(x + i));
    *mean = vsum(sum) / (float)op->width;
    for (int i = 0; i < op->stride; i += LANES) {
        vec d = vmul(valid_lanes(i, op->width), vsub(vload(x + i), vset(*mean)));
        squares = vfma(d, d, squares);
    }
    return 1 / sqrtf(vsum(squares) / (float)op->width + 1e-5f);
}

static void normalise(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        const float *x = value_at(&op->in[0], r, a, b);
        const float *gain = value_at(&op->in[1], r, a, b), *bias = value_at(&op->in[2], r, a, b);
        float *out = op->out + (size_t)r * (size_t)op->stride, mean, inverse = moments(op, x, &mean);
        for (int i = 0; i < op->stride; i += LANES) {
            vec u = vmul(vset(inverse), vsub(vload(x + i), vset(mean)));
            vstore(out + i, vfma(vload(gain + i), u, vload(bias + i)));
        }
    }
}

// With u the normalised x and g = gain dout: dx = (g - mean(g) - u mean(g u)) / deviation.
static void normalise_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        const float *x = value_at(&op->in[0], r, a, b), *gain = value_at(&op->in[1], r, a, b);
        const float *dout = op->dout + (size_t)r * (size_t)op->stride;
        float *dx = gradient_at(&op->in[0], r, a, b), *dgain = gradient_at(&op->in[1], r, a, b);
        float mean, inverse = moments(op, x, &mean);
        vec sum = vzero(), moment = vzero(), by = vset(inverse);
        for (int i = 0; i < op->stride; i += LANES) {
            vec g = vmul(vload(gain + i), vload(dout + i)), u = vmul(by, vsub(vload(x + i), vset(mean)));
            sum = vadd(sum, g);
            moment = vfma(g, u, moment);
        }
        vec mean_g = vset(vsum(sum) / (float)op->width), mean_gu = vset(vsum(moment) / (float)op->width);
        for (int i = 0; i < op->stride; i += LANES) {
            vec d = vload(dout + i), u = vmul(by, vsub(vload(x + i), vset(mean)));
            vec g = vsub(vsub(vmul(vload(gain + i), d), mean_g), vmul(u, mean_gu));
            if (dx)
                enter(dx + i, op->in[0].set, vmul(valid_lanes(i, op->width), vmul(by, g)));
            if (dgain)
                enter(dgain + i, op->in[1].set, vmul(u, d));
        }
        add_row(gradient_at(&op->in[2], r, a, b), op->in[2].set, dout, 1, op->stride);
    }
}

// --- Attention ---

static void score(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        float *out = op->out + (size_t)r * (size_t)op->stride;
        vstore(out, vzero());
        *out = op->scale * dot(value_at(&op->in[0], r, a, b), value_at(&op->in[1], r, a, b), op->in[0].stride);
    }
}

static void score_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        float by = op->scale * op->dout[(size_t)r * (size_t)op->stride];
        for (int i = 0; i < 2; i++)
            add_row(gradient_at(&op->in[i], r, a, b), op->in[i].set, value_at(&op->in[1 - i], r, a, b), by,
                    op->in[i].stride);
    }
}

// Where the rows of an input lie that go with up to 16 rows.
static void rows_at(const ts_rows *in, int first, int rows, const int *a, const int *b, size_t *at) {
    for (int r = 0; r < rows; r++)
        at[r] = row_at(in, first + r, a, b);
}

// Softmax over the sources of up to 16 rows, a lane each.
static void softmax(const ts_row_operation *op, int first, int rows, const int *a, const int *b, vec *p) {
    vec largest = vset(-INFINITY), sum = vzero();
    for (int j = 0; j < op->inputs; j++) {
        float lane[LANES] = {0};
        size_t at[LANES];
        rows_at(&op->in[j], first, rows, a, b, at);
        for (int r = 0; r < rows; r++)
            lane[r] = op->in[j].value[at[r]];
        p[j] = vload(lane);
        largest = vmax(largest, p[j]);
    }
    for (int j = 0; j < op->inputs; j++) {
        p[j] = vexp(vsub(p[j], largest), vzero());
        sum = vadd(sum, p[j]);
    }
    for (int j = 0; j < op->inputs; j++)
        p[j] = vdiv(p[j], sum);
}

static void attend(const ts_row_operation *op, int rows, const int *a, const int *b) {
    vec rate = vset(op->scale), rest = vset(1 - op->scale);
    for (int first = 0; first < rows; first += LANES) {
        int count = rows - first < LANES ? rows - first : LANES;
        vec p[TS_MOST_SOURCES];
        float lane[TS_MOST_SOURCES][LANES];
        softmax(op, first, count, a, b, p);
        for (int j = 0; j < op->inputs; j++)
            vstore(lane[j], vfma(rate, p[j], rest));
        for (int r = 0; r < count; r++) {
            float *out = op->out + (size_t)(first + r) * (size_t)op->stride;
            vstore(out, vzero());
            for (int j = 0; j < op->inputs; j++)
                out[j] = lane[j][r];
        }
    }
}

// Number j of up to 16 rows, a lane each.
static vec column(const float *rows, int stride, int count, int j) {
    float lane[LANES] = {0};
    for (int r = 0; r < count; r++)
        lane[r] = rows[(size_t)r * (size_t)stride + (size_t)j];
    return vload(lane);
}

static void attend_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int first = 0; first < rows; first += LANES) {
        int count = rows - first < LANES ? rows - first : LANES;
        size_t row = (size_t)first * (size_t)op->stride;
        vec p[TS_MOST_SOURCES], g[TS_MOST_SOURCES], mean = vzero();
        if (op->scale != 1) // else they are what came out
            softmax(op, first, count, a, b, p);
        for (int j = 0; j < op->inputs; j++) {
            if (op->scale == 1)
                p[j] = column(op->out + row, op->stride, count, j);
            g[j] = column(op->dout + row, op->stride, count, j);
            mean = vfma(p[j], g[j], mean);
        }
        for (int j = 0; j < op->inputs; j++) {
            const ts_rows *in = &op->in[j];
            float lane[LANES];
            size_t at[LANES];
            rows_at(in, first, count, a, b, at);
            vstore(lane, vmul(vset(op->scale), vmul(p[j], vsub(g[j], mean))));
            for (int r = 0; in->gradient && r < count; r++)
                enter_one(in->gradient + at[r], in->set, lane[r]);
        }
    }
}

enum { MIX_WIDE = 4 };

// out (MIX_WIDE vectors or fewer) = or += the sources, by their weights.
INLINE void mix_columns(int sources, const float *const *of, const float *weight, float *out, int i, int wide,
                        bool adds) {
    vec sum[MIX_WIDE];
    for (int v = 0; v < wide; v++)
        sum[v] = adds ? vload(out + i + v * LANES) : vzero();
    for (int j = 0; j < sources; j++) {
        vec by = vset(weight[j]);
        for (int v = 0; v < wide; v++)
            sum[v] = vfma(by, vload(of[j] + i + v * LANES), sum[v]);
    }
    for (int v = 0; v < wide; v++)
        vstore(out + i + v * LANES, sum[v]);
}

// Row r of an operation and of those before it.
static void mix_row(const ts_row_operation *op, int r, const int *a, const int *b) {
    const ts_row_operation *part[TS_MOST_TOGETHER];
    const float *of[TS_MOST_TOGETHER * TS_MOST_SOURCES];
    float *out = op->out + (size_t)r * (size_t)op->stride, weight[TS_MOST_TOGETHER * TS_MOST_SOURCES];
    int parts = 0, sources = 0, i = 0;
    for (; op; op = op->before)
        part[parts++] = op;
    op = part[parts - 1];
    for (int p = parts - 1; p >= 0; p--) {
        const float *at = value_at(&part[p]->in[0], r, a, b);
        for (int j = 1; j < part[p]->inputs; j++) {
            of[sources] = value_at(&part[p]->in[j], r, a, b);
            weight[sources++] = at[j - 1];
        }
    }
    for (; i + MIX_WIDE * LANES <= op->stride; i += MIX_WIDE * LANES)
        mix_columns(sources, of, weight, out, i, MIX_WIDE, op->adds);
    for (; i < op->stride; i += LANES)
        mix_columns(sources, of, weight, out, i, 1, op->adds);
}

static void mix(const ts_row_operation *op, int rows, const int *a, const int *b) {
    for (int r = 0; r < rows; r++) {
        mix_row(op, r, a, b);
        if (op->then)
            activate(op->then, r, r + 1, a, b);
    }
}

// One row's gradient into its sources; of_weight: that of each weight.
static void unmix(const ts_row_operation *op, int r, const int *a, const int *b, const float *weight,
                  float *of_weight) {
    const float *dout = op->dout + (size_t)r * (size_t)op->stride;
    for (int j = 1; j < op->inputs; j++) {
        const ts_rows *in = &op->in[j];
        of_weight[j - 1] = dot(dout, value_at(in, r, a, b), op->stride);
        add_row(gradient_at(in, r, a, b), in->set, dout, weight[j - 1], op->stride);
    }
}

// The same of a row of a table of tokens a and one of tokens b, both of whose gradients are added to.
static void unmix_pair(const ts_row_operation *op, int r, int a, int b, const float *weight, float *of_weight) {
    int stride = op->stride;
    size_t of_a = (size_t)a * (size_t)stride, of_b = (size_t)b * (size_t)stride;
    const float *dout = op->dout + (size_t)r * (size_t)stride;
    const float *left = op->in[1].value + of_a, *right = op->in[2].value + of_b;
    float *dleft = op->in[1].gradient + of_a, *dright = op->in[2].gradient + of_b;
    vec by_a = vset(weight[0]), by_b = vset(weight[1]), sum_a = vzero(), sum_b = vzero();
    for (int i = 0; i < stride; i += LANES) {
        vec d = vload(dout + i);
        sum_a = vfma(d, vload(left + i), sum_a);
        sum_b = vfma(d, vload(right + i), sum_b);
        vstore(dleft + i, vfma(by_a, d, vload(dleft + i)));
        vstore(dright + i, vfma(by_b, d, vload(dright + i)));
    }
    of_weight[0] = vsum(sum_a);
    of_weight[1] = vsum(sum_b);
}

static bool mixes_a_pair(const ts_row_operation *op) {
    const ts_rows *left = &op->in[1], *right = &op->in[2];
    return op->inputs == 3 && left->by == TS_BY_A && right->by == TS_BY_B && left->gradient && right->gradient &&
           !left->set && !right->set;
}

static void mix_back(const ts_row_operation *op, int rows, const int *a, const int *b) {
    const ts_row_operation *part[TS_MOST_TOGETHER];
    bool pair[TS_MOST_TOGETHER];
    int parts = 0;
    for (const ts_row_operation *p = op; p; p = p->before) {
        pair[parts] = mixes_a_pair(p);
        part[parts++] = p;
    }
    for (int r = 0; r < rows; r++) {
        if (op->then)
            activate_back(op->then, r, r + 1, a, b);
        for (int p = 0; p < parts; p++) {
            const ts_rows *by = &part[p]->in[0];
            float *dweight = gradient_at(by, r, a, b), of_weight[TS_MOST_SOURCES];
            const float *weight = value_at(by, r, a, b);
            if (dweight && by->set) // before sources that are the same rows add to them
                memset(dweight, 0, (size_t)by->stride * sizeof *dweight);
            if (pair[p])
                unmix_pair(part[p], r, a[r], b[r], weight, of_weight);
            else
                unmix(part[p], r, a, b, weight, of_weight);
            for (int j = 0; dweight && j < part[p]->inputs - 1; j++)
                dweight[j] += of_weight[j];
        }
    }
}

// --- All of them ---

void TS_FOR_SET(ts_operate)(const ts_row_operation *op, int rows, const int *a, const int *b) {
    switch (op->operation) {
    case TS_PRODUCT:
        make_product(op, rows);
        break;
    case TS_SUM:
    case TS_ACTIVATION:
        activate(op, 0, rows, a, b);
        break;
    case TS_CONCATENATE:
    case TS_SLICE:
        copy_columns(op, rows, a, b);
        break;
    case TS_SCALE:
        scale_rows(op, rows, a, b);
        break;
    case TS_NORMALISE:
        normalise(op, rows, a, b);
        break;
    case TS_SCORE:
        score(op, rows, a, b);
        break;
    case TS_ATTEND:
        attend(op, rows, a, b);
        break;
    case TS_MIX:
        mix(op, rows, a, b);
        break;
    default: // values that lie elsewhere
        break;
    }
}

void TS_FOR_SET(ts_operate_back)(const ts_row_operation *op, int rows, const int *a, const int *b) {
    switch (op->operation) {
    case TS_PRODUCT:
        make_product_back(op, rows);
        break;
    case TS_SUM:
    case TS_ACTIVATION:
        activate_back(op, 0, rows, a, b);
        break;
    case TS_CONCATENATE:
    case TS_SLICE:
        copy_columns_back(op, rows, a, b);
        break;
    case TS_SCALE:
        scale_rows_back(op, rows, a, b);
        break;
    case TS_NORMALISE:
        normalise_back(op, rows, a, b);
        break;
    case TS_SCORE:
        score_back(op, rows, a, b);
        break;
    case TS_ATTEND:
        attend_back(op, rows, a, b);
        break;
    case TS_MIX:
        mix_back(op, rows, a, b);
        break;
    default:
        break;
    }
}

void TS_FOR_SET(ts_transpose)(const float *from, int rows, int row_stride, int columns, float *to, int to_stride) {
    transpose(from, rows, row_stride, columns, to, to_stride);
}
