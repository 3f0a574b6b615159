#include "task/symmetry.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Names of what model/fourier.h numbers.
static ts_status name_components(ts_symmetry *symmetry) {
    const ts_table *group = symmetry->group;
    if ((group->family != 'C' && group->family != 'D') || group->degree < 2)
        return TS_OK;
    int n = group->degree;
    symmetry->component = ts_alloc_zero((size_t)(n + n / 2), TS_COMPONENT_BYTES, "a table's symmetry");
    if (!symmetry->component)
        return TS_ERROR_MEMORY;
    symmetry->frequency = symmetry->component + n;
    symmetry->circle = n;
    symmetry->circles = group->n / n;
    strcpy(symmetry->component[0], "constant");
    for (int f = 1; f < n; f++)
        snprintf(symmetry->component[f], TS_COMPONENT_BYTES, "%s %d", f % 2 ? "cos" : "sin", (f + 1) / 2);
    for (int k = 1; k <= n / 2; k++)
        snprintf(symmetry->frequency[k - 1], TS_COMPONENT_BYTES, "freq_%d", k);
    return TS_OK;
}

static ts_status fill(ts_symmetry *symmetry, const int *value) {
    const ts_table *group = symmetry->group;
    size_t n = (size_t)group->n;
    symmetry->elements = ts_alloc(4 * n * sizeof(int), "a table's symmetry");
    if (!symmetry->elements)
        return TS_ERROR_MEMORY;
    int *token = symmetry->elements, *inverse = token + n, *values = token + 2 * n;
    for (size_t a = 0; a < n; a++) {
        token[a] = (int)a;
        for (size_t b = 0; b < n; b++)
            if (group->result[a * n + b] == group->identity)
                inverse[a] = (int)b;
    }
    symmetry->inverse = inverse;
    symmetry->chart[symmetry->charts++] = (ts_chart){"", token, token};
    if (value) {
        memcpy(values, value, 2 * n * sizeof *value);
        symmetry->chart[symmetry->charts++] = (ts_chart){"value_", values, values + n};
    }
    ts_status status = ts_irreps_create(group, &symmetry->own_irreps);
    symmetry->irreps = symmetry->own_irreps;
    return status == TS_OK ? name_components(symmetry) : status;
}

static ts_status create(const ts_table *group, ts_table *own_group, const int *value, ts_symmetry **out) {
    ts_symmetry *symmetry = ts_alloc_zero(1, sizeof *symmetry, "a table's symmetry");
    if (!symmetry) {
        ts_table_free(own_group);
        return TS_ERROR_MEMORY;
    }
    symmetry->group = group;
    symmetry->own_group = own_group;
    ts_status status = fill(symmetry, value);
    if (status != TS_OK) {
        ts_symmetry_free(symmetry);
        return status;
    }
    *out = symmetry;
    return TS_OK;
}

ts_status ts_symmetry_of_group(const ts_table *table, ts_symmetry **out) {
    return create(table, NULL, NULL, out);
}

ts_status ts_symmetry_of_sums(int n, const int *value, ts_symmetry **out) {
    ts_table *cyclic;
    ts_status status = ts_table_create(n, n, &cyclic);
    if (status != TS_OK)
        return status;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            cyclic->result[a * n + b] = (a + b) % n;
    cyclic->family = 'C';
    cyclic->degree = n;
    status = ts_table_examine(cyclic);
    if (status != TS_OK) {
        ts_table_free(cyclic);
        return status;
    }
    return create(cyclic, cyclic, value, out);
}

void ts_symmetry_free(ts_symmetry *symmetry) {
    if (!symmetry)
        return;
    ts_irreps_free(symmetry->own_irreps);
    ts_free(symmetry->component);
    ts_table_free(symmetry->own_group);
    ts_free(symmetry->elements);
    ts_free(symmetry);
}

// --- Projectors ---

static bool uniform(const double *weight, int n) {
    for (int g = 1; g < n; g++)
        if (weight[g] != weight[0])
            return false;
    return true;
}

// Takes the unit vector q out of each row of k (n, n), whose rows span what is left.
static void take_out(double *k, const double *q, int n) {
    for (int row = 0; row < n; row++) {
        double *of = k + (size_t)row * (size_t)n, dot = 0;
        for (int g = 0; g < n; g++)
            dot += of[g] * q[g];
        for (int g = 0; g < n; g++)
            of[g] -= dot * q[g];
    }
}

// The largest row of k (n, n), scaled to length 1, into q. False: all that is left is rounding.
static bool largest_row(const double *k, int n, double least, double *q) {
    double largest = 0;
    for (int row = 0; row < n; row++) {
        const double *of = k + (size_t)row * (size_t)n;
        double square = 0;
        for (int g = 0; g < n; g++)
            square += of[g] * of[g];
        if (square > largest) {
            largest = square;
            memcpy(q, of, (size_t)n * sizeof *q);
        }
    }
    for (int g = 0; g < n; g++)
        q[g] /= sqrt(largest);
    return sqrt(largest) > least;
}

// In coordinates scaled by the square roots s of the weights, where the product of functions is the usual one:
// a basis of the span of the kernel's rows, one after the other, and the projector from it.
static ts_status weighted_projector(const double *kernel, const double *weight, int n, double *projector) {
    size_t elements = (size_t)n * (size_t)n;
    double *k = ts_alloc((elements + 2 * (size_t)n) * sizeof *k, "a projector");
    if (!k)
        return TS_ERROR_MEMORY;
    double *s = k + elements, *q = s + n, trace = 0;
    for (int g = 0; g < n; g++)
        s[g] = sqrt(weight[g]);
    for (int g = 0; g < n; g++)
        for (int h = 0; h < n; h++)
            k[(size_t)g * (size_t)n + (size_t)h] = s[g] * kernel[(size_t)g * (size_t)n + (size_t)h] * s[h];
    for (int g = 0; g < n; g++)
        trace += k[(size_t)g * (size_t)n + (size_t)g];
    memset(projector, 0, elements * sizeof *projector);
    for (int rank = 0; rank < n && largest_row(k, n, 1e-10 * trace, q); rank++) {
        for (int g = 0; g < n; g++)
            for (int h = 0; h < n && s[g] > 0; h++)
                projector[(size_t)g * (size_t)n + (size_t)h] += q[g] / s[g] * q[h] * s[h];
        take_out(k, q, n);
    }
    ts_free(k);
    return TS_OK;
}

ts_status ts_symmetry_projector(const ts_symmetry *symmetry, int r, const double *weight, double *projector) {
    int n = symmetry->group->n;
    ts_irrep_projector(symmetry->group, symmetry->irreps, r, projector);
    if (!weight || uniform(weight, n))
        return TS_OK;
    return weighted_projector(projector, weight, n, projector);
}
