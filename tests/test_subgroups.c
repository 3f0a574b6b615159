// All subgroups of a group, and cosets; places on a circle.
#define _POSIX_C_SOURCE 200809L
#include "support_tables.h"

// Known counts: OEIS A005432 (S_n), A029725 (A_n), tau(n) + sigma(n) of D_n, A006116 (C2^n).
TEST(test_groups_have_their_known_numbers_of_subgroups) {
    static const struct {
        const char *name;
        int count;
    } KNOWN[] = {{"C1", 1},   {"C2", 2},   {"C113", 2},         {"C1024", 11}, {"C12", 6},    {"D4", 10},
                 {"D12", 34}, {"D59", 62}, {"S3", 6},           {"S4", 30},    {"S5", 156},   {"A4", 10},
                 {"A5", 59},  {"A6", 501}, {"C2xC2xC2xC2", 67}, {"C5xC5", 8},  {"S3xC2", 16}, {"S6", 1455}};
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        ts_data *data = group_of(KNOWN[i].name);
        int count = data->subgroups ? data->subgroups->count : 0;
        if (count != KNOWN[i].count)
            fail_msg("%s: %d subgroups, expected %d", KNOWN[i].name, count, KNOWN[i].count);
        ts_data_free(data);
    }
}

TEST(test_subgroups_are_closed_and_generated_as_named) {
    ts_data *data = group_of("S4");
    const ts_subgroups *s = data->subgroups;
    for (int i = 0; i < s->count; i++) {
        const int *own = s->element + s->first[i];
        bool in[24] = {false};
        for (int k = 0; k < s->order[i]; k++)
            in[own[k]] = true;
        for (int k = 0; k < s->order[i]; k++)
            for (int l = 0; l < s->order[i]; l++)
                assert_true(in[product(data->table, own[k], own[l])]);
        assert_true(i == 0 || s->order[i] >= s->order[i - 1]);
    }
    assert_string_equal(s->name[0], "1.1 <>");
    assert_string_equal(s->name[1], "2.1 <1>");
    assert_int_equal(s->order[29], 24);
    ts_data_free(data);
}

// Right cosets H g, left ones g H: products of the first element with all of H lie in the same one.
TEST(test_cosets_divide_a_group) {
    ts_data *data = group_of("S4");
    const ts_subgroups *s = data->subgroups;
    int coset[24];
    for (int i = 0; i < s->count; i++)
        for (int left = 0; left < 2; left++) {
            int count = ts_subgroup_cosets(data->table, s, i, left, coset), size[24] = {0};
            assert_int_equal(count * s->order[i], 24);
            for (int g = 0; g < 24; g++) {
                size[coset[g]]++;
                for (int k = 0; k < s->order[i]; k++) {
                    int h = s->element[s->first[i] + (size_t)k];
                    int other = left ? product(data->table, g, h) : product(data->table, h, g);
                    assert_int_equal(coset[other], coset[g]);
                }
            }
            for (int c = 0; c < count; c++)
                assert_int_equal(size[c], s->order[i]);
        }
    ts_data_free(data);
}

TEST(test_a_group_with_too_many_subgroups_has_none_listed) {
    ts_data *data = group_of("C2xC2xC2xC2xC2xC2xC2xC2xC2xC2");
    assert_null(data->subgroups);
    ts_data_free(data);
}

TEST(test_tokens_of_cyclic_tables_lie_on_a_circle) {
    static const int LOGARITHMS[6] = {0, 2, 1, 4, 5, 3}; // of 1 to 6 modulo 7, to base 3, its first generator
    char table[256] = "", entry[8];
    for (int a = 1; a < 7; a++)
        for (int b = 1; b < 7; b++) {
            snprintf(entry, sizeof entry, "%d%s", a * b % 7 - 1, b < 6 ? "," : "\n");
            strcat(table, entry);
        }
    ts_data *data = cayley_of(table), *cyclic = group_of("C10"), *dihedral = group_of("D5");
    for (int t = 0; t < 6; t++)
        assert_int_equal(data->place[t], LOGARITHMS[t]);
    for (int t = 0; t < 10; t++)
        assert_int_equal(cyclic->place[t], t);
    assert_null(dihedral->place);
    ts_data_free(data);
    ts_data_free(cyclic);
    ts_data_free(dihedral);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_have_their_known_numbers_of_subgroups),
        cmocka_unit_test(test_subgroups_are_closed_and_generated_as_named),
        cmocka_unit_test(test_cosets_divide_a_group),
        cmocka_unit_test(test_a_group_with_too_many_subgroups_has_none_listed),
        cmocka_unit_test(test_tokens_of_cyclic_tables_lie_on_a_circle),
    };
    return cmocka_run_group_tests_name("subgroups", tests, set_up, tear_down);
}
