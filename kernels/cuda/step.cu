// Kernels of a step that stream through memory once: the cross-entropy's gradient, sums over the pairs of a
// token. Each thread works on 16 bytes at a time; every sum has one order, whatever else is on the device.
#include "device.h"

#include "cross_entropy.cuh"
#include "quad.cuh"
#include "step.h"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, ROWS_PER_WARP = 4;

// Grid: blocks of rows, instances. A warp a row.
template <int PER_LANE> __global__ void __launch_bounds__(THREADS) cross_entropy(const ts_cross_entropy_work w) {
    int instance = (int)blockIdx.y;
    if (w.stopped[instance])
        return;
    int first = ((int)blockIdx.x * WARPS + (int)threadIdx.x / 32) * ROWS_PER_WARP;
    float *logits = writable(w.logits, instance, 0);
    bool finite = true;
    for (int p = first; p < min(first + ROWS_PER_WARP, w.pairs); p++) {
        const int label[] = {w.label[(size_t)instance * (size_t)w.pairs + (size_t)p]};
        const float share[] = {w.share};
        finite = cross_entropy_rows<PER_LANE, true>(logits + (size_t)p * (size_t)w.logits.stride, 0, w.n_out,
                                                    TS_QUAD_PAD(w.n_out), label, share) &&
                 finite;
    }
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + (int)blockIdx.x] = bad;
}

// A block's warps: as many across the columns as there are, up to WARPS; groups of them share a token's pairs.
struct segment_block {
    int across, groups;
};
__host__ __device__ __forceinline__ segment_block segment_block_of(int columns) {
    int stripes = (columns + STRIPE - 1) / STRIPE, across = stripes < WARPS ? stripes : WARPS;
    return {across, WARPS / across};
}

// Sums of one token's pairs in a block: HEADS of the weights', from `first_head`, and the one without weights.
template <int HEADS> struct segment {
    static constexpr int slots = HEADS ? HEADS + 1 : 1;
    int token, side, instance, first_head;

    __device__ __forceinline__ void add(const ts_segment_work &w, int pair, int column, float4 (&sum)[slots]) const {
        float4 row = quad_at(matrix(w.rows, instance, side) + (size_t)pair * (size_t)w.rows.stride + column);
        sum[slots - 1] = sum[slots - 1] + row;
        if (HEADS == 0)
            return;
        const float *weights = matrix(w.weights, instance, side) + first_head;
        float4 weight = quad_at(weights + (size_t)pair * (size_t)w.weights.stride);
#pragma unroll
        for (int i = 0; i < HEADS; i++)
            add_scaled(sum[i], at(weight, i), row);
    }

    __device__ __forceinline__ void write(const ts_segment_work &w, int slot, int column, const float4 &sum) const {
        int head = HEADS ? first_head + slot : slot;
        float *out = writable(w.out, instance, side);
        size_t row = (size_t)instance * (size_t)w.tokens + (size_t)token;
        if (slot == HEADS && HEADS) {
            if (w.plain && side == 0 && first_head == 0)
                quad_at(w.plain + row * (size_t)w.columns + column) = sum;
        } else if (head < w.heads) {
            quad_at(out + (size_t)token * (size_t)w.out.stride + (size_t)head * (size_t)w.columns + column) = sum;
        }
    }
};

// Grid: tokens of (instances, HEADS of the weights), sides. Where several groups of warps share the pairs, each sums
// every so many-th, then their sums are added in order.
template <int HEADS> __global__ void __launch_bounds__(THREADS) segments(const ts_segment_work w) {
    using own = segment<HEADS>;
    int many = HEADS ? (w.heads + HEADS - 1) / HEADS : 1, at = (int)blockIdx.x / w.tokens;
    own s = {(int)blockIdx.x % w.tokens, (int)blockIdx.y, at / many, at % many * HEADS};
    if (w.stopped[s.instance])
        return;
    DYN_SHARED(float, shared); // (groups, slots, columns)
    segment_block block = segment_block_of(w.columns);
    int list = s.instance * 2 + s.side, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const int *begin = w.begin + (size_t)list * (size_t)(w.tokens + 1) + s.token;
    const int *order = w.order + (size_t)list * (size_t)w.pairs;
    int from = begin[0], to = begin[1], group = warp / block.across;
    for (int c = warp % block.across * STRIPE + lane * TS_QUAD; c < w.columns; c += block.across * STRIPE) {
        float4 sum[own::slots] = {};
#pragma unroll 4
        for (int i = from + group; i < to; i += block.groups)
            s.add(w, order[i], c, sum);
#pragma unroll
        for (int slot = 0; slot < own::slots; slot++)
            if (block.groups == 1)
                s.write(w, slot, c, sum[slot]);
            else
                quad_at(shared + (group * own::slots + slot) * w.columns + c) = sum[slot];
    }
    if (block.groups == 1)
        return;
    __syncthreads();
    for (int i = (int)threadIdx.x * TS_QUAD; i < own::slots * w.columns; i += (int)blockDim.x * TS_QUAD) {
        float4 sum = quad_at(shared + i);
        for (int g = 1; g < block.groups; g++)
            sum = sum + quad_at(shared + g * own::slots * w.columns + i);
        s.write(w, i / w.columns, i % w.columns, sum);
    }
}

// Grid: stripes of columns of (instances, parts). Each warp sums every WARPS-th row, then their sums are added in
// order.
__global__ void __launch_bounds__(THREADS) sum_rows(const ts_sum_work w) {
    int stripes = (w.columns + STRIPE - 1) / STRIPE, at = (int)blockIdx.x / stripes;
    int instance = at / w.parts, part = at % w.parts;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared); // (WARPS, STRIPE)
    int warp = (int)threadIdx.x / 32, own = (int)threadIdx.x % 32 * TS_QUAD;
    int column = (int)blockIdx.x % stripes * STRIPE + own;
    const float *a = matrix(w.a, instance, part) + column;
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
    for (int r = warp; r < w.rows && column < w.columns; r += WARPS)
        sum = sum + quad_at(a + (size_t)r * (size_t)w.a.stride);
    quad_at(shared + warp * STRIPE + own) = sum;
    __syncthreads();
    if (warp > 0 || column >= w.columns)
        return;
    for (int i = 1; i < WARPS; i++)
        sum = sum + quad_at(shared + i * STRIPE + own);
    quad_at(writable(w.c, instance, part) + column) = sum;
}

__global__ void __launch_bounds__(THREADS) verdict(const ts_verdict_work w) {
    int instance = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    if (instance >= w.instances || w.stopped[instance])
        return;
    int bad = w.spoiled[instance];
    for (int i = 0; i < w.blocks; i++)
        bad |= w.bad[instance * w.blocks + i];
    if (bad)
        w.stopped[instance] = 1;
    else
        w.taken[instance]++;
}

} // namespace

int ts_cuda_cross_entropy_blocks(int pairs) {
    return (pairs - 1) / (WARPS * ROWS_PER_WARP) + 1;
}

cudaError_t ts_cuda_cross_entropy(const ts_cross_entropy_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->blocks, (unsigned)work->instances), block(THREADS);
    if (work->n_out <= 128)
        return LAUNCH((cross_entropy<4>), grid, block, 0, stream, *work);
    if (work->n_out <= 256)
        return LAUNCH((cross_entropy<8>), grid, block, 0, stream, *work);
    return LAUNCH((cross_entropy<TS_TABLE_MAX_OUT / 32>), grid, block, 0, stream, *work);
}

template <int HEADS> static cudaError_t segments_of(const ts_segment_work &w, cudaStream_t stream) {
    segment_block shape = segment_block_of(w.columns);
    int many = HEADS ? (w.heads + HEADS - 1) / HEADS : 1;
    dim3 grid((unsigned)(w.tokens * w.instances * many), 2), block((unsigned)(shape.across * shape.groups) * 32);
    size_t shared = shape.groups == 1 ? 0 : (size_t)(shape.groups * segment<HEADS>::slots * w.columns);
    return LAUNCH((segments<HEADS>), grid, block, shared * sizeof(float), stream, w);
}

cudaError_t ts_cuda_segments(const ts_segment_work *work, cudaStream_t stream) {
    return work->weights.first ? segments_of<TS_QUAD>(*work, stream) : segments_of<0>(*work, stream);
}

cudaError_t ts_cuda_sum(const ts_sum_work *work, cudaStream_t stream) {
    int stripes = (work->columns + STRIPE - 1) / STRIPE;
    dim3 grid((unsigned)(stripes * work->instances * work->parts)), block(THREADS);
    return LAUNCH(sum_rows, grid, block, WARPS * STRIPE * sizeof(float), stream, *work);
}

cudaError_t ts_cuda_verdict(const ts_verdict_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)(work->instances + THREADS - 1) / THREADS), block(THREADS);
    return LAUNCH(verdict, grid, block, 0, stream, *work);
}
