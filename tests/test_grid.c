// The grid's points that reports show, labels for people, and values of several sweeps together.
#include "support.h"
#include "sweep/canonical.h"
#include "sweep/grid.h"
#include "sweep/label.h"
#include "sweep/union.h"

#include <stdio.h>

static ts_sweep *read(const char *text) {
    static const ts_sweep_file FILES[] = {{"a/t.csv", "0,1\n1,0\n", 8},
                                          {"b/t.csv", "1,0\n0,1\n", 8},
                                          {"c/t.csv", "0,1\n1,0\n", 8},
                                          {"own name.csv", "0,1,2\n1,2,0\n2,0,1\n", 18}};
    return support_sweep_of((ts_sweep_source){.file = "sweep.yaml", .text = text, .files = FILES, .n_files = 4});
}

// "label: instance instance|..." of all points.
static void expect_points(const char *text, const char *expected) {
    ts_sweep *sweep = read(text);
    ts_grid *grid;
    ts_text got = {0}, label = {0};
    assert_int_equal(ts_grid_make(sweep, &grid), TS_OK);
    for (int64_t p = 0; p < grid->points; p++) {
        ts_grid_label(grid, p, &label);
        ts_text_addf(&got, "%s:", ts_text_get(&label));
        for (int64_t i = grid->first[p]; i < grid->first[p + 1]; i++) {
            ts_text_addf(&got, " %lld", (long long)grid->instance[i]);
            assert_int_equal(grid->point_of[grid->instance[i]], p);
        }
        ts_text_add(&got, "|");
    }
    support_expect_text(&got, expected, text);
    ts_text_free(&label);
    ts_grid_free(grid);
    ts_sweep_free(sweep);
}

#define TREE  "task: tree\nhidden: 2\n"
#define TABLE "task: cayley\nembed: 16\nhidden: 16\ntrain_fraction: 0.6\n"

TEST(test_points_are_instances_that_differ_in_seeds_only) {
    expect_points(TREE "depth: 2\nseed: 0..2\n", "all: 0 1 2|");
    expect_points(TREE "depth: 2..3\nseed: 0..1\n", "depth=2: 0 1|depth=3: 2 3|");
    expect_points(TREE "seed: 0..1\ndepth: 2..3\n", "depth=2: 0 2|depth=3: 1 3|");
    // Not only what shapes: steps and rates too.
    expect_points(TREE "depth: 2\nlr: [0.1, 0.2]\nbeta1: [0.5, 0.9]\nseed: 3\n",
                  "lr=0.1,beta1=0.5: 0|lr=0.1,beta1=0.9: 1|lr=0.2,beta1=0.5: 2|lr=0.2,beta1=0.9: 3|");
    expect_points("task: group\nmodel: mlp\ngroup: S3\nembed: 8\nhidden: [8, 9]\n"
                  "init_seed: 0..1\nsplit_seed: [5, 7]\n",
                  "hidden=8: 0 1 2 3|hidden=9: 4 5 6 7|");
    expect_points(TREE "depth: 2..3\nseed: 0..1\nwhere: seed == 1 or depth == 3\n", "depth=2: 0|depth=3: 1 2|");
}

TEST(test_what_follows_from_other_keys_is_no_key_of_the_grid) {
    // The number of instances brings stacked_instances; tasks bring models, and models their defaults.
    expect_points("task: tree\nhidden: 2\ncases: [{depth: 2, instances: 2}, {depth: 3, instances: 1}]\n",
                  "depth=2: 0 1|depth=3: 2|");
    expect_points("seed: 0\ncases: [{task: tree, depth: 2, hidden: 9}, {task: group, group: S3, hidden: 9, embed: "
                  "9}]\n",
                  "task=tree: 0|task=group: 1|");
    expect_points(TREE "depth: 2\nstacked_instances: [1, 5]\nseed: 0..1\n",
                  "stacked_instances=1: 0 1|stacked_instances=5: 2 3|");
}

TEST(test_files_go_by_their_names_and_stay_apart) {
    expect_points(TABLE "cayley: [a/t.csv, own name.csv]\n", "cayley=t.csv: 0|cayley=own name.csv: 1|");
    expect_points(TABLE "cayley: [a/t.csv, b/t.csv]\nseed: 0..1\n", "cayley=t.csv@6101: 0 1|cayley=t.csv@28d9: 2 3|");
    ts_sweep *sweep = read(TABLE "cayley: [a/t.csv, b/t.csv]\n");
    assert_string_equal(ts_sweep_case(sweep, 1)->title, "cayley=t.csv@28d9");
    assert_memory_equal(ts_sweep_case(sweep, 1)->label, "cayley=sha256:", 14); // whatever it is called
    ts_sweep_free(sweep);
}

// What each case learns, as the results file says it: "kind: label|...".
static void expect_learned(const char *text, const char *expected) {
    ts_sweep *sweep = read(text);
    ts_text got = {0};
    for (int c = 0; c < ts_sweep_cases(sweep); c++) {
        const ts_case *one = ts_sweep_case(sweep, c);
        ts_text_addf(&got, "%s: %s|", ts_kind_name(one->schema->task->kind), one->learned);
    }
    support_expect_text(&got, expected, text);
    ts_sweep_free(sweep);
}

TEST(test_every_case_says_what_it_learns) {
    expect_learned("steps: 1\ncases: [{task: tree, depth: 3, hidden: 2}, {task: group, group: [S3xC2, C113]}, {task: "
                   "power, p: 7, m: 2, n: 3}, {task: power, p: 7, m: 1, n: 0}, {task: cayley, cayley: own name.csv}]\n",
                   "features: binary tree of depth 3|table: S3xC2|table: C113|table: (a^2 + b^3) mod 7|"
                   "table: (a + b^0) mod 7|table: own name.csv|");
    expect_learned("task: tree\nhidden: 2\ndepth: 2\nbranching: [2, 5]\nearly_stopping: [true, false]\n",
                   "features: binary tree of depth 2|features: binary tree of depth 2, paths to leaves|"
                   "features: 5-ary tree of depth 2|features: 5-ary tree of depth 2, paths to leaves|");
    expect_learned("task: independent\nhidden: 2\nfeatures: 4\ncases: [{binary: false}, {binary: true, "
                   "correlated_pairs: 1, "
                   "anticorrelated_pairs: 1}, {feature_probability: {base: 0.5}}, {feature_probability: {base: 0.5, "
                   "branching: 3}}, {feature_probability: [0.1, 0.2, 0.3, 0.4]}]\n",
                   "features: 4 features, P(on) = 0.05|"
                   "features: 4 binary features, P(on) = 0.05, 1 correlated pair, 1 anticorrelated pair|"
                   "features: 4 features, P(on) = 0.5^i|features: 4 features, P(on) = 0.5^level (3 children a node)|"
                   "features: 4 features, P(on) = [0.1,0.2,0.3,0.4]|");
    // By name, and digits of the digest where that is not enough; equal contents are one file.
    expect_learned(TABLE "cases: [{cayley: a/t.csv, seed: 1}, {cayley: c/t.csv, seed: 2}]\n", "table: t.csv|");
    expect_learned(TABLE "cayley: [a/t.csv, b/t.csv]\nsteps: [1, 2]\n",
                   "table: t.csv@6101|table: t.csv@6101|table: t.csv@28d9|table: t.csv@28d9|");
}

TEST(test_long_and_odd_names_of_files_are_cut_and_spelt_out) {
    const char *odd = "a \xe2\x80\xae b.csv", *shown = "a \\u202e b.csv";
    char text[1000], expected[1000], one[200], two[200];
    snprintf(one, sizeof one, "%0100d1.csv", 0);
    snprintf(two, sizeof two, "%0100d2.csv", 0);
    const ts_sweep_file files[] = {{odd, "0,1\n1,0\n", 8}, {one, "0,1\n1,0\n", 8}, {two, "1,0\n0,1\n", 8}};
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, TABLE "cayley: ['%s', '%s']\n", i ? one : odd, two);
        ts_sweep *sweep =
            support_sweep_of((ts_sweep_source){.file = "sweep.yaml", .text = text, .files = files, .n_files = 3});
        snprintf(expected, sizeof expected, i ? "%.60s...@6101" : "%s", i ? one : shown);
        assert_string_equal(ts_sweep_case(sweep, 0)->learned, expected);
        assert_string_not_equal(ts_sweep_case(sweep, 0)->learned, ts_sweep_case(sweep, 1)->learned);
        ts_sweep_free(sweep);
    }
}

TEST(test_long_values_are_cut_and_stay_apart) {
    ts_sweep *sweep =
        read("task: tree\ndepth: 5\nhidden: 2\ngrid:\n  importance:\n"
             "    - [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
             "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]\n"
             "    - [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
             "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]\n");
    ts_grid *grid;
    ts_text first = {0}, second = {0};
    assert_int_equal(ts_grid_make(sweep, &grid), TS_OK);
    assert_int_equal(grid->points, 2);
    ts_grid_label(grid, 0, &first);
    ts_grid_label(grid, 1, &second);
    assert_string_not_equal(ts_text_get(&first), ts_text_get(&second));
    assert_in_range(second.length, 20, 80);
    ts_text_free(&first);
    ts_text_free(&second);
    ts_grid_free(grid);
    ts_sweep_free(sweep);
}

TEST(test_a_million_instances_are_grouped) {
    ts_sweep *sweep = read(TREE "depth: 2\nlr: 0.001..1..0.001\nseed: 0..999\n");
    ts_grid *grid;
    assert_int_equal(ts_grid_make(sweep, &grid), TS_OK);
    assert_int_equal(grid->points, 1000);
    for (int64_t p = 0; p < 1000; p++)
        assert_int_equal(grid->instance[grid->first[p] + 999], 1000 * p + 999);
    ts_grid_free(grid);
    ts_sweep_free(sweep);
}

TEST(test_instances_are_told_apart_by_what_is_swept_and_seeds) {
    ts_text label = {0};
    ts_sweep *sweep = read(TREE "depth: 2..3\nlr: 0.5\nseed: 4..5\n");
    ts_label_instance(sweep, 2, &label);
    assert_string_equal(ts_text_get(&label), "depth=3,seed=4");
    ts_text_free(&label);
    ts_sweep_free(sweep);
}

static void expect_union(const char *key, const char *first, const char *second, const char *expected) {
    ts_sweep *sweeps[] = {read(first), read(second)};
    ts_text got = {0};
    assert_int_equal(ts_union_write((const ts_sweep *const *)sweeps, 2, key, &got), TS_OK);
    ts_text what = {0};
    ts_text_addf(&what, "%s of\n%s%s", key, first, second);
    support_expect_text(&got, expected, ts_text_get(&what));
    ts_text_free(&what);
    ts_sweep_free(sweeps[0]);
    ts_sweep_free(sweeps[1]);
}

TEST(test_values_together_are_written_as_a_sweep_file_would) {
    expect_union("seed", TREE "depth: 2\nseed: 0..4\n", TREE "depth: 2\nseed: 5..9\n", "0..9");
    expect_union("seed", TREE "depth: 2\nseed: 5..9\n", TREE "depth: 2\nseed: 0..6\n", "0..9");
    expect_union("seed", TREE "depth: 2\nseed: 1\n", TREE "depth: 2\nseed: 0\n", "0..1");
    expect_union("seed", TREE "depth: 2\nseed: 1\n", TREE "depth: 2\nseed: 1\n", "1");
    expect_union("seed", TREE "depth: 2\nseed: [1, 3]\n", TREE "depth: 2\nseed: [5]\n", "1..5..2");
    expect_union("seed", TREE "depth: 2\nseed: [9, 7]\n", TREE "depth: 2\nseed: [5, 3]\n", "9..3..-2");
    expect_union("seed", TREE "depth: 2\nseed: [1, 2]\n", TREE "depth: 2\nseed: [4, 9]\n", "[1, 2, 4, 9]");
    expect_union("seed", TREE "depth: 2\nseed: [1, 9, 2]\n", TREE "depth: 2\nseed: [4]\n", "[1, 9, 2, 4]");
    expect_union("lr", TREE "depth: 2\nlr: [0.1, 0.5]\n", TREE "depth: 2\nlr: [0.5, 1e-9]\n", "[0.1, 0.5, 1e-09]");
    expect_union("schedule", TREE "depth: 2\nschedule: cosine\n", TREE "depth: 2\n", "[cosine, constant]");
    expect_union("early_stopping", TREE "depth: 2\nearly_stopping: true\n", TREE "depth: 2\nearly_stopping: false\n",
                 "[true, false]");
    expect_union("cayley", TABLE "cayley: a/t.csv\n", TABLE "cayley: own name.csv\n",
                 "[\"a/t.csv\", \"own name.csv\"]");
    expect_union("group", TREE "depth: 2\n", TREE "depth: 3\n", "");
}

static void expect_canonical(ts_canonical *canonical, const ts_sweep *sweep, int64_t instance) {
    uint8_t digest[TS_SHA256_BYTES], found[TS_SHA256_BYTES];
    ts_params params;
    ts_text form = {0};
    ts_sweep_params(sweep, instance, &params);
    ts_params_json(&params, &form);
    assert_int_equal(ts_params_identity(&params, digest), TS_OK);
    ts_canonical_seek(canonical, instance);
    ts_canonical_identity(canonical, found);
    assert_string_equal(ts_text_get(ts_canonical_form(canonical)), ts_text_get(&form));
    assert_memory_equal(found, digest, sizeof digest);
    ts_text_free(&form);
}

// Keys that come and go, and others in other tasks; forwards, backwards, and in leaps.
TEST(test_canonical_forms_of_a_walk_are_those_of_each_instance) {
    ts_sweep *sweep = read("seed: 0..1\nsteps: [7, 11111111, 5]\ncases:\n"
                           "  - {task: tree, depth: 2, hidden: [2, 30], grokfast: [false, true], grokfast_alpha: 0.5}\n"
                           "  - {task: tree, depth: 2, hidden: 2, target: abs, lr: [0.1, 1e-9, 0.5], optimizer: "
                           "[adam, sgd]}\n"
                           "  - {task: group, group: [S3, C5], split: [python, torch]}\n");
    ts_canonical *canonical;
    int64_t count = ts_sweep_instances(sweep);
    assert_int_equal(ts_canonical_open(sweep, &canonical), TS_OK);
    for (int64_t i = 0; i < count; i++)
        expect_canonical(canonical, sweep, i);
    for (int64_t i = count - 1; i >= 0; i--)
        expect_canonical(canonical, sweep, i);
    for (int64_t i = 0; i < 5 * count; i++)
        expect_canonical(canonical, sweep, 7 * i % count);
    assert_int_equal(ts_canonical_status(canonical), TS_OK);
    ts_canonical_close(canonical);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_are_instances_that_differ_in_seeds_only),
        cmocka_unit_test(test_what_follows_from_other_keys_is_no_key_of_the_grid),
        cmocka_unit_test(test_files_go_by_their_names_and_stay_apart),
        cmocka_unit_test(test_every_case_says_what_it_learns),
        cmocka_unit_test(test_long_and_odd_names_of_files_are_cut_and_spelt_out),
        cmocka_unit_test(test_long_values_are_cut_and_stay_apart),
        cmocka_unit_test(test_a_million_instances_are_grouped),
        cmocka_unit_test(test_instances_are_told_apart_by_what_is_swept_and_seeds),
        cmocka_unit_test(test_values_together_are_written_as_a_sweep_file_would),
        cmocka_unit_test(test_canonical_forms_of_a_walk_are_those_of_each_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
