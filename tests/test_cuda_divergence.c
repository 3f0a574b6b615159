// Divergence on the GPU, or on the emulator: as on the processor, and at the same step.
#define _POSIX_C_SOURCE 200809L
#include "support_divergence.h"

static void need_gpu(void) {
    if (ts_backend_find("cuda")->probe() != TS_OK) {
        print_message("no GPU: %s\n", ts_message());
        skip();
    }
}

static void test_when_it_is_found_depends_on_no_cut(void **state) {
    (void)state;
    need_gpu();
    support_divergence_depends_on_no_cut("cuda");
}

static void test_nothing_infinite_is_done(void **state) {
    (void)state;
    int failed;
    need_gpu();
    assert_int_equal(support_nothing_infinite_is_done("cuda", 2, &failed),
                     2 * SUPPORT_SHORTS * SUPPORT_RATES);
    assert_true(failed > 50);
}

static void test_pairs_that_are_far_behind_have_their_gradient(void **state) {
    (void)state;
    need_gpu();
    support_gradient_of_hopeless_pairs("cuda");
}

static void test_one_lost_pair_ends_it(void **state) {
    (void)state;
    need_gpu();
    support_one_lost_pair_ends_it("cuda");
}

// At the same step, and for the same reason: a loss that is not finite is seen before the update, which leaves the
// weights as they were.
static void test_it_is_found_within_a_step_of_the_processor(void **state) {
    (void)state;
    static const int64_t WHOLE[] = {0, 8, 0};
    need_gpu();
    for (int which = 0; which < SUPPORT_SHORTS; which++) {
        ts_sweep *sweep = support_short_sweep(which, 8);
        ts_data *data = support_data(sweep, 0);
        ts_params params[SUPPORT_RATES];
        ts_parameter_layout layout;
        int64_t gpu[SUPPORT_RATES], processor[SUPPORT_RATES];
        for (int i = 0; i < SUPPORT_RATES; i++)
            ts_case_params(sweep, 0, i, &params[i]);
        const ts_model *model = params[0].schema->model;
        model->layout(&params[0], &layout);
        ts_training_spec spec = {params, SUPPORT_RATES, data, NULL};
        size_t each = 3 * (size_t)layout.total * sizeof(float);
        char *on_gpu = ts_alloc_zero(SUPPORT_RATES, each, "states"),
             *on_processor = ts_alloc_zero(SUPPORT_RATES, each, "states");
        support_train_in_cuts(ts_backend_engine(ts_backend_find("cuda"), model->name), &spec, WHOLE, false,
                              gpu, on_gpu);
        support_train_in_cuts(ts_backend_engine(ts_backend_find("cpu"), model->name), &spec, WHOLE, false,
                              processor, on_processor);
        for (int i = 0; i < SUPPORT_RATES; i++) {
            bool left[2] = {
                support_state_is_finite(on_gpu + (size_t)i * each, layout.total, sizeof(float)),
                support_state_is_finite(on_processor + (size_t)i * each, layout.total, sizeof(float))};
            if (llabs(gpu[i] - processor[i]) > 1 || (gpu[i] == processor[i] && left[0] != left[1]))
                fail_msg("lr 1e%d: to step %d on the GPU (weights %d), to %d on the processor (%d): %s",
                         2 * i, (int)gpu[i], left[0], (int)processor[i], left[1], SUPPORT_SHORT[which]);
        }
        ts_free(on_gpu);
        ts_free(on_processor);
        ts_data_free(data);
        ts_sweep_free(sweep);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_it_is_found_depends_on_no_cut),
        cmocka_unit_test(test_nothing_infinite_is_done),
        cmocka_unit_test(test_pairs_that_are_far_behind_have_their_gradient),
        cmocka_unit_test(test_one_lost_pair_ends_it),
        cmocka_unit_test(test_it_is_found_within_a_step_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
