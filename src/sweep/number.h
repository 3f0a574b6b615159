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
    bool integer; // no point: digits, perhaps with an exponent that keeps them whole
    double value; // correctly rounded
} ts_decimal;

// False: not a finite decimal number.
bool ts_decimal_read(const char *text, size_t length, ts_decimal *out);
bool ts_decimal_integer(const ts_decimal *number, int64_t *out); // false: not whole, or beyond +-2^53

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
