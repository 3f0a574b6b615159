// Operations of a network on rows. Most go by quads, a thread each; what adds up along a row takes a warp a row.
// Numbers in pads are made like all others and come out as zeros, since those of inputs are.
#include "device.h"

#include "cross_entropy.cuh"
#include "network.h"
#include "quad.cuh"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;

__device__ __forceinline__ const float *row_of(const ts_row_work &w, const ts_cuda_rows &in, int instance, int r) {
    int at = in.which == TS_ROW_ONLY ? 0 : r;
    if (in.which == TS_ROW_OF_LEFT || in.which == TS_ROW_OF_RIGHT) {
        size_t list = (size_t)instance * 2 + (in.which == TS_ROW_OF_RIGHT ? 1 : 0);
        at = w.token[list * (size_t)w.rows + (size_t)r];
    }
    return matrix(in.of, instance, 0) + (size_t)at * (size_t)in.of.stride;
}

__device__ __forceinline__ float4 scaled(float by, const float4 &x) {
    return make_float4(by * x.x, by * x.y, by * x.z, by * x.w);
}

// Of row `r` of the gradient that goes to an input; columns c .. c + 3.
__device__ __forceinline__ void enter(const ts_row_work &w, int instance, int r, int c, const float4 &found) {
    float *to = writable(w.to, instance, 0) + (size_t)r * (size_t)w.to.stride + c;
    quad_at(to) = w.sets ? found : quad_at(to) + found;
}

// --- Activations ---

__device__ __forceinline__ float normal(float x) {
    return 0.5f * erfcf(-0.707106781f * x);
}

__device__ __forceinline__ float activated(ts_activation activation, float x) {
    switch (activation) {
    case TS_RELU:
        return relu(x);
    case TS_SQUARE:
        return x * x;
    case TS_CUBE:
        return x * x * x;
    case TS_ABSOLUTE:
        return fabsf(x);
    case TS_GELU:
        return x * normal(x);
    case TS_TANH:
        return tanhf(x);
    default:
        return x;
    }
}

// 1 - tanh(x)^2 is formed without the difference.
__device__ __forceinline__ float slope(ts_activation activation, float x) {
    switch (activation) {
    case TS_RELU:
        return x <= 0 ? 0 : x > 0 ? 1 : x;
    case TS_SQUARE:
        return 2 * x;
    case TS_CUBE:
        return 3 * x * x;
    case TS_ABSOLUTE:
        return x > 0 ? 1 : x < 0 ? -1 : x;
    case TS_GELU:
        return fmaf(x, 0.398942280f * expf(-0.5f * x * x), normal(x));
    case TS_TANH: {
        float e = expf(-2 * fabsf(x));
        return 4 * e / ((1 + e) * (1 + e));
    }
    default:
        return 1;
    }
}

// --- By quads. Each has the quad of row r at column c, and what it gives to one input. ---

__device__ __forceinline__ float4 sum_quad(const ts_row_work &w, int instance, int r, int c) {
    float4 z = quad_at(row_of(w, w.in[0], instance, r) + c);
    if (w.inputs > 1)
        add_scaled(z, w.scale, quad_at(row_of(w, w.in[1], instance, r) + c));
    return z;
}

__device__ __forceinline__ float4 mix_quad(const ts_row_work &w, int instance, int r, int c) {
    float4 sum = make_float4(0, 0, 0, 0);
    if (w.adds)
        sum = quad_at(matrix(w.out, instance, 0) + (size_t)r * (size_t)w.out.stride + c);
    const float4 weights = quad_at(row_of(w, w.in[0], instance, r));
#pragma unroll
    for (int j = 0; j < TS_MOST_SOURCES; j++)
        if (j + 1 < w.inputs)
            add_scaled(sum, at(weights, j), quad_at(row_of(w, w.in[1 + j], instance, r) + c));
    return sum;
}

// Column c of [x, y], or of a part of x; pads are in the middle, so these go number by number.
__device__ __forceinline__ float copied(const ts_row_work &w, const float *x, const float *y, int c) {
    if (c >= w.width)
        return 0;
    return w.operation == TS_SLICE ? x[w.first + c] : c < w.in[0].width ? x[c] : y[c - w.in[0].width];
}

__device__ __forceinline__ float4 copy_quad(const ts_row_work &w, int instance, int r, int c) {
    const float *x = row_of(w, w.in[0], instance, r);
    const float *y = w.operation == TS_SLICE ? x : row_of(w, w.in[1], instance, r);
    return make_float4(copied(w, x, y, c), copied(w, x, y, c + 1), copied(w, x, y, c + 2), copied(w, x, y, c + 3));
}

// The gradient of column c of an input is that of the column that it was copied to.
__device__ __forceinline__ float copied_from(const ts_row_work &w, const float *dout, int c) {
    if (w.operation == TS_SLICE)
        return c >= w.first && c < w.first + w.width ? dout[c - w.first] : 0;
    int shift = w.input == 0 ? 0 : w.in[0].width, width = w.input == 0 ? w.in[0].width : w.in[1].width;
    return c < width ? dout[c + shift] : 0;
}

template <ts_operation OPERATION> __device__ __forceinline__ float4 made(const ts_row_work &w, int i, int r, int c) {
    if (OPERATION == TS_MIX)
        return mix_quad(w, i, r, c);
    if (OPERATION == TS_CONCATENATE)
        return copy_quad(w, i, r, c);
    if (OPERATION == TS_SCALE)
        return scaled(*row_of(w, w.in[1], i, r), quad_at(row_of(w, w.in[0], i, r) + c));
    float4 z = sum_quad(w, i, r, c);
    return make_float4(activated(w.activation, z.x), activated(w.activation, z.y), activated(w.activation, z.z),
                       activated(w.activation, z.w));
}

template <ts_operation OPERATION> __device__ __forceinline__ float4 given(const ts_row_work &w, int i, int r, int c) {
    const float *dout = matrix(w.dout, i, 0) + (size_t)r * (size_t)w.dout.stride;
    if (OPERATION == TS_CONCATENATE)
        return make_float4(copied_from(w, dout, c), copied_from(w, dout, c + 1), copied_from(w, dout, c + 2),
                           copied_from(w, dout, c + 3));
    if (OPERATION == TS_MIX) // to a source
        return scaled(row_of(w, w.in[0], i, r)[w.input - 1], quad_at(dout + c));
    if (OPERATION == TS_SCALE) // to the row that is scaled
        return scaled(*row_of(w, w.in[1], i, r), quad_at(dout + c));
    if (OPERATION == TS_SCORE)
        return scaled(w.scale * *dout, quad_at(row_of(w, w.input == 0 ? w.in[1] : w.in[0], i, r) + c));
    float4 d = quad_at(dout + c);
    if (w.activation != TS_IDENTITY) {
        float4 z = sum_quad(w, i, r, c);
        d = make_float4(slope(w.activation, z.x) * d.x, slope(w.activation, z.y) * d.y, slope(w.activation, z.z) * d.z,
                        slope(w.activation, z.w) * d.w);
    }
    return scaled(w.factor, d);
}

// Grid: blocks of THREADS quads, instances.
template <ts_operation OPERATION> __global__ void __launch_bounds__(THREADS) row_quads(const ts_row_work w) {
    int instance = (int)blockIdx.y, index = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    int quads = w.out.stride / TS_QUAD, r = index / quads, c = index % quads * TS_QUAD;
    if (w.stopped[instance] || r >= w.rows)
        return;
    quad_at(writable(w.out, instance, 0) + (size_t)r * (size_t)w.out.stride + c) = made<OPERATION>(w, instance, r, c);
}

template <ts_operation OPERATION> __global__ void __launch_bounds__(THREADS) row_quads_back(const ts_row_work w) {
    int instance = (int)blockIdx.y, index = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    int quads = w.to.stride / TS_QUAD, r = index / quads, c = index % quads * TS_QUAD;
    if (w.stopped[instance] || r >= w.rows)
        return;
    enter(w, instance, r, c, given<OPERATION>(w, instance, r, c));
}

// --- By warps: a row each ---

__device__ __forceinline__ void add_dot(float &sum, const float4 &a, const float4 &b) {
    sum = a.x * b.x + sum;
    sum = a.y * b.y + sum;
    sum = a.z * b.z + sum;
    sum = a.w * b.w + sum;
}

__device__ __forceinline__ float total(float x) {
    float one[] = {x};
    warp_sum(one);
    return one[0];
}

__device__ __forceinline__ int own_column() {
    return (int)threadIdx.x % 32 * TS_QUAD;
}

// The lane's part of a product of two rows.
__device__ __forceinline__ float own_dot(const float *a, const float *b, int stride) {
    float sum = 0;
    for (int c = own_column(); c < stride; c += STRIPE)
        add_dot(sum, quad_at(a + c), quad_at(b + c));
    return sum;
}

// Numbers c .. c + 3 of a row less its mean; pads stay zero.
__device__ __forceinline__ float4 centred(const float *x, int c, int width, float mean) {
    float4 quad = quad_at(x + c);
    return make_float4(quad.x - mean, c + 1 < width ? quad.y - mean : 0, c + 2 < width ? quad.z - mean : 0,
                       c + 3 < width ? quad.w - mean : 0);
}

// Mean of x, and 1 / sqrt(variance + 1e-5).
__device__ __forceinline__ float moments(const float *x, int stride, int width, float &mean) {
    float sum = 0, squares = 0;
    for (int c = own_column(); c < stride; c += STRIPE) {
        float4 quad = quad_at(x + c);
        sum += (quad.x + quad.y) + (quad.z + quad.w);
    }
    mean = total(sum) / (float)width;
    for (int c = own_column(); c < stride; c += STRIPE) {
        float4 d = centred(x, c, width, mean);
        add_dot(squares, d, d);
    }
    return 1 / sqrtf(total(squares) / (float)width + 1e-5f);
}

__device__ __forceinline__ float4 times(const float4 &a, const float4 &b) {
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

__device__ __forceinline__ void normalise(const ts_row_work &w, int instance, int r) {
    const float *x = row_of(w, w.in[0], instance, r), *gain = row_of(w, w.in[1], instance, r);
    const float *bias = row_of(w, w.in[2], instance, r);
    float *out = writable(w.out, instance, 0) + (size_t)r * (size_t)w.out.stride, mean;
    float inverse = moments(x, w.out.stride, w.width, mean);
    for (int c = own_column(); c < w.out.stride; c += STRIPE)
        quad_at(out + c) = times(quad_at(gain + c), scaled(inverse, centred(x, c, w.width, mean))) + quad_at(bias + c);
}

// With u the normalised x and g = gain dout: dx = (g - mean(g) - u mean(g u)) / deviation; dgain = u dout.
__device__ __forceinline__ void normalise_back(const ts_row_work &w, int instance, int r) {
    const float *x = row_of(w, w.in[0], instance, r), *gain = row_of(w, w.in[1], instance, r);
    const float *dout = matrix(w.dout, instance, 0) + (size_t)r * (size_t)w.dout.stride;
    int stride = w.dout.stride;
    float mean, inverse = moments(x, stride, w.width, mean), sum = 0, moment = 0;
    for (int c = own_column(); c < stride && w.input == 0; c += STRIPE) {
        float4 g = times(quad_at(gain + c), quad_at(dout + c));
        sum += (g.x + g.y) + (g.z + g.w);
        add_dot(moment, g, scaled(inverse, centred(x, c, w.width, mean)));
    }
    sum = total(sum) / (float)w.width;
    moment = total(moment) / (float)w.width;
    for (int c = own_column(); c < stride; c += STRIPE) {
        float4 d = quad_at(dout + c), u = scaled(inverse, centred(x, c, w.width, mean));
        if (w.input == 0) {
            float4 g = times(quad_at(gain + c), d);
            g = make_float4(g.x - sum, c + 1 < w.width ? g.y - sum : 0, c + 2 < w.width ? g.z - sum : 0,
                            c + 3 < w.width ? g.w - sum : 0);
            d = scaled(inverse, g - scaled(moment, u));
        } else {
            d = times(u, d);
        }
        enter(w, instance, r, c, d);
    }
}

// Gradients of the weights of a mixture, or of the factor of a row: products with the rows that they go with.
template <ts_operation OPERATION> __device__ __forceinline__ void weights_back(const ts_row_work &w, int i, int r) {
    constexpr int FIRST = OPERATION == TS_MIX ? 1 : 0, MOST = OPERATION == TS_MIX ? TS_MOST_SOURCES : 1;
    const float *dout = matrix(w.dout, i, 0) + (size_t)r * (size_t)w.dout.stride;
    float sum[TS_MOST_SOURCES] = {};
#pragma unroll
    for (int j = 0; j < MOST; j++)
        if (j + 1 < w.inputs)
            sum[j] = own_dot(dout, row_of(w, w.in[FIRST + j], i, r), w.dout.stride);
    warp_sum(sum);
    for (int c = own_column(); c < w.to.stride; c += STRIPE)
        enter(w, i, r, c, c == 0 ? make_float4(sum[0], sum[1], sum[2], 0) : make_float4(0, 0, 0, 0));
}

// Grid: blocks of WARPS rows, instances.
template <ts_operation OPERATION, bool BACK> __global__ void __launch_bounds__(THREADS) row_warps(const ts_row_work w) {
    int instance = (int)blockIdx.y, r = (int)blockIdx.x * WARPS + (int)threadIdx.x / 32;
    if (w.stopped[instance] || r >= w.rows)
        return;
    if (OPERATION == TS_NORMALISE && BACK)
        normalise_back(w, instance, r);
    else if (OPERATION == TS_NORMALISE)
        normalise(w, instance, r);
    else if (BACK)
        weights_back<OPERATION>(w, instance, r);
    if (OPERATION == TS_SCORE && !BACK) {
        const float *q = row_of(w, w.in[0], instance, r), *k = row_of(w, w.in[1], instance, r);
        float found = total(own_dot(q, k, w.in[0].of.stride));
        if (threadIdx.x % 32 == 0)
            quad_at(writable(w.out, instance, 0) + (size_t)r * (size_t)w.out.stride) =
                make_float4(w.scale * found, 0, 0, 0);
    }
}

// --- Attention: a thread a row ---

// Grid: blocks of THREADS rows, instances.
template <bool BACK> __global__ void __launch_bounds__(THREADS) attend(const ts_row_work w) {
    int instance = (int)blockIdx.y, r = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    if (w.stopped[instance] || r >= w.rows)
        return;
    float p[TS_MOST_SOURCES], largest = -INFINITY, sum = 0;
#pragma unroll
    for (int j = 0; j < TS_MOST_SOURCES; j++) {
        p[j] = j < w.inputs ? *row_of(w, w.in[j], instance, r) : 0;
        largest = j < w.inputs ? fmaxf(largest, p[j]) : largest;
    }
#pragma unroll
    for (int j = 0; j < TS_MOST_SOURCES; j++) {
        p[j] = j < w.inputs ? expf(p[j] - largest) : 0;
        sum += p[j];
    }
    if (!BACK) {
#pragma unroll
        for (int j = 0; j < TS_MOST_SOURCES; j++)
            p[j] = j < w.inputs ? w.scale * (p[j] / sum) + (1 - w.scale) : 0;
        quad_at(writable(w.out, instance, 0) + (size_t)r * (size_t)w.out.stride) = make_float4(p[0], p[1], p[2], 0);
        return;
    }
    float4 g = quad_at(matrix(w.dout, instance, 0) + (size_t)r * (size_t)w.dout.stride);
    float mean = 0, own = 0, own_g = 0;
#pragma unroll
    for (int j = 0; j < TS_MOST_SOURCES; j++) {
        mean = p[j] / sum * at(g, j) + mean;
        own = j == w.input ? p[j] / sum : own;
        own_g = j == w.input ? at(g, j) : own_g;
    }
    enter(w, instance, r, 0, make_float4(w.scale * own * (own_g - mean), 0, 0, 0));
}

// --- Sums of rows ---

// Threads of a block that are next to each other in a row: a power of two. The others share the rows of a sum.
__host__ __device__ __forceinline__ int across_of(int columns) {
    int across = 1;
    while (across < 32 && across * TS_QUAD < columns)
        across *= 2;
    return across;
}
__host__ __device__ __forceinline__ int stripes_of(int columns) {
    int wide = across_of(columns) * TS_QUAD;
    return (columns + wide - 1) / wide;
}

// Grid: stripes of columns of each sum, instances. Each group of threads sums every so many-th row, then their sums are
// added in halves.
template <bool LISTED> __global__ void __launch_bounds__(THREADS) row_sums(const ts_row_sum_work w) {
    int instance = (int)blockIdx.y, across = across_of(w.columns), stripes = stripes_of(w.columns);
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared); // (THREADS, TS_QUAD)
    int own = (int)blockIdx.x / stripes, group = (int)threadIdx.x / across, groups = THREADS / across;
    int c = ((int)blockIdx.x % stripes * across + (int)threadIdx.x % across) * TS_QUAD;
    const int *begin = LISTED ? w.begin + (size_t)instance * (size_t)w.begin_step + own : nullptr;
    const int *order = LISTED ? w.order + (size_t)instance * 2 * (size_t)w.rows : nullptr;
    int from = LISTED ? begin[0] : own * w.stretch, to = LISTED ? begin[1] : min(from + w.stretch, w.rows);
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 4
    for (int i = from + group; i < to && c < w.columns; i += groups) {
        int r = LISTED ? order[i] : i;
        float4 row = quad_at(matrix(w.of, instance, 0) + (size_t)r * (size_t)w.of.stride + c);
        float weight = w.weights.first ? matrix(w.weights, instance, 0)[(size_t)r * (size_t)w.weights.stride] : 1;
        add_scaled(sum, weight, row);
    }
    float *mine = shared + (int)threadIdx.x * TS_QUAD;
    for (int half = groups / 2; half > 0; half /= 2) {
        quad_at(mine) = sum;
        __syncthreads();
        if (group < half)
            sum = sum + quad_at(mine + half * across * TS_QUAD);
        __syncthreads();
    }
    if (group > 0 || c >= w.columns)
        return;
    float *out = writable(w.out, instance, 0) + (size_t)own * (size_t)w.out.stride + c;
    sum = scaled(w.scale, sum);
    quad_at(out) = w.adds ? quad_at(out) + sum : sum;
}

// --- Losses other than the cross-entropy: a warp a row ---

__device__ __forceinline__ bool mse(float *z, int count, int stride, int label, float share) {
    float sum = 0;
    for (int j = (int)threadIdx.x % 32; j < stride; j += 32) {
        float error = j >= count ? 0 : j == label ? z[j] - 1 : z[j];
        sum = error * error + sum;
        z[j] = 2 * share * error;
    }
    return total(sum) < INFINITY;
}

__device__ __forceinline__ float stable(float z) {
    return z >= 0 ? z + 1 : 1 / (1 - z);
}

// The gradient at the label is never formed as p - 1.
__device__ __forceinline__ bool stablemax(float *z, int count, int stride, int label, float share) {
    float own = stable(z[label]), sum = 0;
    for (int j = (int)threadIdx.x % 32; j < count; j += 32)
        sum += j == label ? 0 : stable(z[j]);
    float others = total(sum), scale = share / (own + others);
    __syncwarp(); // the label's logit has been read by all lanes
    for (int j = (int)threadIdx.x % 32; j < stride; j += 32) {
        float s = j < count ? stable(z[j]) : 0;
        z[j] = j == label ? -(own < 1 ? own : 1 / own) * others * scale : (s < 1 ? s * s : 1) * scale;
    }
    return others < INFINITY && own > 0 && own < INFINITY;
}

// Grid: blocks of rows, instances.
template <ts_loss LOSS> __global__ void __launch_bounds__(THREADS) loss(const ts_cross_entropy_work w) {
    int instance = (int)blockIdx.y, stride = w.logits.stride;
    if (w.stopped[instance])
        return;
    bool finite = true;
    for (int p = (int)blockIdx.x * WARPS + (int)threadIdx.x / 32; p < w.pairs; p += w.blocks * WARPS) {
        float *z = writable(w.logits, instance, 0) + (size_t)p * (size_t)stride;
        int label = w.label[(size_t)instance * (size_t)w.pairs + (size_t)p];
        finite = (LOSS == TS_MSE ? mse(z, w.n_out, stride, label, w.share)
                                 : stablemax(z, w.n_out, stride, label, w.share)) &&
                 finite;
    }
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + (int)blockIdx.x] = bad;
}

unsigned blocks_of(int64_t items, int per_block) {
    return items > 0 ? (unsigned)((items - 1) / per_block + 1) : 1;
}

dim3 quads_grid(const ts_row_work *work, int stride) {
    return dim3(blocks_of((int64_t)work->rows * (stride / TS_QUAD), THREADS), (unsigned)work->instances);
}

dim3 rows_grid(const ts_row_work *work, int per_block) {
    return dim3(blocks_of(work->rows, per_block), (unsigned)work->instances);
}

} // namespace

cudaError_t ts_cuda_rows_forward(const ts_row_work *work, cudaStream_t stream) {
    dim3 block(THREADS), quads = quads_grid(work, work->out.stride);
    switch (work->operation) {
    case TS_NORMALISE:
        return LAUNCH((row_warps<TS_NORMALISE, false>), rows_grid(work, WARPS), block, 0, stream, *work);
    case TS_SCORE:
        return LAUNCH((row_warps<TS_SCORE, false>), rows_grid(work, WARPS), block, 0, stream, *work);
    case TS_ATTEND:
        return LAUNCH((attend<false>), rows_grid(work, THREADS), block, 0, stream, *work);
    case TS_MIX:
        return LAUNCH((row_quads<TS_MIX>), quads, block, 0, stream, *work);
    case TS_SCALE:
        return LAUNCH((row_quads<TS_SCALE>), quads, block, 0, stream, *work);
    case TS_CONCATENATE:
    case TS_SLICE:
        return LAUNCH((row_quads<TS_CONCATENATE>), quads, block, 0, stream, *work);
    default:
        return LAUNCH((row_quads<TS_ACTIVATION>), quads, block, 0, stream, *work);
    }
}

cudaError_t ts_cuda_rows_back(const ts_row_work *work, cudaStream_t stream) {
    dim3 block(THREADS), quads = quads_grid(work, work->to.stride);
    switch (work->operation) {
    case TS_NORMALISE:
        if (work->input < 2)
            return LAUNCH((row_warps<TS_NORMALISE, true>), rows_grid(work, WARPS), block, 0, stream, *work);
        return LAUNCH((row_quads_back<TS_ACTIVATION>), quads, block, 0, stream, *work);
    case TS_SCORE:
        return LAUNCH((row_quads_back<TS_SCORE>), quads, block, 0, stream, *work);
    case TS_ATTEND:
        return LAUNCH((attend<true>), rows_grid(work, THREADS), block, 0, stream, *work);
    case TS_MIX:
        if (work->input == 0)
            return LAUNCH((row_warps<TS_MIX, true>), rows_grid(work, WARPS), block, 0, stream, *work);
        return LAUNCH((row_quads_back<TS_MIX>), quads, block, 0, stream, *work);
    case TS_SCALE:
        if (work->input == 1)
            return LAUNCH((row_warps<TS_SCALE, true>), rows_grid(work, WARPS), block, 0, stream, *work);
        return LAUNCH((row_quads_back<TS_SCALE>), quads, block, 0, stream, *work);
    case TS_CONCATENATE:
    case TS_SLICE:
        return LAUNCH((row_quads_back<TS_CONCATENATE>), quads, block, 0, stream, *work);
    default:
        return LAUNCH((row_quads_back<TS_ACTIVATION>), quads, block, 0, stream, *work);
    }
}

cudaError_t ts_cuda_row_sums(const ts_row_sum_work *work, cudaStream_t stream) {
    dim3 grid((unsigned)(stripes_of(work->columns) * work->sums), (unsigned)work->instances), block(THREADS);
    size_t shared = THREADS * TS_QUAD * sizeof(float);
    return work->begin ? LAUNCH((row_sums<true>), grid, block, shared, stream, *work)
                       : LAUNCH((row_sums<false>), grid, block, shared, stream, *work);
}

cudaError_t ts_cuda_loss(const ts_cross_entropy_work *work, ts_loss loss_of, cudaStream_t stream) {
    dim3 grid((unsigned)work->blocks, (unsigned)work->instances), block(THREADS);
    if (loss_of == TS_CROSS_ENTROPY)
        return ts_cuda_cross_entropy(work, stream);
    if (loss_of == TS_MSE)
        return LAUNCH((loss<TS_MSE>), grid, block, 0, stream, *work);
    return LAUNCH((loss<TS_STABLEMAX>), grid, block, 0, stream, *work);
}
