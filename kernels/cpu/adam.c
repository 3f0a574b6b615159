#include "cpu/kernels.h"
#include "cpu/simd.h"

void TS_FOR_SET(ts_adam)(float *state, const float *gradient, int64_t count, ts_adam_constants constants) {
    float *first = state + count, *second = first + count;
    vec keep1 = vset(constants.beta1), take1 = vset(constants.take1);
    vec keep2 = vset(constants.beta2), take2 = vset(constants.take2);
    vec decay = vset(constants.decay);
    vec rate = vset(-constants.rate), root = vset(constants.root), epsilon = vset(constants.epsilon);
    for (int64_t i = 0; i < count; i += LANES) {
        vec g = vload(gradient + i);
        vec m = vfma(take1, g, vmul(keep1, vload(first + i)));
        vec v = vfma(vmul(take2, g), g, vmul(keep2, vload(second + i)));
        vstore(first + i, m);
        vstore(second + i, v);
        vec step = vdiv(vmul(rate, m), vfma(vsqrt(v), root, epsilon));
        vstore(state + i, vfma(vload(state + i), decay, step));
    }
}
