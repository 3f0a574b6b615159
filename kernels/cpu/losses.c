// Losses of rows of outputs, which are replaced by their gradients; and exponentials by themselves.
#include "cpu/cross_entropy.h"
#include "cpu/kernels.h"
#include "cpu/simd.h"

static bool mse(float *z, int stride, int label, float share) {
    vec sum = vzero(), by = vset(2 * share);
    z[label] -= 1;
    for (int i = 0; i < stride; i += LANES) {
        vec error = vload(z + i);
        sum = vfma(error, error, sum);
        vstore(z + i, vmul(by, error));
    }
    return vsum(sum) < INFINITY;
}

// s(z) = z + 1 for z >= 0, else 1 / (1 - z), with slope min(1, s^2); the gradient at the label is never formed as p
// - 1.
static bool stablemax(float *z, int stride, const float *valid, int label, float share) {
    vec sum = vzero(), one = vset(1);
    for (int i = 0; i < stride; i += LANES) {
        vec x = vload(z + i), below = vsub(vzero(), vmax(vsub(vzero(), x), vzero())); // min(x, 0)
        vec s = vadd(vwhere_positive(x, x), vdiv(one, vsub(one, below)));
        vstore(z + i, i + LANES < stride ? s : vmul(vload(valid), s));
    }
    float own = z[label], own_slope = own < 1 ? own * own : 1;
    z[label] = 0;
    for (int i = 0; i < stride; i += LANES)
        sum = vadd(sum, vload(z + i));
    float others = vsum(sum), scale = share / (own + others);
    for (int i = 0; i < stride; i += LANES) {
        vec s = vload(z + i), slope = vsub(vzero(), vmax(vsub(vzero(), vmul(s, s)), vset(-1)));
        vstore(z + i, vmul(vset(scale), slope));
    }
    z[label] = -own_slope * others / own * scale;
    return others < INFINITY && own > 0 && own < INFINITY;
}

bool TS_FOR_SET(ts_loss)(ts_loss loss, float *z, int rows, int stride, const float *valid, const int *label,
                         float share) {
    bool finite = true;
    for (int r = 0; r < rows; r++) {
        float *row = z + (size_t)r * (size_t)stride;
        bool sound = loss == TS_MSE         ? mse(row, stride, label[r], share)
                     : loss == TS_STABLEMAX ? stablemax(row, stride, valid, label[r], share)
                                            : cross_entropy(row, stride / LANES, valid, label[r], share);
        finite = sound && finite;
    }
    return finite;
}

double TS_FOR_SET(ts_loss_of_squares)(float *z, const float *x, const float *scale, const float *linear,
                                      const double *weight, int rows, int stride) {
    double loss = 0;
    for (int r = 0; r < rows; r++) {
        vec sum = vzero(), by = vset((float)(2 * weight[r]));
        for (int i = 0; i < stride; i += LANES) {
            size_t at = (size_t)r * (size_t)stride + (size_t)i;
            vec error = vsub(vload(z + at), vload(x + at)), scaled = vmul(vload(scale + i), error);
            sum = vfma(scaled, error, sum);
            vec slope = vmul(by, scaled);
            if (linear) {
                sum = vfma(vload(linear + i), vload(z + at), sum);
                slope = vfma(vset((float)weight[r]), vload(linear + i), slope);
            }
            vstore(z + at, slope);
        }
        loss += weight[r] * (double)vsum(sum);
    }
    return loss;
}

void TS_FOR_SET(ts_exponential)(const float *x, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES)
        vstore(out + i, vexp(vload(x + i), vzero()));
}
