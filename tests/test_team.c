// Sums over a team: all its ranks get the bits that one rank gets by itself, and a verdict is everybody's.
#define _POSIX_C_SOURCE 200809L
#include "base/memory.h"
#include "base/tree.h"
#include "support_team.h"

#include <math.h>
#include <stdlib.h>

enum { COUNT = 37, MOST_PARTS = 32, MOST_RANKS = 8 };

static double part_value(int part, int i) {
    return sin(part * 37 + i * 11 + 3) * pow(10, (part * 13 + i) % 7);
}

static float tree_of_floats(int first, int size, int i) {
    return size == 1 ? (float)part_value(first, i)
                     : tree_of_floats(first, size / 2, i) + tree_of_floats(first + size / 2, size / 2, i);
}

static double tree_of_doubles(int first, int size, int i) {
    return size == 1 ? part_value(first, i)
                     : tree_of_doubles(first, size / 2, i) + tree_of_doubles(first + size / 2, size / 2, i);
}

typedef struct sums {
    int parts, bad_rank; // -1: none
    float floats[MOST_PARTS * COUNT];
    double doubles[MOST_PARTS * COUNT];
    int64_t largest[2];
    bool all;
    ts_status status;
} sums;

static void add(support_rank *rank) {
    sums *s = rank->context;
    ts_subtree mine[TS_MOST_SUBTREES];
    int first, end;
    ts_tree_share(s->parts, rank->rank, rank->team->size, &first, &end);
    int subtrees = ts_tree_subtrees(first, end, mine);
    for (int k = 0; k < subtrees; k++)
        for (int i = 0; i < COUNT; i++) {
            s->floats[k * COUNT + i] = tree_of_floats(mine[k].first, mine[k].size, i);
            s->doubles[k * COUNT + i] = tree_of_doubles(mine[k].first, mine[k].size, i);
        }
    s->largest[0] = rank->rank == 1 ? INT64_MAX : -rank->rank;
    s->largest[1] = -5 - rank->rank;
    s->status = ts_comm_team_add_floats(rank->comm, s->parts, s->floats, COUNT, rank->rank != s->bad_rank, &s->all);
    if (s->status == TS_OK)
        s->status = ts_comm_team_add_doubles(rank->comm, s->parts, s->doubles, COUNT);
    if (s->status == TS_OK)
        s->status = ts_comm_team_largest(rank->comm, s->largest, 2);
}

static void check(int parts, int ranks, int bad_rank, sums *all) {
    for (int r = 0; r < ranks; r++)
        all[r] = (sums){.parts = parts, .bad_rank = bad_rank};
    support_run_team(ranks, add, all, sizeof *all);
    for (int r = 0; r < ranks; r++) {
        assert_int_equal(all[r].status, TS_OK);
        assert_int_equal(all[r].all, bad_rank < 0);
        assert_true(all[r].largest[0] == (ranks > 1 ? INT64_MAX : 0));
        assert_int_equal(all[r].largest[1], -5);
        for (int i = 0; i < COUNT; i++) {
            float expected = tree_of_floats(0, parts, i);
            double exact = tree_of_doubles(0, parts, i);
            assert_memory_equal(&all[r].floats[i], &expected, sizeof expected);
            assert_memory_equal(&all[r].doubles[i], &exact, sizeof exact);
        }
    }
}

static void totals_are_those_of_one_rank(void **state) {
    (void)state;
    sums *all = ts_alloc(MOST_RANKS * sizeof *all, "sums");
    for (int parts = 1; parts <= MOST_PARTS; parts *= 2)
        for (int ranks = 1; ranks <= MOST_RANKS && ranks <= parts; ranks++)
            check(parts, ranks, -1, all);
    ts_free(all);
}

static void what_one_rank_refuses_all_refuse(void **state) {
    (void)state;
    sums *all = ts_alloc(MOST_RANKS * sizeof *all, "sums");
    for (int bad = 0; bad < 3; bad++)
        check(8, 3, bad, all);
    ts_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_those_of_one_rank),
        cmocka_unit_test(what_one_rank_refuses_all_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
