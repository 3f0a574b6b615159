// The autoencoder's kernel against the reference: losses, gradients, steps, every kind of batch and every placement,
// and that its bits depend on nothing but the instance. Runs on the emulator, or on a GPU where there is one.
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "backend/cuda_autoencoder.h"
#include "backend/cuda_features.h"
#include "backend/reference_autoencoder.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Every form of batch; shapes that do and don't divide tiles, words of features and chunks of hidden units.
static const char *const SWEEPS[] = {
    "task: tree\ndepth: 1\nhidden: 2\nsteps: 200\n",
    "task: tree\ndepth: 3\nhidden: 5\nsteps: 200\nlr: 1e-2\nschedule: cosine\n",
    "task: tree\ndepth: 6\nhidden: 10\nsteps: 200\nschedule: linear\n",
    "task: tree\ndepth: 4\nhidden: 17\nsteps: 200\nearly_stopping: false\nbatch: 100\n",
    "task: tree\ndepth: 6\nhidden: 13\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\n",
    "task: tree\ndepth: 2\nbranching: 4\nhidden: 3\nsteps: 200\nbatch: exact\nimportance: {base: 0.9}\n",
    "task: tree\ndepth: 3\nbranching: 3\nhidden: 8\nsteps: 200\nbatch: 301\n",
    "task: independent\nfeatures: 20\nhidden: 5\nsteps: 200\nbatch: 130\nfeature_probability: 0.2\n",
    "task: independent\nfeatures: 33\nhidden: 34\nsteps: 100\nbatch: 61\ncorrelated_pairs: 3\n"
    "anticorrelated_pairs: 4\nfeature_probability: {base: 0.85}\n",
    "task: independent\nfeatures: 9\nhidden: 4\nsteps: 200\nbatch: 77\nbinary: true\nfeature_probability: "
    "0.1\n"
    "init: xavier_per_instance\n",
    "task: independent\nfeatures: 70\nhidden: 12\nsteps: 200\nbatch: 90\nbinary: true\nfeature_probability: "
    "0.1\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

static const ts_engine *ENGINE;

// Trains `count` seeds together on the GPU; the caller destroys the training.
static void *train_seeds(const support_instance *f, ts_params *params, int count, int64_t steps) {
    ts_training_spec spec = {params, count, f->data, NULL};
    int64_t reached[16] = {0};
    void *training;
    assert_int_equal(ENGINE->create(&spec, &training), TS_OK);
    assert_int_equal(ENGINE->train(training, 0, steps, reached), TS_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(reached[i], steps);
    return training;
}

static double norm(const float *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i] * values[i];
    return sqrt(sum);
}

// After one step from zero moments the first moment is (1 - beta1) times the gradient.
static void check_loss_and_gradient(const char *text) {
    support_instance f;
    support_open(&f, text);
    size_t n = (size_t)f.parameters;
    double *weights = ts_alloc(n * sizeof *weights, "weights"),
           *expected = ts_alloc(n * sizeof *expected, "g"), loss;
    float *state = ts_alloc(3 * n * sizeof *state, "a state");
    for (size_t p = 0; p < n; p++) {
        state[p] = (float)(f.initial[p] * 3 + 0.05 * sin((double)p));
        state[n + p] = state[2 * n + p] = 0;
        weights[p] = state[p];
    }
    void *training;
    int64_t reached = 3;
    assert_int_equal(ENGINE->create(&f.spec, &training), TS_OK);
    assert_int_equal(ENGINE->set_state(training, 0, state), TS_OK);
    assert_int_equal(ENGINE->train(training, 3, 4, &reached), TS_OK);
    assert_int_equal(reached, 4);
    assert_int_equal(ENGINE->get_state(training, 0, state), TS_OK);
    assert_int_equal(ts_reference_autoencoder_gradient(&f.spec, weights, 3, &loss, expected), TS_OK);
    double found = ts_cuda_autoencoder_loss(training, 0);
    if (!(fabs(found - loss) <= 2e-6 * loss))
        fail_msg("loss %.9g, reference %.9g for: %s", found, loss, text);
    double error = 0, size = 0;
    for (size_t p = 0; p < n; p++) {
        double g = state[n + p] / (1 - ts_params_real(&f.params, "beta1"));
        error += pow(g - expected[p], 2);
        size += pow(expected[p], 2);
    }
    if (!(sqrt(error) <= 1e-5 * sqrt(size)))
        fail_msg("gradient off by %g of %g for: %s", sqrt(error), sqrt(size), text);
    ENGINE->destroy(training);
    ts_free(weights);
    ts_free(expected);
    ts_free(state);
    support_close(&f);
}

static void test_loss_and_gradient_match_the_reference(void **state) {
    (void)state;
    for (int s = 0; s < N_SWEEPS; s++)
        check_loss_and_gradient(SWEEPS[s]);
}

// With less shared memory moments, then everything, are in global memory.
static void test_placements_have_the_same_bits(void **state) {
    (void)state;
    static const int shapes[] = {2, 4, 8};
    for (int s = 0; s < 3; s++) {
        support_instance f;
        support_open(&f, SWEEPS[shapes[s]]);
        size_t bytes = (size_t)f.parameters * sizeof(float);
        float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
        support_train("cuda", &f, 6, expected);
        for (int placement = 1; placement < 3; placement++) {
            ts_cuda_autoencoder_place(placement);
            support_train("cuda", &f, 6, found);
            ts_cuda_autoencoder_place(0);
            assert_memory_equal(expected, found, bytes);
        }
        ts_free(expected);
        ts_free(found);
        support_close(&f);
    }
}

static void test_steps_follow_the_reference(void **state) {
    (void)state;
    for (int s = 0; s < N_SWEEPS; s++) {
        support_instance f;
        support_open(&f, SWEEPS[s]);
        size_t bytes = (size_t)f.parameters * sizeof(float);
        float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
        support_train("reference", &f, 20, expected);
        support_train("cuda", &f, 20, found);
        // Adam's first steps are lr * sign(g): where g is rounding noise around 0 they may differ by 2 lr.
        for (int64_t p = 0; p < f.parameters; p++) {
            found[p] -= expected[p];
            expected[p] -= f.initial[p];
        }
        if (!(norm(found, f.parameters) <= 2e-4 * norm(expected, f.parameters)))
            fail_msg("error %g of a way of %g for: %s", norm(found, f.parameters),
                     norm(expected, f.parameters), SWEEPS[s]);
        ts_free(expected);
        ts_free(found);
        support_close(&f);
    }
}

// Seven seeds together, one of them diverging, in launches of uneven length.
static void test_neighbours_and_launches_do_not_change_an_instance(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, "task: tree\ndepth: 3\nhidden: 4\nsteps: 60\nseed: 5\n");
    ts_sweep *sweep = support_sweep(
        "task: tree\ndepth: 3\nhidden: 4\nsteps: 60\nzip: {seed: 0..6, lr: [1e-3, 1e-3, 1e30, 1e-2, "
        "1e-3, 1e-3, 1e-3]}\n");
    ts_params params[7];
    for (int i = 0; i < 7; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    size_t bytes = (size_t)f.parameters * sizeof(float);
    float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
    support_train("cuda", &f, 60, expected);
    ts_training_spec spec = {params, 7, f.data, NULL};
    void *training;
    int64_t reached[7] = {0};
    assert_int_equal(ENGINE->create(&spec, &training), TS_OK);
    static const int64_t stops[] = {0, 1, 7, 40, 60};
    for (int i = 0; i < 4; i++)
        assert_int_equal(ENGINE->train(training, stops[i], stops[i + 1], reached), TS_OK);
    assert_int_equal(ENGINE->get_parameters(training, 5, found), TS_OK);
    assert_memory_equal(expected, found, bytes);
    for (int i = 0; i < 7; i++)
        if (i == 2)
            assert_true(reached[i] > 0 && reached[i] < 60);
        else
            assert_int_equal(reached[i], 60);
    ENGINE->destroy(training);
    ts_free(expected);
    ts_free(found);
    ts_sweep_free(sweep);
    support_close(&f);
}

// What the CPU began the GPU goes on with, up to rounding, and the other way round.
static void test_states_move_between_processor_and_gpu(void **state) {
    (void)state;
    const ts_engine *engines[] = {ENGINE, ts_backend_engine(ts_backend_find("cpu"), "autoencoder")};
    support_instance f;
    support_open(&f, SWEEPS[1]);
    float *expected = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
    float *found = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
    support_train("reference", &f, 24, expected);
    for (int first = 0; first < 2; first++) {
        void *begun, *ended;
        int64_t reached = 0;
        assert_int_equal(engines[first]->create(&f.spec, &begun), TS_OK);
        assert_int_equal(engines[!first]->create(&f.spec, &ended), TS_OK);
        assert_int_equal(engines[0]->state_bytes(first ? ended : begun),
                         engines[1]->state_bytes(first ? begun : ended));
        void *saved = ts_alloc(engines[first]->state_bytes(begun), "a state");
        assert_int_equal(engines[first]->train(begun, 0, 11, &reached), TS_OK);
        assert_int_equal(engines[first]->get_state(begun, 0, saved), TS_OK);
        assert_int_equal(engines[!first]->set_state(ended, 0, saved), TS_OK);
        assert_int_equal(engines[!first]->train(ended, 11, 24, &reached), TS_OK);
        assert_int_equal(engines[!first]->get_parameters(ended, 0, found), TS_OK);
        engines[first]->destroy(begun);
        engines[!first]->destroy(ended);
        ts_free(saved);
        for (int64_t p = 0; p < f.parameters; p++)
            found[p] -= expected[p];
        assert_true(norm(found, f.parameters) <= 2e-4 * norm(expected, f.parameters));
    }
    ts_free(expected);
    ts_free(found);
    support_close(&f);
}

static void test_several_seeds_match_the_reference_each(void **state) {
    (void)state;
    support_instance f;
    support_open(&f, SWEEPS[2]);
    ts_sweep *sweep =
        support_sweep("task: tree\ndepth: 6\nhidden: 10\nsteps: 200\nschedule: linear\ninstances: 7\n");
    ts_params params[7];
    for (int i = 0; i < 7; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    size_t n = (size_t)f.parameters;
    float *found = ts_alloc(n * sizeof *found, "weights"),
          *initial = ts_alloc(n * sizeof *initial, "weights");
    double *weights = ts_alloc(n * sizeof *weights, "weights"),
           *gradient = ts_alloc(n * sizeof *gradient, "g"), loss;
    void *training = train_seeds(&f, params, 7, 1);
    for (int i = 0; i < 7; i++) {
        ts_training_spec one = {&params[i], 1, f.data, NULL};
        params[i].schema->model->initialise(&params[i], initial);
        for (size_t p = 0; p < n; p++)
            weights[p] = initial[p];
        ts_reference_autoencoder_gradient(&one, weights, 0, &loss, gradient);
        assert_close(ts_cuda_autoencoder_loss(training, i), loss, 2e-6, 0);
    }
    ENGINE->destroy(training);
    ts_free(found);
    ts_free(initial);
    ts_free(weights);
    ts_free(gradient);
    ts_sweep_free(sweep);
    support_close(&f);
}

static void test_seven_follow_the_reference_with_the_bits_of_one(void **state) {
    (void)state;
    static const int shapes[] = {1, 6, 7};
    enum { SEVEN = 7, STEPS = 20 };
    for (int s = 0; s < 3; s++) {
        char text[512];
        support_instance f;
        snprintf(text, sizeof text, "%sinstances: 7\n", SWEEPS[shapes[s]]);
        support_open(&f, text);
        ts_params params[SEVEN];
        for (int i = 0; i < SEVEN; i++)
            ts_case_params(f.sweep, 0, i, &params[i]);
        size_t bytes = (size_t)f.parameters * sizeof(float);
        float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
        void *training = train_seeds(&f, params, SEVEN, STEPS);
        for (int i = 0; i < SEVEN; i++) {
            support_instance one = f;
            one.spec.params = &params[i];
            assert_int_equal(ENGINE->get_parameters(training, i, found), TS_OK);
            support_train("cuda", &one, STEPS, expected);
            assert_memory_equal(found, expected, bytes);
            support_train("reference", &one, STEPS, expected);
            params[i].schema->model->initialise(&params[i], f.initial);
            for (int64_t p = 0; p < f.parameters; p++) {
                found[p] -= expected[p];
                expected[p] -= f.initial[p];
            }
            if (!(norm(found, f.parameters) <= 2e-4 * norm(expected, f.parameters)))
                fail_msg("instance %d: error %g of a way of %g for: %s", i, norm(found, f.parameters),
                         norm(expected, f.parameters), text);
        }
        ENGINE->destroy(training);
        ts_free(expected);
        ts_free(found);
        support_close(&f);
    }
}

int main(void) {
    const ts_backend *cuda = ts_backend_find("cuda");
    if (cuda->probe() != TS_OK) {
        printf("skipped, no GPU: %s\n", ts_message());
        return 0;
    }
    ENGINE = ts_backend_engine(cuda, "autoencoder");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_and_gradient_match_the_reference),
        cmocka_unit_test(test_placements_have_the_same_bits),
        cmocka_unit_test(test_steps_follow_the_reference),
        cmocka_unit_test(test_several_seeds_match_the_reference_each),
        cmocka_unit_test(test_seven_follow_the_reference_with_the_bits_of_one),
        cmocka_unit_test(test_neighbours_and_launches_do_not_change_an_instance),
        cmocka_unit_test(test_states_move_between_processor_and_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
