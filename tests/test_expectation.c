// The loss that final reports trust: exact where it can be had, against lists, numbers known by hand and many samples;
// else an estimate, which keeps to its bounds.
#include "measure/expectation.h"
#include "support.h"

#include <math.h>

typedef struct known {
    double exact, estimated, error, final;
} known;

static double number(const support_instance *f, const double *out, const char *name) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    assert_true(ts_measures_find(&m, name));
    return out[m.offset];
}

static known measure(const support_instance *f, const float *weights, int64_t step) {
    double *out = ts_alloc((size_t)ts_measures_total(&f->params, f->data) * sizeof *out, "measures");
    assert_int_equal(ts_measure_weights(&f->params, f->data, weights, step, TS_MEASURE_LAST, NULL, out), TS_OK);
    known k = {number(f, out, "exact_loss"), number(f, out, "estimated_loss"), number(f, out, "final_loss_error"),
               number(f, out, "final_loss")};
    ts_free(out);
    return k;
}

// Weights as of a network that has learned something: features in several directions, some of them not at all.
static void draw_weights(support_instance *f, uint64_t seed, double size) {
    ts_philox random = ts_philox_at(seed, TS_STREAM_WEIGHTS, 0, 0);
    int features = f->data->features->features;
    for (int64_t p = 0; p < f->parameters; p += 2) {
        double pair[2];
        ts_philox_normals(&random, pair, 2);
        for (int i = 0; i < 2 && p + i < f->parameters; i++)
            f->initial[p + i] = (float)(size * pair[i] * (p + i < f->parameters - features ? 1 : 0.2));
    }
    f->initial[1] = 0;
}

// Loss over so many samples of another stream than any that measures draw from, and its standard error.
static double sampled(const support_instance *f, int64_t samples, double *error) {
    enum { PORTION = 4096 };
    const ts_numbers *importance = ts_params_numbers(&f->params, "importance");
    ts_network network;
    ts_feature_batch batch;
    double sum = 0, squares = 0, x[64] = {0}, x_hat[64];
    int64_t n = 0;
    assert_int_equal(ts_network_open(&f->params, f->initial, &network), TS_OK);
    assert_int_equal(ts_feature_batch_create(f->data->features, PORTION, &batch), TS_OK);
    for (uint32_t k = 0; n < samples; k++) {
        ts_feature_draw(f->data->features, 77, TS_STREAM_BATCH, k, PORTION, &batch);
        for (int row = 0; row < batch.rows; row++, n++) {
            int begin = batch.begin[row], end = batch.end[row];
            double loss = 0;
            network.reconstruct(network.weights, batch.active + begin, batch.value ? batch.value + begin : NULL,
                                end - begin, x_hat);
            for (int e = begin; e < end; e++)
                x[batch.active[e]] = batch.value ? batch.value[e] : 1;
            for (int i = 0; i < network.features; i++)
                loss += ts_numbers_at(importance, i) * (x[i] - x_hat[i]) * (x[i] - x_hat[i]) / network.features;
            for (int e = begin; e < end; e++)
                x[batch.active[e]] = 0;
            sum += loss;
            squares += loss * loss;
        }
    }
    ts_feature_batch_free(&batch);
    ts_network_close(&network);
    double mean = sum / (double)n;
    *error = sqrt((squares / (double)n - mean * mean) / (double)n);
    return mean;
}

TEST(test_the_exact_loss_is_what_many_samples_tend_to) {
    static const char *const TASKS[] = {
        "features: 4\ncorrelated_pairs: 2\nhidden: 2\n",
        "features: 4\nanticorrelated_pairs: 2\nhidden: 2\n",
        "features: 7\ncorrelated_pairs: 1\nanticorrelated_pairs: 2\nimportance: {base: 0.7}\nhidden: 3\n",
        "features: 1\nhidden: 1\n",
        "features: 5\nhidden: 2\nimportance: [1, 0, 2, 0.1, 5]\n",
        "features: 8\nhidden: 3\n",
        "features: 14\nbinary: true\nhidden: 4\n",
        "features: 17\nbinary: true\ncorrelated_pairs: 3\nanticorrelated_pairs: 4\nhidden: 4\n",
    };
    for (size_t i = 0; i < sizeof TASKS / sizeof *TASKS; i++)
        for (int seed = 0; seed < 3; seed++) {
            char text[300];
            double error;
            support_instance f;
            snprintf(text, sizeof text, "task: independent\nfeature_probability: %s\n%s", seed == 2 ? "0.05" : "0.3",
                     TASKS[i]);
            support_open(&f, text);
            draw_weights(&f, (uint64_t)seed, seed == 1 ? 0.3 : 0.9);
            known k = measure(&f, f.initial, 10000);
            double mean = sampled(&f, 200000, &error);
            if (!(fabs(k.exact - mean) < 5 * error))
                fail_msg("%sseed %d: exact %.9g, of samples %.9g +- %.2g", text, seed, k.exact, mean, error);
            assert_true(isnan(k.estimated) && k.error == 0);
            support_close(&f);
        }
}

// Where lists are at hand, too: the same task, once listed and once by halves.
TEST(test_halves_add_up_to_the_list) {
    static const char *const TASKS[] = {
        "features: 10\n", "features: 11\ncorrelated_pairs: 2\nanticorrelated_pairs: 2\n", "features: 1\n",
        "features: 2\ncorrelated_pairs: 1\n", "features: 6\nfeature_probability: [1, 0, 0.5, 1, 0, 0.2]\n"};
    for (size_t i = 0; i < sizeof TASKS / sizeof *TASKS; i++) {
        char text[300];
        double importance[11];
        support_instance f;
        ts_network network;
        ts_expectation *expectation;
        snprintf(text, sizeof text, "task: independent\nbinary: true\nhidden: 3\n%s%s", TASKS[i],
                 strstr(TASKS[i], "prob") ? "" : "feature_probability: 0.2\n");
        support_open(&f, text);
        draw_weights(&f, 5, 0.8);
        for (int k = 0; k < 11; k++)
            importance[k] = 1;
        assert_int_equal(ts_network_open(&f.params, f.initial, &network), TS_OK);
        assert_int_equal(ts_expectation_create(&network, f.data->features, &expectation), TS_OK);
        assert_non_null(expectation);
        assert_close(ts_expectation_loss(expectation, importance, NULL), measure(&f, f.initial, 0).exact, 1e-13, 1e-15);
        ts_expectation_free(expectation);
        ts_network_close(&network);
        support_close(&f);
    }
}

TEST(test_losses_known_by_hand) {
    support_instance f;
    // Two features in opposite directions: only where both are on, each is short of the lesser of the two.
    support_open(&f, "task: independent\nfeatures: 2\nhidden: 1\nfeature_probability: [0.3, 0.4]\n");
    const float opposite[] = {1, -1, 0, 0}, nothing[] = {0, 0, 0, 0}, large[] = {1e15F, 0, 0, 0};
    assert_close(measure(&f, opposite, 0).exact, 0.3 * 0.4 / 6, 1e-14, 0);
    assert_close(measure(&f, nothing, 0).exact, (0.3 + 0.4) / 6, 1e-14, 0);
    // (1 - 1e30)^2 E x^2, and the other feature's.
    assert_close(measure(&f, large, 0).exact, 0.3 * 1e60 / 6, 1e-7, 0);
    support_close(&f);
    // A perfect network, whose every feature has a direction of its own; and one that is nearly that.
    support_open(&f, "task: independent\nfeatures: 4\nhidden: 4\ncorrelated_pairs: 2\nfeature_probability: 0.3\n");
    for (int p = 0; p < 20; p++)
        f.initial[p] = p < 16 && p % 5 == 0;
    assert_close(measure(&f, f.initial, 0).exact, 0, 0, 1e-15);
    f.initial[1] = 1e-4F; // features 0 and 1 lean towards each other: x_1 gets 1e-4 x_0, x_0 gets 1e-4 x_1
    assert_close(measure(&f, f.initial, 0).exact, 2 * 0.3 * 1e-8 / 3 / 4, 1e-3, 0);
    support_close(&f);
}

// In whatever order features are taken, rounding apart.
TEST(test_the_order_of_features_does_not_matter) {
    static const char *const TASKS[] = {"features: 8\nhidden: 3\n", "features: 24\nbinary: true\nhidden: 6\n"};
    for (int i = 0; i < 2; i++) {
        char text[200];
        support_instance f;
        snprintf(text, sizeof text, "task: independent\nfeature_probability: 0.3\n%s", TASKS[i]);
        support_open(&f, text);
        draw_weights(&f, 9, 0.6);
        int features = f.data->features->features;
        double before = measure(&f, f.initial, 0).exact;
        for (int64_t row = 0; row < f.parameters; row += features)
            for (int j = 0; j < features / 2; j++) {
                float kept = f.initial[row + j];
                f.initial[row + j] = f.initial[row + features - 1 - j];
                f.initial[row + features - 1 - j] = kept;
            }
        assert_close(measure(&f, f.initial, 0).exact, before, 1e-13, 0);
        support_close(&f);
    }
}

// The luckiest of 500 samples each is no measure of how good a network is.
TEST(test_a_rare_pair_is_not_overlooked) {
    support_instance f;
    support_open(&f, "task: independent\nfeatures: 4\nhidden: 2\ncorrelated_pairs: 2\nfeature_probability: 0.001\n");
    for (int p = 0; p < 12; p++)
        f.initial[p] = p == 0 || p == 5;
    known k = measure(&f, f.initial, 10000);
    assert_close(k.exact, 2 * 0.001 / 3 / 4, 1e-12, 0);
    assert_true(k.final < k.exact / 2 || k.final > 2 * k.exact);
    support_close(&f);
}

TEST(test_an_estimate_ends_at_its_error_or_at_its_bound) {
    support_instance f;
    support_open(&f, "task: independent\nfeatures: 20\nhidden: 4\nfeature_probability: 0.2\n");
    draw_weights(&f, 1, 0.5);
    double error;
    known early = measure(&f, f.initial, 0), late = measure(&f, f.initial, 10000);
    double mean = sampled(&f, 100000, &error);
    assert_true(isnan(late.exact));
    assert_true(late.error > 0 && late.error <= 0.01 * late.estimated);
    assert_true(fabs(late.estimated - mean) < 5 * (late.error + error));
    assert_close(early.estimated, late.estimated, 0, 5 * early.error);
    support_close(&f);
    // Features that are on once in 20000 samples: one in a few of them, however short the training.
    support_open(&f, "task: independent\nfeatures: 20\nhidden: 4\nfeature_probability: 5e-5\n");
    memset(f.initial, 0, (size_t)f.parameters * sizeof *f.initial);
    late = measure(&f, f.initial, 10000);
    assert_true(late.error > 0.01 * late.estimated);
    assert_close(late.estimated, 5e-5 / 3, 0, 5 * late.error);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_exact_loss_is_what_many_samples_tend_to),
        cmocka_unit_test(test_halves_add_up_to_the_list),
        cmocka_unit_test(test_losses_known_by_hand),
        cmocka_unit_test(test_the_order_of_features_does_not_matter),
        cmocka_unit_test(test_a_rare_pair_is_not_overlooked),
        cmocka_unit_test(test_an_estimate_ends_at_its_error_or_at_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
