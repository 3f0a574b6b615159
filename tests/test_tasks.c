// Which models learn which tasks, and the distributions of the feature tasks: what can occur, how often, and that
// batches follow it.
#include "support.h"

#include "param/key_set.h"

#include <math.h>
#include <stdio.h>

typedef struct task_case {
    ts_sweep *sweep;
    ts_data *all;
    ts_feature_data *data;
    ts_params params;
} task_case;

static task_case open_task(const char *text) {
    task_case t = {.sweep = support_sweep(text)};
    t.all = support_data(t.sweep, 0);
    t.data = t.all->features;
    ts_case_params(t.sweep, 0, 0, &t.params);
    return t;
}

static void close_task(task_case *t) {
    ts_data_free(t->all);
    ts_sweep_free(t->sweep);
}

TEST(test_models_learn_the_tasks_of_their_kind) {
    static const char *const usual[][2] = {{"tree", "autoencoder"},    {"independent", "autoencoder"},
                                           {"one_hot", "autoencoder"}, {"group", "mlp"},
                                           {"cayley", "mlp"},          {"power", "transformer"}};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        assert_string_equal(ts_tasks[i]->name, usual[i][0]);
        assert_string_equal(ts_model_usual(ts_tasks[i])->name, usual[i][1]);
    }
    for (int t = 0; ts_tasks[t]; t++) {
        assert_non_null(ts_model_usual(ts_tasks[t]));
        for (int m = 0; ts_models[m]; m++) {
            ts_schema schema;
            assert_int_equal(ts_model_learns(ts_models[m], ts_tasks[t]), strcmp(ts_models[m]->name, "autoencoder") == 0
                                                                             ? ts_tasks[t]->kind == TS_KIND_FEATURES
                                                                             : ts_tasks[t]->kind == TS_KIND_TABLE);
            for (int o = 0; ts_optimisers[o]; o++)
                assert_int_equal(ts_model_schema(ts_tasks[t], ts_models[m], ts_optimisers[o], &schema), TS_OK);
        }
        for (const ts_quantity *one = ts_tasks[t]->derived; one->name; one++) {
            assert_true((one->help || !one->column) && !one->number == !!one->word);
            assert_int_equal(ts_is_derived(one->name), !!one->number);
        }
    }
    assert_true(ts_is_derived("parameters") && !ts_is_derived("depth"));
}

TEST(test_more_keys_than_a_schema_holds_are_refused) {
    static char names[TS_MAX_KEYS + 1][8];
    static ts_key keys[TS_MAX_KEYS + 1];
    static const ts_key none[] = {{0}};
    ts_task task = {.name = "many", .keys = none};
    ts_model model = {.name = "any", .keys = none, .optimiser = ts_models[0]->optimiser};
    ts_schema schema;
    assert_int_equal(ts_model_schema(&task, &model, model.optimiser, &schema), TS_OK);
    int common = schema.count;
    task.keys = keys;
    for (int i = 0; i < TS_MAX_KEYS - common; i++) {
        snprintf(names[i], sizeof names[i], "key%d", i);
        keys[i].name = names[i];
    }
    assert_int_equal(ts_model_schema(&task, &model, model.optimiser, &schema), TS_OK);
    assert_int_equal(schema.count, TS_MAX_KEYS);
    keys[TS_MAX_KEYS - common].name = "more";
    assert_int_equal(ts_model_schema(&task, &model, model.optimiser, &schema), TS_ERROR_FATAL);
    assert_string_equal(ts_message(), "task 'many', model 'any' and optimizer 'adam' have more than 128 keys");
}

TEST(test_a_set_holds_every_key_of_a_schema) {
    ts_key_set set = {0}, all = {0}, other = {0};
    ts_key_set_fill(&all);
    for (int i = 0; i < TS_MAX_KEYS; i += 3)
        ts_key_set_add(&set, i);
    for (int i = 0; i < TS_MAX_KEYS; i++) {
        assert_int_equal(ts_key_set_has(&set, i), i % 3 == 0);
        ts_key_set one = {0};
        ts_key_set_add(&one, i);
        assert_int_equal(ts_key_set_meets(&set, &one), i % 3 == 0);
        ts_key_set_add_all(&other, &one);
    }
    assert_memory_equal(&other, &all, sizeof all);
}

static double total_probability(const ts_support *support) {
    double total = 0;
    for (int i = 0; i < support->count; i++)
        total += support->probability[i];
    return total;
}

// P(feature is on) under the listed inputs.
static double marginal(const ts_support *support, int feature) {
    double p = 0;
    for (int i = 0; i < support->count; i++)
        for (int e = support->begin[i]; e < support->begin[i + 1]; e++)
            if (support->active[e] == feature)
                p += support->probability[i];
    return p;
}

TEST(test_a_tree_has_a_feature_per_node_but_the_root) {
    static const struct {
        int depth, branching, features;
    } known[] = {{1, 2, 2}, {3, 2, 14}, {6, 2, 126}, {2, 3, 12}, {4, 5, 780}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[200];
        snprintf(text, sizeof text, "task: tree\ndepth: %d\nbranching: %d\nhidden: 2\n", known[i].depth,
                 known[i].branching);
        task_case t = open_task(text);
        assert_int_equal(t.data->features, known[i].features);
        assert_int_equal(ts_task_features(&t.params), known[i].features);
        close_task(&t);
    }
}

TEST(test_early_stopping_reaches_a_node_of_level_l_with_4_to_the_minus_l) {
    task_case t = open_task("task: tree\ndepth: 5\nearly_stopping: true\nhidden: 2\n");
    const ts_support *support = &t.data->support;
    assert_int_equal(support->count, 63);
    assert_close(total_probability(support), 1, 1e-15, 0);
    assert_close(support->probability[0], 0.5, 0, 0); // stops at the root
    assert_close(marginal(support, 0), 0.25, 0, 0);
    assert_close(marginal(support, 5), 1.0 / 16, 0, 0);
    assert_close(marginal(support, 61), pow(0.25, 5), 0, 0);
    close_task(&t);
}

TEST(test_without_early_stopping_every_sample_is_a_path_to_a_leaf) {
    task_case t = open_task("task: tree\ndepth: 4\nbranching: 3\nearly_stopping: false\nhidden: 2\n");
    const ts_support *support = &t.data->support;
    assert_int_equal(support->count, 81);
    for (int i = 0; i < support->count; i++) {
        assert_int_equal(support->begin[i + 1] - support->begin[i], 4);
        for (int e = support->begin[i] + 1; e < support->begin[i + 1]; e++) // each is a child of the one before
            assert_int_equal(support->active[e] / 3, support->active[e - 1] + 1);
    }
    assert_close(marginal(support, 0), 1.0 / 3, 1e-14, 0);
    close_task(&t);
}

// Chi-square of counted batches against the listed probabilities, per degree of freedom.
static double chi_square(const task_case *t, uint64_t seed, int64_t samples, int steps) {
    const ts_support *support = &t->data->support;
    double *seen = ts_alloc_zero((size_t)support->count, sizeof *seen, "counts"), chi = 0;
    ts_feature_batch batch;
    assert_int_equal(ts_feature_batch_create(t->data, samples, &batch), TS_OK);
    for (int step = 0; step < steps; step++) {
        double total = 0;
        ts_feature_draw(t->data, seed, TS_STREAM_BATCH, (uint32_t)step, samples, &batch);
        for (int r = 0; r < batch.rows; r++) {
            for (int i = 0; i < support->count; i++) // rows are inputs of the support, by their list
                if (support->begin[i] == batch.begin[r] && support->begin[i + 1] == batch.end[r]) {
                    seen[i] += batch.weight[r] * (double)samples;
                    break;
                }
            total += batch.weight[r];
        }
        assert_close(total, 1, 1e-12, 0);
    }
    double all = (double)samples * steps;
    for (int i = 0; i < support->count; i++) {
        double expected = all * support->probability[i];
        chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    ts_free(seen);
    ts_feature_batch_free(&batch);
    return chi / (support->count - 1);
}

TEST(test_batches_follow_the_distribution) {
    static const char *const tasks[] = {
        "task: tree\ndepth: 4\nhidden: 2\n",
        "task: tree\ndepth: 4\nearly_stopping: false\nhidden: 2\n",
        "task: tree\ndepth: 3\nbranching: 3\nhidden: 2\n",
        "task: tree\ndepth: 2\nbranching: 5\nearly_stopping: false\nhidden: 2\n",
    };
    // Over 40 seeds the mean of chi-square per degree of freedom is 1, give or take 0.06 at 15 degrees.
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        task_case t = open_task(tasks[i]);
        double odd = 0, whole = 0;
        for (uint64_t seed = 0; seed < 40; seed++) {
            odd += chi_square(&t, seed, 1000, 20) / 40;
            whole += chi_square(&t, seed, 1024, 20) / 40;
        }
        if (!(odd > 0.75 && odd < 1.25 && whole > 0.75 && whole < 1.25))
            fail_msg("chi-square per degree of freedom %g (1000 samples) and %g (1024) for: %s", odd, whole, tasks[i]);
        close_task(&t);
    }
}

// Shares of samples in which feature a, b, and both are on, and the mean of a's value.
typedef struct pair_rates {
    double a, b, both, value;
} pair_rates;

static pair_rates rates(const task_case *t, int a, int b) {
    enum { SAMPLES = 1000, STEPS = 100 };
    pair_rates found = {0};
    ts_feature_batch batch;
    assert_int_equal(ts_feature_batch_create(t->data, SAMPLES, &batch), TS_OK);
    for (int step = 0; step < STEPS; step++) {
        ts_feature_draw(t->data, 5, TS_STREAM_BATCH, (uint32_t)step, SAMPLES, &batch);
        for (int r = 0; r < batch.rows; r++) {
            bool on_a = false, on_b = false;
            for (int e = batch.begin[r]; e < batch.end[r]; e++) {
                on_a = on_a || batch.active[e] == a;
                on_b = on_b || batch.active[e] == b;
                if (batch.active[e] == a)
                    found.value += (batch.value ? batch.value[e] : 1) * batch.weight[r] / STEPS;
            }
            found.a += on_a * batch.weight[r] / STEPS;
            found.b += on_b * batch.weight[r] / STEPS;
            found.both += (on_a && on_b) * batch.weight[r] / STEPS;
        }
    }
    ts_feature_batch_free(&batch);
    return found;
}

TEST(test_pairs_are_correlated_and_anticorrelated) {
    static const char *const forms[] = {"false", "true"};
    for (int binary = 0; binary < 2; binary++) {
        char text[300];
        snprintf(text, sizeof text,
                 "task: independent\nfeatures: 7\nfeature_probability: 0.3\ncorrelated_pairs: 1\n"
                 "anticorrelated_pairs: 2\nhidden: 2\nbinary: %s\n",
                 forms[binary]);
        task_case t = open_task(text);
        pair_rates together = rates(&t, 0, 1), apart = rates(&t, 2, 3), free = rates(&t, 6, 0);
        assert_close(together.a, 0.3, 0, 0.01);
        assert_close(together.both, together.a, 0, 0);
        assert_close(apart.a, 0.3, 0, 0.01);
        assert_close(apart.b, 0.3, 0, 0.01);
        assert_close(apart.both, 0, 0, 0);
        assert_close(free.both, 0.09, 0, 0.006);
        assert_close(together.value, binary ? 0.3 : 0.15, 0, 0.006);
        if (binary) {
            assert_int_equal(t.data->support.count, 2 * 3 * 3 * 2);
            assert_close(total_probability(&t.data->support), 1, 1e-14, 0);
            assert_close(marginal(&t.data->support, 4), 0.3, 1e-14, 0);
        } else {
            assert_int_equal(t.data->support.count, 0);
        }
        close_task(&t);
    }
}

TEST(test_geometric_probabilities_follow_the_levels_of_a_tree) {
    task_case tree = open_task("task: tree\ndepth: 3\nhidden: 2\n");
    task_case flat = open_task("task: independent\nfeatures: 14\nbinary: true\nhidden: 2\n"
                               "feature_probability: {base: 0.25, branching: 2}\n");
    const ts_numbers *p = ts_params_numbers(&flat.params, "feature_probability");
    for (int f = 0; f < 14; f++)
        assert_close(ts_numbers_at(p, f), marginal(&tree.data->support, f), 1e-15, 0);
    close_task(&tree);
    close_task(&flat);
}

TEST(test_an_exact_batch_is_the_distribution) {
    task_case t = open_task("task: tree\ndepth: 3\nhidden: 2\nbatch: exact\n");
    ts_feature_batch batch;
    assert_int_equal(ts_feature_batch_create(t.data, 0, &batch), TS_OK);
    ts_feature_draw(t.data, 1, TS_STREAM_BATCH, 0, 0, &batch);
    assert_int_equal(batch.rows, t.data->support.count);
    assert_memory_equal(batch.weight, t.data->support.probability, (size_t)batch.rows * sizeof(double));
    ts_feature_batch_free(&batch);
    close_task(&t);
}

// As long as somebody uses them; what they depend on is the task's alone, the split left out.
TEST(test_cases_that_learn_the_same_share_their_data) {
    ts_sweep *sweep = support_sweep("cases:\n"
                                    "  - {task: power, p: 13, m: 2, train_fraction: 0.3}\n"
                                    "  - {task: power, p: 13, m: 2, train_fraction: 0.5, steps: 9}\n"
                                    "  - {task: power, p: 13, m: 3, train_fraction: 0.3}\n"
                                    "  - {task: power, p: 17, m: 2, train_fraction: 0.3}\n"
                                    "  - {task: group, group: C13, train_fraction: 0.3}\n");
    ts_data *data[5];
    for (int c = 0; c < 5; c++)
        data[c] = support_data(sweep, c);
    assert_ptr_equal(data[0], data[1]);
    for (int c = 2; c < 5; c++)
        assert_ptr_not_equal(data[0], data[c]);
    assert_ptr_equal(data[0]->symmetry->irreps, data[2]->symmetry->irreps); // of Z_13
    assert_ptr_equal(data[0]->symmetry->basis, data[2]->symmetry->basis);
    assert_ptr_not_equal(data[0]->symmetry->chart[1].x_a, data[2]->symmetry->chart[1].x_a);
    assert_ptr_not_equal(data[0]->symmetry->irreps, data[3]->symmetry->irreps);
    ts_data_free(data[0]);
    ts_data_free(data[2]);
    assert_int_equal(data[1]->table->result[3 * 13 + 1], 9 + 1);
    assert_int_equal(data[1]->symmetry->irreps->count, 7);
    for (int c = 1; c < 5; c += c == 1 ? 2 : 1)
        ts_data_free(data[c]);
    ts_data *again = support_data(sweep, 0);
    assert_int_equal(again->table->result[3 * 13 + 1], 9 + 1);
    ts_data_free(again);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_learn_the_tasks_of_their_kind),
        cmocka_unit_test(test_more_keys_than_a_schema_holds_are_refused),
        cmocka_unit_test(test_a_set_holds_every_key_of_a_schema),
        cmocka_unit_test(test_a_tree_has_a_feature_per_node_but_the_root),
        cmocka_unit_test(test_early_stopping_reaches_a_node_of_level_l_with_4_to_the_minus_l),
        cmocka_unit_test(test_without_early_stopping_every_sample_is_a_path_to_a_leaf),
        cmocka_unit_test(test_batches_follow_the_distribution),
        cmocka_unit_test(test_pairs_are_correlated_and_anticorrelated),
        cmocka_unit_test(test_geometric_probabilities_follow_the_levels_of_a_tree),
        cmocka_unit_test(test_an_exact_batch_is_the_distribution),
        cmocka_unit_test(test_cases_that_learn_the_same_share_their_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
