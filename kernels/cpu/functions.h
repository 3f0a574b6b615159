// Functions of vectors that networks need beside exp: tanh, and the normal distribution of gelu, to a few ulp.
#pragma once

#include "cpu/simd.h"

// a where c > 0, else b; b finite.
static inline vec vchoose(vec c, vec a, vec b) {
    return vadd(vwhere_positive(c, a), vsub(b, vwhere_positive(c, b)));
}

static inline vec vabsolute(vec x) {
    return vmax(x, vsub(vzero(), x));
}

// Near 0 x + x^3 P(x^2), P fitted on |x| < 0.6; else 1 - 2 / (exp(2 |x|) + 1) with the sign of x.
static inline vec vtanh(vec x) {
    vec size = vabsolute(x), square = vmul(x, x);
    vec p = vset(-6.26930854e-3f);
    p = vfma(p, square, vset(2.11110956e-2f));
    p = vfma(p, square, vset(-5.38739798e-2f));
    p = vfma(p, square, vset(1.33329156e-1f));
    p = vfma(p, square, vset(-3.33333303e-1f));
    vec near = vfma(vmul(p, square), x, x);
    // Beyond 15 it is 1 to the last bit; so no exp overflows. NaN stays NaN by `near`, which is taken then.
    vec inside = vsub(vzero(), vmax(vsub(vzero(), size), vset(-15)));
    vec far = vsub(vset(1), vdiv(vset(2), vadd(vexp(vadd(inside, inside), vzero()), vset(1))));
    far = vsub(vwhere_positive(x, far), vwhere_positive(vsub(vzero(), x), far));
    return vchoose(vsub(vset(0.6f), size), near, far);
}

// Phi(-t) for t >= 0, with the relative accuracy of a few ulp: exp(-t^2 / 2) u P(u) with u = 1 / (1 + t / sqrt(8)), P
// fitted to the scaled complementary error function.
static inline vec vnormal_tail(vec t) {
    vec u = vdiv(vset(1), vfma(t, vset(0.353553391f), vset(1)));
    vec p = vset(3.99759069e-2f);
    p = vfma(p, u, vset(-2.15716404e-1f));
    p = vfma(p, u, vset(4.44766437e-1f));
    p = vfma(p, u, vset(-3.83044273e-1f));
    p = vfma(p, u, vset(6.55626601e-2f));
    p = vfma(p, u, vset(-1.88096519e-2f));
    p = vfma(p, u, vset(7.73044132e-2f));
    p = vfma(p, u, vset(1.79496846e-1f));
    p = vfma(p, u, vset(2.46219232e-1f));
    p = vfma(p, u, vset(2.82152184e-1f));
    p = vfma(p, u, vset(2.82092655e-1f));
    // exp takes what rounding t^2 / 2 left out.
    vec half = vmul(t, vset(-0.5f)), square = vmul(half, t), error = vfma(half, t, vsub(vzero(), square));
    return vmul(vset(0.5f), vmul(vexp(square, error), vmul(u, p)));
}

// Phi(x): the normal distribution.
static inline vec vnormal(vec x) {
    vec tail = vnormal_tail(vabsolute(x));
    return vchoose(x, vsub(vset(1), tail), tail);
}

// Its density.
static inline vec vnormal_density(vec x) {
    return vmul(vset(0.398942280f), vexp(vmul(vmul(x, vset(-0.5f)), x), vzero()));
}
