// Digits and an exponent as integers, so that ranges are counted exactly.
#include "sweep/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NUMBER = 64, MAX_SCALE = 22 }; // 10^22 is the largest power of ten that float64 holds exactly

static const int64_t WHOLE_LIMIT = (int64_t)1 << 53;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// One digit of the mantissa; digits that do not fit only shift.
static void take_digit(ts_decimal *number, int digit, bool fraction) {
    if (number->mantissa <= (INT64_MAX - 9) / 10) {
        number->mantissa = number->mantissa * 10 + digit;
        number->exponent -= fraction;
        return;
    }
    number->exact = number->exact && digit == 0;
    number->exponent += !fraction;
}

static bool take_exponent(const char **at, const char *end, int *exponent) {
    const char *p = *at + 1;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !is_digit(*p))
        return false;
    int value = 0;
    for (; p < end && is_digit(*p); p++)
        value = value < 10000 ? value * 10 + (*p - '0') : value;
    *exponent += negative ? -value : value;
    *at = p;
    return true;
}

const char ts_not_a_number[] = "is not a number";

static const char *refuse(const char *text) {
    const char *p = text + (*text == '-' || *text == '+');
    if (p[0] == '0' && p[1] && strchr("xXoObB", p[1]) && p[2])
        return "is not an integer in decimal digits; write it so (16, not 0x10)";
    if (is_digit(*p) && strpbrk(p, "_,") && strspn(p, "0123456789_,.") == strlen(p))
        return "is not a number; write its digits together, and a fraction behind a point";
    return ts_not_a_number;
}

// The decimal that stands for the same number with as few places as possible: 1.50 is 1.5, 2.0 is 2.
static void drop_zeros(ts_decimal *number) {
    for (; number->mantissa && number->exponent < 0 && number->mantissa % 10 == 0; number->exponent++)
        number->mantissa /= 10;
}

const char *ts_decimal_read(const char *text, size_t length, ts_decimal *out) {
    char copy[MAX_NUMBER];
    if (length == 0 || length >= sizeof copy)
        return ts_not_a_number;
    memcpy(copy, text, length);
    copy[length] = 0;
    const char *p = copy, *end = copy + length;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    bool leading_zero = p[0] == '0' && is_digit(p[1]);
    *out = (ts_decimal){.exact = true};
    int digits = 0;
    for (; is_digit(*p); p++, digits++)
        take_digit(out, *p - '0', false);
    if (*p == '.')
        for (p++; is_digit(*p); p++, digits++)
            take_digit(out, *p - '0', true);
    if (digits == 0 || ((*p == 'e' || *p == 'E') && !take_exponent(&p, end, &out->exponent)) || p != end)
        return refuse(copy);
    if (leading_zero)
        return "has a leading zero, which means octal elsewhere; write the number without it";
    drop_zeros(out);
    if (negative)
        out->mantissa = -out->mantissa;
    out->value = strtod(copy, NULL) + 0.0; // -0 becomes 0: one number, one identity
    if (!isfinite(out->value))
        return "is not a number that can be kept: the largest is 1.7976931348623157e308";
    if (out->mantissa && out->value == 0)
        return "is too small to be kept: only 0 would be left of it; write 0, or at least 5e-324";
    return NULL;
}

const char *ts_decimal_integer(const ts_decimal *number, int64_t *out) {
    static const char *const BEYOND = "is not within 2^53, where integers end";
    int64_t value = number->mantissa;
    if (fabs(number->value) > 0x1p53)
        return BEYOND;
    if ((value && number->exponent < 0) || (!number->exact && fabs(number->value) < 0x1p53))
        return "is not an integer";
    for (int exponent = value ? number->exponent : 0; exponent > 0; exponent--)
        value *= 10; // within 2^53
    *out = value;
    return number->exact && value >= -WHOLE_LIMIT && value <= WHOLE_LIMIT ? NULL : BEYOND;
}

bool ts_range_like(const char *text) {
    return strstr(text, "..") != NULL;
}

// The number as a whole count of 10^-scale; false if it is not one, or too large.
static bool scaled(const ts_decimal *number, int scale, int64_t *out) {
    int64_t value = number->mantissa;
    for (int i = number->exponent + scale; i > 0 && value; i--) {
        if (value > WHOLE_LIMIT || value < -WHOLE_LIMIT)
            return false;
        value *= 10;
    }
    *out = value;
    return number->exact && value >= -WHOLE_LIMIT && value <= WHOLE_LIMIT;
}

static double power_of_ten(int exponent) {
    double power = 1;
    while (exponent-- > 0)
        power *= 10;
    return power;
}

// Decimal places of the number.
static int places(const ts_decimal *number) {
    return number->mantissa && number->exponent < 0 ? -number->exponent : 0;
}

bool ts_decimals_scale(const ts_decimal *a, const ts_decimal *b, int64_t *a_out, int64_t *b_out, double *divisor) {
    int scale = places(a) > places(b) ? places(a) : places(b);
    if (scale > MAX_SCALE || !scaled(a, scale, a_out) || !scaled(b, scale, b_out))
        return false;
    *divisor = power_of_ten(scale);
    return true;
}

static const char *make_range(const ts_decimal *from, const ts_decimal *to, const ts_decimal *by, ts_range *out) {
    int scale = places(from);
    scale = places(to) > scale ? places(to) : scale;
    scale = places(by) > scale ? places(by) : scale;
    int64_t last;
    if (scale > MAX_SCALE || !scaled(from, scale, &out->first) || !scaled(to, scale, &last) ||
        !scaled(by, scale, &out->step))
        return "has numbers of too many digits for a range";
    if (out->step == 0)
        return "has step 0";
    if (out->step > 0 ? last < out->first : last > out->first)
        return out->step > 0 ? "is empty; a range goes up (a..b), or down with a negative step (b..a..-1)"
                             : "is empty: the step is negative, but the range goes up";
    out->count = (last - out->first) / out->step + 1;
    out->divisor = power_of_ten(scale);
    return NULL;
}

const char *ts_range_read(const char *text, ts_range *out) {
    static const char *const SYNTAX = "is not a range; write a..b or a..b..step with numbers";
    const char *to = strstr(text, "..");
    if (!to)
        return SYNTAX;
    const char *by = strstr(to + 2, "..");
    size_t to_length = by ? (size_t)(by - to - 2) : strlen(to + 2);
    ts_decimal first, last, step = {.mantissa = 1, .exact = true, .value = 1};
    const char *fault = ts_decimal_read(text, (size_t)(to - text), &first);
    if (!fault)
        fault = ts_decimal_read(to + 2, to_length, &last);
    if (!fault && by)
        fault = ts_decimal_read(by + 2, strlen(by + 2), &step);
    if (fault)
        return fault == ts_not_a_number ? SYNTAX : fault;
    if (!by && (first.value != floor(first.value) || last.value != floor(last.value)))
        return "needs a step, as in 0.1..0.5..0.1";
    return make_range(&first, &last, &step, out);
}

// Both parts are exact in float64, so the quotient is the decimal correctly rounded, as strtod would read it.
double ts_range_at(const ts_range *range, int64_t i) {
    return (double)(range->first + i * range->step) / range->divisor;
}

bool ts_range_has(const ts_range *range, double value) {
    double i = round((value * range->divisor - (double)range->first) / (double)range->step);
    return i >= 0 && i < (double)range->count && ts_range_at(range, (int64_t)i) == value;
}
