// One factor after the other; each as the simplest construction that it is.
#include "task/group_name.h"

#include "task/matrices.h"
#include "task/table.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SAID = 100000 }; // numbers from there on need not come out as written: no table is so large

// What names begin with. Of two of which one begins as the other does, the longer one comes later.
static const char *const WORDS[] = {
    [TS_CYCLIC] = "C", [TS_DIHEDRAL] = "D", [TS_SYMMETRIC] = "S", [TS_ALTERNATING] = "A", [TS_DICYCLIC] = "Dic",
    [TS_SL] = "SL(",   [TS_GL] = "GL(",     [TS_PSL] = "PSL(",    [TS_PGL] = "PGL("};
enum { FAMILIES = sizeof WORDS / sizeof *WORDS };

// --- Actions of a cyclic group on another ---

// The least m > 0 for which k^m is 1 modulo n; 0: there is none.
static int order_modulo(int k, int n) {
    int power = k % n, m = 1;
    for (; power != 1 % n && m <= n; m++)
        power = power * k % n;
    return m <= n ? m : 0;
}

// The least k of that order modulo n; -1: there is none.
static int least_of_order(int m, int n) {
    for (int k = n == 1 ? 0 : 1; k < n; k++)
        if (order_modulo(k, n) == m)
            return k;
    return -1;
}

static void refuse_action(int n, int m, char *message, size_t bytes) {
    char orders[200] = "", other[80];
    for (int order = 1, at = 0; order <= n; order++)
        if (least_of_order(order, n) >= 0 && at < (int)sizeof orders - 8)
            at += snprintf(orders + at, sizeof orders - (size_t)at, "%s%d", at ? ", " : "", order);
    snprintf(other, sizeof other, "C%dxC%d is the direct product", n, m);
    if (m == 4 && n > 1 && n % 2) // as other programs call it
        snprintf(other, sizeof other, "Dic%d is the group in which C4 inverts C%d", n, n);
    snprintf(message, bytes, "C%d has no automorphism of order %d by which C%d could act, only of order %s; %s", n, m,
             m, orders, other);
}

// C<n>:C<m>, by the least k of order m modulo n. Where k is 1 that is C<n>, where k is -1 and m is 2 it is D<n>.
static bool make_semidirect(ts_group_factor *one, char *message, size_t bytes) {
    int n = one->degree, m = one->acting;
    one->family = TS_SEMIDIRECT;
    one->order = (double)n * m;
    if (one->order > TS_MAX_ORDER) // is refused for that
        return true;
    one->twist = least_of_order(m, n);
    if (one->twist < 0) {
        refuse_action(n, m, message, bytes);
        return false;
    }
    if (m == 1 || (m == 2 && one->twist == n - 1))
        *one = (ts_group_factor){.family = m == 1 ? TS_CYCLIC : TS_DIHEDRAL, .degree = n, .order = one->order};
    return true;
}

// --- Factors ---

static bool is_power_of_two(int n) {
    return (n & (n - 1)) == 0;
}

static bool is_prime(int n) {
    for (int d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static double permutations_of(int degree, bool even) {
    double order = 1;
    for (int i = 2; i <= degree && order < 1e15; i++)
        order *= i;
    return even && degree > 1 ? order / 2 : order;
}

static bool take(const char **at, const char *word) {
    size_t length = strlen(word);
    bool there = strncmp(*at, word, length) == 0;
    *at += there ? length : 0;
    return there;
}

// A whole number from 1; one of MOST_SAID and more may come out smaller, but no less than that.
static bool take_number(const char **at, int *out) {
    if (**at < '1' || **at > '9')
        return false;
    for (*out = 0; **at >= '0' && **at <= '9'; ++*at)
        *out = *out < MOST_SAID ? 10 * *out + (**at - '0') : *out;
    return true;
}

// Q<n> and Dic<n>, whose n is taken.
static bool make_dicyclic(bool quaternion, ts_group_factor *one, char *message, size_t bytes) {
    int n = one->degree;
    *one = (ts_group_factor){.family = TS_DICYCLIC, .degree = quaternion ? n / 4 : n};
    one->order = 4.0 * one->degree;
    if (quaternion && (n < 8 || !is_power_of_two(n)))
        snprintf(message, bytes,
                 n % 4 == 0 && n > 4 ? "Q<n>, the generalised quaternion group, has n = 8, 16, 32, ... elements; the "
                                       "dicyclic group of so many is Dic%d"
                                     : "Q<n>, the generalised quaternion group, has n = 8, 16, 32, ... elements",
                 n / 4);
    else if (!quaternion && n < 2)
        snprintf(message, bytes, "Dic<n>, the dicyclic group of 4n elements, has n from 2; Dic1 is C4");
    else
        return true;
    return false;
}

static bool make_matrices(ts_group_family family, int size, int q, ts_group_factor *one, char *message, size_t bytes) {
    bool special = family == TS_SL || family == TS_PSL, projective = family == TS_PSL || family == TS_PGL;
    *one = (ts_group_factor){.family = q == 2 ? TS_SL : family, .degree = q};
    one->order = ts_matrices_order(q, special, projective);
    if (size == 2 && (q >= MOST_SAID || is_prime(q))) // the larger ones are refused for their order
        return true;
    if (size != 2)
        snprintf(message, bytes, "only matrices of 2 x 2 are built; give %s2,q)", WORDS[family]);
    else
        snprintf(message, bytes,
                 "matrices are built over fields of a prime number of elements, which %d is not; give a table with "
                 "`task: cayley`",
                 q);
    return false;
}

static bool take_matrices(const char **at, ts_group_family family, ts_group_factor *one, char *message, size_t bytes) {
    int size, q;
    if (!take_number(at, &size))
        return false;
    if (!**at)
        snprintf(message, bytes, "it ends at the comma; in a list write it in quotes, as in [\"SL(2,3)\", Q8]");
    if (!take(at, ","))
        return false;
    take(at, " ");
    return take_number(at, &q) && take(at, ")") && make_matrices(family, size, q, one, message, bytes);
}

static bool take_cyclic(const char **at, ts_group_factor *one, char *message, size_t bytes) {
    one->order = one->degree;
    return !take(at, ":C") || (take_number(at, &one->acting) && make_semidirect(one, message, bytes));
}

// False: no factor, or one that there is not (then `message` says why).
static bool take_factor(const char **at, ts_group_factor *one, char *message, size_t bytes) {
    bool quaternion = take(at, "Q");
    int family = quaternion ? TS_DICYCLIC : FAMILIES - 1;
    while (!quaternion && family >= 0 && !(WORDS[family] && take(at, WORDS[family])))
        family--;
    if (family < 0)
        return false;
    *one = (ts_group_factor){.family = (ts_group_family)family};
    if (one->family >= TS_SL)
        return take_matrices(at, one->family, one, message, bytes);
    if (!take_number(at, &one->degree))
        return false;
    if (one->family == TS_DICYCLIC)
        return make_dicyclic(quaternion, one, message, bytes);
    if (one->family == TS_CYCLIC)
        return take_cyclic(at, one, message, bytes);
    one->order =
        one->family == TS_DIHEDRAL ? 2.0 * one->degree : permutations_of(one->degree, one->family == TS_ALTERNATING);
    return true;
}

bool ts_group_name_read(const char *text, ts_group_name *out, char *message, size_t bytes) {
    message[0] = 0;
    *out = (ts_group_name){.order = 1};
    while (out->count < TS_MAX_FACTORS) {
        ts_group_factor *one = &out->factor[out->count++];
        if (!take_factor(&text, one, message, bytes))
            return false;
        out->order *= one->order;
        if (!*text)
            return true;
        if (*text == ':')
            snprintf(message, bytes,
                     "of semidirect products only C<n>:C<m> are built, as in C7:C3; give a table with "
                     "`task: cayley`");
        if (!take(&text, "x"))
            return false;
    }
    return false;
}

// --- Writing ---

static int write_factor(const ts_group_factor *one, char *out, size_t bytes) {
    int n = one->degree;
    if (one->family == TS_SEMIDIRECT)
        return snprintf(out, bytes, "C%d:C%d", n, one->acting);
    if (one->family == TS_DICYCLIC && is_power_of_two(n))
        return snprintf(out, bytes, "Q%d", 4 * n);
    return snprintf(out, bytes, one->family >= TS_SL ? "%s2,%d)" : "%s%d", WORDS[one->family], n);
}

void ts_group_name_write(const ts_group_name *name, char *out, size_t bytes) {
    size_t at = 0;
    for (int f = 0; f < name->count && at < bytes; f++) {
        at += (size_t)snprintf(out + at, bytes - at, "%s", f ? "x" : "");
        at += at < bytes ? (size_t)write_factor(&name->factor[f], out + at, bytes - at) : 0;
    }
}
