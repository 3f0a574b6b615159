// Adam of one number, rounded as kernels/cpu/adam.c rounds it: a moment that is not finite shows in its parameter.
#pragma once

#include "device.h"

#include "optimiser.h"

namespace {

__device__ __forceinline__ void adam_number(const ts_adam_betas &betas, const ts_adam_rates &rates, float gradient,
                                            float &parameter, float &first, float &second) {
    first = fmaf(betas.take1, gradient, betas.beta1 * first);
    second = fmaf(betas.take2 * gradient, gradient, betas.beta2 * second);
    float deviation = sqrtf(second), quotient = deviation * rates.inverse;
    quotient = fmaf(fmaf(-rates.root, quotient, deviation), rates.inverse, quotient);
    float decayed = __fmul_rn(parameter, rates.decay); // not to be fused with the sum
    parameter = decayed + -rates.rate * first / (quotient + TS_ADAM_EPSILON);
}

__device__ __forceinline__ void adam_quad(const ts_adam_betas &betas, const ts_adam_rates &rates,
                                          const float4 &gradient, float4 &parameter, float4 &first, float4 &second) {
    adam_number(betas, rates, gradient.x, parameter.x, first.x, second.x);
    adam_number(betas, rates, gradient.y, parameter.y, first.y, second.y);
    adam_number(betas, rates, gradient.z, parameter.z, first.z, second.z);
    adam_number(betas, rates, gradient.w, parameter.w, first.w, second.w);
}

// Of a column w with |w|^2 = square, where decay is above 1 (ts_growth_factor).
__device__ __forceinline__ float growth_factor(float decay, float square) {
    return fmaf(decay - 1, 1 / (sqrtf(square) + 1e-8F) - 1, 1);
}

__device__ __forceinline__ bool finite_quad(const float4 &x) {
    return fmaf(x.x, 0, fmaf(x.y, 0, fmaf(x.z, 0, x.w * 0))) == 0;
}

} // namespace
