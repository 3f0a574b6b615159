// What several tests share: a sweep from a text, and the instances of its first case.
#pragma once

#include "backend/backend.h"
#include "base/memory.h"
#include "measure/measure.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "support_cmocka.h"
#include "sweep/sweep.h"
#include "task/data.h"
#include "task/task.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>

// Evenly from [-0.5, 0.5).
static inline double support_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53 - 0.5;
}

// A sweep of that source, whose text ends with a 0; the test fails, with the errors, if it is refused. Free with
// ts_sweep_free.
static inline ts_sweep *support_sweep_of(ts_sweep_source source) {
    ts_sweep *sweep = NULL;
    source.bytes = strlen(source.text);
    if (ts_sweep_read(&source, &sweep) != TS_OK)
        fail_msg("refused:\n%s\n%s", source.text, ts_sweep_errors());
    return sweep;
}

static inline ts_sweep *support_sweep(const char *text) {
    return support_sweep_of((ts_sweep_source){.file = "test.yaml", .text = text});
}

// It is refused, with this among the errors.
static inline void support_refused(ts_sweep_source source, const char *error) {
    ts_sweep *sweep = NULL;
    source.bytes = strlen(source.text);
    ts_status status = ts_sweep_read(&source, &sweep);
    if (status != TS_ERROR_USER || sweep || !strstr(ts_sweep_errors(), error))
        fail_msg("status %d for:\n%s\n     got %s\nexpected %s", (int)status, source.text, ts_sweep_errors(), error);
}

// A text that was made of `what` is as expected, and freed.
static inline void support_expect_text(ts_text *found, const char *expected, const char *what) {
    if (strcmp(ts_text_get(found), expected) != 0)
        fail_msg("%s\n     got %s\nexpected %s", what, ts_text_get(found), expected);
    ts_text_free(found);
}

// The same number, bit by bit, NaN and the sign of 0 with it.
static inline bool support_same_bits(double a, double b) {
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

// Data of a sweep's case. Free with ts_data_free.
static inline ts_data *support_data(const ts_sweep *sweep, int case_index) {
    ts_params params;
    ts_data *data = NULL;
    ts_case_params(sweep, case_index, 0, &params);
    assert_int_equal(ts_data_create(&params, &data), TS_OK);
    return data;
}

// The instances of a sweep's first case, and the first of them ready to be trained by itself.
typedef struct support_instance {
    ts_sweep *sweep;
    ts_data *data;
    ts_params params; // of the first
    ts_params *all;   // (rows)
    int rows;
    ts_training_spec spec; // of the first; unit: of all
    ts_training_spec unit;
    int64_t parameters;
    ts_parameter_layout layout;
    float *initial; // (parameters) of the first
} support_instance;

static inline void support_open(support_instance *f, const char *text) {
    f->sweep = support_sweep(text);
    f->data = support_data(f->sweep, 0);
    f->rows = (int)ts_sweep_case(f->sweep, 0)->rows;
    f->all = ts_alloc((size_t)f->rows * sizeof *f->all, "parameters");
    for (int i = 0; i < f->rows; i++)
        ts_case_params(f->sweep, 0, i, &f->all[i]);
    f->params = f->all[0];
    f->spec = (ts_training_spec){.params = &f->params, .count = 1, .data = f->data};
    f->unit = (ts_training_spec){.params = f->all, .count = f->rows, .data = f->data};
    f->params.schema->model->layout(&f->params, &f->layout);
    f->parameters = f->layout.total;
    f->initial = ts_alloc((size_t)f->parameters * sizeof(float), "weights");
    f->params.schema->model->initialise(&f->params, f->initial);
}

static inline void support_close(support_instance *f) {
    ts_free(f->initial);
    ts_free(f->all);
    ts_data_free(f->data);
    ts_sweep_free(f->sweep);
}

// A measure that is one number, of weights (in the model's layout) after `step` updates.
static inline double support_measure_of(const ts_params *params, const ts_data *data, const float *weights,
                                        int64_t step, const char *name) {
    ts_measures m = ts_measures_of(params, data);
    double *out = ts_alloc((size_t)ts_measures_total(params, data) * sizeof *out, "measures");
    assert_int_equal(ts_measure_weights(params, data, weights, step, TS_MEASURE_BEFORE_LAST, NULL, out), TS_OK);
    assert_true(ts_measures_find(&m, name));
    double value = out[m.offset];
    ts_free(out);
    return value;
}

// What of a backend trains instances like this one; NULL: it cannot.
static inline const ts_engine *support_engine(const ts_backend *backend, const ts_params *params) {
    return ts_backend_engine(backend, params, NULL);
}

// Bytes of the heap that are taken, to see what stays behind.
static inline size_t support_in_use(void) {
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    return mallinfo2().uordblks;
#else
    return 0; // the sanitizers' allocators do not tell
#endif
}

// Fails, printing both, unless |a - b| <= relative * max(|a|, |b|) + absolute.
#define assert_close(a, b, relative, absolute)                                                                         \
    do {                                                                                                               \
        double left_ = (a), right_ = (b);                                                                              \
        double scale_ = fabs(left_) > fabs(right_) ? fabs(left_) : fabs(right_);                                       \
        if (!(fabs(left_ - right_) <= (relative)*scale_ + (absolute)))                                                 \
            fail_msg("%s = %.17g, %s = %.17g", #a, left_, #b, right_);                                                 \
    } while (0)

// P (n, n), row-major: the projector onto the functions of an irrep, orthogonal where elements count by weight (NULL:
// once each).
static inline void support_projector(const ts_symmetry *symmetry, int r, const double *weight, double *projector) {
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
