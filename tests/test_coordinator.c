// The coordinator's state machine: everything is handed out exactly once, and well.
#include "run/coordinator.h"
#include "run/desk.h"
#include "run/simulate.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Cases and their pending rows, one range of each.
static ts_coordinator_setup setup_of(int ranks, int slots, int64_t slot_bytes, int cases,
                                     const ts_coordinator_case *given, const ts_unit *pending) {
    return (ts_coordinator_setup){.ranks = ranks,
                                  .slots = slots,
                                  .slot_bytes = slot_bytes,
                                  .cases = cases,
                                  .cases_of = given,
                                  .pending = pending,
                                  .n_pending = cases};
}

// A sweep at random: cases with costs over four orders of magnitude, rows from 1 to 60.
typedef struct random_sweep {
    ts_coordinator_setup setup;
    ts_coordinator_case *cases;
    ts_unit *pending;
    double *cost; // the truth, off the prediction by up to a factor of 2
} random_sweep;

static uint32_t word(ts_philox *random) {
    uint32_t words[4];
    ts_philox_next(random, words);
    return words[0];
}

static double uniform(ts_philox *random) {
    return word(random) * 0x1p-32;
}

static random_sweep make_sweep(uint64_t seed) {
    ts_philox random = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
    int n = 1 + (int)(word(&random) % 40);
    random_sweep s = {
        .cases = ts_alloc_zero((size_t)n, sizeof *s.cases, "cases"),
        .pending = ts_alloc_zero((size_t)n, sizeof *s.pending, "ranges"),
        .cost = ts_alloc_zero((size_t)n, sizeof *s.cost, "costs"),
    };
    for (int c = 0; c < n; c++) {
        double cost = pow(10, 4 * uniform(&random) - 3);
        s.cases[c] = (ts_coordinator_case){.cost = cost, .instance_bytes = 1000, .fill = 1};
        s.cost[c] = cost * (0.5 + 1.5 * uniform(&random));
        s.pending[c] = (ts_unit){c, word(&random) % 5, 1 + word(&random) % 60};
    }
    int ranks = 1 + (int)(word(&random) % 30), slots = 1 + (int)(word(&random) % 4);
    s.setup = setup_of(ranks, slots, 1000 * (1 + (int64_t)(word(&random) % 100)), n, s.cases, s.pending);
    return s;
}

static void free_sweep(random_sweep *s) {
    ts_free(s->cases);
    ts_free(s->pending);
    ts_free(s->cost);
}

static ts_coordinator *opened(const ts_coordinator_setup *setup) {
    ts_coordinator *coordinator;
    assert_int_equal(ts_coordinator_create(setup, &coordinator), TS_OK);
    return coordinator;
}

// The unit that the next rank gets of those that have asked.
static ts_unit next(ts_coordinator *coordinator) {
    ts_assignment given;
    assert_true(ts_coordinator_next(coordinator, &given));
    return given.unit;
}

// Ranks ask, make requests urgent, finish and run out of memory in random order; every row must be done exactly once.
TEST(test_every_row_is_trained_exactly_once) {
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        random_sweep s = make_sweep(seed);
        ts_philox random = ts_philox_at(seed, TS_STREAM_FINAL, 0, 0);
        ts_coordinator *coordinator = opened(&s.setup);
        enum { ROWS = 70, OUT = 4096 };
        char *seen = ts_alloc_zero((size_t)s.setup.cases * ROWS, 1, "rows");
        ts_unit out[OUT];
        int64_t n_out = 0, rows = 0, done = 0;
        for (int c = 0; c < s.setup.cases; c++)
            rows += s.pending[c].rows;
        for (int64_t guard = 0; !ts_coordinator_finished(coordinator); guard++) {
            ts_unit unit;
            int rank = (int)(word(&random) % (uint32_t)s.setup.ranks);
            if (guard > 1000000)
                fail_msg("seed %llu: no end, %lld of %lld rows done", (unsigned long long)seed, (long long)done,
                         (long long)rows);
            if (word(&random) % 3 == 0)
                ts_coordinator_make_urgent(coordinator, rank);
            else
                ts_coordinator_request(coordinator, rank, word(&random) % 2);
            for (ts_assignment given; n_out < OUT && ts_coordinator_next(coordinator, &given);)
                out[n_out++] = given.unit;
            if (n_out == 0 || word(&random) % 2)
                continue;
            int64_t pick = word(&random) % n_out;
            unit = out[pick];
            out[pick] = out[--n_out];
            if (unit.rows > 1 && word(&random) % 8 == 0) {
                assert_true(ts_coordinator_split(coordinator, &unit));
                continue;
            }
            ts_coordinator_done(coordinator, &unit, (double)unit.rows * s.cost[unit.case_index]);
            for (int64_t r = 0; r < unit.rows; r++) {
                char *mark = &seen[unit.case_index * ROWS + unit.first_row + r];
                if (*mark)
                    fail_msg("seed %llu: case %d row %lld was handed out twice", (unsigned long long)seed,
                             unit.case_index, (long long)(unit.first_row + r));
                *mark = 1;
            }
            done += unit.rows;
        }
        assert_int_equal(done, rows);
        ts_coordinator_free(coordinator);
        ts_free(seen);
        free_sweep(&s);
    }
}

TEST(test_units_fit_into_memory) {
    for (uint64_t seed = 1; seed <= 200; seed++) {
        random_sweep s = make_sweep(seed);
        ts_coordinator *coordinator = opened(&s.setup);
        ts_assignment given;
        do
            ts_coordinator_request(coordinator, 0, true);
        while (ts_coordinator_next(coordinator, &given) &&
               (assert_true(given.unit.rows * 1000 <= s.setup.slot_bytes), 1));
        ts_coordinator_free(coordinator);
        free_sweep(&s);
    }
}

// A GPU is filled by the units of all its slots, and none of them takes what another slot could have.
TEST(test_slots_fill_a_gpu_together) {
    static const struct {
        int64_t rows;
        int ranks, slots;
        int64_t first; // rows of the first unit
    } CASES[] = {{400, 1, 1, 132}, {400, 1, 4, 33},  {400, 1, 5, 27}, {50, 1, 16, 4},
                 {50, 1, 1, 50},   {200, 2, 1, 100}, {1, 4, 4, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        // Time alone would make units of a quarter of the rows at most.
        ts_coordinator_case given = {.cost = 1e6, .instance_bytes = 1, .fill = 132};
        ts_unit pending = {0, 0, CASES[i].rows};
        ts_coordinator_setup setup = setup_of(CASES[i].ranks, CASES[i].slots, 1000, 1, &given, &pending);
        ts_coordinator *coordinator = opened(&setup);
        ts_coordinator_request(coordinator, 0, true);
        assert_int_equal(next(coordinator).rows, CASES[i].first);
        ts_coordinator_free(coordinator);
    }
}

// However many instances wait; what a device needs to be filled comes first.
TEST(test_units_keep_to_the_most_rows) {
    for (int fill = 1; fill <= 12; fill += 11) {
        ts_coordinator_case given = {.cost = 1, .instance_bytes = 1, .fill = fill, .most_rows = 3};
        ts_unit pending = {0, 0, 400};
        ts_coordinator_setup setup = setup_of(1, 1, 1000, 1, &given, &pending);
        ts_coordinator *coordinator = opened(&setup);
        ts_coordinator_request(coordinator, 0, true);
        assert_int_equal(next(coordinator).rows, fill > 3 ? fill : 3);
        ts_coordinator_free(coordinator);
    }
}

// Instances that are trained in lanes come in whole groups, while there is one for every slot.
TEST(test_units_hold_what_is_trained_together) {
    static const struct {
        int64_t rows;
        int slots;
        int64_t first; // rows of the first unit
    } CASES[] = {{10000, 1, 2496}, {10000, 4, 624}, {40, 1, 16}, {40, 2, 16}, {40, 4, 10}, {5, 1, 5}, {5, 8, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ts_coordinator_case given = {.cost = 1e6, .instance_bytes = 1, .fill = 1, .together = 16};
        ts_unit pending = {0, 0, CASES[i].rows};
        ts_coordinator_setup setup = setup_of(1, CASES[i].slots, 1 << 20, 1, &given, &pending);
        ts_coordinator *coordinator = opened(&setup);
        ts_coordinator_request(coordinator, 0, true);
        assert_int_equal(next(coordinator).rows, CASES[i].first);
        ts_coordinator_free(coordinator);
    }
}

TEST(test_saved_units_go_first_and_whole) {
    ts_coordinator_case cases[] = {{.cost = 10, .instance_bytes = 1, .fill = 1},
                                   {.cost = 1, .instance_bytes = 1, .fill = 1}};
    ts_unit pending[] = {{0, 0, 5}, {1, 0, 100}}, saved[] = {{1, 100, 7}, {0, 5, 3}};
    ts_coordinator_setup setup = setup_of(2, 1, 1000, 2, cases, pending);
    setup.saved = saved;
    setup.n_saved = 2;
    ts_coordinator *coordinator = opened(&setup);
    ts_coordinator_request(coordinator, 0, true);
    ts_coordinator_request(coordinator, 1, true);
    for (int k = 1; k >= 0; k--) { // the dearer one first
        ts_unit unit = next(coordinator);
        assert_memory_equal(&unit, &saved[k], sizeof unit);
    }
    ts_coordinator_free(coordinator);
}

TEST(test_a_closed_coordinator_hands_out_nothing) {
    random_sweep s = make_sweep(3);
    ts_coordinator *coordinator = opened(&s.setup);
    ts_assignment none;
    ts_coordinator_request(coordinator, 0, true);
    ts_unit unit = next(coordinator);
    ts_coordinator_close(coordinator);
    ts_coordinator_request(coordinator, 0, true);
    assert_false(ts_coordinator_next(coordinator, &none));
    assert_false(ts_coordinator_finished(coordinator));
    ts_coordinator_done(coordinator, &unit, 1);
    assert_true(ts_coordinator_finished(coordinator));
    ts_coordinator_free(coordinator);
    free_sweep(&s);
}

// No schedule beats the bound; longest first may miss it by one unit, and does so by little.
TEST(test_makespan_is_near_the_lower_bound) {
    double sum = 0, worst = 0;
    int n = 0;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        random_sweep s = make_sweep(seed);
        ts_simulation result;
        s.setup.slot_bytes = INT64_MAX;
        assert_int_equal(ts_simulate(&s.setup, s.cost, 0.0025, seed, 0.1, NULL, &result), TS_OK);
        // Below a second of work per slot, handing out dominates.
        if (result.bound > 1) {
            double over = result.makespan / result.bound;
            sum += over;
            worst = over > worst ? over : worst;
            n++;
        }
        free_sweep(&s);
    }
    assert_true(n > 100);
    if (!(sum / n < 1.15 && worst < 2.05))
        fail_msg("makespan over bound: mean %g, worst %g of %d sweeps", sum / n, worst, n);
}

// Desks of any number of slots hold what is on its way to them: overflow is a fault, and nothing is left undone.
TEST(test_any_number_of_slots_on_a_rank) {
    for (int slots = 1; slots <= 512; slots++) {
        ts_coordinator_case given = {.cost = 1, .fill = 1};
        ts_unit pending = {0, 0, 700};
        ts_coordinator_setup setup = setup_of(1 + slots % 3, slots, INT64_MAX, 1, &given, &pending);
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, &given.cost, 0.0025, (uint64_t)slots, 0.5, NULL, &result), TS_OK);
    }
}

// Idle slots help where there are parts: up to so many, in the share of the cost that is spent there.
TEST(test_idle_slots_help_large_instances) {
    static const struct {
        int ranks, slots, parts;
        double shared;
        int64_t rows;
        double makespan;
    } GIVEN[] = {
        {1, 4, 1, 0, 1, 100},     // there are no parts
        {1, 4, 16, 1, 1, 25},     // all help
        {1, 4, 2, 1, 1, 50},      // or two
        {1, 4, 16, 0.5, 1, 62.5}, // with half of it
        {1, 4, 16, 1, 2, 50},     // two slots each
        {1, 2, 16, 1, 3, 150},    // two alone, and the third by both
        {2, 2, 16, 1, 1, 25},     // those of another rank, too
        {1, 1, 16, 1, 2, 200},    // nobody is idle
    };
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++) {
        ts_coordinator_case given = {.cost = 100, .fill = 1, .parts = GIVEN[i].parts, .shared = GIVEN[i].shared};
        ts_unit pending = {0, 0, GIVEN[i].rows};
        ts_coordinator_setup setup = setup_of(GIVEN[i].ranks, GIVEN[i].slots, 1, 1, &given, &pending);
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, &given.cost, 0, 0, 0, NULL, &result), TS_OK);
        if (!(fabs(result.makespan - GIVEN[i].makespan) < 1e-9 && result.bound <= result.makespan + 1e-9))
            fail_msg("%zu: %g s, and not %g; bound %g", i, result.makespan, GIVEN[i].makespan, result.bound);
    }
}

// A unit that nobody asked for, or one more than can be on its way, is a fault and not silence.
TEST(test_a_desk_refuses_what_it_did_not_ask_for) {
    for (int slots = 1; slots <= 512; slots += 73) {
        ts_desk desk;
        ts_message_kind kind;
        ts_unit unit = {0, 0, 1};
        assert_int_equal(ts_desk_open(&desk, slots), TS_OK);
        assert_int_equal(ts_desk_receive(&desk, &unit), TS_ERROR_FATAL);
        int asked = 0;
        for (; ts_desk_ask(&desk, &kind); asked++)
            assert_int_equal(kind, TS_MSG_REQUEST);
        assert_int_equal(asked, slots);
        for (int i = 0; i < slots; i++) { // all arrive before one is started
            unit.first_row = i;
            assert_int_equal(ts_desk_receive(&desk, &unit), TS_OK);
        }
        assert_int_equal(ts_desk_receive(&desk, &unit), TS_ERROR_FATAL);
        for (int i = 0; i < slots; i++) {
            assert_true(ts_desk_start(&desk, &unit));
            assert_int_equal(unit.first_row, i);
        }
        assert_true(ts_desk_ask(&desk, &kind));
        assert_int_equal(kind, TS_MSG_AHEAD);
        assert_int_equal(ts_desk_receive(&desk, &unit), TS_OK);
        assert_int_equal(ts_desk_receive(&desk, &unit), TS_ERROR_FATAL);
        ts_desk_close(&desk);
    }
}

// A unit that found no memory is trained before all others and with nothing beside it, once, whatever arrives
// meanwhile.
TEST(test_a_unit_without_memory_is_tried_alone) {
    ts_desk desk;
    ts_message_kind kind;
    ts_unit unit = {0, 0, 1};
    assert_int_equal(ts_desk_open(&desk, 3), TS_OK);
    while (ts_desk_ask(&desk, &kind))
        ;
    for (int i = 0; i < 3; i++) {
        unit.first_row = i;
        assert_int_equal(ts_desk_receive(&desk, &unit), TS_OK);
        assert_true(ts_desk_start(&desk, &unit));
    }
    assert_true(ts_desk_ask(&desk, &kind)); // one ahead, which arrives later
    for (int i = 1; i <= 2; i++) {
        unit.first_row = i;
        assert_true(ts_desk_try_alone(&desk, &unit)); // beside others
        assert_false(ts_desk_ask(&desk, &kind));
        assert_false(ts_desk_start(&desk, &unit));
    }
    unit.first_row = 3;
    assert_int_equal(ts_desk_receive(&desk, &unit), TS_OK);
    assert_false(ts_desk_start(&desk, &unit));
    ts_desk_finish(&desk);
    for (int i = 2; i >= 1; i--) {
        assert_true(ts_desk_start(&desk, &unit));
        assert_int_equal(unit.first_row, i);
        ts_unit other;
        assert_false(ts_desk_start(&desk, &other) || ts_desk_ask(&desk, &kind));
        if (i == 2)
            assert_false(ts_desk_try_alone(&desk, &unit)); // nothing was beside it
        else
            ts_desk_finish(&desk);
    }
    assert_true(ts_desk_start(&desk, &unit));
    assert_int_equal(unit.first_row, 3);
    assert_true(ts_desk_ask(&desk, &kind));
    ts_desk_stop(&desk);
    unit.first_row = 3;
    assert_true(ts_desk_try_alone(&desk, &unit)); // dropped
    assert_int_equal(desk.queued + desk.alone, 0);
    ts_desk_close(&desk);
    assert_int_equal(ts_desk_open(&desk, 1), TS_OK);
    assert_false(ts_desk_try_alone(&desk, &unit)); // the only slot
    ts_desk_close(&desk);
}

// sweeps/tree.yaml: 42 cases of 5 instances, on 2 slots.
TEST(test_a_realistic_sweep_is_within_5_percent_of_the_bound) {
    enum { CASES = 42 };
    ts_coordinator_case cases[CASES];
    ts_unit pending[CASES];
    double cost[CASES];
    for (int c = 0; c < CASES; c++) {
        cost[c] = 0.006 * pow(1.1, c);
        cases[c] = (ts_coordinator_case){.cost = 2 * cost[c], .instance_bytes = 1000, .fill = 1};
        pending[c] = (ts_unit){c, 0, 5};
    }
    for (int ranks = 1; ranks <= 8; ranks++) {
        ts_coordinator_setup setup = setup_of(ranks, 2, INT64_MAX, CASES, cases, pending);
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, cost, 0.0025, 1, 0.05, NULL, &result), TS_OK);
        if (!(result.makespan <= 1.05 * result.bound + 0.01))
            fail_msg("%d ranks: %g s, bound %g s", ranks, result.makespan, result.bound);
    }
}

// Units of a lost rank are neither waited for nor handed out again, and it gets nothing for what it has asked.
TEST(test_a_lost_rank_is_not_waited_for) {
    enum { RANKS = 3 };
    ts_coordinator_case given = {.cost = 1, .fill = 1, .most_rows = 1};
    ts_unit pending = {0, 0, 10};
    ts_assignment of;
    ts_coordinator_setup setup = setup_of(RANKS, 1, 1000, 1, &given, &pending);
    ts_coordinator *c;
    bool seen[10] = {false};
    assert_int_equal(ts_coordinator_create(&setup, &c), TS_OK);
    for (int rank = RANKS - 1; rank >= 0; rank--)
        assert_int_equal(ts_coordinator_request(c, rank, true), TS_OK);
    assert_int_equal(ts_coordinator_request(c, 2, false), TS_OK);
    assert_true(ts_coordinator_next(c, &of));
    assert_int_equal(of.rank, 2);
    assert_int_equal(ts_coordinator_request(c, 2, true), TS_OK);
    ts_coordinator_lost(c, 2, 1);
    assert_int_equal(ts_coordinator_units_out(c), 0);
    seen[of.unit.first_row] = true;
    for (int left = 10 - 1; left > 0; left--) {
        assert_false(ts_coordinator_finished(c));
        assert_true(ts_coordinator_next(c, &of));
        assert_true(of.rank != 2 && of.unit.rows == 1 && !seen[of.unit.first_row]);
        seen[of.unit.first_row] = true;
        ts_coordinator_done(c, &of.unit, 1);
        assert_int_equal(ts_coordinator_request(c, of.rank, true), TS_OK);
    }
    assert_false(ts_coordinator_next(c, &of));
    assert_true(ts_coordinator_finished(c));
    ts_coordinator_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_trained_exactly_once),
        cmocka_unit_test(test_units_fit_into_memory),
        cmocka_unit_test(test_units_keep_to_the_most_rows),
        cmocka_unit_test(test_slots_fill_a_gpu_together),
        cmocka_unit_test(test_any_number_of_slots_on_a_rank),
        cmocka_unit_test(test_idle_slots_help_large_instances),
        cmocka_unit_test(test_a_desk_refuses_what_it_did_not_ask_for),
        cmocka_unit_test(test_a_unit_without_memory_is_tried_alone),
        cmocka_unit_test(test_a_lost_rank_is_not_waited_for),
        cmocka_unit_test(test_units_hold_what_is_trained_together),
        cmocka_unit_test(test_saved_units_go_first_and_whole),
        cmocka_unit_test(test_a_closed_coordinator_hands_out_nothing),
        cmocka_unit_test(test_makespan_is_near_the_lower_bound),
        cmocka_unit_test(test_a_realistic_sweep_is_within_5_percent_of_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
