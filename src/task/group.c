// Task `group`: the multiplication table of a cyclic, dihedral, symmetric or alternating group, or of a
// direct product of such.
#include "task/data.h"
#include "task/permutations.h"
#include "task/split.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"group", TS_NAME, NULL, 0, 0, NULL, true,
     "C<n>, D<n> (2n elements), S<n>, A<n>, or a direct product of these, as in S3xC5"},
    {"element_order", TS_FILE, "", 0, 0, NULL, true,
     "Order of the elements of S<n> or A<n>: one permutation a row (default: lexicographic)"},
    TS_SPLIT_KEYS,
    {0},
};

// --- Names ---

enum { MAX_FACTORS = 16 };
_Static_assert(TS_MAX_ORDER < 2520 && TS_MAX_DEGREE == 6,
               "A7 is no table, so that degrees of permutations are at most 6");

typedef struct factor {
    char family; // C, D, S, A
    int degree;
    double order; // may be far more than a table takes
} factor;

static double order_of(char family, int degree) {
    if (family == 'C' || family == 'D')
        return family == 'D' ? 2.0 * degree : degree;
    double order = 1;
    for (int i = 2; i <= degree && order < 1e15; i++)
        order *= i;
    return family == 'A' && degree > 1 ? order / 2 : order;
}

// "S3xC5" into factors, and how many; 0: no such name.
static int read_name(const char *name, factor made[MAX_FACTORS]) {
    for (int count = 0; count < MAX_FACTORS; name++) {
        factor *one = &made[count++];
        *one = (factor){.family = *name};
        if (!*name || !strchr("CDSA", *name) || name[1] < '1' || name[1] > '9')
            return 0;
        for (name++; *name >= '0' && *name <= '9'; name++)
            one->degree = one->degree < 100000 ? 10 * one->degree + (*name - '0') : one->degree;
        one->order = order_of(one->family, one->degree);
        if (!*name)
            return count;
        if (*name != 'x')
            return 0;
    }
    return 0;
}

static double order_of_all(const factor *factors, int count) {
    double order = 1;
    for (int f = 0; f < count; f++)
        order *= factors[f].order;
    return order;
}

// --- Names of other programs ---

// What a group of a family is called elsewhere, in lower case.
static const struct {
    char family;
    const char *words; // each between blanks
} FAMILIES[] = {
    {'C', " c cn z zn zz mod zmod cyc cyclic cyclicgroup "},
    {'D', " d dn dih dihedral dihedralgroup "},
    {'S', " s sn sym symm symmetric symmetricgroup "},
    {'A', " a an alt alternating alternatinggroup "},
};

// The letters at *at, in lower case and between blanks.
static void take_word(const char **at, char word[32]) {
    size_t length = 1;
    word[0] = ' ';
    for (; length + 2 < 32 && ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z')); ++*at)
        word[length++] = (char)(**at | 0x20);
    strcpy(word + length, " ");
}

static void pass_over(const char **at, const char *any) {
    *at += strspn(*at, any);
}

// "^3" behind a factor; 1 without. 0: no power that is read.
static int take_power(const char **at) {
    if (**at != '^')
        return 1;
    int power = (*at)[1] >= '1' && (*at)[1] <= '9' ? (*at)[1] - '0' : 0;
    *at += power ? 2 : 0;
    return power;
}

// One factor as others write it (Z_7, Dih(4), Sym 5, Z/7Z, C2^3, V4) into ours. False: not understood.
static bool translate_factor(const char **at, ts_text *out) {
    char word[32], family = 0;
    pass_over(at, " (");
    take_word(at, word);
    pass_over(at, " _({[/");
    pass_over(at, "0");
    const char *number = *at;
    pass_over(at, "0123456789");
    int digits = (int)(*at - number);
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        family = word[1] != ' ' && strstr(FAMILIES[i].words, word) ? FAMILIES[i].family : family;
    bool four = digits == 1 && *number == '4';
    bool klein = (strcmp(word, " klein ") == 0 && (four || !digits)) || (strstr(" v k ", word) && four);
    if (!klein && (!family || digits < 1 || digits > 6))
        return false;
    pass_over(at, " )}]Z");
    int power = take_power(at);
    for (int i = 0; i < power; i++)
        ts_text_addf(out, "%s%c%.*s", out->length ? "x" : "", klein ? 'C' : family, klein ? 5 : digits,
                     klein ? "2xC2" : number);
    return power > 0;
}

// What a name of other programs means here, as "; did you mean 'D4' (8 elements)?"; nothing if it is not understood.
static void suggest(const char *name, char *out, size_t bytes) {
    ts_text made = {0};
    factor factors[MAX_FACTORS];
    bool understood = translate_factor(&name, &made);
    while (understood && *name) {
        pass_over(&name, " ");
        size_t sign = strncmp(name, "\u00d7", 2) == 0 ? 2 : *name && strchr("xX*", *name) ? 1 : 0;
        name += sign;
        understood = sign && translate_factor(&name, &made);
    }
    int count = understood ? read_name(ts_text_get(&made), factors) : 0;
    out[0] = 0;
    if (count)
        snprintf(out, bytes, "; did you mean '%s' (%.15g elements)?", ts_text_get(&made), order_of_all(factors, count));
    ts_text_free(&made);
}

// --- Checks ---

static const char *check_order(const factor *factors, int count, const ts_file *file, char *message, size_t bytes) {
    bool even = factors[0].family == 'A';
    if (count > 1 || (factors[0].family != 'S' && !even)) {
        snprintf(message, bytes, "only S<n> and A<n> have elements to order; leave it out");
        return "element_order";
    }
    ts_permutations listed;
    ts_permutations_list(factors[0].degree, even, &listed);
    return ts_permutations_order(file, even, &listed, message, bytes) ? NULL : "element_order";
}

static bool check_size(const char *name, double order, char *message, size_t bytes) {
    if (order > TS_MAX_ORDER)
        snprintf(message, bytes, "'%.60s' has more than %d elements, the most that a table takes", name, TS_MAX_ORDER);
    return order <= TS_MAX_ORDER;
}

static bool check_name(const char *name, bool kept, char *message, size_t bytes) {
    factor factors[MAX_FACTORS];
    char meant[160];
    int count = read_name(name, factors);
    if (count > 0)
        return !kept || check_size(name, order_of_all(factors, count), message, bytes);
    suggest(name, meant, sizeof meant);
    snprintf(message, bytes,
             "'%.60s' is no group known here; give C<n>, D<n> (2n elements), S<n> or A<n> with n from 1, a "
             "product of "
             "them like S3xC5, or a table with `task: cayley`%s",
             name, meant);
    return false;
}

static bool check_value(const ts_key *key, const ts_value *value, bool kept, char *message, size_t bytes) {
    if (strcmp(key->name, "group") == 0)
        return check_name(value->name, kept, message, bytes);
    if (strcmp(key->name, "element_order") == 0 && kept && value->file->path[0])
        return ts_permutations_alike(value->file, message, bytes);
    return true;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    factor factors[MAX_FACTORS];
    const char *name = ts_params_name(params, "group");
    const ts_file *file = ts_params_file(params, "element_order");
    int count = read_name(name, factors);
    double order = order_of_all(factors, count);
    if (!check_size(name, order, message, bytes))
        return "group";
    const char *fault = file->path[0] ? check_order(factors, count, file, message, bytes) : NULL;
    return fault ? fault : ts_split_check(params, (int64_t)(order * order), message, bytes);
}

static double order(const ts_params *params) {
    factor factors[MAX_FACTORS];
    int count = read_name(ts_params_name(params, "group"), factors);
    return count ? order_of_all(factors, count) : NAN;
}

static const ts_quantity DERIVED[] = {{"order", "elements of the group", .number = order}, {0}};

static void label(const ts_params *params, ts_text *out) {
    const ts_file *file = ts_params_file(params, "element_order");
    ts_text_add(out, ts_params_name(params, "group"));
    if (file->path[0])
        ts_text_addf(out, " (%s)", file->name);
}

// --- Tables ---

// Index r + n s is rotation r with reflection bit s: (r1, s1) (r2, s2) = (r1 + (-1)^s1 r2, s1 xor s2).
static int dihedral_product(int n, int a, int b) {
    int r1 = a % n, s1 = a / n, r2 = b % n, s2 = b / n;
    return (r1 + (s1 ? n - r2 : r2)) % n + n * (s1 ^ s2);
}

static int factor_product(const factor *one, const ts_permutations *permutations, int a, int b) {
    if (one->family == 'C')
        return (a + b) % one->degree;
    if (one->family == 'D')
        return dihedral_product(one->degree, a, b);
    return ts_permutations_product(permutations, a, b);
}

// Adds one factor's part of every product to the table. An element of G x H is i |H| + j: the factor's own
// index is the digit whose unit is `stride`, the number of elements of the factors behind it.
static void enter_factor(const factor *one, const ts_permutations *permutations, int stride, ts_table *table) {
    int order = (int)one->order, n = table->n;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            table->result[a * n + b] +=
                stride * factor_product(one, permutations, a / stride % order, b / stride % order);
}

static ts_status create(const ts_params *params, ts_data *data) {
    factor factors[MAX_FACTORS];
    int count = read_name(ts_params_name(params, "group"), factors);
    const ts_file *file = ts_params_file(params, "element_order");
    char message[512] = "no such group";
    int n = (int)order_of_all(factors, count), stride = 1;
    if (count == 0 || n > TS_MAX_ORDER)
        return ts_fail(TS_ERROR_UNIT, "group: %s", message); // check refuses it before
    ts_status status = ts_table_create(n, n, &data->table);
    if (status != TS_OK)
        return status;
    memset(data->table->result, 0, (size_t)n * (size_t)n * sizeof *data->table->result);
    for (int f = count - 1; f >= 0; f--) { // the last factor's index runs fastest
        ts_permutations permutations;
        bool even = factors[f].family == 'A', permutes = even || factors[f].family == 'S';
        if (permutes)
            ts_permutations_list(factors[f].degree, even, &permutations);
        if (permutes && file->path[0] && !ts_permutations_order(file, even, &permutations, message, sizeof message))
            return ts_fail(TS_ERROR_UNIT, "element_order: %s", message);
        enter_factor(&factors[f], &permutations, stride, data->table);
        stride *= (int)factors[f].order;
    }
    data->table->family = count == 1 ? factors[0].family : 0;
    data->table->degree = count == 1 ? factors[0].degree : 0;
    return ts_table_examine(data->table);
}

const ts_task ts_task_group = {
    .name = "group",
    .help = "the multiplication table of a finite group, by name",
    .kind = TS_KIND_TABLE,
    .keys = KEYS,
    .derived = DERIVED,
    .check_value = check_value,
    .check = check,
    .label = label,
    .create = create,
};
