// Divergence: nothing that is not finite passes for a result, and when it was found depends on nothing but the instance.
// The GPU's part: test_cuda_divergence.c.
#define _POSIX_C_SOURCE 200809L
#include "backend/cpu.h"
#include "support_divergence.h"
#include "train/divergence.h"

static void test_nothing_infinite_is_done(void **state) {
    (void)state;
    int failed;
    assert_int_equal(support_nothing_infinite_is_done("cpu", 8, &failed), 8 * SUPPORT_SHORTS * SUPPORT_RATES);
    assert_true(failed > 400);
    assert_int_equal(support_nothing_infinite_is_done("reference", 8, &failed),
                     8 * SUPPORT_SHORTS * SUPPORT_RATES);
    assert_true(failed > 100); // the range of double is larger
}

static void test_the_last_loss_counts(void **state) {
    (void)state;
    int missed, failed = support_last_losses_count("cpu", 4, &missed);
    printf("%d losses of last weights not finite, %d of them in range when measured\n", failed, missed);
    assert_true(failed > 50 && missed <= 2);
}

static void test_when_it_is_found_depends_on_no_cut(void **state) {
    (void)state;
    support_divergence_depends_on_no_cut("cpu");
    support_divergence_depends_on_no_cut("reference");
}

static void test_pairs_that_are_far_behind_have_their_gradient(void **state) {
    (void)state;
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        if (!ts_cpu_kernels_named(ts_cpu_kernel_names[k]))
            continue;
        setenv("TOYSWEEP_KERNELS", ts_cpu_kernel_names[k], 1);
        support_gradient_of_hopeless_pairs("cpu");
    }
    unsetenv("TOYSWEEP_KERNELS");
}

// --- The kernel ---

static void test_one_lost_pair_ends_it(void **state) {
    (void)state;
    support_one_lost_pair_ends_it("cpu");
}

static void test_an_update_says_whether_it_left_everything_finite(void **state) {
    (void)state;
    enum { COUNT = 2 * TS_VECTOR_LANES };
    static const float VALUES[] = {NAN, INFINITY, -INFINITY, 3e38F};
    const ts_adam_betas betas = {0.9F, 0.1F, 0.999F, 0.001F};
    const ts_adam_rates rates = {1e-3F, 1, 1, 1};
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[k]);
        if (!kernels)
            continue;
        for (int at = 0; at < 4 * COUNT; at++)
            for (size_t v = 0; v < 4; v++) {
                // Weights, both moments, the gradient; 3e38 is too large for the latter's square alone.
                float numbers[4 * COUNT];
                for (int i = 0; i < 4 * COUNT; i++)
                    numbers[i] = 0.5F;
                numbers[at] = VALUES[v];
                bool sound = kernels->adam(numbers, numbers + 3 * COUNT, COUNT, betas, rates);
                if (sound != (v == 3 && at < 3 * COUNT))
                    fail_msg("%s: %g at %d: %d", kernels->name, (double)VALUES[v], at, sound);
            }
    }
}

// --- The trainer ---

// An engine that notices nothing, with one number of one instance's state spoiled from step 3 on.
static ts_engine blind;
static const ts_engine *seeing;
static int64_t blind_step;
static struct {
    size_t part; // of weights, first moments, second moments
    float value;
} spoil;

static ts_status blind_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    blind_step = to;
    return seeing->train(training, from, to, reached);
}

static ts_status blind_state(const void *training, int instance, void *state) {
    ts_status status = seeing->get_state(training, instance, state);
    size_t numbers = seeing->state_bytes(training) / sizeof(float);
    if (instance == 1 && blind_step >= 3)
        memcpy((float *)state + spoil.part * numbers / 3 + 1, &spoil.value, sizeof spoil.value);
    return status;
}

static void assert_fails(ts_trainer *trainer, int64_t steps_done, const char *why) {
    ts_trained result = ts_trainer_result(trainer, 1);
    assert_non_null(result.failure);
    assert_string_equal(result.failure, why);
    assert_int_equal(result.steps_done, steps_done);
    assert_null(ts_trainer_result(trainer, 0).failure);
    assert_int_equal(ts_trainer_result(trainer, 0).steps_done, 6);
}

static ts_trainer *finish(const ts_trainer_spec *spec) {
    ts_trainer *trainer;
    atomic_int pause = 0;
    bool finished = false;
    assert_int_equal(ts_trainer_create(spec, &trainer), TS_OK);
    assert_int_equal(ts_trainer_advance(trainer, &pause, &finished), TS_OK);
    assert_true(finished);
    return trainer;
}

static ts_status lossy_measure(const ts_params *params, const struct ts_data *data, const float *parameters,
                               int64_t step, bool last, const atomic_int *pause, double *out) {
    ts_status status =
        ts_model_find("autoencoder")->measure(params, data, parameters, step, last, pause, out);
    if (ts_params_integer(params, "seed") == 1 && step == 4)
        out[spoil.part] = spoil.value;
    return status;
}

static void test_an_engine_that_notices_nothing_makes_no_row(void **state) {
    (void)state;
    static const char *const WHY[] = {"diverged: the weights are not finite at step 3",
                                      "diverged: Adam's moments are not finite at step 3",
                                      "diverged: Adam's moments are not finite at step 3"};
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    ts_sweep *sweep = support_sweep("task: tree\ndepth: 2\nhidden: 3\nsteps: 6\nseed: [0, 1]\n"
                                    "checkpoints: {every: 1}\n");
    ts_data *data = support_data(sweep, 0);
    ts_params params[2];
    ts_record_layout *layout;
    for (int i = 0; i < 2; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    assert_int_equal(ts_record_layout_make(&params[0], data, &layout), TS_OK);
    seeing = ts_backend_engine(ts_backend_find("cpu"), "autoencoder");
    blind = *seeing;
    blind.train = blind_train;
    blind.get_state = blind_state;
    ts_trainer_spec spec = {&blind, params, 2, data, layout, NULL};
    for (spoil.part = 0; spoil.part < 3; spoil.part++)
        for (int v = 0; v < 3; v++) {
            spoil.value = VALUES[v];
            blind_step = 0;
            ts_trainer *trainer = finish(&spec);
            assert_fails(trainer, 2, WHY[spoil.part]);
            ts_trainer_free(trainer);
        }
    // Losses: train_loss, exact_loss.
    ts_model lossy = *ts_model_find("autoencoder");
    ts_schema schema = *params[0].schema;
    lossy.measure = lossy_measure;
    schema.model = &lossy;
    params[0].schema = params[1].schema = &schema;
    spec.engine = seeing;
    for (spoil.part = 0; spoil.part < 2; spoil.part++)
        for (int v = 0; v < 3; v++) {
            spoil.value = VALUES[v];
            ts_trainer *trainer = finish(&spec);
            if (spoil.part == 1 && v == 0) // NaN: unknown, as where inputs cannot be listed
                assert_null(ts_trainer_result(trainer, 1).failure);
            else
                assert_fails(trainer, 4, "diverged: the loss is not finite at step 4");
            ts_trainer_free(trainer);
        }
    ts_record_layout_free(layout);
    ts_data_free(data);
    ts_sweep_free(sweep);
}

// A unit is saved and restored after every slice; slices are of one step at least.
static void test_a_saved_unit_remembers_how_its_instances_ended(void **state) {
    (void)state;
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        support_scan s;
        ts_sweep *sweep = support_short_sweep(which, 1);
        const ts_engine *engine =
            ts_backend_engine(ts_backend_find("cpu"), ts_sweep_case(sweep, 0)->schema->model->name);
        ts_sweep_free(sweep);
        support_scan_open(engine, which, 8, &s);
        ts_trainer_spec spec = {engine, s.params, SUPPORT_RATES, s.data, s.layout, NULL};
        ts_trainer *again;
        void *saved, *hostile;
        size_t bytes;
        assert_int_equal(ts_trainer_save(s.trainer, &saved, &bytes), TS_OK);
        assert_int_equal(ts_trainer_create(&spec, &again), TS_OK);
        // An instance is where its unit is, or has ended; and only one that has ended may have diverged.
        hostile = ts_alloc(bytes, "a state");
        static const int64_t reached[] = {-1, 7, 9}, diverged[] = {4, 0, 0};
        for (int k = 0; k < 3; k++) {
            int64_t mine = k == 0 ? 8 : reached[k];
            memcpy(hostile, saved, bytes);
            memcpy((char *)hostile + 6 * sizeof mine, &mine, sizeof mine);
            memcpy((char *)hostile + (6 + SUPPORT_RATES) * sizeof mine, &diverged[k], sizeof mine);
            assert_int_equal(ts_trainer_restore(again, hostile, bytes), TS_ERROR_UNIT);
        }
        assert_int_equal(ts_trainer_restore(again, saved, bytes), TS_OK);
        for (int i = 0; i < SUPPORT_RATES; i++) {
            ts_trained one = ts_trainer_result(s.trainer, i), other = ts_trainer_result(again, i);
            assert_int_equal(one.steps_done, other.steps_done);
            assert_string_equal(one.failure ? one.failure : "", other.failure ? other.failure : "");
            assert_memory_equal(one.record, other.record, s.layout->bytes);
        }
        ts_trainer_free(again);
        ts_free(saved);
        ts_free(hostile);
        support_scan_close(&s);
    }
}

static void test_it_is_said_plainly(void **state) {
    (void)state;
    char text[96];
    ts_divergence_say(TS_DIVERGED_LOSS, 12, text, sizeof text);
    assert_string_equal(text, "diverged: the loss is not finite at step 12");
    ts_divergence_say(TS_DIVERGED_WEIGHTS | TS_DIVERGED_MOMENTS, INT64_MAX, text, sizeof text);
    assert_string_equal(
        text, "diverged: the weights and Adam's moments are not finite at step 9223372036854775807");
}

// --- Measures ---

static void test_weights_that_are_not_finite_have_no_measures(void **state) {
    (void)state;
    static const float VALUES[] = {NAN, INFINITY, -INFINITY};
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        char text[512];
        support_instance f;
        snprintf(text, sizeof text, "%ssteps: 1\n", SUPPORT_SHORT[which]);
        support_open(&f, text);
        const ts_model *model = f.params.schema->model;
        int64_t total = ts_measures_total(&f.params, f.data);
        double *out = ts_alloc((size_t)total * sizeof *out, "measures");
        for (int64_t p = 0; p < f.parameters; p += 1 + f.parameters / 100) {
            float kept = f.initial[p];
            f.initial[p] = VALUES[p % 3];
            assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 1, true, NULL, out), TS_OK);
            if (model->conclude)
                model->conclude(&f.params, f.data, 1, NULL, out);
            for (int64_t i = 0; i < total; i++)
                if (!isnan(out[i]))
                    fail_msg("weight %d is %g: number %d is %g", (int)p, (double)f.initial[p], (int)i,
                             out[i]);
            // In the forward pass itself: no kink hides a NaN.
            f.initial[p] = NAN;
            assert_int_equal(model->measure(&f.params, f.data, f.initial, 1, true, NULL, out), TS_OK);
            assert_true(isnan(out[0]));
            f.initial[p] = kept;
        }
        assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 1, true, NULL, out), TS_OK);
        assert_true(isfinite(out[0]));
        ts_free(out);
        support_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_infinite_is_done),
        cmocka_unit_test(test_the_last_loss_counts),
        cmocka_unit_test(test_when_it_is_found_depends_on_no_cut),
        cmocka_unit_test(test_pairs_that_are_far_behind_have_their_gradient),
        cmocka_unit_test(test_one_lost_pair_ends_it),
        cmocka_unit_test(test_an_update_says_whether_it_left_everything_finite),
        cmocka_unit_test(test_an_engine_that_notices_nothing_makes_no_row),
        cmocka_unit_test(test_a_saved_unit_remembers_how_its_instances_ended),
        cmocka_unit_test(test_it_is_said_plainly),
        cmocka_unit_test(test_weights_that_are_not_finite_have_no_measures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
