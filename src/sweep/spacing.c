// From two ends and a count to numbers with few digits.
#include "sweep/spacing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t MOST = 100000;

// The nearest number of 12 significant digits, as strtod reads it.
static double round_digits(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.11e", value);
    return strtod(text, NULL);
}

// --- Even differences ---

// first + (last - first) i / (count - 1), in counts of 1 / divisor: whole part and remainder of the quotient, in
// integers, so that nothing cancels.
static double linear_at(const ts_spacing *s, int64_t i) {
    int64_t gaps = s->count - 1, difference = s->last - s->first;
    int64_t rest = difference % gaps * i; // below 1e14
    int64_t whole = s->first + difference / gaps * i + rest / gaps;
    rest %= gaps;
    if (rest == 0)
        return (double)whole / s->divisor;
    double value = llabs(whole) < ((int64_t)1 << 62) / gaps ? (double)(whole * gaps + rest) / (double)gaps
                                                            : (double)whole + (double)rest / (double)gaps;
    return round_digits(value / s->divisor);
}

// --- Even ratios ---

static void take_roots(double of, double root[TS_SPACING_ROOTS]) {
    for (int k = 0; k < TS_SPACING_ROOTS; k++)
        root[k] = of = sqrt(of);
}

// from^(1 - t) to^t with t = i / (count - 1): each binary digit of t takes the root of one end or of the other. Square
// roots and products are rounded alike everywhere, which powers and logarithms are not.
static double log_at(const ts_spacing *s, int64_t i) {
    int64_t gaps = s->count - 1, rest = i;
    double value = 1;
    for (int k = 0; k < TS_SPACING_ROOTS; k++) {
        rest *= 2;
        value *= rest >= gaps ? s->to_root[k] : s->from_root[k];
        rest -= rest >= gaps ? gaps : 0;
    }
    return round_digits(value);
}

// --- Both ---

double ts_spacing_at(const ts_spacing *spacing, int64_t i) {
    if (i == 0)
        return spacing->from;
    if (i == spacing->count - 1)
        return spacing->to;
    return spacing->log ? log_at(spacing, i) : linear_at(spacing, i);
}

// Whether neighbours differ by more than the rounding, which is enough to see at the ends: differences, or ratios, are
// even.
static bool are_apart(double a, double b) {
    return fabs(a - b) > 2e-11 * fmax(fabs(a), fabs(b));
}

const char *ts_spacing_make(bool log, const ts_decimal *from, const ts_decimal *to, int64_t count, ts_spacing *out) {
    *out = (ts_spacing){.log = log, .count = count, .from = from->value, .to = to->value};
    if (count < 2)
        return "needs 2 values or more";
    if (count > MOST)
        return "has at most 100000 values";
    if (log && (from->value <= 0 || to->value <= 0))
        return "needs ends above 0; use linspace, or a list";
    if (from->value == to->value)
        return "has the same number at both ends";
    if (log) {
        take_roots(from->value, out->from_root);
        take_roots(to->value, out->to_root);
    } else if (!ts_decimals_scale(from, to, &out->first, &out->last, &out->divisor)) {
        return "has numbers of too many digits";
    }
    if (!are_apart(out->from, ts_spacing_at(out, 1)) || !are_apart(ts_spacing_at(out, count - 2), out->to))
        return "has ends too near to each other for that many values of 12 digits";
    return NULL;
}
