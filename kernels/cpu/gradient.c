// What becomes of a gradient before an optimiser's kernel sees it. Sums are of exact products in double precision, 16
// of them side by side, so that they have the same bits with every instruction set.
#include "cpu/kernels.h"
#include "cpu/simd.h"

void TS_FOR_SET(ts_grokfast)(float *gradient, float *average, int64_t count, bool first, float keep, float take,
                             float lambda) {
    for (int64_t i = 0; i < count; i += LANES) {
        vec g = vload(gradient + i);
        vec h = first ? g : vfma(vset(take), g, vmul(vset(keep), vload(average + i)));
        vstore(average + i, h);
        vstore(gradient + i, vfma(vset(lambda), h, g));
    }
}

void TS_FOR_SET(ts_add_scaled)(float *to, float scale, const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES)
        vstore(to + i, vfma(vset(scale), vload(from + i), vload(to + i)));
}

double TS_FOR_SET(ts_dot)(const float *a, const float *b, int64_t count) {
    double lane[LANES] = {0};
    for (int64_t i = 0; i < count; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)a[i + l] * (double)b[i + l];
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lane[l] += lane[l + width];
    return lane[0];
}

void TS_FOR_SET(ts_orthograd)(float *gradient, const float *weights, int64_t count) {
    double square = TS_FOR_SET(ts_dot)(gradient, gradient, count);
    double along = TS_FOR_SET(ts_dot)(weights, gradient, count) /
                   (TS_FOR_SET(ts_dot)(weights, weights, count) + TS_ORTHOGRAD_EPSILON);
    TS_FOR_SET(ts_add_scaled)(gradient, (float)-along, weights, count);
    double left = sqrt(TS_FOR_SET(ts_dot)(gradient, gradient, count));
    vec scale = vset((float)(sqrt(square) / (left + TS_ORTHOGRAD_EPSILON)));
    for (int64_t i = 0; i < count; i += LANES)
        vstore(gradient + i, vmul(scale, vload(gradient + i)));
}
