// Batched products of small matrices. A block makes a tile of C with 32 rows and 64 columns a warp, a thread 64 numbers
// of it, from slabs of A and B that alternate between two buffers in shared memory while the next slab is on its way.
// Not cuBLAS: what it chooses depends on the number of instances, and so would the bits.
// gate: product<2, float32_lanes, *>: 6 blocks, 512 FFMA, 32 LDS.128
// gate: product<4, float32_lanes, *>: 3 blocks, 512 FFMA, 32 LDS.128
// gate: product<2, tf32_lanes, *>: 4 blocks, 48 HMMA
// gate: product<4, tf32_lanes, *>: 2 blocks, 96 HMMA
#include "device.h"

#include "quad.cuh"
#include "step.h"

namespace {

constexpr int LANES = 32, COLUMNS = 64, WARP_ROWS = 32;

// PAD: floats behind each row of a slab, so that the lanes of a warp read different banks.
template <int WARPS, int PAD> struct tile {
    static constexpr int slab = WARPS == 4 ? 16 : 8; // of the depth; the longer one is worth it only for long products
    static constexpr int threads = WARPS * LANES, rows = WARPS * WARP_ROWS, rows_stride = rows + PAD;
    static constexpr int a_floats = slab * rows_stride, b_floats = slab * (COLUMNS + PAD);
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
template <bool ALONG, int EXTENT, int PAD, int THREADS, int QUADS>
__device__ __forceinline__ void put(const float4 (&quad)[QUADS], float *slab) {
    constexpr int stride = EXTENT + PAD;
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

// What C becomes at `place`, from the sums of four or two neighbouring columns.
template <bool MASKED> __device__ __forceinline__ void write(const ts_product_work &w, int64_t place, float4 sum) {
    if (MASKED) {
        float4 m = quad_at(w.mask + place);
        sum = make_float4(m.x > 0 ? sum.x : 0, m.y > 0 ? sum.y : 0, m.z > 0 ? sum.z : 0, m.w > 0 ? sum.w : 0);
    } else if (w.plus) {
        sum = sum + quad_at(w.plus + place);
    }
    quad_at(const_cast<float *>(w.c.first) + place) = sum;
}

// A warp's 32 x 64 numbers of C by multiply-adds in float32, each one chain along the depth. A lane's rows are
// 4 lane_row() + {0..3} and the same + 16, its columns 4 lane_column() + {0..3} and the same + 32.
struct float32_lanes {
    static constexpr int pad = TS_QUAD;
    float sum[8][8] = {};

    // Adds the product of a slab, (SLAB, 32) of A and (SLAB, 64) of B.
    template <int SLAB, int A_STRIDE> __device__ __forceinline__ void multiply(const float *a, const float *b) {
        constexpr int b_stride = COLUMNS + pad;
        a += lane_row() * TS_QUAD;
        b += lane_column() * TS_QUAD;
#pragma unroll
        for (int k = 0; k < SLAB; k++) {
            float4 left[2], right[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                left[half] = quad_at(a + k * A_STRIDE + half * WARP_ROWS / 2);
                right[half] = quad_at(b + k * b_stride + half * COLUMNS / 2);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++)
                    sum[i][j] = at(left[i / 4], i % 4) * at(right[j / 4], j % 4) + sum[i][j];
            }
        }
    }

    // The warp's numbers begin at that row and column of C.
    template <bool MASKED>
    __device__ __forceinline__ void write_all(const ts_product_work &w, int64_t offset, int row, int column) const {
        int wide = TS_QUAD_PAD(w.columns);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            int r = row + lane_row() * TS_QUAD + i / 4 * (WARP_ROWS / 2) + i % 4;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                int c = column + lane_column() * TS_QUAD + half * (COLUMNS / 2);
                const float *s = &sum[i][half * 4];
                if (r < w.rows && c < wide)
                    write<MASKED>(w, offset + (int64_t)r * w.c.stride + c, make_float4(s[0], s[1], s[2], s[3]));
            }
        }
    }
};

// The same on tensor cores in 3xTF32: a number is its TF32 and the TF32 of what that leaves, and of the four products
// of these the least is left out. Tensor cores cut off the ends of their sums, so these run over a slab only and are
// added up in float32. Tiles of 16 x 8: a lane has columns 2 (lane % 4) + {0, 1} of rows lane / 4 and the same + 8.
struct tf32_lanes {
    static constexpr int pad = 2 * TS_QUAD, down = WARP_ROWS / 16, across = COLUMNS / 8;
    float sum[down][across][4] = {};

    template <int N> struct split {
        float large[N], small[N];

        __device__ __forceinline__ void set(int i, float x) {
            large[i] = ts_tf32(x);
            small[i] = ts_tf32(x - large[i]);
        }
    };

    template <int SLAB, int A_STRIDE> __device__ __forceinline__ void multiply(const float *a, const float *b) {
        constexpr int b_stride = COLUMNS + pad, steps = SLAB / 8;
        int lane = (int)threadIdx.x % LANES, k = lane % 4;
        a += k * A_STRIDE + lane / 4;
        b += k * b_stride + lane / 4;
        split<4> left[down][steps];
#pragma unroll
        for (int i = 0; i < down; i++) {
#pragma unroll
            for (int s = 0; s < steps; s++) {
#pragma unroll
                for (int part = 0; part < 4; part++) // rows + 8 where it is odd, depth + 4 from 2 on
                    left[i][s].set(part, a[(8 * s + part / 2 * 4) * A_STRIDE + 16 * i + part % 2 * 8]);
            }
        }
#pragma unroll
        for (int j = 0; j < across; j++) {
            split<2> right[steps];
#pragma unroll
            for (int s = 0; s < steps; s++) {
                right[s].set(0, b[8 * s * b_stride + 8 * j]);
                right[s].set(1, b[(8 * s + 4) * b_stride + 8 * j]);
            }
#pragma unroll
            for (int i = 0; i < down; i++) {
                float slab[4] = {};
#pragma unroll
                for (int s = 0; s < steps; s++) {
                    ts_tf32_multiply(slab, left[i][s].small, right[s].large);
                    ts_tf32_multiply(slab, left[i][s].large, right[s].small);
                    ts_tf32_multiply(slab, left[i][s].large, right[s].large);
                }
#pragma unroll
                for (int part = 0; part < 4; part++)
                    sum[i][j][part] += slab[part];
            }
        }
    }

    // Of two lanes side by side, the even one writes four columns of the upper row, the odd one of the lower.
    template <bool MASKED>
    __device__ __forceinline__ void write_all(const ts_product_work &w, int64_t offset, int row, int column) const {
        int lane = (int)threadIdx.x % LANES, wide = TS_QUAD_PAD(w.columns);
        bool odd = lane % 2;
#pragma unroll
        for (int i = 0; i < down; i++) {
            int r = row + 16 * i + lane / 4 + (odd ? 8 : 0);
#pragma unroll
            for (int j = 0; j < across; j++) {
                const float *s = sum[i][j];
                float x = __shfl_xor_sync(0xffffffffu, odd ? s[0] : s[2], 1);
                float y = __shfl_xor_sync(0xffffffffu, odd ? s[1] : s[3], 1);
                int c = column + 8 * j + lane % 4 / 2 * TS_QUAD;
                if (r < w.rows && c < wide)
                    write<MASKED>(w, offset + (int64_t)r * w.c.stride + c,
                                  odd ? make_float4(x, y, s[2], s[3]) : make_float4(s[0], s[1], x, y));
            }
        }
    }
};

// Grid: tiles across C's columns, tiles down its rows, instances x parts; all in x, the others are short.
template <int WARPS, class LANES_OF, bool A_ALONG, bool B_ALONG, bool MASKED>
__global__ void __launch_bounds__(WARPS *LANES, 384 / (WARPS * LANES)) product(const ts_product_work w) {
    constexpr int pad = LANES_OF::pad;
    using shape = tile<WARPS, pad>;
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
    int warp_row = (int)threadIdx.x / LANES * WARP_ROWS;

    bool busy = row + warp_row < w.rows; // a warp below the last row only helps with the slabs
    LANES_OF lanes;
    float4 a_next[shape::a_quads], b_next[shape::b_quads];
    reader<A_ALONG, shape::rows, shape::threads, shape::a_quads> a_reader(a, row);
    reader<B_ALONG, COLUMNS, shape::threads, shape::b_quads> b_reader(b, column);
    a_reader.next(a_next);
    b_reader.next(b_next);
    for (int k = 0, buffer = 0; k < depth; k += shape::slab, buffer ^= 1) {
        // The other buffer may still be read; the one before that is free since the barrier below.
        float *a_now = a_slab + buffer * shape::a_floats, *b_now = b_slab + buffer * shape::b_floats;
        put<A_ALONG, shape::rows, pad, shape::threads>(a_next, a_now);
        put<B_ALONG, COLUMNS, pad, shape::threads>(b_next, b_now);
        __syncthreads();
        if (k + shape::slab < depth) {
            a_reader.next(a_next);
            b_reader.next(b_next);
        }
        if (busy)
            lanes.template multiply<shape::slab, shape::rows_stride>(a_now + warp_row, b_now);
    }
    if (busy)
        lanes.template write_all<MASKED>(w, instance * w.c.instance_step + part * w.c.part_step, row + warp_row,
                                         column);
}

template <int WARPS, class LANES_OF> cudaError_t launch(const ts_product_work &w, cudaStream_t stream) {
    using shape = tile<WARPS, LANES_OF::pad>;
    int64_t across = (w.columns + COLUMNS - 1) / COLUMNS, down = (w.rows - 1) / shape::rows + 1;
    dim3 grid((unsigned)(across * down * w.instances * w.parts)), block(shape::threads);
    if (w.form == TS_PRODUCT_A_TRANSPOSED)
        return LAUNCH((product<WARPS, LANES_OF, true, true, false>), grid, block, shape::shared_bytes, stream, w);
    if (w.form == TS_PRODUCT_PLAIN)
        return LAUNCH((product<WARPS, LANES_OF, false, true, false>), grid, block, shape::shared_bytes, stream, w);
    if (w.mask)
        return LAUNCH((product<WARPS, LANES_OF, false, false, true>), grid, block, shape::shared_bytes, stream, w);
    return LAUNCH((product<WARPS, LANES_OF, false, false, false>), grid, block, shape::shared_bytes, stream, w);
}

// Tiles of 128 rows read less of A and B for each multiply-add; small matrices are better cut finer.
template <class LANES_OF> cudaError_t launch(const ts_product_work &w, cudaStream_t stream) {
    return w.rows >= 512 ? launch<4, LANES_OF>(w, stream) : launch<2, LANES_OF>(w, stream);
}

} // namespace

cudaError_t ts_cuda_product(const ts_product_work *work, cudaStream_t stream) {
    return work->tf32x3 ? launch<tf32_lanes>(*work, stream) : launch<float32_lanes>(*work, stream);
}
