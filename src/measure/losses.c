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

// Products up to this have room for one more factor, as x is below count / SMALLEST.
static const double LARGE = 1e150;

TS_FOR_EACH_SET int ts_cross_entropies_multiply(int panels, double own, const double *factors, size_t stride,
                                                const double *sums, double *product) {
    ts_quad_mask unknown = {0}, large = {0};
    for (int p = 0; p < panels; p++)
        for (size_t i = 0; i < TS_LOSS_LANES; i += TS_QUAD) {
            ts_quad of_label = own * *(const ts_quad_at *)(factors + (size_t)p * stride + i);
            ts_quad_mask known = of_label > SMALLEST;
            ts_quad x = *(const ts_quad_at *)(sums + (size_t)p * TS_LOSS_LANES + i) / of_label;
            ts_quad_at *to = (ts_quad_at *)(product + (size_t)p * TS_LOSS_LANES + i);
            x = (ts_quad)(known & (ts_quad_mask)x);
            ts_quad made = *to + x + *to * x;
            unknown |= ~known;
            large |= made > LARGE;
            *to = made;
        }
    return (ts_quad_any(&unknown) ? TS_LOSS_LEFT_OUT : 0) | (ts_quad_any(&large) ? TS_LOSS_LARGE : 0);
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
