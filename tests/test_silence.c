// Who is named, is back, or is given up, in virtual time.
#include "run/silence.h"

#include "base/memory.h"
#include "support_cmocka.h"

#include <stdbool.h>

enum { PEERS = 3 };

// A run of some ranks, of which each gives a sign of life whenever `speaks` says so.
typedef struct world {
    ts_silence *silence;
    double now;
    bool speaks[PEERS];
    int count[TS_SILENCE_LOST + 1]; // of events
    double when[TS_SILENCE_LOST + 1][PEERS];
} world;

static world begin(double patience) {
    world w = {.now = 1000, .speaks = {true, true, true}};
    const ts_silence_times times = ts_silence_times_of(patience, PEERS);
    assert_int_equal(ts_silence_create(&times, PEERS, &w.silence), TS_OK);
    ts_silence_tick(w.silence, w.now);
    return w;
}

// Lets time pass, with a look every `step` seconds.
static void pass(world *w, double seconds, double step) {
    for (double end = w->now + seconds; w->now < end - 1e-9;) {
        int peer;
        w->now += step;
        ts_silence_tick(w->silence, w->now);
        for (int i = 0; i < PEERS; i++)
            if (w->speaks[i])
                ts_silence_heard(w->silence, i);
        for (ts_silence_event event; (event = ts_silence_next(w->silence, &peer)) != TS_SILENCE_NONE;) {
            w->count[event]++;
            w->when[event][peer] = w->now;
        }
    }
}

static void expect(world *w, int warnings, int back, int lost) {
    if (w->count[TS_SILENCE_WARN] != warnings || w->count[TS_SILENCE_BACK] != back || w->count[TS_SILENCE_LOST] != lost)
        fail_msg("%d named, %d back, %d lost, and not %d, %d, %d", w->count[TS_SILENCE_WARN], w->count[TS_SILENCE_BACK],
                 w->count[TS_SILENCE_LOST], warnings, back, lost);
    assert_int_equal(ts_silence_lost(w->silence), lost);
}

static void expect_near(double found, double expected, double slack) {
    if (!(found >= expected && found <= expected + slack))
        fail_msg("after %g s, and not %g", found, expected);
}

TEST(test_nobody_is_named_while_all_speak) {
    world w = begin(120);
    pass(&w, 1000, 0.1);
    expect(&w, 0, 0, 0);
    assert_true(ts_silence_all_near(w.silence));
    ts_silence_free(w.silence);
}

TEST(test_a_silent_rank_is_named_after_30_seconds_and_given_up_after_the_patience) {
    world w = begin(120);
    w.speaks[1] = false;
    pass(&w, 29, 0.1);
    expect(&w, 0, 0, 0);
    assert_false(ts_silence_all_near(w.silence));
    pass(&w, 300, 0.1);
    expect(&w, 1, 0, 1);
    expect_near(w.when[TS_SILENCE_WARN][1] - 1000, 30, 1);
    expect_near(w.when[TS_SILENCE_LOST][1] - 1000, 120, 1);
    assert_true(ts_silence_is_lost(w.silence, 1) && !ts_silence_is_lost(w.silence, 0));
    assert_true(ts_silence_all_near(w.silence)); // of those that are left
    w.speaks[1] = true;                          // too late
    pass(&w, 300, 0.1);
    expect(&w, 1, 0, 1);
    ts_silence_free(w.silence);
}

TEST(test_a_rank_that_speaks_again_is_back_and_may_fall_silent_again) {
    world w = begin(120);
    for (int times = 1; times <= 3; times++) {
        w.speaks[2] = false;
        pass(&w, 100, 0.1);
        w.speaks[2] = true;
        pass(&w, 5, 0.1);
        expect(&w, times, times, 0);
    }
    ts_silence_free(w.silence);
}

TEST(test_a_stop_waits_for_10_seconds) {
    world w = begin(120);
    w.speaks[1] = false;
    pass(&w, 5, 0.1);
    w.speaks[0] = false;
    ts_silence_stop(w.silence);
    pass(&w, 60, 0.1);
    expect(&w, 0, 0, 2);
    expect_near(w.when[TS_SILENCE_LOST][1] - 1000, 10, 1);
    expect_near(w.when[TS_SILENCE_LOST][0] - 1000, 15, 1);
    ts_silence_free(w.silence);
}

TEST(test_who_announces_work_may_be_silent_for_5_times_the_patience_even_at_a_stop) {
    for (int stops = 0; stops < 2; stops++) {
        world w = begin(120);
        pass(&w, 50, 0.1);
        w.speaks[1] = false;
        ts_silence_announced(w.silence, 1);
        if (stops)
            ts_silence_stop(w.silence);
        pass(&w, 119, 0.1);
        expect(&w, 0, 0, 0);
        pass(&w, 480, 0.1);
        expect(&w, 1, 0, 0);
        pass(&w, 10, 0.1);
        expect(&w, 1, 0, 1);
        ts_silence_free(w.silence);
    }
}

// What was announced is over with the next sign of life.
TEST(test_an_announcement_holds_until_the_next_sign_of_life) {
    world w = begin(120);
    ts_silence_announced(w.silence, 1);
    pass(&w, 5, 0.1);
    w.speaks[1] = false;
    pass(&w, 125, 0.1);
    expect(&w, 1, 0, 1);
    ts_silence_free(w.silence);
}

// A run may end the moment that a silent rank has done its work.
TEST(test_who_is_back_is_told_at_once) {
    world w = begin(120);
    w.speaks[1] = false;
    pass(&w, 60, 0.1);
    expect(&w, 1, 0, 0);
    ts_silence_heard(w.silence, 1);
    pass(&w, 0.001, 0.001);
    expect(&w, 1, 1, 0);
    ts_silence_free(w.silence);
}

TEST(test_a_suspended_job_loses_nobody) {
    world w = begin(120);
    pass(&w, 20, 0.1);
    for (int times = 0; times < 20; times++) { // and again, before anybody has said much
        w.now += 10000;
        ts_silence_tick(w.silence, w.now);
        pass(&w, 2, 0.1);
    }
    expect(&w, 0, 0, 0);
    ts_silence_free(w.silence);
}

// Rank 0 commits for minutes at a time: what came meanwhile is looked at afterwards.
TEST(test_who_does_not_listen_accuses_nobody) {
    world w = begin(120);
    pass(&w, 100000, 500);
    expect(&w, 0, 0, 0);
    w.speaks[1] = false; // but one that never speaks is noticed, some time
    pass(&w, 100000, 500);
    expect(&w, 1, 0, 1);
    ts_silence_free(w.silence);
}

TEST(test_shorter_patience_shortens_all_that_depends_on_it) {
    for (double patience = 0.5; patience < 1000; patience *= 1.7) {
        for (int ranks = 1; ranks <= 100000; ranks *= 10) {
            const ts_silence_times t = ts_silence_times_of(patience, ranks);
            assert_true(t.warn < t.patience && t.stop <= t.patience && 5 * t.patience <= t.announced);
            assert_true(t.announced <= 5 * t.patience || t.announced <= 30);
            assert_true(t.lease <= t.stop);                            // who holds a lease has not been given up
            assert_true(2 * t.report <= t.warn && t.report < t.lease); // one lost report alarms nobody
            assert_true(t.step < t.stop);
        }
        world w = begin(patience);
        w.speaks[1] = false;
        pass(&w, 1.2 * patience, patience / 1000);
        expect(&w, 1, 0, 1);
        ts_silence_free(w.silence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_named_while_all_speak),
        cmocka_unit_test(test_a_silent_rank_is_named_after_30_seconds_and_given_up_after_the_patience),
        cmocka_unit_test(test_a_rank_that_speaks_again_is_back_and_may_fall_silent_again),
        cmocka_unit_test(test_a_stop_waits_for_10_seconds),
        cmocka_unit_test(test_who_announces_work_may_be_silent_for_5_times_the_patience_even_at_a_stop),
        cmocka_unit_test(test_an_announcement_holds_until_the_next_sign_of_life),
        cmocka_unit_test(test_who_is_back_is_told_at_once),
        cmocka_unit_test(test_a_suspended_job_loses_nobody),
        cmocka_unit_test(test_who_does_not_listen_accuses_nobody),
        cmocka_unit_test(test_shorter_patience_shortens_all_that_depends_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
