// The pairs' part of an mlp's step. Fused: a block keeps W_U in shared memory and dW_U in registers, and takes its
// pairs in tiles of 128 (64 where shared memory is short, with the same bits) whose hidden layer and logits never leave
// the chip:
//     h = relu(left[a] + right[b])  ->  z = h W_U  ->  dz  ->  dW_U += h^T dz;  dh = dz W_U^T [h > 0]
// Each of the three products reads h, z and W_U as they lie, four numbers at a time, and no two lanes of a warp want
// different words of one bank: rows are 4 floats longer than a multiple of 32.
// gate: mlp_fused<128, 128, *>: 1 block, 768 FFMA, 52 LDS.128
// gate: mlp_fused<128, 64, 64>: 1 block, 512 FFMA, 52 LDS.128
// gate: mlp_fused<64, 128, 64>: 1 block, 512 FFMA, 44 LDS.128
// gate: mlp_fused<64, 64, 64>: 2 blocks, 384 FFMA, 44 LDS.128
#include "device.h"

#include "cross_entropy.cuh"
#include "mlp.h"
#include "quad.cuh"

#include <stdint.h>

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int UNIT = 128, UNITS_PER_BLOCK = 4; // pairs that are never cut, and how many of them a block takes
constexpr int ROWS_AT_ONCE = 4;                // whose cross-entropy a warp differentiates

// hidden = relu(left[a] + right[b]), four units of one pair.
__device__ __forceinline__ float4 hidden_quad(const ts_mlp_pairs_work &w, int instance, int a, int b, int unit) {
    size_t tokens = (size_t)w.tokens * (size_t)w.hidden_stride;
    const float *embedded = w.embedded + (size_t)instance * 2 * tokens + unit;
    float4 l = quad_at(embedded + (size_t)a * (size_t)w.hidden_stride);
    float4 r = quad_at(embedded + tokens + (size_t)b * (size_t)w.hidden_stride);
    return relu(l + r);
}

// What is known of a pair; past the last one, of some pair whose share of the loss is 0.
struct pair_of {
    int a, b, label;
    float share;

    static __device__ __forceinline__ pair_of load(const ts_mlp_pairs_work &w, int instance, int pair) {
        int at = min(pair, w.pairs - 1);
        const int *token = w.token + (size_t)instance * 2 * (size_t)w.pairs + at;
        return {token[0], token[w.pairs], w.label[(size_t)instance * (size_t)w.pairs + (size_t)at],
                pair < w.pairs ? w.share : 0};
    }
};

// Grid: blocks of THREADS quads of (pairs, hidden), instances.
__global__ void __launch_bounds__(THREADS) mlp_hidden(const ts_mlp_pairs_work w) {
    int instance = (int)blockIdx.y, quads = w.hidden_stride / TS_QUAD;
    int index = (int)blockIdx.x * THREADS + (int)threadIdx.x, pair = index / quads;
    if (w.stopped[instance] || pair >= w.pairs)
        return;
    int unit = index % quads * TS_QUAD;
    pair_of own = pair_of::load(w, instance, pair);
    size_t row = (size_t)instance * (size_t)w.pairs + (size_t)pair;
    quad_at(w.hidden_rows + row * (size_t)w.hidden_stride + unit) = hidden_quad(w, instance, own.a, own.b, unit);
}

// Which part of a (TILE, WIDTH) product a thread makes: 8 columns of every rows-th row. A warp has 4 rows of threads.
template <int TILE, int WIDTH> struct part {
    static constexpr int columns = WIDTH / 8, rows = THREADS / columns; // of threads
    static constexpr int own_rows = TILE / rows;                        // row(), row() + rows, ...
    static __device__ __forceinline__ int row() { return (int)threadIdx.x / 32 / (columns / 8) * 4 + lane_row(); }
    static __device__ __forceinline__ int column() { return (int)threadIdx.x / 32 % (columns / 8) * 8 + lane_column(); }
};

template <int HIDDEN, int OUT, int TILE> struct fused {
    static constexpr int h_stride = HIDDEN + TS_QUAD, z_stride = OUT + TS_QUAD;
    static constexpr size_t shared_bytes =
        (size_t)(HIDDEN * z_stride + TILE * h_stride + TILE * z_stride) * sizeof(float) +
        2 * TILE * sizeof(pair_of); // of this tile and of the next one
    static_assert(UNIT % TILE == 0 && TILE % (WARPS * ROWS_AT_ONCE) == 0);
    static_assert(shared_bytes <= (TILE == 128                   ? TS_SHARED_H100
                                   : HIDDEN == 128 && OUT == 128 ? TS_SHARED_A100
                                                                 : TS_SHARED_ANYWHERE));
    // dW_U, and what the longest of the products holds beside it; the rest is for addresses and what is read.
    static_assert(HIDDEN * OUT / THREADS + TILE * (HIDDEN > OUT ? HIDDEN : OUT) / THREADS <= 128);
    // dW_U: rows 4 i + {0..3} + 64 j, columns likewise.
    static constexpr int own_hidden = HIDDEN / 16, own_out = OUT / 16;

    static __device__ __forceinline__ int gradient_row() { return ((int)threadIdx.x / 64 * 4 + lane_row()) * TS_QUAD; }
    static __device__ __forceinline__ int gradient_column() {
        return ((int)threadIdx.x / 32 % 2 * 8 + lane_column()) * TS_QUAD;
    }

    static __device__ __forceinline__ void load_unembedding(const ts_mlp_pairs_work &w, int instance, float *w_u) {
        const float *from = w.w_u + instance * w.w_u_step;
        for (int i = (int)threadIdx.x; i < HIDDEN * OUT / TS_QUAD; i += THREADS) {
            int row = i / (OUT / TS_QUAD), column = i % (OUT / TS_QUAD) * TS_QUAD;
            bool inside = row < w.hidden && column < w.out_stride;
            quad_at(w_u + row * z_stride + column) =
                inside ? quad_at(from + (size_t)row * (size_t)w.out_stride + column) : make_float4(0, 0, 0, 0);
        }
    }

    static __device__ __forceinline__ void load_hidden(const ts_mlp_pairs_work &w, int instance, const pair_of *pairs,
                                                       float *h) {
#pragma unroll 8
        for (int i = 0; i < TILE * HIDDEN / TS_QUAD / THREADS; i++) {
            int index = (int)threadIdx.x + i * THREADS;
            int row = index / (HIDDEN / TS_QUAD), unit = index % (HIDDEN / TS_QUAD) * TS_QUAD;
            quad_at(h + row * h_stride + unit) = unit < w.hidden_stride
                                                     ? hidden_quad(w, instance, pairs[row].a, pairs[row].b, unit)
                                                     : make_float4(0, 0, 0, 0);
        }
    }

    static __device__ __forceinline__ void logits(const float *h, const float *w_u, float *z) {
        using own = part<TILE, OUT>;
        int row = own::row(), column = own::column() * TS_QUAD;
        float sum[own::own_rows][8] = {};
#pragma unroll 2
        for (int k = 0; k < HIDDEN; k += TS_QUAD) {
            float4 left[own::own_rows];
#pragma unroll
            for (int i = 0; i < own::own_rows; i++)
                left[i] = quad_at(h + (row + i * own::rows) * h_stride + k);
#pragma unroll
            for (int q = 0; q < TS_QUAD; q++) {
                const float *from = w_u + (k + q) * z_stride + column;
                float4 right[] = {quad_at(from), quad_at(from + OUT / 2)};
#pragma unroll
                for (int i = 0; i < own::own_rows; i++) {
#pragma unroll
                    for (int j = 0; j < 8; j++)
                        sum[i][j] = at(left[i], q) * at(right[j / 4], j % 4) + sum[i][j];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < own::own_rows; i++) {
            float *out = z + (row + i * own::rows) * z_stride + column;
            quad_at(out) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
            quad_at(out + OUT / 2) = make_float4(sum[i][4], sum[i][5], sum[i][6], sum[i][7]);
        }
    }

    // Rows past the last pair, whose share is 0, become zeros.
    static __device__ __forceinline__ bool differentiate(int n_out, const pair_of *pairs, float *z) {
        bool finite = true;
        for (int row = (int)threadIdx.x / 32 * ROWS_AT_ONCE; row < TILE; row += WARPS * ROWS_AT_ONCE) {
            int label[ROWS_AT_ONCE];
            float share[ROWS_AT_ONCE];
#pragma unroll
            for (int i = 0; i < ROWS_AT_ONCE; i++) {
                label[i] = pairs[row + i].label;
                share[i] = pairs[row + i].share;
            }
            finite =
                cross_entropy_rows<OUT / 32, false>(z + row * z_stride, z_stride, n_out, OUT, label, share) && finite;
        }
        return finite;
    }

    static __device__ __forceinline__ void add_unembedding(const float *h, const float *z,
                                                           float (&sum)[own_hidden][own_out]) {
        h += gradient_row();
        z += gradient_column();
#pragma unroll 4
        for (int p = 0; p < TILE; p++) {
            float4 left[own_hidden / TS_QUAD], right[own_out / TS_QUAD];
#pragma unroll
            for (int i = 0; i < own_hidden / TS_QUAD; i++)
                left[i] = quad_at(h + p * h_stride + i * 64);
#pragma unroll
            for (int j = 0; j < own_out / TS_QUAD; j++)
                right[j] = quad_at(z + p * z_stride + j * 64);
#pragma unroll
            for (int i = 0; i < own_hidden; i++) {
#pragma unroll
                for (int j = 0; j < own_out; j++)
                    sum[i][j] = at(left[i / 4], i % 4) * at(right[j / 4], j % 4) + sum[i][j];
            }
        }
    }

    // A thread's units are column(), column() + HIDDEN / 8, ...: neighbouring lanes read neighbouring rows of W_U.
    static __device__ __forceinline__ void back(const ts_mlp_pairs_work &w, int instance, int first, const float *h,
                                                const float *z, const float *w_u) {
        using own = part<TILE, HIDDEN>;
        int row = own::row(), unit = own::column();
        float sum[own::own_rows][8] = {};
#pragma unroll 2
        for (int o = 0; o < OUT; o += TS_QUAD) {
            float4 left[own::own_rows];
#pragma unroll
            for (int i = 0; i < own::own_rows; i++)
                left[i] = quad_at(z + (row + i * own::rows) * z_stride + o);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float4 right = quad_at(w_u + (unit + j * own::columns) * z_stride + o);
#pragma unroll
                for (int i = 0; i < own::own_rows; i++) {
#pragma unroll
                    for (int q = 0; q < TS_QUAD; q++)
                        sum[i][j] = at(left[i], q) * at(right, q) + sum[i][j];
                }
            }
        }
        float *out =
            w.hidden_rows + ((size_t)instance * (size_t)w.pairs + (size_t)(first + row)) * (size_t)w.hidden_stride;
        h += row * h_stride;
#pragma unroll
        for (int i = 0; i < own::own_rows; i++, out += own::rows * w.hidden_stride, h += own::rows * h_stride) {
            if (first + row + i * own::rows >= w.pairs)
                continue;
#pragma unroll
            for (int j = 0; j < 8; j++) {
                int k = unit + j * own::columns;
                if (k < w.hidden_stride)
                    out[k] = h[k] > 0 ? sum[i][j] : 0;
            }
        }
    }

    static __device__ __forceinline__ void write_unembedding(const ts_mlp_pairs_work &w, int instance,
                                                             const float (&sum)[own_hidden][own_out]) {
        size_t length = (size_t)w.hidden * (size_t)w.out_stride;
        float *out = w.dw_u + ((size_t)instance * (size_t)w.blocks + blockIdx.x) * length;
#pragma unroll
        for (int i = 0; i < own_hidden; i++) {
            int row = gradient_row() + i / 4 * 64 + i % 4;
#pragma unroll
            for (int j = 0; j < own_out; j += TS_QUAD) {
                int column = gradient_column() + j / 4 * 64;
                if (row < w.hidden && column < w.out_stride)
                    quad_at(out + (size_t)row * (size_t)w.out_stride + column) =
                        make_float4(sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]);
            }
        }
    }
};

// Grid: blocks of whole units of pairs, instances.
template <int HIDDEN, int OUT, int TILE>
__global__ void __launch_bounds__(THREADS, 1) mlp_fused(const ts_mlp_pairs_work w) {
    using shape = fused<HIDDEN, OUT, TILE>;
    int instance = (int)blockIdx.y, block = (int)blockIdx.x;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared);
    float *w_u = shared, *h = w_u + HIDDEN * shape::z_stride, *z = h + TILE * shape::h_stride;
    pair_of *pairs = reinterpret_cast<pair_of *>(z + TILE * shape::z_stride), *next = pairs + TILE;
    float dw_u[shape::own_hidden][shape::own_out] = {};
    bool finite = true, brings = (int)threadIdx.x < TILE; // the next tile's pairs
    int units = (w.pairs + UNIT - 1) / UNIT;
    int from = (int)((int64_t)units * block / w.blocks) * UNIT;
    int to = min((int)((int64_t)units * (block + 1) / w.blocks) * UNIT, w.pairs);
    shape::load_unembedding(w, instance, w_u);
    if (brings && from < to)
        pairs[threadIdx.x] = pair_of::load(w, instance, from + (int)threadIdx.x);
    __syncthreads();
    for (int first = from; first < to; first += TILE) {
        shape::load_hidden(w, instance, pairs, h);
        __syncthreads();
        pair_of brought = pair_of::load(w, instance, first + TILE + (int)threadIdx.x);
        shape::logits(h, w_u, z);
        if (brings)
            next[threadIdx.x] = brought;
        __syncthreads();
        finite = shape::differentiate(w.n_out, pairs, z) && finite;
        __syncthreads();
        shape::add_unembedding(h, z, dw_u);
        shape::back(w, instance, first, h, z, w_u);
        __syncthreads();
        pair_of *now = pairs;
        pairs = next;
        next = now;
    }
    shape::write_unembedding(w, instance, dw_u);
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + block] = bad;
}

template <int HIDDEN, int OUT, int TILE> cudaError_t launch(const ts_mlp_pairs_work &w, cudaStream_t stream) {
    dim3 grid((unsigned)w.blocks, (unsigned)w.instances), block(THREADS);
    return LAUNCH((mlp_fused<HIDDEN, OUT, TILE>), grid, block, (fused<HIDDEN, OUT, TILE>::shared_bytes), stream, w);
}

} // namespace

// A function of the shape alone, like everything that orders a sum.
int ts_mlp_fused_blocks(int pairs) {
    int units = (pairs + UNIT - 1) / UNIT;
    return (units - 1) / UNITS_PER_BLOCK + 1;
}

size_t ts_mlp_fused_shared(int hidden, int n_out) {
    if (hidden > 128 || n_out > 128)
        return SIZE_MAX;
    if (hidden <= 64)
        return n_out <= 64 ? fused<64, 64, 64>::shared_bytes : fused<64, 128, 64>::shared_bytes;
    return n_out <= 64 ? fused<128, 64, 64>::shared_bytes : fused<128, 128, 64>::shared_bytes;
}

// Where a multiprocessor has room for one block only, large tiles read shared memory less often for the same
// arithmetic.
cudaError_t ts_cuda_mlp_fused(const ts_mlp_pairs_work *work, cudaStream_t stream) {
    if (work->hidden <= 64)
        return work->n_out <= 64 ? launch<64, 64, 64>(*work, stream) : launch<64, 128, 64>(*work, stream);
    if (work->n_out <= 64)
        return launch<128, 64, 64>(*work, stream);
    return fused<128, 128, 128>::shared_bytes <= work->block_shared ? launch<128, 128, 128>(*work, stream)
                                                                    : launch<128, 128, 64>(*work, stream);
}

cudaError_t ts_cuda_mlp_hidden(const ts_mlp_pairs_work *work, cudaStream_t stream) {
    int64_t quads = (int64_t)work->pairs * (work->hidden_stride / TS_QUAD);
    dim3 grid((unsigned)((quads - 1) / THREADS + 1), (unsigned)work->instances), block(THREADS);
    return LAUNCH(mlp_hidden, grid, block, 0, stream, *work);
}
