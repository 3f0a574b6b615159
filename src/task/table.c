// What a table is: group, monoid, quasigroup, ...; found by its identity, inverses and associativity.
#include "task/table.h"

#include "base/memory.h"
#include "base/python_random.h"
#include "base/torch_random.h"

#include <stdio.h>

ts_status ts_table_create(int n, int n_out, ts_table **out) {
    ts_table *table = ts_alloc_zero(1, sizeof *table, "a task's table");
    if (!table)
        return TS_ERROR_MEMORY;
    table->n = n;
    table->n_out = n_out;
    table->pairs = (int64_t)n * n;
    table->identity = -1;
    table->result = ts_alloc((size_t)n * (size_t)n * sizeof *table->result, "a task's table");
    if (!table->result) {
        ts_free(table);
        return TS_ERROR_MEMORY;
    }
    *out = table;
    return TS_OK;
}

void ts_table_free(ts_table *table) {
    if (!table)
        return;
    ts_free(table->result);
    ts_free(table);
}

static int product(const ts_table *table, int a, int b) {
    return table->result[(size_t)a * (size_t)table->n + (size_t)b];
}

// --- What a table is ---

static int64_t count_pairs(const ts_table *table) {
    int64_t all = (int64_t)table->n * table->n, defined = 0;
    for (int64_t i = 0; i < all; i++)
        defined += table->result[i] != TS_UNDEFINED;
    return defined;
}

static bool is_square(const ts_table *table) {
    bool closed = table->n == table->n_out;
    size_t pairs = (size_t)table->n * (size_t)table->n;
    for (size_t i = 0; i < pairs && closed; i++)
        closed = table->result[i] >= 0 && table->result[i] < table->n;
    return closed;
}

static bool is_abelian(const ts_table *table) {
    for (int a = 0; a < table->n; a++)
        for (int b = 0; b < a; b++)
            if (product(table, a, b) != product(table, b, a))
                return false;
    return true;
}

static bool is_identity(const ts_table *table, int e) {
    for (int a = 0; a < table->n; a++)
        if (product(table, e, a) != a || product(table, a, e) != a)
            return false;
    return true;
}

static int find_identity(const ts_table *table) {
    for (int e = 0; e < table->n; e++)
        if (is_identity(table, e))
            return e;
    return -1;
}

static bool has_inverses(const ts_table *table) {
    for (int a = 0; a < table->n; a++) {
        int b = 0;
        while (b < table->n && (product(table, a, b) != table->identity || product(table, b, a) != table->identity))
            b++;
        if (b == table->n)
            return false;
    }
    return true;
}

// (x s) y = x (s y) for all x and y.
static bool associates(const ts_table *table, int s) {
    for (int x = 0; x < table->n; x++) {
        int xs = product(table, x, s);
        for (int y = 0; y < table->n; y++)
            if (product(table, xs, y) != product(table, x, product(table, s, y)))
                return false;
    }
    return true;
}

// The elements that a few generate, grown by one generator at a time.
typedef struct closure {
    bool *has;   // (n)
    int *member; // (n) in the order in which they came
    int count;
} closure;

static void add_member(closure *made, int element) {
    if (made->has[element])
        return;
    made->has[element] = true;
    made->member[made->count++] = element;
}

static void add_generator(const ts_table *table, closure *made, int generator) {
    int at = made->count; // products among those before are in already
    add_member(made, generator);
    for (; at < made->count; at++)
        for (int i = 0; i <= at; i++) {
            add_member(made, product(table, made->member[at], made->member[i]));
            add_member(made, product(table, made->member[i], made->member[at]));
        }
}

// Light's test: elements s with (x s) y = x (s y) are closed under products, so it suffices to test
// generators.
static ts_status test_associative(const ts_table *table, bool *associative) {
    closure made = {.has = ts_alloc_zero((size_t)table->n, sizeof(bool), "a table's generators"),
                    .member = ts_alloc((size_t)table->n * sizeof(int), "a table's generators")};
    ts_status status = made.has && made.member ? TS_OK : TS_ERROR_MEMORY;
    *associative = status == TS_OK;
    for (int s = 0; s < table->n && *associative; s++) {
        if (made.has[s])
            continue;
        *associative = associates(table, s);
        if (*associative)
            add_generator(table, &made, s);
    }
    ts_free(made.has);
    ts_free(made.member);
    return status;
}

ts_status ts_table_examine(ts_table *table) {
    table->pairs = count_pairs(table);
    table->square = is_square(table);
    table->abelian = is_abelian(table);
    table->identity = table->square ? find_identity(table) : -1;
    table->inverses = table->identity >= 0 && has_inverses(table);
    table->associative = false;
    ts_status status = table->square ? test_associative(table, &table->associative) : TS_OK;
    table->group = table->square && table->identity >= 0 && table->inverses && table->associative;
    return status;
}

// --- The split ---

int64_t ts_table_share(int64_t pairs, double train_fraction) {
    return (int64_t)(train_fraction * (double)pairs);
}

// The n * n pairs without those that are not there.
static void list_defined(const ts_table *table, int *pairs) {
    int64_t all = (int64_t)table->n * table->n, count = 0;
    for (int64_t i = 0; i < all; i++)
        if (table->result[i] != TS_UNDEFINED)
            pairs[count++] = (int)i;
}

void ts_table_split(const ts_table *table, ts_shuffle shuffle, uint64_t split_seed, double train_fraction, int *pairs,
                    int64_t *train) {
    ts_torch_random random;
    list_defined(table, pairs);
    if (shuffle == TS_SHUFFLE_PYTHON) {
        ts_python_seed(&random, split_seed);
        ts_python_shuffle(&random, table->pairs, pairs);
    } else {
        ts_torch_seed(&random, split_seed);
        ts_torch_shuffle(&random, table->pairs, pairs);
    }
    *train = ts_table_share(table->pairs, train_fraction);
}

const char *ts_table_verdict(const ts_table *table, char out[128]) {
    if (table->group) {
        snprintf(out, 128, "a group of order %d, %sabelian, identity %d", table->n, table->abelian ? "" : "not ",
                 table->identity);
        return out;
    }
    const struct {
        bool missing;
        const char *what;
    } laws[] = {{!table->square, "not closed"},
                {table->identity < 0, "no identity"},
                {!table->inverses, "not all inverses"},
                {!table->associative, "not associative"}};
    int64_t missing = (int64_t)table->n * table->n - table->pairs;
    size_t at = (size_t)snprintf(out, 128, "no group");
    if (missing > 0) {
        snprintf(out + at, 128 - at, ": not defined for %lld of %lld pairs, which are left out", (long long)missing,
                 (long long)table->n * table->n);
        return out;
    }
    for (size_t i = 0, named = 0; i < sizeof laws / sizeof *laws; i++)
        if (laws[i].missing)
            at += (size_t)snprintf(out + at, 128 - at, "%s%s", named++ ? ", " : ": ", laws[i].what);
    return out;
}
