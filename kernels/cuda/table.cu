// Kernels of a step on a table that stream through memory once: the cross-entropy's gradient, sums over the pairs of a
// token, AdamW. Each thread works on 16 bytes at a time; every sum has one order, whatever else is on the device.
#include "device.h"

#include "entropy.cuh"
#include "table.h"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, ROWS_PER_WARP = 4;

__device__ __forceinline__ float4 &quad_at(float *address) {
    return *reinterpret_cast<float4 *>(address);
}
__device__ __forceinline__ const float4 &quad_at(const float *address) {
    return *reinterpret_cast<const float4 *>(address);
}
__device__ __forceinline__ float4 operator+(const float4 &a, const float4 &b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// Grid: blocks of rows, instances. A warp a row.
template <int PER_LANE> __global__ void __launch_bounds__(THREADS) entropy(const ts_entropy_work w) {
    int instance = (int)blockIdx.y;
    if (w.stopped[instance])
        return;
    int first = ((int)blockIdx.x * WARPS + (int)threadIdx.x / 32) * ROWS_PER_WARP;
    bool finite = true;
    for (int p = first; p < min(first + ROWS_PER_WARP, w.pairs); p++) {
        size_t pair = (size_t)instance * (size_t)w.pairs + (size_t)p;
        finite = entropy_row<PER_LANE, true>(w.z + pair * (size_t)w.out_stride, w.n_out, w.out_stride,
                                             w.label[pair], w.share) &&
                 finite;
    }
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + (int)blockIdx.x] = bad;
}

// Grid: tokens, sides, instances. Each warp sums every WARPS-th row of the token, then their sums are added in order.
__global__ void __launch_bounds__(THREADS) segments(const ts_segment_work w) {
    int token = (int)blockIdx.x, side = (int)blockIdx.y, instance = (int)blockIdx.z;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared); // (WARPS, stride)
    int list = instance * 2 + side, warp = (int)threadIdx.x / 32;
    const int *begin = w.begin + (size_t)list * (size_t)(w.tokens + 1) + token;
    const int *order = w.order + (size_t)list * (size_t)w.pairs;
    const float *rows = w.rows + (size_t)instance * (size_t)w.pairs * (size_t)w.stride;
    int from = begin[0], to = begin[1];
    for (int c = (int)threadIdx.x % 32 * TS_QUAD; c < w.stride; c += 32 * TS_QUAD) {
        float4 sum = make_float4(0, 0, 0, 0);
        for (int i = from + warp; i < to; i += WARPS)
            sum = sum + quad_at(rows + (size_t)order[i] * (size_t)w.stride + c);
        quad_at(shared + warp * w.stride + c) = sum;
    }
    __syncthreads();
    float *out = w.out + ((size_t)list * (size_t)w.tokens + (size_t)token) * (size_t)w.stride;
    for (int c = (int)threadIdx.x * TS_QUAD; c < w.stride; c += THREADS * TS_QUAD) {
        float4 sum = quad_at(shared + c);
        for (int i = 1; i < WARPS; i++)
            sum = sum + quad_at(shared + i * w.stride + c);
        quad_at(out + c) = sum;
    }
}

__global__ void __launch_bounds__(THREADS) verdict(const ts_verdict_work w) {
    int instance = (int)blockIdx.x * THREADS + (int)threadIdx.x, bad = 0;
    if (instance >= w.instances || w.stopped[instance])
        return;
    for (int i = 0; i < w.blocks; i++)
        bad |= w.bad[instance * w.blocks + i];
    if (bad)
        w.stopped[instance] = 1;
    else
        w.taken[instance]++;
}

__device__ __forceinline__ void adam_number(const ts_adam_betas &b, const ts_adam_rates &r, float g, float &p,
                                            float &m, float &v) {
    m = b.beta1 * m + b.take1 * g;
    v = b.beta2 * v + b.take2 * g * g;
    p = r.decay * p - r.rate * m / (sqrtf(v) * r.root + b.epsilon);
}

// Grid: blocks of THREADS quads, instances.
__global__ void __launch_bounds__(THREADS) adamw(const ts_adamw_work w) {
    int instance = (int)blockIdx.y, at = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD;
    if (w.stopped[instance] || at >= w.count)
        return;
    ts_adam_betas betas = w.betas[instance];
    ts_adam_rates rates = w.rates[(size_t)(w.taken[instance] - 1) * (size_t)w.instances + (size_t)instance];
    float4 gradient;
    if (at < w.whole) {
        gradient = quad_at(w.gradient + (size_t)instance * (size_t)w.whole + at);
    } else {
        size_t length = (size_t)(w.count - w.whole);
        const float *partial = w.partial + (size_t)instance * (size_t)w.parts * length + (at - w.whole);
        gradient = quad_at(partial);
        for (int i = 1; i < w.parts; i++)
            gradient = gradient + quad_at(partial + (size_t)i * length);
    }
    float *state = w.state + (size_t)instance * 3 * (size_t)w.count + at;
    float4 p = quad_at(state), m = quad_at(state + w.count), v = quad_at(state + 2 * (size_t)w.count);
    adam_number(betas, rates, gradient.x, p.x, m.x, v.x);
    adam_number(betas, rates, gradient.y, p.y, m.y, v.y);
    adam_number(betas, rates, gradient.z, p.z, m.z, v.z);
    adam_number(betas, rates, gradient.w, p.w, m.w, v.w);
    quad_at(state) = p;
    quad_at(state + w.count) = m;
    quad_at(state + 2 * (size_t)w.count) = v;
}

} // namespace

int ts_cuda_entropy_blocks(int pairs) {
    return (pairs + WARPS * ROWS_PER_WARP - 1) / (WARPS * ROWS_PER_WARP);
}

cudaError_t ts_cuda_entropy(const ts_entropy_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->blocks, (unsigned)work->instances), block(THREADS);
    if (work->out_stride <= 128)
        return LAUNCH((entropy<4>), grid, block, 0, stream, *work);
    if (work->out_stride <= 256)
        return LAUNCH((entropy<8>), grid, block, 0, stream, *work);
    return LAUNCH((entropy<TS_TABLE_MAX_OUT / 32>), grid, block, 0, stream, *work);
}

cudaError_t ts_cuda_segments(const ts_segment_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->tokens, 2, (unsigned)work->instances), block(THREADS);
    size_t shared = (size_t)WARPS * (size_t)work->stride * sizeof(float);
    return LAUNCH(segments, grid, block, shared, stream, *work);
}

cudaError_t ts_cuda_verdict(const ts_verdict_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)(work->instances + THREADS - 1) / THREADS), block(THREADS);
    return LAUNCH(verdict, grid, block, 0, stream, *work);
}

cudaError_t ts_cuda_adamw(const ts_adamw_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)(work->count / TS_QUAD + THREADS - 1) / THREADS, (unsigned)work->instances),
        block(THREADS);
    return LAUNCH(adamw, grid, block, 0, stream, *work);
}
