// What measures take of pairs: facts of each, sums over segments of them, losses without corrections. A warp a row
// where rows are gone over, a thread a number where sums run over rows.
#include "device.h"

#include "measure.h"

namespace {

constexpr int THREADS = 256, LANES = 32, WARPS = THREADS / LANES;

// A label's exponential times its factor below this, and what is lost beside it may count (measure/losses.c).
constexpr double SMALLEST = 1e-150;

// All lanes have the sum, in one order.
__device__ __forceinline__ double sum_of_lanes(double x) {
#pragma unroll
    for (int bit = LANES / 2; bit > 0; bit /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, bit);
    return x;
}

__device__ __forceinline__ double largest_of_lanes(double x) {
#pragma unroll
    for (int bit = LANES / 2; bit > 0; bit /= 2) {
        double other = __shfl_xor_sync(0xffffffffu, x, bit);
        x = other > x || isnan(other) ? other : x;
    }
    return x;
}

__device__ __forceinline__ double stable(double z) {
    return z >= 0 ? z + 1 : 1 / (1 - z);
}

// A number's part of a loss: of outputs beside the label. shift: the largest logit.
__device__ __forceinline__ double part_of(ts_loss loss, double z, double shift) {
    return loss == TS_CROSS_ENTROPY ? exp(z - shift) : loss == TS_MSE ? z * z : stable(z);
}

// The loss, from the sum of the others' parts (network/loss.c). largest: of all logits.
__device__ __forceinline__ double loss_of(ts_loss loss, double others, double label, double largest) {
    if (loss == TS_MSE)
        return others + (label - 1) * (label - 1);
    if (loss == TS_STABLEMAX)
        return isfinite(stable(label)) ? log1p(others / stable(label)) : NAN;
    double behind = largest - label;
    if (!isfinite(label))
        return NAN;
    return behind > 0 ? behind + log(exp(-behind) + others) : log1p(others);
}

// By a warp: of logits z (count), the largest of which is known.
__device__ __forceinline__ double loss_of_row(ts_loss loss, const double *z, int count, int label, double largest) {
    double others = 0;
    for (int c = (int)threadIdx.x % LANES; c < count; c += LANES)
        others += c == label ? 0 : part_of(loss, z[c], largest);
    return loss_of(loss, sum_of_lanes(others), z[label], largest);
}

// Of all but the label; NaN if one of them is.
__device__ __forceinline__ double largest_other(const double *z, int count, int label) {
    double largest = -INFINITY;
    for (int c = (int)threadIdx.x % LANES; c < count; c += LANES)
        largest = c != label && (z[c] > largest || isnan(z[c])) ? z[c] : largest;
    return largest_of_lanes(largest);
}

__device__ __forceinline__ double energy_of_row(const double *x, int count, double mean) {
    double sum = 0;
    for (int i = (int)threadIdx.x % LANES; i < count; i += LANES)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum_of_lanes(sum);
}

// In the order of model/pair_device.h.
enum { LOSS, CLASS_LOSS, RIGHT, MEAN, ENERGY, HIDDEN, LABEL, OTHER, FACTS };
static_assert((int)FACTS == (int)TS_MEASURE_FACTS);

// A warp a pair.
__global__ void __launch_bounds__(THREADS) measure_facts(const ts_measure_facts w) {
    int at = (int)blockIdx.x * WARPS + (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    if (at >= w.pairs.count)
        return;
    int64_t pair = w.pairs.pair ? w.pairs.pair[at] : w.pairs.first + at;
    const double *z = w.logits + (int64_t)at * w.outputs, *h = w.h + (int64_t)at * w.hidden;
    double *facts = w.facts + (int64_t)at * TS_MEASURE_FACTS;
    int label = w.label[pair];
    double own = label >= 0 ? z[label] : NAN, sum = 0, other = largest_other(z, w.n_out, label);
    int earlier = 0; // one that is as large
    for (int c = lane; c < w.n_out; c += LANES) {
        sum += z[c];
        earlier |= c < label && !(z[c] < own);
    }
    double mean = sum_of_lanes(sum) / w.n_out;
    bool first = !__any_sync(0xffffffffu, earlier);
    double energy = energy_of_row(z, w.n_out, mean), hidden = energy_of_row(h, w.hidden, 0);
    if (lane == 0) {
        facts[RIGHT] = own >= other && first ? 1 : 0;
        facts[MEAN] = mean;
        facts[ENERGY] = energy;
        facts[HIDDEN] = hidden;
        facts[LABEL] = own;
        facts[OTHER] = other;
    }
    double loss = NAN;
#pragma unroll 1
    for (int which = CLASS_LOSS; which >= LOSS && label >= 0; which--) { // by all outputs, where there are more
        if (which == LOSS && w.outputs > w.n_out)
            other = largest_other(z, w.outputs, label);
        if (which == CLASS_LOSS || w.outputs > w.n_out)
            loss = loss_of_row(w.loss, z, which == LOSS ? w.outputs : w.n_out, label, other > own ? other : own);
        if (lane == 0)
            facts[which] = loss;
    }
    if (lane == 0 && label < 0)
        facts[LOSS] = facts[CLASS_LOSS] = NAN;
}

// --- Sums ---

__device__ __forceinline__ double number_at(const ts_measure_sum &w, int64_t row, int column) {
    if (w.kind == TS_SUM_TURNED) {
        int turned = w.turn[row] - column;
        column = w.at[turned < 0 ? turned + w.width : turned];
    }
    double x = w.values[row * w.wide + column];
    return w.kind == TS_SUM_PLAIN ? x : w.kind == TS_SUM_SQUARES ? x * x : x - w.facts[row * TS_MEASURE_FACTS + w.mean];
}

// A thread a number of a segment.
__global__ void __launch_bounds__(THREADS) measure_sum(const ts_measure_sum w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index >= (int64_t)w.segments * w.width)
        return;
    int segment = (int)(index / w.width), column = (int)(index % w.width);
    double sum = 0;
#pragma unroll 4
    for (int i = w.begin[segment]; i < w.begin[segment + 1]; i++)
        sum += number_at(w, w.row[i], column);
    w.out[index] = sum;
}

// --- Losses ---

__device__ __forceinline__ double correction(const ts_measure_corrections &w, int element, int column, int c) {
    if (!w.left)
        return w.value[column * w.numbers +
                       (w.index ? w.index[(int64_t)element * w.n_out + c] : (int64_t)element * w.n_out + c)];
    double sum = 0;
    for (int i = w.begin[column]; i < w.begin[column + 1]; i++)
        sum += w.left[(int64_t)element * w.terms + w.order[i]] * w.right[(int64_t)w.order[i] * w.n_out + c];
    return sum;
}

// A warp a column of an element.
__global__ void __launch_bounds__(THREADS) measure_corrections(const ts_measure_corrections w) {
    int64_t at = (int64_t)blockIdx.x * WARPS + (int)threadIdx.x / LANES;
    int lane = (int)threadIdx.x % LANES, column = (int)(at % w.columns);
    if (at >= (int64_t)w.elements * w.columns)
        return;
    double *table = w.table + at * w.n_out, largest = -INFINITY;
    for (int c = lane; c < w.n_out; c += LANES) {
        double own = correction(w, w.first + (int)(at / w.columns), column, c);
        table[c] = own;
        largest = -own > largest ? -own : largest;
    }
    if (!w.factor)
        return;
    largest = largest_of_lanes(largest);
    double *factor = w.factor + at / w.columns * w.n_out * w.columns + column;
    for (int c = lane; c < w.n_out; c += LANES)
        factor[(int64_t)c * w.columns] = exp(-table[c] - largest);
}

// A warp a pair.
__global__ void __launch_bounds__(THREADS) measure_exponentials(const ts_measure_exponentials w) {
    int at = (int)blockIdx.x * WARPS + (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    if (at >= w.count)
        return;
    const double *z = w.logits + (int64_t)w.row[at] * w.wide;
    double *e = w.e + (int64_t)at * w.n_out, largest = -INFINITY;
    int label = w.label[at];
    for (int c = lane; c < w.n_out; c += LANES)
        largest = z[c] > largest ? z[c] : largest;
    largest = largest_of_lanes(largest);
    for (int c = lane; c < w.n_out; c += LANES)
        e[c] = c == label ? 0 : exp(z[c] - largest);
    if (lane == 0)
        w.own[at] = exp(z[label] - largest);
}

__device__ __forceinline__ double loss_from_logits(const ts_measure_losses &w, const double *z, const double *table,
                                                   int label) {
    double own = (z ? z[label] : 0) - table[label], largest = own, others = 0;
    if (!z)
        own = largest = table[label];
    for (int c = 0; c < w.n_out; c++) {
        double x = z ? z[c] - table[c] : table[c];
        largest = x > largest ? x : largest;
    }
    for (int c = 0; c < w.n_out; c++)
        others += c == label ? 0 : part_of(w.loss, z ? z[c] - table[c] : table[c], largest);
    return loss_of(w.loss, others, own, largest);
}

// A thread a column of a pair.
__global__ void __launch_bounds__(THREADS) measure_losses(const ts_measure_losses w) {
    int64_t index = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x;
    if (index >= (int64_t)w.count * w.columns)
        return;
    int at = (int)(index / w.columns), column = (int)(index % w.columns), label = w.label[at];
    int64_t element = w.element[at];
    double of_label = w.own ? w.own[at] * w.factor[(element * w.n_out + label) * w.columns + column] : 0, loss;
    if (of_label > SMALLEST) {
        loss = log1p(w.losses[index] / of_label);
    } else {
        const double *z = w.logits ? w.logits + (int64_t)(w.row ? w.row[at] : at) * w.wide : NULL;
        loss = loss_from_logits(w, z, w.table + (element * w.columns + column) * w.n_out, label);
    }
    w.losses[index] = w.times ? w.times[at] * loss : loss;
}

unsigned blocks(int64_t threads) {
    return (unsigned)((threads + THREADS - 1) / THREADS);
}

} // namespace

cudaError_t ts_cuda_measure_facts(const ts_measure_facts *work, cudaStream_t stream) {
    return LAUNCH(measure_facts, dim3(blocks((int64_t)work->pairs.count * LANES)), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_measure_sum(const ts_measure_sum *work, cudaStream_t stream) {
    return LAUNCH(measure_sum, dim3(blocks((int64_t)work->segments * work->width)), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_measure_corrections(const ts_measure_corrections *work, cudaStream_t stream) {
    int64_t rows = (int64_t)work->elements * work->columns;
    return LAUNCH(measure_corrections, dim3(blocks(rows * LANES)), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_measure_exponentials(const ts_measure_exponentials *work, cudaStream_t stream) {
    return LAUNCH(measure_exponentials, dim3(blocks((int64_t)work->count * LANES)), dim3(THREADS), 0, stream, *work);
}

cudaError_t ts_cuda_measure_losses(const ts_measure_losses *work, cudaStream_t stream) {
    return LAUNCH(measure_losses, dim3(blocks((int64_t)work->count * work->columns)), dim3(THREADS), 0, stream, *work);
}
