// Sums are seen in the first row and column of a table; products are sums of discrete logarithms.
#include "task/recognise.h"

#include "base/memory.h"

// Whether the table is value[a] + value[n + b] mod n, of results counted from 0; *plain: these are a and b.
static bool is_sum(const ts_table *table, int *value, bool *plain) {
    int n = table->n, corner = table->result[0];
    *plain = true;
    for (int i = 0; i < n; i++) {
        value[i] = (table->result[i * n] - corner + n) % n;
        value[n + i] = table->result[i];
        *plain = *plain && value[i] == i && value[n + i] == i;
    }
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            if (table->result[a * n + b] != (value[a] + value[n + b]) % n)
                return false;
    return true;
}

// --- Logarithms ---

// Takes the powers of a token, from the identity on, as elements 0, 1, 2, ...; false: they come back before all tokens
// are there.
static bool take_powers(int n, int identity, int generator, int (*times)(const void *table, int x, int y),
                        const void *table, int *element) {
    for (int i = 0; i < n; i++)
        element[i] = -1;
    int power = identity;
    for (int k = 0; k < n; k++) {
        if (power < 0 || element[power] >= 0)
            return false;
        element[power] = k;
        power = times(table, power, generator);
    }
    return power == identity;
}

static int times_of_table(const void *context, int x, int y) {
    const ts_table *table = context;
    return table->result[x * table->n + y];
}

// Of residues 1 to p - 1 as tokens 0 to p - 2; -1: their product is 0.
static int times_of_residues(const void *context, int x, int y) {
    return (x + 1) * (y + 1) % *(const int *)context - 1;
}

// Elements of the cyclic group by the powers of its smallest generator, as tokens go; false: it is none.
static bool number_elements(const ts_table *table, int p, int residue, int *element) {
    int n = table->n;
    bool residues = residue == 1 && n == p - 1, found = false;
    for (int g = 0; g < n && residues && !found; g++)
        found = take_powers(n, 0, g, times_of_residues, &p, element);
    for (int g = 0; g < n && table->group && table->abelian && !found; g++)
        found = take_powers(n, table->identity, g, times_of_table, table, element);
    return found;
}

static bool is_in_order(const int *element, int n) {
    int i = 0;
    while (i < n && element[i] == i)
        i++;
    return i == n;
}

// The table in the numbers of the elements.
static void renumber(const ts_table *table, const int *element, ts_table *out) {
    int n = table->n;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            out->result[element[a] * n + element[b]] = element[table->result[a * n + b]];
}

// As ts_symmetry_recognise, of tables that are sums in other numbers than their own; value (2, n), numbers (2, n):
// scratch, the latter of which the symmetry takes over (*taken).
static ts_status recognise_renumbered(const ts_table *table, int p, int residue, int *value, int *numbers, bool *taken,
                                      ts_symmetry **out) {
    int n = table->n;
    bool plain;
    ts_table *own = NULL;
    if (!number_elements(table, p, residue, numbers))
        return TS_OK;
    if (is_in_order(numbers, n))
        return is_sum(table, value, &plain) ? ts_symmetry_of_sums(n, plain ? NULL : value, out) : TS_OK;
    ts_status status = ts_table_create(n, n, &own);
    if (status != TS_OK)
        return status;
    renumber(table, numbers, own);
    if (is_sum(own, value, &plain))
        status = ts_symmetry_of_sums(n, plain ? NULL : value, out);
    if (status != TS_OK || !*out) {
        ts_table_free(own);
        return status;
    }
    for (int i = 0; i < n; i++)
        numbers[n + numbers[i]] = i;
    (*out)->element = numbers;
    (*out)->token = numbers + n;
    (*out)->table = (*out)->own_table = own;
    (*out)->own_numbers = numbers;
    *taken = true;
    return TS_OK;
}

ts_status ts_symmetry_recognise(const ts_table *table, int p, int residue, ts_symmetry **out) {
    size_t n = (size_t)table->n;
    bool plain, taken = false;
    *out = NULL;
    if (!table->square)
        return TS_OK;
    int *value = ts_alloc(2 * n * sizeof *value, "a table's symmetry");
    int *numbers = ts_alloc(2 * n * sizeof *numbers, "a table's symmetry");
    ts_status status = value && numbers ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK && table->n == p && is_sum(table, value, &plain))
        status = ts_symmetry_of_sums(p, value, out);
    else if (status == TS_OK)
        status = recognise_renumbered(table, p, residue, value, numbers, &taken, out);
    ts_free(value);
    if (!taken)
        ts_free(numbers);
    return status;
}
