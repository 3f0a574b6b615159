// The multilayer perceptron: gradients against finite differences and the reference, accuracy of the loss's gradient
// at any loss, bits that depend on nothing else.
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "backend/cpu.h"
#include "backend/reference_table.h"
#include "model/mlp.h"
#include "support_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Shapes that do and don't divide the kernels' blocks and tiles; groups abelian and not.
static const char *const SWEEPS[] = {
    "task: group\ngroup: C5\nembed: 4\nhidden: 6\nsteps: 200\n",
    "task: group\ngroup: S3\nembed: 16\nhidden: 16\nsteps: 200\ntrain_fraction: 0.7\nlr: 1e-2\n",
    "task: group\ngroup: D9\nembed: 19\nhidden: 33\nsteps: 200\ntrain_fraction: 0.6\nweight_decay: 0.3\n",
    "task: group\ngroup: C3xS3\nembed: 32\nhidden: 48\nsteps: 200\ntrain_fraction: 0.9\nschedule: cosine\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

static void test_reference_gradient_matches_finite_differences(void **state) {
    (void)state;
    for (int s = 0; s < N_SWEEPS; s++) {
        support_instance f;
        support_open(&f, SWEEPS[s]);
        double *weights = ts_alloc((size_t)f.parameters * sizeof *weights, "weights");
        for (int64_t p = 0; p < f.parameters; p++)
            weights[p] = f.initial[p];
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

// Late in training many numbers fade away; as subnormal ones they would make steps several times as long.
static void test_fading_numbers_become_zero(void **state) {
    (void)state;
#ifdef __x86_64__
    support_instance f;
    support_open(&f, SWEEPS[0]);
    const ts_engine *engine = ts_backend_engine(ts_backend_find("cpu"), f.params.schema->model->name);
    void *training;
    int64_t reached = 0;
    assert_int_equal(engine->create(&f.spec, &training), TS_OK);
    size_t bytes = engine->state_bytes(training), fading = 0;
    float *saved = ts_alloc(bytes, "a state");
    volatile float small = 2e-38f;
    assert_int_equal(engine->get_state(training, 0, saved), TS_OK);
    for (int64_t p = f.parameters; p < 3 * f.parameters; p++)
        saved[p] = small; // moments
    assert_int_equal(engine->set_state(training, 0, saved), TS_OK);
    assert_int_equal(engine->train(training, 0, 40, &reached), TS_OK);
    assert_int_equal(engine->get_state(training, 0, saved), TS_OK);
    for (int64_t p = 0; p < 3 * f.parameters; p++)
        fading += fpclassify(saved[p]) == FP_SUBNORMAL;
    assert_int_equal(fading, 0);
    assert_int_equal(fpclassify(small / 2), FP_SUBNORMAL); // measures still have them
    engine->destroy(training);
    ts_free(saved);
    support_close(&f);
#else
    skip();
#endif
}

static void test_a_saved_state_goes_on_with_the_same_bits(void **state) {
    (void)state;
    support_a_saved_state_goes_on_with_the_same_bits(SWEEPS[2], 11, 30);
}

// One pair, one hidden unit that is 1: the logits are W_U's first row, and its gradient is theirs.
static void logit_gradient(const ts_kernels *kernels, const float *logits, int count, int label,
                           float *gradient) {
    enum { OUT = 32, LANES = TS_VECTOR_LANES };
    float w_x[LANES] = {1}, w_y[LANES] = {0}, w[2 * LANES] = {1}, w_u[OUT] = {0};
    float dw_x[LANES], dw_y[LANES], dw[2 * LANES], dw_u[OUT], left[LANES], right[LANES], dleft[LANES],
        dright[LANES];
    static float w_u_columns[OUT * LANES], w_columns[LANES * 2 * LANES], h[TS_MLP_TILE * LANES];
    static float dh[TS_MLP_TILE * LANES], z[TS_MLP_TILE * OUT];
    float valid[LANES];
    int zero = 0;
    memcpy(w_u, logits, (size_t)count * sizeof *logits);
    for (int i = 0; i < LANES; i++)
        valid[i] = OUT - LANES + i < count;
    ts_mlp_work work = {.n = 1,
                        .n_out = count,
                        .embed = 1,
                        .hidden = 1,
                        .embed_stride = LANES,
                        .hidden_stride = LANES,
                        .out_stride = OUT,
                        .pairs = 1,
                        .all_pairs = 1,
                        .a = &zero,
                        .b = &zero,
                        .label = &label,
                        .w_x = w_x,
                        .w_y = w_y,
                        .w = w,
                        .w_u = w_u,
                        .dw_x = dw_x,
                        .dw_y = dw_y,
                        .dw = dw,
                        .dw_u = dw_u,
                        .left = left,
                        .right = right,
                        .dleft = dleft,
                        .dright = dright,
                        .w_u_columns = w_u_columns,
                        .w_columns = w_columns,
                        .h = h,
                        .dh = dh,
                        .z = z,
                        .valid = valid};
    assert_true(kernels->mlp_gradient(&work));
    memcpy(gradient, dw_u, (size_t)count * sizeof *gradient);
}

static void test_logit_gradients_are_accurate_at_any_loss(void **state) {
    (void)state;
    static const double losses[] = {100, 10, 1, 1e-3, 1e-6, 1e-9, 1e-12};
    enum { COUNT = 29, LABEL = 7 };
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[k]);
        double worst = 0;
        for (size_t i = 0; kernels && i < sizeof losses / sizeof *losses; i++) {
            for (int shift = -40; shift <= 40; shift += 20) {
                float logits[COUNT], gradient[COUNT];
                double exact[COUNT], others = 0;
                for (int j = 0; j < COUNT; j++)
                    logits[j] = (float)(shift + 3 * sin(j * 1.7));
                for (int j = 0; j < COUNT; j++)
                    others += j == LABEL ? 0 : exp((double)logits[j]);
                // The label's logit that gives this loss: log(1 + others / exp(z)) = loss.
                logits[LABEL] = (float)(log(others) - log(expm1(losses[i])));
                others = 0;
                for (int j = 0; j < COUNT; j++)
                    others += j == LABEL ? 0 : exp((double)logits[j] - logits[LABEL]);
                for (int j = 0; j < COUNT; j++)
                    exact[j] = (j == LABEL ? -others : exp((double)logits[j] - logits[LABEL])) / (1 + others);
                logit_gradient(kernels, logits, COUNT, LABEL, gradient);
                for (int j = 0; j < COUNT; j++)
                    worst = fmax(worst, fabs(gradient[j] / exact[j] - 1));
            }
        }
        if (kernels)
            print_message("%s: worst relative error of a logit's gradient %.2g\n", kernels->name, worst);
        if (!(worst <= 1e-6))
            fail_msg("%s: relative error %g", kernels->name, worst);
    }
}

static void test_exponential_is_within_2_ulp(void **state) {
    (void)state;
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[k]);
        double worst = 0;
        for (int i = 0; kernels && i < 2000000; i += TS_VECTOR_LANES) {
            float x[TS_VECTOR_LANES], found[TS_VECTOR_LANES];
            for (int j = 0; j < TS_VECTOR_LANES; j++)
                x[j] = -87.3f + (float)(i + j) * (175.67f / 2000000);
            kernels->exponential(x, found, TS_VECTOR_LANES);
            for (int j = 0; j < TS_VECTOR_LANES; j++) {
                double exact = exp((double)x[j]);
                double ulp = nextafterf((float)exact, INFINITY) - (double)(float)exact;
                worst = fmax(worst, fabs(found[j] - exact) / ulp);
            }
        }
        float ends[TS_VECTOR_LANES] = {-90, -1e30f, -INFINITY, 89, INFINITY, 0, 1}, found[TS_VECTOR_LANES];
        if (!kernels)
            continue;
        if (!(worst <= 2))
            fail_msg("%s: %g ulp", kernels->name, worst);
        kernels->exponential(ends, found, TS_VECTOR_LANES);
        for (int j = 0; j < 3; j++)
            assert_true(found[j] == 0);
        assert_true(isinf(found[3]) && isinf(found[4]));
        assert_true(found[5] == 1);
    }
}

// A small group is memorised, then understood.
static void test_a_small_group_generalises(void **state) {
    (void)state;
    support_instance f;
    support_open(
        &f, "task: group\ngroup: S3xC2\ntrain_fraction: 0.9\nembed: 64\nhidden: 64\nsteps: 4000\nseed: 1\n");
    float *weights = ts_alloc((size_t)f.parameters * sizeof *weights, "weights");
    double *out = ts_alloc((size_t)ts_measures_total(&f.params, f.data) * sizeof *out, "measures");
    support_train("cpu", &f, 4000, weights);
    assert_int_equal(f.params.schema->model->measure(&f.params, f.data, weights, 4000, true, NULL, out),
                     TS_OK);
    print_message("S3xC2: train loss %.3g, test loss %.3g, test accuracy %.3g\n", out[0], out[1], out[3]);
    assert_close(out[2], 1, 0, 0);
    assert_true(out[3] > 0.95);
    ts_free(out);
    ts_free(weights);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_gradient_matches_finite_differences),
        cmocka_unit_test(test_cpu_follows_the_reference),
        cmocka_unit_test(test_avx2_and_avx512_have_the_same_bits),
        cmocka_unit_test(test_fading_numbers_become_zero),
        cmocka_unit_test(test_a_saved_state_goes_on_with_the_same_bits),
        cmocka_unit_test(test_logit_gradients_are_accurate_at_any_loss),
        cmocka_unit_test(test_exponential_is_within_2_ulp),
        cmocka_unit_test(test_a_small_group_generalises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
