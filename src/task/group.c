// Task `group`: the multiplication table of a group that its name says how to construct (group_name.h), or of a direct
// product of such.
#include "base/memory.h"
#include "task/data.h"
#include "task/group_guess.h"
#include "task/group_name.h"
#include "task/matrices.h"
#include "task/permutations.h"
#include "task/split.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"group", TS_NAME, NULL, 0, 0, NULL, true,
     "C<n>, D<n> (2n elements), S<n>, A<n>, Q<n> (n), Dic<n> (4n), C<n>:C<m>, SL(2,q), GL(2,q), PSL(2,q), PGL(2,q), or "
     "a "
     "direct product of these, as in S3xC5"},
    {"element_order", TS_FILE, "", 0, 0, NULL, true,
     "Order of the elements of S<n> or A<n>: one permutation a row (default: lexicographic)"},
    TS_SPLIT_KEYS,
    {0},
};

_Static_assert(TS_MAX_ORDER < 2520 && TS_MAX_DEGREE == 6,
               "A7 is no table, so that degrees of permutations are at most 6");

// The group of a point, whose name was found in order when it was read.
static ts_group_name name_of(const ts_params *params) {
    char message[512];
    ts_group_name name;
    return ts_group_name_read(ts_params_name(params, "group"), &name, message, sizeof message) ? name
                                                                                               : (ts_group_name){0};
}

// --- Checks ---

static const char *check_order(const ts_group_name *name, const ts_file *file, char *message, size_t bytes) {
    const ts_group_factor *first = &name->factor[0];
    bool even = first->family == TS_ALTERNATING;
    if (name->count > 1 || (first->family != TS_SYMMETRIC && !even)) {
        snprintf(message, bytes, "only S<n> and A<n> have elements to order; leave it out");
        return "element_order";
    }
    ts_permutations listed;
    ts_permutations_list(first->degree, even, &listed);
    return ts_permutations_order(file, even, &listed, message, bytes) ? NULL : "element_order";
}

static bool check_size(const char *text, double order, char *message, size_t bytes) {
    if (order > TS_MAX_ORDER)
        snprintf(message, bytes, "'%.60s' has more than %d elements, the most that a table takes", text, TS_MAX_ORDER);
    return order <= TS_MAX_ORDER;
}

static bool check_name(const char *text, bool kept, char *message, size_t bytes) {
    char fault[512], meant[512];
    ts_group_name name;
    if (ts_group_name_read(text, &name, fault, sizeof fault))
        return !kept || check_size(text, name.order, message, bytes);
    ts_group_guess(text, meant, sizeof meant);
    if (fault[0])
        snprintf(message, bytes, "'%.60s' is no group known here: %s", text, fault);
    else
        snprintf(message, bytes,
                 "'%.60s' is no group known here; give C<n>, D<n> (2n elements), S<n> or A<n> with n from 1, Q<n> (n "
                 "elements), Dic<n> (4n), C<n>:C<m>, SL(2,q), GL(2,q), PSL(2,q) or PGL(2,q), a product of them like "
                 "S3xC5, or a table with `task: cayley`%s",
                 text, meant);
    return false;
}

// Larger groups stay as they are written: they are refused, or dropped by a filter.
static void spell(const ts_key *key, const char *text, char *out) {
    char message[512];
    ts_group_name name;
    snprintf(out, TS_SPELLING_BYTES, "%s", text);
    if (strcmp(key->name, "group") == 0 && ts_group_name_read(text, &name, message, sizeof message) &&
        name.order <= TS_MAX_ORDER)
        ts_group_name_write(&name, out, TS_SPELLING_BYTES);
}

static bool check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    if (strcmp(key->name, "group") == 0)
        return check_name(value->name, kept, message, bytes);
    if (strcmp(key->name, "element_order") == 0 && kept && value->file->path[0])
        return ts_permutations_alike(value->file, message, bytes);
    return true;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    const ts_file *file = ts_params_file(params, "element_order");
    ts_group_name name = name_of(params);
    if (!check_size(ts_params_name(params, "group"), name.order, message, bytes))
        return "group";
    const char *fault = file->path[0] ? check_order(&name, file, message, bytes) : NULL;
    return fault ? fault : ts_split_check(params, (int64_t)(name.order * name.order), message, bytes);
}

static double order(const ts_params *params) {
    ts_group_name name = name_of(params);
    return name.count ? name.order : NAN;
}

static const ts_quantity DERIVED[] = {{"order", "elements of the group", .number = order}, {0}};

static void label(const ts_params *params, ts_text *out) {
    const ts_file *file = ts_params_file(params, "element_order");
    ts_text_add(out, ts_params_name(params, "group"));
    if (file->path[0])
        ts_text_addf(out, " (%s)", file->name);
}

// --- Tables ---

// A factor, and the list of its elements where they are more than a number or two.
typedef struct elements {
    const ts_group_factor *of;
    ts_permutations permutations;
    ts_matrices matrices;
    int power[TS_MAX_ORDER]; // (acting) of the twist
} elements;

static bool list_elements(const ts_group_factor *one, const ts_file *file, elements *out, char *message, size_t bytes) {
    bool even = one->family == TS_ALTERNATING;
    out->of = one;
    switch (one->family) {
    case TS_SYMMETRIC:
    case TS_ALTERNATING:
        ts_permutations_list(one->degree, even, &out->permutations);
        return !file->path[0] || ts_permutations_order(file, even, &out->permutations, message, bytes);
    case TS_SL:
    case TS_GL:
    case TS_PSL:
    case TS_PGL:
        ts_matrices_list(one->degree, one->family == TS_SL || one->family == TS_PSL,
                         one->family == TS_PSL || one->family == TS_PGL, &out->matrices);
        return true;
    case TS_SEMIDIRECT:
        for (int s = 0; s < one->acting; s++)
            out->power[s] = s ? out->power[s - 1] * one->twist % one->degree : 1;
        return true;
    case TS_CYCLIC:
    case TS_DIHEDRAL:
    case TS_DICYCLIC:
        break;
    }
    return true;
}

// Index r + n s is rotation r with reflection bit s: (r1, s1) (r2, s2) = (r1 + (-1)^s1 r2, s1 xor s2).
static int dihedral_product(int n, int a, int b) {
    int r1 = a % n, s1 = a / n, r2 = b % n, s2 = b / n;
    return (r1 + (s1 ? n - r2 : r2)) % n + n * (s1 ^ s2);
}

// Index r + 2n s is x^r y^s: as the dihedral product, with y^2 = x^n in place of 1.
static int dicyclic_product(int n, int a, int b) {
    int both = a / (2 * n) & b / (2 * n), product = dihedral_product(2 * n, a, b);
    return both ? (product + n) % (2 * n) : product;
}

// Index r + n s is x^r y^s: (r1, s1) (r2, s2) = (r1 + k^s1 r2 mod n, s1 + s2 mod m).
static int semidirect_product(const elements *in, int a, int b) {
    int n = in->of->degree, m = in->of->acting, r1 = a % n, s1 = a / n, r2 = b % n, s2 = b / n;
    return (r1 + in->power[s1] * r2) % n + n * ((s1 + s2) % m);
}

static int factor_product(const elements *in, int a, int b) {
    switch (in->of->family) {
    case TS_CYCLIC:
        return (a + b) % in->of->degree;
    case TS_DIHEDRAL:
        return dihedral_product(in->of->degree, a, b);
    case TS_DICYCLIC:
        return dicyclic_product(in->of->degree, a, b);
    case TS_SEMIDIRECT:
        return semidirect_product(in, a, b);
    case TS_SYMMETRIC:
    case TS_ALTERNATING:
        return ts_permutations_product(&in->permutations, a, b);
    case TS_SL:
    case TS_GL:
    case TS_PSL:
    case TS_PGL:
        break;
    }
    return ts_matrices_product(&in->matrices, a, b);
}

// Adds one factor's part of every product to the table. An element of G x H is i |H| + j: the factor's own
// index is the digit whose unit is `stride`, the number of elements of the factors behind it.
static void enter_factor(const elements *in, int stride, ts_table *table) {
    int order = (int)in->of->order, n = table->n;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            table->result[a * n + b] += stride * factor_product(in, a / stride % order, b / stride % order);
}

// The last factor's index runs fastest.
static ts_status enter_factors(const ts_group_name *name, const ts_file *file, ts_table *table) {
    char message[512];
    int stride = 1;
    elements *in = ts_alloc(sizeof *in, "a group's elements");
    if (!in)
        return TS_ERROR_MEMORY;
    bool fine = true;
    for (int f = name->count - 1; f >= 0 && fine; f--) {
        fine = list_elements(&name->factor[f], file, in, message, sizeof message);
        if (fine)
            enter_factor(in, stride, table);
        stride *= (int)name->factor[f].order;
    }
    ts_free(in);
    return fine ? TS_OK : ts_fail(TS_ERROR_UNIT, "element_order: %s", message);
}

// By which its irreps are named, and its measures chosen; 0: those of any group.
static char family_letter(const ts_group_name *name) {
    static const char LETTERS[] = {
        [TS_CYCLIC] = 'C', [TS_DIHEDRAL] = 'D', [TS_SYMMETRIC] = 'S', [TS_ALTERNATING] = 'A', [TS_PGL] = 0};
    return name->count == 1 ? LETTERS[name->factor[0].family] : 0;
}

static ts_status create(const ts_params *params, ts_data *data) {
    ts_group_name name = name_of(params);
    if (name.count == 0 || name.order > TS_MAX_ORDER)
        return ts_fail(TS_ERROR_UNIT, "group: no such group"); // check refuses it before
    int n = (int)name.order;
    ts_status status = ts_table_create(n, n, &data->table);
    if (status != TS_OK)
        return status;
    memset(data->table->result, 0, (size_t)n * (size_t)n * sizeof *data->table->result);
    status = enter_factors(&name, ts_params_file(params, "element_order"), data->table);
    if (status != TS_OK)
        return status;
    data->table->family = family_letter(&name);
    data->table->degree = data->table->family ? name.factor[0].degree : 0;
    return ts_table_examine(data->table);
}

const ts_task ts_task_group = {
    .name = "group",
    .help = "the multiplication table of a finite group, by name",
    .kind = TS_KIND_TABLE,
    .keys = KEYS,
    .derived = DERIVED,
    .check_value = check_value,
    .spell = spell,
    .check = check,
    .label = label,
    .create = create,
};
