#define _POSIX_C_SOURCE 200809L
// The autoencoder: initial weights, the reference's gradient against finite differences, and every engine and
// instruction set against the reference.
#include "backend/backend.h"
#include "backend/cpu.h"
#include "backend/reference_autoencoder.h"
#include "model/autoencoder.h"
#include "support_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Shapes that do and don't divide the kernels' blocks, every task form, importance, pairs, batches,
// schedules.
static const char *const SWEEPS[] = {
    "task: tree\ndepth: 1\nhidden: 2\nsteps: 200\n",
    "task: tree\ndepth: 3\nhidden: 5\nsteps: 200\nlr: 1e-2\nschedule: cosine\n",
    "task: tree\ndepth: 6\nhidden: 10\nsteps: 200\nschedule: linear\n",
    "task: tree\ndepth: 4\nhidden: 17\nsteps: 200\nearly_stopping: false\nbatch: 100\n",
    "task: tree\ndepth: 2\nbranching: 4\nhidden: 3\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\n",
    "task: independent\nfeatures: 20\nhidden: 5\nsteps: 200\nbatch: 130\nfeature_probability: 0.2\n",
    "task: independent\nfeatures: 33\nhidden: 34\nsteps: 100\nbatch: 61\ncorrelated_pairs: 3\n"
    "anticorrelated_pairs: 4\nfeature_probability: {base: 0.85}\n",
    "task: independent\nfeatures: 9\nhidden: 4\nsteps: 200\nbatch: 77\nbinary: true\nfeature_probability: "
    "0.1\n"
    "init: xavier_per_instance\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

static void test_initial_weights_have_the_published_deviation(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double deviation;
    } known[] = {
        // sqrt(2 / (hidden features + instances features)) with features = 126
        {"task: tree\ndepth: 6\nhidden: 40\ninstances: 5\n", 0.018781},
        {"task: tree\ndepth: 6\nhidden: 40\ninit: xavier_per_instance\n", 0.109764},
    };
    for (int i = 0; i < 2; i++) {
        support_instance f;
        support_open(&f, known[i].text);
        double sum = 0;
        int64_t n = f.parameters - 126;
        for (int64_t p = 0; p < n; p++)
            sum += (double)f.initial[p] * f.initial[p] / (double)n;
        assert_close(sqrt(sum), known[i].deviation, 0.03, 0);
        for (int64_t p = n; p < f.parameters; p++)
            assert_true(f.initial[p] == 0);
        support_close(&f);
    }
}

static ts_status gradient_at_step_3(const ts_training_spec *spec, const double *weights, double *loss,
                                    double *gradient) {
    return ts_reference_autoencoder_gradient(spec, weights, 3, loss, gradient);
}

static void test_reference_gradient_matches_finite_differences(void **state) {
    (void)state;
    for (int s = 0; s < N_SWEEPS; s++) {
        support_instance f;
        support_open(&f, SWEEPS[s]);
        double *weights = ts_alloc((size_t)f.parameters * sizeof *weights, "weights");
        // Biases off zero, so that units are on and off and no pre-activation sits on the kink.
        for (int64_t p = 0; p < f.parameters; p++)
            weights[p] = f.initial[p] * 3 + 0.05 * sin((double)p);
        support_gradient_is_that_of_the_loss(&f, weights, gradient_at_step_3, 1e-5);
        ts_free(weights);
        support_close(&f);
    }
}

static void test_cpu_follows_the_reference(void **state) {
    (void)state;
    support_cpu_follows_the_reference(SWEEPS, N_SWEEPS, 1);
    support_cpu_follows_the_reference(SWEEPS, N_SWEEPS, 20);
}

static void test_avx2_and_avx512_have_the_same_bits(void **state) {
    (void)state;
    support_avx2_and_avx512_have_the_same_bits(SWEEPS, N_SWEEPS);
}

static void test_a_saved_state_goes_on_with_the_same_bits(void **state) {
    (void)state;
    support_a_saved_state_goes_on_with_the_same_bits(SWEEPS[2], 37, 100);
}

// Packing: an instance has the same bits alone and among others, whichever of them diverges.
static void test_neighbours_do_not_change_an_instance(void **state) {
    (void)state;
    support_instance alone;
    support_open(&alone, "task: tree\ndepth: 3\nhidden: 4\nsteps: 300\nseed: 2\n");
    ts_sweep *sweep = support_sweep("task: tree\ndepth: 3\nhidden: 4\nsteps: 300\nseed: 2\n"
                                    "grid: {lr: [1e30, 1e-3, 1e-2]}\n");
    ts_params params[3];
    for (int i = 0; i < 3; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    ts_training_spec spec = {params, 3, alone.data, NULL};
    for (int b = 0; ts_backends[b]; b++) {
        const ts_engine *engine = support_engine(ts_backends[b], "autoencoder");
        if (!engine)
            continue;
        size_t bytes = (size_t)alone.parameters * sizeof(float);
        float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
        void *training;
        int64_t reached[3] = {0};
        support_train(ts_backends[b]->name, &alone, 300, expected);
        assert_int_equal(engine->create(&spec, &training), TS_OK);
        assert_int_equal(engine->train(training, 0, 120, reached), TS_OK);
        assert_int_equal(engine->train(training, 120, 300, reached), TS_OK);
        assert_int_equal(engine->get_parameters(training, 1, found), TS_OK);
        assert_memory_equal(expected, found, bytes);
        // Single precision overflows at such weights, double precision does not.
        if (strcmp(ts_backends[b]->name, "reference") != 0)
            assert_true(reached[0] > 0 && reached[0] < 120);
        assert_int_equal(reached[1], 300);
        assert_int_equal(reached[2], 300);
        engine->destroy(training);
        ts_free(expected);
        ts_free(found);
    }
    ts_sweep_free(sweep);
    support_close(&alone);
}

// W = identity on two features of a depth-1 tree reconstructs everything: every loss is 0, geometry is
// trivial.
static void test_measures_of_a_perfect_and_of_a_superposed_network(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, "task: tree\ndepth: 1\nhidden: 2\n");
    double out[3 + 3 * 2];
    const float perfect[] = {1, 0, 0, 1, 0, 0}, shared[] = {1, -1, 0, 0, 0, 0};
    assert_int_equal(f.params.schema->model->measure(&f.params, f.data, perfect, 0, true, NULL, out), TS_OK);
    for (int i = 0; i < 3; i++)
        assert_close(out[i], 0, 0, 0);
    assert_close(out[3], 1, 0, 0); // norm
    assert_close(out[5], 0, 0, 0); // interference
    assert_close(out[7], 1, 0, 0); // dimensionality
    // Antipodal features in one dimension: the tree never has both, so relu hides the interference.
    assert_int_equal(f.params.schema->model->measure(&f.params, f.data, shared, 0, true, NULL, out), TS_OK);
    assert_close(out[1], 0, 0, 0);
    assert_close(out[5], 1, 0, 0);
    assert_close(out[7], 0.5, 0, 0);
    // Nothing reconstructed: the loss is the mean square of the input, (1/4 + 1/4) / 2.
    const float nothing[6] = {0};
    assert_int_equal(f.params.schema->model->measure(&f.params, f.data, nothing, 0, true, NULL, out), TS_OK);
    assert_close(out[1], 0.25, 0, 1e-15);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_weights_have_the_published_deviation),
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_cpu_follows_the_reference),
        cmocka_unit_test(test_avx2_and_avx512_have_the_same_bits),
        cmocka_unit_test(test_a_saved_state_goes_on_with_the_same_bits),
        cmocka_unit_test(test_neighbours_do_not_change_an_instance),
        cmocka_unit_test(test_measures_of_a_perfect_and_of_a_superposed_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
