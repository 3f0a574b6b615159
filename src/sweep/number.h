// Decimal numbers as users write them, kept exactly: so that 0.1..0.5..0.1 gives the very numbers that a list
// of the same decimals would. Only syntax and arithmetic; what a key allows is value.h's business.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// mantissa * 10^exponent
typedef struct ts_decimal {
    int64_t mantissa;
    int exponent;
    bool exact;   // the digits fit the mantissa
    double value; // correctly rounded
} ts_decimal;

// NULL, or what is wrong with it ("is not a number", "has a leading zero; ..."); ts_not_a_number if it is not written
// as one at all.
const char *ts_decimal_read(const char *text, size_t length, ts_decimal *out);
extern const char ts_not_a_number[];

// NULL, or what is wrong: it is not whole (2.0, 2e3 and 2.5e3 are), or beyond +-2^53.
const char *ts_decimal_integer(const ts_decimal *number, int64_t *out);

// Both as whole counts, within 2^53, of the same 1 / *divisor, a power of ten that float64 holds exactly. False: they
// have too many digits.
bool ts_decimals_scale(const ts_decimal *a, const ts_decimal *b, int64_t *a_out, int64_t *b_out, double *divisor);

// Value i of a range is (first + i * step) / divisor, 0 <= i < count.
typedef struct ts_range {
    int64_t first, step, count;
    double divisor; // a power of ten that float64 holds exactly
} ts_range;

bool ts_range_like(const char *text); // it has ".." in it

// NULL, or what is wrong ("is empty: write 1..4").
const char *ts_range_read(const char *text, ts_range *out);
double ts_range_at(const ts_range *range, int64_t i);
bool ts_range_has(const ts_range *range, double value);
