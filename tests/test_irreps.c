// Irreps from multiplication tables alone: counts, dimensions, names, completeness, orthogonality,
// projectors.
#include "base/memory.h"
#include "support.h"
#include "task/irreps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// --- Tables ---

// Room for a group of that order; fill result, then call finish.
static ts_table *empty_table(int n, char family, int degree) {
    ts_table *table = calloc(1, sizeof *table);
    *table = (ts_table){.n = n, .n_out = n, .square = true, .inverses = true, .associative = true, .group = true};
    table->family = family;
    table->degree = degree;
    table->result = malloc((size_t)n * (size_t)n * sizeof *table->result);
    return table;
}

static ts_table *finish(ts_table *table) {
    table->identity = -1;
    for (int e = 0; e < table->n; e++)
        if (table->result[e * table->n + e] == e)
            table->identity = e;
    assert_int_not_equal(table->identity, -1);
    return table;
}

static void free_table(ts_table *table) {
    free(table->result);
    free(table);
}

// Elements a + n b of pairs (a, b), a mod n and b mod m: (a, b)(c, d) = (a + twist^b c + carry [b + d >= m],
// b + d).
static ts_table *metacyclic(int n, int m, int twist, int carry, char family, int degree) {
    ts_table *table = empty_table(n * m, family, degree);
    for (int x = 0; x < n * m; x++)
        for (int y = 0; y < n * m; y++) {
            int c = y % n, b = x / n, d = y / n;
            for (int i = 0; i < b; i++)
                c = c * twist % n;
            int a = (x % n + c + (b + d >= m ? carry : 0)) % n;
            table->result[x * table->n + y] = a + n * ((b + d) % m);
        }
    return finish(table);
}

static ts_table *cyclic(int n) {
    return metacyclic(n, 1, 1, 0, 'C', n);
}
static ts_table *dihedral(int n) {
    return metacyclic(n, 2, n - 1, 0, 'D', n);
}

static int sign_of(const int *p, int n) {
    int sign = 1;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            sign = p[j] > p[i] ? -sign : sign;
    return sign;
}

// All permutations of n points (even: only the even ones), lexicographic; returns how many.
static int list_permutations(int n, bool even, int (*list)[7]) {
    int p[7], count = 0;
    int total = 1;
    for (int i = 0; i < n; i++)
        total *= n;
    for (int code = 0; code < total; code++) {
        int rest = code, seen = 0;
        for (int i = n - 1; i >= 0; i--, rest /= n) {
            p[i] = rest % n;
            seen |= 1 << p[i];
        }
        if (seen == (1 << n) - 1 && (!even || sign_of(p, n) > 0))
            memcpy(list[count++], p, sizeof p);
    }
    return count;
}

// x * y is x first, then y.
static ts_table *permutation_table(int n, int count, int (*list)[7], char family) {
    ts_table *table = empty_table(count, family, n);
    for (int x = 0; x < count; x++)
        for (int y = 0; y < count; y++) {
            int z = 0;
            for (int same = 0; same < n; z += same < n)
                for (same = 0; same < n && list[z][same] == list[y][list[x][same]];)
                    same++;
            table->result[x * count + y] = z;
        }
    return finish(table);
}

static ts_table *permutations(int n, char family) {
    int(*list)[7] = calloc(5040, sizeof *list);
    ts_table *table = permutation_table(n, list_permutations(n, family == 'A', list), list, family);
    free(list);
    return table;
}

static ts_table *product_of(ts_table *left, ts_table *right) {
    int n = right->n;
    ts_table *table = empty_table(left->n * n, 0, 0);
    for (int x = 0; x < table->n; x++)
        for (int y = 0; y < table->n; y++)
            table->result[x * table->n + y] =
                left->result[x / n * left->n + y / n] * n + right->result[x % n * n + y % n];
    free_table(left);
    free_table(right);
    return finish(table);
}

// The same group with its elements in another order: element g becomes to[g].
static ts_table *renumbered(ts_table *table, const int *to) {
    int n = table->n;
    ts_table *other = empty_table(n, table->family, table->degree);
    for (int x = 0; x < n; x++)
        for (int y = 0; y < n; y++)
            other->result[to[x] * n + to[y]] = to[table->result[x * n + y]];
    free_table(table);
    return finish(other);
}

// --- What holds for every group ---

static ts_irreps *irreps_of(const ts_table *table) {
    ts_irreps *irreps = NULL;
    if (ts_irreps_create(table, &irreps) != TS_OK)
        fail_msg("%s", ts_message());
    return irreps;
}

static void check_characters(const ts_table *table, const ts_irreps *irreps) {
    int n = table->n, squares = 0;
    assert_int_equal(irreps->order, n);
    assert_int_equal(irreps->count, ts_irreps_count(table));
    for (int i = 0; i < irreps->count; i++) {
        const ts_irrep *a = &irreps->irrep[i];
        squares += (a->pair ? 2 : 1) * a->dimension * a->dimension;
        assert_close(a->character[table->identity], (a->pair ? 2 : 1) * a->dimension, 0, 1e-12);
        if (i)
            assert_true(irreps->irrep[i - 1].dimension <= a->dimension);
        for (int j = 0; j < irreps->count; j++) {
            double sum = 0;
            for (int g = 0; g < n; g++)
                sum += a->character[g] * irreps->irrep[j].character[g];
            assert_close(sum / n, i != j ? 0 : a->pair ? 2 : 1, 0, 1e-10);
            if (i != j)
                assert_string_not_equal(a->name, irreps->irrep[j].name);
        }
    }
    assert_int_equal(squares, n);
    assert_string_equal(irreps->irrep[0].name, "trivial");
}

// P Q - target, greatest entry; target P if same, else 0.
static double product_error(int n, const double *p, const double *q, bool same) {
    double worst = 0;
    for (int x = 0; x < n; x++)
        for (int y = 0; y < n; y++) {
            double sum = 0;
            for (int z = 0; z < n; z++)
                sum += p[x * n + z] * q[y * n + z]; // projectors are symmetric
            worst = fmax(worst, fabs(sum - (same ? p[x * n + y] : 0)));
        }
    return worst;
}

// P_r [order, order]: P_r[g, h] = (d / order) chi_r(g h^-1), the projector onto the irrep's functions.
static void fill_projector(const ts_table *table, const ts_irreps *irreps, int r, double *projector) {
    const ts_irrep *irrep = &irreps->irrep[r];
    const int n = table->n;
    const double scale = (double)irrep->dimension / n;
    for (int h = 0; h < n; h++) {
        int inverse = 0;
        while (inverse < n - 1 && table->result[h * n + inverse] != table->identity)
            inverse++;
        for (int g = 0; g < n; g++)
            projector[(size_t)g * n + h] = scale * irrep->character[table->result[g * n + inverse]];
    }
}

static void check_projectors(const ts_table *table, const ts_irreps *irreps) {
    int n = table->n, count = irreps->count;
    size_t entries = (size_t)n * (size_t)n;
    double *projectors = malloc((size_t)count * entries * sizeof *projectors);
    double *sum = calloc(entries, sizeof *sum);
    for (int r = 0; r < count; r++) {
        double *p = projectors + (size_t)r * entries;
        fill_projector(table, irreps, r, p);
        for (size_t i = 0; i < entries; i++)
            sum[i] += p[i];
        for (int x = 0; x < n; x++)
            for (int y = 0; y < n; y++)
                assert_close(p[x * n + y], p[y * n + x], 0, 1e-12);
        for (int other = 0; other <= r; other++)
            assert_close(product_error(n, p, projectors + (size_t)other * entries, r == other), 0, 0, 1e-10);
    }
    for (int x = 0; x < n; x++)
        for (int y = 0; y < n; y++)
            assert_close(sum[x * n + y], x == y, 0, 1e-10);
    free(projectors);
    free(sum);
}

// The names in order, "trivial sign freq_1*": a star for pairs.
static void join_names(const ts_irreps *irreps, char *out, size_t size) {
    size_t length = 0;
    for (int i = 0; i < irreps->count; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%s:%d%s", i ? " " : "", irreps->irrep[i].name,
                                   irreps->irrep[i].dimension, irreps->irrep[i].pair ? "*" : "");
}

// Everything above, and "name:dimension" of each, a star for pairs. Frees the table.
static void check_group(ts_table *table, const char *names) {
    char found[4096];
    ts_irreps *irreps = irreps_of(table);
    join_names(irreps, found, sizeof found);
    assert_string_equal(found, names);
    check_characters(table, irreps);
    check_projectors(table, irreps);
    ts_irreps_free(irreps);
    free_table(table);
}

static const ts_irrep *irrep_named(const ts_irreps *irreps, const char *name) {
    for (int i = 0; i < irreps->count; i++)
        if (!strcmp(irreps->irrep[i].name, name))
            return &irreps->irrep[i];
    fail_msg("no irrep is called %s", name);
    return NULL;
}

// --- Tests ---

TEST(test_cyclic_groups_have_frequencies) {
    check_group(cyclic(1), "trivial:1");
    check_group(cyclic(2), "trivial:1 sign:1");
    check_group(cyclic(3), "trivial:1 freq_1:1*");
    check_group(cyclic(15), "trivial:1 freq_1:1* freq_2:1* freq_3:1* freq_4:1* freq_5:1* freq_6:1* freq_7:1*");
    check_group(cyclic(16), "trivial:1 sign:1 freq_1:1* freq_2:1* freq_3:1* freq_4:1* freq_5:1* freq_6:1* freq_7:1*");
}

TEST(test_cyclic_characters_are_cosines) {
    ts_table *table = cyclic(113);
    ts_irreps *irreps = irreps_of(table);
    for (int k = 1; k <= 56; k++) {
        char name[32];
        snprintf(name, sizeof name, "freq_%d", k);
        for (int g = 0; g < 113; g++)
            assert_close(irrep_named(irreps, name)->character[g], 2 * cos(2 * acos(-1) * k * g / 113), 0, 1e-12);
    }
    check_characters(table, irreps);
    ts_irreps_free(irreps);
    free_table(table);
}

TEST(test_dihedral_groups_have_frequencies) {
    check_group(dihedral(1), "trivial:1 sign:1");
    check_group(dihedral(2), "trivial:1 sign:1 sign_r:1 sign_rs:1");
    check_group(dihedral(5), "trivial:1 sign:1 freq_1:2 freq_2:2");
    check_group(dihedral(8), "trivial:1 sign:1 sign_r:1 sign_rs:1 freq_1:2 freq_2:2 freq_3:2");
}

TEST(test_symmetric_groups_have_partitions) {
    check_group(permutations(1, 'S'), "trivial:1");
    check_group(permutations(2, 'S'), "trivial:1 sign:1");
    check_group(permutations(3, 'S'), "trivial:1 sign:1 standard:2");
    check_group(permutations(4, 'S'), "trivial:1 sign:1 [2,2]:2 standard:3 standard_sign:3");
    check_group(permutations(5, 'S'), "trivial:1 sign:1 standard:4 standard_sign:4 [3,2]:5 [2,2,1]:5 [3,1,1]:6");
}

TEST(test_alternating_groups_have_standard) {
    check_group(permutations(2, 'A'), "trivial:1");
    check_group(permutations(3, 'A'), "trivial:1 standard:1*");
    check_group(permutations(4, 'A'), "trivial:1 dim1_a:1* standard:3");
    check_group(permutations(5, 'A'), "trivial:1 dim3_a:3 dim3_b:3 standard:4 dim5_a:5");
}

TEST(test_other_groups_are_named_by_dimension) {
    check_group(metacyclic(7, 3, 2, 0, 0, 0), "trivial:1 dim1_a:1* dim3_a:3*");
    check_group(product_of(permutations(3, 'S'), cyclic(5)),
                "trivial:1 dim1_a:1 dim1_b:1* dim1_c:1* dim1_d:1* dim1_e:1* dim2_a:2 dim2_b:2* dim2_c:2*");
}

// Q8's two-dimensional irrep is quaternionic: the real one is twice the complex one, whose character is
// stored.
TEST(test_quaternionic_irreps_keep_the_complex_character) {
    ts_table *table = metacyclic(4, 2, 3, 2, 0, 0);
    ts_irreps *irreps = irreps_of(table);
    const double expected[8] = {2, 0, -2, 0, 0, 0, 0, 0};
    for (int g = 0; g < 8; g++)
        assert_close(irrep_named(irreps, "dim2_a")->character[g], expected[g], 0, 0);
    ts_irreps_free(irreps);
    check_group(table, "trivial:1 dim1_a:1 dim1_b:1 dim1_c:1 dim2_a:2");
}

TEST(test_many_irreps_of_one_dimension_have_two_letters) {
    ts_table *table = cyclic(64);
    table->family = 0;
    ts_irreps *irreps = irreps_of(table);
    assert_string_equal(irreps->irrep[26].name, "dim1_z");
    assert_string_equal(irreps->irrep[27].name, "dim1_aa");
    check_characters(table, irreps);
    ts_irreps_free(irreps);
    free_table(table);
}

TEST(test_published_names_are_aliases) {
    const struct {
        char family;
        int degree;
        const char *name, *alias;
    } cases[] = {{'S', 4, "[2,2]", "s4_2d"},   {'S', 5, "[2,2,1]", "s5_5d_a"}, {'S', 5, "[3,2]", "s5_5d_b"},
                 {'S', 5, "[3,1,1]", "s5_6d"}, {'A', 5, "dim5_a", "a5_5d_a"},  {'S', 5, "standard", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_table *table = permutations(cases[i].degree, cases[i].family);
        ts_irreps *irreps = irreps_of(table);
        assert_string_equal(irrep_named(irreps, cases[i].name)->alias, cases[i].alias);
        ts_irreps_free(irreps);
        free_table(table);
    }
}

// Same irreps under the same names whatever the order of the elements; the identity need not be the first.
TEST(test_names_do_not_depend_on_element_order) {
    for (int n = 3; n <= 5; n++) {
        ts_table *plain = permutations(n, 'S');
        int order = plain->n, to[120];
        for (int g = 0; g < order; g++)
            to[g] = (7 * g + 5) % order; // 7 has an inverse mod 6, 24 and 120
        ts_table *mixed = renumbered(permutations(n, 'S'), to);
        ts_irreps *first = irreps_of(plain), *second = irreps_of(mixed);
        check_characters(mixed, second);
        for (int i = 0; i < first->count; i++)
            for (int g = 0; g < order; g++)
                assert_close(first->irrep[i].character[g], irrep_named(second, first->irrep[i].name)->character[to[g]],
                             0, 0);
        ts_irreps_free(first);
        ts_irreps_free(second);
        free_table(plain);
        free_table(mixed);
    }
}

TEST(test_what_is_no_group_is_refused) {
    ts_table *table = cyclic(5);
    ts_irreps *irreps = NULL;
    table->group = false;
    assert_int_equal(ts_irreps_create(table, &irreps), TS_ERROR_UNIT);
    assert_null(irreps);
    assert_int_equal(ts_irreps_count(table), 0);
    free_table(table);
}

// A table that claims to be a group but is none is an error, not a set of wrong irreps.
TEST(test_false_claim_is_refused) {
    ts_table *table = cyclic(8);
    ts_irreps *irreps = NULL;
    int *row = table->result + 8 * 3;
    int swap = row[2];
    row[2] = row[4];
    row[4] = swap;
    assert_int_equal(ts_irreps_create(table, &irreps), TS_ERROR_UNIT);
    assert_null(irreps);
    free_table(table);
}

TEST(test_memory_running_out_is_an_error) {
    ts_table *table = permutations(4, 'S');
    ts_irreps *irreps = NULL;
    int faults = 0;
    ts_status status = TS_ERROR_MEMORY;
    while (status != TS_OK && faults < 100) {
        ts_alloc_fail_at(++faults);
        status = ts_irreps_create(table, &irreps);
        ts_alloc_fail_at(0);
        assert_true(status == TS_OK || (status == TS_ERROR_MEMORY && !irreps));
    }
    assert_true(faults > 4 && faults < 100);
    ts_irreps_free(irreps);
    free_table(table);
}

TEST(test_S6_has_its_partitions) {
    char found[4096];
    ts_table *table = permutations(6, 'S');
    ts_irreps *irreps = irreps_of(table);
    join_names(irreps, found, sizeof found);
    assert_string_equal(found, "trivial:1 sign:1 standard:5 [3,3]:5 [2,2,2]:5 standard_sign:5 [4,2]:9 [2,2,1,1]:9 "
                               "[4,1,1]:10 [3,1,1,1]:10 [3,2,1]:16");
    check_characters(table, irreps);
    assert_close(irrep_named(irreps, "standard")->character[1], 3, 0, 0); // element 1 swaps two points
    ts_irreps_free(irreps);
    free_table(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cyclic_groups_have_frequencies),
        cmocka_unit_test(test_cyclic_characters_are_cosines),
        cmocka_unit_test(test_dihedral_groups_have_frequencies),
        cmocka_unit_test(test_symmetric_groups_have_partitions),
        cmocka_unit_test(test_alternating_groups_have_standard),
        cmocka_unit_test(test_other_groups_are_named_by_dimension),
        cmocka_unit_test(test_quaternionic_irreps_keep_the_complex_character),
        cmocka_unit_test(test_many_irreps_of_one_dimension_have_two_letters),
        cmocka_unit_test(test_published_names_are_aliases),
        cmocka_unit_test(test_names_do_not_depend_on_element_order),
        cmocka_unit_test(test_what_is_no_group_is_refused),
        cmocka_unit_test(test_false_claim_is_refused),
        cmocka_unit_test(test_memory_running_out_is_an_error),
        cmocka_unit_test(test_S6_has_its_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
