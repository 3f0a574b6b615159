// Numbers evenly spaced between two ends, or with even ratios. The ends are what was written. Between them a value is
// the decimal that has no more places than the ends, if there is one, else rounded to 12 significant digits: so that
// values are short, and the same on every machine, whatever its mathematical library (they enter identities).
#pragma once

#include "sweep/number.h"

enum { TS_SPACING_ROOTS = 64 };

typedef struct ts_spacing {
    bool log;
    int64_t count;
    double from, to;
    // Even differences: the ends as whole counts of 1 / divisor.
    int64_t first, last;
    double divisor;
    // Even ratios: from^(1/2), from^(1/4), ... and the same of to.
    double from_root[TS_SPACING_ROOTS], to_root[TS_SPACING_ROOTS];
} ts_spacing;

// NULL, or what is wrong.
const char *ts_spacing_make(bool log, const ts_decimal *from, const ts_decimal *to, int64_t count, ts_spacing *out);
double ts_spacing_at(const ts_spacing *spacing, int64_t i); // 0 <= i < count
