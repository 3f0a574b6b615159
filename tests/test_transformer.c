// The transformer: gradients against finite differences and the reference, accuracy of the loss's gradient at any
// loss, bits that depend on nothing else.
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "backend/cpu.h"
#include "backend/reference_table.h"
#include "model/transformer.h"
#include "support_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Shapes that do and don't divide the kernels' blocks and tiles; with W_out W_U multiplied out and without.
static const char *const SWEEPS[] = {
    "task: power\np: 7\nm: 2\nn: 3\nd_model: 8\nheads: 1\nd_head: 4\nd_mlp: 6\nsteps: 200\n",
    "task: power\np: 11\nd_model: 32\nheads: 2\nd_head: 16\nd_mlp: 16\nsteps: 200\ntrain_fraction: 0.9\nlr: "
    "1e-2\n",
    "task: group\ngroup: D9\nmodel: transformer\nd_model: 19\nheads: 3\nd_head: 5\nd_mlp: 33\nsteps: 200\n"
    "train_fraction: 0.6\nweight_decay: 0.3\n",
    "task: power\np: 36\nm: 3\nn: 2\nd_model: 17\nheads: 5\nd_head: 7\nd_mlp: 40\nsteps: "
    "200\ntrain_fraction: 0.5\n"
    "schedule: cosine\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

static void test_shapes_are_read_out_both_ways(void **state) {
    (void)state;
    int direct = 0;
    for (int s = 0; s < N_SWEEPS; s++) {
        support_instance f;
        support_open(&f, SWEEPS[s]);
        ts_transformer_shape shape = ts_transformer_shape_of(&f.params);
        direct +=
            ts_transformer_direct(&shape, ts_params_real(&f.params, "train_fraction") * shape.n * shape.n);
        support_close(&f);
    }
    if (direct == 0 || direct == N_SWEEPS)
        fail_msg("%d of %d shapes are read out directly", direct, N_SWEEPS);
}

static void test_reference_gradient_matches_finite_differences(void **state) {
    (void)state;
    for (int s = 0; s < N_SWEEPS; s++) {
        support_instance f;
        support_open(&f, SWEEPS[s]);
        double *weights = ts_alloc((size_t)f.parameters * sizeof *weights, "weights");
        // Larger than initially, so that attention is not nearly even and its gradients are not nearly nothing.
        for (int64_t p = 0; p < f.parameters; p++)
            weights[p] = 2 * f.initial[p];
        support_gradient_is_that_of_the_loss(&f, weights, ts_reference_table_gradient, 1e-4);
        ts_free(weights);
        support_close(&f);
    }
}

static void test_cpu_follows_the_reference(void **state) {
    (void)state;
    support_cpu_follows_the_reference(SWEEPS, N_SWEEPS, 20);
}

static void test_avx2_and_avx512_have_the_same_bits(void **state) {
    (void)state;
    support_avx2_and_avx512_have_the_same_bits(SWEEPS, N_SWEEPS);
}

static void test_a_saved_state_goes_on_with_the_same_bits(void **state) {
    (void)state;
    support_a_saved_state_goes_on_with_the_same_bits(SWEEPS[2], 11, 30);
}

// Logits of every pair are `logits` and every label is 2: the gradient of W_U's first row, which the kernel named
// leaves in the first moments (beta1 is 0).
static void logit_gradient(const char *kernels, const char *shape, const float *logits, float *gradient) {
    char text[256];
    support_instance f;
    ts_parameter_layout layout;
    void *training;
    int64_t reached = 0;
    snprintf(text, sizeof text, "task: power\np: 29\nm: 0\nn: 0\nbeta1: 0\nsteps: 1\n%s", shape);
    support_open(&f, text);
    f.params.schema->model->layout(&f.params, &layout);
    float *state = ts_alloc_zero(3 * (size_t)f.parameters, sizeof *state, "a state");
    state[layout.tensor[TS_W_E].offset + 29 * layout.tensor[TS_W_E].size[1]] = 1; // the last token
    memcpy(state + layout.tensor[TS_W_U].offset, logits, 29 * sizeof *logits);
    setenv("TOYSWEEP_KERNELS", kernels, 1);
    const ts_engine *engine = ts_backend_engine(ts_backend_find("cpu"), "transformer");
    assert_int_equal(engine->create(&f.spec, &training), TS_OK);
    assert_true(engine->state_bytes(training) == 3 * (size_t)f.parameters * sizeof *state);
    assert_int_equal(engine->set_state(training, 0, state), TS_OK);
    assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
    assert_int_equal(reached, 1);
    assert_int_equal(engine->get_state(training, 0, state), TS_OK);
    memcpy(gradient, state + f.parameters + layout.tensor[TS_W_U].offset, 29 * sizeof *gradient);
    engine->destroy(training);
    unsetenv("TOYSWEEP_KERNELS");
    ts_free(state);
    support_close(&f);
}

static void test_logit_gradients_are_accurate_at_any_loss(void **state) {
    (void)state;
    static const double losses[] = {100, 10, 1, 1e-3, 1e-6, 1e-9, 1e-12};
    // Read out by W_out and then W_U: one pair; directly: twenty.
    static const char *const SHAPES[] = {
        "d_model: 16\nheads: 2\nd_head: 8\nd_mlp: 32\ntrain_fraction: 0.0012\n",
        "d_model: 256\nheads: 1\nd_head: 1\nd_mlp: 16\ntrain_fraction: 0.0238\n"};
    enum { COUNT = 29, LABEL = 2 };
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        double worst = 0;
        if (!ts_cpu_kernels_named(ts_cpu_kernel_names[k]))
            continue;
        for (size_t i = 0; i < 2 * sizeof losses / sizeof *losses; i++) {
            float logits[COUNT], gradient[COUNT];
            double exact[COUNT], others = 0, loss = losses[i / 2];
            for (int j = 0; j < COUNT; j++)
                logits[j] = (float)(3 * sin(j * 1.7));
            for (int j = 0; j < COUNT; j++)
                others += j == LABEL ? 0 : exp((double)logits[j]);
            // The label's logit that gives this loss: log(1 + others / exp(z)) = loss.
            logits[LABEL] = (float)(log(others) - log(expm1(loss)));
            others = 0;
            for (int j = 0; j < COUNT; j++)
                others += j == LABEL ? 0 : exp((double)logits[j] - logits[LABEL]);
            for (int j = 0; j < COUNT; j++)
                exact[j] = (j == LABEL ? -others : exp((double)logits[j] - logits[LABEL])) / (1 + others);
            logit_gradient(ts_cpu_kernel_names[k], SHAPES[i % 2], logits, gradient);
            for (int j = 0; j < COUNT; j++)
                worst = fmax(worst, fabs(gradient[j] / exact[j] - 1));
        }
        print_message("%s: worst relative error of a logit's gradient %.2g\n", ts_cpu_kernel_names[k], worst);
        if (!(worst <= 1e-6))
            fail_msg("%s: relative error %g", ts_cpu_kernel_names[k], worst);
    }
}

// A unit's instances don't touch each other's bits.
static void test_packing_does_not_change_bits(void **state) {
    (void)state;
    char text[512];
    snprintf(text, sizeof text, "%sseed: 0..2\n", SWEEPS[3]);
    ts_sweep *sweep = support_sweep(text);
    ts_data *data = support_data(sweep, 0);
    ts_params params[3];
    ts_parameter_layout layout;
    const ts_engine *engine = ts_backend_engine(ts_backend_find("cpu"), "transformer");
    for (int i = 0; i < 3; i++)
        ts_case_params(sweep, 0, i, &params[i]);
    params[0].schema->model->layout(&params[0], &layout);
    size_t bytes = (size_t)layout.total * sizeof(float);
    float *together = ts_alloc(bytes, "weights"), *alone = ts_alloc(bytes, "weights");
    void *all, *one;
    int64_t reached[3] = {0};
    ts_training_spec spec = {params, 3, data, NULL};
    assert_int_equal(engine->create(&spec, &all), TS_OK);
    assert_int_equal(engine->train(all, 0, 9, reached), TS_OK);
    assert_int_equal(engine->train(all, 9, 20, reached), TS_OK);
    for (int i = 0; i < 3; i++) {
        int64_t own = 0;
        spec = (ts_training_spec){&params[i], 1, data, NULL};
        assert_int_equal(engine->create(&spec, &one), TS_OK);
        assert_int_equal(engine->train(one, 0, 20, &own), TS_OK);
        assert_int_equal(engine->get_parameters(all, i, together), TS_OK);
        assert_int_equal(engine->get_parameters(one, 0, alone), TS_OK);
        assert_memory_equal(together, alone, bytes);
        engine->destroy(one);
    }
    engine->destroy(all);
    ts_free(together);
    ts_free(alone);
    ts_data_free(data);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_are_read_out_both_ways),
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_cpu_follows_the_reference),
        cmocka_unit_test(test_avx2_and_avx512_have_the_same_bits),
        cmocka_unit_test(test_a_saved_state_goes_on_with_the_same_bits),
        cmocka_unit_test(test_packing_does_not_change_bits),
        cmocka_unit_test(test_logit_gradients_are_accurate_at_any_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
