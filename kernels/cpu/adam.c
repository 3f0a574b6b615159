// Adam and AdamW with PyTorch's bits (those of its 1.x releases on a processor): two fused multiply-adds for the
// moments, a division by `root`, and a decayed parameter that is rounded before the step is added. (Only a second
// moment that overflows makes the parameter NaN here, where PyTorch's step is 0.) So a moment that is not finite shows
// in its parameter: the first one is an average of gradients, and not finite only with the second one.
#include "cpu/kernels.h"
#include "cpu/simd.h"

bool TS_FOR_SET(ts_adam)(float *state, int64_t apart, const float *gradient, int64_t count, ts_adam_betas betas,
                         ts_adam_rates rates) {
    float *first = state + apart, *second = first + apart;
    vec keep1 = vset(betas.beta1), take1 = vset(betas.take1);
    vec keep2 = vset(betas.beta2), take2 = vset(betas.take2);
    vec minus_rate = vset(-rates.rate), decay = vset(rates.decay), epsilon = vset(TS_ADAM_EPSILON);
    vec minus_root = vset(-rates.root), inverse = vset(rates.inverse);
    vec sound = vzero(); // until a parameter is not finite: then NaN
    for (int64_t i = 0; i < count; i += LANES) {
        vec g = vload(gradient + i);
        vec m = vfma(take1, g, vmul(keep1, vload(first + i)));
        vec v = vfma(vmul(take2, g), g, vmul(keep2, vload(second + i)));
        vstore(first + i, m);
        vstore(second + i, v);
        vec deviation = vsqrt(v), quotient = vmul(deviation, inverse);
        quotient = vfma(vfma(minus_root, quotient, deviation), inverse, quotient); // rounded once (Markstein 1990)
        vec step = vdiv(vmul(minus_rate, m), vadd(quotient, epsilon));
        vec parameter = vadd(vmul(vload(state + i), decay), step);
        sound = vfma(parameter, vzero(), sound);
        vstore(state + i, parameter);
    }
    return vall_zero(sound);
}
