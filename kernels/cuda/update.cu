// Updates: a thread a quad; a block for what adds up over a tensor or a matrix, in double precision, in an order that
// depends on its size alone. What is not finite shows in a parameter, as on the CPU. Rounding is that of kernels/cpu
// but for orders of sums. gate: 128-bit global loads
#include "device.h"

#include "adam.cuh"
#include "cross_entropy.cuh"
#include "quad.cuh"
#include "update.h"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;

// Quad `index` of what is updated.
struct own {
    int instance, at; // `at`: number of the instance's parameters
    bool there;

    __device__ __forceinline__ own(const ts_update_work &w, int instance, int index)
        : instance(instance), at(w.first + index * TS_QUAD), there(index * TS_QUAD < w.count && !w.stopped[instance]) {}

    __device__ __forceinline__ float *part(const ts_update_work &w, int which) const {
        return w.state + ((size_t)instance * (size_t)w.state_parts + (size_t)which) * (size_t)w.padded + at;
    }
    __device__ __forceinline__ float *gradient(const ts_update_work &w) const {
        return w.gradient + (size_t)instance * (size_t)w.whole + at;
    }
    __device__ __forceinline__ const ts_update_rates &rates(const ts_update_work &w) const {
        return w.rates[(size_t)(w.taken[instance] - 1) * (size_t)w.instances + (size_t)instance];
    }
    // Writes parameters, and says if one is not finite.
    __device__ __forceinline__ void set(const ts_update_work &w, const float4 &p) const {
        if (!finite_quad(p))
            atomicOr(&w.spoiled[instance], 1);
        quad_at(part(w, 0)) = p;
    }
};

// Grid: blocks of THREADS quads, instances.
__device__ __forceinline__ own own_quad(const ts_update_work &w) {
    return own(w, (int)blockIdx.y, (int)blockIdx.x * THREADS + (int)threadIdx.x);
}

// share x + by y
__device__ __forceinline__ float4 blend(float share, const float4 &x, float by, const float4 &y) {
    return make_float4(fmaf(share, x.x, __fmul_rn(by, y.x)), fmaf(share, x.y, __fmul_rn(by, y.y)),
                       fmaf(share, x.z, __fmul_rn(by, y.z)), fmaf(share, x.w, __fmul_rn(by, y.w)));
}

__device__ __forceinline__ void add_dot(double &sum, const float4 &a, const float4 &b) {
    sum += (double)a.x * b.x;
    sum += (double)a.y * b.y;
    sum += (double)a.z * b.z;
    sum += (double)a.w * b.w;
}

// Sums over the block, of the same bits in all of its threads. shared: (WARPS, N).
template <int N> __device__ __forceinline__ void block_sum(double (&x)[N], double *shared) {
    int warp = (int)threadIdx.x / 32;
    warp_sum(x);
    __syncthreads(); // sums before this one have been read
    if (threadIdx.x % 32 == 0) {
#pragma unroll
        for (int i = 0; i < N; i++)
            shared[warp * N + i] = x[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] = 0;
        for (int other = 0; other < WARPS; other++)
            x[i] += shared[other * N + i];
    }
}

// --- The gradient ---

__global__ void __launch_bounds__(THREADS) grokfast(const ts_update_work w) {
    own o = own_quad(w);
    if (!o.there)
        return;
    float4 g = quad_at(o.gradient(w)), *average = &quad_at(o.part(w, w.state_parts - 1));
    const ts_update_rates &rates = o.rates(w);
    *average = blend(rates.take, g, rates.keep, *average);
    quad_at(o.gradient(w)) = blend(w.constants[o.instance].lambda, *average, 1, g);
}

__global__ void __launch_bounds__(THREADS) add_decay(const ts_update_work w) {
    own o = own_quad(w);
    float coupled = o.there ? w.constants[o.instance].coupled : 0;
    if (coupled == 0) // whatever others have, not a sign of a zero changes
        return;
    float4 *g = &quad_at(o.gradient(w));
    *g = blend(coupled, quad_at(o.part(w, 0)), 1, *g);
}

// Grid: instances. A block a tensor.
__global__ void __launch_bounds__(THREADS) orthograd(const ts_update_work w) {
    DYN_SHARED(double, shared); // (WARPS, 3)
    own o(w, (int)blockIdx.x, 0);
    if (!o.there)
        return;
    float *gradient = o.gradient(w);
    const float *weights = o.part(w, 0);
    double sum[3] = {}, left[1] = {};
    for (int i = (int)threadIdx.x * TS_QUAD; i < w.count; i += THREADS * TS_QUAD) {
        float4 g = quad_at(gradient + i), p = quad_at(weights + i);
        add_dot(sum[0], g, g);
        add_dot(sum[1], p, g);
        add_dot(sum[2], p, p);
    }
    block_sum(sum, shared);
    float along = (float)(-sum[1] / (sum[2] + TS_ORTHOGRAD_EPSILON));
    for (int i = (int)threadIdx.x * TS_QUAD; i < w.count; i += THREADS * TS_QUAD) {
        float4 g = blend(along, quad_at(weights + i), 1, quad_at(gradient + i));
        add_dot(left[0], g, g);
        quad_at(gradient + i) = g;
    }
    block_sum(left, shared);
    float scale = (float)(sqrt(sum[0]) / (sqrt(left[0]) + TS_ORTHOGRAD_EPSILON));
    for (int i = (int)threadIdx.x * TS_QUAD; i < w.count; i += THREADS * TS_QUAD) {
        float4 g = quad_at(gradient + i);
        quad_at(gradient + i) = make_float4(scale * g.x, scale * g.y, scale * g.z, scale * g.w);
    }
}

// --- Growth ---

// Grid: blocks of columns, instances. A thread four columns.
__global__ void __launch_bounds__(THREADS) grow(const ts_update_work w, int rows, int stride) {
    int column = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD, instance = (int)blockIdx.y;
    if (column >= stride || w.stopped[instance])
        return;
    float decay = own(w, instance, 0).rates(w).adam.decay;
    if (!(decay > 1))
        return;
    float *at = w.state + (size_t)instance * (size_t)w.state_parts * (size_t)w.padded + w.first + column;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int r = 0; r < rows; r++) {
        float4 x = quad_at(at + (size_t)r * (size_t)stride);
        sum = make_float4(fmaf(x.x, x.x, sum.x), fmaf(x.y, x.y, sum.y), fmaf(x.z, x.z, sum.z), fmaf(x.w, x.w, sum.w));
    }
    float4 factor = make_float4(growth_factor(decay, sum.x), growth_factor(decay, sum.y), growth_factor(decay, sum.z),
                                growth_factor(decay, sum.w));
    for (int r = 0; r < rows; r++) {
        float4 &x = quad_at(at + (size_t)r * (size_t)stride);
        x = make_float4(factor.x * x.x, factor.y * x.y, factor.z * x.z, factor.w * x.w);
    }
}

// --- Steps ---

__global__ void __launch_bounds__(THREADS) adamw(const ts_update_work w) {
    own o = own_quad(w);
    if (!o.there)
        return;
    ts_adam_betas betas = w.constants[o.instance].betas;
    ts_adam_rates rates = o.rates(w).adam;
    rates.decay = fminf(rates.decay, 1); // or columns have grown
    size_t length = (size_t)(w.padded - w.whole), instance = (size_t)o.instance;
    float4 gradient = gradient_quad(w.gradient + instance * (size_t)w.whole, w.whole,
                                    w.partial + instance * (size_t)w.parts * length, w.parts, length, o.at);
    float4 p = quad_at(o.part(w, 0)), m = quad_at(o.part(w, 1)), v = quad_at(o.part(w, 2));
    adam_quad(betas, rates, gradient, p, m, v);
    o.set(w, p);
    quad_at(o.part(w, 1)) = m;
    quad_at(o.part(w, 2)) = v;
}

template <bool MOMENTUM> __global__ void __launch_bounds__(THREADS) descent(const ts_update_work w) {
    own o = own_quad(w);
    if (!o.there)
        return;
    float4 g = quad_at(o.gradient(w)), p = quad_at(o.part(w, 0));
    if (MOMENTUM) {
        g = blend(1, g, w.constants[o.instance].keep, quad_at(o.part(w, 1)));
        quad_at(o.part(w, 1)) = g;
    }
    o.set(w, blend(-o.rates(w).rate, g, 1, p));
}

// --- Muon ---

// Grid: matrices, instances. A block a matrix.
__global__ void __launch_bounds__(THREADS) muon_gather(const ts_update_work w, const ts_muon_batch of) {
    DYN_SHARED(double, shared); // (WARPS)
    int size = of.rows * of.stride, first = (int)blockIdx.x * size;
    own o(w, (int)blockIdx.y, first / TS_QUAD);
    if (!o.there)
        return;
    const ts_update_constants constants = w.constants[o.instance];
    const float *gradient = o.gradient(w);
    float *mean = o.part(w, 1), *x = of.x + (size_t)o.instance * (size_t)w.count + first;
    double square[1] = {};
    for (int i = (int)threadIdx.x * TS_QUAD; i < size; i += THREADS * TS_QUAD) {
        float4 g = quad_at(gradient + i), m = blend(constants.take, g, constants.keep, quad_at(mean + i));
        float4 u = blend(constants.take, g, constants.keep, m);
        quad_at(mean + i) = m;
        quad_at(x + i) = u;
        add_dot(square[0], u, u);
    }
    block_sum(square, shared);
    // Nothing is left of a direction whose length is beyond float32. That is no step of 0: the weights are not finite.
    float length = (float)(sqrt(square[0]) + of.epsilon);
    length = length < INFINITY ? length : NAN;
    for (int i = (int)threadIdx.x * TS_QUAD; i < size; i += THREADS * TS_QUAD) {
        float4 u = quad_at(x + i);
        quad_at(x + i) = make_float4(u.x / length, u.y / length, u.z / length, u.w / length);
    }
}

// Grid: blocks of THREADS quads of b, instances.
__global__ void __launch_bounds__(THREADS) muon_polynomial(const ts_update_work w, const ts_muon_batch of) {
    int instance = (int)blockIdx.y, count = of.matrices * of.shorter * of.square_stride;
    int i = ((int)blockIdx.x * THREADS + (int)threadIdx.x) * TS_QUAD;
    if (i >= count || w.stopped[instance])
        return;
    size_t at = (size_t)instance * (size_t)count + (size_t)i;
    float4 b = blend(of.cubic, quad_at(of.a + at), of.quintic, quad_at(of.b + at));
    int off = i / of.square_stride % of.shorter - i % of.square_stride; // of the diagonal, in the quad
    quad_at(of.b + at) = make_float4(off == 0 ? b.x + of.linear : b.x, off == 1 ? b.y + of.linear : b.y,
                                     off == 2 ? b.z + of.linear : b.z, off == 3 ? b.w + of.linear : b.w);
}

__global__ void __launch_bounds__(THREADS) muon_step(const ts_update_work w, const ts_muon_batch of) {
    own o = own_quad(w);
    if (!o.there)
        return;
    const ts_update_rates &rates = o.rates(w);
    float4 x = quad_at(of.x + (size_t)o.instance * (size_t)w.count + (o.at - w.first));
    o.set(w, blend(rates.decay, quad_at(o.part(w, 0)), -(rates.rate * of.factor), x));
}

dim3 quads(const ts_update_work *work, int count) {
    return dim3((unsigned)(count / TS_QUAD + THREADS - 1) / THREADS, (unsigned)work->instances);
}

} // namespace

cudaError_t ts_cuda_grokfast(const ts_update_work *work, cudaStream_t stream) {
    return LAUNCH(grokfast, quads(work, work->count), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_orthograd(const ts_update_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)work->instances);
    return LAUNCH(orthograd, grid, dim3(THREADS), 3 * WARPS * sizeof(double), stream, *work);
}

cudaError_t ts_cuda_add_decay(const ts_update_work *work, cudaStream_t stream) {
    return LAUNCH(add_decay, quads(work, work->count), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_grow(const ts_update_work *work, int rows, int stride, cudaStream_t stream) {
    dim3 grid((unsigned)(stride / TS_QUAD + THREADS - 1) / THREADS, (unsigned)work->instances);
    return LAUNCH(grow, grid, dim3(THREADS), 0, stream, *work, rows, stride);
}

cudaError_t ts_cuda_adamw(const ts_update_work *work, cudaStream_t stream) {
    return LAUNCH(adamw, quads(work, work->count), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_descent(const ts_update_work *work, cudaStream_t stream) {
    return LAUNCH((descent<false>), quads(work, work->count), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_momentum(const ts_update_work *work, cudaStream_t stream) {
    return LAUNCH((descent<true>), quads(work, work->count), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_muon_gather(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream) {
    dim3 grid((unsigned)of->matrices, (unsigned)work->instances);
    return LAUNCH(muon_gather, grid, dim3(THREADS), WARPS * sizeof(double), stream, *work, *of);
}

cudaError_t ts_cuda_muon_polynomial(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream) {
    int count = of->matrices * of->shorter * of->square_stride;
    return LAUNCH(muon_polynomial, quads(work, count), dim3(THREADS), 0, stream, *work, *of);
}

cudaError_t ts_cuda_muon_step(const ts_update_work *work, const ts_muon_batch *of, cudaStream_t stream) {
    return LAUNCH(muon_step, quads(work, work->count), dim3(THREADS), 0, stream, *work, *of);
}
