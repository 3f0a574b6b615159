// Instances that ranks share: how wide, when they are shared anew, and that nothing is lost, whatever happens.
#include "run/coordinator.h"
#include "run/desk.h"
#include "run/simulate.h"
#include "run/team_plan.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASES_MAX = 32 };

// Cases with a range of pending rows each.
typedef struct workload {
    int cases;
    ts_coordinator_case given[CASES_MAX];
    ts_unit pending[CASES_MAX];
    double cost[CASES_MAX]; // the truth
} workload;

static void add_case(workload *w, double cost, int64_t rows, int parts, double exchange) {
    int c = w->cases++;
    w->given[c] = (ts_coordinator_case){.cost = cost,
                                        .instance_bytes = 1000,
                                        .fill = 1,
                                        .parts = parts,
                                        .shared = parts > 1 ? 0.999 : 0,
                                        .exchange = exchange};
    w->pending[c] = (ts_unit){c, 0, rows};
    w->cost[c] = cost;
}

// Like sweeps/groups.yaml: 4 instances of 71 hours, 4 of 25 hours, 48 of 6 to 49 minutes, which cannot be shared.
static workload groups(int parts, int fewer_parts) {
    workload w = {0};
    add_case(&w, 71 * 3600, 4, parts, 125);
    add_case(&w, 25 * 3600, 4, fewer_parts, 20);
    for (int i = 0; i < 12; i++)
        add_case(&w, 60 * (6 + 43.0 * i / 11), 4, 1, 0);
    return w;
}

static ts_coordinator_setup setup_of(const workload *w, int ranks, int slots) {
    return (ts_coordinator_setup){.ranks = ranks,
                                  .slots = slots,
                                  .slot_bytes = INT64_MAX,
                                  .cases = w->cases,
                                  .cases_of = w->given,
                                  .pending = w->pending,
                                  .n_pending = w->cases};
}

static uint32_t word(ts_philox *random) {
    uint32_t words[4];
    ts_philox_next(random, words);
    return words[0];
}

static int below(ts_philox *random, int n) {
    return (int)(word(random) % (uint32_t)n);
}

static double uniform(ts_philox *random) {
    return word(random) * 0x1p-32;
}

// --- How long it takes ---

TEST(test_what_a_team_takes) {
    static const struct {
        int parts, ranks;
        double threads, shared, exchange, seconds;
    } GIVEN[] = {
        {1, 4, 2, 0, 0, 640},      // nothing can be shared
        {64, 1, 1, 1, 0, 640},     // one thread makes all parts
        {64, 1, 2, 1, 9, 320},     // nothing is exchanged on one rank
        {64, 4, 2, 1, 0, 80},      // 16 parts a rank, in 8 rounds
        {64, 5, 2, 1, 0, 70},      // 13 parts, in 7
        {64, 4, 2, 1, 5, 85},      // and the exchange
        {64, 64, 2, 1, 0, 10},     // the second thread has nothing to do
        {64, 4, 2, 0.5, 0, 360},   // half of it is not shared
        {64, 1, 1.5, 1, 0, 426.7}, // a thread helps two units
    };
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++) {
        ts_coordinator_case of = {
            .cost = 640, .parts = GIVEN[i].parts, .shared = GIVEN[i].shared, .exchange = GIVEN[i].exchange};
        double seconds = ts_team_seconds(&of, GIVEN[i].ranks, GIVEN[i].threads);
        if (!(fabs(seconds - GIVEN[i].seconds) < 0.1))
            fail_msg("%zu: %g s, and not %g", i, seconds, GIVEN[i].seconds);
    }
}

// Each step is the smallest that saves a round of parts; none beyond what there is, or that only costs.
TEST(test_teams_widen_without_waste) {
    static const int WIDTHS[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 16, 32, 0};
    ts_coordinator_case of = {.cost = 640, .parts = 64, .shared = 1};
    for (int i = 0; WIDTHS[i]; i++)
        assert_int_equal(ts_team_wider(&of, WIDTHS[i], 1000, 2), WIDTHS[i + 1]);
    assert_int_equal(ts_team_wider(&of, 8, 10, 2), 0);
    of.exchange = 400; // from 320 s to 560 s
    assert_int_equal(ts_team_wider(&of, 1, 1000, 2), 0);
    assert_true(ts_team_fastest(&of, 1000, 2) == 320);
}

// --- How well it is shared out ---

typedef struct expected {
    int ranks, slots, parts, fewer_parts;
    double busy, over; // at least; makespan over bound, at most
} expected;

static void check(const expected *e) {
    workload w = groups(e->parts, e->fewer_parts);
    ts_coordinator_setup setup = setup_of(&w, e->ranks, e->slots);
    ts_simulation_case seen[CASES_MAX] = {0};
    ts_simulation result;
    assert_int_equal(ts_simulate(&setup, w.cost, 0.0025, 0, 0, seen, &result), TS_OK);
    printf("%4d ranks x %2d, parts %3d and %3d: %4.1f %% busy, %.3f of the bound of %.0f s, widths %d and %d, %lld "
           "called back\n",
           e->ranks, e->slots, e->parts, e->fewer_parts, 100 * result.busy, result.makespan / result.bound,
           result.bound, seen[0].first, seen[1].first, (long long)result.recalls);
    if (!(result.busy >= e->busy && result.makespan <= e->over * result.bound &&
          result.makespan >= 0.999999 * result.bound))
        fail_msg("at least %g busy and at most %g of the bound were expected", e->busy, e->over);
}

TEST(test_no_instance_is_the_critical_path) {
    static const expected GIVEN[] = {
        {64, 2, 64, 16, 0.92, 1.09},    {64, 2, 64, 32, 0.93, 1.08},   {64, 2, 64, 64, 0.93, 1.08},
        {64, 2, 128, 64, 0.92, 1.09},   {64, 2, 128, 128, 0.93, 1.08}, {512, 1, 128, 64, 0.8, 1.16},
        {512, 1, 128, 128, 0.8, 1.16},  {512, 1, 64, 64, 0.6, 1.01}, // 71 hours in 64 parts
        {512, 2, 128, 128, 0.45, 1.01},                              // the longest of the 48
        {1, 2, 64, 64, 0.99, 1.01},     {1, 64, 64, 64, 0.97, 1.03},   {3, 1, 64, 64, 0.99, 1.01},
        {7, 3, 64, 16, 0.93, 1.07},     {7, 3, 128, 128, 0.95, 1.05},  {9, 2, 64, 64, 0.98, 1.02},
        {16, 2, 64, 64, 0.96, 1.04},    {32, 4, 64, 64, 0.9, 1.11},    {8, 64, 64, 64, 0.6, 1.01},
        {8, 64, 128, 128, 0.8, 1.18},   {128, 2, 64, 64, 0.85, 1.14},  {1024, 1, 128, 128, 0.45, 1.01},
    };
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++)
        check(&GIVEN[i]);
}

// What is known only in time is made good by sharing anew: costs up to 3 times as large or as small as predicted.
TEST(test_wrong_predictions_cost_little) {
    static const int layouts[][2] = {{64, 2}, {16, 4}, {9, 2}, {5, 1}};
    double worst = 0, mean = 0;
    int n = 0;
    int64_t recalls = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        ts_philox random = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
        workload w = groups(64, 64);
        for (int c = 0; c < w.cases; c++)
            w.cost[c] *= pow(3, 2 * uniform(&random) - 1);
        const int *layout = layouts[seed % 4];
        ts_coordinator_setup setup = setup_of(&w, layout[0], layout[1]);
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, w.cost, 0.0025, seed, 0.2, NULL, &result), TS_OK);
        double over = result.makespan / (result.bound * 1.2); // units take up to so much more
        worst = fmax(worst, over);
        mean += result.makespan / result.bound;
        n++;
        recalls = result.recalls > recalls ? result.recalls : recalls;
    }
    printf("costs off by up to 3 times: mean %.3f of the bound, at most %lld called back\n", mean / n,
           (long long)recalls);
    if (!(worst < 1.35 && mean / n < 1.15 && recalls < 200))
        fail_msg("worst %g, mean %g of the bound, %lld called back", worst, mean / n, (long long)recalls);
}

// The bound stays one, on any layout and for any costs.
TEST(test_no_schedule_with_teams_beats_the_bound) {
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        ts_philox random = ts_philox_at(seed, TS_STREAM_FINAL, 0, 0);
        workload w = {0};
        int cases = 1 + below(&random, 8);
        for (int c = 0; c < cases; c++)
            add_case(&w, pow(10, 6 * uniform(&random)), 1 + below(&random, below(&random, 4) ? 4 : 60),
                     below(&random, 3) ? 2 << below(&random, 7) : 1, below(&random, 2) * 100 * uniform(&random));
        ts_coordinator_setup setup = setup_of(&w, 1 + below(&random, 40), 1 + below(&random, 6));
        setup.ranks_per_instance = below(&random, 3) ? 0 : 1 + below(&random, 12);
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, w.cost, 0.0025, 0, 0, NULL, &result), TS_OK);
        if (result.makespan < 0.999999 * result.bound || result.busy > 1.000001)
            fail_msg("seed %llu: makespan %g, bound %g, busy %g", (unsigned long long)seed, result.makespan,
                     result.bound, result.busy);
        if (result.recalls > 40 * result.units)
            fail_msg("seed %llu: %lld units, %lld called back", (unsigned long long)seed, (long long)result.units,
                     (long long)result.recalls);
    }
}

// --- What is asked for by name ---

TEST(test_ranks_per_instance_is_kept_to) {
    static const struct {
        int ranks, slots, asked, parts, width;
    } GIVEN[] = {{8, 2, 3, 64, 3}, {8, 2, 1, 64, 1},    {4, 1, 9, 64, 4}, {12, 1, 6, 4, 4},
                 {5, 2, 5, 64, 5}, {64, 2, 16, 64, 16}, {1, 4, 7, 64, 1}};
    for (size_t i = 0; i < sizeof GIVEN / sizeof *GIVEN; i++) {
        workload w = groups(GIVEN[i].parts, GIVEN[i].parts);
        ts_coordinator_setup setup = setup_of(&w, GIVEN[i].ranks, GIVEN[i].slots);
        setup.ranks_per_instance = GIVEN[i].asked;
        ts_simulation_case seen[CASES_MAX] = {0};
        ts_simulation result;
        assert_int_equal(ts_simulate(&setup, w.cost, 0.0025, 0, 0, seen, &result), TS_OK);
        for (int c = 0; c < 2; c++)
            if (seen[c].first != GIVEN[i].width || seen[c].most != GIVEN[i].width)
                fail_msg("%zu: %d to %d ranks, and not %d", i, seen[c].first, seen[c].most, GIVEN[i].width);
        assert_int_equal(result.recalls, 0);
    }
}

static void ask_all(ts_coordinator *coordinator, int first, int ranks, int slots) {
    for (int r = first; r < first + ranks; r++)
        for (int i = 0; i < slots; i++)
            assert_int_equal(ts_coordinator_request(coordinator, r, true), TS_OK);
}

// A ts_unit has bytes between its fields that may be anything.
static bool same_unit(const ts_unit *a, const ts_unit *b) {
    return a->case_index == b->case_index && a->first_row == b->first_row && a->rows == b->rows;
}

// Units of an earlier run, whatever trained them, go first, and to a team.
TEST(test_saved_units_are_shared_first) {
    workload w = groups(64, 64);
    static const ts_unit saved[] = {{1, 4, 1}, {0, 4, 1}};
    ts_coordinator_setup setup = setup_of(&w, 64, 2);
    setup.saved = saved;
    setup.n_saved = 2;
    ts_coordinator *coordinator;
    ts_assignment given[10];
    assert_int_equal(ts_coordinator_create(&setup, &coordinator), TS_OK);
    ask_all(coordinator, 0, 64, 2);
    for (int i = 0; i < 10; i++)
        assert_true(ts_coordinator_next(coordinator, &given[i]));
    for (int k = 0; k < 2; k++) {
        bool found = false;
        for (int i = 0; i < 10; i++)
            found = found || (same_unit(&given[i].unit, &saved[k]) && given[i].ranks > 1);
        assert_true(found);
    }
    ts_coordinator_free(coordinator);
}

// Nothing is given away before all ranks are there; but those that do not come are not waited for beyond that.
TEST(test_a_rank_that_never_asks) {
    workload w = groups(64, 64);
    ts_coordinator_setup setup = setup_of(&w, 64, 2);
    ts_coordinator *coordinator;
    ts_assignment given;
    assert_int_equal(ts_coordinator_create(&setup, &coordinator), TS_OK);
    ask_all(coordinator, 1, 63, 2);
    assert_false(ts_coordinator_next(coordinator, &given));
    ts_coordinator_wait_no_more(coordinator);
    int ranks = 0;
    for (int n = 0; ts_coordinator_next(coordinator, &given); n++) {
        assert_true(given.rank > 0);
        if (n < 8) {
            assert_true(given.ranks > 1);
            ranks += given.ranks;
        }
    }
    assert_in_range(ranks, 48, 62);
    ts_coordinator_free(coordinator);
}

// Teams whose members come back one after the other are not cut up in between.
TEST(test_idle_ranks_join_a_team) {
    workload w = {0};
    add_case(&w, 10000, 2, 64, 0);
    add_case(&w, 6000, 2, 1, 0);
    ts_coordinator_setup setup = setup_of(&w, 4, 1);
    ts_coordinator *coordinator;
    ts_assignment given[4], back[2], none;
    assert_int_equal(ts_coordinator_create(&setup, &coordinator), TS_OK);
    ask_all(coordinator, 0, 4, 1);
    for (int i = 0; i < 4; i++)
        assert_true(ts_coordinator_next(coordinator, &given[i]));
    assert_false(ts_coordinator_recall(coordinator, &none));
    for (int i = 2; i < 4; i++) { // what cannot be shared ends
        assert_int_equal(given[i].unit.case_index, 1);
        ts_coordinator_done(coordinator, &given[i].unit, 6000);
        ask_all(coordinator, given[i].rank, 1, 1);
    }
    ts_coordinator_progress(coordinator, &given[0].unit, 0.6);
    ts_coordinator_progress(coordinator, &given[1].unit, 0.6);
    assert_true(ts_coordinator_recall(coordinator, &back[0]));
    assert_true(ts_coordinator_recall(coordinator, &back[1]));
    assert_false(ts_coordinator_recall(coordinator, &none)); // said once
    for (int i = 0; i < 2; i++) {
        assert_false(ts_coordinator_next(coordinator, &none));
        assert_int_equal(ts_coordinator_returned(coordinator, &back[i].unit, 0.4), TS_OK);
        assert_false(ts_coordinator_next(coordinator, &none)); // its rank has yet to ask
        ask_all(coordinator, back[i].rank, 1, 1);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(ts_coordinator_next(coordinator, &given[i]));
        assert_int_equal(given[i].ranks, 2);
    }
    assert_false(ts_coordinator_recall(coordinator, &none));
    ts_coordinator_done(coordinator, &given[0].unit, 1);
    ts_coordinator_done(coordinator, &given[1].unit, 1);
    assert_true(ts_coordinator_finished(coordinator));
    ts_coordinator_free(coordinator);
}

// What several threads have done in some seconds would take one of them longer: costs stay as predicted where that is
// true, though other ranks of the team ask before the first one has told.
TEST(test_seconds_of_a_team_are_not_those_of_a_thread) {
    workload w = {0};
    add_case(&w, 10000, 1, 64, 0);
    add_case(&w, 50, 20, 1, 0);
    ts_coordinator_setup setup = setup_of(&w, 5, 2);
    ts_coordinator *coordinator;
    ts_assignment given;
    assert_int_equal(ts_coordinator_create(&setup, &coordinator), TS_OK);
    ask_all(coordinator, 0, 5, 2);
    assert_true(ts_coordinator_next(coordinator, &given));
    assert_in_range(given.ranks, 2, 4);
    double waits = ts_coordinator_waiting(coordinator);
    ask_all(coordinator, given.rank + 1, given.ranks - 1, 1);
    ts_coordinator_done(coordinator, &given.unit, ts_team_seconds(&w.given[0], given.ranks, 2));
    if (!(fabs(ts_coordinator_waiting(coordinator) / waits - 1) < 1e-9))
        fail_msg("%g s wait, and before %g", ts_coordinator_waiting(coordinator), waits);
    ts_coordinator_free(coordinator);
}

// --- Whatever happens ---

enum { RANKS = 24, ROWS = 40, OUT = 1024 };

typedef struct out {
    ts_assignment given;
    double done;
    bool started, recalled;
} out;

typedef struct world {
    uint64_t seed;
    ts_philox random;
    workload work;
    ts_coordinator_setup setup;
    ts_coordinator *coordinator;
    ts_desk desk[RANKS];
    int never; // a rank that never asks; -1: none
    out out[OUT];
    int n_out;
    int committed[CASES_MAX][ROWS];
    int64_t rows, done;
    bool asked[RANKS], ended;                          // ended: a unit, or a rank has come, since some were called back
    int64_t teams, recalls, returned, dropped, splits; // counted over all seeds
} world;

#define broken(w, ...)                                                                                                 \
    do {                                                                                                               \
        print_error("seed %llu: ", (unsigned long long)(w)->seed);                                                     \
        fail_msg(__VA_ARGS__);                                                                                         \
    } while (0)

static void make_world(world *w, uint64_t seed) {
    static ts_unit saved[CASES_MAX];
    w->seed = seed;
    w->random = ts_philox_at(seed, TS_STREAM_BATCH, 0, 0);
    ts_philox *random = &w->random;
    memset(w->committed, 0, sizeof w->committed);
    w->work = (workload){0};
    w->n_out = 0;
    w->rows = w->done = 0;
    memset(w->asked, 0, sizeof w->asked);
    int cases = 1 + below(random, 10), n_saved = 0, ranks = 1 + below(random, RANKS), slots = 1 + below(random, 4);
    for (int c = 0; c < cases; c++) {
        add_case(&w->work, pow(10, 5 * uniform(random)), 1 + below(random, below(random, 2) ? 3 : ROWS),
                 below(random, 2) ? 2 << below(random, 7) : 1, below(random, 2) * 50 * uniform(random));
        w->rows += w->work.pending[c].rows;
        int64_t kept = below(random, 3) ? 0 : 1 + below(random, (int)w->work.pending[c].rows);
        if (kept == 0)
            continue;
        saved[n_saved++] = (ts_unit){c, w->work.pending[c].rows -= kept, kept};
    }
    w->setup = setup_of(&w->work, ranks, slots);
    w->setup.slot_bytes = 1000 * (1 + below(random, 20));
    w->setup.saved = saved;
    w->setup.n_saved = n_saved;
    w->setup.ranks_per_instance = below(random, 3) ? 0 : 1 + below(random, 6);
    w->never = ranks > 1 && w->setup.ranks_per_instance == 0 && below(random, 4) == 0 ? below(random, ranks) : -1;
    assert_int_equal(ts_coordinator_create(&w->setup, &w->coordinator), TS_OK);
    for (int r = 0; r < ranks; r++) // some have more slots than planned for, or fewer
        assert_int_equal(ts_desk_open(&w->desk[r], below(random, 4) ? slots : 1 + below(random, 6)), TS_OK);
}

static void ask(world *w, int rank) {
    w->ended = w->ended || (!w->asked[rank] && rank != w->never);
    w->asked[rank] = true;
    for (ts_message_kind kind; rank != w->never && ts_desk_ask(&w->desk[rank], &kind);)
        assert_int_equal(kind == TS_MSG_URGENT ? ts_coordinator_make_urgent(w->coordinator, rank)
                                               : ts_coordinator_request(w->coordinator, rank, kind == TS_MSG_REQUEST),
                         TS_OK);
}

static bool on_rank(const ts_assignment *given, int rank) {
    return rank >= given->rank && rank < given->rank + given->ranks;
}

static bool is_unit(const ts_unit *a, const ts_unit *b) {
    return a->case_index == b->case_index && a->first_row == b->first_row && a->rows == b->rows;
}

static void start_waiting(world *w, int rank) {
    for (ts_unit unit; ts_desk_start(&w->desk[rank], &unit);)
        for (int i = 0; i < w->n_out; i++)
            w->out[i].started = w->out[i].started || is_unit(&w->out[i].given.unit, &unit);
}

static void give(world *w, const ts_assignment *given) {
    for (int i = 0; i < w->n_out; i++) {
        const ts_assignment *other = &w->out[i].given;
        bool same = given->unit.case_index == other->unit.case_index &&
                    given->unit.first_row < other->unit.first_row + other->unit.rows &&
                    other->unit.first_row < given->unit.first_row + given->unit.rows;
        for (int r = given->rank; r < given->rank + given->ranks; r++)
            if (same || (other->ranks > 1 && on_rank(other, r)))
                broken(w, "rank %d gets case %d row %lld while it or its unit is in a team", r, given->unit.case_index,
                       (long long)given->unit.first_row);
    }
    int asked = w->setup.ranks_per_instance, parts = w->work.given[given->unit.case_index].parts;
    if (given->rank < 0 || given->rank + given->ranks > w->setup.ranks || (given->ranks > 1 && given->unit.rows > 1) ||
        given->ranks > parts || (asked > 0 && given->ranks > asked))
        broken(w, "%d ranks from %d on for case %d", given->ranks, given->rank, given->unit.case_index);
    w->out[w->n_out++] = (out){.given = *given};
    w->teams += given->ranks > 1;
    for (int r = given->rank; r < given->rank + given->ranks; r++) {
        if (r == w->never || ts_desk_receive(&w->desk[r], &given->unit) != TS_OK)
            broken(w, "rank %d did not ask", r);
        if (given->ranks > 1 && w->desk[r].idle == 0)
            broken(w, "rank %d of a team has no idle slot", r);
        start_waiting(w, r);
    }
}

static void assign(world *w) {
    ts_assignment given;
    while (ts_coordinator_next(w->coordinator, &given))
        give(w, &given);
    for (bool ended = w->ended; ts_coordinator_recall(w->coordinator, &given); w->ended = false) {
        if (!ended)
            broken(w, "units are called back again, though none has ended since the last time");
        int i = 0;
        while (i < w->n_out && !is_unit(&w->out[i].given.unit, &given.unit))
            i++;
        if (i == w->n_out || w->out[i].recalled || w->out[i].given.rank != given.rank ||
            w->out[i].given.ranks != given.ranks)
            broken(w, "case %d row %lld is called back in vain", given.unit.case_index,
                   (long long)given.unit.first_row);
        w->out[i].recalled = true;
        w->recalls++;
    }
}

static void commit(world *w, const ts_unit *unit) {
    for (int64_t row = unit->first_row; row < unit->first_row + unit->rows; row++)
        if (++w->committed[unit->case_index][row] != 1)
            broken(w, "case %d row %lld is done twice", unit->case_index, (long long)row);
    w->done += unit->rows;
    w->ended = true;
    ts_coordinator_done(w->coordinator, unit, w->work.given[unit->case_index].cost * (double)unit->rows);
}

// A unit that was given ends, in one way or another. Its ranks ask at once or much later, before its first rank has
// told or after that.
static void end_one(world *w) {
    int pick = below(&w->random, w->n_out);
    out it = w->out[pick];
    ts_assignment *of = &it.given;
    if (!it.started && !it.recalled)
        return;
    w->out[pick] = w->out[--w->n_out];
    if (it.started)
        for (int r = of->rank; r < of->rank + of->ranks; r++) {
            ts_desk_finish(&w->desk[r]);
            start_waiting(w, r);
            if (below(&w->random, 2))
                ask(w, r);
        }
    if (!it.started) {
        assert_true(ts_desk_drop(&w->desk[of->rank], &of->unit));
        w->dropped++;
        assert_int_equal(ts_coordinator_returned(w->coordinator, &of->unit, 1 - it.done), TS_OK);
    } else if (it.recalled && below(&w->random, 4)) {
        w->returned++;
        assert_int_equal(ts_coordinator_returned(w->coordinator, &of->unit, 1 - it.done), TS_OK);
    } else if (of->unit.rows > 1 && below(&w->random, 4) == 0) {
        w->splits++;
        assert_true(ts_coordinator_split(w->coordinator, &of->unit));
    } else {
        commit(w, &of->unit);
    }
}

static void play(world *w) {
    for (int64_t turn = 0; !ts_coordinator_finished(w->coordinator); turn++) {
        ask(w, below(&w->random, w->setup.ranks));
        if (turn % 64 == 63) // all have asked: something is out, or it is over
            for (int r = 0; r < w->setup.ranks; r++)
                ask(w, r);
        if (turn % 64 == 63 && w->never >= 0)
            ts_coordinator_wait_no_more(w->coordinator);
        if (turn % 64 == 63 || below(&w->random, 2))
            assign(w);
        if (turn % 64 == 63 && w->n_out == 0 && !ts_coordinator_finished(w->coordinator))
            broken(w, "%lld of %lld rows are done, and nothing is given", (long long)w->done, (long long)w->rows);
        for (int i = 0; i < w->n_out; i++)
            if (w->out[i].started && below(&w->random, 4) == 0) {
                w->out[i].done += (1 - w->out[i].done) * uniform(&w->random) / 4;
                ts_coordinator_progress(w->coordinator, &w->out[i].given.unit, w->out[i].done);
            }
        if (w->n_out > 0 && below(&w->random, 3) == 0)
            end_one(w);
        if (turn > 1000000)
            broken(w, "no end: %lld of %lld rows are done", (long long)w->done, (long long)w->rows);
    }
    if (w->done != w->rows)
        broken(w, "%lld of %lld rows are done", (long long)w->done, (long long)w->rows);
}

TEST(test_every_instance_is_trained_once_by_one_team_at_a_time) {
    world *w = ts_alloc_zero(1, sizeof *w, "a world");
    const char *text = getenv("TOYSWEEP_SEEDS");
    int64_t n = text ? atoll(text) : 3000;
    for (int64_t seed = 1; seed <= n; seed++) {
        make_world(w, (uint64_t)seed);
        play(w);
        for (int r = 0; r < w->setup.ranks; r++)
            ts_desk_close(&w->desk[r]);
        ts_coordinator_free(w->coordinator);
    }
    printf("%lld seeds: %lld teams, %lld called back, %lld returned, %lld before they began, %lld splits\n",
           (long long)n, (long long)w->teams, (long long)w->recalls, (long long)w->returned, (long long)w->dropped,
           (long long)w->splits);
    assert_true(w->teams > n && w->returned > n / 4 && w->splits > n / 4);
    ts_free(w);
}

// An instance that a lost rank trained alone stays with it; it is not called back, and nobody waits for it.
static void test_what_a_lost_rank_trains_is_not_called_back(void **state) {
    (void)state;
    enum { FOUR = 4, LOST = 3 };
    const ts_coordinator_case shape = {.cost = 1e5, .parts = 64, .shared = 0.999};
    const ts_unit pending = {0, 0, FOUR};
    const ts_coordinator_setup setup = {
        .ranks = FOUR, .slots = FOUR, .cases = 1, .cases_of = &shape, .pending = &pending, .n_pending = 1};
    ts_coordinator *c;
    ts_assignment at_work[FOUR], given;
    int count = 0, left = FOUR;
    assert_int_equal(ts_coordinator_create(&setup, &c), TS_OK);
    for (int rank = 0; rank < FOUR; rank++)
        for (int slot = 0; slot < FOUR; slot++)
            assert_int_equal(ts_coordinator_request(c, rank, true), TS_OK);
    while (ts_coordinator_next(c, &given))
        at_work[count++] = given;
    assert_int_equal(count, FOUR);
    for (int i = 0; i < count; i++) {
        assert_int_equal(at_work[i].ranks, 1);
        if (at_work[i].rank == LOST) {
            at_work[i] = at_work[--count];
            break;
        }
    }
    ts_coordinator_lost(c, LOST, 1);
    for (left--; left > 0;
         left--) { // the last of what is out ends, and all its ranks ask again; the others may be called back
        given = at_work[--count];
        ts_coordinator_done(c, &given.unit, 10);
        for (int rank = given.rank; rank < given.rank + given.ranks; rank++)
            assert_int_equal(ts_coordinator_request(c, rank, true), TS_OK);
        while (ts_coordinator_recall(c, &given)) {
            int at = 0;
            while (at < count && at_work[at].unit.first_row != given.unit.first_row)
                at++;
            assert_true(at < count); // it is out, and not the lost one
            at_work[at] = at_work[--count];
            assert_int_equal(ts_coordinator_returned(c, &given.unit, 0.5), TS_OK);
            for (int rank = given.rank; rank < given.rank + given.ranks; rank++)
                assert_int_equal(ts_coordinator_request(c, rank, true), TS_OK);
        }
        while (ts_coordinator_next(c, &given))
            at_work[count++] = given;
        assert_int_equal(count, left - 1);
    }
    assert_true(ts_coordinator_finished(c));
    ts_coordinator_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_lost_rank_trains_is_not_called_back),
        cmocka_unit_test(test_what_a_team_takes),
        cmocka_unit_test(test_teams_widen_without_waste),
        cmocka_unit_test(test_no_instance_is_the_critical_path),
        cmocka_unit_test(test_wrong_predictions_cost_little),
        cmocka_unit_test(test_no_schedule_with_teams_beats_the_bound),
        cmocka_unit_test(test_ranks_per_instance_is_kept_to),
        cmocka_unit_test(test_saved_units_are_shared_first),
        cmocka_unit_test(test_a_rank_that_never_asks),
        cmocka_unit_test(test_idle_ranks_join_a_team),
        cmocka_unit_test(test_seconds_of_a_team_are_not_those_of_a_thread),
        cmocka_unit_test(test_every_instance_is_trained_once_by_one_team_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
