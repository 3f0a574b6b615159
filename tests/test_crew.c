// Threads that help: every part is done once, whoever does it, and helpers leave when their thread gets a unit.
#include "base/crew.h"
#include "support_cmocka.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { PARTS = 64, ROUNDS = 200, LEADERS = 2 };

typedef struct work {
    ts_crew *crew;
    atomic_int next, parts; // until told otherwise
    atomic_int done[PARTS];
    atomic_int helping;
    int wrong; // what was not as promised, of a thread in which nothing can be asserted
} work;

static bool is_left(void *context) {
    work *w = context;
    return atomic_load(&w->next) < atomic_load(&w->parts);
}

static bool take_part(work *w) {
    int part = atomic_fetch_add(&w->next, 1);
    if (part >= atomic_load(&w->parts))
        return false;
    atomic_fetch_add(&w->done[part % PARTS], 1);
    return true;
}

static void lead(void *context) {
    while (take_part(context))
        ;
}

static void help(void *context) {
    work *w = context;
    atomic_fetch_add(&w->helping, 1);
    while (take_part(w) && ts_crew_may_help(w->crew))
        sched_yield();
    atomic_fetch_sub(&w->helping, 1);
}

static void *share_often(void *argument) {
    work *w = argument;
    ts_crew_begin_unit(w->crew);
    for (int round = 0; round < ROUNDS; round++) {
        atomic_store(&w->next, 0);
        ts_crew_share(w->crew, &(ts_crew_work){help, is_left, w}, lead);
        for (int part = 0; part < PARTS; part++)
            w->wrong += atomic_load(&w->done[part]) != round + 1;
        w->wrong += atomic_load(&w->helping) != 0;
    }
    ts_crew_end_unit(w->crew);
    return NULL;
}

static void each_part_is_done_once(int threads) {
    static work all[LEADERS];
    pthread_t thread[LEADERS];
    ts_crew *crew;
    assert_int_equal(ts_crew_create(threads, &crew), TS_OK);
    for (int i = 0; i < LEADERS; i++) {
        all[i] = (work){.crew = crew, .parts = PARTS};
        assert_int_equal(pthread_create(&thread[i], NULL, share_often, &all[i]), 0);
    }
    for (int i = 0; i < LEADERS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(all[i].wrong, 0);
    }
    ts_crew_free(crew);
}

static void test_each_part_is_done_once(void **state) {
    (void)state;
    each_part_is_done_once(1);
    each_part_is_done_once(2);
    each_part_is_done_once(4);
}

static void wait_for_helpers(work *w, int count) {
    while (atomic_load(&w->helping) != count) {
        take_part(w);
        sched_yield();
    }
}

// Of three threads: one unit, two help; three units, none; two again, one.
static void lead_and_watch(void *context) {
    work *w = context;
    wait_for_helpers(w, 2);
    ts_crew_begin_unit(w->crew);
    ts_crew_begin_unit(w->crew);
    wait_for_helpers(w, 0);
    ts_crew_end_unit(w->crew);
    wait_for_helpers(w, 1);
    ts_crew_end_unit(w->crew);
    wait_for_helpers(w, 2);
    atomic_store(&w->parts, 0);
}

static void test_helpers_leave_when_there_are_units_for_them(void **state) {
    (void)state;
    static work w;
    assert_int_equal(ts_crew_create(3, &w.crew), TS_OK);
    atomic_store(&w.parts, 1 << 30);
    ts_crew_begin_unit(w.crew);
    ts_crew_share(w.crew, &(ts_crew_work){help, is_left, &w}, lead_and_watch);
    assert_int_equal(atomic_load(&w.helping), 0);
    ts_crew_end_unit(w.crew);
    ts_crew_free(w.crew);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_part_is_done_once),
        cmocka_unit_test(test_helpers_leave_when_there_are_units_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
