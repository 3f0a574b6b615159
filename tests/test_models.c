// What models promise by themselves: initial weights, measures of networks that are known by hand, and none of weights
// that are not finite.
#define _POSIX_C_SOURCE 200809L
#include "measure/curves.h"
#include "model/network.h"
#include "support_engine.h"

TEST(test_initial_weights_have_the_published_deviation) {
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

// W = identity on two features of a depth-1 tree reconstructs everything: every loss is 0, geometry is
// trivial.
TEST(test_measures_of_a_perfect_and_of_a_superposed_network) {
    support_instance f;
    support_open(&f, "task: tree\ndepth: 1\nhidden: 2\n");
    double out[3 + 3 * 2];
    const float perfect[] = {1, 0, 0, 1, 0, 0}, shared[] = {1, -1, 0, 0, 0, 0};
    assert_int_equal(ts_measure_weights(&f.params, f.data, perfect, 0, true, NULL, out), TS_OK);
    for (int i = 0; i < 3; i++)
        assert_close(out[i], 0, 0, 0);
    assert_close(out[3], 1, 0, 0); // norm
    assert_close(out[5], 0, 0, 0); // interference
    assert_close(out[7], 1, 0, 0); // dimensionality
    // Antipodal features in one dimension: the tree never has both, so relu hides the interference.
    assert_int_equal(ts_measure_weights(&f.params, f.data, shared, 0, true, NULL, out), TS_OK);
    assert_close(out[1], 0, 0, 0);
    assert_close(out[5], 1, 0, 0);
    assert_close(out[7], 0.5, 0, 0);
    // Nothing reconstructed: the loss is the mean square of the input, (1/4 + 1/4) / 2.
    const float nothing[6] = {0};
    assert_int_equal(ts_measure_weights(&f.params, f.data, nothing, 0, true, NULL, out), TS_OK);
    assert_close(out[1], 0.25, 0, 1e-15);
    support_close(&f);
}

TEST(test_weights_that_are_not_finite_have_no_measures) {
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
            ts_measures_conclude(&(ts_curves){.params = &f.params, .data = f.data, .last = out});
            for (int64_t i = 0; i < total; i++)
                if (!isnan(out[i]))
                    fail_msg("weight %d is %g: number %d is %g", (int)p, (double)f.initial[p], (int)i, out[i]);
            // In the forward pass itself: no kink hides a NaN.
            f.initial[p] = NAN;
            ts_network network;
            assert_int_equal(model->open(&f.params, f.initial, &network), TS_OK);
            assert_int_equal(ts_measure_network(&f.params, f.data, &network, 1, true, NULL, out), TS_OK);
            ts_network_close(&network);
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
        cmocka_unit_test(test_initial_weights_have_the_published_deviation),
        cmocka_unit_test(test_measures_of_a_perfect_and_of_a_superposed_network),
        cmocka_unit_test(test_weights_that_are_not_finite_have_no_measures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
