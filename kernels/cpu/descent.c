// Gradient descent, with momentum and without, in the operations of PyTorch's SGD: where both have fused multiply-adds,
// with its bits. A velocity that is not finite shows in its parameter.
#include "cpu/kernels.h"
#include "cpu/simd.h"

bool TS_FOR_SET(ts_descent)(float *parameter, const float *gradient, int64_t count, float rate) {
    vec minus_rate = vset(-rate), sound = vzero(); // until a parameter is not finite: then NaN
    for (int64_t i = 0; i < count; i += LANES) {
        vec moved = vfma(minus_rate, vload(gradient + i), vload(parameter + i));
        sound = vfma(moved, vzero(), sound);
        vstore(parameter + i, moved);
    }
    return vall_zero(sound);
}

bool TS_FOR_SET(ts_momentum)(float *parameter, float *velocity, const float *gradient, int64_t count, float keep,
                             float rate) {
    for (int64_t i = 0; i < count; i += LANES)
        vstore(velocity + i, vadd(vmul(vset(keep), vload(velocity + i)), vload(gradient + i)));
    return TS_FOR_SET(ts_descent)(parameter, velocity, count, rate);
}
