// How good the schedule is, and what it costs: sweeps as they are trained, on up to a hundred slots, against what
// no schedule can beat; and 10 000 ranks x 1 000 000 instances, where no message may cost more than on one rank.
#include "run/job.h"
#include "run/simulate.h"
#include "support.h"

#include "base/file.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASES_MAX = 1000 };
static const double HANDOUT = 0.0025; // seconds from a request to its unit

// Cases and their predicted costs, in seconds.
typedef struct workload {
    const char *name;
    int cases;
    ts_coordinator_case given[CASES_MAX];
    ts_unit pending[CASES_MAX];
} workload;

static workload *of_file(const char *name) {
    char path[512], *text;
    size_t bytes;
    ts_sweep *sweep;
    ts_job *job;
    workload *w = ts_alloc_zero(1, sizeof *w, "a workload");
    snprintf(path, sizeof path, "%s/%s", TOYSWEEP_SWEEPS, name);
    assert_int_equal(ts_file_read(path, 1 << 20, &text, &bytes), TS_OK);
    ts_sweep_source source = {.file = path, .text = text, .bytes = bytes};
    assert_int_equal(ts_sweep_read(&source, &sweep), TS_OK);
    assert_int_equal(ts_job_create(sweep, ts_backend_find("cpu"), "", &job), TS_OK);
    *w = (workload){.name = name, .cases = job->cases};
    for (int c = 0; c < w->cases; c++) {
        w->given[c] = ts_job_case(job, c);
        w->pending[c] = (ts_unit){c, 0, ts_sweep_case(sweep, c)->rows};
    }
    ts_job_free(job);
    ts_sweep_free(sweep);
    ts_free(text);
    return w;
}

static workload *equal_cases(const char *name, int cases, double cost) {
    workload *w = ts_alloc_zero(1, sizeof *w, "a workload");
    *w = (workload){.name = name, .cases = cases};
    for (int c = 0; c < cases; c++) {
        w->given[c] = (ts_coordinator_case){.cost = cost, .instance_bytes = 1000, .fill = 1};
        w->pending[c] = (ts_unit){c, 0, 1};
    }
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

// The truth: each case up to `error` times cheaper or dearer than predicted.
static void make_truth(const workload *w, uint64_t seed, double error, double *cost) {
    ts_philox random = ts_philox_at(seed, TS_STREAM_FINAL, 0, 0);
    for (int c = 0; c < w->cases; c++) {
        uint32_t words[4];
        ts_philox_next(&random, words);
        cost[c] = w->given[c].cost * pow(error, 2 * (words[0] * 0x1p-32) - 1);
    }
}

static int64_t instances(const workload *w) {
    int64_t sum = 0;
    for (int c = 0; c < w->cases; c++)
        sum += w->pending[c].rows;
    return sum;
}

static double longest(const workload *w, const double *cost) {
    double most = 0;
    for (int c = 0; c < w->cases; c++)
        most = fmax(most, cost[c]);
    return most;
}

static double even_share(const workload *w, const double *cost, const ts_coordinator_setup *setup) {
    double work = 0;
    for (int c = 0; c < w->cases; c++)
        work += cost[c] * (double)w->pending[c].rows;
    return work / ((double)setup->ranks * setup->slots);
}

// Every layout on which the sweep takes a second or more: below, handing out is what takes time. Whatever the
// costs, no slot is idle while something waits. Within 5 % of the bound where a slot trains at least `each`
// instances, none of which takes more than a third of its time: the bound knows all costs, and nothing of what longest
// first may lose on few long ones.
static void check(workload *w, double slower, double error, int each) {
    static const int layouts[][2] = {{1, 1}, {1, 2}, {2, 2}, {4, 1}, {3, 3}, {8, 2}, {4, 8}, {64, 1}, {8, 16}};
    double worst = 0, cost[CASES_MAX];
    int n = 0;
    for (int c = 0; c < w->cases; c++)
        w->given[c].cost *= slower;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        for (uint64_t seed = 1; seed <= 50; seed++) {
            ts_simulation result;
            ts_coordinator_setup setup = setup_of(w, layouts[i][0], layouts[i][1]);
            make_truth(w, seed, error, cost);
            assert_int_equal(ts_simulate(&setup, cost, HANDOUT, 0, 0, NULL, &result), TS_OK);
            if (result.makespan < 0.999999 * result.bound)
                fail_msg("%s: makespan %g under the bound %g", w->name, result.makespan, result.bound);
            if (result.bound < 1)
                continue;
            double most = even_share(w, cost, &setup) + longest(w, cost) + HANDOUT * 100;
            if (result.makespan > most)
                fail_msg("%s on %d ranks x %d slots, seed %llu: %g s, any greedy schedule takes at most %g s", w->name,
                         layouts[i][0], layouts[i][1], (unsigned long long)seed, result.makespan, most);
            if (instances(w) < each * layouts[i][0] * layouts[i][1] ||
                3 * longest(w, cost) > even_share(w, cost, &setup)) // a slot may have one such instance too many
                continue;
            worst = fmax(worst, result.makespan / result.bound);
            n++;
            if (result.makespan > 1.05 * result.bound)
                fail_msg("%s on %d ranks x %d slots, seed %llu: %g s, no schedule takes less than %g s", w->name,
                         layouts[i][0], layouts[i][1], (unsigned long long)seed, result.makespan, result.bound);
        }
    }
    assert_true(n > 0);
    printf("%s, %g x the time, costs off by up to %g x: %d schedules, worst %.2f %% over the bound\n", w->name, slower,
           error, n, 100 * (worst - 1));
    ts_free(w);
}

// Costs are predicted from operation counts: what all cases have in common is measured away, what they do not have
// in common is some percent.
TEST(test_sweeps_are_within_5_percent_of_the_bound) {
    check(of_file("tree.yaml"), 1, 1.1, 10);
    check(of_file("tree.yaml"), 30, 1.1, 10);
    check(of_file("tree.yaml"), 30, 1, 5);
    check(of_file("groups.yaml"), 1, 1, 0);
    check(of_file("s5-seeds.yaml"), 1, 1.1, 0);
    check(equal_cases("81 cases of one instance", 81, 300), 1, 1, 0);
}

// --- 10 000 ranks ---

static int64_t bytes_in_use(void) {
    struct mallinfo2 heap = mallinfo2(); // all zero under sanitizers
    return (int64_t)(heap.uordblks + heap.hblkhd);
}

// A hundred cases over three orders of magnitude; 100 instances for each rank.
TEST(test_a_message_costs_the_same_on_10_ranks_and_on_10_000) {
    enum { CASES = 100 };
    workload *w = equal_cases("scale", CASES, 1);
    double cost[CASES];
    for (int c = 0; c < CASES; c++)
        cost[c] = w->given[c].cost = 0.1 * pow(1000, c / (CASES - 1.0));
    for (int ranks = 10; ranks <= 10000; ranks *= 10) {
        ts_coordinator_setup setup = setup_of(w, ranks, 1);
        ts_coordinator *coordinator;
        ts_simulation result;
        for (int c = 0; c < CASES; c++)
            w->pending[c].rows = ranks; // 100 times as many in all
        int64_t before = bytes_in_use();
        assert_int_equal(ts_coordinator_create(&setup, &coordinator), TS_OK);
        int64_t bytes = bytes_in_use() - before;
        ts_coordinator_free(coordinator);
        assert_int_equal(ts_simulate(&setup, cost, HANDOUT, 0, 0, NULL, &result), TS_OK);
        printf("%d ranks x %d instances: %lld units, %lld events, %.2f looks an event, %lld bytes, %.2f %% "
               "over the "
               "bound\n",
               ranks, 100 * ranks, (long long)result.units, (long long)result.events,
               (double)result.looked / (double)result.events, (long long)bytes,
               100 * (result.makespan / result.bound - 1));
        assert_true(result.looked <= 3 * result.events);
        assert_true(result.events <= 8 * result.units + 8 * ranks);
        assert_true(result.units <= 100 * ranks);
        assert_true(bytes <= 20000 + 100 * ranks);
        assert_true(result.makespan <= 1.05 * result.bound);
    }
    ts_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweeps_are_within_5_percent_of_the_bound),
        cmocka_unit_test(test_a_message_costs_the_same_on_10_ranks_and_on_10_000),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
