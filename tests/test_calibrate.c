// What a plan makes of the clock, with engines and measures that take the time they are told to: costs, carried over
// from cases that were timed to those that were not, and how long timing takes.
#define _XOPEN_SOURCE 700
#include "results/file_time.h"
#include "run/calibrate.h"
#include "support_engine.h"

#include <math.h>

static double now;    // virtual seconds of this thread
static double reads;  // what it takes to ask for them
static double shared; // what the first checkpoint makes for all

double __wrap_ts_clock_thread(void);
double __wrap_ts_clock_thread(void) {
    return now += reads;
}

// Of a full checkpoint; losses take a tenth, hindsight a half.
static double full_seconds(const ts_params *params) {
    double n = (double)ts_params_integer(params, "steps") > 0 ? ts_params_integer(params, "hidden") : 0;
    return 1e-3 + 1e-6 * n;
}

ts_status __wrap_ts_measure_weights(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                                    ts_measure_extent extent, const ts_measure_help *help, double *out);
ts_status __wrap_ts_measure_weights(const ts_params *params, const ts_data *data, const float *parameters, int64_t step,
                                    ts_measure_extent extent, const ts_measure_help *help, double *out) {
    (void)data, (void)parameters, (void)step, (void)help;
    now += shared + full_seconds(params) * (extent == TS_MEASURE_LOSSES ? 0.1 : 1);
    shared = 0;
    out[0] = 0;
    return TS_OK;
}

ts_status __wrap_ts_measure_hindsight(const ts_params *params, const ts_data *data, const float *parameters,
                                      const double *final, const ts_measure_help *help, double *out);
ts_status __wrap_ts_measure_hindsight(const ts_params *params, const ts_data *data, const float *parameters,
                                      const double *final, const ts_measure_help *help, double *out) {
    (void)data, (void)parameters, (void) final, (void)help;
    now += 0.5 * full_seconds(params);
    out[0] = 0;
    return TS_OK;
}

// --- An engine ---

static double seconds_of_hidden; // of a step, for each hidden unit

static double step_seconds(const ts_params *params) {
    return seconds_of_hidden * (double)ts_params_integer(params, "hidden");
}

static ts_status create(const ts_training_spec *spec, void **training) {
    now += 0.01;
    *training = (void *)(uintptr_t)spec->params; // outlives it
    return TS_OK;
}

static void destroy(void *training) {
    (void)training;
}

static ts_status get_parameters(const void *training, int instance, float *parameters) {
    (void)training, (void)instance;
    parameters[0] = 0;
    return TS_OK;
}

static ts_status train(void *training, int64_t from, int64_t to, int64_t *reached) {
    now += step_seconds(training) * (double)(to - from);
    reached[0] = to;
    return TS_OK;
}

static const ts_engine ENGINE = {
    .name = "clock", .create = create, .destroy = destroy, .get_parameters = get_parameters, .train = train};

// --- ---

#define GROUP "task: group\ngroup: C31\nembed: 4\ntrain_fraction: 0.7\nmodel: mlp\n"

typedef struct calibrated {
    ts_sweep *sweep;
    ts_job *job;
    double cost[64], took;
    int timed;
} calibrated;

static void calibrate(calibrated *c, const char *text, double of_hidden) {
    const ts_backend *cpu;
    seconds_of_hidden = of_hidden;
    c->sweep = support_sweep(text);
    assert_int_equal(ts_backend_named("cpu", &cpu), TS_OK);
    assert_int_equal(ts_job_create(c->sweep, cpu, "", &c->job), TS_OK);
    assert_true(c->job->cases <= 64);
    for (int i = 0; i < c->job->cases; i++)
        c->job->engines[i] = &ENGINE;
    now = 0;
    assert_int_equal(ts_calibrate(c->job, c->cost, &c->timed), TS_OK);
    c->took = now;
}

static void end(calibrated *c) {
    ts_job_free(c->job);
    ts_sweep_free(c->sweep);
}

// What an instance of the case takes.
static double truth_of(const calibrated *c, int i) {
    ts_params params;
    const ts_record_layout *layout = c->job->layouts[i];
    ts_case_params(c->sweep, i, 0, &params);
    double full = (double)ts_record_full(layout), losses = (double)layout->checkpoints - full;
    double review = layout->hindsight ? full - 1 : 0;
    return 0.01 + c->job->steps[i] * step_seconds(&params) +
           (full + 0.1 * losses + 0.5 * review) * full_seconds(&params);
}

TEST(test_a_cost_is_steps_measures_and_what_is_done_once) {
    static const char *const SWEEPS[] = {
        GROUP "hidden: [8, 64]\nsteps: [1000000, 3000000]\n",
        GROUP "hidden: [8, 64]\nsteps: 1000000\nmeasures_every: 7\n",
        GROUP "hidden: [8, 64]\nsteps: 1000000\nkeys: none\ncheckpoints: {every: 3000}\n",
        GROUP "hidden: [8, 64]\nsteps: 1000000\nsave: checkpoints\n",
    };
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        calibrated c;
        calibrate(&c, SWEEPS[s], 1e-7);
        for (int i = 0; i < c.job->cases; i++)
            assert_close(c.cost[i], truth_of(&c, i), 1e-9, 0);
        assert_int_equal(c.timed, c.job->cases);
        end(&c);
    }
}

TEST(test_what_is_made_once_is_no_part_of_a_checkpoint) {
    calibrated c;
    shared = 0.6; // beyond the time for all of a case's parts
    calibrate(&c, GROUP "hidden: [8, 64]\nsteps: 1000000\n", 1e-7);
    for (int i = 0; i < c.job->cases; i++)
        assert_close(c.cost[i], truth_of(&c, i), 1e-9, 0);
    end(&c);
}

TEST(test_the_file_takes_longer_where_hdf5_does) {
    const ts_file_contents some = {.cases = 3, .datasets = 30, .instances = 50, .bytes = 1000000, .fields = 60};
    ts_file_contents more = some;
    double make[3], write[3];
    more.datasets += 10;
    reads = 1e-3;
    ts_results_time(&some, &make[0], &write[0]);
    ts_results_time(&more, &make[1], &write[1]);
    reads = 2e-3;
    ts_results_time(&some, &make[2], &write[2]);
    reads = 0;
    assert_true(make[0] > 0 && write[0] > 0 && make[1] > make[0] && write[1] > 0);
    assert_close(write[1], write[0], 1e-9, 0);
    assert_close(make[2], 2 * make[0], 1e-9, 0);
    assert_close(write[2], 2 * write[0], 1e-9, 0);
}

// A step of the largest takes as long as all timing may; it is not taken, and what a step costs is carried over.
TEST(test_a_large_case_does_not_take_the_time_of_the_others) {
    calibrated c;
    calibrate(&c, GROUP "hidden: [8, 16, 32, 64, 4096]\nsteps: 1000000\nkeys: none\n", 3e-3);
    assert_true(c.timed >= 4);
    if (c.took > 6)
        fail_msg("timing takes %g s", c.took);
    for (int i = 0; i < 4; i++)
        assert_close(c.cost[i], truth_of(&c, i), 1e-9, 0);
    assert_close(c.cost[4], truth_of(&c, 4), 0.3, 0);
    end(&c);
}

// There is not time for all of so many cases: costs of the others follow from their neighbours'.
TEST(test_many_cases_take_no_longer_than_few) {
    calibrated c;
    calibrate(&c, GROUP "hidden: 8..71\nsteps: 1000000\nkeys: none\n", 1e-3);
    assert_true(c.timed > 3 && c.timed < 64);
    assert_true(c.took < 4);
    for (int i = 0; i < c.job->cases; i++)
        assert_close(c.cost[i], truth_of(&c, i), 0.2, 0);
    end(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cost_is_steps_measures_and_what_is_done_once),
        cmocka_unit_test(test_what_is_made_once_is_no_part_of_a_checkpoint),
        cmocka_unit_test(test_the_file_takes_longer_where_hdf5_does),
        cmocka_unit_test(test_a_large_case_does_not_take_the_time_of_the_others),
        cmocka_unit_test(test_many_cases_take_no_longer_than_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
