// Cross-entropies of pairs, one by one and of many corrections at once.
#include "measure/losses.h"

#include "base/sets.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

double ts_pair_loss(const double *z, int count, int label) {
    double largest = 0, others = 0;
    if (!isfinite(z[label]))
        return NAN;
    for (int j = 0; j < count; j++)
        largest = z[j] - z[label] > largest ? z[j] - z[label] : largest;
    for (int j = 0; j < count; j++)
        others += j == label ? 0 : exp(z[j] - z[label] - largest);
    return largest > 0 ? largest + log(exp(-largest) + others) : log1p(others);
}

// exp(x) for x <= 0: relative error below 1e-15, 0 below -708, NaN for NaN. Powers of r even and odd are added up by
// themselves, which halves the way from one to the next. Without branches, so that compilers make vectors of it.
static inline __attribute__((always_inline)) double exponential(double x) {
    const double shift = 0x1.8p52; // adding it rounds to a whole number
    double known = x < -708 ? -708 : x, n = known * 1.4426950408889634 + shift, scale;
    uint64_t power;
    memcpy(&power, &n, sizeof power);
    power = (power + 1023) << 52;
    memcpy(&scale, &power, sizeof scale);
    n -= shift;
    double r = known - n * 0x1.62e42fefap-1;
    r -= n * 0x1.cf79abc9e3b3ap-40;
    double s = r * r;
    double even = s * (1.0 / 479001600) + 1.0 / 3628800, odd = s * (1.0 / 39916800) + 1.0 / 362880;
    even = even * s + 1.0 / 40320;
    odd = odd * s + 1.0 / 5040;
    even = even * s + 1.0 / 720;
    odd = odd * s + 1.0 / 120;
    even = even * s + 1.0 / 24;
    odd = odd * s + 1.0 / 6;
    even = even * s + 0.5;
    odd = odd * s + 1;
    double e = (odd * r + (even * s + 1)) * scale;
    return x <= -708 ? 0 : e;
}

static inline double larger_of(double a, double b) {
    return a > b ? a : b;
}

TS_FOR_EACH_SET double ts_largest(const double *x, double sign, int count) {
    double lane[TS_LOSS_LANES];
    int c = 0;
    for (int i = 0; i < TS_LOSS_LANES; i++)
        lane[i] = -INFINITY;
    for (; c + TS_LOSS_LANES <= count; c += TS_LOSS_LANES)
        for (int i = 0; i < TS_LOSS_LANES; i++)
            lane[i] = larger_of(sign * x[c + i], lane[i]);
    for (; c < count; c++)
        lane[0] = larger_of(sign * x[c], lane[0]);
    for (int i = 1; i < TS_LOSS_LANES; i++)
        lane[0] = larger_of(lane[i], lane[0]);
    return lane[0];
}

double ts_largest_other(const double *x, int count, int label) {
    return larger_of(ts_largest(x, 1, label), ts_largest(x + label + 1, 1, count - label - 1));
}

TS_FOR_EACH_SET void ts_exponentials(const double *x, double sign, int count, double *e) {
    double largest = ts_largest(x, sign, count);
    for (int c = 0; c < count; c++)
        e[c] = exponential(sign * x[c] - largest);
    for (int c = count; c < (int)ts_loss_stride(count); c++)
        e[c] = 0;
}

// Sum of e f, lane by lane.
TS_FOR_EACH_SET static double dot(const double *restrict e, const double *restrict f, size_t stride) {
    double lane[TS_LOSS_LANES] = {0};
    for (size_t c = 0; c < stride; c += TS_LOSS_LANES)
        for (size_t i = 0; i < TS_LOSS_LANES; i++)
            lane[i] += e[c + i] * f[c + i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

TS_FOR_EACH_SET static double sum(const double *e, size_t stride) {
    double lane[TS_LOSS_LANES] = {0};
    for (size_t c = 0; c < stride; c += TS_LOSS_LANES)
        for (size_t i = 0; i < TS_LOSS_LANES; i++)
            lane[i] += e[c + i];
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

// A label's factor below this, and what is lost beside it may count. Products that underflow are below 1e-300.
static const double SMALLEST = 1e-150;

double ts_cross_entropy(double *e, const double *z, int count, int label, bool *right) {
    double own = e[label];
    *right = own == 1; // the largest has exp(0)
    for (int c = 0; c < label && *right; c++)
        *right = e[c] != 1 || z[c] != z[label];
    if (own < SMALLEST)
        return ts_pair_loss(z, count, label);
    e[label] = 0;
    double loss = log1p(sum(e, ts_loss_stride(count)) / own);
    e[label] = own;
    return loss;
}

void ts_cross_entropies(double *e, const double *const *corrections, int count, size_t stride, int label,
                        double *losses) {
    double own = e[label];
    e[label] = 0;
    for (int i = 0; i < count; i++) {
        double of_label = own * corrections[i][label];
        losses[i] = of_label > SMALLEST ? log1p(dot(e, corrections[i], stride) / of_label) : NAN;
    }
    e[label] = own;
}

// Products up to this have room for one more factor, as x is below count / SMALLEST.
static const double LARGE = 1e150;

// Without branches, with flags as wide as numbers and eight lanes left as a loop: else gcc makes no vectors of it.
TS_FOR_EACH_SET int ts_cross_entropies_multiply(int panels, double own, const double *restrict factors, size_t stride,
                                                const double *restrict sums, double *restrict product) {
    int64_t left_out = 0, large = 0;
    for (int p = 0; p < panels; p++) {
#pragma GCC unroll 1
        for (size_t i = 0; i < TS_LOSS_LANES; i++) {
            double of_label = own * factors[(size_t)p * stride + i], *to = product + (size_t)p * TS_LOSS_LANES + i;
            double x = sums[(size_t)p * TS_LOSS_LANES + i] / of_label;
            x = of_label > SMALLEST ? x : 0;
            double made = *to + x + *to * x;
            left_out |= of_label > SMALLEST ? 0 : 1;
            large |= made > LARGE ? 1 : 0;
            *to = made;
        }
    }
    return (left_out ? TS_LOSS_LEFT_OUT : 0) | (large ? TS_LOSS_LARGE : 0);
}

bool ts_cross_entropy_is_left_out(double own, double factor) {
    return !(own * factor > SMALLEST);
}

// Many labels share the sums of the numbers before and behind them.
static double sum_of_labels(const double *z, int count, const int *times, const double *e, double *behind) {
    double before = 0, losses = 0;
    behind[count - 1] = 0;
    for (int c = count - 1; c > 0; c--)
        behind[c - 1] = behind[c] + e[c];
    for (int c = 0; c < count; c++) {
        if (times[c] > 0)
            losses += times[c] * (e[c] < SMALLEST ? ts_pair_loss(z, count, c) : log1p((before + behind[c]) / e[c]));
        before += e[c];
    }
    return losses;
}

double ts_cross_entropy_of_labels(const double *z, int count, const int *times, double *e, double *room) {
    enum { FEW = 4 };
    double losses = 0;
    int labels = 0;
    bool right;
    for (int c = 0; c < count; c++)
        labels += times[c] > 0;
    ts_exponentials(z, 1, count, e);
    if (labels > FEW)
        return sum_of_labels(z, count, times, e, room);
    for (int c = 0; c < count; c++)
        losses += times[c] > 0 ? times[c] * ts_cross_entropy(e, z, count, c, &right) : 0;
    return losses;
}
