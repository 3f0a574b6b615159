// Measures in parts: the parts of the pass over all pairs follow from the table alone, and whoever makes them, threads
// of a rank or ranks of a team, every measure has the same bits.
#define _XOPEN_SOURCE 700
#include "base/crew.h"
#include "base/tree.h"
#include "model/network.h"
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { MOST_RANKS = 4 };

// 0: as many parts as there are; else so many, so that tables that take no time have some.
static int forced_parts;
int __real_ts_measure_parts(int n);
int __wrap_ts_measure_parts(int n);
int __wrap_ts_measure_parts(int n) {
    return forced_parts ? forced_parts : __real_ts_measure_parts(n);
}

// Whether this thread has no memory for a network.
static _Thread_local bool refuses;
ts_status __real_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network) {
    if (!refuses)
        return __real_ts_network_open(params, parameters, network);
    *network = (ts_network){0};
    return ts_fail(TS_ERROR_MEMORY, "out of memory");
}

// --- A team of threads ---

typedef struct team {
    int ranks, parts;
    pthread_barrier_t met;
    double *sums[MOST_RANKS];
    int64_t count[MOST_RANKS];
    double *total;
    bool agree; // all came with sums of the same length
} team;

typedef struct member {
    team *team;
    int rank;
} member;

// Adds up what all members brought, where the first subtree's sums are.
static void add_up(team *t, int parts) {
    ts_subtree subtree[64];
    ts_addition addition[64];
    double *at[64];
    int subtrees = 0;
    for (int rank = 0; rank < t->ranks; rank++) {
        ts_subtree mine[TS_MOST_SUBTREES];
        int first, end;
        ts_tree_share(parts, rank, t->ranks, &first, &end);
        int count = ts_tree_subtrees(first, end, mine);
        for (int s = 0; s < count; s++, subtrees++) {
            subtree[subtrees] = mine[s];
            at[subtrees] = t->sums[rank] + s * t->count[rank];
        }
        t->agree = t->agree && t->count[rank] == t->count[0];
    }
    int additions = ts_tree_additions(subtree, subtrees, addition);
    for (int i = 0; i < additions && t->agree; i++)
        for (int64_t j = 0; j < t->count[0]; j++)
            at[addition[i].to][j] += at[addition[i].from][j];
    t->total = at[0];
}

static ts_status add_doubles(void *context, int parts, double *sums, int64_t count) {
    const member *m = context;
    team *t = m->team;
    t->sums[m->rank] = sums;
    t->count[m->rank] = count;
    if (pthread_barrier_wait(&t->met) == PTHREAD_BARRIER_SERIAL_THREAD)
        add_up(t, parts);
    pthread_barrier_wait(&t->met);
    if (sums != t->total && t->agree)
        memcpy(sums, t->total, (size_t)count * sizeof *sums);
    pthread_barrier_wait(&t->met);
    return TS_OK;
}

// --- Measuring with threads and ranks ---

typedef struct measured {
    const support_instance *f;
    int64_t total;
    const double *final; // to look back from; NULL: at the last checkpoint
    member member;
    int threads;
    bool refuses;
    atomic_int pause;
    ts_status status;
    double *out; // (total)
} measured;

static void *measure_one(void *argument) {
    measured *m = argument;
    ts_measure_help help = {.pause = &m->pause, .rank = m->member.rank, .ranks = m->member.team->ranks};
    if (m->member.team->ranks > 1) {
        help.add_doubles = add_doubles;
        help.context = &m->member;
    }
    refuses = m->refuses;
    m->status = ts_crew_create(m->threads, &help.crew);
    if (m->status != TS_OK)
        return NULL;
    ts_crew_begin_unit(help.crew);
    m->status = m->final
                    ? ts_measure_hindsight(&m->f->params, m->f->data, m->f->initial, m->final, &help, m->out)
                    : ts_measure_weights(&m->f->params, m->f->data, m->f->initial, 0, TS_MEASURE_LAST, &help, m->out);
    ts_crew_end_unit(help.crew);
    ts_crew_free(help.crew);
    refuses = false;
    return NULL;
}

// What is the same for all ranks lies in the first.
static void measure_all(measured *all, int ranks, int threads, const support_instance *f, const double *final) {
    team t = {.ranks = ranks, .agree = true};
    pthread_t thread[MOST_RANKS];
    pthread_barrier_init(&t.met, NULL, (unsigned)ranks);
    for (int rank = 0; rank < ranks; rank++) {
        measured *m = &all[rank];
        m->f = f;
        m->total = ts_measures_total(&f->params, f->data);
        m->final = final;
        m->member = (member){&t, rank};
        m->threads = threads;
        m->out = ts_alloc((size_t)m->total * sizeof *m->out, "measures");
        assert_int_equal(pthread_create(&thread[rank], NULL, measure_one, m), 0);
    }
    for (int rank = 0; rank < ranks; rank++)
        pthread_join(thread[rank], NULL);
    pthread_barrier_destroy(&t.met);
    assert_true(t.agree);
}

static void free_all(measured *all, int ranks) {
    for (int rank = 0; rank < ranks; rank++)
        ts_free(all[rank].out);
}

// Name of the measure that has this number.
static const char *name_at(const support_instance *f, int64_t index) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    while (ts_measures_next(&m) && m.offset + m.length <= index)
        ;
    return m.measure->name;
}

static void expect_same_bits(const support_instance *f, const double *expected, const measured *all, int ranks) {
    for (int rank = 0; rank < ranks; rank++) {
        assert_int_equal(all[rank].status, TS_OK);
        for (int64_t i = 0; i < all[rank].total; i++)
            if (!support_same_bits(all[rank].out[i], expected[i]))
                fail_msg("%d ranks of %d threads, rank %d, %s: %.17g instead of %.17g", ranks, all->threads, rank,
                         name_at(f, i), all[rank].out[i], expected[i]);
    }
}

static void compare_layouts(const support_instance *f, const double *final, const double *expected) {
    static const struct { int ranks, threads; } LAYOUTS[] = {{1, 2}, {1, 3}, {1, 5}, {2, 1}, {3, 1}, {4, 1}, {3, 2}};
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof *LAYOUTS; i++) {
        measured all[MOST_RANKS] = {0};
        measure_all(all, LAYOUTS[i].ranks, LAYOUTS[i].threads, f, final);
        expect_same_bits(f, expected, all, LAYOUTS[i].ranks);
        free_all(all, LAYOUTS[i].ranks);
    }
}

// Of quantities about 1, and of energies: sums of rounding errors of parts that cancel are below 1e-14 of them.
static void expect_close(const support_instance *f, const double *expected, const double *found, int64_t total) {
    for (int64_t i = 0; i < total; i++)
        if (isnan(expected[i]) != isnan(found[i]) || fabs(expected[i] - found[i]) > 1e-12 * fabs(expected[i]) + 1e-13)
            fail_msg("%s: %.17g in parts, %.17g in one", name_at(f, i), found[i], expected[i]);
}

// By one thread in one part, and in several by many.
static void compare(const char *text, int parts) {
    support_instance f;
    measured one[1] = {0}, several[1] = {0}, back_one[1] = {0}, back[1] = {0};
    support_open(&f, text);
    forced_parts = 1;
    measure_all(one, 1, 1, &f, NULL);
    measure_all(back_one, 1, 1, &f, one->out);
    forced_parts = parts;
    measure_all(several, 1, 1, &f, NULL);
    measure_all(back, 1, 1, &f, one->out);
    expect_close(&f, one->out, several->out, one->total);
    expect_close(&f, back_one->out, back->out, one->total);
    compare_layouts(&f, NULL, several->out);
    compare_layouts(&f, one->out, back->out);
    forced_parts = 0;
    free_all(one, 1);
    free_all(several, 1);
    free_all(back_one, 1);
    free_all(back, 1);
    support_close(&f);
}

// Every family of tables, and both charts of powers.
static void parts_change_no_bit(void **state) {
    (void)state;
    compare("task: group\ngroup: C13\nembed: 8\nhidden: 12\n", 8);
    compare("task: group\ngroup: D8\nembed: 8\nhidden: 12\n", 8);
    compare("task: group\ngroup: A4\nmodel: transformer\nd_model: 16\nheads: 2\nd_mlp: 16\n", 4);
    compare("task: power\nmodel: mlp\np: 13\nm: 3\nn: 2\nembed: 8\nhidden: 12\n", 8);
}

static void values_of_a_large_table_are_those_of_one_part(void **state) {
    (void)state;
    support_instance f;
    measured one[1] = {0}, several[1] = {0};
    support_open(&f, "task: group\ngroup: A6\nembed: 8\nhidden: 8\ntrain_fraction: 0.1\nkeys: none\n");
    forced_parts = 1;
    measure_all(one, 1, 1, &f, NULL);
    forced_parts = 0;
    assert_true(ts_measure_parts(f.data->table->n) > 1);
    measure_all(several, 1, 1, &f, NULL);
    expect_close(&f, one->out, several->out, one->total);
    free_all(one, 1);
    free_all(several, 1);
    support_close(&f);
}

static void parts_follow_from_the_order(void **state) {
    (void)state;
    static const struct {
        int n, parts;
    } EXPECTED[] = {{1, 1}, {120, 1}, {122, 1}, {256, 1}, {257, 32}, {360, 32}, {720, 64}, {1024, 64}, {5040, 64}};
    for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++)
        assert_int_equal(ts_measure_parts(EXPECTED[i].n), EXPECTED[i].parts);
}

static void a_rank_that_must_stop_stops_all(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, "task: group\ngroup: D8\nembed: 8\nhidden: 12\n");
    forced_parts = 8;
    for (int asked = 0; asked < 3; asked++) {
        measured all[MOST_RANKS] = {0};
        atomic_store(&all[asked].pause, TS_PAUSE_STOP);
        measure_all(all, 3, 1, &f, NULL);
        for (int rank = 0; rank < 3; rank++)
            assert_int_equal(all[rank].status, TS_STOPPED);
        free_all(all, 3);
    }
    forced_parts = 0;
    support_close(&f);
}

static void a_rank_without_memory_keeps_none_waiting(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, "task: group\ngroup: D8\nembed: 8\nhidden: 12\n");
    for (int refusing = 0; refusing < MOST_RANKS; refusing++) {
        measured all[MOST_RANKS] = {0};
        forced_parts = refusing % 2 ? 8 : 2;
        all[refusing].refuses = true;
        measure_all(all, MOST_RANKS, 1, &f, NULL);
        for (int rank = 0; rank < MOST_RANKS; rank++)
            assert_int_equal(all[rank].status, TS_ERROR_MEMORY);
        free_all(all, MOST_RANKS);
    }
    forced_parts = 0;
    support_close(&f);
}

// Of one part each measures by itself, as it would alone; of two parts some ranks make none.
static void ranks_may_be_more_than_parts(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, "task: group\ngroup: D8\nembed: 8\nhidden: 12\n");
    for (forced_parts = 1; forced_parts <= 2; forced_parts++) {
        measured alone[1] = {0}, all[MOST_RANKS] = {0};
        measure_all(alone, 1, 1, &f, NULL);
        measure_all(all, 4, 1, &f, NULL);
        expect_same_bits(&f, alone->out, all, 4);
        free_all(alone, 1);
        free_all(all, 4);
    }
    forced_parts = 0;
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_follow_from_the_order),
        cmocka_unit_test(parts_change_no_bit),
        cmocka_unit_test(values_of_a_large_table_are_those_of_one_part),
        cmocka_unit_test(a_rank_that_must_stop_stops_all),
        cmocka_unit_test(a_rank_without_memory_keeps_none_waiting),
        cmocka_unit_test(ranks_may_be_more_than_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
