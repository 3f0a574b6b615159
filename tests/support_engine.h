// For tests that take the backend as an argument: a program of such tests tries each of them on every backend of
// ts_backends that runs here, or on those that its arguments name, with every engine of it that can train the
// instances.
#pragma once

#include "backend/cpu.h"
#ifdef TS_HAVE_CUDA
#include "backend/cuda_autoencoder.h"
#endif
#include "model/optimiser.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// --- What is tested ---

// A way in which a backend can be set; those of a backend with equal `bits` have to give equal bits.
typedef struct support_setting {
    const char *backend, *name;
    const char *model; // that it makes a difference for; NULL: all (as the first of a backend)
    int bits;
} support_setting;

static const support_setting SUPPORT_SETTINGS[] = {
    {"cpu", "avx512", NULL, 0},
    {"cpu", "avx2", NULL, 0},
    {"cpu", "portable", NULL, 1},
    // What the autoencoder keeps off chip: what does not fit, moments, everything.
    {"cuda", "0", NULL, 0},
    {"cuda", "1", "autoencoder", 0},
    {"cuda", "2", "autoencoder", 0},
};
enum { SUPPORT_SETTINGS_COUNT = sizeof SUPPORT_SETTINGS / sizeof *SUPPORT_SETTINGS };

// NULL: as the backend is by itself. False: not on this machine.
static inline bool support_set(const support_setting *setting) {
    unsetenv("TOYSWEEP_KERNELS");
#ifdef TS_HAVE_CUDA
    ts_cuda_autoencoder_place(setting && strcmp(setting->backend, "cuda") == 0 ? atoi(setting->name) : 0);
#endif
    if (!setting || strcmp(setting->backend, "cpu") != 0)
        return true;
    setenv("TOYSWEEP_KERNELS", setting->name, 1);
    return ts_cpu_kernels_named(setting->name) != NULL;
}

typedef struct support_tested {
    const ts_backend *backend;
    const support_setting *setting; // NULL: none
    int engine;                     // which of those that can train an instance: 0 is the backend's choice
    char name[128];                 // of the test
} support_tested;

static inline bool support_concerns(const support_setting *setting, const ts_backend *backend,
                                    const ts_params *params) {
    return strcmp(setting->backend, backend->name) == 0 &&
           (!setting->model || strcmp(setting->model, params->schema->model->name) == 0);
}

// The engine that is tested with such instances; NULL: none.
static inline const ts_engine *support_tested_engine(void *const *state, const ts_params *params) {
    const support_tested *tested = *state;
    int before = tested->engine;
    if (tested->setting && !support_concerns(tested->setting, tested->backend, params))
        return NULL;
    for (const ts_engine *const *engine = tested->backend->engines; *engine; engine++)
        if (!ts_engine_refuses(*engine, params) && before-- == 0)
            return *engine;
    return NULL;
}

// The most engines that a backend has for one model.
static inline int support_engines(const ts_backend *backend) {
    int most = 0;
    for (const ts_model *const *model = ts_models; *model; model++) {
        int count = 0;
        for (const ts_engine *const *engine = backend->engines; *engine; engine++)
            count += !(*engine)->model || strcmp((*engine)->model, (*model)->name) == 0;
        most = count > most ? count : most;
    }
    return most;
}

static inline const ts_engine *support_reference(const ts_params *params) {
    return support_engine(ts_backend_find("reference"), params);
}

// Who has to keep a promise beside the backend as it is by itself, with the engine that it chooses.
typedef enum support_who {
    SUPPORT_BACKEND,
    SUPPORT_SETTINGS_TOO, // each of the backend's
    SUPPORT_ENGINES_TOO,  // each that can train the instances
    SUPPORT_ALL,          // each engine in each setting
} support_who;

// A promise, of every backend or of one.
typedef struct support_promise {
    const char *name;
    void (*test)(void **state);
    support_who who;
    const char *backend; // NULL: all
} support_promise;

static inline int support_set_up(void **state) {
    const support_tested *tested = *state;
    return support_set(tested->setting) ? 0 : -1;
}

static inline int support_tear_down(void **state) {
    (void)state;
    return support_set(NULL) ? 0 : -1;
}

static inline bool support_is_wanted(const ts_backend *backend, int argc, char **argv) {
    bool wanted = argc < 2;
    for (int i = 1; i < argc; i++)
        wanted = wanted || strcmp(argv[i], backend->name) == 0;
    if (wanted && backend->probe() != TS_OK)
        printf("left out: the backend %s does not run here: %s\n", backend->name, ts_message());
    return wanted && backend->probe() == TS_OK;
}

// The promise with one engine of a backend, once or in each of its settings. Returns how many tests that makes.
static inline int support_add_engine(const support_promise *promise, const ts_backend *backend, int engine,
                                     struct CMUnitTest *tests, support_tested *tested) {
    bool settings = promise->who == SUPPORT_SETTINGS_TOO || promise->who == SUPPORT_ALL;
    char which[32] = "";
    int n = 0;
    if (engine > 0)
        snprintf(which, sizeof which, " engine %d", engine + 1);
    for (int s = 0; s <= SUPPORT_SETTINGS_COUNT; s++) {
        const support_setting *setting = s < SUPPORT_SETTINGS_COUNT ? &SUPPORT_SETTINGS[s] : NULL;
        if (setting ? !settings || strcmp(setting->backend, backend->name) != 0 : n > 0)
            continue;
        if (setting && setting->model && engine > 0) // it is of the model's own engine, the first
            continue;
        if (!support_set(setting)) {
            printf("left out: this processor has no %s\n", setting->name);
            continue;
        }
        tested[n] = (support_tested){.backend = backend, .setting = setting, .engine = engine};
        snprintf(tested[n].name, sizeof tested[n].name, "%s %s%s: %s", backend->name, setting ? setting->name : "",
                 which, promise->name);
        tests[n] = (struct CMUnitTest){.name = tested[n].name,
                                       .test_func = promise->test,
                                       .setup_func = support_set_up,
                                       .teardown_func = support_tear_down,
                                       .initial_state = &tested[n]};
        n++;
    }
    support_set(NULL);
    return n;
}

static inline int support_add(const support_promise *promise, const ts_backend *backend, struct CMUnitTest *tests,
                              support_tested *tested) {
    bool every = promise->who == SUPPORT_ENGINES_TOO || promise->who == SUPPORT_ALL;
    int n = 0;
    if (promise->backend && strcmp(promise->backend, backend->name) != 0)
        return 0;
    for (int e = 0; e < (every ? support_engines(backend) : 1); e++)
        n += support_add_engine(promise, backend, e, tests + n, tested + n);
    return n;
}

// main() of a program of such tests; arguments: names of backends (default: all).
static inline int support_run(const support_promise *promises, int count, int argc, char **argv) {
    enum { MOST = 256 };
    static struct CMUnitTest tests[MOST];
    static support_tested tested[MOST];
    int n = 0;
    for (int b = 0; ts_backends[b]; b++)
        for (int p = 0; p < count && support_is_wanted(ts_backends[b], argc, argv); p++)
            if (n + SUPPORT_SETTINGS_COUNT * support_engines(ts_backends[b]) < MOST)
                n += support_add(&promises[p], ts_backends[b], tests + n, tested + n);
            else
                return fprintf(stderr, "more than %d tests\n", MOST);
    return n == 0 ? 1 : _cmocka_run_group_tests(argv[0], tests, (size_t)n, NULL, NULL);
}

#define SUPPORT_RUN(promises, argc, argv)                                                                              \
    support_run(promises, (int)(sizeof(promises) / sizeof *(promises)), argc, argv)

// --- Sweeps ---

// Small, of every model, in several forms of the kernels; steps and learning rates are to come.
static const char *const SUPPORT_SHORT[] = {
    "task: tree\ndepth: 2\nhidden: 3\nbatch: 16\n",
    "task: independent\nfeatures: 20\nfeature_probability: 0.3\nbatch: 8\nhidden: 5\n",
    "task: group\ngroup: S3\nembed: 5\nhidden: 9\ntrain_fraction: 0.7\n",
    "task: group\ngroup: C5\nembed: 5\nhidden: 130\ntrain_fraction: 0.5\nweight_decay: 0\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\n",
    "task: group\ngroup: S3\nmodel: transformer\nd_model: 6\nd_head: 3\nd_mlp: 40\nweight_decay: 0\n",
};
enum { SUPPORT_SHORTS = sizeof SUPPORT_SHORT / sizeof *SUPPORT_SHORT };

// --- Trainings and their states ---

// Parts of a state, of `parameters` numbers each: weights, and what the optimiser keeps of each of them.
static inline size_t support_parts(const ts_params *params) {
    return (size_t)ts_optimiser_parts(params);
}

// A training, and how its states lie.
typedef struct support_training {
    const ts_engine *engine;
    void *handle;
    int count;    // instances
    size_t bytes; // of a state
    size_t parameters;
    size_t numbers; // of a state: (parts, parameters)
    size_t width;   // bytes of a number
} support_training;

static inline void support_create(const ts_engine *engine, const ts_training_spec *spec, support_training *t) {
    ts_parameter_layout layout;
    spec->params->schema->model->layout(spec->params, &layout);
    *t = (support_training){.engine = engine, .count = spec->count, .parameters = (size_t)layout.total};
    if (engine->create(spec, &t->handle) != TS_OK)
        fail_msg("%s", ts_message());
    t->bytes = engine->state_bytes(t->handle);
    t->numbers = support_parts(spec->params) * t->parameters;
    t->width = t->bytes / t->numbers;
    assert_int_equal(t->bytes, t->numbers * t->width);
    assert_true(t->width == sizeof(float) || t->width == sizeof(double));
}

static inline void support_destroy(support_training *t) {
    t->engine->destroy(t->handle);
}

// To step `to`, which all instances have to reach.
static inline void support_advance(support_training *t, int64_t from, int64_t to) {
    int64_t *reached = ts_alloc((size_t)t->count * sizeof *reached, "steps");
    for (int i = 0; i < t->count; i++)
        reached[i] = from;
    assert_int_equal(t->engine->train(t->handle, from, to, reached), TS_OK);
    for (int i = 0; i < t->count; i++)
        if (reached[i] != to)
            fail_msg("instance %d stopped at step %d", i, (int)reached[i]);
    ts_free(reached);
}

static inline double support_number(const char *state, size_t index, size_t width) {
    float narrow;
    double wide;
    memcpy(&narrow, state + index * width, sizeof narrow);
    memcpy(&wide, state + index * width, width == sizeof wide ? sizeof wide : 0);
    return width == sizeof wide ? wide : (double)narrow;
}

// A state in double precision, whatever the engine's, from and to a training's; values: (parts, parameters).
static inline void support_get(const support_training *t, int instance, double *values) {
    char *state = ts_alloc(t->bytes, "a state");
    assert_int_equal(t->engine->get_state(t->handle, instance, state), TS_OK);
    for (size_t k = 0; k < t->numbers; k++)
        values[k] = support_number(state, k, t->width);
    ts_free(state);
}

static inline void support_put(support_training *t, int instance, const double *values) {
    char *state = ts_alloc(t->bytes, "a state");
    for (size_t k = 0; k < t->numbers; k++) {
        float narrow = (float)values[k];
        memcpy(state + k * t->width, t->width == sizeof narrow ? (const void *)&narrow : &values[k], t->width);
    }
    assert_int_equal(t->engine->set_state(t->handle, instance, state), TS_OK);
    ts_free(state);
}

// Whether all is finite; of the weights, as float32.
static inline bool support_is_finite(const char *state, const support_training *t) {
    bool finite = true;
    for (size_t k = 0; k < t->numbers; k++) {
        double number = support_number(state, k, t->width);
        finite = finite && isfinite(k < t->parameters ? (float)number : number);
    }
    return finite;
}

// Weights after `steps` steps from the initial ones.
static inline void support_train(const ts_engine *engine, const ts_params *params, const ts_data *data, int64_t steps,
                                 float *weights) {
    ts_training_spec spec = {.params = params, .count = 1, .data = data};
    support_training t;
    support_create(engine, &spec, &t);
    support_advance(&t, 0, steps);
    assert_int_equal(engine->get_parameters(t.handle, 0, weights), TS_OK);
    support_destroy(&t);
}

// The way from an instance's initial weights to those expected, and how far from these `found` is; both (parameters).
// (Adam's first steps are lr * sign(g): single weights differ by 2 lr where g is rounding noise.)
static inline double support_way(const ts_params *params, const float *found, const float *expected, int64_t parameters,
                                 double *error) {
    float *initial = ts_alloc((size_t)parameters * sizeof *initial, "weights");
    double way = 0, square = 0;
    params->schema->model->initialise(params, initial);
    for (int64_t p = 0; p < parameters; p++) {
        square += pow((double)found[p] - expected[p], 2);
        way += pow((double)initial[p] - expected[p], 2);
    }
    *error = sqrt(square);
    ts_free(initial);
    return sqrt(way);
}
