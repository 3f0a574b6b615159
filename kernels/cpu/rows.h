// Rows that an operation of a network reads, and their gradients (ts_rows).
#pragma once

#include "cpu/kernels.h"
#include "cpu/simd.h"

#include <stddef.h>

// Which row of an input goes with row r of the operation.
static inline size_t row_at(const ts_rows *in, int r, const int *a, const int *b) {
    size_t stride = (size_t)in->stride;
    switch (in->by) {
    case TS_BY_A:
        return (size_t)a[r] * stride;
    case TS_BY_B:
        return (size_t)b[r] * stride;
    case TS_THE_ONLY:
        return 0;
    default:
        return (size_t)r * stride;
    }
}

static inline const float *value_at(const ts_rows *in, int r, const int *a, const int *b) {
    return in->value + row_at(in, r, a, b);
}

// NULL: not wanted.
static inline float *gradient_at(const ts_rows *in, int r, const int *a, const int *b) {
    return in->gradient ? in->gradient + row_at(in, r, a, b) : NULL;
}

// What has been found of a vector of gradients goes in.
INLINE void enter(float *to, bool set, vec found) {
    vstore(to, set ? found : vadd(vload(to), found));
}

// The same of the one number of a row of one. Others may add whole vectors to it, so pads are written, too: NaN that a
// diverged instance left there would stay.
static inline void enter_one(float *to, bool set, float found) {
    if (set)
        vstore(to, vzero());
    *to = set ? found : *to + found;
}

// scale `from` goes into the row `to`, as enter does; NULL: it is not wanted.
static inline void add_row(float *to, bool set, const float *from, float scale, int stride) {
    vec by = vset(scale);
    if (!to)
        return;
    for (int i = 0; i < stride; i += LANES)
        vstore(to + i, set ? vmul(by, vload(from + i)) : vfma(by, vload(from + i), vload(to + i)));
}

// Of two rows, pads included.
static inline float dot(const float *x, const float *y, int stride) {
    vec sum = vzero();
    for (int i = 0; i < stride; i += LANES)
        sum = vfma(vload(x + i), vload(y + i), sum);
    return vsum(sum);
}
