// Sweeps: what a file expands to, in which order, with which identities and cases. One file, though a long one: all of
// it is said in lists of values, read by the same few functions.
#define _POSIX_C_SOURCE 200809L
#include "base/digest.h"
#include "base/file.h"
#include "support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TREE "task: tree\n"

// The values of some keys (space-separated) of all instances: "1 2|1 3|".
static void list_values(const ts_sweep *sweep, const char *keys, ts_text *out) {
    for (int64_t i = 0; i < ts_sweep_instances(sweep); i++) {
        ts_params params;
        char names[128];
        ts_sweep_params(sweep, i, &params);
        snprintf(names, sizeof names, "%s", keys);
        for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
            int at = ts_schema_find(params.schema, name);
            if (name != names)
                ts_text_add(out, " ");
            if (at < 0)
                ts_text_add(out, "-");
            else
                ts_value_text(&params.value[at], out);
        }
        ts_text_add(out, "|");
    }
}

static void expect_set(const char *text, const char *set, const char *keys, const char *expected) {
    ts_sweep *sweep = support_sweep_of(
        (ts_sweep_source){.file = "test.yaml", .text = text, .overrides = &set, .n_overrides = set ? 1 : 0});
    ts_text got = {0}, what = {0};
    ts_text_addf(&what, "%s of\n%s\n%s", keys, text, set ? set : "");
    list_values(sweep, keys, &got);
    support_expect_text(&got, expected, ts_text_get(&what));
    ts_text_free(&what);
    ts_sweep_free(sweep);
}

static void expect(const char *text, const char *keys, const char *expected) {
    expect_set(text, NULL, keys, expected);
}

TEST(test_constants_defaults_and_derived_name) {
    ts_sweep *sweep = support_sweep_of(
        (ts_sweep_source){.file = "dir/my-sweep.yaml",
                          .text = TREE "depth: 2\nhidden: 1e1\nlr: 5e-4\nearly_stopping: off\nbatch: exact\n"});
    ts_params params;
    ts_sweep_params(sweep, 0, &params);
    assert_int_equal(ts_sweep_instances(sweep), 1);
    assert_string_equal(ts_sweep_name(sweep), "my-sweep");
    assert_int_equal(ts_params_integer(&params, "hidden"), 10);
    assert_true(ts_params_real(&params, "lr") == 5e-4);
    assert_true(ts_params_real(&params, "beta1") == 0.9);
    assert_false(ts_params_bool(&params, "early_stopping"));
    assert_int_equal(ts_params_integer(&params, "batch"), 0);
    assert_string_equal(ts_params_name(&params, "model"), "autoencoder");
    assert_string_equal(ts_params_name(&params, "task"), "tree");
    assert_string_equal(ts_params_name(&params, "save"), "final");
    assert_int_equal(ts_params_numbers(&params, "checkpoints")->form, TS_NUMBERS_LOG);
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "all");
    ts_sweep_free(sweep);
}

TEST(test_ranges_and_lists_sweep_in_file_order) {
    expect(TREE "depth: 1..2\nhidden: [3, 5]\n", "depth hidden", "1 3|1 5|2 3|2 5|");
    expect(TREE "hidden: [3, 5]\ndepth: 1..2\n", "depth hidden", "1 3|2 3|1 5|2 5|");
    expect(TREE "depth: 1\nhidden: 1..9..3\n", "hidden", "1|4|7|");
    expect(TREE "depth: 1\nhidden: 3..1..-1\n", "hidden", "3|2|1|");
    expect(TREE "depth: 1\nhidden: [1..3, 9, 5..6]\n", "hidden", "1|2|3|9|5|6|");
    expect(TREE "depth: 1\nhidden: 1\nearly_stopping: [yes, false]\nsave: [none, 'final']\n", "early_stopping save",
           "true none|true final|false none|false final|");
    expect(TREE "depth: 1\nhidden: 1\nbatch: [exact, 64]\n", "batch", "0|64|");
}

TEST(test_real_ranges_give_the_numbers_a_list_would) {
    ts_sweep *range = support_sweep(TREE "depth: 1\nhidden: 1\nlr: 0.1..0.9..0.1\n");
    ts_sweep *list = support_sweep(TREE "depth: 1\nhidden: 1\nlr: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]\n");
    assert_int_equal(ts_sweep_instances(range), 9);
    uint8_t a[32], b[32];
    assert_int_equal(ts_sweep_digest(range, a), TS_OK);
    assert_int_equal(ts_sweep_digest(list, b), TS_OK);
    assert_memory_equal(a, b, 32);
    ts_sweep_free(range);
    ts_sweep_free(list);
    expect(TREE "depth: 1\nhidden: 1\nlr: 1e-3..5e-3..2e-3\n", "lr", "0.001|0.003|0.005|");
    expect(TREE "depth: 1\nhidden: 1\nlr: 1..3\n", "lr", "1|2|3|");
}

TEST(test_numbers_without_fraction_are_whole) {
    expect(TREE "depth: 2.0\nhidden: [3.0, 4e0, 50e-1, 2.5e1]\nsteps: 1000.0\n", "depth hidden steps",
           "2 3 1000|2 4 1000|2 5 1000|2 25 1000|");
    expect(TREE "depth: 1\nhidden: 1.0..3.0..1.0\n", "hidden", "1|2|3|");
    expect(TREE "depth: 1\nhidden: 1\ninstances: 2.0\ncheckpoints: [10.0, 1e1, 2e1]\n", "seed checkpoints",
           "0 [10,20]|1 [10,20]|");
}

TEST(test_spaced_values_are_short_and_end_as_written) {
    static const char *const FIXED = TREE "depth: 1\nhidden: 1\n";
    expect_set(FIXED, "lr={logspace: [1e-4, 1e-1, 7]}", "lr",
               "0.0001|0.000316227766017|0.001|0.00316227766017|0.01|0.0316227766017|0.1|");
    expect_set(FIXED, "lr={logspace: [1, 1e-3, 4]}", "lr", "1|0.1|0.01|0.001|");
    expect_set(FIXED, "lr={logspace: [0.3, 0.123456789012345, 2]}", "lr", "0.3|0.123456789012345|");
    expect_set(FIXED, "lr={logspace: [1e-300, 1e30, 3]}", "lr", "1e-300|1e-135|1e+30|");
    expect_set(FIXED, "lr={linspace: [0.1, 0.5, 5]}", "lr", "0.1|0.2|0.3|0.4|0.5|");
    expect_set(FIXED, "lr={linspace: [0, 1, 4]}", "lr", "0|0.333333333333|0.666666666667|1|");
    expect_set(FIXED, "lr={linspace: [0.9, 0.1, 3]}", "lr", "0.9|0.5|0.1|");
    expect_set(FIXED, "seed={linspace: [0, 9007199254740992, 3]}", "seed", "0|4503599627370496|9007199254740992|");
    expect_set(FIXED, "importance={linspace: [1, 2, 3]}", "importance", "1|1.5|2|");
    expect(TREE "depth: 1\nhidden: [1, {linspace: [2, 8, 3]}, {logspace: [10, 1000, 3]}]\n", "hidden",
           "1|2|5|8|10|100|1000|");
    expect(TREE "depth: 1\nzip:\n  hidden: 2..4\n  lr: {logspace: [1e-3, 1e-1, 3]}\n", "hidden lr",
           "2 0.001|3 0.01|4 0.1|");
    expect(TREE "depth: 1\ngrid: {importance: [{linspace: [1, 2, 2]}, {base: 0.5}]}\ncases: [{hidden: "
                "{linspace: [1, 3, "
                "2]}}]\nexclude: [{hidden: 3, importance: {linspace: [2, 4, 2]}}]\n",
           "hidden importance", "1 1|1 2|1 {\"base\":0.5}|3 1|3 {\"base\":0.5}|");
}

// Of every spacing: 12 digits at most, ascending, and near to what powers give.
TEST(test_log_spaced_values_have_even_ratios) {
    char text[128];
    for (int n = 3; n < 100; n++) {
        snprintf(text, sizeof text, TREE "depth: 1\nhidden: 1\nlr: {logspace: [3e-5, 0.7, %d]}\n", n);
        ts_sweep *sweep = support_sweep(text);
        assert_int_equal(ts_sweep_instances(sweep), n);
        for (int i = 1; i < n - 1; i++) {
            ts_params params;
            char number[32];
            ts_sweep_params(sweep, i, &params);
            double value = ts_params_real(&params, "lr"), expected = 3e-5 * pow(0.7 / 3e-5, i / (n - 1.0));
            snprintf(number, sizeof number, "%.12g", value);
            if (strtod(number, NULL) != value || fabs(value / expected - 1) > 6e-12)
                fail_msg("value %d of %d is %.17g, expected %.12g", i, n, value, expected);
        }
        ts_sweep_free(sweep);
    }
}

TEST(test_grid_varies_at_its_place_first_key_slowest) {
    expect(TREE "grid:\n  seed: 1..2\n  hidden: [3, 4]\ndepth: [1, 2]\n", "seed hidden depth",
           "1 3 1|1 3 2|1 4 1|1 4 2|2 3 1|2 3 2|2 4 1|2 4 2|");
    expect(TREE "depth: [1, 2]\ngrid:\n  hidden: 3\n  seed: 1..2\n", "depth hidden seed", "1 3 1|1 3 2|2 3 1|2 3 2|");
}

TEST(test_zip_advances_together) {
    expect(TREE "zip:\n  depth: [1, 2, 3]\n  hidden: 4..6\nseed: 0..1\n", "depth hidden seed",
           "1 4 0|1 4 1|2 5 0|2 5 1|3 6 0|3 6 1|");
    expect(TREE "seed: 0..1\nzip:\n  depth: [1, 2]\n  hidden: [4, 5]\n", "depth hidden seed",
           "1 4 0|2 5 0|1 4 1|2 5 1|");
}

TEST(test_cases_vary_slowest_and_replace_constants) {
    expect(TREE "depth: 1\nseed: 0..1\ncases:\n  - {hidden: 2}\n  - {hidden: [3, 4], depth: 2}\n", "depth hidden seed",
           "1 2 0|1 2 1|2 3 0|2 3 1|2 4 0|2 4 1|");
    expect("cases:\n  - {task: tree, depth: 2, hidden: 2}\n  - {task: independent, features: 5, hidden: 3}\n",
           "task depth features hidden", "tree 2 - 2|independent - 5 3|");
}

TEST(test_instances_are_seeds_and_set_the_stack) {
    expect(TREE "depth: 1\ninstances: 3\nhidden: [1, 2]\n", "seed hidden stacked_instances",
           "0 1 3|0 2 3|1 1 3|1 2 3|2 1 3|2 2 3|");
    expect(TREE "depth: 1\ninstances: 2\nstacked_instances: 7\nhidden: 1\n", "seed stacked_instances", "0 7|1 7|");
    expect(TREE "depth: 1\nstacked_instances: 7\ninstances: 2\nhidden: 1\n", "seed stacked_instances", "0 7|1 7|");
    expect(TREE "depth: 1\ninstances: 1\nhidden: 1\n", "seed stacked_instances", "0 1|");
    expect(TREE "depth: 1\ninstances: 2\ncases:\n - {hidden: 1}\n - {hidden: 2, instances: 3}\n",
           "hidden seed stacked_instances", "1 0 2|1 1 2|2 0 3|2 1 3|2 2 3|");
    expect(TREE "depth: 1\ncases:\n - {hidden: 1, seed: 9}\n - {hidden: 2, instances: 2}\n",
           "hidden seed stacked_instances", "1 9 1|2 0 2|2 1 2|");
    expect(TREE "depth: 1\nstacked_instances: 4\ncases:\n - {hidden: 2, instances: 2}\n", "seed stacked_instances",
           "0 4|1 4|");
}

TEST(test_numbers_and_steps_read_in_every_form) {
    expect(TREE "depth: 1\nhidden: 1\nimportance: [1, 0.5]\n", "importance", "[1,0.5]|");
    expect(TREE "depth: 1\nhidden: 1\ngrid:\n  importance: [1, 0.5, [1, 2], {base: 0.9}, {branching: 2, "
                "base: 0.5}]\n",
           "importance", "1|0.5|[1,2]|{\"base\":0.9}|{\"base\":0.5,\"branching\":2}|");
    expect(TREE "depth: 1\nhidden: 1\nimportance: 0.1..0.3..0.1\n", "importance", "0.1|0.2|0.3|");
    expect(TREE "depth: 1\nhidden: 1\ncheckpoints: [50, 10, 10, 0]\n", "checkpoints", "[0,10,50]|");
    expect(TREE "depth: 1\nhidden: 1\ncheckpoints: [20..0..-5, 7, 5..8]\n", "checkpoints", "[0,5,6,7,8,10,15,20]|");
    expect(TREE "depth: 1\nhidden: 1\ngrid:\n  checkpoints: [{every: 500}, {log: 20}, [5]]\n", "checkpoints",
           "{\"every\":500}|{\"log\":20}|[5]|");
}

TEST(test_exclude_drops_points_that_match_all_keys) {
    const char *base = TREE "depth: 1..2\nhidden: 1..3\n";
    char text[256];
    static const struct {
        const char *exclude, *expected;
    } CASES[] = {
        {"[{depth: 1, hidden: 2}]", "1 1|1 3|2 1|2 2|2 3|"},
        {"[{depth: 1, hidden: 2..3}, {depth: 2, hidden: [1, 3]}]", "1 1|2 2|"},
        {"[{features: 2}]", "2 1|2 2|2 3|"},
        {"[{features: 3..9, hidden: 1}]", "1 1|1 2|1 3|2 2|2 3|"},
        {"[{task: independent}, {model: autoencoder, hidden: 1}]", "1 2|1 3|2 2|2 3|"},
        {"[{lr: 1e-3, hidden: [1, 2]}]", "1 3|2 3|"},
        {"[{hidden: 7}]", "1 1|1 2|1 3|2 1|2 2|2 3|"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        snprintf(text, sizeof text, "%sexclude: %s\n", base, CASES[i].exclude);
        expect(text, "depth hidden", CASES[i].expected);
    }
}

TEST(test_where_keeps_points_for_which_all_hold) {
    expect(TREE "depth: 1..2\nhidden: 1..4\nwhere: hidden <= features\n", "depth hidden", "1 1|1 2|2 1|2 2|2 3|2 4|");
    expect(TREE "depth: 1..2\nhidden: 1..4\nwhere: [hidden <= features, depth + hidden > 3]\n", "depth hidden",
           "2 2|2 3|2 4|");
    expect("task: [tree, independent]\nfeatures: 3\nhidden: 2..4\ndepth: 1\nwhere: hidden <= features\n", "task hidden",
           "tree 2|independent 2|independent 3|");
}

TEST(test_filters_see_points_before_checks_do) {
    expect("task: independent\nfeatures: 2..4\nhidden: 1\ncorrelated_pairs: 2\nwhere: features >= 4\n", "features",
           "4|");
}

TEST(test_keys_that_do_not_apply_are_ignored) {
    expect("hidden: 1\ndepth: 2\nfeatures: 6\ntask: [tree, independent]\n", "task depth features",
           "tree 2 -|independent - 6|");
}

TEST(test_an_optimiser_brings_its_keys) {
    expect(TREE "depth: 1\nhidden: 1\noptimizer: [adam, sgd]\nbeta1: 0.5\nweight_decay: 2\n",
           "optimizer beta1 weight_decay", "adam 0.5 2|sgd - 2|");
    expect("task: [tree, group]\nhidden: 8\ndepth: 1\ngroup: C5\n", "task optimizer beta2 weight_decay",
           "tree adam 0.999 -|group adamw 0.98 1|");
    expect("task: group\ngroup: C5\nzip: {model: [mlp, transformer, mlp], optimizer: [sgd, adamw, adam]}\n"
           "beta2: 0.5\n",
           "model optimizer beta2 weight_decay", "mlp sgd - 0|transformer adamw 0.5 1|mlp adam 0.5 0|");
    expect("task: group\ngroup: C5\nmodel: [mlp, transformer]\noptimizer: [sgd, adamw]\n"
           "exclude: [{model: mlp, optimizer: adamw}]\nwhere: not (model == transformer and optimizer == sgd)\n",
           "model optimizer", "mlp sgd|transformer adamw|");
    expect("task: group\ngroup: C5\ncases: [{optimizer: sgd}, {optimizer: [adam, adamw], beta1: 0.5}, {lr: 1}]\n",
           "optimizer beta1 lr", "sgd - 0.001|adam 0.5 0.001|adamw 0.5 0.001|adamw 0.9 1|");
}

TEST(test_set_replaces_a_key_wherever_it_was) {
    const char *top = TREE "depth: 1..2\nhidden: 3\n";
    expect_set(top, "hidden=4", "depth hidden", "1 4|2 4|");
    expect_set(top, "hidden=4..5", "depth hidden", "1 4|1 5|2 4|2 5|");
    expect_set(top, "depth=[3, 1]", "depth hidden", "3 3|1 3|");
    expect_set(top, "depth=3", "depth hidden", "3 3|");
    expect_set(top, "seed=1..2", "depth seed", "1 1|1 2|2 1|2 2|");
    expect_set(top, "checkpoints={every: 10}", "depth checkpoints", "1 {\"every\":10}|2 {\"every\":10}|");
    expect_set(top, "where=depth == 2", "depth", "2|");
    expect_set(top, "instances=2", "depth seed stacked_instances", "1 0 2|1 1 2|2 0 2|2 1 2|");
    const char *grid = TREE "depth: 1\ngrid: {hidden: [1, 2], seed: [3, 4]}\n";
    expect_set(grid, "hidden=5", "hidden seed", "5 3|5 4|");
    expect_set(grid, "instances=2", "hidden seed", "1 0|1 1|2 0|2 1|");
    const char *cases = TREE "depth: 1\ncases: [{hidden: 1, seed: 1}, {hidden: 2, seed: 2}]\n";
    expect_set(cases, "seed=5..6", "hidden seed", "1 5|1 6|2 5|2 6|");
    const char *instances = TREE "depth: 1\ninstances: 3\nhidden: 1\n";
    expect_set(instances, "instances=2", "seed stacked_instances", "0 2|1 2|");
    expect_set(instances, "seed=2", "seed stacked_instances", "2 3|"); // one of the three, with its identity
    static const char *const THREE[] = {"name=other", "hidden=7", "hidden=8"};
    ts_sweep *sweep =
        support_sweep_of((ts_sweep_source){.file = "test.yaml", .text = top, .overrides = THREE, .n_overrides = 3});
    const char *const *sets;
    assert_int_equal(ts_sweep_overrides(sweep, &sets), 3);
    assert_string_equal(sets[1], "hidden=7");
    assert_string_equal(ts_sweep_name(sweep), "other");
    assert_string_equal(ts_sweep_text(sweep), top);
    ts_params params;
    ts_sweep_params(sweep, 0, &params);
    assert_int_equal(ts_params_integer(&params, "hidden"), 8);
    ts_sweep_free(sweep);
}

TEST(test_names_are_taken_from_file_or_key) {
    static const struct {
        const char *file, *text, *name;
    } CASES[] = {
        {"a/b/tree.yaml", TREE "depth: 1\nhidden: 1\n", "tree"},
        {"tree.yml", TREE "depth: 1\nhidden: 1\n", "tree"},
        {"tree.v2.yaml", TREE "depth: 1\nhidden: 1\n", "tree.v2"},
        {"tree", TREE "depth: 1\nhidden: 1\n", "tree"},
        {".yaml", TREE "depth: 1\nhidden: 1\nname: paper-suite\n", "paper-suite"},
        {"x", TREE "depth: 1\nhidden: 1\nname: 113\n", "113"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ts_sweep *sweep = support_sweep_of((ts_sweep_source){.file = CASES[i].file, .text = CASES[i].text});
        assert_string_equal(ts_sweep_name(sweep), CASES[i].name);
        ts_sweep_free(sweep);
    }
}

// A sweep with everything in it, and more points than instances.
static ts_sweep *read_rich(void) {
    return support_sweep("task: tree\ndepth: 1\n"
                         "cases:\n"
                         "  - {hidden: 2..3, importance: {base: 0.5}}\n"
                         "  - {task: independent, features: [3, 5], hidden: 4, instances: 3}\n"
                         "zip:\n  lr: [1e-3, 2e-3]\n  init: [xavier, xavier_per_instance]\n"
                         "grid:\n  beta1: [0.1, 0.8]\n  steps: 50\n"
                         "exclude: [{seed: 1, lr: 2e-3}]\n"
                         "where: task == tree or features < 9\n");
}

TEST(test_digest_is_over_name_and_identities) {
    ts_sweep *sweep = read_rich();
    ts_sha256_stream *stream = ts_sha256_begin();
    ts_sha256_feed(stream, ts_sweep_name(sweep), strlen(ts_sweep_name(sweep)) + 1);
    for (int64_t i = 0; i < ts_sweep_instances(sweep); i++) {
        ts_params params;
        uint8_t identity[32];
        ts_sweep_params(sweep, i, &params);
        assert_int_equal(ts_params_identity(&params, identity), TS_OK);
        ts_sha256_feed(stream, identity, sizeof identity);
    }
    uint8_t expected[32], got[32];
    ts_sha256_end(stream, expected);
    assert_int_equal(ts_sweep_digest(sweep, got), TS_OK);
    assert_memory_equal(got, expected, 32);
    ts_sweep_free(sweep);
}

TEST(test_cases_partition_instances_by_shape) {
    ts_sweep *sweep = read_rich();
    int64_t rows = 0;
    assert_int_equal(ts_sweep_instances(sweep), 8 + 2 * (12 - 2));
    assert_int_equal(ts_sweep_cases(sweep), 4);
    for (int c = 0; c < ts_sweep_cases(sweep); c++) {
        const ts_case *one = ts_sweep_case(sweep, c);
        rows += one->rows;
        for (int64_t r = 0; r < one->rows; r++) {
            ts_params by_row, by_instance;
            assert_true(r == 0 || one->instance[r] > one->instance[r - 1]);
            assert_int_equal(ts_sweep_case_of(sweep, one->instance[r]), c);
            ts_case_params(sweep, c, r, &by_row);
            ts_sweep_params(sweep, one->instance[r], &by_instance);
            assert_ptr_equal(by_row.schema, one->schema);
            assert_int_equal(ts_params_integer(&by_row, "seed"), ts_params_integer(&by_instance, "seed"));
        }
    }
    assert_int_equal(rows, ts_sweep_instances(sweep));
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "task=tree,hidden=2");
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "task=tree,hidden=3");
    assert_string_equal(ts_sweep_case(sweep, 2)->label, "task=independent,features=3,hidden=4");
    assert_string_equal(ts_sweep_case(sweep, 3)->label, "task=independent,features=5,hidden=4");
    ts_sweep_free(sweep);
}

static void expect_varying(ts_sweep *sweep, const char *expected) {
    const ts_key *const *keys;
    ts_text names = {0};
    for (int i = 0; i < ts_sweep_varying(sweep, &keys); i++)
        ts_text_addf(&names, "%s ", keys[i]->name);
    support_expect_text(&names, expected, ts_sweep_text(sweep));
    ts_sweep_free(sweep);
}

TEST(test_varying_keys_are_those_that_differ_among_instances) {
    expect_varying(support_sweep(TREE "depth: 1\nhidden: 1\n"), "");
    expect_varying(support_sweep(TREE "grid: {seed: 1..3, hidden: 1..2}\ndepth: [1, 2]\n"), "hidden depth ");
    expect_varying(support_sweep(TREE "depth: 1..2\nhidden: 1..2\nwhere: depth == 2\n"), "hidden ");
    expect_varying(read_rich(), "importance task hidden stacked_instances features lr init beta1 ");
}

TEST(test_labels_name_shaping_keys_in_table_order) {
    ts_sweep *sweep = support_sweep(TREE "steps: [10, 20]\nhidden: 1\nearly_stopping: [no, yes]\nlr: [1, 2]\n"
                                         "grid: {checkpoints: [[1], {every: 5}]}\ndepth: 1\n");
    assert_int_equal(ts_sweep_cases(sweep), 8);
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "early_stopping=false,steps=10,checkpoints=[1]");
    assert_string_equal(ts_sweep_case(sweep, 7)->label, "early_stopping=true,steps=20,checkpoints={\"every\":5}");
    assert_int_equal(ts_sweep_case(sweep, 0)->rows, 2);
    ts_sweep_free(sweep);
}

TEST(test_long_labels_become_numbers) {
    ts_text text = {0};
    ts_text_add(&text, TREE "depth: 1\nhidden: 1\ngrid:\n  checkpoints: [[1], [0");
    for (int i = 1; i < 100; i++)
        ts_text_addf(&text, ", %d", i);
    ts_text_add(&text, "]]\n");
    ts_sweep *sweep = support_sweep(text.bytes);
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "checkpoints=[1]");
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "case-1");
    ts_sweep_free(sweep);
    ts_text_free(&text);
}

TEST(test_a_million_instances_decode_anywhere) {
    ts_sweep *sweep = support_sweep(TREE "depth: 3\nhidden: 1..1000\nseed: 0..1999\nwhere: seed % 2 == 1\n");
    assert_int_equal(ts_sweep_instances(sweep), 1000000);
    assert_int_equal(ts_sweep_cases(sweep), 1000);
    ts_params params;
    ts_sweep_params(sweep, 999999, &params);
    assert_int_equal(ts_params_integer(&params, "hidden"), 1000);
    assert_int_equal(ts_params_integer(&params, "seed"), 1999);
    ts_sweep_params(sweep, 123456, &params);
    assert_int_equal(ts_params_integer(&params, "hidden"), 124);
    assert_int_equal(ts_params_integer(&params, "seed"), 913);
    assert_int_equal(ts_sweep_case_of(sweep, 123456), 123);
    ts_sweep_free(sweep);
}

TEST(test_spelling_does_not_change_identity) {
    uint8_t a[32], b[32];
    ts_sweep *plain = support_sweep("task: tree\ndepth: 2\nhidden: 10\nlr: 0.001\nimportance: 0.0\n");
    ts_sweep *other = support_sweep("{\"importance\": -0.0, hidden: 1e1, lr: 1e-3, model: autoencoder, depth: [2],\n"
                                    " task: 'tree', cases: [{save: final}], grid: {seed: 0..0}}");
    assert_int_equal(ts_sweep_digest(plain, a), TS_OK);
    assert_int_equal(ts_sweep_digest(other, b), TS_OK);
    assert_memory_equal(a, b, 32);
    ts_sweep_free(plain);
    ts_sweep_free(other);
}

static void expect_resolved(const char *text, const char *expected) {
    ts_sweep *sweep = support_sweep(text);
    ts_params params;
    ts_text json = {0};
    ts_sweep_params(sweep, 0, &params);
    ts_params_json(&params, &json);
    assert_string_equal(ts_text_get(&json), expected);
    ts_text_free(&json);
    ts_sweep_free(sweep);
}

// Identities have only the keys of the optimiser that is chosen, and not the choice where it is the usual one: as it
// was before there was any.
TEST(test_the_usual_optimiser_is_in_no_identity) {
    static const char ADAM[] =
        "{\"batch\":1024,\"beta1\":0.9,\"beta2\":0.999,\"branching\":2,\"checkpoints\":{\"log\":100},\"depth\":2,"
        "\"early_stopping\":true,\"hidden\":2,\"importance\":1,\"init\":\"xavier\",\"lr\":0.001,"
        "\"model\":\"autoencoder\",\"save\":\"final\",\"schedule\":\"constant\",\"seed\":0,\"stacked_instances\":5,"
        "\"steps\":10000,\"task\":\"tree\"}";
    static const char SGD[] =
        "{\"batch\":1024,\"branching\":2,\"checkpoints\":{\"log\":100},\"depth\":2,"
        "\"early_stopping\":true,\"hidden\":2,\"importance\":1,\"init\":\"xavier\",\"lr\":0.001,"
        "\"model\":\"autoencoder\",\"optimizer\":\"sgd\",\"save\":\"final\",\"schedule\":\"constant\",\"seed\":0,"
        "\"stacked_instances\":5,\"steps\":10000,\"task\":\"tree\",\"weight_decay\":0}";
    expect_resolved(TREE "depth: 2\nhidden: 2\ninstances: 5\n", ADAM);
    expect_resolved(TREE "depth: 2\nhidden: 2\ninstances: 5\noptimizer: adam\n", ADAM);
    expect_resolved(TREE "depth: 2\nhidden: 2\ninstances: 5\noptimizer: [adam, momentum]\nmomentum: 0.5\n", ADAM);
    expect_resolved(TREE "depth: 2\nhidden: 2\ninstances: 5\noptimizer: sgd\n", SGD);
    // Nor is there a column or a label of it, though models have different ones.
    static const char BOTH[] = "task: [tree, group]\nhidden: 8\ndepth: 1\ngroup: C5\n";
    ts_sweep *sweep = support_sweep(BOTH);
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "task=group,model=mlp");
    ts_sweep_free(sweep);
    // Nor of a key that came later, which two models have in ways of their own.
    sweep = support_sweep("task: group\ngroup: C5\nmodel: [mlp, transformer]\n");
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "model=mlp");
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "model=transformer");
    ts_sweep_free(sweep);
    expect_varying(support_sweep("task: group\ngroup: C5\noptimizer: [adamw, sgd]\n"), "optimizer weight_decay ");
    sweep = support_sweep("task: group\ngroup: C5\nhidden: 8..9\noptimizer: [adamw, sgd]\n");
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "optimizer=adamw,hidden=8");
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "optimizer=sgd,hidden=8");
    ts_sweep_free(sweep);
}

// Keys that came later are in an identity where they are not what was always done; what a switch that is off needs is
// in none, and no other value.
TEST(test_later_keys_leave_identities_as_they_were) {
    static const char *const SAME[] = {
        "",
        "warmup: 0\n",
        "weight_decay: 0\n",
        "orthograd: false\ngrokfast: false\n",
        "grokfast: [false, true]\ngrokfast_alpha: 0.5\n",
        "optimizer: adam\nweight_decay: [0, 1]\n",
        "grid: {grokfast: [false, true], orthograd: [false, true], warmup: [0, 5]}\n",
    };
    static const char *const OTHER[] = {
        "warmup: 1\n",
        "weight_decay: 0.5\n",
        "orthograd: true\n",
        "grokfast: true\n",
        "grokfast: true\ngrokfast_alpha: 0.5\n",
        "grokfast: true\ngrokfast_lambda: 0.5\n",
    };
    enum { SAMES = sizeof SAME / sizeof *SAME, OTHERS = sizeof OTHER / sizeof *OTHER };
    uint8_t identity[SAMES + OTHERS][32];
    for (int i = 0; i < SAMES + OTHERS; i++) {
        char text[256];
        ts_params params;
        snprintf(text, sizeof text, TREE "depth: 2\nhidden: 2\n%s", i < SAMES ? SAME[i] : OTHER[i - SAMES]);
        ts_sweep *sweep = support_sweep(text);
        ts_sweep_params(sweep, 0, &params);
        assert_int_equal(ts_params_identity(&params, identity[i]), TS_OK);
        for (int k = 0; k < i; k++)
            if ((memcmp(identity[i], identity[k], 32) == 0) != (i < SAMES))
                fail_msg("%s and %d", text, k);
        ts_sweep_free(sweep);
    }
}

// As a sweep is walked, keys come and go with their switch, wherever each of them stands.
static int64_t count_points(const char *text) {
    ts_sweep *sweep = support_sweep(text);
    int64_t count = ts_sweep_instances(sweep);
    ts_sweep_free(sweep);
    return count;
}

// `bias` is a choice of places in mlp, and true or false in transformer: true and false mean both.
TEST(test_true_and_false_are_choices_too) {
#define TWO "task: group\ngroup: C5\nmodel: [mlp, transformer]\nbias: [false, true]\n"
    static const char *const SAME[][2] = {{"true", "both"}, {"Yes", "both"}, {"false", "none"}, {"off", "none"}};
    for (int i = 0; i < 4; i++) {
        char text[2][128];
        uint8_t digest[2][32];
        for (int k = 0; k < 2; k++) {
            snprintf(text[k], sizeof text[k], "task: group\ngroup: C5\nmodel: mlp\nbias: %s\n", SAME[i][k]);
            ts_sweep *sweep = support_sweep(text[k]);
            assert_int_equal(ts_sweep_digest(sweep, digest[k]), TS_OK);
            ts_sweep_free(sweep);
        }
        assert_memory_equal(digest[0], digest[1], 32);
    }
    ts_sweep *sweep = support_sweep(TWO);
    assert_string_equal(ts_sweep_case(sweep, 0)->label, "model=mlp,bias=none");
    assert_string_equal(ts_sweep_case(sweep, 1)->label, "model=mlp,bias=both");
    assert_string_equal(ts_sweep_case(sweep, 2)->label, "model=transformer,bias=false");
    assert_string_equal(ts_sweep_case(sweep, 3)->label, "model=transformer,bias=true");
    ts_sweep_free(sweep);
    assert_int_equal(count_points(TWO "where: bias\n"), 2);
    assert_int_equal(count_points(TWO "where: bias == false and model == mlp\n"), 1);
    assert_int_equal(count_points(TWO "where: model == transformer or bias == both\n"), 3);
    assert_int_equal(count_points(TWO "where: model == transformer or not bias != both\n"), 3);
    assert_int_equal(count_points(TWO "where: bias or model == mlp and bias == none\n"), 3);
    assert_int_equal(count_points(TWO "exclude: [{bias: true}]\n"), 2);
    assert_int_equal(count_points(TWO "exclude: [{bias: both}]\n"), 3);
    assert_int_equal(count_points(TWO "exclude: [{bias: [none, hidden]}]\n"), 3);
    assert_int_equal(count_points(TWO "where: bias == both\n"), 1);
    assert_int_equal(count_points(TWO "where: not bias == hidden\n"), 4);
#undef TWO
}

// A word that a key may have is that, whatever else is called so.
TEST(test_names_in_where_are_those_of_the_key) {
#define GROUPS "task: group\ngroup: [C5, S3]\nhidden: 8\n"
    assert_int_equal(count_points(GROUPS "where: task == group\n"), 2);
    assert_int_equal(count_points(GROUPS "where: group == task\n"), 2);
    assert_int_equal(count_points(GROUPS "where: (not task == group) or order > 5\n"), 1);
    assert_int_equal(
        count_points("task: [power, group]\np: 7\ngroup: C11\nd_mlp: 8\nwhere: task != group or order < 10\n"), 1);
    assert_int_equal(
        count_points("task: group\ngroup: C5\nmodel: mlp\nbias: [hidden, output]\nwhere: bias == hidden\n"), 1);
    assert_int_equal(count_points("task: [power, expression]\nexpression: a*b\np: 7\nd_mlp: 8\nmodel: transformer\n"
                                  "outputs: [classes, 9]\nwhere: task == power or outputs == classes\n"),
                     3);
    assert_int_equal(count_points("task: group\ngroup: C5\nmodel: mlp\noptimizer: [adam, momentum]\n"
                                  "where: momentum == optimizer\n"),
                     1);
    assert_int_equal(
        count_points("task: tree\ndepth: 2\nhidden: [2, 3]\ngrokfast: [false, true]\ngrokfast_alpha: 0.98\n"
                     "exclude: [{grokfast_alpha: 0.98}]\n"), // what is switched off has no value
        2);
    assert_int_equal(count_points("task: tree\ndepth: 2\nhidden: [2, 3]\ngrokfast: [false, true]\ngrokfast_alpha: 0.5\n"
                                  "where: not grokfast or grokfast_alpha == 0.5\n"),
                     4);
#undef GROUPS
}

// What one model has no word for may stand where that model is not.
TEST(test_values_are_of_the_models_where_they_stand) {
#define CASES "task: group\ngroup: C5\nsteps: 10\n"
    static const char *const SWEEPS[] = {
        CASES "cases:\n  - {model: mlp, bias: hidden}\n  - {model: transformer, bias: true}\n",
        CASES "cases:\n  - {model: mlp, bias: hidden}\n  - {model: transformer, bias: [true]}\n",
        CASES "bias: hidden\ncases:\n  - {model: mlp}\n  - {model: transformer, bias: true}\n", // each has its own
        CASES "bias: true\ncases:\n  - {model: mlp, bias: hidden}\n  - {model: transformer}\n",
        CASES "zip:\n  bias: [hidden, true]\n  model: [mlp, transformer]\n",
        CASES "model: [mlp, transformer]\nbias: [false, true]\nwhere: bias\n"
              "exclude: [{bias: none, model: mlp}, {bias: hidden, model: mlp}, {bias: output, model: [mlp]}]\n",
    };
    for (int i = 0; i < 6; i++) {
        ts_sweep *sweep = support_sweep(SWEEPS[i]);
        assert_int_equal(ts_sweep_instances(sweep), 2);
        assert_string_equal(ts_sweep_case(sweep, 0)->label, i < 5 ? "model=mlp,bias=hidden" : "model=mlp,bias=both");
        assert_string_equal(ts_sweep_case(sweep, 1)->label, "model=transformer,bias=true");
        ts_sweep_free(sweep);
    }
    // In either order the column is of text, which has room for both.
    for (int i = 0; i < 2; i++) {
        ts_sweep *sweep = support_sweep(i ? CASES "model: [mlp, transformer]\nbias: [false, true]\n"
                                          : CASES "model: [transformer, mlp]\nbias: [false, true]\n");
        const ts_key *const *varying;
        int n = ts_sweep_varying(sweep, &varying), at = 0;
        while (at < n && strcmp(varying[at]->name, "bias") != 0)
            at++;
        assert_true(at < n && varying[at]->type == TS_NAME);
        ts_sweep_free(sweep);
    }
    assert_int_equal(count_points(CASES "init: single_frequency\nembedding: one_hot\ncases:\n  - {model: mlp}\n"
                                        "  - {model: transformer, init: normal}\n"),
                     2);
#undef CASES
}

TEST(test_a_switch_makes_its_keys_count) {
    expect(TREE "depth: 1\nhidden: 1\ngrokfast_alpha: 0.5\ngrokfast: [false, true]\nlr: [1, 2]\n",
           "grokfast grokfast_alpha lr", "false 0.98 1|false 0.98 2|true 0.5 1|true 0.5 2|");
    expect(TREE "depth: 1\nhidden: 1\nlr: [1, 2]\ngrokfast: [true, false]\ngrokfast_alpha: 0.5\n",
           "grokfast grokfast_alpha lr", "true 0.5 1|false 0.98 1|true 0.5 2|false 0.98 2|");
    expect(TREE "depth: 1\nhidden: 1\nzip: {grokfast: [true, false, true], grokfast_alpha: [0.5, 0.6, 0.7]}\n",
           "grokfast grokfast_alpha", "true 0.5|false 0.98|true 0.7|");
    expect(TREE "depth: 1\nhidden: 1\ncases: [{lr: 1}, {grokfast: true, grokfast_alpha: [0.5, 0.6]}]\n",
           "grokfast grokfast_alpha", "false 0.98|true 0.5|true 0.6|");
    expect_varying(support_sweep(TREE "depth: 1\nhidden: 1\ngrokfast_alpha: 0.5\ngrokfast: [false, true]\n"),
                   "grokfast ");
}

// A key that adam has got means the others alone in sweeps from before, which choose no optimizer.
TEST(test_old_sweeps_of_several_tasks_mean_what_they_did) {
    static const char BOTH[] = "task: [tree, group]\nhidden: 8\ndepth: 1\ngroup: C5\nweight_decay: 0.5\n";
    expect(BOTH, "task weight_decay", "tree -|group 0.5|");
    expect_set(BOTH, "optimizer=[adam, adamw]", "task optimizer weight_decay",
               "tree adam 0.5|tree adamw 0.5|group adam 0.5|group adamw 0.5|");
    expect("task: tree\nhidden: 8\ndepth: 1\nweight_decay: 0.5\n", "task weight_decay", "tree 0.5|");
}

// Every allocation fails once; nothing crashes or leaks (the sanitizers tell), and the status says so.
static char *read_text(const char *folder, const char *name, size_t *bytes) {
    char path[1024], *text;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(ts_file_read(path, 1 << 20, &text, bytes), TS_OK);
    return text;
}

// The sweeps that come with the program can be read, say first what they are for, and are in the documentation.
TEST(test_shipped_sweeps_expand) {
    size_t bytes;
    int count = 0;
    char *page = read_text(TOYSWEEP_SWEEPS "/../docs", "using.md", &bytes), named[300], path[1024];
    DIR *folder = opendir(TOYSWEEP_SWEEPS);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *end = strstr(entry->d_name, ".yaml");
        if (!end)
            continue;
        char *text = read_text(TOYSWEEP_SWEEPS, entry->d_name, &bytes);
        snprintf(path, sizeof path, "%s/%s", TOYSWEEP_SWEEPS, entry->d_name);
        ts_sweep *sweep = support_sweep_of((ts_sweep_source){.file = path, .text = text, .bytes = bytes});
        assert_true(ts_sweep_instances(sweep) > 0);
        assert_memory_equal(text, "# ", 2);
        snprintf(named, sizeof named, "name: %.*s\n", (int)(end - entry->d_name), entry->d_name);
        if (!strstr(text, named) || !strstr(page, entry->d_name))
            fail_msg("%s has another name, or is not in docs/using.md", entry->d_name);
        ts_sweep_free(sweep);
        ts_free(text);
        count++;
    }
    assert_true(count > 20);
    closedir(folder);
    ts_free(page);
}

TEST(test_out_of_memory_is_survived_anywhere) {
    static const char text[] = TREE "depth: 1..2\nhidden: [2, 3]\ninstances: 2\nwhere: hidden <= features\n";
    for (int n = 1;; n++) {
        ts_sweep_source source = {.file = "x.yaml",
                                  .text = text,
                                  .bytes = sizeof text - 1,
                                  .overrides = (const char *const[]){"lr=0.1"},
                                  .n_overrides = 1};
        ts_sweep *sweep = NULL;
        ts_alloc_fail_at(n);
        ts_status status = ts_sweep_read(&source, &sweep);
        ts_alloc_fail_at(0);
        if (status == TS_OK) {
            assert_true(n > 10);
            ts_sweep_free(sweep);
            return;
        }
        assert_null(sweep);
        if (status != TS_ERROR_MEMORY)
            fail_msg("allocation %d failed: status %d (%s), expected TS_ERROR_MEMORY", n, (int)status, ts_message());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constants_defaults_and_derived_name),
        cmocka_unit_test(test_ranges_and_lists_sweep_in_file_order),
        cmocka_unit_test(test_real_ranges_give_the_numbers_a_list_would),
        cmocka_unit_test(test_numbers_without_fraction_are_whole),
        cmocka_unit_test(test_spaced_values_are_short_and_end_as_written),
        cmocka_unit_test(test_log_spaced_values_have_even_ratios),
        cmocka_unit_test(test_grid_varies_at_its_place_first_key_slowest),
        cmocka_unit_test(test_zip_advances_together),
        cmocka_unit_test(test_cases_vary_slowest_and_replace_constants),
        cmocka_unit_test(test_instances_are_seeds_and_set_the_stack),
        cmocka_unit_test(test_numbers_and_steps_read_in_every_form),
        cmocka_unit_test(test_exclude_drops_points_that_match_all_keys),
        cmocka_unit_test(test_where_keeps_points_for_which_all_hold),
        cmocka_unit_test(test_filters_see_points_before_checks_do),
        cmocka_unit_test(test_keys_that_do_not_apply_are_ignored),
        cmocka_unit_test(test_an_optimiser_brings_its_keys),
        cmocka_unit_test(test_set_replaces_a_key_wherever_it_was),
        cmocka_unit_test(test_names_are_taken_from_file_or_key),
        cmocka_unit_test(test_digest_is_over_name_and_identities),
        cmocka_unit_test(test_cases_partition_instances_by_shape),
        cmocka_unit_test(test_varying_keys_are_those_that_differ_among_instances),
        cmocka_unit_test(test_labels_name_shaping_keys_in_table_order),
        cmocka_unit_test(test_long_labels_become_numbers),
        cmocka_unit_test(test_a_million_instances_decode_anywhere),
        cmocka_unit_test(test_spelling_does_not_change_identity),
        cmocka_unit_test(test_the_usual_optimiser_is_in_no_identity),
        cmocka_unit_test(test_later_keys_leave_identities_as_they_were),
        cmocka_unit_test(test_true_and_false_are_choices_too),
        cmocka_unit_test(test_values_are_of_the_models_where_they_stand),
        cmocka_unit_test(test_names_in_where_are_those_of_the_key),
        cmocka_unit_test(test_a_switch_makes_its_keys_count),
        cmocka_unit_test(test_old_sweeps_of_several_tasks_mean_what_they_did),
        cmocka_unit_test(test_shipped_sweeps_expand),
        cmocka_unit_test(test_out_of_memory_is_survived_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
