// Task `power`: sums of powers modulo p, T[a][b] = (a^m + b^n) mod p.
#include "base/memory.h"
#include "task/data.h"
#include "task/split.h"
#include "task/task.h"

#include <string.h>

static const ts_key KEYS[] = {
    {"p", TS_INTEGER, "113", 2, TS_MAX_ORDER, NULL, true, "Modulus: tokens and results are 0 to p - 1"},
    {"m", TS_INTEGER, "1", 0, 0x1p53, NULL, true, "Exponent of a"},
    {"n", TS_INTEGER, "1", 0, 0x1p53, NULL, true, "Exponent of b"},
    TS_SPLIT_KEYS,
    {0},
};

static const char *check(const ts_params *params, char *message, size_t bytes) {
    return ts_split_check(params, (int)ts_params_integer(params, "p"), message, bytes);
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

static bool derive(const ts_params *params, const char *name, double *value) {
    int64_t p = ts_params_integer(params, "p");
    if (strcmp(name, "order") == 0)
        *value = (double)p;
    else if (strcmp(name, "gcd_m") == 0)
        *value = (double)greatest_common_divisor(ts_params_integer(params, "m"), p - 1);
    else if (strcmp(name, "gcd_n") == 0)
        *value = (double)greatest_common_divisor(ts_params_integer(params, "n"), p - 1);
    else
        return false;
    return true;
}

static bool divides(int64_t a, int64_t b) {
    return a ? b % a == 0 : b == 0;
}

static const char *describe(const ts_params *params, const char *name) {
    int64_t m = ts_params_integer(params, "m"), n = ts_params_integer(params, "n");
    if (strcmp(name, "relation") != 0)
        return NULL;
    if (m == n)
        return "equal";
    return divides(m, n) || divides(n, m) ? "multiple" : "neither";
}

// x -> x^m mod p is one to one if p is prime and gcd(m, p - 1) = 1.
static const ts_task_column COLUMNS[] = {
    {"gcd_m", TS_INTEGER, "greatest common divisor of m and p - 1"},
    {"gcd_n", TS_INTEGER, "greatest common divisor of n and p - 1"},
    {"relation", TS_NAME, "equal: m = n; multiple: one divides the other; else neither"},
    {0},
};

// --- The table ---

// base^exponent mod p by squaring; 0^0 is 1. Products stay below TS_MAX_ORDER^2.
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
    if (status == TS_OK)
        status = ts_table_examine(data->table);
    if (status == TS_OK)
        status = ts_symmetry_of_sums(p, value, &data->symmetry);
    ts_free(value);
    return status;
}

static const char *const MODELS[] = {"transformer", "mlp", NULL};

const ts_task ts_task_power = {
    .name = "power",
    .help = "sums of powers modulo p, (a^m + b^n) mod p",
    .models = MODELS,
    .keys = KEYS,
    .columns = COLUMNS,
    .check = check,
    .derive = derive,
    .describe = describe,
    .create = create,
};
