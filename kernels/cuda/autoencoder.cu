// The autoencoder: one block trains one instance for many steps. Weights, Adam's moments, batches and random numbers
// stay on chip; nothing is shared between blocks, so there is no barrier of the grid. A step, for a tile of the
// batch's rows at a time (docs/workloads.md has the formulas):
//     h = W x                             threads: (row, 4 hidden units), over the features that are on
//     z, loss, dz and dh = W dz together  threads: (row, group of features); columns of W are broadcast
//     dW = h dz^T + dh x^T, db            threads: (feature, group of rows); h is broadcast
//     Adam                                threads: 4 parameters
// Sums run in an order that depends on the shape only; there are no float atomics.
// gate: train<[1-4], 0>: 2 blocks
// gate: train<4, 1>: 2 blocks
// gate: 128-bit global loads
#include "cuda/adam.cuh"
#include "cuda/device.h"
#include "cuda/draw.h"
#include "cuda/kernels.h"

namespace {

enum { WARP = 32, MOST_THREADS = TS_AUTOENCODER_THREADS };

// Everything a phase needs: the arguments, and this block's memory.
template <int CHUNK> struct block_state {
    const ts_cuda_autoencoder_work &a;
    float *w, *b, *moments, *scale, *h, *dh, *dz, *value, *partial, *list_weight;
    uint32_t *bits;
    int *count, *list_input, *list_rows;
    uint64_t seed;
    int thread, threads, lane, warp, warps;
};

static __device__ __forceinline__ float4 load4(const float *from) {
    return *reinterpret_cast<const float4 *>(from);
}

static __device__ __forceinline__ void store4(float *to, float4 v) {
    *reinterpret_cast<float4 *>(to) = v;
}

static __device__ __forceinline__ float4 fma4(float a, float4 b, float4 c) {
    return make_float4(fmaf(a, b.x, c.x), fmaf(a, b.y, c.y), fmaf(a, b.z, c.z), fmaf(a, b.w, c.w));
}

static __device__ __forceinline__ float4 add4(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

static __device__ __forceinline__ float4 zero4() {
    return make_float4(0, 0, 0, 0);
}

// --- Between global memory and the block's ---

// Packed (hidden + 1, features) <-> columns with pads, for the weights (part 0) and both moments.
template <bool IN, int CHUNK>
static __device__ __forceinline__ void move_state(const block_state<CHUNK> &s, float *packed) {
    const int features = s.a.features, stride = s.a.layout.hidden_stride, size = features * (stride + 1);
    for (int part = 0; part < TS_ADAM_PARTS; part++) {
        float *mine = part == 0 ? s.w : s.moments + (size_t)(part - 1) * (size_t)((size + 3) & ~3);
        float *theirs = packed + (size_t)part * (size_t)((s.a.hidden + 1) * features);
        for (int k = 0; k <= stride; k++) { // row `stride` is b
            for (int f = s.thread; f < features; f += s.threads) {
                int at = k < stride ? f * stride + k : features * stride + f;
                int source = k < s.a.hidden ? k : k == stride ? s.a.hidden : -1;
                if (IN)
                    mine[at] = source >= 0 ? theirs[(size_t)source * (size_t)features + f] : 0;
                else if (source >= 0)
                    theirs[(size_t)source * (size_t)features + f] = mine[at];
            }
        }
    }
}

// The last quad of weights, moments and gradients may end in pads: zeros, so that Adam finds no other numbers there.
template <int CHUNK> static __device__ __forceinline__ void clear_pads(const block_state<CHUNK> &s) {
    const int size = s.a.features * (s.a.layout.hidden_stride + 1), whole = (size + 3) & ~3;
    for (int i = size + s.thread; i < whole; i += s.threads) {
        s.w[i] = s.moments[i] = s.moments[whole + i] = 0;
        for (int group = 0; group < s.a.layout.row_groups; group++)
            s.partial[(size_t)group * (size_t)whole + i] = 0;
    }
}

// --- Batches ---

// Lists the inputs that occur in each drawn batch, in order, with their share: a warp for each step.
template <int CHUNK> static __device__ __forceinline__ void list_rows(const block_state<CHUNK> &s, int draws) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const double share = 1.0 / s.a.data.samples;
    for (int draw = s.warp; draw < draws; draw += s.warps) {
        const int *count = s.count + (size_t)draw * (size_t)layout.nodes + first_input(s.a.data);
        int *input = s.list_input + (size_t)draw * (size_t)layout.most_rows, rows = 0;
        float *weight = s.list_weight + (size_t)draw * (size_t)layout.most_rows;
        for (int first = 0; first < s.a.data.inputs; first += WARP) {
            int i = first + s.lane, n = i < s.a.data.inputs ? count[i] : 0;
            unsigned occurs = __ballot_sync(0xffffffffu, n > 0);
            if (n > 0) {
                int at = rows + __popc(occurs & ((1u << s.lane) - 1));
                input[at] = i;
                weight[at] = (float)(n * share);
            }
            rows += __popc(occurs);
        }
        if (s.lane == 0)
            s.list_rows[draw] = rows;
    }
}

// Bits, and values, of rows first .. first + n - 1 of a batch that is drawn sample by sample. Ends with a barrier.
template <int CHUNK>
static __device__ __forceinline__ void draw_tile(const block_state<CHUNK> &s, uint32_t step, int first, int n) {
    const int words = s.a.data.words;
    for (int item = s.thread; item < n * words; item += s.threads)
        s.bits[item] = draw_word(s.a.data, s.seed, step, (uint32_t)(first + item / words), item % words);
    __syncthreads();
    if (s.a.data.binary)
        return;
    for (int item = s.thread; item < n * words; item += s.threads) {
        int row = item / words, rank = 0;
        for (int word = row * words; word < item; word++)
            rank += __popc(s.bits[word]);
        draw_word_values(s.a.data, s.seed, step, (uint32_t)(first + row), rank, s.bits[item],
                         s.value + row * s.a.layout.row_stride + item % words * 32);
    }
    __syncthreads();
}

// Bits of listed rows.
template <int CHUNK>
static __device__ __forceinline__ void copy_bits(const block_state<CHUNK> &s, const int *input, int first, int n) {
    const int words = s.a.data.words;
    for (int item = s.thread; item < n * words; item += s.threads) {
        int row = first + item / words;
        s.bits[item] = s.a.data.bits[(size_t)(input ? input[row] : row) * (size_t)words + item % words];
    }
    __syncthreads();
}

// --- The phases of a step ---

template <int CHUNK> static __device__ __forceinline__ void make_hidden(const block_state<CHUNK> &s, int n) {
    const int stride = s.a.layout.hidden_stride, vectors = stride / 4, words = s.a.data.words;
    const bool valued = s.a.data.inputs == 0 && !s.a.data.binary;
    for (int item = s.thread; item < n * vectors; item += s.threads) {
        int row = item / vectors, k = item % vectors * 4;
        float4 sum = zero4();
        for (int word = 0; word < words; word++)
            for (uint32_t on = s.bits[row * words + word]; on; on &= on - 1) {
                int f = 32 * word + __ffs((int)on) - 1;
                float4 column = load4(s.w + (size_t)f * (size_t)stride + k);
                sum = valued ? fma4(s.value[row * s.a.layout.row_stride + f], column, sum) : add4(sum, column);
            }
        store4(s.h + row * stride + k, sum);
    }
}

// What the loss needs of one feature of one row. A z that is not a number stays so.
struct error_terms {
    float loss, dz;
};

static __device__ __forceinline__ error_terms error_of(float z, float x, float scale, float twice_weight, float loss) {
    float error = (z <= 0 ? 0 : z) - x, scaled = scale * error;
    return {fmaf(scaled, error, loss), z <= 0 ? 0 : twice_weight * scaled};
}

// x of feature f, bit `j` of its word.
template <int CHUNK>
static __device__ __forceinline__ float input_of(const block_state<CHUNK> &s, uint32_t bits, int j, bool valued,
                                                 int at) {
    return bits >> j & 1 ? (valued ? s.value[at] : 1.0f) : 0.0f;
}

// z, dz and dh of one row for this warp's group of features, when all hidden units fit into registers. Returns the
// row's loss, unweighted.
template <int CHUNK>
static __device__ __forceinline__ float forward_backward(const block_state<CHUNK> &s, int row, int group,
                                                         float weight) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const int words = s.a.data.words, stride = CHUNK * 4, at = row * layout.row_stride;
    const bool valued = s.a.data.inputs == 0 && !s.a.data.binary;
    float4 h[CHUNK], dh[CHUNK];
    float loss = 0;
#pragma unroll
    for (int v = 0; v < CHUNK; v++) {
        h[v] = load4(s.h + row * stride + 4 * v);
        dh[v] = zero4();
    }
    for (int word = group; word < words; word += layout.groups) {
        uint32_t bits = s.bits[row * words + word];
        int end = min(WARP, s.a.features - word * WARP);
#pragma unroll 2
        for (int j = 0; j < end; j++) {
            int f = word * WARP + j;
            float4 w[CHUNK];
            float z0 = s.b[f], z1 = 0;
#pragma unroll
            for (int v = 0; v < CHUNK; v++) {
                w[v] = load4(s.w + (size_t)f * (size_t)stride + 4 * v);
                z0 = fmaf(h[v].x, w[v].x, z0);
                z1 = fmaf(h[v].y, w[v].y, z1);
                z0 = fmaf(h[v].z, w[v].z, z0);
                z1 = fmaf(h[v].w, w[v].w, z1);
            }
            error_terms e = error_of(z0 + z1, input_of(s, bits, j, valued, at + f), s.scale[f], 2 * weight, loss);
            loss = e.loss;
            s.dz[at + f] = e.dz;
#pragma unroll
            for (int v = 0; v < CHUNK; v++)
                dh[v] = fma4(e.dz, w[v], dh[v]);
        }
    }
#pragma unroll
    for (int v = 0; v < CHUNK; v++)
        store4(s.dh + (group * layout.tile + row) * stride + 4 * v, dh[v]);
    return loss;
}

// The same for any number of hidden units, a chunk at a time: z is gathered where dz will be.
template <int CHUNK>
static __device__ __forceinline__ float forward_chunks(const block_state<CHUNK> &s, int row, int group, float weight) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const int words = s.a.data.words, stride = layout.hidden_stride, at = row * layout.row_stride;
    const bool valued = s.a.data.inputs == 0 && !s.a.data.binary;
    float loss = 0;
    for (int first = 0; first < stride; first += 4 * CHUNK) {
        float4 h[CHUNK];
#pragma unroll
        for (int v = 0; v < CHUNK; v++)
            h[v] = load4(s.h + (size_t)row * (size_t)stride + first + 4 * v);
        const bool last = first + 4 * CHUNK >= stride;
        for (int word = group; word < words; word += layout.groups) {
            uint32_t bits = s.bits[row * words + word];
            int end = min(WARP, s.a.features - word * WARP);
            for (int j = 0; j < end; j++) {
                int f = word * WARP + j;
                float z0 = first == 0 ? s.b[f] : s.dz[at + f], z1 = 0;
#pragma unroll
                for (int v = 0; v < CHUNK; v++) {
                    float4 w = load4(s.w + (size_t)f * (size_t)stride + first + 4 * v);
                    z0 = fmaf(h[v].x, w.x, z0);
                    z1 = fmaf(h[v].y, w.y, z1);
                    z0 = fmaf(h[v].z, w.z, z0);
                    z1 = fmaf(h[v].w, w.w, z1);
                }
                float z = z0 + z1;
                if (last) {
                    error_terms e = error_of(z, input_of(s, bits, j, valued, at + f), s.scale[f], 2 * weight, loss);
                    loss = e.loss;
                    z = e.dz;
                }
                s.dz[at + f] = z;
            }
        }
    }
    return loss;
}

template <int CHUNK>
static __device__ __forceinline__ void backward_chunks(const block_state<CHUNK> &s, int row, int group) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const int words = s.a.data.words, stride = layout.hidden_stride, at = row * layout.row_stride;
    for (int first = 0; first < stride; first += 4 * CHUNK) {
        float4 dh[CHUNK];
#pragma unroll
        for (int v = 0; v < CHUNK; v++)
            dh[v] = zero4();
        for (int word = group; word < words; word += layout.groups) {
            int end = min(WARP, s.a.features - word * WARP);
            for (int j = 0; j < end; j++) {
                int f = word * WARP + j;
                float dz = s.dz[at + f];
#pragma unroll
                for (int v = 0; v < CHUNK; v++)
                    dh[v] = fma4(dz, load4(s.w + (size_t)f * (size_t)stride + first + 4 * v), dh[v]);
            }
        }
#pragma unroll
        for (int v = 0; v < CHUNK; v++)
            store4(s.dh + (size_t)(group * layout.tile + row) * (size_t)stride + first + 4 * v, dh[v]);
    }
}

// dh of all groups of features, into the first's place.
template <int CHUNK> static __device__ __forceinline__ void add_groups(const block_state<CHUNK> &s, int n) {
    const int stride = s.a.layout.hidden_stride;
    const size_t group = (size_t)s.a.layout.tile * (size_t)stride;
    for (int item = s.thread; item < n * stride / 4; item += s.threads) {
        float4 sum = load4(s.dh + (size_t)item * 4);
        for (int g = 1; g < s.a.layout.groups; g++)
            sum = add4(sum, load4(s.dh + (size_t)g * group + (size_t)item * 4));
        store4(s.dh + (size_t)item * 4, sum);
    }
}

// Gradients of 32 features from a share of the tile's rows: a warp's work.
template <int CHUNK>
static __device__ __forceinline__ void gradient(const block_state<CHUNK> &s, int n, int word, int row_group, bool add) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const int words = s.a.data.words, stride = layout.hidden_stride, f = word * WARP + s.lane;
    const bool valued = s.a.data.inputs == 0 && !s.a.data.binary, mine = f < s.a.features;
    const size_t size = (size_t)s.a.features * (size_t)(stride + 1);
    float *partial = s.partial + (size_t)row_group * ((size + 3) & ~(size_t)3);
    for (int first = 0; first < stride; first += 4 * CHUNK) {
        float4 sum[CHUNK];
        float db = 0;
#pragma unroll
        for (int v = 0; v < CHUNK; v++)
            sum[v] = zero4();
#pragma unroll 2
        for (int row = row_group; row < n; row += layout.row_groups) {
            float dz = mine ? s.dz[row * layout.row_stride + f] : 0;
            uint32_t bits = s.bits[row * words + word];
            db += dz;
#pragma unroll
            for (int v = 0; v < CHUNK; v++)
                sum[v] = fma4(dz, load4(s.h + (size_t)row * (size_t)stride + first + 4 * v), sum[v]);
            if (bits >> s.lane & 1) {
                float x = valued ? s.value[row * layout.row_stride + f] : 1;
#pragma unroll
                for (int v = 0; v < CHUNK; v++)
                    sum[v] = fma4(x, load4(s.dh + (size_t)row * (size_t)stride + first + 4 * v), sum[v]);
            }
        }
        if (!mine)
            continue;
        float *to = partial + (size_t)f * (size_t)stride + first;
#pragma unroll
        for (int v = 0; v < CHUNK; v++)
            store4(to + 4 * v, add ? add4(load4(to + 4 * v), sum[v]) : sum[v]);
        if (first == 0) {
            float *b = partial + (size_t)s.a.features * (size_t)stride + f;
            *b = add ? *b + db : db;
        }
    }
}

// Columns of W before the step. All threads of the block; ends with a barrier.
template <int CHUNK> static __device__ __forceinline__ void grow(const block_state<CHUNK> &s, float decay) {
    for (int f = s.thread; f < s.a.features; f += s.threads) {
        float *w = s.w + (size_t)f * (size_t)s.a.layout.hidden_stride, square = 0;
#pragma unroll 1
        for (int k = 0; k < s.a.hidden; k++)
            square = fmaf(w[k], w[k], square);
        float factor = growth_factor(decay, square);
#pragma unroll 1
        for (int k = 0; k < s.a.hidden; k++)
            w[k] *= factor;
    }
    __syncthreads();
}

// False if a parameter of this thread's, or a moment, is not finite now.
template <int CHUNK>
static __device__ __forceinline__ bool adam(const block_state<CHUNK> &s, const ts_adam_betas &betas,
                                            const ts_adam_rates &rates) {
    const int size = (s.a.features * (s.a.layout.hidden_stride + 1) + 3) & ~3;
    float *first = s.moments, *second = s.moments + size;
    bool sound = true;
    for (int i = s.thread * 4; i < size; i += s.threads * 4) {
        float4 g = load4(s.partial + i);
        for (int group = 1; group < s.a.layout.row_groups; group++)
            g = add4(g, load4(s.partial + (size_t)group * (size_t)size + i));
        float4 w = load4(s.w + i), m = load4(first + i), v = load4(second + i);
        adam_quad(betas, rates, g, w, m, v);
        sound = sound && finite_quad(w);
        store4(s.w + i, w);
        store4(first + i, m);
        store4(second + i, v);
    }
    return sound;
}

// Gradient of one batch into `partial`; *loss is this thread's share. Ends before a barrier.
template <int CHUNK>
static __device__ __forceinline__ void batch_gradient(const block_state<CHUNK> &s, int64_t step, int draw,
                                                      double *loss) {
    const ts_cuda_autoencoder_layout &layout = s.a.layout;
    const ts_cuda_features &data = s.a.data;
    const bool listed = data.samples > 0 && data.inputs > 0;
    const int rows = listed ? s.list_rows[draw] : data.inputs > 0 ? data.inputs : data.samples;
    const int *input = listed ? s.list_input + (size_t)draw * (size_t)layout.most_rows : nullptr;
    const float *list_weight = s.list_weight + (size_t)draw * (size_t)layout.most_rows;
    const float share = (float)(1.0 / data.samples);
    const int row = s.warp % (layout.tile / WARP) * WARP + s.lane, group = s.warp / (layout.tile / WARP);
    for (int first = 0; first < rows; first += layout.tile) {
        int n = min(layout.tile, rows - first);
        if (first > 0)
            __syncthreads(); // the tile before is done with
        if (data.inputs > 0)
            copy_bits(s, input, first, n);
        else
            draw_tile(s, (uint32_t)step, first, n);
        make_hidden(s, n);
        __syncthreads();
        if (row < n) {
            float weight = listed ? list_weight[first + row] : data.inputs > 0 ? data.probability[first + row] : share;
            float mine;
            if (layout.hidden_stride == 4 * CHUNK) {
                mine = forward_backward(s, row, group, weight);
            } else {
                mine = forward_chunks(s, row, group, weight);
                backward_chunks(s, row, group);
            }
            *loss += (double)weight * (double)mine;
        }
        __syncthreads();
        if (layout.groups > 1) {
            add_groups(s, n);
            __syncthreads();
        }
        for (int item = s.warp; item < data.words * layout.row_groups; item += s.warps)
            gradient(s, n, item % data.words, item / data.words, first > 0);
    }
}

// Blocks of a multiprocessor that registers must be left for.
template <int CHUNK, ts_cuda_placement PLACEMENT>
constexpr int BLOCKS = CHUNK <= 4 && PLACEMENT != TS_ALL_OFF_CHIP ? 2 : 1;

template <int CHUNK, ts_cuda_placement PLACEMENT>
__global__ void __launch_bounds__(MOST_THREADS, BLOCKS<CHUNK, PLACEMENT>) train(const ts_cuda_autoencoder_work a) {
    DYN_SHARED(float, shared);
    const int instance = (int)blockIdx.x;
    if (a.reached[instance] != a.from)
        return;
    float *scratch = a.scratch + (size_t)instance * a.scratch_floats;
    float *base = PLACEMENT == TS_ALL_OFF_CHIP ? scratch : shared;
    const ts_cuda_autoencoder_layout &layout = a.layout;
    const block_state<CHUNK> s = {
        a,
        base + layout.w,
        base + layout.w + (size_t)a.features * (size_t)layout.hidden_stride,
        (PLACEMENT == TS_ALL_ON_CHIP ? shared : scratch) + layout.moments,
        base + layout.scale,
        base + layout.h,
        base + layout.dh,
        base + layout.dz,
        base + layout.value,
        base + layout.partial,
        base + layout.list_weight,
        reinterpret_cast<uint32_t *>(base + layout.bits),
        reinterpret_cast<int *>(base + layout.dz),
        reinterpret_cast<int *>(base + layout.list_input),
        reinterpret_cast<int *>(base + layout.list_rows),
        a.seed[instance],
        (int)threadIdx.x,
        (int)blockDim.x,
        (int)threadIdx.x % WARP,
        (int)threadIdx.x / WARP,
        (int)blockDim.x / WARP,
    };
    float *state = a.state + (size_t)instance * TS_ADAM_PARTS * (size_t)((a.hidden + 1) * a.features);
    const ts_adam_rates *rates = a.rates + (size_t)a.schedule[instance] * (size_t)a.schedule_steps;
    const ts_adam_betas betas = a.betas[instance];
    move_state<true>(s, state);
    clear_pads(s);
    for (int f = s.thread; f < a.features; f += s.threads)
        s.scale[f] = a.scale[(size_t)instance * (size_t)a.features + f];

    double loss = 0;
    int done = 0;
    for (; done < a.steps; done++) {
        int draw = done % layout.draws;
        if (draw == 0 && a.data.samples > 0 && a.data.inputs > 0) {
            int draws = min(layout.draws, a.steps - done);
            draw_counts(a.data, s.seed, (uint32_t)(a.from + done), draws, layout.nodes, s.count);
            list_rows(s, draws);
            __syncthreads();
        }
        loss = 0;
        batch_gradient(s, a.from + done, draw, &loss);
        if (__syncthreads_or(!isfinite(loss)))
            break;
        ts_adam_rates next = rates[done];
        if (next.decay > 1) {
            grow(s, next.decay);
            next.decay = 1;
        }
        if (__syncthreads_or(!adam(s, betas, next)))
            break;
    }

    move_state<false>(s, state);
    // dh has room for a double of each thread.
    double *losses = reinterpret_cast<double *>(s.dh);
    losses[s.thread] = loss;
    __syncthreads();
    if (s.thread != 0)
        return;
    for (int i = 1; i < s.threads; i++)
        loss += losses[i];
    a.loss[instance] = loss;
    a.reached[instance] = a.from + done;
}

} // namespace

extern "C" cudaError_t ts_cuda_autoencoder_train(const ts_cuda_autoencoder_work *work, cudaStream_t stream) {
    dim3 blocks((unsigned)work->instances), threads((unsigned)ts_cuda_autoencoder_threads(work));
    size_t shared = ts_cuda_autoencoder_shared(work);
#define CASE(VECTORS, PLACEMENT)                                                                                       \
    if (work->placement == PLACEMENT && work->layout.chunk == VECTORS)                                                 \
    return LAUNCH((train<VECTORS, PLACEMENT>), blocks, threads, shared, stream, *work)
    CASE(1, TS_ALL_ON_CHIP);
    CASE(2, TS_ALL_ON_CHIP);
    CASE(3, TS_ALL_ON_CHIP);
    CASE(4, TS_ALL_ON_CHIP);
    CASE(8, TS_ALL_ON_CHIP);
    CASE(4, TS_MOMENTS_OFF_CHIP);
    CASE(8, TS_MOMENTS_OFF_CHIP);
    CASE(4, TS_ALL_OFF_CHIP);
    CASE(8, TS_ALL_OFF_CHIP);
#undef CASE
    return cudaErrorInvalidValue;
}
