// What every engine promises of the instances that it trains together, tried on every backend that there is: their
// bits depend on nothing else, whoever stops; states go in and out; no memory is no harm.
//   test_engine_units [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "support_engine.h"

#ifdef TS_EMULATE
enum { STEPS = 6, LONG = 8 };
#else
enum { STEPS = 30, LONG = 300 };
#endif

// Twelve instances: eight of them diverge, soon or late.
#define KEYS                                                                                                           \
    "zip:\n  seed: 0..11\n  lr: [1e-3, 1e30, 1e-2, 1, 1e2, 1e4, 3e-3, 1e8, 1e12, 1e16, 1e24, 1e-3]\n"                  \
    "  schedule: [constant, linear, linear, cosine, constant, constant, cosine, linear, constant, "                    \
    "constant, constant, constant]\n  beta1: [0.9, 0.9, 0.5, 0.9, 0, 0.9, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9]\n"
enum { INSTANCES = 12 };

// The shapes of support_engine.h, other forms of batches and kernels, and all that there is of updates.
static const char *const MORE[] = {
    "task: one_hot\nfeatures: 11\nhidden: 5\ntied: false\nhidden_activation: relu\nl1: 0.01\nsamples: 16\n",
    "task: independent\nfeatures: 9\nhidden: 4\ntarget: abs\nvalues: [-1, 1]\nbias: false\nbatch: 20\n",
    "task: tree\ndepth: 4\nhidden: 13\nbatch: exact\nimportance: {base: 0.9}\n",
    "task: independent\nfeatures: 9\nhidden: 4\nbatch: 30\nbinary: true\nfeature_probability: 0.1\n",
    "task: group\ngroup: S3\nembed: 5\nhidden: 66\ntrain_fraction: 0.7\n",
    "task: group\ngroup: C13\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 4\nd_mlp: 9\n",
    "task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: muon\ngrokfast: true\northograd: true\n",
};
enum { MORE_OF_THEM = sizeof MORE / sizeof *MORE };

// What the CPU trains in lanes: inputs that are in all batches and that are not, listed ones that are no binary tree.
#ifdef TS_EMULATE
enum { IN_LANES = 0 };
static const char *const LANES[] = {NULL};
#else
static const char *const LANES[] = {
    "task: tree\ndepth: 3\nhidden: 5\nimportance: {base: 0.9}\n",
    "task: tree\ndepth: 4\nhidden: 7\nbatch: 90\n",
    "task: tree\ndepth: 3\nhidden: 3\nearly_stopping: false\nbatch: 300\n",
    "task: tree\ndepth: 2\nbranching: 3\nhidden: 4\nbatch: 21\n",
    "task: tree\ndepth: 1\nhidden: 1\nbatch: exact\n",
    "task: one_hot\nfeatures: 9\nhidden: 6\nbatch: 70\noptimizer: adamw\nweight_decay: 0.1\n",
};
enum { IN_LANES = sizeof LANES / sizeof *LANES };
#endif
enum { UNITS = SUPPORT_SHORTS + MORE_OF_THEM + IN_LANES };

static const char *sweep_of(int unit) {
    return unit < SUPPORT_SHORTS                  ? SUPPORT_SHORT[unit]
           : unit < SUPPORT_SHORTS + MORE_OF_THEM ? MORE[unit - SUPPORT_SHORTS]
                                                  : LANES[unit - SUPPORT_SHORTS - MORE_OF_THEM];
}

typedef void on_unit(const ts_engine *engine, support_instance *f, const char *sweep);

// Of the many small kernels of any network the emulator takes long.
static bool is_slow(const support_tested *tested, const support_instance *f) {
#ifdef TS_EMULATE
    return tested->engine > 0 && strcmp(f->params.schema->model->name, "transformer") == 0 && f->data->table->n > 5;
#else
    (void)tested;
    (void)f;
    return false;
#endif
}

static void on_units(void **state, int first, on_unit check) {
    for (int k = first; k < (int)UNITS; k++) {
        const char *sweep = sweep_of(k);
        char text[1024];
        support_instance f;
        snprintf(text, sizeof text, "%ssteps: %d\n%s", sweep, LONG, KEYS);
        support_open(&f, text);
        assert_int_equal(f.rows, INSTANCES);
        const ts_engine *engine = support_tested_engine(state, &f.params);
        if (engine && !is_slow(*state, &f))
            check(engine, &f, sweep);
        support_close(&f);
    }
}

static void on_every_unit(void **state, on_unit check) {
    on_units(state, 0, check);
}

// --- States ---

static void check_start(const ts_engine *engine, support_instance *f, const char *sweep) {
    size_t n = (size_t)f->parameters;
    support_training t;
    support_create(engine, &f->unit, &t);
    double *values = ts_alloc(t.numbers * sizeof *values, "a state");
    float *weights = ts_alloc(n * sizeof *weights, "weights");
    for (int i = 0; i < f->rows; i++) {
        f->params.schema->model->initialise(&f->all[i], f->initial);
        support_get(&t, i, values);
        assert_int_equal(engine->get_parameters(t.handle, i, weights), TS_OK);
        for (size_t p = 0; p < t.numbers; p++)
            if (values[p] != (p < n ? (double)f->initial[p] : 0) || (p < n && weights[p] != f->initial[p]))
                fail_msg("instance %d begins with %g as number %zu, initially %g, for: %s", i, values[p], p,
                         p < n ? (double)f->initial[p] : 0, sweep);
    }
    support_destroy(&t);
    ts_free(values);
    ts_free(weights);
}

static void test_trainings_start_from_initial_weights(void **state) {
    on_every_unit(state, check_start);
}

static void assert_follows(const support_instance *f, const ts_params *params, const float *found, int64_t steps,
                           const char *sweep) {
    float *expected = ts_alloc((size_t)f->parameters * sizeof *expected, "weights");
    support_train(support_reference(params), params, f->data, steps, expected);
    double error, way = support_way(params, found, expected, f->parameters, &error);
    if (!(error <= 2e-4 * way))
        fail_msg("error %g of a way of %g for: %s", error, way, sweep);
    ts_free(expected);
}

// Begun on one engine and ended on the other, the weights are those of the reference: states are (parts, parameters)
// numbers in the model's layout, on every engine.
static void move(const ts_engine *first, const ts_engine *last, const support_instance *f, const char *sweep) {
    support_training begun, ended;
    float *found = ts_alloc((size_t)f->parameters * sizeof *found, "weights");
    support_create(first, &f->spec, &begun);
    support_create(last, &f->spec, &ended);
    assert_int_equal(begun.numbers, ended.numbers);
    double *values = ts_alloc(begun.numbers * sizeof *values, "a state");
    support_advance(&begun, 0, STEPS / 2);
    support_get(&begun, 0, values);
    support_put(&ended, 0, values);
    support_advance(&ended, STEPS / 2, STEPS);
    assert_int_equal(last->get_parameters(ended.handle, 0, found), TS_OK);
    assert_follows(f, &f->params, found, STEPS, sweep);
    support_destroy(&begun);
    support_destroy(&ended);
    ts_free(values);
    ts_free(found);
}

static void check_moves(const ts_engine *engine, support_instance *f, const char *sweep) {
    move(engine, support_reference(&f->params), f, sweep);
    move(support_reference(&f->params), engine, f, sweep);
}

static void test_states_move_between_engines(void **state) {
    on_every_unit(state, check_moves);
}

// --- Cuts, neighbours ---

// How far the instances get, and the states they end with, in calls of train() to stops[1], ..., the last; `anew`: with
// each call in a training of its own, with the states of the one before. Those that go on have to be finite.
static void train_in_cuts(const ts_engine *engine, const ts_training_spec *spec, const int64_t *stops, bool anew,
                          int64_t *reached, char *states) {
    support_training t;
    support_create(engine, spec, &t);
    char *back = ts_alloc(t.bytes, "a state");
    memset(reached, 0, (size_t)spec->count * sizeof *reached);
    for (int k = 0; stops[k + 1] > 0; k++) {
        for (int i = 0; anew && k > 0 && i < spec->count; i++) {
            char *state = states + (size_t)i * t.bytes;
            assert_int_equal(engine->set_state(t.handle, i, state), TS_OK);
            assert_int_equal(engine->get_state(t.handle, i, back), TS_OK);
            assert_memory_equal(back, state, t.bytes);
        }
        assert_int_equal(engine->train(t.handle, stops[k], stops[k + 1], reached), TS_OK);
        for (int i = 0; i < spec->count; i++) {
            char *state = states + (size_t)i * t.bytes;
            assert_int_equal(engine->get_state(t.handle, i, state), TS_OK);
            if (reached[i] == stops[k + 1] && !support_is_finite(state, &t))
                fail_msg("instance %d goes on from step %d, and is not finite", i, (int)reached[i]);
        }
        if (anew) {
            support_destroy(&t);
            support_create(engine, spec, &t);
        }
    }
    ts_free(back);
    support_destroy(&t);
}

static void assert_same(const char *how, int instance, int64_t found, int64_t expected, const char *state,
                        const char *expected_state, size_t bytes, const char *sweep) {
    if (found != expected || memcmp(state, expected_state, bytes) != 0)
        fail_msg("%s, instance %d gets to step %d with %s bits, else to step %d, for: %s", how, instance, (int)found,
                 memcmp(state, expected_state, bytes) != 0 ? "other" : "the same", (int)expected, sweep);
}

static void check_bits(const ts_engine *engine, support_instance *f, const char *sweep) {
    static const int64_t WHOLE[] = {0, STEPS, 0}, SINGLE[] = {0, 1, 2, 3, 4, 5, STEPS, 0},
                         UNEVEN[] = {0, 3, 4, STEPS, 0};
    int64_t expected[INSTANCES], found[INSTANCES];
    ts_params reversed[INSTANCES];
    ts_training_spec backwards = {.params = reversed, .count = INSTANCES, .data = f->data};
    support_training t;
    support_create(engine, &f->spec, &t);
    support_destroy(&t);
    char *states = ts_alloc_zero(INSTANCES, t.bytes, "states"), *others = ts_alloc_zero(INSTANCES, t.bytes, "states");
    train_in_cuts(engine, &f->unit, WHOLE, false, expected, states);
    train_in_cuts(engine, &f->unit, SINGLE, true, found, others);
    for (int i = 0; i < INSTANCES; i++)
        assert_same("in single steps", i, found[i], expected[i], others + (size_t)i * t.bytes,
                    states + (size_t)i * t.bytes, t.bytes, sweep);
    for (int i = 0; i < INSTANCES; i++)
        reversed[i] = f->all[INSTANCES - 1 - i];
    train_in_cuts(engine, &backwards, UNEVEN, false, found, others);
    for (int i = 0; i < INSTANCES; i++)
        assert_same("in reversed order", i, found[INSTANCES - 1 - i], expected[i],
                    others + (size_t)(INSTANCES - 1 - i) * t.bytes, states + (size_t)i * t.bytes, t.bytes, sweep);
    for (int i = 0; i < INSTANCES; i += 5) {
        ts_training_spec alone = {.params = f->all + i, .count = 1, .data = f->data};
        train_in_cuts(engine, &alone, UNEVEN, true, found, others);
        assert_same("alone", i, found[0], expected[i], others, states + (size_t)i * t.bytes, t.bytes, sweep);
    }
    int ended = 0;
    float *weights = ts_alloc((size_t)f->parameters * sizeof *weights, "weights");
    for (int i = 0; i < INSTANCES; i++) {
        ended += expected[i] < STEPS;
        if (ts_params_real(&f->all[i], "lr") > 0.1)
            continue;
        assert_int_equal(expected[i], STEPS);
        for (int64_t p = 0; p < f->parameters; p++)
            weights[p] = (float)support_number(states + (size_t)i * t.bytes, (size_t)p, t.width);
        assert_follows(f, &f->all[i], weights, STEPS, sweep);
    }
    if (t.width == sizeof(float) && ended < 4) // the range of double is larger
        fail_msg("%d of %d instances have diverged for: %s", ended, INSTANCES, sweep);
    ts_free(weights);
    ts_free(states);
    ts_free(others);
}

static void test_bits_depend_on_the_instance_alone(void **state) {
    on_every_unit(state, check_bits);
}

static void test_bits_do_so_in_lanes(void **state) {
    on_units(state, UNITS - IN_LANES, check_bits);
}

// --- Numbers that fade away ---

#ifdef __x86_64__
// Late in training there are many of them; as subnormal ones they would make steps several times as long.
static void check_fading(const ts_engine *engine, const support_instance *f) {
    support_training t;
    volatile float small = 2e-38F;
    support_create(engine, &f->spec, &t);
    double *values = ts_alloc(t.numbers * sizeof *values, "a state");
    support_get(&t, 0, values);
    for (size_t p = (size_t)f->parameters; p < t.numbers; p++)
        values[p] = small;
    support_put(&t, 0, values);
    support_advance(&t, 0, 40);
    support_get(&t, 0, values);
    for (size_t p = 0; p < t.numbers; p++)
        if (fpclassify((float)values[p]) == FP_SUBNORMAL)
            fail_msg("number %zu is %g", p, values[p]);
    assert_int_equal(fpclassify(small / 2), FP_SUBNORMAL); // measures still have them
    support_destroy(&t);
    ts_free(values);
}
#endif

static void test_fading_numbers_become_zero(void **state) {
#ifdef __x86_64__
    static const char *const SWEEPS[] = {
        "task: group\ngroup: C5\nembed: 4\nhidden: 6\nsteps: 200\n",
        "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\nsteps: 200\n",
    };
    for (size_t k = 0; k < sizeof SWEEPS / sizeof *SWEEPS; k++) {
        support_instance f;
        support_open(&f, SWEEPS[k]);
        const ts_engine *engine = support_tested_engine(state, &f.params);
        if (engine)
            check_fading(engine, &f);
        support_close(&f);
    }
#else
    (void)state;
    skip();
#endif
}

// --- Without memory ---

// Bytes that are in use after a creation whose n-th allocation is refused and were not before.
static size_t left_by_refusal(const ts_engine *engine, const support_instance *f, int64_t n, const char *sweep,
                              bool *refused) {
    void *handle = NULL;
    size_t before = support_in_use();
    ts_alloc_fail_at(n);
    ts_status status = engine->create(&f->unit, &handle);
    ts_alloc_fail_at(0);
    *refused = status != TS_OK;
    if (status == TS_OK)
        engine->destroy(handle);
    else if (status != TS_ERROR_MEMORY || handle)
        fail_msg("without allocation %d: status %d, for: %s", (int)n, (int)status, sweep);
    return support_in_use() - before;
}

// Without the n-th allocation and those after it: nothing is left. False: a training does without them.
static bool is_refused(const ts_engine *engine, support_instance *f, int64_t n, const char *sweep) {
    enum { TIMES = 4 };
    bool refused;
    // What a GPU's driver keeps for itself is made now and then; what is lost is lost every time.
    size_t left = left_by_refusal(engine, f, n, sweep, &refused);
    for (int time = 1; left != 0 && time < TIMES; time++)
        left = left_by_refusal(engine, f, n, sweep, &refused);
    if (left != 0)
        fail_msg("without allocation %d: %zu bytes are left in use, for: %s", (int)n, left, sweep);
    return refused;
}

// All of the first and of the last; between them, of the many of a network that is rewritten, more and more apart.
static void check_refusals(const ts_engine *engine, support_instance *f, const char *sweep) {
    enum { ALL = 24 };
    support_training t;
    int64_t n = 1;
    support_create(engine, &f->unit, &t); // with what is made but once
    support_destroy(&t);
    while (is_refused(engine, f, n, sweep))
        n += 1 + n / ALL;
    assert_true(n > 2);
    for (int64_t end = n; n > 0 && n > end - 2 * ALL; n--)
        is_refused(engine, f, n, sweep);
}

static void test_a_refused_allocation_leaves_nothing(void **state) {
    on_every_unit(state, check_refusals);
}

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"bits_depend_on_the_instance_alone", test_bits_depend_on_the_instance_alone, SUPPORT_ENGINES_TOO, NULL},
        {"bits_do_so_in_lanes", test_bits_do_so_in_lanes, SUPPORT_SETTINGS_TOO, "cpu"},
        {"trainings_start_from_initial_weights", test_trainings_start_from_initial_weights, SUPPORT_ENGINES_TOO, NULL},
        {"states_move_between_engines", test_states_move_between_engines, SUPPORT_ENGINES_TOO, NULL},
        {"fading_numbers_become_zero", test_fading_numbers_become_zero, SUPPORT_ENGINES_TOO, "cpu"},
        {"a_refused_allocation_leaves_nothing", test_a_refused_allocation_leaves_nothing, SUPPORT_ENGINES_TOO, NULL},
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
