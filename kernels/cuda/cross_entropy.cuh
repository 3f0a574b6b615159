// The gradient of the cross-entropy with respect to rows of logits, by one warp, for kernels that have the rows in
// shared memory (mlp.cu) or in global memory (step.cu). Accurate at any loss: with E_j = exp(z_j - z_y - m) and S
// the sum over j != y, it is E_j / (E_y + S), and -S / (E_y + S) at y, never p - 1 (docs/workloads.md). m is 0 unless y
// is far behind; where it is so far behind that rounding z_j - z_y matters, the largest z takes the place of z_y + m.
#pragma once

#include "device.h"

namespace {

constexpr unsigned WHOLE_WARP = 0xffffffffu;

// Of several numbers at once, since a shuffle takes much longer than it keeps the processor busy.
template <int N> __device__ __forceinline__ void warp_max(float (&x)[N]) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < N; i++)
            x[i] = fmaxf(x[i], __shfl_xor_sync(WHOLE_WARP, x[i], distance));
    }
}

// The same bits in every lane: each adds the same two numbers.
template <typename T, int N> __device__ __forceinline__ void warp_sum(T (&x)[N]) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < N; i++)
            x[i] += __shfl_xor_sync(WHOLE_WARP, x[i], distance);
    }
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

// ROWS rows, `stride` apart. Columns lane, lane + 32, ... of each (at least 32 PER_LANE floats, or `wide` of them if
// BOUNDED) become the gradient times the row's `share`; those from `count` on become 0. False if a loss is not finite.
template <int PER_LANE, bool BOUNDED, int ROWS>
__device__ __forceinline__ bool cross_entropy_rows(float *first, int stride, int count, int wide,
                                                   const int (&label)[ROWS], const float (&share)[ROWS]) {
    int lane = (int)threadIdx.x % 32;
    float z[ROWS][PER_LANE], target[ROWS], largest[ROWS], others[ROWS] = {}, own[ROWS];
    bool finite = true;
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        const float *row = first + r * stride;
        target[r] = largest[r] = row[label[r]];
#pragma unroll
        for (int i = 0; i < PER_LANE; i++) {
            int j = lane + 32 * i;
            z[r][i] = !BOUNDED || j < count ? row[j] : 0;
            largest[r] = j < count ? fmaxf(largest[r], z[r][i]) : largest[r];
        }
    }
    __syncwarp(); // the label's logit is read by all lanes before its own lane overwrites it
    warp_max(largest);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float ahead = largest[r] - target[r];
        const bool far_behind = ahead > 0x1p22f;
        float m = ahead > 30 && !far_behind ? ahead : 0;
        own[r] = far_behind ? 0 : expf(-m);
        target[r] = far_behind ? largest[r] : target[r];
        finite = finite && ahead < INFINITY; // not for NaN, either
#pragma unroll
        for (int i = 0; i < PER_LANE; i++) {
            int j = lane + 32 * i;
            z[r][i] = j < count && j != label[r] ? exp_difference(z[r][i], target[r], m) : 0;
            others[r] += z[r][i];
        }
    }
    warp_sum(others);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        float scale = share[r] / (own[r] + others[r]);
#pragma unroll
        for (int i = 0; i < PER_LANE; i++) {
            int j = lane + 32 * i;
            if (!BOUNDED || j < wide)
                first[r * stride + j] = (j == label[r] ? -others[r] : z[r][i]) * scale;
        }
        finite = finite && others[r] < INFINITY;
    }
    return finite;
}

} // namespace
