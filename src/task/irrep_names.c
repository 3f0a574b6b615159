// Families one after the other: cyclic, dihedral, symmetric, alternating; then the rest by dimension.
#include "task/irrep_names.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double PI = 3.14159265358979323846;
enum { MAX_DEGREE = 7 }; // largest symmetric group whose partitions are named

// --- Any group: dim4_a, dim4_b, ..., dim4_z, dim4_aa, ... ---

static void letters(int index, char out[8]) {
    char reversed[8];
    int length = 0;
    for (index++; index > 0 && length < 7; index = (index - 1) / 26)
        reversed[length++] = (char)('a' + (index - 1) % 26);
    for (int i = 0; i < length; i++)
        out[i] = reversed[length - 1 - i];
    out[length] = 0;
}

static bool is_trivial(const ts_irreps *irreps, const ts_irrep *irrep) {
    for (int g = 0; g < irreps->order; g++)
        if (irrep->character[g] != 1)
            return false;
    return true;
}

// Names every irrep that has none yet: letters count within a dimension, in the order of the set.
static void name_the_rest(ts_irreps *irreps) {
    int dimension = 0, used = 0;
    for (int i = 0; i < irreps->count; i++) {
        ts_irrep *irrep = &irreps->irrep[i];
        if (irrep->dimension != dimension) {
            dimension = irrep->dimension;
            used = 0;
        }
        if (irrep->name[0])
            continue;
        char suffix[8];
        letters(used++, suffix);
        snprintf(irrep->name, sizeof irrep->name, "dim%d_%s", dimension, suffix);
    }
}

// --- C_n and D_n: element 1 is the rotation by one step ---

// k in 1..n/2 whose 2 cos(2 pi k / n) is nearest to chi(r).
static int frequency(double character, int n) {
    int best = 1;
    for (int k = 2; k <= n / 2; k++)
        if (fabs(2 * cos(2 * PI * k / n) - character) < fabs(2 * cos(2 * PI * best / n) - character))
            best = k;
    return best;
}

static void name_cyclic(const ts_table *table, ts_irrep *irrep) {
    double at_rotation = irrep->character[table->n > 1 ? 1 : 0];
    if (irrep->pair)
        snprintf(irrep->name, sizeof irrep->name, "freq_%d", frequency(at_rotation, table->n));
    else
        strcpy(irrep->name, "sign"); // the other real one of dimension 1: r -> -1
}

// The one-dimensional irreps of D_n besides `trivial`: `sign` is -1 on reflections; for even n there are also
// `sign_r`, -1 on r but 1 on s, and `sign_rs`, -1 on both.
static void name_dihedral(const ts_table *table, ts_irrep *irrep) {
    int n = table->degree;
    double at_rotation = irrep->character[n > 1 ? 1 : 0], at_reflection = irrep->character[n];
    if (irrep->dimension == 2)
        snprintf(irrep->name, sizeof irrep->name, "freq_%d", frequency(at_rotation, n));
    else if (at_rotation > 0)
        strcpy(irrep->name, "sign");
    else
        strcpy(irrep->name, at_reflection > 0 ? "sign_r" : "sign_rs");
}

// --- S_n and A_n ---

// The table knows no permutations, but the standard irrep does: a permutation g fixes chi(g) + 1 points, and
// what its powers fix gives its cycle type.

// cycle[l] = how many cycles of length l in 1..degree the class has if `standard` is the standard irrep.
// False: that is no permutation, so `standard` is another irrep.
static bool cycles_of(const ts_table *table, const ts_irrep *standard, int g, int period, int cycle[]) {
    int power = table->identity, points = 0;
    for (int l = 1; l <= table->degree; l++) {
        power = table->result[power * table->n + g];
        int fixed = (int)lround(standard->character[power]) + 1;
        for (int divisor = 1; divisor < l; divisor++)
            if (l % divisor == 0)
                fixed -= divisor * cycle[divisor];
        if (fixed < 0 || fixed % l || (fixed && period % l))
            return false;
        cycle[l] = fixed / l;
        points += fixed;
    }
    return points == table->degree;
}

static bool is_standard(const ts_table *table, const ts_classes *classes, const ts_irrep *irrep) {
    int cycle[TS_MAX_ORDER + 1];
    if ((irrep->pair ? 2 : 1) * irrep->dimension != table->degree - 1)
        return false;
    for (int c = 0; c < classes->count; c++)
        if (!cycles_of(table, irrep, classes->representative[c], classes->period[c], cycle))
            return false;
    return true;
}

// The first one that fits (and is not `trivial`). S6 and A6 have two that do: their tables have an
// automorphism that swaps transpositions with products of three (3-cycles with products of two), so that no
// table can tell them apart. The first in the set is the one for which an earlier element fixes more points:
// the right one for lexicographic order and SymPy's.
static int find_standard(const ts_table *table, const ts_classes *classes, const ts_irreps *irreps) {
    for (int i = 0; i < irreps->count; i++)
        if (!irreps->irrep[i].name[0] && is_standard(table, classes, &irreps->irrep[i]))
            return i;
    return -1;
}

// Murnaghan-Nakayama: the character of the irrep of `part` (degree parts, the last ones may be 0) on a cycle
// type. The partition is a set of beads, part i at part[i] + degree - i - 1; taking a rim hook of length l
// away moves a bead down by l to a free place, with a minus for every bead that it jumps over. `ways` (2,
// 4^degree): signed number of ways to reach each set.
static int partition_character(int degree, const int part[], const int cycle[], int *ways) {
    const unsigned sets = 1U << (2 * degree);
    int *now = ways, *next = ways + sets;
    unsigned start = 0;
    for (int i = 0; i < degree; i++)
        start |= 1U << (part[i] + degree - i - 1);
    memset(now, 0, sets * sizeof *now);
    now[start] = 1;
    for (int l = 1; l <= degree; l++)
        for (int copies = 0; copies < cycle[l]; copies++) {
            memset(next, 0, sets * sizeof *next);
            for (unsigned set = 0; set < sets; set++)
                for (int bead = l; now[set] && bead < 2 * degree; bead++) {
                    if (!(set >> bead & 1) || (set >> (bead - l) & 1))
                        continue;
                    unsigned jumped = set >> (bead - l + 1) & ((1U << (l - 1)) - 1);
                    int sign = __builtin_popcount(jumped) % 2 ? -1 : 1;
                    next[(set & ~(1U << bead)) | 1U << (bead - l)] += sign * now[set];
                }
            int *swap = now;
            now = next;
            next = swap;
        }
    return now[(1U << degree) - 1];
}

// The next partition in descending lexicographic order; false after 1 + 1 + ... + 1.
static bool next_partition(int degree, int part[]) {
    int last = degree - 1, rest = 0;
    while (last >= 0 && part[last] <= 1)
        rest += part[last--];
    if (last < 0)
        return false;
    int most = --part[last];
    rest++;
    for (int i = last + 1; i < degree; i++) {
        part[i] = rest < most ? rest : most;
        rest -= part[i];
    }
    return true;
}

static void partition_name(int degree, const int part[], char name[32]) {
    int length = 0;
    if (part[0] == degree)
        strcpy(name, "trivial");
    else if (part[0] == 1)
        strcpy(name, "sign");
    else if (part[0] == degree - 1)
        strcpy(name, "standard");
    else if (part[0] == 2 && part[1] == 1)
        strcpy(name, "standard_sign");
    else {
        for (int i = 0; i < degree && part[i]; i++)
            length += snprintf(name + length, 32 - (size_t)length, "%c%d", i ? ',' : '[', part[i]);
        snprintf(name + length, 32 - (size_t)length, "]");
    }
}

static void name_partition(const ts_table *table, const ts_classes *classes, const ts_irrep *standard, const int part[],
                           int *ways, ts_irreps *irreps) {
    bool fits[TS_MAX_ORDER];
    for (int i = 0; i < irreps->count; i++)
        fits[i] = true;
    for (int c = 0; c < classes->count; c++) {
        int cycle[MAX_DEGREE + 1], g = classes->representative[c];
        cycles_of(table, standard, g, classes->period[c], cycle);
        double value = partition_character(table->degree, part, cycle, ways);
        for (int i = 0; i < irreps->count; i++)
            fits[i] = fits[i] && fabs(irreps->irrep[i].character[g] - value) < 0.5;
    }
    for (int i = 0; i < irreps->count; i++)
        if (fits[i])
            partition_name(table->degree, part, irreps->irrep[i].name);
}

static ts_status name_symmetric(const ts_table *table, const ts_classes *classes, ts_irreps *irreps) {
    int part[MAX_DEGREE] = {table->degree};
    int standard = find_standard(table, classes, irreps);
    if (standard < 0 || table->degree > MAX_DEGREE)
        return TS_OK;
    int *ways = ts_alloc_zero(2UL << (2 * table->degree), sizeof *ways, "the partitions' characters");
    if (!ways)
        return TS_ERROR_MEMORY;
    do
        name_partition(table, classes, &irreps->irrep[standard], part, ways, irreps);
    while (next_partition(table->degree, part));
    ts_free(ways);
    return TS_OK;
}

// --- All of them ---

static const struct {
    char family;
    int degree;
    const char *name, *alias;
} ALIASES[] = {
    {'S', 4, "[2,2]", "s4_2d"},   {'S', 5, "[2,2,1]", "s5_5d_a"}, {'S', 5, "[3,2]", "s5_5d_b"},
    {'S', 5, "[3,1,1]", "s5_6d"}, {'A', 5, "dim5_a", "a5_5d_a"},
};

static void add_aliases(const ts_table *table, ts_irreps *irreps) {
    for (int i = 0; i < irreps->count; i++)
        for (size_t a = 0; a < sizeof ALIASES / sizeof *ALIASES; a++)
            if (ALIASES[a].family == table->family && ALIASES[a].degree == table->degree &&
                !strcmp(ALIASES[a].name, irreps->irrep[i].name))
                strcpy(irreps->irrep[i].alias, ALIASES[a].alias);
}

ts_status ts_irrep_names(const ts_table *table, const ts_classes *classes, ts_irreps *irreps) {
    for (int i = 0; i < irreps->count; i++) {
        ts_irrep *irrep = &irreps->irrep[i];
        if (is_trivial(irreps, irrep))
            strcpy(irrep->name, "trivial");
        else if (table->family == 'C')
            name_cyclic(table, irrep);
        else if (table->family == 'D')
            name_dihedral(table, irrep);
    }
    if (table->family == 'S' && name_symmetric(table, classes, irreps) != TS_OK)
        return TS_ERROR_MEMORY;
    int standard = table->family == 'A' ? find_standard(table, classes, irreps) : -1;
    if (standard >= 0)
        strcpy(irreps->irrep[standard].name, "standard");
    name_the_rest(irreps);
    add_aliases(table, irreps);
    return TS_OK;
}
