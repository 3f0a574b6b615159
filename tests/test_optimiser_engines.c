// Every optimiser with every switch: its float32 form on the CPU against the double one, and trained by every engine
// that has it, on every backend.
//   test_optimiser_engines [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "backend/cpu_optimiser.h"
#include "model/muon.h"
#include "support_engine.h"

#if defined __SANITIZE_THREAD__ // is slow, and what races shows in one step
enum { FOLLOWED = 2, STEPS = 1, UNTIL = 2, FEW = 2, MANY = 3, SWITCHES_APART = 3 };
#elif defined TS_EMULATE
enum { FOLLOWED = 4, STEPS = 3, UNTIL = 3, FEW = 3, MANY = 7, SWITCHES_APART = 3 }; // none and all
#else
enum { FOLLOWED = 6, STEPS = 12, UNTIL = 8, FEW = 7, MANY = 64, SWITCHES_APART = 1 };
#endif

// Of the transformer Muon steps matrices wide and tall, several of one shape at once, and single ones.
static const char *const LEARNED[] = {
    "task: tree\ndepth: 2\nhidden: 3\nbatch: 16\n",
    "task: group\ngroup: S3\nembed: 20\nhidden: 9\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 40\n",
};
static const char *const SWITCHES[] = {
    "",
    "grokfast: true\ngrokfast_alpha: 0.75\n",
    "orthograd: true\n",
    "grokfast: true\ngrokfast_lambda: 0.5\northograd: true\nwarmup: 3\nschedule: cosine\n",
};
enum { LEARNERS = sizeof LEARNED / sizeof *LEARNED, SWITCHED = sizeof SWITCHES / sizeof *SWITCHES };

typedef void on_instance(void **state, support_instance *f, const char *text);

// `more`: other keys, for optimiser o.
static void each_combination(void **state, on_instance *test, void (*more)(const ts_optimiser *o, char *keys)) {
    for (int l = 0; l < LEARNERS; l++)
        for (int o = 0; ts_optimisers[o]; o++)
            for (int s = 0; s < SWITCHED; s += SWITCHES_APART) {
                support_instance f;
                char text[2048], keys[1024];
                more(ts_optimisers[o], keys);
                snprintf(text, sizeof text, "%soptimizer: %s\n%s%s", LEARNED[l], ts_optimisers[o]->name, SWITCHES[s],
                         keys);
                support_open(&f, text);
                test(state, &f, text);
                support_close(&f);
            }
}

static void usual_keys(const ts_optimiser *o, char *keys) {
    (void)o;
    strcpy(keys, "weight_decay: 0.125\nlr: 0.01\nsteps: 20\n");
}

// --- Updates in float32 ---

static double gradient_at(int t, int i) {
    return ((i * 29 + t * 17 + 5) % 31 - 15) / 8.0;
}

// Updates in float32, with any gradients; state: (parts, padded), with zeros in its pads.
typedef struct narrow {
    ts_padded_layout layout;
    float *state, *gradient, *scratch;
    ts_adam adam;
} narrow;

static void open_narrow(const support_instance *f, narrow *n) {
    ts_padded_layout_make(&f->params, TS_VECTOR_LANES, &n->layout);
    n->state = ts_alloc_zero(ts_padded_state_floats(&n->layout), sizeof(float), "a state");
    n->gradient = ts_alloc_zero((size_t)n->layout.padded, sizeof(float), "a gradient");
    n->scratch = ts_alloc(ts_cpu_optimiser_scratch(&f->params, &n->layout) * sizeof(float), "scratch");
    n->adam = (ts_adam){0};
    ts_padded_unpack(&n->layout, 1, f->initial, n->state);
}

static void close_narrow(narrow *n) {
    ts_free(n->state);
    ts_free(n->gradient);
    ts_free(n->scratch);
}

// `count` updates, of which the first is number 0; packed (parts, parameters) gets the state, and pads are looked at.
static void update_narrow(const support_instance *f, narrow *n, const ts_kernels *kernels, int count, float *packed) {
    float *gradient = ts_alloc((size_t)f->parameters * sizeof *gradient, "a gradient");
    const ts_cpu_instance of = {&f->params, kernels, &n->layout, &n->adam, n->state, n->gradient, n->scratch};
    ts_cpu_updates updates;
    ts_cpu_updates_begin(&updates, &of, 0);
    for (int t = 0; t < count; t++) {
        for (int i = 0; i < f->parameters; i++)
            gradient[i] = (float)gradient_at(t, i);
        ts_padded_unpack(&n->layout, 1, gradient, n->gradient);
        assert_true(ts_cpu_update(&updates));
    }
    ts_padded_pack(&n->layout, n->layout.parts, n->state, packed);
    size_t padded = ts_padded_state_floats(&n->layout), held = 0, inside = 0;
    for (size_t i = 0; i < padded; i++)
        held += n->state[i] != 0;
    for (size_t i = 0; i < ts_packed_state_floats(&n->layout); i++)
        inside += packed[i] != 0;
    assert_int_equal(held, inside);
    ts_free(gradient);
}

static void update_wide(const support_instance *f, int count, double *numbers) {
    const ts_optimiser *optimiser = ts_optimiser_of(&f->params);
    double *gradient = ts_alloc((size_t)f->parameters * sizeof *gradient, "a gradient");
    double *scratch = ts_alloc((optimiser->scratch ? optimiser->scratch(&f->layout) : 0) * sizeof *scratch, "scratch");
    void *memory = ts_alloc_zero(1, optimiser->memory, "memory");
    for (int i = 0; i < f->parameters; i++)
        numbers[i] = (double)f->initial[i];
    for (int t = 0; t < count; t++) {
        const ts_update update = {&f->params, &f->layout, t, memory, scratch};
        for (int i = 0; i < f->parameters; i++)
            gradient[i] = gradient_at(t, i);
        ts_optimiser_update(&update, gradient, numbers);
    }
    ts_free(memory);
    ts_free(scratch);
    ts_free(gradient);
}

static void compare_updates(void **state, support_instance *f, const char *text) {
    enum { COUNT = 5 };
    (void)state;
    if (ts_cpu_optimiser_can(&f->params))
        return;
    size_t numbers = (size_t)ts_optimiser_parts(&f->params) * (size_t)f->parameters;
    double *wide = ts_alloc_zero(numbers, sizeof *wide, "a state");
    float *first = NULL;
    update_wide(f, COUNT, wide);
    for (int s = 0; ts_cpu_kernel_names[s]; s++) {
        const ts_kernels *kernels = ts_cpu_kernels_named(ts_cpu_kernel_names[s]);
        if (!kernels)
            continue;
        float *found = ts_alloc(numbers * sizeof *found, "a state");
        narrow n;
        open_narrow(f, &n);
        update_narrow(f, &n, kernels, COUNT, found);
        close_narrow(&n);
        for (size_t i = 0; i < numbers; i++)
            if (fabs((double)found[i] - wide[i]) > 2e-5 * fabs(wide[i]) + 2e-6)
                fail_msg("%s, number %d: %.9g, in double precision %.9g: %s", kernels->name, (int)i, (double)found[i],
                         wide[i], text);
        bool same_bits = first && strcmp(kernels->name, "portable") != 0;
        if (same_bits && memcmp(first, found, numbers * sizeof *found) != 0)
            fail_msg("%s has other bits: %s", kernels->name, text);
        if (first)
            ts_free(found);
        else
            first = found;
    }
    ts_free(first);
    ts_free(wide);
}

static void test_kernels_make_the_updates_in_float32(void **state) {
    each_combination(state, compare_updates, usual_keys);
}

// --- Engines ---

// What engines train is that update of their own gradient: after some steps they are as far from the initial weights as
// the reference, and at the same place.
static void compare_engines(void **state, support_instance *f, const char *text) {
    size_t bytes = (size_t)f->parameters * sizeof(float);
    const ts_engine *engine = support_tested_engine(state, &f->params);
    double error;
    if (!engine)
        return;
    float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
    support_train(support_reference(&f->params), &f->params, f->data, FOLLOWED, expected);
    support_train(engine, &f->params, f->data, FOLLOWED, found);
    double way = support_way(&f->params, found, expected, f->parameters, &error);
    if (!(error <= 1e-3 * way) || way == 0)
        fail_msg("%g of a way of %g apart: %s", error, way, text);
    ts_free(expected);
    ts_free(found);
}

static void test_engines_follow_the_reference(void **state) {
    each_combination(state, compare_engines, usual_keys);
}

// The weights stay, the moments count it.
static void warm_up(void **state, support_instance *f, const char *text) {
    const ts_engine *engine = support_tested_engine(state, &f->params);
    support_training t;
    if (!engine)
        return;
    support_create(engine, &f->spec, &t);
    double *values = ts_alloc(t.numbers * sizeof *values, "a state");
    bool kept = t.numbers == t.parameters, moved = false;
    support_advance(&t, 0, 1);
    support_get(&t, 0, values);
    for (size_t p = 0; p < t.parameters; p++)
        if (values[p] != (double)f->initial[p])
            fail_msg("the first update moves weight %zu: %s", p, text);
    for (size_t p = t.parameters; p < t.numbers; p++)
        kept = kept || values[p] != 0;
    assert_true(kept);
    support_advance(&t, 1, 2);
    support_get(&t, 0, values);
    for (size_t p = 0; p < t.parameters; p++)
        moved = moved || values[p] != (double)f->initial[p];
    assert_true(moved);
    ts_free(values);
    support_destroy(&t);
}

static void test_the_first_update_of_a_warm_up_leaves_the_weights(void **state) {
    for (int o = 0; ts_optimisers[o]; o++) {
        support_instance f;
        char text[256];
        snprintf(text, sizeof text, "task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: %s\nwarmup: 4\n",
                 ts_optimisers[o]->name);
        support_open(&f, text);
        warm_up(state, &f, text);
        support_close(&f);
    }
}

// A state is enough to go on with the same bits, wherever the training is cut.
static void cut_training(void **state, support_instance *f, const char *text) {
    static unsigned random = 1;
    const ts_engine *engine = support_tested_engine(state, &f->params);
    support_training whole, other;
    if (!engine)
        return;
    support_create(engine, &f->spec, &whole);
    support_advance(&whole, 0, STEPS);
    char *expected = ts_alloc(whole.bytes, "a state"), *found = ts_alloc(whole.bytes, "a state");
    assert_int_equal(engine->get_state(whole.handle, 0, expected), TS_OK);
    support_create(engine, &f->spec, &other);
    for (int64_t at = 0; at < STEPS;) {
        random = random * 1103515245 + 12345;
        int64_t to = at + 1 + random / 65536 % 4;
        to = to < STEPS ? to : STEPS;
        support_advance(&other, at, to);
        assert_int_equal(engine->get_state(other.handle, 0, found), TS_OK);
        support_destroy(&other);
        support_create(engine, &f->spec, &other);
        assert_int_equal(engine->set_state(other.handle, 0, found), TS_OK);
        at = to;
    }
    if (memcmp(expected, found, whole.bytes) != 0)
        fail_msg("other bits: %s", text);
    support_destroy(&whole);
    support_destroy(&other);
    ts_free(expected);
    ts_free(found);
}

static void test_states_are_enough_to_go_on(void **state) {
    each_combination(state, cut_training, usual_keys);
}

// Instances of a unit, of which no two have the same keys; some decay by nothing.
static void packed_keys(int count, char *keys) {
    strcpy(keys, "steps: 20\nzip:\n  seed: [");
    for (int i = 0; i < count; i++)
        sprintf(keys + strlen(keys), "%s%d", i ? ", " : "", i);
    strcat(keys, "]\n  lr: [");
    for (int i = 0; i < count; i++)
        sprintf(keys + strlen(keys), "%s%g", i ? ", " : "", 0.001 * (i + 1));
    strcat(keys, "]\n");
}

static void few_keys(const ts_optimiser *o, char *keys) {
    packed_keys(FEW, keys);
    if (o == &ts_optimiser_sgd || o == &ts_optimiser_momentum)
        for (int i = 0; i < FEW; i++)
            sprintf(keys + strlen(keys), "%s%g%s", i ? ", " : "  weight_decay: [", i % 3 == 1 ? 0 : 0.125 + i,
                    i + 1 < FEW ? "" : "]\n");
}

// Bits of an instance alone, and with others.
static void pack(void **state, support_instance *f, const char *text) {
    const ts_engine *engine = support_tested_engine(state, &f->params);
    support_training together, alone;
    int apart = f->rows > FEW ? 9 : 2;
    if (!engine)
        return;
    support_create(engine, &f->unit, &together);
    support_advance(&together, 0, STEPS);
    char *expected = ts_alloc(together.bytes, "a state"), *found = ts_alloc(together.bytes, "a state");
    for (int i = 0; i < f->rows; i += apart) {
        const ts_training_spec one = {.params = &f->all[i], .count = 1, .data = f->data};
        support_create(engine, &one, &alone);
        support_advance(&alone, 0, STEPS);
        assert_int_equal(engine->get_state(alone.handle, 0, expected), TS_OK);
        assert_int_equal(engine->get_state(together.handle, i, found), TS_OK);
        if (memcmp(expected, found, together.bytes) != 0)
            fail_msg("instance %d of %d has other bits alone: %s", i, f->rows, text);
        support_destroy(&alone);
    }
    support_destroy(&together);
    ts_free(expected);
    ts_free(found);
}

static void test_bits_depend_on_the_instance_alone(void **state) {
    each_combination(state, pack, few_keys);
    for (int o = 0; ts_optimisers[o]; o++) {
        support_instance f;
        char text[2048], keys[1024];
        packed_keys(MANY, keys);
        snprintf(text, sizeof text, "%soptimizer: %s\northograd: true\n%s", LEARNED[1], ts_optimisers[o]->name, keys);
        support_open(&f, text);
        assert_int_equal(f.rows, MANY);
        pack(state, &f, text);
        support_close(&f);
    }
}

// --- Divergence ---

enum { RATES = 6 };
static int tried, ended;

static void high_rates(const ts_optimiser *o, char *keys) {
    (void)o;
    strcpy(keys, "weight_decay: 0.125\nlr: [1, 1e6, 1e12, 1e18, 1e24, 1e30]\nsteps: 8\n");
}

// Whatever the learning rate, an instance that reaches the end is finite, and some do not reach it; in float32 at the
// step at which it is so on the processor, or the next one.
static void diverge(void **state, support_instance *f, const char *text) {
    const ts_engine *engine = support_tested_engine(state, &f->params),
                    *other = support_engine(ts_backend_find("cpu"), &f->params);
    support_training t;
    int64_t reached[RATES] = {0}, expected[RATES] = {0};
    if (!engine)
        return;
    assert_int_equal(f->rows, RATES);
    support_create(other, &f->unit, &t);
    assert_int_equal(other->train(t.handle, 0, UNTIL, expected), TS_OK);
    support_destroy(&t);
    support_create(engine, &f->unit, &t);
    char *bytes = ts_alloc(t.bytes, "a state");
    assert_int_equal(engine->train(t.handle, 0, UNTIL, reached), TS_OK);
    for (int i = 0; i < RATES; i++) {
        assert_int_equal(engine->get_state(t.handle, i, bytes), TS_OK);
        if (reached[i] == UNTIL && !support_is_finite(bytes, &t))
            fail_msg("instance %d: done, and not finite: %s", i, text);
        if (t.width == sizeof(float) && llabs(reached[i] - expected[i]) > 1)
            fail_msg("instance %d: to step %d, on the processor to %d: %s", i, (int)reached[i], (int)expected[i], text);
        ended += reached[i] < UNTIL;
        tried++;
    }
    ts_free(bytes);
    support_destroy(&t);
}

static void test_nothing_infinite_is_done(void **state) {
    tried = ended = 0;
    each_combination(state, diverge, high_rates);
    assert_true(tried > 0);
    if (4 * ended <= tried)
        fail_msg("%d of %d instances ended", ended, tried);
}

// Every element of Muon's momentum is in range, and only their length is not: of float32, or of double.
static void test_muon_does_not_stand_still_where_a_length_overflows(void **state) {
    support_instance f;
    support_open(&f, "task: group\ngroup: S3\nembed: 16\nhidden: 32\noptimizer: muon\n");
    const ts_tensor *w = &f.layout.tensor[2]; // (32, 32)
    const ts_engine *engine = support_tested_engine(state, &f.params);
    assert_true(ts_muon_takes(w) && ts_tensor_numbers(w) == 1024);
    for (int large = 0; engine && large < 2; large++) {
        support_training t;
        int64_t reached = 0;
        support_create(engine, &f.spec, &t);
        double *values = ts_alloc(t.numbers * sizeof *values, "a state");
        double size = t.width == sizeof(float) ? (large ? 3e37 : 1e37) : (large ? 1e200 : 1e150);
        support_get(&t, 0, values);
        for (int i = 0; i < 1024; i++) // |u| is 0.95^2 times 32 times this
            values[t.parameters + (size_t)(w->offset + i)] = i % 3 == 0 ? -size : size;
        support_put(&t, 0, values);
        assert_int_equal(engine->train(t.handle, 0, 1, &reached), TS_OK);
        assert_int_equal(reached, !large);
        ts_free(values);
        support_destroy(&t);
    }
    support_close(&f);
}

// --- Who trains what ---

// A general engine trains all of it; a fused one does, or says what it does not have.
static void choose_engine(void **state, support_instance *f, const char *text) {
    const support_tested *tested = *state;
    const char *name = ts_optimiser_of(&f->params)->name, *why = NULL;
    const ts_engine *engine = ts_backend_engine(tested->backend, &f->params, &why);
    if (!engine)
        fail_msg("%s does not train it: %s: %s", tested->backend->name, why, text);
    if (strcmp(tested->backend->name, "cuda") != 0)
        return;
    const char *expected = strcmp(name, "adam") == 0                ? "its kernels have no weight_decay of adam"
                           : strcmp(name, "adamw") != 0             ? "its kernels have no optimizer but adam and adamw"
                           : ts_params_bool(&f->params, "grokfast") ? "its kernels have no grokfast"
                           : ts_params_bool(&f->params, "orthograd") ? "its kernels have no orthograd"
                                                                     : "nothing";
    assert_string_equal(why ? why : "nothing", expected);
    assert_string_equal(engine->name, why ? TS_GENERAL : TS_FUSED);
}

static void test_a_general_engine_trains_what_fused_ones_do_not(void **state) {
    each_combination(state, choose_engine, usual_keys);
}

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"kernels_make_the_updates_in_float32", test_kernels_make_the_updates_in_float32, SUPPORT_BACKEND, "cpu"},
        {"a_general_engine_trains_what_fused_ones_do_not", test_a_general_engine_trains_what_fused_ones_do_not,
         SUPPORT_BACKEND, NULL},
        {"engines_follow_the_reference", test_engines_follow_the_reference, SUPPORT_ENGINES_TOO, NULL},
        {"the_first_update_of_a_warm_up_leaves_the_weights", test_the_first_update_of_a_warm_up_leaves_the_weights,
         SUPPORT_ENGINES_TOO, NULL},
        {"states_are_enough_to_go_on", test_states_are_enough_to_go_on, SUPPORT_ENGINES_TOO, NULL},
        {"bits_depend_on_the_instance_alone", test_bits_depend_on_the_instance_alone, SUPPORT_ENGINES_TOO, NULL},
        {"nothing_infinite_is_done", test_nothing_infinite_is_done, SUPPORT_ENGINES_TOO, NULL},
        {"muon_does_not_stand_still_where_a_length_overflows", test_muon_does_not_stand_still_where_a_length_overflows,
         SUPPORT_ALL, NULL},
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
