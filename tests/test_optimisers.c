// Optimisers by themselves: what one update does, by hand; and what the backends make of those that they lack.
#define _POSIX_C_SOURCE 200809L
#include "backend/reference.h"
#include "support_engine.h"

#include <stdio.h>

static void assert_state(const double *state, const double *expected, int64_t count) {
    for (int64_t p = 0; p < count; p++)
        if (state[p] != expected[p])
            fail_msg("number %d: %.17g, expected %.17g", (int)p, state[p], expected[p]);
}

// With sums that binary numbers hold exactly: p = p - lr schedule(t) (g + weight_decay p), which is also what PyTorch's
// SGD(lr, weight_decay) does: g.add(p, alpha=weight_decay), then p.add(g, alpha=-lr).
TEST(test_sgd_steps_against_the_gradient_and_the_weights) {
    static const double GRADIENT[2][4] = {{0.5, 0.25, -1, 0}, {-0.25, 1, 0.5, 2}},
                        //      1 - (0.5 + 0.25) / 2, -2 - (0.25 - 0.5) / 2, 0.5 - (-1 + 0.125) / 2, 8 - (0 + 2) / 2
        FIRST[4] = {0.625, -1.875, 0.9375, 7},
                        // a quarter each, linear's second of two: 0.625 - (-0.25 + 0.15625) / 4, ...
        SECOND[4] = {0.6484375, -2.0078125, 0.75390625, 6.0625};
    support_instance f;
    double weights[4] = {1, -2, 0.5, 8};
    support_open(&f, "task: tree\ndepth: 2\nhidden: 3\nsteps: 2\nschedule: linear\noptimizer: sgd\nlr: 0.5\n"
                     "weight_decay: 0.25\n");
    const ts_optimiser *sgd = ts_optimiser_of(&f.params);
    assert_string_equal(sgd->name, "sgd");
    assert_int_equal(sgd->moments, 0);
    sgd->update(&f.params, 0, NULL, 4, GRADIENT[0], weights);
    assert_state(weights, FIRST, 4);
    sgd->update(&f.params, 1, NULL, 4, GRADIENT[1], weights);
    assert_state(weights, SECOND, 4);
    support_close(&f);
}

// What `reference` trains is that update of its own gradient; and a state, which is the weights alone, is enough to go
// on with.
TEST(test_sgd_is_trained_by_the_reference) {
    static const char *const SWEEPS[] = {
        "task: tree\ndepth: 2\nhidden: 3\noptimizer: sgd\nlr: 0.1\nweight_decay: 0\nsteps: 20\n",
        "task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: sgd\nlr: 0.3\nweight_decay: 0.125\nsteps: 20\n",
        "task: power\np: 5\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\noptimizer: sgd\nsteps: 20\n",
    };
    for (size_t s = 0; s < sizeof SWEEPS / sizeof *SWEEPS; s++) {
        support_instance f;
        support_training whole, parts;
        support_open(&f, SWEEPS[s]);
        const ts_engine *engine = support_engine(ts_backend_find("reference"), &f.params);
        size_t count = (size_t)f.parameters;
        double *found = ts_alloc(count * sizeof *found, "a state"),
               *gradient = ts_alloc(count * sizeof *found, "a gradient"),
               *expected = ts_alloc(count * sizeof *found, "a state"), loss;
        support_create(engine, &f.spec, &whole);
        support_create(engine, &f.spec, &parts);
        assert_int_equal(whole.numbers, count);
        for (size_t p = 0; p < count; p++)
            expected[p] = f.initial[p];
        for (int64_t t = 0; t < 3; t++) {
            assert_int_equal(ts_reference_gradient(&f.spec, expected, t, &loss, gradient), TS_OK);
            double lr = ts_params_real(&f.params, "lr"), decay = ts_params_real(&f.params, "weight_decay");
            for (size_t p = 0; p < count; p++)
                expected[p] -= lr * (gradient[p] + decay * expected[p]);
        }
        support_advance(&whole, 0, 3);
        assert_int_equal(engine->get_state(whole.handle, 0, found), TS_OK);
        assert_state(found, expected, f.parameters);
        assert_int_equal(engine->set_state(parts.handle, 0, found), TS_OK);
        support_advance(&whole, 3, 20);
        support_advance(&parts, 3, 20);
        assert_int_equal(engine->get_state(whole.handle, 0, expected), TS_OK);
        assert_int_equal(engine->get_state(parts.handle, 0, found), TS_OK);
        assert_memory_equal(found, expected, count * sizeof *found);
        support_destroy(&whole);
        support_destroy(&parts);
        ts_free(found);
        ts_free(gradient);
        ts_free(expected);
        support_close(&f);
    }
}

// Every optimiser, on every model: `reference` trains it, others do or say what they have.
TEST(test_backends_train_it_or_say_why_not) {
    static const char *const LEARNED[] = {"task: tree\ndepth: 2\nhidden: 3\n", "task: group\ngroup: S3\n",
                                          "task: power\np: 5\n"};
    for (size_t l = 0; l < sizeof LEARNED / sizeof *LEARNED; l++)
        for (int o = 0; ts_optimisers[o]; o++)
            for (int b = 0; ts_backends[b]; b++) {
                support_instance f;
                char text[128];
                const char *why = NULL, *name = ts_optimisers[o]->name;
                snprintf(text, sizeof text, "%soptimizer: %s\n", LEARNED[l], name);
                support_open(&f, text);
                assert_ptr_equal(ts_optimiser_of(&f.params), ts_optimisers[o]);
                bool trains = ts_backend_engine(ts_backends[b], &f.params, &why) != NULL;
                bool fused = strcmp(name, "adam") == 0 || strcmp(name, "adamw") == 0;
                assert_int_equal(trains, fused || strcmp(ts_backends[b]->name, "reference") == 0);
                if (!trains)
                    assert_string_equal(why, "its kernels have no optimizer but adam and adamw");
                support_close(&f);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgd_steps_against_the_gradient_and_the_weights),
        cmocka_unit_test(test_sgd_is_trained_by_the_reference),
        cmocka_unit_test(test_backends_train_it_or_say_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
