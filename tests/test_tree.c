// A tree over parts: however the parts are dealt out, the total has the bits of the tree that one rank adds up.
#include "base/tree.h"
#include "support_cmocka.h"

#include <math.h>
#include <string.h>

enum { MOST_PARTS = 64 };

// Numbers of very different size, so that another order of additions shows in the sum's bits.
static float part_value(int part) {
    return sinf((float)(part * 37 + 11)) * powf(10.0F, (float)(part * 13 % 7));
}

static float tree_sum(int first, int size) {
    return size == 1 ? part_value(first) : tree_sum(first, size / 2) + tree_sum(first + size / 2, size / 2);
}

static void shares_cover_all_parts_in_order(void **state) {
    (void)state;
    for (int parts = 1; parts <= MOST_PARTS; parts *= 2)
        for (int ranks = 1; ranks <= parts; ranks++)
            for (int rank = 0, begin = 0; rank < ranks; rank++) {
                int first, end;
                ts_tree_share(parts, rank, ranks, &first, &end);
                assert_int_equal(first, begin);
                assert_true(end > first);
                assert_true(rank < ranks - 1 || end == parts);
                begin = end;
            }
}

static void the_total_does_not_depend_on_the_ranks(void **state) {
    (void)state;
    for (int parts = 1; parts <= MOST_PARTS; parts *= 2) {
        float expected = tree_sum(0, parts);
        for (int ranks = 1; ranks <= parts; ranks++) {
            ts_subtree subtree[MOST_PARTS];
            float sum[MOST_PARTS];
            ts_addition addition[MOST_PARTS];
            int subtrees = 0;
            for (int rank = 0; rank < ranks; rank++) {
                int first, end;
                ts_subtree mine[TS_MOST_SUBTREES];
                ts_tree_share(parts, rank, ranks, &first, &end);
                int count = ts_tree_subtrees(first, end, mine);
                memcpy(subtree + subtrees, mine, (size_t)count * sizeof *mine);
                subtrees += count;
            }
            for (int i = 0; i < subtrees; i++)
                sum[i] = tree_sum(subtree[i].first, subtree[i].size);
            assert_int_equal(ts_tree_additions(subtree, subtrees, addition), subtrees - 1);
            for (int i = 0; i < subtrees - 1; i++)
                sum[addition[i].to] = sum[addition[i].to] + sum[addition[i].from];
            assert_memory_equal(&sum[0], &expected, sizeof expected);
        }
    }
}

static void a_share_is_made_of_few_subtrees(void **state) {
    (void)state;
    ts_subtree list[TS_MOST_SUBTREES];
    assert_int_equal(ts_tree_subtrees(0, 1 << 30, list), 1);
    assert_int_equal(ts_tree_subtrees(1, (1 << 30) - 1, list), 58);
    assert_int_equal(ts_tree_subtrees(5, 5, list), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cover_all_parts_in_order),
        cmocka_unit_test(the_total_does_not_depend_on_the_ranks),
        cmocka_unit_test(a_share_is_made_of_few_subtrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
