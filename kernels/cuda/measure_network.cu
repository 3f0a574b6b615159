// Operations of a network on pairs, in double precision. What a pair takes from the tables of its tokens comes from the
// second-level cache; products are the work, and tensor cores' where cuBLAS is there (src/backend/cuda_measure.c).
#include "device.h"

#include "draw.h"
#include "measure.h"

namespace {

constexpr int THREADS = 256;

__device__ __forceinline__ double activated(ts_activation activation, double x) {
    switch (activation) {
    case TS_RELU:
        return x <= 0 ? 0 : x; // NaN stays NaN
    case TS_SQUARE:
        return x * x;
    case TS_CUBE:
        return x * x * x;
    case TS_ABSOLUTE:
        return fabs(x);
    case TS_GELU:
        return 0.5 * x * erfc(-x / 1.41421356237309504880);
    case TS_TANH:
        return tanh(x);
    default:
        return x;
    }
}

// The row of an input that goes with a pair.
__device__ __forceinline__ const double *row_of(const ts_measure_operation &w, int input, int at) {
    ts_measure_rows rows = w.rows[input];
    int64_t row = rows == TS_ROW_OWN ? at : 0;
    if (rows == TS_ROW_LEFT || rows == TS_ROW_RIGHT) {
        int64_t pair = w.pairs.pair ? w.pairs.pair[at] : w.pairs.first + at;
        int number = (int)(rows == TS_ROW_LEFT ? pair / w.pairs.n : pair % w.pairs.n);
        row = w.pairs.token ? w.pairs.token[number] : number;
    }
    return w.in[input] + row * w.wide[input];
}

__device__ __forceinline__ double mixture(const ts_measure_operation &w, int at, int column) {
    const double *share = row_of(w, 0, at);
    double sum = 0;
    for (int j = 1; j < w.inputs; j++)
        sum += share[j - 1] * row_of(w, j, at)[column];
    return sum;
}

// Number by number.
__global__ void __launch_bounds__(THREADS) measure_element(const ts_measure_operation w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index >= (int64_t)w.pairs.count * w.width)
        return;
    int at = (int)(index / w.width), column = (int)(index % w.width);
    double out = 0;
    if (w.operation == TS_SUM)
        out = row_of(w, 0, at)[column] + w.scale * row_of(w, 1, at)[column];
    else if (w.operation == TS_CONCATENATE)
        out = column < w.wide[0] ? row_of(w, 0, at)[column] : row_of(w, 1, at)[column - w.wide[0]];
    else if (w.operation == TS_SLICE)
        out = row_of(w, 0, at)[w.first + column];
    else if (w.operation == TS_ACTIVATION)
        out = activated(w.activation, row_of(w, 0, at)[column]);
    else if (w.operation == TS_SCALE)
        out = row_of(w, 1, at)[0] * row_of(w, 0, at)[column];
    else
        out = mixture(w, at, column);
    w.out[index] = out;
}

__device__ __forceinline__ void normalise(const ts_measure_operation &w, int at) {
    const double *x = row_of(w, 0, at), *gain = row_of(w, 1, at), *bias = row_of(w, 2, at);
    double mean = 0, squares = 0, *out = w.out + (int64_t)at * w.width;
    for (int i = 0; i < w.width; i++)
        mean += x[i] / w.width;
    for (int i = 0; i < w.width; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double inverse = 1 / sqrt(squares / w.width + 1e-5);
    for (int i = 0; i < w.width; i++)
        out[i] = gain[i] * (inverse * (x[i] - mean)) + bias[i];
}

__device__ __forceinline__ void score(const ts_measure_operation &w, int at) {
    const double *q = row_of(w, 0, at), *k = row_of(w, 1, at);
    double sum = 0;
    for (int i = 0; i < w.wide[0]; i++)
        sum += q[i] * k[i];
    w.out[at] = w.scale * sum;
}

__device__ __forceinline__ void attend(const ts_measure_operation &w, int at) {
    double largest = -INFINITY, total = 0, *out = w.out + (int64_t)at * w.width;
    for (int j = 0; j < w.inputs; j++)
        largest = fmax(largest, *row_of(w, j, at));
    for (int j = 0; j < w.inputs; j++)
        total += exp(*row_of(w, j, at) - largest);
    for (int j = 0; j < w.inputs; j++)
        out[j] = w.scale * (exp(*row_of(w, j, at) - largest) / total) + (1 - w.scale);
}

// A thread a row.
__global__ void __launch_bounds__(THREADS) measure_row(const ts_measure_operation w) {
    int at = (int)blockIdx.x * THREADS + (int)threadIdx.x;
    if (at >= w.pairs.count)
        return;
    if (w.operation == TS_NORMALISE)
        normalise(w, at);
    else if (w.operation == TS_SCORE)
        score(w, at);
    else
        attend(w, at);
}

// --- Products ---

constexpr int TILE = 64, SLAB = 8, EACH = 4, SIDE = TILE / EACH;
constexpr int STRIDE = TILE + 2; // doubles between rows of a slab
constexpr size_t SLAB_BYTES = 2 * SLAB * STRIDE * sizeof(double);
static_assert(SIDE * SIDE == THREADS && SLAB_BYTES <= TS_SHARED_WITHOUT_ASKING);

// Grid: tiles across C's columns and down its rows, products. A thread makes 4 x 4 numbers, rows and columns 16 apart.
__global__ void __launch_bounds__(THREADS) measure_product(const ts_measure_product w) {
    DYN_SHARED(double, shared);
    double *a_slab = shared, *b_slab = shared + SLAB * STRIDE; // (SLAB, STRIDE) each, along the depth
    int which = (int)blockIdx.y, across = (w.columns + TILE - 1) / TILE;
    int64_t begin = w.begin ? w.begin[which] - w.begin[0] : (int64_t)which * w.rows;
    int rows = w.begin ? w.begin[which + 1] - w.begin[which] : w.rows;
    int top = (int)blockIdx.x / across * TILE, left = (int)blockIdx.x % across * TILE, self = (int)threadIdx.x;
    const double *a = w.a + begin * w.depth, *b = w.b + which * w.b_step;
    double sum[EACH][EACH] = {};
    if (top >= rows) // all threads of the block
        return;
    for (int k = 0; k < w.depth; k += SLAB) {
#pragma unroll
        for (int i = self; i < SLAB * TILE; i += THREADS) {
            int row = top + i / SLAB, depth = k + i % SLAB;
            a_slab[i % SLAB * STRIDE + i / SLAB] =
                row < rows && depth < w.depth ? a[(int64_t)row * w.depth + depth] : 0;
            int column = left + (w.transposed ? i / SLAB : i % TILE), along = w.transposed ? i % SLAB : i / TILE;
            bool inside = column < w.columns && k + along < w.depth;
            int64_t from =
                w.transposed ? (int64_t)column * w.depth + k + along : (int64_t)(k + along) * w.columns + column;
            b_slab[along * STRIDE + column - left] = inside ? b[from] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int d = 0; d < SLAB; d++) {
            double x[EACH], y[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                x[i] = a_slab[d * STRIDE + self / SIDE + i * SIDE];
                y[i] = b_slab[d * STRIDE + self % SIDE + i * SIDE];
            }
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++)
                    sum[i][j] += x[i] * y[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            int row = top + self / SIDE + i * SIDE, column = left + self % SIDE + j * SIDE;
            if (row < rows && column < w.columns)
                w.c[(begin + row) * w.columns + column] = sum[i][j];
        }
}

// --- Columns ---

__global__ void __launch_bounds__(THREADS) measure_columns(const ts_measure_columns w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index >= w.count * w.columns)
        return;
    int64_t row = index / w.columns;
    int column = (int)(index % w.columns);
    int from = w.token && column < w.classes ? w.token[column] : column;
    w.out[index] = w.from ? w.from[(w.row ? w.row[row] : row) * w.wide + from] : NAN;
}

// --- A changed network ---

// Number `index` of the noise of pairs (a, ..), as ts_philox_normals has it.
__device__ __forceinline__ double normal(const ts_measure_change &w, int a, int64_t index) {
    uint32_t block = w.counter[0] + (uint32_t)(index / 2);
    philox_words random = philox(w.seed, block, w.counter[1] + (uint32_t)a, w.counter[2], w.counter[3]);
    uint64_t u = ((uint64_t)random.word[0] << 32 | random.word[1]) >> 11;
    uint64_t v = ((uint64_t)random.word[2] << 32 | random.word[3]) >> 11;
    double radius = sqrt(-2 * log(((double)u + 1) * 0x1p-53)), turn = 2 * ((double)v * 0x1p-53);
    return radius * (index % 2 == 0 ? cospi(turn) : sinpi(turn));
}

__global__ void __launch_bounds__(THREADS) measure_change(const ts_measure_change w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index >= (int64_t)w.pairs.count * w.hidden)
        return;
    int64_t pair = w.pairs.first + index / w.hidden;
    int k = (int)(index % w.hidden), a = (int)(pair / w.pairs.n), b = (int)(pair % w.pairs.n);
    double sum = w.left_sign * w.left[(int64_t)a * w.hidden + k] + w.right_sign * w.right[(int64_t)b * w.hidden + k];
    double noise = w.deviation != 0 ? w.mean + w.deviation * normal(w, a, (int64_t)b * w.hidden + k) : 0;
    double own = activated(w.activation, sum + w.shift[k] + noise);
    w.h[index] = w.keep ? w.keep[k] * own : own;
}

__global__ void __launch_bounds__(THREADS) measure_shift(const ts_measure_change w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index < (int64_t)w.pairs.count * w.n_out)
        w.logits[index] += w.output_shift[index % w.n_out];
}

unsigned blocks(int64_t threads) {
    return (unsigned)((threads + THREADS - 1) / THREADS);
}

} // namespace

cudaError_t ts_cuda_measure_operation(const ts_measure_operation *work, cudaStream_t stream) {
    bool by_row = work->operation == TS_NORMALISE || work->operation == TS_SCORE || work->operation == TS_ATTEND;
    dim3 block(THREADS);
    if (by_row)
        return LAUNCH(measure_row, dim3(blocks(work->pairs.count)), block, 0, stream, *work);
    return LAUNCH(measure_element, dim3(blocks((int64_t)work->pairs.count * work->width)), block, 0, stream, *work);
}

cudaError_t ts_cuda_measure_product(const ts_measure_product *work, cudaStream_t stream) {
    int64_t across = (work->columns + TILE - 1) / TILE, down = (work->rows + TILE - 1) / TILE;
    return LAUNCH(measure_product, dim3((unsigned)(across * down), (unsigned)work->count), dim3(THREADS), SLAB_BYTES,
                  stream, *work);
}

cudaError_t ts_cuda_measure_change(const ts_measure_change *work, cudaStream_t stream) {
    return LAUNCH(measure_change, dim3(blocks((int64_t)work->pairs.count * work->hidden)), dim3(THREADS), 0, stream,
                  *work);
}

cudaError_t ts_cuda_measure_shift(const ts_measure_change *work, cudaStream_t stream) {
    return LAUNCH(measure_shift, dim3(blocks((int64_t)work->pairs.count * work->n_out)), dim3(THREADS), 0, stream,
                  *work);
}

cudaError_t ts_cuda_measure_columns(const ts_measure_columns *work, cudaStream_t stream) {
    return LAUNCH(measure_columns, dim3(blocks(work->count * work->columns)), dim3(THREADS), 0, stream, *work);
}
