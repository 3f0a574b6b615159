// Batched products of small matrices. A block makes a tile of C with 32 rows and 64 columns a warp, a thread 8 x 8
// numbers of it, from slabs of A and B that alternate between two buffers in shared memory while the next slab is on
// its way. Not cuBLAS: what it chooses depends on the number of instances, and so would the bits.
// gate: product<2, *>: 6 blocks, 512 FFMA, 32 LDS.128
// gate: product<4, *>: 3 blocks, 512 FFMA, 32 LDS.128
#include "device.h"

#include "quad.cuh"
#include "step.h"

namespace {

constexpr int LANES = 32, COLUMNS = 64, WARP_ROWS = 32;
constexpr int COLUMNS_STRIDE = COLUMNS + TS_QUAD;

template <int WARPS> struct tile {
    static constexpr int slab = WARPS == 4 ? 16 : 8; // of the depth; the longer one is worth it only for long products
    static constexpr int threads = WARPS * LANES, rows = WARPS * WARP_ROWS, rows_stride = rows + TS_QUAD;
    static constexpr int a_floats = slab * rows_stride, b_floats = slab * COLUMNS_STRIDE;
    static constexpr int a_quads = rows * slab / TS_QUAD / threads; // a thread's share of a slab
    static constexpr int b_quads = COLUMNS * slab / TS_QUAD / threads;
    static constexpr size_t shared_bytes = 2 * (a_floats + b_floats) * sizeof(float);
    static_assert(shared_bytes <= TS_SHARED_WITHOUT_ASKING);
    static_assert(384 / threads * shared_bytes <= TS_SHARED_ANYWHERE); // what registers leave room for
};

// Part of a matrix as it is stored: rows of `width` numbers, of which `wide` is the width with pads.
struct view {
    const float *first;
    int stride, height, wide;
};

// A thread's share of the slabs (depth, EXTENT) of a matrix, QUADS quads of each, one slab after the other. The matrix
// is stored with rows along the depth (ALONG) or across it.
template <bool ALONG, int EXTENT, int THREADS, int QUADS> struct reader {
    static constexpr int slab = QUADS * THREADS * TS_QUAD / EXTENT;
    static constexpr int per_row = (ALONG ? EXTENT : slab) / TS_QUAD; // quads
    static constexpr int step = THREADS / per_row;                    // rows from one of a thread's quads to the next
    const float *from;
    int64_t stride; // of `step` rows
    int rows, wide; // left of the matrix, from the thread's first quad on
    int advance;    // from slab to slab

    __device__ __forceinline__ reader(const view &v, int across) {
        int row = (int)threadIdx.x / per_row + (ALONG ? 0 : across);
        int column = (int)threadIdx.x % per_row * TS_QUAD + (ALONG ? across : 0);
        from = v.first + (int64_t)row * v.stride + column;
        stride = (int64_t)step * v.stride;
        rows = v.height - row;
        wide = v.wide - column;
        advance = ALONG ? slab * v.stride : slab;
    }

    __device__ __forceinline__ void next(float4 (&quad)[QUADS]) {
#pragma unroll
        for (int i = 0; i < QUADS; i++)
            quad[i] = i * step < rows && wide > 0 ? quad_at(from + i * stride) : make_float4(0, 0, 0, 0);
        from += advance;
        (ALONG ? rows : wide) -= slab;
    }
};

// To shared memory, (depth, EXTENT) with rows along the depth.
template <bool ALONG, int EXTENT, int THREADS, int QUADS>
__device__ __forceinline__ void put(const float4 (&quad)[QUADS], float *slab) {
    constexpr int stride = EXTENT + TS_QUAD;
#pragma unroll
    for (int i = 0; i < QUADS; i++) {
        int index = (int)threadIdx.x + i * THREADS;
        if (ALONG) {
            constexpr int per_row = EXTENT / TS_QUAD;
            quad_at(slab + index / per_row * stride + index % per_row * TS_QUAD) = quad[i];
        } else {
            constexpr int per_row = QUADS * THREADS / EXTENT;
            float *column = slab + index % per_row * TS_QUAD * stride + index / per_row;
#pragma unroll
            for (int j = 0; j < TS_QUAD; j++)
                column[j * stride] = at(quad[i], j);
        }
    }
}

// Rows 4 lane_row() + {0..3} and the same + 16 of the warp's 32; columns 4 lane_column() + {0..3} and the same + 32.
template <int SLAB>
__device__ __forceinline__ void multiply_slab(const float *a, int a_stride, const float *b, float (&sum)[8][8]) {
#pragma unroll
    for (int k = 0; k < SLAB; k++) {
        float4 left[2], right[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            left[half] = quad_at(a + k * a_stride + half * WARP_ROWS / 2);
            right[half] = quad_at(b + k * COLUMNS_STRIDE + half * COLUMNS / 2);
        }
#pragma unroll
        for (int i = 0; i < 8; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++)
                sum[i][j] = at(left[i / 4], i % 4) * at(right[j / 4], j % 4) + sum[i][j];
        }
    }
}

template <bool MASKED>
__device__ __forceinline__ void write_tile(const ts_product_work &w, int64_t offset, int row, int column,
                                           const float (&sum)[8][8]) {
    int wide = TS_QUAD_PAD(w.columns);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int r = row + i / 4 * (WARP_ROWS / 2) + i % 4;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int c = column + half * (COLUMNS / 2);
            if (r >= w.rows || c >= wide)
                continue;
            const float *s = &sum[i][half * 4];
            float4 out = make_float4(s[0], s[1], s[2], s[3]);
            int64_t place = offset + (int64_t)r * w.c.stride + c;
            if (MASKED) {
                float4 m = quad_at(w.mask + place);
                out = make_float4(m.x > 0 ? out.x : 0, m.y > 0 ? out.y : 0, m.z > 0 ? out.z : 0, m.w > 0 ? out.w : 0);
            } else if (w.plus) {
                out = out + quad_at(w.plus + place);
            }
            quad_at(const_cast<float *>(w.c.first) + place) = out;
        }
    }
}

// Grid: tiles across C's columns, tiles down its rows, instances x parts; all in x, the others are short.
template <int WARPS, bool A_ALONG, bool B_ALONG, bool MASKED>
__global__ void __launch_bounds__(WARPS *LANES, 384 / (WARPS * LANES)) product(const ts_product_work w) {
    using shape = tile<WARPS>;
    int across = (w.columns + COLUMNS - 1) / COLUMNS, down = (w.rows - 1) / shape::rows + 1;
    int cell = (int)blockIdx.x % (across * down), which = (int)blockIdx.x / (across * down);
    int instance = which / w.parts, part = which % w.parts;
    if (w.stopped[instance])
        return;
    DYN_SHARED(float, shared);
    float *a_slab = shared, *b_slab = shared + 2 * shape::a_floats;
    int depth = w.part_depth ? min(w.part_depth, w.depth - part * w.part_depth) : w.depth;
    view a = {matrix(w.a, instance, part), w.a.stride, A_ALONG ? depth : w.rows, TS_QUAD_PAD(A_ALONG ? w.rows : depth)};
    view b = {matrix(w.b, instance, part), w.b.stride, B_ALONG ? depth : w.columns,
              TS_QUAD_PAD(B_ALONG ? w.columns : depth)};
    int row = cell / across * shape::rows, column = cell % across * COLUMNS;
    int warp = (int)threadIdx.x / LANES;
    int own_row = warp * WARP_ROWS + lane_row() * TS_QUAD, own_column = lane_column() * TS_QUAD;

    bool busy = row + warp * WARP_ROWS < w.rows; // a warp below the last row only helps with the slabs
    float sum[8][8] = {};
    float4 a_next[shape::a_quads], b_next[shape::b_quads];
    reader<A_ALONG, shape::rows, shape::threads, shape::a_quads> a_reader(a, row);
    reader<B_ALONG, COLUMNS, shape::threads, shape::b_quads> b_reader(b, column);
    a_reader.next(a_next);
    b_reader.next(b_next);
    for (int k = 0, buffer = 0; k < depth; k += shape::slab, buffer ^= 1) {
        // The other buffer may still be read; the one before that is free since the barrier below.
        float *a_now = a_slab + buffer * shape::a_floats, *b_now = b_slab + buffer * shape::b_floats;
        put<A_ALONG, shape::rows, shape::threads>(a_next, a_now);
        put<B_ALONG, COLUMNS, shape::threads>(b_next, b_now);
        __syncthreads();
        if (k + shape::slab < depth) {
            a_reader.next(a_next);
            b_reader.next(b_next);
        }
        if (busy)
            multiply_slab<shape::slab>(a_now + own_row, shape::rows_stride, b_now + own_column, sum);
    }
    int64_t offset = instance * w.c.instance_step + part * w.c.part_step;
    write_tile<MASKED>(w, offset, row + own_row, column + own_column, sum);
}

template <int WARPS> cudaError_t launch(const ts_product_work &w, cudaStream_t stream) {
    using shape = tile<WARPS>;
    int64_t across = (w.columns + COLUMNS - 1) / COLUMNS, down = (w.rows - 1) / shape::rows + 1;
    dim3 grid((unsigned)(across * down * w.instances * w.parts)), block(shape::threads);
    if (w.form == TS_PRODUCT_A_TRANSPOSED)
        return LAUNCH((product<WARPS, true, true, false>), grid, block, shape::shared_bytes, stream, w);
    if (w.form == TS_PRODUCT_PLAIN)
        return LAUNCH((product<WARPS, false, true, false>), grid, block, shape::shared_bytes, stream, w);
    if (w.mask)
        return LAUNCH((product<WARPS, false, false, true>), grid, block, shape::shared_bytes, stream, w);
    return LAUNCH((product<WARPS, false, false, false>), grid, block, shape::shared_bytes, stream, w);
}

} // namespace

// Tiles of 128 rows read less of A and B for each multiply-add; small matrices are better cut finer.
cudaError_t ts_cuda_product(const ts_product_work *work, cudaStream_t stream) {
    return work->rows >= 512 ? launch<4>(*work, stream) : launch<2>(*work, stream);
}
