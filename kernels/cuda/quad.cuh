// Four floats at a time, for the kernels of step.h: reading and writing them, what they are made of, where the
// matrices of step.h's operands lie, the warp's stripe of columns, and its lanes' part of a product.
#pragma once

#include "device.h"

#include "step.h"

namespace {

constexpr int STRIPE = 32 * TS_QUAD; // columns that a warp works on at once

// A warp's lanes as 4 rows of 8 columns of a product. Shared memory answers two lanes at once that read the same 16
// bytes if their numbers differ in the lowest bit, or in the next one: rows stay the same where the lowest bit changes,
// columns where the next one does. Rows of 8 neighbouring lanes take twice as long to read columns.
__device__ __forceinline__ int lane_row() {
    int lane = (int)threadIdx.x % 32;
    return (lane >> 1 & 1) + (lane >> 2 & 2);
}
__device__ __forceinline__ int lane_column() {
    int lane = (int)threadIdx.x % 32;
    return (lane & 1) + (lane >> 1 & 2) + (lane >> 2 & 4);
}

__device__ __forceinline__ float4 &quad_at(float *address) {
    return *reinterpret_cast<float4 *>(address);
}
__device__ __forceinline__ const float4 &quad_at(const float *address) {
    return *reinterpret_cast<const float4 *>(address);
}
__device__ __forceinline__ float at(const float4 &quad, int i) {
    return i == 0 ? quad.x : i == 1 ? quad.y : i == 2 ? quad.z : quad.w;
}
__device__ __forceinline__ float4 operator+(const float4 &a, const float4 &b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ __forceinline__ float4 operator-(const float4 &a, const float4 &b) {
    return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

__device__ __forceinline__ void add_scaled(float4 &sum, float by, const float4 &quad) {
    sum.x = by * quad.x + sum.x;
    sum.y = by * quad.y + sum.y;
    sum.z = by * quad.z + sum.z;
    sum.w = by * quad.w + sum.w;
}

// NaN stays NaN, so that a diverged instance shows in its loss.
__device__ __forceinline__ float relu(float x) {
    return x <= 0 ? 0 : x;
}
__device__ __forceinline__ float4 relu(const float4 &x) {
    return make_float4(relu(x.x), relu(x.y), relu(x.z), relu(x.w));
}

// The matrix of an instance's part; writable() of one that a work says is written.
__device__ __forceinline__ const float *matrix(const ts_operand &of, int instance, int part) {
    return of.first + instance * of.instance_step + part * of.part_step;
}
__device__ __forceinline__ float *writable(const ts_operand &of, int instance, int part) {
    return const_cast<float *>(matrix(of, instance, part));
}

// Four numbers of one instance's gradient: `whole` up to `whole_count`, what follows is the sum of `parts`, each
// `length` long, in their order.
__device__ __forceinline__ float4 gradient_quad(const float *whole, int whole_count, const float *partial, int parts,
                                                size_t length, int at) {
    if (at < whole_count)
        return quad_at(whole + at);
    float4 sum = quad_at(partial + (at - whole_count));
    for (int i = 1; i < parts; i++)
        sum = sum + quad_at(partial + (size_t)i * length + (at - whole_count));
    return sum;
}

} // namespace
