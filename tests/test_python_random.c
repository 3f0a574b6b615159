// Python's random.shuffle: lists that CPython made, number for number; and the split of pairs by it.
#include "base/memory.h"
#include "base/python_random.h"
#include "model/network.h"
#include "support.h"

// random.seed(seed); random.shuffle(list(range(n))): its first six numbers (0 where it is shorter), and the whole list
// as digits to the base 1000003, modulo 2^64.
static const struct {
    uint64_t seed;
    int n, first[6];
    uint64_t digits;
} SHUFFLED[] = {
    {0u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {0u, 2, {0, 1, 0, 0, 0, 0}, 1u},
    {0u, 10, {7, 8, 1, 5, 3, 4}, 3128421404646747129u},
    {0u, 1000, {439, 621, 160, 549, 237, 389}, 6007762927763264248u},
    {0u, 12769, {2068, 1213, 6243, 2876, 7184, 1686}, 2263340411984321782u},
    {1u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {1u, 2, {1, 0, 0, 0, 0, 0}, 1000003u},
    {1u, 10, {6, 8, 9, 7, 5, 3}, 8512804169953825607u},
    {1u, 1000, {852, 836, 280, 575, 208, 609}, 6254331269100857738u},
    {1u, 12769, {6612, 8645, 6803, 11389, 3304, 3872}, 3660247607339493016u},
    {7u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {7u, 2, {0, 1, 0, 0, 0, 0}, 1u},
    {7u, 10, {8, 3, 1, 4, 7, 0}, 15783891590494339715u},
    {7u, 1000, {878, 857, 349, 313, 382, 850}, 13062179048194684584u},
    {7u, 12769, {7100, 1142, 7515, 8080, 12098, 8321}, 6978685155980467688u},
    {598u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {598u, 2, {1, 0, 0, 0, 0, 0}, 1000003u},
    {598u, 10, {6, 8, 0, 4, 5, 2}, 14437602981355378967u},
    {598u, 1000, {275, 660, 805, 761, 262, 141}, 7203719963369510844u},
    {598u, 12769, {2852, 2058, 11169, 5933, 5624, 6406}, 771365800488511672u},
    {4294967295u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {4294967295u, 2, {1, 0, 0, 0, 0, 0}, 1000003u},
    {4294967295u, 10, {0, 7, 1, 5, 2, 6}, 10224673379916086081u},
    {4294967295u, 1000, {562, 555, 979, 769, 629, 829}, 6163778152691038146u},
    {4294967295u, 12769, {619, 415, 4964, 12213, 2921, 3445}, 3271913223370157334u},
    {4294967296u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {4294967296u, 2, {1, 0, 0, 0, 0, 0}, 1000003u},
    {4294967296u, 10, {8, 9, 3, 2, 4, 7}, 426595534524262365u},
    {4294967296u, 1000, {965, 826, 276, 153, 54, 689}, 12108623679109520900u},
    {4294967296u, 12769, {4786, 3172, 238, 8626, 7303, 8179}, 5244086730167799996u},
    {1099511627776u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {1099511627776u, 2, {1, 0, 0, 0, 0, 0}, 1000003u},
    {1099511627776u, 10, {7, 8, 2, 4, 6, 0}, 11920653152850594779u},
    {1099511627776u, 1000, {746, 886, 618, 550, 91, 17}, 16490216274186670124u},
    {1099511627776u, 12769, {1289, 7211, 7148, 4807, 3981, 11177}, 6186230049129769496u},
    {9007199254740992u, 1, {0, 0, 0, 0, 0, 0}, 0u},
    {9007199254740992u, 2, {0, 1, 0, 0, 0, 0}, 1u},
    {9007199254740992u, 10, {2, 6, 8, 4, 1, 0}, 2107290183687255967u},
    {9007199254740992u, 1000, {837, 574, 284, 780, 628, 633}, 14174194640983577718u},
    {9007199254740992u, 12769, {9917, 121, 2865, 8787, 3655, 945}, 14504215874814304232u},
};

TEST(test_lists_are_those_of_python) {
    for (size_t i = 0; i < sizeof SHUFFLED / sizeof *SHUFFLED; i++) {
        int n = SHUFFLED[i].n, *list = ts_alloc((size_t)n * sizeof *list, "a list");
        uint64_t digits = 0;
        ts_torch_random random;
        for (int k = 0; k < n; k++)
            list[k] = k;
        ts_python_seed(&random, SHUFFLED[i].seed);
        ts_python_shuffle(&random, n, list);
        for (int k = 0; k < n && k < 6; k++)
            assert_int_equal(list[k], SHUFFLED[i].first[k]);
        for (int k = 0; k < n; k++)
            digits = digits * 1000003u + (uint64_t)list[k];
        assert_true(digits == SHUFFLED[i].digits);
        ts_free(list);
    }
}

// Of the published network on (a + b) mod 113: 3830 of 12769 pairs, a outer, b inner, random.seed(0).
TEST(test_the_split_is_the_first_pairs_of_a_shuffled_list) {
    support_instance f;
    support_open(&f, "task: power\nmodel: mlp\np: 113\nsplit: python\nsplit_seed: 0\ntrain_fraction: 0.3\n");
    const ts_table *table = f.data->table;
    int count = table->n * table->n, *pairs = ts_alloc((size_t)count * sizeof *pairs, "pairs");
    int *list = ts_alloc((size_t)count * sizeof *list, "a list");
    bool *trained = ts_alloc_zero((size_t)count, sizeof *trained, "pairs");
    int64_t train;
    ts_torch_random random;
    ts_network_pairs(&f.params, table, pairs, &train);
    assert_int_equal(train, 3830);
    for (int i = 0; i < count; i++)
        list[i] = i;
    ts_python_seed(&random, 0);
    ts_python_shuffle(&random, count, list);
    for (int i = 0; i < train; i++)
        trained[list[i]] = true;
    for (int i = 0; i < count; i++) {
        assert_int_equal(trained[pairs[i]], i < train);
        assert_true(i == 0 || i >= train || pairs[i] > pairs[i - 1]);
    }
    ts_free(trained);
    ts_free(list);
    ts_free(pairs);
    support_close(&f);
}

// The key is in the canonical form only where it is not what always was.
TEST(test_a_split_by_python_is_another_instance) {
    static const char *const SPLITS[] = {"", "split: torch\n", "split: python\n"};
    ts_text json[3] = {{0}, {0}, {0}};
    for (int i = 0; i < 3; i++) {
        char text[128];
        support_instance f;
        snprintf(text, sizeof text, "task: group\ngroup: C5\n%s", SPLITS[i]);
        support_open(&f, text);
        ts_params_json(&f.params, &json[i]);
        support_close(&f);
    }
    assert_string_equal(ts_text_get(&json[0]), ts_text_get(&json[1]));
    assert_null(strstr(ts_text_get(&json[0]), "\"split\""));
    assert_non_null(strstr(ts_text_get(&json[2]), "\"split\":\"python\""));
    for (int i = 0; i < 3; i++)
        ts_text_free(&json[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_those_of_python),
        cmocka_unit_test(test_the_split_is_the_first_pairs_of_a_shuffled_list),
        cmocka_unit_test(test_a_split_by_python_is_another_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
