// Networks that keys make of the table models: every value of every such key, and many combinations, trained on every
// backend as by `reference`. A new key of a model is tried by being in its list.
//   test_variants [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "support_engine.h"

#if defined __SANITIZE_THREAD__ // is slow, and what races shows in one step
enum { STEPS = 2, FEW = 1 };
#elif defined TS_EMULATE
enum { STEPS = 20, FEW = 1 };
#else
enum { STEPS = 20, FEW = 3 };
#endif
enum { COMBINATIONS = 200, MOST_KEYS = 64, MOST_VALUES = 16 };

static const char *const NETWORKS[] = {
    "task: group\ngroup: C5\nmodel: mlp\nembed: 5\nhidden: 9\ntrain_fraction: 0.7\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 8\nheads: 2\nd_head: 3\nd_mlp: 8\ntrain_fraction: 0.7\n",
};
enum { NETWORK_COUNT = sizeof NETWORKS / sizeof *NETWORKS };

// What a value may need beside it.
static const char *const COMPANIONS[] = {"", "embedding: one_hot\n"};

// --- Keys and their values ---

typedef struct tried_key {
    const char *name;
    int count; // of values; the first is the default
    char value[MOST_VALUES][24];
    int trained[MOST_VALUES]; // how often it was
} tried_key;

static void add_value(tried_key *k, const char *value) {
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->value[i], value) == 0)
            return;
    assert_true(k->count < MOST_VALUES);
    snprintf(k->value[k->count++], sizeof k->value[0], "%s", value);
}

static bool is_accepted(const char *text) {
    ts_sweep *sweep = NULL;
    ts_sweep_source source = {.file = "test.yaml", .text = text, .bytes = strlen(text)};
    ts_status status = ts_sweep_read(&source, &sweep);
    if (status != TS_OK && (status != TS_ERROR_USER || !strstr(ts_sweep_errors(), "key '")))
        fail_msg("status %d, and no key is named: %s\n%s", (int)status, ts_sweep_errors(), text);
    ts_sweep_free(sweep);
    return status == TS_OK;
}

// Numbers are tried if the network takes them by themselves.
static void add_number(const char *network, const ts_key *key, double number, tried_key *k) {
    char value[24], text[1024];
    if (number < key->minimum || number > key->maximum)
        return;
    snprintf(value, sizeof value, "%g", number);
    snprintf(text, sizeof text, "%s%s: %s\nsteps: 30\n", network, key->name, value);
    if (is_accepted(text))
        add_value(k, value);
}

static void list_values(const char *network, const ts_key *key, tried_key *k) {
    static const double NUMBERS[] = {0.5, 0.75, 1, 2, 3, 7};
    *k = (tried_key){.name = key->name};
    add_value(k, key->fallback);
    for (int i = 0; key->type == TS_NAME && key->choices[i]; i++)
        add_value(k, key->choices[i]);
    if (key->type == TS_BOOL)
        add_value(k, strcmp(key->fallback, "true") == 0 ? "false" : "true");
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        if (key->type == (NUMBERS[i] < 1 ? TS_REAL : TS_INTEGER))
            add_number(network, key, NUMBERS[i], k);
    if (k->count < 2)
        fail_msg("no values to try of %s", key->name);
}

// Those that make the network, its loss or its initial weights others. (test_engine tries the precision.)
static bool is_tried(const ts_key *key) {
    return key->traits & TS_LATER && key->traits & TS_SHAPES && !(key->traits & TS_RETIRED) && key->type != TS_WORDS &&
           strcmp(key->name, "precision") != 0;
}

static int list_keys(int network, tried_key *keys) {
    support_instance f;
    int count = 0;
    support_open(&f, NETWORKS[network]);
    for (const ts_key *key = f.params.schema->model->keys; key->name; key++)
        if (is_tried(key)) {
            assert_true(count < MOST_KEYS);
            list_values(NETWORKS[network], key, &keys[count++]);
        }
    support_close(&f);
    return count;
}

// --- One network ---

// After some steps it is as far from the initial weights as by the reference, and at the same place; weights are
// rounded to float32.
static void compare(void **state, const char *text, int steps) {
    support_instance f;
    double error;
    support_open(&f, text);
    size_t bytes = (size_t)f.parameters * sizeof(float);
    const support_tested *tested = *state;
    const ts_engine *engine = support_tested_engine(state, &f.params);
    if (!engine && (!tested->setting || !tested->setting->model)) // some settings are of another model alone
        fail_msg("not trained: %s", text);
    if (!engine) {
        support_close(&f);
        return;
    }
    float *expected = ts_alloc(bytes, "weights"), *found = ts_alloc(bytes, "weights");
    support_train(support_reference(&f.params), &f.params, f.data, steps, expected);
    support_train(engine, &f.params, f.data, steps, found);
    double way = support_way(&f.params, found, expected, f.parameters, &error);
    if (!(error <= 2e-3 * way + 1e-7 * sqrt((double)f.parameters)) || way == 0)
        fail_msg("%g of a way of %g apart: %s", error, way, text);
    ts_free(expected);
    ts_free(found);
    support_close(&f);
}

static void test_every_value_of_every_key_is_trained(void **state) {
    for (int n = 0; n < NETWORK_COUNT; n++) {
        tried_key keys[MOST_KEYS];
        int count = list_keys(n, keys);
        assert_true(count > 0);
        for (int k = 0; k < count; k++)
            for (int v = 0; v < keys[k].count; v++) {
                char text[1024];
                bool accepted = false;
                for (size_t c = 0; !accepted && c < sizeof COMPANIONS / sizeof *COMPANIONS; c++) {
                    snprintf(text, sizeof text, "%s%s: %s\n%slr: 1e-2\nsteps: 30\n", NETWORKS[n], keys[k].name,
                             keys[k].value[v], COMPANIONS[c]);
                    accepted = is_accepted(text);
                }
                if (!accepted)
                    fail_msg("nothing makes up for it: %s%s", ts_sweep_errors(), text);
                compare(state, text, STEPS);
            }
    }
}

// --- Combinations ---

static unsigned random_state;

static int draw(int count) {
    random_state = random_state * 1103515245 + 12345;
    return (int)(random_state / 65536 % (unsigned)count);
}

// Every other value is the default: else nearly all combinations would have all kinds of others.
static void draw_combination(const char *network, const tried_key *keys, int count, int *drawn, char text[2048]) {
    int optimisers = 0;
    while (ts_optimisers[optimisers])
        optimisers++;
    snprintf(text, 2048, "%soptimizer: %s\nlr: 1e-3\nsteps: 30\n", network, ts_optimisers[draw(optimisers)]->name);
    for (int k = 0; k < count; k++) {
        drawn[k] = draw(2) ? 0 : draw(keys[k].count);
        snprintf(text + strlen(text), 2048 - strlen(text), "%s: %s\n", keys[k].name, keys[k].value[drawn[k]]);
    }
}

static void test_combinations_are_trained_or_refused(void **state) {
    static tried_key keys[NETWORK_COUNT][MOST_KEYS];
    int count[NETWORK_COUNT], drawn[MOST_KEYS], refused = 0;
    random_state = 1;
    for (int n = 0; n < NETWORK_COUNT; n++)
        count[n] = list_keys(n, keys[n]);
    for (int i = 0; i < COMBINATIONS; i++) {
        char text[2048];
        int n = i % NETWORK_COUNT;
        draw_combination(NETWORKS[n], keys[n], count[n], drawn, text);
        if (!is_accepted(text)) {
            refused++;
            continue;
        }
        compare(state, text, FEW);
        for (int k = 0; k < count[n]; k++)
            keys[n][k].trained[drawn[k]]++;
    }
    printf("%d combinations: %d trained, %d refused\n", COMBINATIONS, COMBINATIONS - refused, refused);
    for (int n = 0; n < NETWORK_COUNT; n++)
        for (int k = 0; k < count[n]; k++)
            for (int v = 0; v < keys[n][k].count; v++) {
                if (keys[n][k].trained[v] == 0)
                    fail_msg("never trained with %s: %s", keys[n][k].name, keys[n][k].value[v]);
                printf("%s %s: %d%s", v ? "," : keys[n][k].name, keys[n][k].value[v], keys[n][k].trained[v],
                       v + 1 < keys[n][k].count ? "" : "\n");
            }
    assert_true(2 * refused <= COMBINATIONS);
}

int main(int argc, char **argv) {
    static const support_promise PROMISES[] = {
        {"every value of every key is trained", test_every_value_of_every_key_is_trained, SUPPORT_SETTINGS_TOO, NULL},
        {"combinations are trained or refused", test_combinations_are_trained_or_refused, SUPPORT_BACKEND, NULL},
    };
    return SUPPORT_RUN(PROMISES, argc, argv);
}
