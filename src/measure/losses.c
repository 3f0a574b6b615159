// Cross-entropies of pairs, one by one and of many corrections at once.
#include "measure/losses.h"

#include "base/quad.h"
#include "base/sets.h"

#include <math.h>
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
// themselves, which halves the way from one to the next.
static inline __attribute__((always_inline)) void take_exponential(ts_quad *at) {
    const double shift = 0x1.8p52; // adding it rounds to a whole number
    const ts_quad smallest = {-708, -708, -708, -708};
    ts_quad_mask is_tiny = *at <= smallest;
    ts_quad x = (ts_quad)((~is_tiny & (ts_quad_mask)*at) | (is_tiny & (ts_quad_mask)smallest));
    ts_quad n = x * 1.4426950408889634 + shift;
    ts_quad_mask power = ((ts_quad_mask)n + 1023) << 52;
    n -= shift;
    ts_quad r = x - n * 0x1.62e42fefap-1;
    r -= n * 0x1.cf79abc9e3b3ap-40;
    ts_quad s = r * r;
    ts_quad even = s * (1.0 / 479001600) + 1.0 / 3628800, odd = s * (1.0 / 39916800) + 1.0 / 362880;
    even = even * s + 1.0 / 40320;
    odd = odd * s + 1.0 / 5040;
    even = even * s + 1.0 / 720;
    odd = odd * s + 1.0 / 120;
    even = even * s + 1.0 / 24;
    odd = odd * s + 1.0 / 6;
    even = even * s + 0.5;
    odd = odd * s + 1;
    *at = (ts_quad)(~is_tiny & (ts_quad_mask)((odd * r + (even * s + 1)) * (ts_quad)power));
}

static inline __attribute__((always_inline)) void take_larger(ts_quad *largest, const ts_quad *x) {
    ts_quad_mask is_larger = *x > *largest;
    *largest = (ts_quad)((is_larger & (ts_quad_mask)*x) | (~is_larger & (ts_quad_mask)*largest));
}

// The largest of sign x.
TS_FOR_EACH_SET static double largest_of(const double *x, double sign, int count) {
    double first = sign * x[0], largest = first;
    ts_quad even = {first, first, first, first}, odd = even;
    int c = 0;
    for (; c + 2 * TS_QUAD <= count; c += 2 * TS_QUAD) {
        ts_quad left = sign * *(const ts_quad_at *)(x + c), right = sign * *(const ts_quad_at *)(x + c + TS_QUAD);
        take_larger(&even, &left);
        take_larger(&odd, &right);
    }
    take_larger(&even, &odd);
    for (int i = 0; i < TS_QUAD; i++)
        largest = even[i] > largest ? even[i] : largest;
    for (; c < count; c++)
        largest = sign * x[c] > largest ? sign * x[c] : largest;
    return largest;
}

TS_FOR_EACH_SET void ts_exponentials(const double *x, double sign, int count, double *e) {
    double largest = largest_of(x, sign, count);
    int c = 0;
    for (; c + TS_QUAD <= count; c += TS_QUAD) {
        ts_quad own = sign * *(const ts_quad_at *)(x + c) - largest;
        take_exponential(&own);
        *(ts_quad_at *)(e + c) = own;
    }
    for (; c < (int)ts_loss_stride(count); c += TS_QUAD) {
        ts_quad own;
        for (int i = 0; i < TS_QUAD; i++)
            own[i] = c + i < count ? sign * x[c + i] - largest : -INFINITY;
        take_exponential(&own);
        *(ts_quad_at *)(e + c) = own;
    }
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
