// Weights that instances begin with (`init_from`): how they are written, which instances they are, what they count as,
// and what is known of them once their files are gone. How files are read: e2e_init_from.
#include "support.h"

#include "base/digest.h"
#include "support_weights.h"
#include "sweep/grid.h"
#include "sweep/members.h"

#include <math.h>

#define TREE   "name: t\ntask: tree\ndepth: 2\n"
#define LIKE_R TREE "grid: {hidden: [3, 2], seed: 2..0..-1}\n"

static ts_sweep_source source_of(const char *text) {
    return (ts_sweep_source){.file = "folder/t.yaml", .text = text, .bytes = strlen(text), .weights = &support_weights};
}

static ts_sweep *sweep_of(const char *text) {
    ts_sweep *sweep = support_sweep_of(source_of(text));
    assert_int_equal(support_weights_open_files, 0);
    return sweep;
}

static const ts_initial *initial_of(const ts_sweep *sweep, int64_t instance) {
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    return ts_params_initial(&params);
}

static void expect_digest(const ts_initial *initial, const void *numbers, size_t bytes) {
    uint8_t digest[TS_SHA256_BYTES];
    char text[7 + TS_SHA256_HEX] = "sha256:";
    ts_sha256(numbers, bytes, digest);
    ts_sha256_text(digest, text + 7);
    assert_string_equal(initial->digest, text);
}

TEST(test_values_are_files_and_instances_of_files) {
    static const struct {
        const char *name;
        int64_t instance, step;
    } EXPECTED[] = {{"none", -1, -1},   {"w", -1, -1},      {"r #3 @0", 3, 0},  {"r #3 @7", 3, 7},
                    {"r #5 @0", 5, 0},  {"r #5 @7", 5, 7},  {"rb #3 @0", 3, 0}, {"rb #3 @7", 3, 7},
                    {"rb #5 @0", 5, 0}, {"rb #5 @7", 5, 7}, {"rone @4", 0, 4}};
    ts_sweep *sweep =
        sweep_of(TREE "hidden: 3\ninit_from: [\"\", w, {file: [r, a/rb], instance: [3..5..2], step: [0, 7]}, "
                      "{file: rone, step: 4}]\n");
    int count = sizeof EXPECTED / sizeof *EXPECTED;
    const ts_initial *const *all;
    assert_int_equal(ts_sweep_instances(sweep), count);
    assert_int_equal(ts_sweep_initial(sweep, &all), count - 1);
    for (int i = 0; i < count; i++) {
        const ts_initial *found = initial_of(sweep, i);
        assert_string_equal(found->name, EXPECTED[i].name);
        assert_int_equal(found->found_instance, EXPECTED[i].instance);
        assert_int_equal(found->found_step, EXPECTED[i].step);
        if (i > 0)
            assert_true(found->narrow[0] == (float)(support_weight(EXPECTED[i].instance, EXPECTED[i].step) +
                                                    (strncmp(found->name, "rb", 2) == 0)));
    }
    ts_sweep_free(sweep);
}

TEST(test_instances_begin_with_those_of_the_same_parameters) {
    ts_sweep *sweep = sweep_of(LIKE_R "init_from: r\nlr: 0.5\n");
    const ts_key *const *keys;
    for (int64_t i = 0; i < 6; i++) {
        ts_params params;
        ts_sweep_params(sweep, i, &params);
        int64_t wanted = 3 * (ts_params_integer(&params, "hidden") - 2) + ts_params_integer(&params, "seed");
        assert_int_equal(ts_params_initial(&params)->found_instance, wanted);
        assert_true(ts_params_initial(&params)->narrow[0] == (float)support_weight(wanted, -1));
    }
    assert_string_equal(initial_of(sweep, 0)->matched, "{\"hidden\":3,\"seed\":2}");
    assert_int_equal(ts_sweep_varying(sweep, &keys), 1); // hidden: of weights there is one value
    ts_sweep_free(sweep);
    ts_grid *grid;
    ts_text label = {0};
    sweep = sweep_of(LIKE_R "lr: [0.5, 0.25]\ninit_from: {file: r, step: [0, 7]}\n");
    assert_int_equal(ts_grid_make(sweep, &grid), TS_OK);
    assert_int_equal(grid->points, 8);
    ts_grid_label(grid, 1, &label);
    support_expect_text(&label, "hidden=3,lr=0.5,init_from=r @7", "the second point");
    const ts_initial *const *all;
    assert_int_equal(ts_sweep_initial(sweep, &all), 12); // both lr have the same
    ts_grid_free(grid);
    ts_sweep_free(sweep);
}

TEST(test_weights_count_by_their_numbers) {
    float narrow[24];
    double wide[24];
    ts_params params;
    uint8_t a[32], b[32];
    for (int i = 0; i < 24; i++)
        wide[i] = 1e-9 + (narrow[i] = (float)(support_weight(-1, -1) + i / 8.0));
    ts_sweep *sweep = sweep_of(TREE "hidden: 3\ninit_from: [w, wide]\n");
    expect_digest(initial_of(sweep, 0), narrow, sizeof narrow);
    expect_digest(initial_of(sweep, 1), wide, sizeof wide);
    assert_null(initial_of(sweep, 0)->wide);
    assert_null(initial_of(sweep, 1)->narrow);
    for (int i = 0; i < 2; i++) {
        double exact[24];
        float rounded[24], scratch[24];
        ts_sweep_params(sweep, i, &params);
        ts_model_initialise(&params, rounded);
        ts_model_initialise_exactly(&params, exact, scratch);
        for (int k = 0; k < 24; k++) {
            assert_true(exact[k] == (i ? wide[k] : (double)narrow[k]));
            assert_true(rounded[k] == (float)exact[k]);
        }
    }
    ts_sweep_digest(sweep, a);
    ts_sweep_free(sweep);
    sweep = sweep_of(TREE "hidden: 3\ninit_from: [elsewhere/w, {file: wide}]\n");
    ts_sweep_digest(sweep, b);
    assert_memory_equal(a, b, sizeof a);
    ts_sweep_free(sweep);
    // Without weights the key is in no identity.
    sweep = sweep_of(TREE "hidden: 3\ninit_from: \"\"\n");
    ts_sweep_digest(sweep, a);
    ts_sweep_free(sweep);
    sweep = sweep_of(TREE "hidden: 3\n");
    ts_sweep_digest(sweep, b);
    assert_memory_equal(a, b, sizeof a);
    ts_sweep_free(sweep);
}

TEST(test_files_of_points_that_are_left_out_are_not_opened) {
    int before = support_weights_opened;
    ts_sweep *sweep =
        sweep_of(TREE "grid: {hidden: [2, 3], init_from: [missing, w, r]}\nexclude: [{init_from: missing}, "
                      "{hidden: 2, init_from: [w, r]}, {hidden: 3, init_from: r}]\n");
    assert_int_equal(ts_sweep_instances(sweep), 1);
    assert_int_equal(support_weights_opened, before + 1);
    ts_sweep_free(sweep);
}

TEST(test_what_cannot_be_is_refused) {
    static const struct {
        const char *text, *error;
    } REFUSED[] = {
        {"init_from:\n", "t.yaml:5: key 'init_from': has no value"},
        {"init_from: []\n", "the list is empty"},
        {"init_from: [[w]]\n", "a list within a list is no file of weights; give its path, or {file: FILE"},
        {"init_from: {}\n", "{...} has no file"},
        {"init_from: {file: []}\n", "the list is empty"},
        {"init_from: {file: r, instance: []}\n", "'init_from.instance': the list is empty"},
        {"init_from: {file: r, instance: x}\n", "'init_from.instance': 'x' is not an integer"},
        {"init_from: {file: r, step: 0.5}\n", "'init_from.step': '0.5' is not"},
        {"init_from: {file: r, step: 1..1e9}\n", "1000000000 values are too many"},
        {"init_from: {file: r, steps: 3}\n", "'steps' is none of file, instance and step; did you mean 'step'?"},
        {"init_from: \"a\\tb\"\n", "is no path: it has control characters"},
        {"init_from: missing\n", "cannot open folder/missing: No such file or directory; give a readable file"},
        {"init_from: {file: w, step: 3}\n",
         "'folder/w' is a file of weights, of which there is one set: leave 'step' out"},
        {"init_from: {file: w, instance: 3}\n", "leave 'instance' out"},
        {"init_from: {file: r, instance: 6}\n", "'r' has no such weights; give weights of this model"},
        {"init_from: r\nseed: 3\n",
         "'folder/r' has no instance like this one: its 6 instances differ in hidden and seed, "
         "and none has {\"hidden\":3,\"seed\":3}; give these values"},
        {"init_from: same\n", "several of the 6 instances of 'folder/same' have the same parameters"},
        {"init_from: broken\n", "have the same parameters"},
        {"init_from: [w, {file: w}]\n", "instances 0 and 1 are the same"},
        {"init_from: w\ninit: xavier_per_instance\n", "t.yaml:6: key 'init': has no meaning beside init_from"},
        {"init_from: w\nwhere: init_from == w\n", "'init_from' are weights and cannot be compared; use exclude"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        ts_text text = {0};
        ts_text_addf(&text, "%shidden: 3\n%s", TREE, REFUSED[i].text);
        support_refused(source_of(ts_text_get(&text)), REFUSED[i].error);
        assert_int_equal(support_weights_open_files, 0);
        ts_text_free(&text);
    }
    support_refused(source_of(TREE "hidden: [3, 4]\ninit_from: w\n"),
                    "'w' is of 3 x 6; give each network of the sweep");
    support_refused((ts_sweep_source){.file = "t.yaml", .text = TREE "hidden: 3\ninit_from: w\n"},
                    "not among the weights noted");
}

// What a sweep began with, as a results file keeps it.
static int note(const ts_sweep *sweep, ts_noted_weights *noted, bool numbers) {
    const ts_initial *const *all;
    int count = (int)ts_sweep_initial(sweep, &all);
    for (int i = 0; i < count; i++)
        noted[i] = (ts_noted_weights){.path = all[i]->path,
                                      .instance = all[i]->instance,
                                      .step = all[i]->step,
                                      .matched = all[i]->matched,
                                      .found_instance = all[i]->found_instance,
                                      .found_step = all[i]->found_step,
                                      .digest = all[i]->digest,
                                      .narrow = numbers ? all[i]->narrow : NULL,
                                      .wide = numbers ? all[i]->wide : NULL};
    return count;
}

TEST(test_what_was_noted_takes_the_place_of_files) {
    static const char TEXT[] = LIKE_R "init_from: [{file: r, step: [0, 7]}, rb, {file: rone, step: [1, 2]}]\n"
                                      "where: hidden == 3\n";
    ts_noted_weights noted[32];
    uint8_t digest[32], again[32];
    ts_sweep *sweep = sweep_of(TEXT);
    ts_sweep_digest(sweep, digest);
    for (int numbers = 0; numbers < 2; numbers++) {
        ts_sweep_source source = source_of(TEXT);
        source.weights = NULL;
        source.noted = noted;
        source.n_noted = note(sweep, noted, numbers);
        int opened = support_weights_opened;
        ts_sweep *other = support_sweep_of(source);
        assert_int_equal(support_weights_opened, opened);
        ts_sweep_digest(other, again);
        assert_memory_equal(digest, again, sizeof digest);
        for (int64_t i = 0; i < ts_sweep_instances(sweep); i++) {
            ts_params params;
            float found[24];
            ts_sweep_params(other, i, &params);
            ts_model_initialise(&params, found);
            assert_true(numbers ? found[3] == initial_of(sweep, i)->narrow[3] : isnan(found[3]));
            assert_string_equal(initial_of(sweep, i)->name, initial_of(other, i)->name);
            assert_int_equal(initial_of(sweep, i)->found_step, initial_of(other, i)->found_step);
        }
        ts_sweep_free(other);
        source.n_noted--;
        support_refused(source, "");
    }
    ts_sweep_free(sweep);
}

typedef struct memory {
    const ts_noted_weights *noted;
    int n_noted, asked;
} memory;

static ts_status recall(void *context, const char *name, const ts_noted_weights **noted, int *n_noted) {
    memory *m = context;
    assert_string_equal(name, "t");
    m->asked++;
    *noted = m->noted;
    *n_noted = m->n_noted;
    return TS_OK;
}

TEST(test_what_was_noted_is_asked_for_where_a_file_is_missing) {
    ts_noted_weights noted[2];
    ts_sweep *sweep =
        sweep_of(TREE "hidden: 3\ninit_from: [w, wa]\nseed: [0, 1]\nwhere: seed == 0\nexclude: [{init_from: wa}]\n");
    memory m = {.noted = noted, .n_noted = note(sweep, noted, false)};
    noted[0].path = "missing";
    ts_sweep_source source = source_of(TREE "hidden: 3\ninit_from: [w, missing]\nexclude: [{init_from: w, seed: 0}]\n");
    source.recall = recall;
    source.context = &m;
    ts_sweep *other = support_sweep_of(source);
    assert_int_equal(m.asked, 1);
    assert_string_equal(initial_of(other, 0)->digest, noted[0].digest);
    ts_sweep_free(other);
    source.text = TREE "hidden: 3\ninit_from: missing2\n";
    support_refused(source, "cannot open folder/missing2");
    ts_sweep_free(sweep);
}

TEST(test_memory_that_runs_out_leaves_nothing) {
    ts_sweep_source source = source_of(LIKE_R "init_from: {file: r, step: [0, 7]}\n");
    ts_status status = TS_ERROR_MEMORY;
    for (int64_t n = 1; status != TS_OK; n++) {
        ts_sweep *sweep = NULL;
        ts_alloc_fail_at(n);
        status = ts_sweep_read(&source, &sweep);
        ts_alloc_fail_at(0);
        if (status != TS_OK)
            assert_int_equal(status, TS_ERROR_MEMORY);
        ts_sweep_free(sweep);
        assert_int_equal(support_weights_open_files, 0);
    }
}

TEST(test_members_of_an_object_are_its_texts) {
    static const char OBJECT[] = "{\"a\":[1,{\"b\":\"}\"}],\"c\\\"\":\"x,\\\"y\",\"d\":null}";
    static const char *const NAMES[] = {"a", "c\\\"", "d"}, *const VALUES[] = {"[1,{\"b\":\"}\"}]", "\"x,\\\"y\"",
                                                                               "null"};
    const char *at = OBJECT;
    ts_member member;
    for (int i = 0; i < 3; i++) {
        assert_true(ts_member_next(&at, &member));
        assert_int_equal(member.name_bytes, strlen(NAMES[i]));
        assert_memory_equal(member.name, NAMES[i], member.name_bytes);
        assert_int_equal(member.value_bytes, strlen(VALUES[i]));
        assert_memory_equal(member.value, VALUES[i], member.value_bytes);
    }
    assert_false(ts_member_next(&at, &member));
    assert_true(ts_member_find(OBJECT, "d", &member));
    assert_false(ts_member_find(OBJECT, "b", &member));
    static const char *const BROKEN[] = {"",        "{",        "{}",          "{\"", "{\"a",  "{\"a\"",
                                         "{\"a\":", "{\"a\":[", "{\"a\":\"\\", "[1]", "{a:1}", "{\"a\":1"};
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++)
        assert_false(ts_member_find(BROKEN[i], "a", &member));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_files_and_instances_of_files),
        cmocka_unit_test(test_instances_begin_with_those_of_the_same_parameters),
        cmocka_unit_test(test_weights_count_by_their_numbers),
        cmocka_unit_test(test_files_of_points_that_are_left_out_are_not_opened),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_what_was_noted_takes_the_place_of_files),
        cmocka_unit_test(test_what_was_noted_is_asked_for_where_a_file_is_missing),
        cmocka_unit_test(test_memory_that_runs_out_leaves_nothing),
        cmocka_unit_test(test_members_of_an_object_are_its_texts),
    };
    return cmocka_run_group_tests_name("initial", tests, NULL, NULL);
}
