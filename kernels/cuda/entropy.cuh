// The gradient of the cross-entropy with respect to one row of logits, by one warp, for kernels that have the row in
// shared memory (mlp.cu) or in global memory (table.cu). Accurate at any loss: with E_j = exp(z_j - z_y - m) and S
// the sum over j != y, it is E_j / (E_y + S), and -S / (E_y + S) at y, never p - 1 (docs/workloads.md).
#pragma once

#include "device.h"

namespace {

constexpr unsigned WHOLE_WARP = 0xffffffffu;

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        x = fmaxf(x, __shfl_xor_sync(WHOLE_WARP, x, distance));
    return x;
}

// The same bits in every lane: each adds the same two numbers.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        x += __shfl_xor_sync(WHOLE_WARP, x, distance);
    return x;
}

// exp(z - target - m), with what rounding the differences left out (Knuth's exact sums): where the loss is 1e-12 they
// are about 30, and rounding them alone would be an error of 2e-6.
__device__ __forceinline__ float exp_difference(float z, float target, float m) {
    float d = z - target, b = d - z;
    float error = (z - (d - b)) - (target + b);
    float x = d - m, c = x - d;
    error += (d - (x - c)) - (m + c);
    float e = expf(x);
    return x < -87.3f ? 0 : e * error + e;
}

// Columns lane, lane + 32, ... of `row` (at least 32 PER_LANE floats, or `wide` of them if BOUNDED) become the gradient
// times `share`; those from `count` on become 0. False if the loss is not finite.
template <int PER_LANE, bool BOUNDED>
__device__ __forceinline__ bool entropy_row(float *row, int count, int wide, int label, float share) {
    int lane = (int)threadIdx.x % 32;
    float z[PER_LANE], target = row[label], largest = target, others = 0;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int j = lane + 32 * i;
        z[i] = !BOUNDED || j < count ? row[j] : 0;
        largest = j < count ? fmaxf(largest, z[i]) : largest;
    }
    __syncwarp(); // the label's logit is read by all lanes before its own lane overwrites it
    float ahead = warp_max(largest) - target, m = ahead > 30 ? ahead : 0;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int j = lane + 32 * i;
        z[i] = j < count && j != label ? exp_difference(z[i], target, m) : 0;
        others += z[i];
    }
    others = warp_sum(others);
    float scale = share / (expf(-m) + others);
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
        int j = lane + 32 * i;
        if (!BOUNDED || j < wide)
            row[j] = (j == label ? -others : z[i]) * scale;
    }
    return others < INFINITY; // false for NaN, too
}

} // namespace
