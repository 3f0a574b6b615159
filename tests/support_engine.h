// What holds for every engine of a model, whichever model it is: tests that take the sweeps to try as an argument.
#pragma once

#include "backend/cpu.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>

typedef ts_status (*support_gradient)(const ts_training_spec *spec, const double *weights, double *loss,
                                      double *gradient);

// The reference's gradient at `weights` (changed in between, restored) against central differences of its loss, at
// some 12 places of every tensor (small models: at every parameter). No tensor may have zeros alone.
static inline void support_gradient_is_that_of_the_loss(const support_instance *f, double *weights,
                                                        support_gradient gradient_of, double relative) {
    size_t n = (size_t)f->parameters;
    double *gradient = ts_alloc(n * sizeof *gradient, "g"), *ignored = ts_alloc(n * sizeof *ignored, "g");
    double loss, above, below;
    enum { EVERY = 2000 };
    const double h = 1e-6;
    ts_parameter_layout layout;
    f->params.schema->model->layout(&f->params, &layout);
    assert_int_equal(gradient_of(&f->spec, weights, &loss, gradient), TS_OK);
    for (int i = 0; i < layout.count; i++) {
        size_t from = (size_t)layout.tensor[i].offset;
        size_t to = i + 1 < layout.count ? (size_t)layout.tensor[i + 1].offset : n;
        double largest = 0;
        for (size_t p = from; p < to; p += n <= EVERY ? 1 : 1 + (to - from) / 12) {
            double kept = weights[p];
            weights[p] = kept + h;
            gradient_of(&f->spec, weights, &above, ignored);
            weights[p] = kept - h;
            gradient_of(&f->spec, weights, &below, ignored);
            weights[p] = kept;
            double expected = (above - below) / (2 * h);
            if (!(fabs(gradient[p] - expected) <= relative * fabs(expected) + 5e-9 * loss)) // of rounding
                fail_msg("%zu of %s: gradient %g, differences %g", p - from, layout.tensor[i].name,
                         gradient[p], expected);
            largest = fmax(largest, fabs(expected));
        }
        if (!(largest > 1e-6 * loss))
            fail_msg("all differences of %s are below %g", layout.tensor[i].name, largest);
    }
    ts_free(gradient);
    ts_free(ignored);
}

// Weights of the CPU engine, in all kernel sets, after so many steps: within 2e-4 of the way that the reference's went.
// (Of the way, not of each weight: Adam's first steps are lr * sign(g), and differ by 2 lr where g is rounding noise.)
static inline void support_cpu_follows_the_reference(const char *const *sweeps, int count, int64_t steps) {
    for (int k = 0; ts_cpu_kernel_names[k]; k++) {
        if (!ts_cpu_kernels_named(ts_cpu_kernel_names[k])) {
            print_message("skipped: this processor has no %s\n", ts_cpu_kernel_names[k]);
            continue;
        }
        setenv("TOYSWEEP_KERNELS", ts_cpu_kernel_names[k], 1);
        for (int s = 0; s < count; s++) {
            support_instance f;
            support_open(&f, sweeps[s]);
            float *expected = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
            float *found = ts_alloc((size_t)f.parameters * sizeof(float), "weights");
            support_train("reference", &f, steps, expected);
            support_train("cpu", &f, steps, found);
            double error = 0, moved = 0;
            for (int64_t p = 0; p < f.parameters; p++) {
                error += pow((double)found[p] - expected[p], 2);
                moved += pow((double)expected[p] - f.initial[p], 2);
            }
            if (!(sqrt(error) <= 2e-4 * sqrt(moved)))
                fail_msg("%s, %lld steps: error %g of a way of %g for: %s", ts_cpu_kernel_names[k],
                         (long long)steps, sqrt(error), sqrt(moved), sweeps[s]);
            ts_free(expected);
            ts_free(found);
            support_close(&f);
        }
    }
    unsetenv("TOYSWEEP_KERNELS");
}

// Weights after 100 steps.
static inline void support_avx2_and_avx512_have_the_same_bits(const char *const *sweeps, int count) {
    if (!ts_cpu_kernels_named("avx512") || !ts_cpu_kernels_named("avx2"))
        skip();
    for (int s = 0; s < count; s++) {
        support_instance f;
        support_open(&f, sweeps[s]);
        size_t bytes = (size_t)f.parameters * sizeof(float);
        float *narrow = ts_alloc(bytes, "weights"), *wide = ts_alloc(bytes, "weights");
        setenv("TOYSWEEP_KERNELS", "avx2", 1);
        support_train("cpu", &f, 100, narrow);
        setenv("TOYSWEEP_KERNELS", "avx512", 1);
        support_train("cpu", &f, 100, wide);
        assert_memory_equal(narrow, wide, bytes);
        ts_free(narrow);
        ts_free(wide);
        support_close(&f);
    }
    unsetenv("TOYSWEEP_KERNELS");
}

// `part` steps, saved, and the rest in another training; against `whole` steps in one.
static inline void support_saved_state_goes_on(const char *backend, const support_instance *f, int64_t part,
                                               int64_t whole) {
    const ts_engine *engine = ts_backend_engine(ts_backend_find(backend), f->params.schema->model->name);
    size_t bytes = (size_t)f->parameters * sizeof(float);
    float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
    support_train(backend, f, whole, expected);
    void *first, *second;
    int64_t reached = 0;
    assert_int_equal(engine->create(&f->spec, &first), TS_OK);
    assert_int_equal(engine->train(first, 0, part, &reached), TS_OK);
    void *saved = ts_alloc(engine->state_bytes(first), "a state");
    assert_int_equal(engine->get_state(first, 0, saved), TS_OK);
    engine->destroy(first);
    assert_int_equal(engine->create(&f->spec, &second), TS_OK);
    assert_int_equal(engine->set_state(second, 0, saved), TS_OK);
    assert_int_equal(engine->train(second, part, whole, &reached), TS_OK);
    assert_int_equal(engine->get_parameters(second, 0, found), TS_OK);
    engine->destroy(second);
    assert_memory_equal(expected, found, bytes);
    ts_free(saved);
    ts_free(expected);
    ts_free(found);
}

// On every backend that there is here.
static inline void support_a_saved_state_goes_on_with_the_same_bits(const char *sweep, int64_t part,
                                                                    int64_t whole) {
    for (int b = 0; ts_backends[b]; b++) {
        support_instance f;
        support_open(&f, sweep);
        if (support_engine(ts_backends[b], f.params.schema->model->name))
            support_saved_state_goes_on(ts_backends[b]->name, &f, part, whole);
        support_close(&f);
    }
}
