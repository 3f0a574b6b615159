// Tables of the tasks `group` and `cayley`: products, verdicts, names, element orders, the split.
#define _POSIX_C_SOURCE 200809L
#include "base/torch_random.h"
#include "support_tables.h"

TEST(test_named_tables_are_groups) {
    static const struct {
        const char *name;
        int order;
        bool abelian;
        char family;
        int degree;
    } GROUPS[] = {
        {"C1", 1, true, 'C', 1},        {"C113", 113, true, 'C', 113}, {"C1024", 1024, true, 'C', 1024},
        {"D1", 2, true, 'D', 1},        {"D2", 4, true, 'D', 2},       {"D4", 8, false, 'D', 4},
        {"D59", 118, false, 'D', 59},   {"S1", 1, true, 'S', 1},       {"S2", 2, true, 'S', 2},
        {"S5", 120, false, 'S', 5},     {"S6", 720, false, 'S', 6},    {"A1", 1, true, 'A', 1},
        {"A2", 1, true, 'A', 2},        {"A4", 12, false, 'A', 4},     {"A5", 60, false, 'A', 5},
        {"A6", 360, false, 'A', 6},     {"S3xC5", 30, false, 0, 0},    {"C2xC2xC3", 12, true, 0, 0},
        {"S3xA4xC7", 504, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++) {
        ts_data *data = group_of(GROUPS[i].name);
        const ts_table *table = data->table;
        if (!table->group || table->n != GROUPS[i].order || table->n_out != table->n ||
            table->abelian != GROUPS[i].abelian || table->family != GROUPS[i].family ||
            table->degree != GROUPS[i].degree)
            fail_msg("%s: group %d, n %d, n_out %d, abelian %d, family %d, degree %d", GROUPS[i].name, table->group,
                     table->n, table->n_out, table->abelian, table->family, table->degree);
        ts_data_free(data);
    }
}

TEST(test_elements_have_their_known_orders) {
    static const struct {
        const char *name;
        int order, count;
    } KNOWN[] = {{"S3", 2, 3},    {"S3", 3, 2},   {"A4", 2, 3},    {"A4", 3, 8},   {"A5", 2, 15}, {"A5", 3, 20},
                 {"A5", 5, 24},   {"S5", 2, 25},  {"S5", 6, 20},   {"D4", 2, 5},   {"D4", 4, 2},  {"D59", 2, 59},
                 {"D59", 59, 58}, {"C12", 12, 4}, {"S3xC2", 2, 7}, {"S3xC2", 6, 2}};
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        ts_data *data = group_of(KNOWN[i].name);
        int count = elements_of_order(data->table, KNOWN[i].order);
        if (count != KNOWN[i].count)
            fail_msg("%s has %d elements of order %d, expected %d", KNOWN[i].name, count, KNOWN[i].order,
                     KNOWN[i].count);
        ts_data_free(data);
    }
}

TEST(test_products_are_as_published) {
    // Lexicographic S3: 012 021 102 120 201 210. x y means x first: 021 102 sends 0 to 1, 1 to 2, 2 to 0.
    ts_data *s3 = group_of("S3"), *d4 = group_of("D4"), *product_group = group_of("S3xC2");
    static const int S3[6][6] = {{0, 1, 2, 3, 4, 5}, {1, 0, 3, 2, 5, 4}, {2, 4, 0, 5, 1, 3},
                                 {3, 5, 1, 4, 0, 2}, {4, 2, 5, 0, 3, 1}, {5, 3, 4, 1, 2, 0}};
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < 6; b++)
            if (product(s3->table, a, b) != S3[a][b])
                fail_msg("S3: %d %d = %d, expected %d", a, b, product(s3->table, a, b), S3[a][b]);
    for (int a = 0; a < 12; a++)
        for (int b = 0; b < 12; b++)
            assert_int_equal(product(product_group->table, a, b), 2 * S3[a / 2][b / 2] + (a % 2 + b % 2) % 2);
    assert_int_equal(product(d4->table, 1, 4), 5); // r s
    assert_int_equal(product(d4->table, 4, 1), 7); // s r = r^-1 s
    assert_int_equal(product(d4->table, 5, 6), 3); // (r s) (r^2 s) = r^-1
    ts_data_free(s3);
    ts_data_free(d4);
    ts_data_free(product_group);
}

TEST(test_an_element_order_renumbers_the_group) {
    write_file("order.txt", "0 1 2\r\n1 2 0\n2 0 1\n\n0 2 1\n 1  0 2\n2 1 0"); // as SymPy lists it
    ts_data *data = table_of("task: group\ngroup: S3\nelement_order: order.txt\ntrain_fraction: 0.5\n");
    assert_true(data->table->group);
    assert_int_equal(data->table->family, 'S');
    assert_int_equal(product(data->table, 1, 1), 2);
    assert_int_equal(product(data->table, 3, 4), 1); // 021 102 = 120
    assert_int_equal(product(data->table, 4, 3), 2); // 102 021 = 201
    ts_data_free(data);
}

TEST(test_element_orders_that_list_no_group_are_refused) {
    static const struct {
        const char *group, *content, *error;
    } REFUSED[] = {
        {"S3", "0 1 2\n0 2 1\n", "order.txt lists 2 of the 6 elements of S3; it must list each once"},
        {"S3", "0 1 2\n\n0 2\n", "order.txt, line 3: it has 2 numbers; a permutation of 3 has as many"},
        {"S3", "0 1 2 3\n", "order.txt, line 1, column 7: '3' is not one of 0 to 2"},
        {"S3", "0 1 2\n1 2 3\n", "order.txt, line 2, column 5: '3' is not one of 0 to 2"},
        {"S3", "0,1,2\n0 2 1\n",
         "line 2, column 3: numbers are separated in two ways; use commas, semicolons or blanks"},
        {"S3", "0 1 2\n(0 2)\n",
         "line 2, column 1: '(0' is not one of 0 to 2 (permutations are counted from 0, and written "
         "as the images of all numbers)"},
        {"S3", "[[0, 1, 2], [0, 2]]\n", "line 1, row 2: it has 2 numbers"},
        {"S3", "[[0, 1, 2], [0, 2, 1], [0, 1, 2]]\n", "line 1, row 3: the permutation stands in row 1 already"},
        {"S3", "1 2 3\n1 3 1\n", "line 2, column 5: 1 stands there twice"},
        {"S3", "0 1 -2\n", "line 1, column 5: '-2' is not one of 0 to 2"},
        {"S3", "0 1 99999999999999999999\n", "line 1, column 5: '99999999999999999999' is not one of 0 to 2"},
        {"S3", "0 1 1\n", "line 1, column 5: 1 stands there twice"},
        {"S3", "0 1 2\n0 2 1\n0 1 2\n", "line 3: the permutation stands on line 1 already"},
        {"S3", "", "lists 0 of the 6 elements of S3"},
        {"A3", "0 1 2\n0 2 1\n", "line 2: the permutation is odd, so it is not in A3"},
        {"D3", "0 1 2\n", "only S<n> and A<n> have elements to order"},
        {"S3xC2", "0 1 2\n", "only S<n> and A<n> have elements to order"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        char text[128], error[256];
        write_file("order.txt", REFUSED[i].content);
        snprintf(text, sizeof text, "task: group\ngroup: %s\nelement_order: order.txt\n", REFUSED[i].group);
        expect_refused(text, REFUSED[i].error);
        snprintf(error, sizeof error, "%s:3: key 'element_order': ", sweep_file);
        expect_refused(text, error);
    }
    static const char *const ALWAYS[] = {"0 1 2\n\n0 2\n", "0 1 x\n", "0 1 2\n0 2 1\n0 1 2\n", "0,1,2\n0 2 1\n"};
    for (size_t i = 0; i < sizeof ALWAYS / sizeof *ALWAYS; i++) { // beside what else is wrong
        write_file("order.txt", ALWAYS[i]);
        expect_refused("task: group\ngroup: S3\nelement_order: order.txt\nhiden: 3\n", "key 'element_order': ");
        expect_refused("task: group\ngroup: S3\nelement_order: order.txt\nhiden: 3\n", "'hiden'");
    }
}

TEST(test_published_element_orders_are_listings) {
    static const char *const GROUPS[] = {"S3", "S4", "S5", "S6", "A5"};
    static const int IDENTITY[] = {0, 0, 20, 60, 0}; // line on which it stands, from 0
    const char *reference = getenv("TOYSWEEP_REFERENCE");
    if (!reference) {
        print_message("skipped: TOYSWEEP_REFERENCE names no directory with sympy_order_*.txt\n");
        skip();
    }
    for (int i = 0; i < 5; i++) {
        char text[512];
        snprintf(text, sizeof text, "task: group\ngroup: %s\nelement_order: %s/sympy_order_%s.txt\n", GROUPS[i],
                 reference, GROUPS[i]);
        ts_data *data = table_of(text);
        assert_true(data->table->group);
        assert_int_equal(data->table->identity, IDENTITY[i]);
        ts_data_free(data);
    }
}

TEST(test_verdicts_on_tables_that_are_no_groups) {
    static const struct {
        const char *what, *content;
        int identity;
        bool inverses, associative, abelian;
    } TABLES[] = {
        {"subtraction mod 5, a quasigroup", "0,4,3,2,1\n1,0,4,3,2\n2,1,0,4,3\n3,2,1,0,4\n4,3,2,1,0\n", -1, false, false,
         false},
        {"a loop of order 5 that is no group", "0,1,2,3,4\n1,0,3,4,2\n2,4,0,1,3\n3,2,4,0,1\n4,3,1,2,0\n", 0, true,
         false, false},
        {"multiplication mod 4, a monoid", "0,0,0,0\n0,1,2,3\n0,2,0,2\n0,3,2,1\n", 1, false, true, true},
        {"left zeros, a band", "0,0,0\n1,1,1\n2,2,2\n", -1, false, true, false},
        {"nothing in particular", "1,0\n0,0\n", -1, false, false, true},
    };
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        ts_data *data = cayley_of(TABLES[i].content);
        const ts_table *table = data->table;
        if (table->group || !table->square || table->identity != TABLES[i].identity ||
            table->inverses != TABLES[i].inverses || table->associative != TABLES[i].associative ||
            table->abelian != TABLES[i].abelian)
            fail_msg("%s: group %d, square %d, identity %d, inverses %d, associative %d, abelian %d", TABLES[i].what,
                     table->group, table->square, table->identity, table->inverses, table->associative, table->abelian);
        ts_data_free(data);
    }
}

TEST(test_a_table_with_fewer_results_is_not_square) {
    ts_table *table;
    assert_int_equal(ts_table_create(3, 2, &table), TS_OK);
    for (int i = 0; i < 9; i++)
        table->result[i] = i % 2;
    assert_int_equal(ts_table_examine(table), TS_OK);
    assert_false(table->square || table->group || table->associative || table->inverses);
    assert_int_equal(table->identity, -1);
    ts_table_free(table);
}

TEST(test_associativity_is_found_as_by_all_triples) {
    int associative = 0;
    ts_table *table;
    assert_int_equal(ts_table_create(3, 3, &table), TS_OK);
    for (int code = 0; code < 19683; code++) { // every operation on three elements
        for (int i = 0, rest = code; i < 9; i++, rest /= 3)
            table->result[i] = rest % 3;
        bool expected = true;
        for (int t = 0; t < 27; t++)
            expected = expected && product(table, product(table, t / 9, t / 3 % 3), t % 3) ==
                                       product(table, t / 9, product(table, t / 3 % 3, t % 3));
        assert_int_equal(ts_table_examine(table), TS_OK);
        if (table->associative != expected)
            fail_msg("operation %d: associative %d, expected %d", code, table->associative, expected);
        associative += table->associative;
    }
    assert_int_equal(associative, 113); // OEIS A023814
    ts_table_free(table);
}

TEST(test_unknown_and_large_groups_are_refused) {
    static const char *const UNKNOWN[] = {"Z5", "s5", "S", "S0", "S05", "S5x", "xS5", "S5xx", "S5 xC2", "5", "C-1"};
    static const char *const LARGE[] = {
        "S7", "A7", "C1025", "D513", "S6xC2", "C99999999999999999999", "S6xS6xS6xS6xS6xS6xS6xS6xS6xS6"};
    char text[128];
    for (size_t i = 0; i < sizeof UNKNOWN / sizeof *UNKNOWN; i++) {
        snprintf(text, sizeof text, "task: group\ngroup: '%s'\n", UNKNOWN[i]);
        expect_refused(text, "is no group known here; give C<n>, D<n> (2n elements), S<n> or A<n>");
    }
    for (size_t i = 0; i < sizeof LARGE / sizeof *LARGE; i++) {
        snprintf(text, sizeof text, "task: group\ngroup: %s\n", LARGE[i]);
        expect_refused(text, "has more than 1024 elements, the most that a table takes");
    }
    // With all the rest that is wrong, and only if no filter can drop it.
    expect_refused("task: group\ngroup: [S3, S99]\nhiden: 9\n",
                   "key 'group': 'S99' has more than 1024 elements, the most that a table takes");
    expect_refused("task: group\ngroup: [S3, S99]\nhiden: 9\n", "'hiden'");
    ts_sweep *left = sweep_of("task: group\ngroup: [S3, S99]\nwhere: group != S99\n");
    assert_int_equal(ts_sweep_instances(left), 1);
    ts_sweep_free(left);
    expect_refused("task: group\n", "key 'group': is missing");
    expect_refused("task: cayley\n", "key 'cayley': is missing");
    expect_refused("task: group\ngroup: C2\ntrain_fraction: 0.2\n",
                   "key 'train_fraction': 0.2 of 4 pairs is none to train on; give at least 0.25");
}

TEST(test_names_of_other_programs_are_understood) {
    static const struct {
        const char *name, *meant; // NULL: nothing
    } NAMES[] = {
        {"Dih4", "'D4' (8 elements)"},
        {"Z7", "'C7' (7 elements)"},
        {"Z_7", "'C7' (7 elements)"},
        {"Z/7Z", "'C7' (7 elements)"},
        {"C_7", "'C7' (7 elements)"},
        {"Cyclic(7)", "'C7' (7 elements)"},
        {"cyclic7", "'C7' (7 elements)"},
        {"S_5", "'S5' (120 elements)"},
        {"Sym(5)", "'S5' (120 elements)"},
        {"s5", "'S5' (120 elements)"},
        {"S05", "'S5' (120 elements)"},
        {"SymmetricGroup(5)", "'S5' (120"},
        {"Alt(5)", "'A5' (60 elements)"},
        {"A_{5}", "'A5' (60 elements)"},
        {"DihedralGroup(4)", "'D4' (8"},
        {"D_4", "'D4' (8 elements)"},
        {"V4", "'C2xC2' (4 elements)"},
        {"K4", "'C2xC2' (4 elements)"},
        {"Klein", "'C2xC2' (4 elements)"},
        {"C2^3", "'C2xC2xC2' (8 elements)"},
        {"Z2xZ3", "'C2xC3' (6 elements)"},
        {"Z_2 x Z_3", "'C2xC3'"},
        {"S3*Z5", "'S3xC5' (30 elements)"},
        {"S3 \u00d7 C5", "'S3xC5'"},
        {"(Z/2Z)^2", "'C2xC2' (4 elements)"},
        {"4", NULL},
        {"C2^", NULL},
        {"Klein5", NULL},
        {"M11", NULL},
        {"PSU(3,3)", NULL},
        {"C", NULL},
        {"C0", NULL},
        {"C2xx", NULL},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char text[128], meant[64];
        snprintf(text, sizeof text, "task: group\ngroup: '%s'\n", NAMES[i].name);
        snprintf(meant, sizeof meant, "; did you mean %s", NAMES[i].meant ? NAMES[i].meant : "");
        expect_refused(text, NAMES[i].meant ? meant : "is no group known here");
        if (!NAMES[i].meant && strstr(ts_sweep_errors(), "did you mean"))
            fail_msg("%s: %s", NAMES[i].name, ts_sweep_errors());
    }
    expect_refused("task: group\ngroup: C5\nwhere: group == Z5\n", "'Z5' is no group known here");
    expect_refused("task: group\ngroup: C5\nexclude: [{group: Z5}]\n", "'Z5' is no group known here");
}

TEST(test_the_order_can_be_filtered_by) {
    ts_sweep *sweep = sweep_of("task: group\ngroup: [C5, S3, A5, S10]\nwhere: order <= 60 and order != 6\n");
    ts_params params;
    assert_int_equal(ts_sweep_instances(sweep), 2);
    ts_sweep_params(sweep, 1, &params);
    assert_string_equal(ts_params_name(&params, "group"), "A5");
    ts_sweep_free(sweep);
    sweep = sweep_of("task: group\ngroup: [C5, S3, A5]\nexclude: [{order: 6}, {group: A5}]\n");
    assert_int_equal(ts_sweep_instances(sweep), 1);
    ts_sweep_free(sweep);
    expect_refused("task: group\ngroup: [C5, Z5]\nwhere: order <= 60\n", "test.yaml:2: key 'group': 'Z5'");
    expect_refused("task: group\ngroup: C5\nwhere: element_order == 3\n",
                   "'element_order' is a file and cannot be compared");
}

TEST(test_the_split_is_a_prefix_of_randperm) {
    static const struct {
        const char *name;
        double fraction;
        int64_t train;
    } SPLITS[] = {{"C10", 0.29, 28}, // 0.29 * 100 is 28.999999999999996 in double
                  {"C10", 0.3, 30},
                  {"S5", 0.4, 5760},
                  {"D59", 0.3, 4177},
                  {"C10", 1, 100}};
    for (size_t i = 0; i < sizeof SPLITS / sizeof *SPLITS; i++) {
        ts_data *data = group_of(SPLITS[i].name);
        int n = data->table->n, *pairs = ts_alloc((size_t)(n * n) * sizeof(int), "pairs"),
            *perm = ts_alloc((size_t)(n * n) * sizeof(int), "pairs");
        int64_t train;
        ts_torch_random random;
        ts_table_split(data->table, TS_SHUFFLE_TORCH, 2, SPLITS[i].fraction, pairs, &train);
        ts_torch_seed(&random, 2);
        ts_torch_randperm(&random, n * n, perm);
        assert_memory_equal(pairs, perm, (size_t)(n * n) * sizeof(int));
        if (train != SPLITS[i].train)
            fail_msg("%s, %g: %lld training pairs, expected %lld", SPLITS[i].name, SPLITS[i].fraction, (long long)train,
                     (long long)SPLITS[i].train);
        ts_free(pairs);
        ts_free(perm);
        ts_data_free(data);
    }
}

TEST(test_the_training_share_makes_cases_and_the_split_seed_does_not) {
    ts_sweep *sweep =
        sweep_of("task: group\ngroup: C5\ngrid: {train_fraction: [0.3, 0.4], split_seed: [-1, 0, 598]}\n");
    assert_int_equal(ts_sweep_instances(sweep), 6);
    assert_int_equal(ts_sweep_cases(sweep), 2);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_tables_are_groups),
        cmocka_unit_test(test_elements_have_their_known_orders),
        cmocka_unit_test(test_products_are_as_published),
        cmocka_unit_test(test_an_element_order_renumbers_the_group),
        cmocka_unit_test(test_element_orders_that_list_no_group_are_refused),
        cmocka_unit_test(test_published_element_orders_are_listings),
        cmocka_unit_test(test_verdicts_on_tables_that_are_no_groups),
        cmocka_unit_test(test_a_table_with_fewer_results_is_not_square),
        cmocka_unit_test(test_associativity_is_found_as_by_all_triples),
        cmocka_unit_test(test_unknown_and_large_groups_are_refused),
        cmocka_unit_test(test_names_of_other_programs_are_understood),
        cmocka_unit_test(test_the_order_can_be_filtered_by),
        cmocka_unit_test(test_the_split_is_a_prefix_of_randperm),
        cmocka_unit_test(test_the_training_share_makes_cases_and_the_split_seed_does_not),
    };
    return cmocka_run_group_tests_name("groups", tests, set_up, tear_down);
}
