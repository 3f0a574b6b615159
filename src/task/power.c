// Task `power`: sums of powers modulo p, T[a][b] = (a^m + b^n) mod p.
#include "base/memory.h"
#include "task/data.h"
#include "task/split.h"
#include "task/task.h"

static const ts_key KEYS[] = {
    {"p", TS_INTEGER, "113", 2, TS_MAX_ORDER, NULL, true, "Modulus: tokens and results are 0 to p - 1"},
    {"m", TS_INTEGER, "1", 0, 0x1p53, NULL, true, "Exponent of a"},
    {"n", TS_INTEGER, "1", 0, 0x1p53, NULL, true, "Exponent of b"},
    TS_SPLIT_KEYS,
    {0},
};

static const char *check(const ts_params *params, char *message, size_t bytes) {
    int64_t p = ts_params_integer(params, "p");
    return ts_split_check(params, p * p, message, bytes);
}

// --- Derived quantities ---

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static double order(const ts_params *params) {
    return (double)ts_params_integer(params, "p");
}

static double common_divisor(const ts_params *params, const char *exponent) {
    return (double)greatest_common_divisor(ts_params_integer(params, exponent), ts_params_integer(params, "p") - 1);
}

static double gcd_m(const ts_params *params) {
    return common_divisor(params, "m");
}

static double gcd_n(const ts_params *params) {
    return common_divisor(params, "n");
}

static bool divides(int64_t a, int64_t b) {
    return a ? b % a == 0 : b == 0;
}

static const char *relation(const ts_params *params) {
    int64_t m = ts_params_integer(params, "m"), n = ts_params_integer(params, "n");
    if (m == n)
        return "equal";
    return divides(m, n) || divides(n, m) ? "multiple" : "neither";
}

// x -> x^m mod p is one to one if p is prime and gcd(m, p - 1) = 1.
static const ts_quantity DERIVED[] = {
    {"order", "p, elements of the table", .number = order},
    {"gcd_m", "greatest common divisor of m and p - 1", true, .number = gcd_m},
    {"gcd_n", "greatest common divisor of n and p - 1", true, .number = gcd_n},
    {"relation", "equal: m = n; multiple: one divides the other; else neither", true, .word = relation},
    {0},
};

static void add_power(ts_text *out, const char *base, int64_t exponent) {
    ts_text_add(out, base);
    if (exponent != 1)
        ts_text_addf(out, "^%lld", (long long)exponent);
}

static void label(const ts_params *params, ts_text *out) {
    add_power(out, "(a", ts_params_integer(params, "m"));
    add_power(out, " + b", ts_params_integer(params, "n"));
    ts_text_addf(out, ") mod %lld", (long long)ts_params_integer(params, "p"));
}

// --- The table ---

_Static_assert((int64_t)TS_MAX_ORDER *TS_MAX_ORDER <= INT32_MAX, "products of two elements");

// base^exponent mod p by squaring; 0^0 is 1.
static int power(int base, int64_t exponent, int p) {
    int result = 1;
    for (; exponent; exponent >>= 1, base = base * base % p)
        if (exponent & 1)
            result = result * base % p;
    return result;
}

static ts_status create(const ts_params *params, ts_data *data) {
    int p = (int)ts_params_integer(params, "p"); // in range: the key's bounds saw to it
    int *value = ts_alloc(2 * (size_t)p * sizeof *value, "powers");
    if (!value)
        return TS_ERROR_MEMORY;
    for (int x = 0; x < p; x++) {
        value[x] = power(x, ts_params_integer(params, "m"), p);
        value[p + x] = power(x, ts_params_integer(params, "n"), p);
    }
    ts_status status = ts_table_create(p, p, &data->table);
    for (int a = 0; a < p && status == TS_OK; a++)
        for (int b = 0; b < p; b++)
            data->table->result[a * p + b] = (value[a] + value[p + b]) % p;
    if (status == TS_OK) {
        data->table->modulus = p;
        status = ts_table_examine(data->table);
    }
    if (status == TS_OK)
        status = ts_symmetry_of_sums(p, value, &data->symmetry);
    ts_free(value);
    return status;
}

const ts_task ts_task_power = {
    .name = "power",
    .help = "sums of powers modulo p, (a^m + b^n) mod p",
    .kind = TS_KIND_TABLE,
    .usual_model = "transformer", // as published
    .keys = KEYS,
    .derived = DERIVED,
    .check = check,
    .label = label,
    .create = create,
};
