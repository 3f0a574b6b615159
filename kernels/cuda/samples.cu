// Batches of features as rows, and their loss. A block lists what an instance has drawn, a thread enters a row, a warp
// takes the loss of one.
#include "device.h"

#include "cross_entropy.cuh"
#include "draw.h"
#include "quad.cuh"
#include "samples.h"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;

__device__ __forceinline__ uint32_t step_of(const ts_samples_work &w, int instance) {
    return w.fixed ? 0 : (uint32_t)w.begun[instance] + (uint32_t)w.taken[instance];
}

// Rows of this step's batch.
__device__ __forceinline__ int rows_of(const ts_samples_work &w, int instance) {
    return w.nodes > 0 ? w.drawn[instance] : w.batch;
}

// Grid: instances.
__global__ void __launch_bounds__(THREADS) samples_list(const ts_samples_work w) {
    int instance = (int)blockIdx.x, lane = (int)threadIdx.x;
    if (w.stopped[instance])
        return;
    int *count = w.count + (size_t)instance * (size_t)w.nodes;
    draw_counts(w.data, w.seed[instance], step_of(w, instance), 1, w.nodes, count);
    if (lane >= 32)
        return;
    int *input = w.input + (size_t)instance * (size_t)w.batch, rows = 0;
    float *weight = w.weight + (size_t)instance * (size_t)w.batch;
    for (int first = 0; first < w.data.inputs; first += 32) {
        int i = first + lane, n = i < w.data.inputs ? count[first_input(w.data) + i] : 0;
        unsigned occurs = __ballot_sync(WHOLE_WARP, n > 0);
        if (n > 0) {
            int at = rows + __popc(occurs & ((1u << lane) - 1));
            input[at] = i;
            weight[at] = (float)(n * (1.0 / w.data.samples));
        }
        rows += __popc(occurs);
    }
    if (lane == 0)
        w.drawn[instance] = rows;
}

// Grid: blocks of THREADS rows, instances.
__global__ void __launch_bounds__(THREADS) samples_enter(const ts_samples_work w) {
    int instance = (int)blockIdx.y, row = (int)blockIdx.x * THREADS + (int)threadIdx.x, rank = 0;
    if (w.stopped[instance] || row >= w.batch)
        return;
    bool there = row < rows_of(w, instance);
    float *x = writable(w.x, instance, 0) + (size_t)row * (size_t)w.x.stride;
    const uint32_t *listed = nullptr;
    if (there && w.data.inputs > 0) {
        int input = w.nodes > 0 ? w.input[(size_t)instance * (size_t)w.batch + (size_t)row] : row;
        listed = w.data.bits + (size_t)input * (size_t)w.data.words;
    }
    for (int word = 0; word < w.data.words; word++) {
        for (int c = 32 * word; c < min(32 * word + 32, w.x.stride); c += TS_QUAD)
            quad_at(x + c) = make_float4(0, 0, 0, 0);
        if (!there)
            continue;
        uint32_t step = step_of(w, instance);
        uint32_t bits = listed ? listed[word] : draw_word(w.data, w.seed[instance], step, (uint32_t)row, word);
        if (!listed && !w.data.binary)
            draw_word_values(w.data, w.seed[instance], step, (uint32_t)row, rank, bits, x + 32 * word);
        else
            for (uint32_t on = bits; on; on &= on - 1)
                x[32 * word + __ffs((int)on) - 1] = 1;
        rank += __popc(bits);
    }
}

// Of a row of the batch.
__device__ __forceinline__ float weight_of(const ts_samples_work &w, int instance, int row) {
    if (w.nodes > 0)
        return w.weight[(size_t)instance * (size_t)w.batch + (size_t)row];
    return w.data.samples > 0 ? (float)(1.0 / w.data.samples) : w.data.probability[row];
}

__device__ __forceinline__ float4 absolute(const float4 &x) {
    return make_float4(fabsf(x.x), fabsf(x.y), fabsf(x.z), fabsf(x.w));
}

// Grid: blocks of rows, instances. A warp a row. Behind x, and in its pads, the scale is 0.
__global__ void __launch_bounds__(THREADS) loss_of_squares(const ts_samples_work w) {
    int instance = (int)blockIdx.y;
    if (w.stopped[instance])
        return;
    const int stride = w.output.stride;
    const float *scale = w.scale + (size_t)instance * (size_t)stride;
    const float *linear = w.linear ? w.linear + (size_t)instance * (size_t)stride : nullptr;
    bool finite = true;
    for (int row = (int)blockIdx.x * WARPS + (int)threadIdx.x / 32; row < w.batch; row += w.blocks * WARPS) {
        bool there = row < rows_of(w, instance);
        float weight = there ? weight_of(w, instance, row) : 0, by = 2 * weight, sum[] = {0};
        const float *x = matrix(w.x, instance, 0) + (size_t)row * (size_t)w.x.stride;
        float *z = writable(w.output, instance, 0) + (size_t)row * (size_t)stride;
#pragma unroll 1
        for (int c = (int)threadIdx.x % 32 * TS_QUAD; c < stride; c += STRIPE) {
            float4 target = c < w.x.stride ? quad_at(x + c) : make_float4(0, 0, 0, 0);
            if (w.absolute)
                target = absolute(target);
            float4 error = quad_at(z + c) - target, s = quad_at(scale + c);
            float4 scaled = make_float4(s.x * error.x, s.y * error.y, s.z * error.z, s.w * error.w);
            sum[0] = fmaf(scaled.x, error.x, sum[0]);
            sum[0] = fmaf(scaled.y, error.y, sum[0]);
            sum[0] = fmaf(scaled.z, error.z, sum[0]);
            sum[0] = fmaf(scaled.w, error.w, sum[0]);
            float4 dz = make_float4(by * scaled.x, by * scaled.y, by * scaled.z, by * scaled.w);
            if (linear) {
                float4 own = quad_at(linear + c), out = quad_at(z + c);
                sum[0] = fmaf(own.x, out.x, sum[0]);
                sum[0] = fmaf(own.y, out.y, sum[0]);
                sum[0] = fmaf(own.z, out.z, sum[0]);
                sum[0] = fmaf(own.w, out.w, sum[0]);
                add_scaled(dz, weight, own);
            }
            quad_at(z + c) = there ? dz : make_float4(0, 0, 0, 0);
        }
        warp_sum(sum);
        finite = finite && (!there || isfinite(sum[0]));
    }
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + (int)blockIdx.x] = bad;
}

} // namespace

cudaError_t ts_cuda_samples_list(const ts_samples_work *work, cudaStream_t stream) {
    return LAUNCH(samples_list, dim3((unsigned)work->instances), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_samples_enter(const ts_samples_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)(work->batch + THREADS - 1) / THREADS, (unsigned)work->instances);
    return LAUNCH(samples_enter, grid, dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_loss_of_squares(const ts_samples_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->blocks, (unsigned)work->instances);
    return LAUNCH(loss_of_squares, grid, dim3(THREADS), 0, stream, *work);
}
