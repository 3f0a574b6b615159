// What several tests share: a sweep from a text, and the instances of its first case.
#pragma once

#include "backend/backend.h"
#include "base/memory.h"
#include "model/model.h"
#include "sweep/sweep.h"
#include "task/data.h"
#include "task/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// A sweep of that text; the test fails, with its errors, if it is none. Free with ts_sweep_free.
static inline ts_sweep *support_sweep(const char *text) {
    ts_sweep *sweep = NULL;
    ts_sweep_source source = {.file = "test.yaml", .text = text, .bytes = strlen(text)};
    if (ts_sweep_read(&source, &sweep) != TS_OK)
        fail_msg("%s", ts_sweep_errors());
    return sweep;
}

// Data of a sweep's case. Free with ts_data_free.
static inline ts_data *support_data(const ts_sweep *sweep, int case_index) {
    ts_params params;
    ts_data *data = NULL;
    ts_case_params(sweep, case_index, 0, &params);
    assert_int_equal(ts_data_create(&params, &data), TS_OK);
    return data;
}

// The first instance of a sweep, ready to be trained by itself.
typedef struct support_instance {
    ts_sweep *sweep;
    ts_data *data;
    ts_params params;
    ts_training_spec spec;
    int64_t parameters;
    float *initial; // (parameters)
} support_instance;

static inline void support_open(support_instance *f, const char *text) {
    ts_parameter_layout layout;
    f->sweep = support_sweep(text);
    f->data = support_data(f->sweep, 0);
    ts_case_params(f->sweep, 0, 0, &f->params);
    f->spec = (ts_training_spec){&f->params, 1, f->data, NULL};
    f->params.schema->model->layout(&f->params, &layout);
    f->parameters = layout.total;
    f->initial = ts_alloc((size_t)layout.total * sizeof(float), "weights");
    f->params.schema->model->initialise(&f->params, f->initial);
}

static inline void support_close(support_instance *f) {
    ts_free(f->initial);
    ts_data_free(f->data);
    ts_sweep_free(f->sweep);
}

// The engine of a backend that runs on this machine; NULL, saying so, if it does not or has none for the model.
static inline const ts_engine *support_engine(const ts_backend *backend, const char *model) {
    const ts_engine *engine = backend->probe() == TS_OK ? ts_backend_engine(backend, model) : NULL;
    if (!engine)
        print_message("left out: the backend %s cannot train the model %s here\n", backend->name, model);
    return engine;
}

// Trains it from its initial weights for `steps` steps on the backend; parameters: in the model's layout.
static inline void support_train(const char *backend, const support_instance *f, int64_t steps,
                                 float *parameters) {
    const ts_engine *engine = ts_backend_engine(ts_backend_find(backend), f->params.schema->model->name);
    void *training;
    int64_t reached = 0;
    assert_int_equal(engine->create(&f->spec, &training), TS_OK);
    assert_int_equal(engine->train(training, 0, steps, &reached), TS_OK);
    assert_int_equal(reached, steps);
    assert_int_equal(engine->get_parameters(training, 0, parameters), TS_OK);
    engine->destroy(training);
}

// Fails, printing both, unless |a - b| <= relative * max(|a|, |b|) + absolute.
#define assert_close(a, b, relative, absolute)                                                               \
    do {                                                                                                     \
        double left_ = (a), right_ = (b);                                                                    \
        double scale_ = fabs(left_) > fabs(right_) ? fabs(left_) : fabs(right_);                             \
        if (!(fabs(left_ - right_) <= (relative)*scale_ + (absolute)))                                       \
            fail_msg("%s = %.17g, %s = %.17g", #a, left_, #b, right_);                                       \
    } while (0)

// P (n, n), row-major: the projector onto the functions of an irrep, orthogonal where elements count by weight (NULL:
// once each).
static inline void support_projector(const ts_symmetry *symmetry, int r, const double *weight,
                                     double *projector) {
    size_t n = (size_t)symmetry->group->n;
    double *basis = ts_alloc(n * n * sizeof *basis, "functions");
    assert_non_null(basis);
    ts_symmetry_basis(symmetry, weight, basis);
    memset(projector, 0, n * n * sizeof *projector);
    for (size_t row = (size_t)symmetry->first[r]; row < (size_t)symmetry->first[r + 1]; row++)
        for (size_t g = 0; g < n; g++)
            for (size_t h = 0; h < n; h++)
                projector[g * n + h] += basis[row * n + g] * basis[row * n + h] * (weight ? weight[h] : 1);
    ts_free(basis);
}
