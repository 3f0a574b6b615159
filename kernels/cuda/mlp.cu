// The pairs' part of an mlp's step. Fused: a block keeps W_U in shared memory and dW_U in registers, and takes its
// pairs in tiles of 64 whose hidden layer and logits never leave the chip:
//     h = relu(left[a] + right[b])  ->  z = h W_U  ->  dz  ->  dW_U += h^T dz;  dh = dz W_U^T [h > 0]
// Each of the three products reads h, z and W_U as they lie, four numbers at a time, and no two lanes of a warp want
// different words of one bank: rows are 4 floats longer than a multiple of 32.
// gate: mlp_fused<128, 128>: 1 block, 768 FFMA, 64 LDS.128
// gate: mlp_fused<128, 64>: 1 block, 512 FFMA, 52 LDS.128
// gate: mlp_fused<64, 128>: 1 block, 512 FFMA, 52 LDS.128
// gate: mlp_fused<64, 64>: 2 blocks, 320 FFMA, 40 LDS.128
#include "device.h"

#include "entropy.cuh"
#include "mlp.h"
#include "quad.cuh"

#include <stdint.h>

namespace {

constexpr int THREADS = 256, WARPS = THREADS / 32, TILE = 64, TILES_PER_BLOCK = 8;

// hidden = relu(left[a] + right[b]), four units of one pair.
__device__ __forceinline__ float4 hidden_quad(const ts_mlp_pairs_work &w, int instance, int pair, int unit) {
    size_t tokens = (size_t)w.tokens * (size_t)w.hidden_stride;
    const int *token = w.token + (size_t)instance * 2 * (size_t)w.pairs + pair;
    const float *embedded = w.embedded + (size_t)instance * 2 * tokens + unit;
    float4 l = quad_at(embedded + (size_t)token[0] * (size_t)w.hidden_stride);
    float4 r = quad_at(embedded + tokens + (size_t)token[w.pairs] * (size_t)w.hidden_stride);
    return relu(l + r);
}

// Grid: blocks of THREADS quads of (pairs, hidden), instances.
__global__ void __launch_bounds__(THREADS) mlp_hidden(const ts_mlp_pairs_work w) {
    int instance = (int)blockIdx.y, quads = w.hidden_stride / TS_QUAD;
    int index = (int)blockIdx.x * THREADS + (int)threadIdx.x, pair = index / quads;
    if (w.stopped[instance] || pair >= w.pairs)
        return;
    int unit = index % quads * TS_QUAD;
    size_t row = (size_t)instance * (size_t)w.pairs + (size_t)pair;
    quad_at(w.hidden_rows + row * (size_t)w.hidden_stride + unit) = hidden_quad(w, instance, pair, unit);
}

// Which part of a (TILE, WIDTH) product a thread makes: a warp has 4 rows by 8 columns of threads.
template <int WIDTH> struct part {
    static constexpr int columns = WIDTH / TS_QUAD; // of threads
    static constexpr int rows = THREADS / columns;
    static constexpr int own_rows = TILE / rows; // a thread's: row(), row() + rows, ...
    static __device__ __forceinline__ int row() {
        return (int)threadIdx.x / 32 / (columns / 8) * 4 + (int)threadIdx.x % 32 / 8;
    }
    static __device__ __forceinline__ int column() {
        return (int)threadIdx.x / 32 % (columns / 8) * 8 + (int)threadIdx.x % 8;
    }
};

template <int HIDDEN, int OUT> struct fused {
    static constexpr int h_stride = HIDDEN + TS_QUAD, z_stride = OUT + TS_QUAD;
    static constexpr size_t shared_bytes =
        (size_t)(HIDDEN * z_stride + TILE * h_stride + TILE * z_stride) * sizeof(float);
    static_assert(shared_bytes <= (HIDDEN == 128 && OUT == 128 ? TS_SHARED_A100 : TS_SHARED_ANYWHERE));
    // dW_U, and what the longest of the products holds beside it; the rest is for addresses.
    static_assert(HIDDEN * OUT / THREADS + TILE * (HIDDEN > OUT ? HIDDEN : OUT) / THREADS <= 128);
    // dW_U: rows 4 i + {0..3} + 64 j, columns likewise.
    static constexpr int own_hidden = HIDDEN / 16, own_out = OUT / 16;

    static __device__ __forceinline__ int gradient_row() {
        return ((int)threadIdx.x / 64 * 4 + (int)threadIdx.x % 32 / 8) * TS_QUAD;
    }
    static __device__ __forceinline__ int gradient_column() {
        return ((int)threadIdx.x / 32 % 2 * 8 + (int)threadIdx.x % 8) * TS_QUAD;
    }

    static __device__ __forceinline__ void load_unembedding(const ts_mlp_pairs_work &w, int instance,
                                                            float *w_u) {
        const float *from = w.w_u + instance * w.w_u_step;
        for (int i = (int)threadIdx.x; i < HIDDEN * OUT / TS_QUAD; i += THREADS) {
            int row = i / (OUT / TS_QUAD), column = i % (OUT / TS_QUAD) * TS_QUAD;
            bool inside = row < w.hidden && column < w.out_stride;
            quad_at(w_u + row * z_stride + column) =
                inside ? quad_at(from + (size_t)row * (size_t)w.out_stride + column)
                       : make_float4(0, 0, 0, 0);
        }
    }

    // Pairs past the last have a hidden layer of zeros.
    static __device__ __forceinline__ void load_hidden(const ts_mlp_pairs_work &w, int instance, int first,
                                                       float *h) {
#pragma unroll
        for (int i = 0; i < TILE * HIDDEN / TS_QUAD / THREADS; i++) {
            int index = (int)threadIdx.x + i * THREADS;
            int row = index / (HIDDEN / TS_QUAD), unit = index % (HIDDEN / TS_QUAD) * TS_QUAD;
            bool inside = first + row < w.pairs && unit < w.hidden_stride;
            quad_at(h + row * h_stride + unit) =
                inside ? hidden_quad(w, instance, first + row, unit) : make_float4(0, 0, 0, 0);
        }
    }

    static __device__ __forceinline__ void logits(const float *h, const float *w_u, float *z) {
        using own = part<OUT>;
        int row = own::row(), column = own::column() * TS_QUAD;
        float sum[own::own_rows][TS_QUAD] = {};
#pragma unroll 2
        for (int k = 0; k < HIDDEN; k += TS_QUAD) {
            float4 left[own::own_rows];
#pragma unroll
            for (int i = 0; i < own::own_rows; i++)
                left[i] = quad_at(h + (row + i * own::rows) * h_stride + k);
#pragma unroll
            for (int q = 0; q < TS_QUAD; q++) {
                float4 right = quad_at(w_u + (k + q) * z_stride + column);
#pragma unroll
                for (int i = 0; i < own::own_rows; i++) {
#pragma unroll
                    for (int j = 0; j < TS_QUAD; j++)
                        sum[i][j] = at(left[i], q) * at(right, j) + sum[i][j];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < own::own_rows; i++)
            quad_at(z + (row + i * own::rows) * z_stride + column) =
                make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    }

    // Rows past the last pair become zeros.
    static __device__ __forceinline__ bool differentiate(const ts_mlp_pairs_work &w, int instance, int first,
                                                         float *z) {
        bool finite = true;
        for (int row = (int)threadIdx.x / 32; row < TILE; row += WARPS) {
            float *own = z + row * z_stride;
            if (first + row < w.pairs) {
                int label = w.label[(size_t)instance * (size_t)w.pairs + (size_t)(first + row)];
                finite = entropy_row<OUT / 32, false>(own, w.n_out, OUT, label, w.share) && finite;
            } else {
                for (int j = (int)threadIdx.x % 32; j < OUT; j += 32)
                    own[j] = 0;
            }
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

    // A thread's units are column(), column() + HIDDEN / 4, ...: neighbouring lanes read neighbouring rows of W_U.
    static __device__ __forceinline__ void back(const ts_mlp_pairs_work &w, int instance, int first,
                                                const float *h, const float *z, const float *w_u) {
        using own = part<HIDDEN>;
        int row = own::row(), unit = own::column();
        float sum[own::own_rows][TS_QUAD] = {};
#pragma unroll 2
        for (int o = 0; o < OUT; o += TS_QUAD) {
            float4 left[own::own_rows];
#pragma unroll
            for (int i = 0; i < own::own_rows; i++)
                left[i] = quad_at(z + (row + i * own::rows) * z_stride + o);
#pragma unroll
            for (int j = 0; j < TS_QUAD; j++) {
                float4 right = quad_at(w_u + (unit + j * own::columns) * z_stride + o);
#pragma unroll
                for (int i = 0; i < own::own_rows; i++) {
#pragma unroll
                    for (int q = 0; q < TS_QUAD; q++)
                        sum[i][j] = at(left[i], q) * at(right, q) + sum[i][j];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < own::own_rows; i++) {
            int r = row + i * own::rows;
            size_t pair = (size_t)instance * (size_t)w.pairs + (size_t)(first + r);
            float *out = w.hidden_rows + pair * (size_t)w.hidden_stride;
#pragma unroll
            for (int j = 0; j < TS_QUAD; j++) {
                int k = unit + j * own::columns;
                if (first + r < w.pairs && k < w.hidden_stride)
                    out[k] = h[r * h_stride + k] > 0 ? sum[i][j] : 0;
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

// Grid: blocks of whole tiles, instances.
template <int HIDDEN, int OUT>
__global__ void __launch_bounds__(THREADS, 1) mlp_fused(const ts_mlp_pairs_work w) {
    using shape = fused<HIDDEN, OUT>;
    int instance = (int)blockIdx.y, block = (int)blockIdx.x;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared);
    float *w_u = shared, *h = w_u + HIDDEN * shape::z_stride, *z = h + TILE * shape::h_stride;
    float dw_u[shape::own_hidden][shape::own_out] = {};
    bool finite = true;
    int tiles = (w.pairs + TILE - 1) / TILE;
    int from = (int)((int64_t)tiles * block / w.blocks), to = (int)((int64_t)tiles * (block + 1) / w.blocks);
    shape::load_unembedding(w, instance, w_u);
    for (int tile = from; tile < to; tile++) {
        shape::load_hidden(w, instance, tile * TILE, h);
        __syncthreads();
        shape::logits(h, w_u, z);
        __syncthreads();
        finite = shape::differentiate(w, instance, tile * TILE, z) && finite;
        __syncthreads();
        shape::add_unembedding(h, z, dw_u);
        shape::back(w, instance, tile * TILE, h, z, w_u);
        __syncthreads();
    }
    shape::write_unembedding(w, instance, dw_u);
    int bad = __syncthreads_or(!finite);
    if (threadIdx.x == 0)
        w.bad[instance * w.blocks + block] = bad;
}

template <int HIDDEN, int OUT> cudaError_t launch(const ts_mlp_pairs_work &w, cudaStream_t stream) {
    dim3 grid((unsigned)w.blocks, (unsigned)w.instances), block(THREADS);
    return LAUNCH((mlp_fused<HIDDEN, OUT>), grid, block, (fused<HIDDEN, OUT>::shared_bytes), stream, w);
}

} // namespace

// A function of the shape alone, like everything that orders a sum.
int ts_mlp_fused_blocks(int pairs) {
    int tiles = (pairs + TILE - 1) / TILE;
    return (tiles - 1) / TILES_PER_BLOCK + 1; // one for a rank of a team that has no pairs
}

size_t ts_mlp_fused_shared(int hidden, int n_out) {
    if (hidden > 128 || n_out > 128)
        return SIZE_MAX;
    if (hidden <= 64)
        return n_out <= 64 ? fused<64, 64>::shared_bytes : fused<64, 128>::shared_bytes;
    return n_out <= 64 ? fused<128, 64>::shared_bytes : fused<128, 128>::shared_bytes;
}

cudaError_t ts_cuda_mlp_fused(const ts_mlp_pairs_work *work, cudaStream_t stream) {
    if (work->hidden <= 64)
        return work->n_out <= 64 ? launch<64, 64>(*work, stream) : launch<64, 128>(*work, stream);
    return work->n_out <= 64 ? launch<128, 64>(*work, stream) : launch<128, 128>(*work, stream);
}

cudaError_t ts_cuda_mlp_hidden(const ts_mlp_pairs_work *work, cudaStream_t stream) {
    int64_t quads = (int64_t)work->pairs * (work->hidden_stride / TS_QUAD);
    dim3 grid((unsigned)((quads - 1) / THREADS + 1), (unsigned)work->instances), block(THREADS);
    return LAUNCH(mlp_hidden, grid, block, 0, stream, *work);
}
