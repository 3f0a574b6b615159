// The pairs' part of a transformer's step beside its products. A block takes a tile of pairs, which are ascending by a:
// rows of tokens that its warps read again and again are those of one or two a, and stay in the first-level cache.
// gate: 128-bit global loads
#include "device.h"

#include "cross_entropy.cuh"
#include "quad.cuh"
#include "transformer.h"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, TILE = 32;
constexpr int GROUP = 8; // pairs of a tile that a warp mixes one after the other
constexpr int HEADS = 4; // taken at once, backwards

__device__ __forceinline__ float4 input_quad(const ts_transformer_inputs_work &w, int instance, int row, int column) {
    int n = w.size.tokens, side = row / n;
    const float *w_e = matrix(w.w_e, instance, 0) + column, *w_pos = matrix(w.w_pos, instance, 0) + column;
    const size_t stride = (size_t)w.size.model_stride;
    float4 last = quad_at(w_e + (size_t)n * stride) + quad_at(w_pos + 2 * stride);
    if (row > 2 * n)
        return quad_at(matrix(w.w_o, instance, 0) + (size_t)(row - 2 * n - 1) * stride + column);
    if (row == 2 * n)
        return last;
    return quad_at(w_e + (size_t)(row % n) * stride) + (quad_at(w_pos + (size_t)side * stride) - last);
}

__device__ __forceinline__ float4 into_quad(const ts_transformer_inputs_work &w, int instance, int row, int column) {
    int rest = column - w.size.neurons_stride;
    if (rest < 0)
        return quad_at(matrix(w.w_in, instance, 0) + (size_t)row * (size_t)w.size.neurons_stride + column);
    if (w.size.direct)
        return quad_at(matrix(w.w_u, instance, 0) + (size_t)row * (size_t)w.size.rest_stride + rest);
    return make_float4(row == rest, row == rest + 1, row == rest + 2, row == rest + 3);
}

// Grid: blocks of THREADS quads of x, then of `into`; instances.
__global__ void __launch_bounds__(THREADS) transformer_inputs(const ts_transformer_inputs_work w) {
    int instance = (int)blockIdx.y, index = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    if (w.stopped[instance])
        return;
    int rows = 2 * w.size.tokens + 1 + w.size.heads * w.size.head;
    int quads = w.size.model_stride / TS_QUAD, wide = w.size.width / TS_QUAD;
    if (index < rows * quads) {
        float4 x = input_quad(w, instance, index / quads, index % quads * TS_QUAD);
        quad_at(w.x + ((size_t)instance * (size_t)(rows * quads) + (size_t)index) * TS_QUAD) = x;
        return;
    }
    index -= rows * quads;
    if (index < w.size.model * wide) {
        float4 into = into_quad(w, instance, index / wide, index % wide * TS_QUAD);
        quad_at(w.into + ((size_t)instance * (size_t)(w.size.model * wide) + (size_t)index) * TS_QUAD) = into;
    }
}

// A pair's tokens, and its place.
struct pair_place {
    int a, b;
    size_t row; // of (instances, pairs)

    __device__ __forceinline__ pair_place(const ts_transformer_pairs_work &w, int instance, int pair) {
        const int *token = w.token + (size_t)instance * 2 * (size_t)w.size.pairs + pair;
        a = token[0];
        b = token[w.size.pairs] + w.size.tokens;
        row = (size_t)instance * (size_t)w.size.pairs + (size_t)pair;
    }
};

__device__ __forceinline__ const float *head_out_of(const ts_transformer_pairs_work &w, int instance) {
    return w.head_out +
           (size_t)instance * (size_t)(2 * w.size.tokens + 1) * (size_t)w.size.heads * (size_t)w.size.width;
}

// Place of (instance, side, pair, head 0) in attention and dscore.
__device__ __forceinline__ size_t weight_place(const ts_transformer_pairs_work &w, int instance, int side, int pair) {
    return (((size_t)instance * 2 + (size_t)side) * (size_t)w.size.pairs + (size_t)pair) * (size_t)w.size.heads_stride;
}

// Attention of a tile's pairs, to shared memory (TILE, 2, heads) and to global memory.
__device__ __forceinline__ void attend(const ts_transformer_pairs_work &w, int instance, int first, float *weights) {
    int heads = w.size.heads;
    const float *score = w.score + (size_t)instance * 2 * (size_t)w.size.tokens * (size_t)w.size.heads_stride;
    for (int i = (int)threadIdx.x; i < TILE * heads; i += THREADS) {
        int slot = i / heads, head = i % heads, pair = first + slot;
        if (pair >= w.size.pairs)
            return;
        pair_place of(w, instance, pair);
        float to_a = w.scale * score[(size_t)of.a * (size_t)w.size.heads_stride + (size_t)head];
        float to_b = w.scale * score[(size_t)of.b * (size_t)w.size.heads_stride + (size_t)head];
        float largest = fmaxf(0, fmaxf(to_a, to_b));
        float e_a = expf(to_a - largest), e_b = expf(to_b - largest), sum = e_a + e_b + expf(-largest);
        weights[2 * slot * heads + head] = e_a / sum;
        weights[(2 * slot + 1) * heads + head] = e_b / sum;
        w.attention[weight_place(w, instance, 0, pair) + (size_t)head] = e_a / sum;
        w.attention[weight_place(w, instance, 1, pair) + (size_t)head] = e_b / sum;
    }
}

// What every pair has: what the last token has past attention, and reads of itself.
__device__ __forceinline__ float4 constant_quad(const ts_transformer_pairs_work &w, int instance, const float *head_out,
                                                int column) {
    const float *itself = head_out + 2 * (size_t)w.size.tokens * (size_t)w.size.heads * (size_t)w.size.width;
    size_t rows = (size_t)(1 + w.size.heads * w.size.head);
    float4 sum = quad_at(w.out + (size_t)instance * rows * (size_t)w.size.width + column);
    for (int h = 0; h < w.size.heads; h++)
        sum = sum + quad_at(itself + (size_t)h * (size_t)w.size.width + column);
    return sum;
}

// Grid: tiles of pairs, instances. Warps take stripes of columns of groups of pairs in turn.
__global__ void __launch_bounds__(THREADS, 3) transformer_mix(const ts_transformer_pairs_work w) {
    int instance = (int)blockIdx.y, first = (int)blockIdx.x * TILE, warp = (int)threadIdx.x / 32;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, weights); // (TILE, 2, heads)
    attend(w, instance, first, weights);
    __syncthreads();
    int stripes = (w.size.width + STRIPE - 1) / STRIPE, heads = w.size.heads;
    size_t width = (size_t)w.size.width, row = (size_t)heads * width;
    for (int job = warp; job < stripes * (TILE / GROUP); job += WARPS) {
        int column = job % stripes * STRIPE + (int)threadIdx.x % 32 * TS_QUAD, slot = job / stripes * GROUP;
        if (column >= w.size.width)
            continue;
        const float *head_out = head_out_of(w, instance);
        const float4 constant = constant_quad(w, instance, head_out, column);
        for (int end = min(slot + GROUP, w.size.pairs - first); slot < end; slot++) {
            pair_place of(w, instance, first + slot);
            const float *left = head_out + (size_t)of.a * row + column, *right = head_out + (size_t)of.b * row + column;
            const float *to_a = weights + 2 * slot * heads, *to_b = to_a + heads;
            float4 sum = constant;
#pragma unroll 4
            for (int h = 0; h < heads; h++) {
                add_scaled(sum, to_a[h], quad_at(left + (size_t)h * width));
                add_scaled(sum, to_b[h], quad_at(right + (size_t)h * width));
            }
            quad_at(w.rows + of.row * width + column) = column < w.size.neurons_stride ? relu(sum) : sum;
        }
    }
}

__device__ __forceinline__ void add_dot(float &sum, const float4 &a, const float4 &b) {
    sum = a.x * b.x + sum;
    sum = a.y * b.y + sum;
    sum = a.z * b.z + sum;
    sum = a.w * b.w + sum;
}

// Gradients of one pair's scores, for HEADS of the heads from `head`, by one warp.
__device__ __forceinline__ void attend_back(const ts_transformer_pairs_work &w, int instance, int pair, int head) {
    pair_place of(w, instance, pair);
    size_t width = (size_t)w.size.width, row = (size_t)w.size.heads * width;
    const float *head_out = head_out_of(w, instance), *gradient = w.rows + of.row * width;
    const float *left = head_out + (size_t)of.a * row, *right = head_out + (size_t)of.b * row;
    float to_a[HEADS] = {}, to_b[HEADS] = {};
    for (int c = (int)threadIdx.x % 32 * TS_QUAD; c < w.size.width; c += STRIPE) {
        float4 g = quad_at(gradient + c);
#pragma unroll
        for (int i = 0; i < HEADS; i++) {
            // Past the last head the last one again, unused.
            size_t at = (size_t)min(head + i, w.size.heads - 1) * width + (size_t)c;
            add_dot(to_a[i], g, quad_at(left + at));
            add_dot(to_b[i], g, quad_at(right + at));
        }
    }
    warp_sum(to_a);
    warp_sum(to_b);
    size_t of_a = weight_place(w, instance, 0, pair), of_b = weight_place(w, instance, 1, pair);
#pragma unroll
    for (int i = 0; i < HEADS; i++) {
        float g_a = to_a[i], g_b = to_b[i];
        size_t h = (size_t)(head + i);
        if (head + i >= w.size.heads || threadIdx.x % 32 != 0)
            continue;
        float w_a = w.attention[of_a + h], w_b = w.attention[of_b + h], mean = w_a * g_a + w_b * g_b;
        w.dscore[of_a + h] = w.scale * w_a * (g_a - mean);
        w.dscore[of_b + h] = w.scale * w_b * (g_b - mean);
    }
}

// Grid: tiles of pairs, instances. A warp a pair.
__global__ void __launch_bounds__(THREADS) transformer_mix_back(const ts_transformer_pairs_work w) {
    int instance = (int)blockIdx.y, first = (int)blockIdx.x * TILE;
    if (w.stopped[instance])
        return;
    int end = min(first + TILE, w.size.pairs);
    for (int pair = first + (int)threadIdx.x / 32; pair < end; pair += WARPS)
        for (int head = 0; head < w.size.heads; head += HEADS)
            attend_back(w, instance, pair, head);
}

// Grid: blocks of THREADS quads of dW_E, instances.
__global__ void __launch_bounds__(THREADS) transformer_embedding(const ts_transformer_embedding_work w) {
    int instance = (int)blockIdx.y, index = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    int n = w.size.tokens, quads = w.size.model_stride / TS_QUAD, row = index / quads;
    if (w.stopped[instance] || row > n)
        return;
    size_t stride = (size_t)w.size.model_stride, column = (size_t)(index % quads * TS_QUAD);
    const float *dx = w.dx + (size_t)instance * (size_t)(2 * n + 1) * stride + column;
    float *dw_e = writable(w.dw_e, instance, 0) + column, *dw_pos = writable(w.dw_pos, instance, 0) + column;
    if (row < n) {
        quad_at(dw_e + (size_t)row * stride) =
            quad_at(dx + (size_t)row * stride) + quad_at(dx + (size_t)(n + row) * stride);
        return;
    }
    const float *dlast = w.dlast + (size_t)instance * (size_t)(w.size.heads + 1) * stride + column;
    float4 sum = quad_at(dx + 2 * (size_t)n * stride);
    for (int h = 0; h <= w.size.heads; h++)
        sum = sum + quad_at(dlast + (size_t)h * stride);
    sum = sum - (quad_at(dw_pos) + quad_at(dw_pos + stride));
    quad_at(dw_e + (size_t)n * stride) = sum;
    quad_at(dw_pos + 2 * stride) = sum;
}

unsigned blocks_of(int64_t quads) {
    return (unsigned)((quads + THREADS - 1) / THREADS);
}

dim3 tiles_of(const ts_transformer_sizes &size) {
    return dim3((unsigned)((size.pairs - 1) / TILE + 1), (unsigned)size.instances);
}

} // namespace

cudaError_t ts_cuda_transformer_inputs(const ts_transformer_inputs_work *work, cudaStream_t stream) {
    const ts_transformer_sizes &size = work->size;
    int64_t rows = 2 * size.tokens + 1 + size.heads * size.head;
    int64_t floats = rows * size.model_stride + (int64_t)size.model * size.width;
    dim3 grid(blocks_of(floats / TS_QUAD), (unsigned)size.instances), block(THREADS);
    return LAUNCH(transformer_inputs, grid, block, 0, stream, *work);
}

cudaError_t ts_cuda_transformer_mix(const ts_transformer_pairs_work *work, cudaStream_t stream) {
    dim3 block(THREADS);
    size_t shared = (size_t)(2 * TILE * work->size.heads) * sizeof(float);
    return LAUNCH(transformer_mix, tiles_of(work->size), block, shared, stream, *work);
}

cudaError_t ts_cuda_transformer_mix_back(const ts_transformer_pairs_work *work, cudaStream_t stream) {
    dim3 block(THREADS);
    return LAUNCH(transformer_mix_back, tiles_of(work->size), block, 0, stream, *work);
}

cudaError_t ts_cuda_transformer_embedding(const ts_transformer_embedding_work *work, cudaStream_t stream) {
    int64_t quads = (int64_t)(work->size.tokens + 1) * (work->size.model_stride / TS_QUAD);
    dim3 grid(blocks_of(quads), (unsigned)work->size.instances), block(THREADS);
    return LAUNCH(transformer_embedding, grid, block, 0, stream, *work);
}
