// Variants of the autoencoder and of its tasks: the loss by its formula, and its gradient by differences; inputs, fixed
// samples, schedules and growth as their keys say; the expected loss where it is known.
#include "support.h"

#include "backend/reference.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"

#include <math.h>
#include <stdio.h>

static const double PI = 3.14159265358979323846;
enum { FEATURES = 5, HIDDEN = 4 };

#define BINARY "task: independent\nfeatures: 5\nbinary: true\nfeature_probability: 0.3\nbatch: exact\nhidden: 4\n"
#define VALUED "task: independent\nfeatures: 5\nfeature_probability: 0.3\nhidden: 4\nbatch: 40\n"

static const char *const VARIANTS[] = {
    BINARY,
    BINARY "hidden_activation: relu\n",
    BINARY "hidden_activation: square\ntied: false\n",
    BINARY "hidden_activation: cube\n",
    BINARY "hidden_activation: abs\nbias: false\n",
    BINARY "hidden_activation: gelu\ntied: false\nbias: false\n",
    BINARY "hidden_activation: tanh\nl1: 0.25\n",
    BINARY "l1: 0.5\ntied: false\nimportance: {power: 1.5, base: 2}\n",
    VALUED "target: abs\nvalues: [-1, 1]\n",
    VALUED "target: abs\nvalues: [-2, -0.5]\nl1: 0.125\ntied: false\nhidden_activation: relu\n",
    "task: independent\nfeatures: 5\nfeature_probability: 0.3\nhidden: 4\nsamples: 60\nl1: 0.5\n",
    "task: one_hot\nfeatures: 5\nhidden: 4\nbatch: exact\nl1: 0.5\nbias: false\n",
};

// --- The loss ---

static const float *tensor(const support_instance *f, const float *weights, const char *name) {
    for (int i = 0; i < f->layout.count; i++)
        if (strcmp(f->layout.tensor[i].name, name) == 0)
            return weights + f->layout.tensor[i].offset;
    return NULL;
}

// Of one input: mean over features of importance_i (target_i - x_hat_i)^2; *penalty: sum of |h_k|.
static double formula(const support_instance *f, const float *weights, const double *x, double *penalty) {
    const float *w = tensor(f, weights, "W"), *own = tensor(f, weights, "W_dec"), *b = tensor(f, weights, "b");
    const float *d = own ? own : w;
    ts_activation activation = ts_network_activation_by(&f->params, "hidden_activation");
    bool absolute = strcmp(ts_params_name(&f->params, "target"), "abs") == 0;
    double h[HIDDEN] = {0}, loss = 0;
    assert_int_equal(!own, ts_params_bool(&f->params, "tied"));
    assert_int_equal(!!b, ts_params_bool(&f->params, "bias"));
    *penalty = 0;
    for (int k = 0; k < HIDDEN; k++) {
        for (int i = 0; i < FEATURES; i++)
            h[k] += (double)w[k * FEATURES + i] * x[i];
        h[k] = ts_activation_value(activation, h[k]);
        *penalty += fabs(h[k]);
    }
    for (int i = 0; i < FEATURES; i++) {
        double z = b ? (double)b[i] : 0, target = absolute ? fabs(x[i]) : x[i];
        for (int k = 0; k < HIDDEN; k++)
            z += (double)d[k * FEATURES + i] * h[k];
        double error = target - (z > 0 ? z : 0);
        loss += ts_numbers_at(ts_params_numbers(&f->params, "importance"), i) * error * error / FEATURES;
    }
    return loss;
}

// Of the batch of a step.
static double batch_formula(const support_instance *f, const float *weights, int64_t step, double *penalty) {
    ts_feature_batch batch;
    int64_t samples = ts_network_samples(&f->params);
    double loss = 0;
    *penalty = 0;
    assert_int_equal(ts_feature_batch_create(f->data->features, samples, &batch), TS_OK);
    ts_feature_draw(f->data->features, (uint64_t)ts_params_integer(&f->params, "seed"), TS_STREAM_BATCH,
                    ts_network_draw(&f->params, step), samples, &batch);
    for (int r = 0; r < batch.rows; r++) {
        double x[FEATURES] = {0}, one;
        for (int e = batch.begin[r]; e < batch.end[r]; e++)
            x[batch.active[e]] = batch.value ? (double)batch.value[e] : 1;
        loss += batch.weight[r] * formula(f, weights, x, &one);
        *penalty += batch.weight[r] * one;
    }
    ts_feature_batch_free(&batch);
    return loss;
}

static float *some_weights(const support_instance *f) {
    float *weights = ts_alloc((size_t)f->parameters * sizeof *weights, "weights");
    for (int64_t p = 0; p < f->parameters; p++)
        weights[p] = (float)(2 * f->initial[p] + 0.1 * sin((double)p + 1));
    return weights;
}

TEST(test_losses_are_those_of_the_formula) {
    for (size_t v = 0; v < sizeof VARIANTS / sizeof *VARIANTS; v++) {
        support_instance f;
        support_open(&f, VARIANTS[v]);
        float *weights = some_weights(&f);
        double penalty, expected = batch_formula(&f, weights, 3, &penalty);
        double found = support_measure_of(&f.params, f.data, weights, 3, "train_loss");
        if (!(fabs(found - expected) <= 1e-12 * expected))
            fail_msg("train_loss %.15g, expected %.15g for:\n%s", found, expected, VARIANTS[v]);
        ts_free(weights);
        support_close(&f);
    }
}

// Of what is trained on: the loss, and l1 times the penalty.
TEST(test_gradients_are_differences_with_the_penalty) {
    for (size_t v = 0; v < sizeof VARIANTS / sizeof *VARIANTS; v++) {
        support_instance f;
        support_open(&f, VARIANTS[v]);
        float *weights = some_weights(&f);
        size_t n = (size_t)f.parameters;
        double *at = ts_alloc(2 * n * sizeof *at, "weights"), *gradient = at + n, trained, penalty;
        for (size_t p = 0; p < n; p++)
            at[p] = (double)weights[p];
        assert_int_equal(ts_reference_gradient(&f.spec, at, 3, &trained, gradient), TS_OK);
        double loss = batch_formula(&f, weights, 3, &penalty);
        double expected = loss + ts_params_real(&f.params, "l1") * penalty;
        if (!(fabs(trained - expected) <= 1e-12 * expected))
            fail_msg("trained on %.15g, expected %.15g for:\n%s", trained, expected, VARIANTS[v]);
        for (size_t p = 0; p < n; p++) {
            double kept = at[p], above, below, *scratch = ts_alloc(n * sizeof *scratch, "a gradient");
            at[p] = kept + 1e-6;
            assert_int_equal(ts_reference_gradient(&f.spec, at, 3, &above, scratch), TS_OK);
            at[p] = kept - 1e-6;
            assert_int_equal(ts_reference_gradient(&f.spec, at, 3, &below, scratch), TS_OK);
            at[p] = kept;
            ts_free(scratch);
            double difference = (above - below) / 2e-6;
            if (!(fabs(gradient[p] - difference) <= 1e-5 * fabs(difference) + 1e-8))
                fail_msg("number %d: gradient %g, differences %g for:\n%s", (int)p, gradient[p], difference,
                         VARIANTS[v]);
        }
        ts_free(at);
        ts_free(weights);
        support_close(&f);
    }
}

// --- Samples ---

static void draw(const support_instance *f, uint32_t step, int64_t samples, ts_feature_batch *batch) {
    assert_int_equal(ts_feature_batch_create(f->data->features, samples, batch), TS_OK);
    ts_feature_draw(f->data->features, 0, TS_STREAM_BATCH, step, samples, batch);
}

TEST(test_values_are_uniform_in_their_range) {
    enum { SAMPLES = 4000 };
    support_instance f;
    ts_feature_batch batch;
    double least = INFINITY, most = -INFINITY, mean = 0, square = 0;
    support_open(&f, VALUED "values: [-2, 0.5]\n");
    draw(&f, 0, SAMPLES, &batch);
    int count = batch.end[batch.rows - 1];
    for (int e = 0; e < count; e++) {
        double value = (double)batch.value[e];
        least = fmin(least, value);
        most = fmax(most, value);
        mean += value / count;
        square += value * value / count;
    }
    assert_true(least >= -2 && least < -1.98 && most < 0.5 && most > 0.48);
    assert_close(mean, -0.75, 0, 0.05);
    assert_close(square - mean * mean, 2.5 * 2.5 / 12, 0, 0.03);
    ts_feature_batch_free(&batch);
    support_close(&f);
}

TEST(test_probabilities_follow_a_power_law) {
    support_instance f;
    support_open(&f, "task: independent\nfeatures: 5\nfeature_probability: {power: 1.5, base: 0.4}\nhidden: 4\n");
    for (int i = 0; i < FEATURES; i++)
        assert_close((double)f.data->features->independent.threshold[i] * 0x1p-32, 0.4 * pow(i + 1, -1.5), 0, 0x1p-32);
    support_close(&f);
}

TEST(test_inputs_of_one_hot_are_unit_vectors) {
    enum { SAMPLES = 10000 };
    support_instance f;
    ts_feature_batch batch;
    double share[FEATURES], total = 0;
    support_open(&f, "task: one_hot\nfeatures: 5\nfeature_probability: {power: 2}\nhidden: 4\n");
    for (int i = 0; i < FEATURES; i++)
        total += share[i] = 1 / ((i + 1.0) * (i + 1.0));
    draw(&f, 0, 0, &batch);
    assert_int_equal(batch.rows, FEATURES);
    for (int r = 0; r < FEATURES; r++) {
        assert_true(batch.end[r] == batch.begin[r] + 1 && batch.active[batch.begin[r]] == r && !batch.value);
        assert_close(batch.weight[r], share[r] / total, 1e-14, 0);
    }
    ts_feature_batch_free(&batch);
    draw(&f, 7, SAMPLES, &batch);
    for (int r = 0; r < batch.rows; r++) {
        assert_int_equal(batch.end[r], batch.begin[r] + 1);
        double p = share[batch.active[batch.begin[r]]] / total;
        assert_close(batch.weight[r], p, 0, 5 * sqrt(p * (1 - p) / SAMPLES));
    }
    ts_feature_batch_free(&batch);
    support_close(&f);
}

static bool has_measure(const support_instance *f, const char *name) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    return ts_measures_find(&m, name);
}

TEST(test_fixed_samples_are_those_of_every_step) {
    static const char *const FIXED[] = {
        "task: independent\nfeatures: 5\nfeature_probability: 0.3\nhidden: 4\nsamples: 30\n",
        "task: tree\ndepth: 2\nhidden: 3\nsamples: 7\n",
    };
    for (int k = 0; k < 2; k++) {
        support_instance f;
        support_open(&f, FIXED[k]);
        float *weights = some_weights(&f);
        double first = support_measure_of(&f.params, f.data, weights, 0, "train_loss");
        double later = support_measure_of(&f.params, f.data, weights, 9, "train_loss");
        assert_close(later, first, 0, 0);
        assert_true(has_measure(&f, "fresh_loss"));
        double fresh = support_measure_of(&f.params, f.data, weights, 3, "fresh_loss");
        assert_true(isfinite(fresh) && fresh != first);
        ts_free(weights);
        support_close(&f);
    }
    support_instance f;
    support_open(&f, VALUED);
    assert_false(has_measure(&f, "fresh_loss"));
    support_close(&f);
}

// --- The expected loss ---

static double last_measure(const support_instance *f, const float *weights, const char *name) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    double *out = ts_alloc((size_t)ts_measures_total(&f->params, f->data) * sizeof *out, "measures");
    assert_int_equal(ts_measure_weights(&f->params, f->data, weights, 100000, TS_MEASURE_LAST, NULL, out), TS_OK);
    assert_true(ts_measures_find(&m, name));
    double value = out[m.offset];
    ts_free(out);
    return value;
}

// Values from 0 to anything have an exact loss, which samples come near; other variants are estimated.
TEST(test_expected_losses_are_exact_or_estimated) {
    static const struct {
        const char *keys;
        bool exact;
    } CASES[] = {
        {"values: [0, 2]\n", true},   {"values: [0.5, 2]\n", false}, {"tied: false\n", false},
        {"bias: false\n", false},     {"target: abs\n", false},      {"hidden_activation: relu\n", false},
        {"values: [-1, 1]\n", false}, {"l1: 0.5\n", true},
    };
    for (size_t c = 0; c < sizeof CASES / sizeof *CASES; c++) {
        enum { SAMPLES = 40000 };
        char text[512];
        support_instance f;
        snprintf(text, sizeof text, VALUED "%s", CASES[c].keys);
        support_open(&f, text);
        float *weights = some_weights(&f);
        double exact = last_measure(&f, weights, "exact_loss"), estimate = last_measure(&f, weights, "estimated_loss");
        double loss = 0, penalty;
        ts_feature_batch batch;
        draw(&f, 0, SAMPLES, &batch);
        for (int r = 0; r < batch.rows; r++) {
            double x[FEATURES] = {0};
            for (int e = batch.begin[r]; e < batch.end[r]; e++)
                x[batch.active[e]] = (double)batch.value[e];
            loss += batch.weight[r] * formula(&f, weights, x, &penalty);
        }
        if (isnan(exact) == CASES[c].exact || isnan(estimate) != CASES[c].exact)
            fail_msg("exact loss %g, estimated loss %g for %s", exact, estimate, CASES[c].keys);
        assert_close(CASES[c].exact ? exact : estimate, loss, 0.04, 0);
        ts_feature_batch_free(&batch);
        ts_free(weights);
        support_close(&f);
    }
}

// --- Steps ---

TEST(test_cosine_floor_and_warmup_multiply) {
    support_instance f;
    support_open(&f,
                 "task: tree\ndepth: 2\nhidden: 3\nlr: 0.5\nsteps: 100\nschedule: cosine_floor\nfloor: 0.2\nwarmup: "
                 "10\n");
    ts_schedule schedule = ts_schedule_of(&f.params);
    assert_close(ts_schedule_rate(&schedule, 0), 0, 0, 0);
    assert_close(ts_schedule_rate(&schedule, 5), 0.5 * 0.5 * (0.2 + 0.4 * (1 + cos(PI * 0.05))), 1e-15, 0);
    assert_close(ts_schedule_rate(&schedule, 50), 0.5 * 0.6, 1e-15, 0);
    assert_close(ts_schedule_rate(&schedule, 99), 0.5 * (0.2 + 0.4 * (1 + cos(PI * 0.99))), 1e-15, 0);
    assert_close(ts_schedule_rate(&schedule, 100), 0.5 * 0.2, 1e-15, 0);
    support_close(&f);
}

// Of a gradient of 0 all that an update leaves is growth: columns towards length 1, biases as they are.
TEST(test_negative_decay_draws_directions_to_length_1) {
    support_instance f;
    support_open(&f, VALUED "optimizer: adamw\nlr: 0.1\nweight_decay: -0.5\n");
    size_t n = (size_t)f.parameters;
    double *state = ts_alloc_zero(4 * n, sizeof *state, "a state"), *gradient = state + 3 * n;
    void *memory = ts_alloc_zero(1, ts_optimiser_of(&f.params)->memory, "an update");
    float *weights = some_weights(&f);
    for (size_t p = 0; p < n; p++)
        state[p] = (double)weights[p];
    ts_optimiser_update(&(ts_update){&f.params, &f.layout, 0, memory, NULL}, gradient, state);
    for (int i = 0; i < FEATURES; i++) {
        double length = 0;
        for (int k = 0; k < HIDDEN; k++)
            length += pow((double)weights[k * FEATURES + i], 2);
        length = sqrt(length);
        for (int k = 0; k < HIDDEN; k++) {
            double w = (double)weights[k * FEATURES + i];
            assert_close(state[k * FEATURES + i], w + 0.05 * w * (1 / length - 1), 1e-7, 0);
        }
        assert_close(state[HIDDEN * FEATURES + i], (double)weights[HIDDEN * FEATURES + i], 0, 0);
    }
    ts_free(state);
    ts_free(memory);
    ts_free(weights);
    support_close(&f);
}

// Instances that had results before these keys came are what they were.
TEST(test_defaults_are_in_no_identity) {
    static const char *const NEW[] = {"hidden_activation", "tied",   "bias", "target", "l1",
                                      "samples",           "values", "floor"};
    support_instance f;
    ts_text json = {0};
    support_open(&f, VALUED "values: [0.0, 1]\nfloor: 0.1\ntied: true\n");
    ts_params_json(&f.params, &json);
    for (size_t i = 0; i < sizeof NEW / sizeof *NEW; i++) {
        char key[64];
        snprintf(key, sizeof key, "\"%s\"", NEW[i]);
        if (strstr(ts_text_get(&json), key))
            fail_msg("%s is in %s", key, ts_text_get(&json));
    }
    ts_text_free(&json);
    support_close(&f);
    support_open(&f, VALUED "values: [0, 2]\n");
    ts_params_json(&f.params, &json);
    assert_non_null(strstr(ts_text_get(&json), "\"values\""));
    ts_text_free(&json);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_are_those_of_the_formula),
        cmocka_unit_test(test_gradients_are_differences_with_the_penalty),
        cmocka_unit_test(test_values_are_uniform_in_their_range),
        cmocka_unit_test(test_probabilities_follow_a_power_law),
        cmocka_unit_test(test_inputs_of_one_hot_are_unit_vectors),
        cmocka_unit_test(test_fixed_samples_are_those_of_every_step),
        cmocka_unit_test(test_expected_losses_are_exact_or_estimated),
        cmocka_unit_test(test_cosine_floor_and_warmup_multiply),
        cmocka_unit_test(test_negative_decay_draws_directions_to_length_1),
        cmocka_unit_test(test_defaults_are_in_no_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
