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

// exp(x) for x <= 0, without a branch, so that compilers vectorise loops of it; relative error below 1e-15, 0
// below -708, NaN for NaN.
static inline double exp_negative(double x) {
    static const double coefficient[] = {
        1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1,          1};
    const double shift = 0x1.8p52; // adding it rounds to a whole number
    double inside = x <= -708 ? -708 : x, n = inside * 1.4426950408889634 + shift;
    union {
        double number;
        uint64_t bits;
    } power = {.number = n};
    n -= shift;
    double r = inside - n * 0x1.62e42fefap-1;
    r -= n * 0x1.cf79abc9e3b3ap-40;
    double p = 1.0 / 479001600;
    for (int i = 0; i < 12; i++)
        p = p * r + coefficient[i];
    power.bits = (power.bits + 1023) << 52;
    return x <= -708 ? 0 : p * power.number;
}

// The largest of sign x, lane by lane.
TS_FOR_EACH_SET static double largest_of(const double *x, double sign, int count) {
    double lane[TS_LOSS_LANES];
    int c = 0;
    for (int i = 0; i < TS_LOSS_LANES; i++)
        lane[i] = sign * x[0];
    for (; c + TS_LOSS_LANES <= count; c += TS_LOSS_LANES)
        for (int i = 0; i < TS_LOSS_LANES; i++)
            lane[i] = sign * x[c + i] > lane[i] ? sign * x[c + i] : lane[i];
    for (; c < count; c++)
        lane[0] = sign * x[c] > lane[0] ? sign * x[c] : lane[0];
    for (int i = 1; i < TS_LOSS_LANES; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return lane[0];
}

TS_FOR_EACH_SET void ts_exponentials(const double *x, double sign, int count, double *e) {
    double largest = largest_of(x, sign, count);
    for (int c = 0; c < count; c++)
        e[c] = exp_negative(sign * x[c] - largest);
    for (size_t c = (size_t)count; c < ts_loss_stride(count); c++)
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
