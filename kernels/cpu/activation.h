// Sums and activations of rows: f(x + scale y). Sums are activations of the identity.
#pragma once

#include "cpu/functions.h"
#include "cpu/rows.h"

INLINE vec activated(ts_activation activation, vec x) {
    switch (activation) {
    case TS_RELU:
        return vwhere_positive(x, x);
    case TS_SQUARE:
        return vmul(x, x);
    case TS_CUBE:
        return vmul(vmul(x, x), x);
    case TS_ABSOLUTE:
        return vmax(x, vsub(vzero(), x));
    case TS_GELU:
        return vmul(x, vnormal(x));
    case TS_TANH:
        return vtanh(x);
    default:
        return x;
    }
}

INLINE vec slope_times(ts_activation activation, vec x, vec d) {
    switch (activation) {
    case TS_RELU:
        return vwhere_positive(x, d);
    case TS_SQUARE:
        return vmul(vadd(x, x), d);
    case TS_CUBE:
        return vmul(vmul(vset(3), vmul(x, x)), d);
    case TS_ABSOLUTE:
        return vsub(vwhere_positive(x, d), vwhere_positive(vsub(vzero(), x), d));
    case TS_GELU:
        return vmul(vfma(x, vnormal_density(x), vnormal(x)), d);
    case TS_TANH: {
        vec y = vtanh(x);
        return vmul(vsub(vset(1), vmul(y, y)), d);
    }
    default:
        return d;
    }
}

// --- Of x and y by row, or of x alone ---

INLINE void activate_row(const ts_row_operation *op, int r, const int *a, const int *b, ts_activation activation) {
    const float *x = value_at(&op->in[0], r, a, b), *y = op->inputs > 1 ? value_at(&op->in[1], r, a, b) : NULL;
    float *out = op->out + (size_t)r * (size_t)op->stride;
    vec scale = vset(op->scale);
    for (int i = 0; i < op->stride; i += LANES) {
        vec z = y ? vfma(scale, vload(y + i), vload(x + i)) : vload(x + i);
        vstore(out + i, activated(activation, z));
    }
}

INLINE void activate_row_back(const ts_row_operation *op, int r, const int *a, const int *b, ts_activation activation) {
    const ts_rows *of_x = &op->in[0], *of_y = &op->in[1];
    const float *x = value_at(of_x, r, a, b), *y = op->inputs > 1 ? value_at(of_y, r, a, b) : NULL;
    const float *dout = op->dout + (size_t)r * (size_t)op->stride;
    float *dx = gradient_at(of_x, r, a, b), *dy = y ? gradient_at(of_y, r, a, b) : NULL;
    bool set_x = of_x->set, set_y = of_y->set;
    vec scale = vset(op->scale);
    for (int i = 0; i < op->stride; i += LANES) {
        vec z = y ? vfma(scale, vload(y + i), vload(x + i)) : vload(x + i);
        vec d = slope_times(activation, z, vload(dout + i));
        if (dx)
            enter(dx + i, set_x, d);
        if (dy)
            enter(dy + i, set_y, vmul(scale, d));
    }
}

// --- Of x by token a and y by token b: rows one after the other that have the same a share its part in registers ---

enum { ACTIVATED_WIDE = VECTOR_REGISTERS >= 32 ? 4 : 1 };

static inline bool is_of_tokens(const ts_row_operation *op) {
    return op->inputs == 2 && op->in[0].by == TS_BY_A && op->in[1].by == TS_BY_B;
}

// Are both gradients wanted, and added to?
static inline bool goes_back_to_tokens(const ts_row_operation *op) {
    const ts_rows *x = &op->in[0], *y = &op->in[1];
    return is_of_tokens(op) && x->gradient && y->gradient && !x->set && !y->set;
}

// Are the rows of the two gradients others? Both tables may be one, or rows of one.
static inline bool are_apart(const ts_row_operation *op, int a, int b) {
    size_t stride = (size_t)op->stride;
    return op->in[0].gradient + (size_t)a * stride != op->in[1].gradient + (size_t)b * stride;
}

INLINE void activate_columns(const ts_row_operation *op, int first, int end, const int *a, const int *b, int column,
                             int wide, ts_activation activation) {
    size_t stride = (size_t)op->stride, row_a = (size_t)a[first] * stride + (size_t)column;
    vec scale = vset(op->scale), x[ACTIVATED_WIDE];
    for (int v = 0; v < wide; v++)
        x[v] = vload(op->in[0].value + row_a + v * LANES);
    for (int r = first; r < end; r++) {
        const float *y = op->in[1].value + (size_t)b[r] * stride + column;
        float *out = op->out + (size_t)r * stride + column;
        for (int v = 0; v < wide; v++)
            vstore(out + v * LANES, activated(activation, vfma(scale, vload(y + v * LANES), x[v])));
    }
}

INLINE void activate_columns_back(const ts_row_operation *op, int first, int end, const int *a, const int *b,
                                  int column, int wide, ts_activation activation) {
    size_t stride = (size_t)op->stride, row_a = (size_t)a[first] * stride + (size_t)column;
    vec scale = vset(op->scale), x[ACTIVATED_WIDE], dx[ACTIVATED_WIDE];
    for (int v = 0; v < wide; v++) {
        x[v] = vload(op->in[0].value + row_a + v * LANES);
        dx[v] = vload(op->in[0].gradient + row_a + v * LANES);
    }
    for (int r = first; r < end; r++) {
        size_t row_b = (size_t)b[r] * stride + (size_t)column;
        const float *y = op->in[1].value + row_b, *dout = op->dout + (size_t)r * stride + column;
        float *dy = op->in[1].gradient + row_b;
        for (int v = 0; v < wide; v++) {
            vec z = vfma(scale, vload(y + v * LANES), x[v]);
            vec d = slope_times(activation, z, vload(dout + v * LANES));
            dx[v] = vadd(dx[v], d);
            enter(dy + v * LANES, false, vmul(scale, d));
        }
    }
    for (int v = 0; v < wide; v++)
        vstore(op->in[0].gradient + row_a + v * LANES, dx[v]);
}

INLINE void activate_vectors(const ts_row_operation *op, int first, int end, const int *a, const int *b, bool back,
                             int column, int wide, ts_activation activation) {
    if (back)
        activate_columns_back(op, first, end, a, b, column, wide, activation);
    else
        activate_columns(op, first, end, a, b, column, wide, activation);
}

INLINE void activate_run(const ts_row_operation *op, int first, int end, const int *a, const int *b, bool back,
                         ts_activation activation) {
    int i = 0;
    for (; i + ACTIVATED_WIDE * LANES <= op->stride; i += ACTIVATED_WIDE * LANES)
        activate_vectors(op, first, end, a, b, back, i, ACTIVATED_WIDE, activation);
    for (; i < op->stride; i += LANES)
        activate_vectors(op, first, end, a, b, back, i, 1, activation);
}

// --- All of them ---

INLINE void activate_rows(const ts_row_operation *op, int first, int end, const int *a, const int *b, bool back,
                          ts_activation activation) {
    if (back ? !goes_back_to_tokens(op) : !is_of_tokens(op)) {
        for (int r = first; r < end; r++)
            if (back)
                activate_row_back(op, r, a, b, activation);
            else
                activate_row(op, r, a, b, activation);
        return;
    }
    for (int r = first, next; r < end; r = next) {
        next = r;
        while (next < end && a[next] == a[r] && (!back || are_apart(op, a[next], b[next])))
            next++;
        if (next > r)
            activate_run(op, r, next, a, b, back, activation);
        else // only on the way back
            activate_row_back(op, next++, a, b, activation);
    }
}

// A loop for each activation, so that none is chosen per vector.
INLINE void activate_each(const ts_row_operation *op, int first, int end, const int *a, const int *b, bool back) {
    switch (op->activation) {
    case TS_RELU:
        activate_rows(op, first, end, a, b, back, TS_RELU);
        break;
    case TS_SQUARE:
        activate_rows(op, first, end, a, b, back, TS_SQUARE);
        break;
    case TS_CUBE:
        activate_rows(op, first, end, a, b, back, TS_CUBE);
        break;
    case TS_ABSOLUTE:
        activate_rows(op, first, end, a, b, back, TS_ABSOLUTE);
        break;
    case TS_GELU:
        activate_rows(op, first, end, a, b, back, TS_GELU);
        break;
    case TS_TANH:
        activate_rows(op, first, end, a, b, back, TS_TANH);
        break;
    default:
        activate_rows(op, first, end, a, b, back, TS_IDENTITY);
    }
}

// Rows first .. end - 1.
static void activate(const ts_row_operation *op, int first, int end, const int *a, const int *b) {
    activate_each(op, first, end, a, b, false);
}

static void activate_back(const ts_row_operation *op, int first, int end, const int *a, const int *b) {
    activate_each(op, first, end, a, b, true);
}
