// The group of a table, or Z_p and the dihedral group where the task knows them.
#include "task/symmetry.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TS_MAX_ORDER < 100000, "names of components, of a word and a number, fit");

// Names of what measure/fourier.h numbers.
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

// --- Bases ---

static double inner(const double *x, const double *y, const double *weight, int n) {
    double sum = 0;
    for (int g = 0; g < n; g++)
        sum += (weight ? weight[g] : 1) * x[g] * y[g];
    return sum;
}

// Makes f orthogonal to `count` orthonormal functions, and of length 1. Twice, since once leaves rounding of what was
// taken out. False, and f = 0: next to nothing is left.
static bool orthonormalise(const double *functions, int count, const double *weight, int n, double *f) {
    double before = inner(f, f, weight, n), after = before;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < count; i++) {
            const double *other = functions + (size_t)i * (size_t)n;
            double part = inner(other, f, weight, n);
            for (int g = 0; g < n; g++)
                f[g] -= part * other[g];
        }
        after = inner(f, f, weight, n);
    }
    bool left = after > 1e-10 * before;
    for (int g = 0; g < n; g++)
        f[g] = left ? f[g] / sqrt(after) : 0;
    return left;
}

// The functions of one irrep, from (n, n) at `basis` on: rows of its projector chi_r(g h^-1) that are independent of
// those before. Returns how many.
static int span(const ts_symmetry *symmetry, int r, int room, double *basis) {
    const double *chi = symmetry->irreps->irrep[r].character;
    int n = symmetry->group->n, count = 0;
    for (int g = 0; g < n && count < room; g++) {
        double *f = basis + (size_t)count * (size_t)n;
        for (int h = 0; h < n; h++)
            f[h] = chi[symmetry->group->result[g * n + symmetry->inverse[h]]];
        count += orthonormalise(basis, count, NULL, n, f);
    }
    return count;
}

static ts_status make_basis(ts_symmetry *symmetry, int *first) {
    int n = symmetry->group->n, rows = 0;
    symmetry->own_basis = ts_alloc((size_t)n * (size_t)n * sizeof(double), "a group's functions");
    if (!symmetry->own_basis)
        return TS_ERROR_MEMORY;
    for (int r = 0; r < symmetry->irreps->count; r++) {
        const ts_irrep *irrep = &symmetry->irreps->irrep[r];
        int rank = (irrep->pair ? 2 : 1) * irrep->dimension * irrep->dimension;
        first[r] = rows;
        if (rows + rank > n || span(symmetry, r, rank, symmetry->own_basis + (size_t)rows * (size_t)n) != rank)
            return ts_fail(TS_ERROR_UNIT, "the functions of irrep %s are not as many as they should be", irrep->name);
        rows += rank;
    }
    first[symmetry->irreps->count] = rows;
    symmetry->first = first;
    symmetry->basis = symmetry->own_basis;
    return TS_OK;
}

static bool is_uniform(const double *weight, int n) {
    bool uniform = true;
    for (int g = 1; g < n; g++)
        uniform = uniform && weight[g] == weight[0];
    return uniform;
}

void ts_symmetry_basis(const ts_symmetry *symmetry, const double *weight, double *basis) {
    int n = symmetry->group->n;
    bool uniform = !weight || is_uniform(weight, n);
    memcpy(basis, symmetry->basis, (size_t)n * (size_t)n * sizeof *basis);
    for (int i = 0; weight && uniform && i < n * n; i++)
        basis[i] /= sqrt(weight[0]);
    for (int r = 0; r < symmetry->irreps->count && !uniform; r++) {
        double *own = basis + (size_t)symmetry->first[r] * (size_t)n;
        for (int row = 0; row < symmetry->first[r + 1] - symmetry->first[r]; row++) {
            double *f = own + (size_t)row * (size_t)n;
            for (int g = 0; g < n; g++)
                f[g] = weight[g] > 0 ? f[g] : 0;
            orthonormalise(own, row, weight, n, f);
        }
    }
}

int ts_symmetry_span(const ts_symmetry *symmetry, const double *is_key, const double *weight, double *basis) {
    int n = symmetry->group->n, count = 1;
    bool uniform = is_uniform(weight, n); // irreps are orthogonal as they are
    for (int g = 0; g < n; g++)
        basis[g] = weight[g] > 0;
    orthonormalise(basis, 0, weight, n, basis);
    for (int r = 1; r < symmetry->irreps->count; r++)
        for (int row = symmetry->first[r]; is_key[r] == 1 && row < symmetry->first[r + 1]; row++) {
            double *f = basis + (size_t)count * (size_t)n, scale = uniform ? sqrt(weight[0]) : 1;
            for (int g = 0; g < n; g++)
                f[g] = weight[g] > 0 ? symmetry->basis[(size_t)row * (size_t)n + (size_t)g] / scale : 0;
            count += uniform || orthonormalise(basis, count, weight, n, f);
        }
    return count;
}

static ts_status name_functions(ts_symmetry *symmetry) {
    symmetry->function = ts_alloc_zero((size_t)symmetry->group->n, TS_FUNCTION_BYTES, "a group's functions");
    if (!symmetry->function)
        return TS_ERROR_MEMORY;
    for (int r = 0; r < symmetry->irreps->count; r++)
        for (int row = symmetry->first[r]; row < symmetry->first[r + 1]; row++)
            snprintf(symmetry->function[row], TS_FUNCTION_BYTES, "%.24s %d", symmetry->irreps->irrep[r].name,
                     row - symmetry->first[r] + 1);
    return TS_OK;
}

// --- Symmetries ---

static ts_status fill(ts_symmetry *symmetry, const int *value) {
    const ts_table *group = symmetry->group;
    size_t n = (size_t)group->n;
    symmetry->elements = ts_alloc((5 * n + 1) * sizeof(int), "a table's symmetry");
    if (!symmetry->elements)
        return TS_ERROR_MEMORY;
    int *token = symmetry->elements, *inverse = token + n, *values = token + 2 * n;
    int *first = token + 4 * n;
    for (size_t a = 0; a < n; a++) {
        token[a] = (int)a;
        for (size_t b = 0; b < n; b++)
            if (group->result[a * n + b] == group->identity)
                inverse[a] = (int)b;
    }
    symmetry->inverse = inverse;
    symmetry->chart[symmetry->charts++] = (ts_chart){token, token};
    if (value) {
        memcpy(values, value, 2 * n * sizeof *value);
        symmetry->chart[symmetry->charts++] = (ts_chart){values, values + n};
    }
    ts_status status = ts_irreps_create(group, &symmetry->own_irreps);
    symmetry->irreps = symmetry->own_irreps;
    if (status == TS_OK)
        status = make_basis(symmetry, first);
    if (status == TS_OK)
        status = name_functions(symmetry);
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
    if (status == TS_OK)
        *out = symmetry;
    else
        ts_symmetry_free(symmetry);
    return status;
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
    ts_table_free(symmetry->own_table);
    ts_free(symmetry->own_numbers);
    ts_free(symmetry->component);
    ts_free(symmetry->function);
    ts_table_free(symmetry->own_group);
    ts_free(symmetry->own_basis);
    ts_free(symmetry->elements);
    ts_free(symmetry);
}
