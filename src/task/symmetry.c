// The group of a table, or Z_p and the dihedral group where the task knows them.
#define _POSIX_C_SOURCE 200809L
#include "task/symmetry.h"

#include "base/memory.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

_Static_assert(TS_MAX_ORDER < 100000, "names of components, of a word and a number, fit");

// What follows from a group's table alone. To find it takes seconds for a thousand elements.
typedef struct ts_symmetry_part {
    const ts_table *group;
    ts_table *own_group; // NULL: the group is the learned table
    int *elements;       // (n) each: token numbers, inverses; then where irreps' functions begin
    ts_irreps *irreps;
    double *basis;                         // (n, n)
    char (*function)[TS_FUNCTION_BYTES];   // (n)
    char (*component)[TS_COMPONENT_BYTES]; // (n) and, behind them, of frequencies (n/2); NULL: there are none
    int64_t users;                         // of one that is shared
    struct ts_symmetry_part *next;
} ts_symmetry_part;

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
static int span(const ts_symmetry_part *part, int r, int room, double *basis) {
    const double *chi = part->irreps->irrep[r].character;
    int n = part->group->n, count = 0;
    const int *inverse = part->elements + n;
    for (int g = 0; g < n && count < room; g++) {
        double *f = basis + (size_t)count * (size_t)n;
        for (int h = 0; h < n; h++)
            f[h] = chi[part->group->result[g * n + inverse[h]]];
        count += orthonormalise(basis, count, NULL, n, f);
    }
    return count;
}

static ts_status make_basis(ts_symmetry_part *part, int *first) {
    int n = part->group->n, rows = 0;
    part->basis = ts_alloc((size_t)n * (size_t)n * sizeof(double), "a group's functions");
    if (!part->basis)
        return TS_ERROR_MEMORY;
    for (int r = 0; r < part->irreps->count; r++) {
        const ts_irrep *irrep = &part->irreps->irrep[r];
        int rank = (irrep->pair ? 2 : 1) * irrep->dimension * irrep->dimension;
        first[r] = rows;
        if (rows + rank > n || span(part, r, rank, part->basis + (size_t)rows * (size_t)n) != rank)
            return ts_fail(TS_ERROR_UNIT, "the functions of irrep %s are not as many as they should be", irrep->name);
        rows += rank;
    }
    first[part->irreps->count] = rows;
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

// --- What follows from a group ---

static ts_status name_functions(ts_symmetry_part *part, const int *first) {
    part->function = ts_alloc_zero((size_t)part->group->n, TS_FUNCTION_BYTES, "a group's functions");
    if (!part->function)
        return TS_ERROR_MEMORY;
    for (int r = 0; r < part->irreps->count; r++)
        for (int row = first[r]; row < first[r + 1]; row++)
            snprintf(part->function[row], TS_FUNCTION_BYTES, "%.24s %d", part->irreps->irrep[r].name,
                     row - first[r] + 1);
    return TS_OK;
}

static bool has_circles(const ts_table *group) {
    return (group->family == 'C' || group->family == 'D') && group->degree >= 2;
}

// Names of what measure/fourier.h numbers.
static ts_status name_components(ts_symmetry_part *part) {
    int n = part->group->degree;
    if (!has_circles(part->group))
        return TS_OK;
    part->component = ts_alloc_zero((size_t)(n + n / 2), TS_COMPONENT_BYTES, "a table's symmetry");
    if (!part->component)
        return TS_ERROR_MEMORY;
    strcpy(part->component[0], "constant");
    for (int f = 1; f < n; f++)
        snprintf(part->component[f], TS_COMPONENT_BYTES, "%s %d", f % 2 ? "cos" : "sin", (f + 1) / 2);
    for (int k = 1; k <= n / 2; k++)
        snprintf(part->component[n + k - 1], TS_COMPONENT_BYTES, "freq_%d", k);
    return TS_OK;
}

static ts_status fill_part(ts_symmetry_part *part) {
    const ts_table *group = part->group;
    size_t n = (size_t)group->n;
    part->elements = ts_alloc((3 * n + 1) * sizeof(int), "a table's symmetry");
    if (!part->elements)
        return TS_ERROR_MEMORY;
    int *token = part->elements, *inverse = token + n, *first = token + 2 * n;
    for (size_t a = 0; a < n; a++) {
        token[a] = (int)a;
        for (size_t b = 0; b < n; b++)
            if (group->result[a * n + b] == group->identity)
                inverse[a] = (int)b;
    }
    ts_status status = ts_irreps_create(group, &part->irreps);
    if (status == TS_OK)
        status = make_basis(part, first);
    if (status == TS_OK)
        status = name_functions(part, first);
    return status == TS_OK ? name_components(part) : status;
}

static void free_part(ts_symmetry_part *part) {
    if (!part)
        return;
    ts_irreps_free(part->irreps);
    ts_table_free(part->own_group);
    ts_free(part->component);
    ts_free(part->function);
    ts_free(part->basis);
    ts_free(part->elements);
    ts_free(part);
}

// own_group: taken over, also after a fault; NULL: `group` is somebody else's.
static ts_status make_part(const ts_table *group, ts_table *own_group, ts_symmetry_part **out) {
    ts_symmetry_part *part = ts_alloc_zero(1, sizeof *part, "a table's symmetry");
    if (!part) {
        ts_table_free(own_group);
        return TS_ERROR_MEMORY;
    }
    part->group = group;
    part->own_group = own_group;
    ts_status status = fill_part(part);
    if (status == TS_OK)
        *out = part;
    else
        free_part(part);
    return status;
}

// --- Z_n, which is there once ---

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static ts_symmetry_part *shared;

static ts_status make_cyclic(int n, ts_symmetry_part **out) {
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
    return make_part(cyclic, cyclic, out);
}

static ts_status take_cyclic(int n, ts_symmetry_part **out) {
    ts_status status = TS_OK;
    pthread_mutex_lock(&mutex);
    ts_symmetry_part *part = shared;
    while (part && part->group->n != n)
        part = part->next;
    if (!part && (status = make_cyclic(n, &part)) == TS_OK) {
        part->next = shared;
        shared = part;
    }
    if (status == TS_OK) {
        part->users++;
        *out = part;
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

static void give_back(ts_symmetry_part *part) {
    if (part && part->users > 0) {
        pthread_mutex_lock(&mutex);
        bool last = --part->users == 0;
        ts_symmetry_part **at = &shared;
        while (last && *at != part)
            at = &(*at)->next;
        if (last)
            *at = part->next;
        pthread_mutex_unlock(&mutex);
        if (!last)
            return;
    }
    free_part(part);
}

// --- Symmetries ---

static void refer_to_part(ts_symmetry *symmetry) {
    const ts_symmetry_part *part = symmetry->part;
    int n = part->group->n;
    symmetry->group = part->group;
    symmetry->inverse = part->elements + n;
    symmetry->irreps = part->irreps;
    symmetry->first = part->elements + 2 * n;
    symmetry->function = (const char(*)[TS_FUNCTION_BYTES])part->function;
    symmetry->basis = part->basis;
    symmetry->chart[symmetry->charts++] = (ts_chart){part->elements, part->elements};
    if (!has_circles(part->group))
        return;
    symmetry->circle = part->group->degree;
    symmetry->circles = n / symmetry->circle;
    symmetry->component = (const char(*)[TS_COMPONENT_BYTES])part->component;
    symmetry->frequency = symmetry->component + symmetry->circle;
}

static ts_status add_value_chart(ts_symmetry *symmetry, const int *value) {
    size_t n = (size_t)symmetry->group->n;
    symmetry->own_values = ts_alloc(2 * n * sizeof *value, "a table's symmetry");
    if (!symmetry->own_values)
        return TS_ERROR_MEMORY;
    memcpy(symmetry->own_values, value, 2 * n * sizeof *value);
    symmetry->chart[symmetry->charts++] = (ts_chart){symmetry->own_values, symmetry->own_values + n};
    return TS_OK;
}

ts_status ts_symmetry_of_group(const ts_table *table, ts_symmetry **out) {
    ts_symmetry *symmetry = ts_alloc_zero(1, sizeof *symmetry, "a table's symmetry");
    ts_status status = symmetry ? make_part(table, NULL, &symmetry->part) : TS_ERROR_MEMORY;
    if (status == TS_OK) {
        refer_to_part(symmetry);
        *out = symmetry;
    } else {
        ts_symmetry_free(symmetry);
    }
    return status;
}

ts_status ts_symmetry_of_sums(int n, const int *value, ts_symmetry **out) {
    ts_symmetry *symmetry = ts_alloc_zero(1, sizeof *symmetry, "a table's symmetry");
    ts_status status = symmetry ? take_cyclic(n, &symmetry->part) : TS_ERROR_MEMORY;
    if (status == TS_OK) {
        refer_to_part(symmetry);
        status = value ? add_value_chart(symmetry, value) : TS_OK;
    }
    if (status == TS_OK)
        *out = symmetry;
    else
        ts_symmetry_free(symmetry);
    return status;
}

void ts_symmetry_free(ts_symmetry *symmetry) {
    if (!symmetry)
        return;
    give_back(symmetry->part);
    ts_table_free(symmetry->own_table);
    ts_free(symmetry->own_numbers);
    ts_free(symmetry->own_values);
    ts_free(symmetry);
}
