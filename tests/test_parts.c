// Sums over the pairs of a large instance are made in parts, in a tree: how many there are follows from the shape, what
// comes out is the gradient, and threads and ranks that share them change no bit.
#define _POSIX_C_SOURCE 200809L
#include "backend/reference.h"
#include "base/crew.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/plan.h"
#include "support.h"
#include "support_team.h"

#include <math.h>
#include <stdio.h>

static int parts_of(const ts_params *params, const ts_data *data) {
    ts_graph graph;
    ts_plan plan;
    int64_t pairs = ts_network_train(params, data->table);
    assert_int_equal(ts_model_define_training(params, data, &graph), TS_OK);
    assert_int_equal(ts_plan_make(&graph, 0, &plan), TS_OK);
    int parts = ts_plan_parts(&plan, pairs);
    ts_plan_free(&plan);
    ts_graph_free(&graph);
    return parts;
}

static int parts_with(const char *model, const char *group, double train_fraction) {
    char text[200];
    support_instance f;
    snprintf(text, sizeof text, "task: group\nmodel: %s\ngroup: %s\ntrain_fraction: %g\n", model, group,
             train_fraction);
    support_open(&f, text);
    int parts = parts_of(&f.params, f.data);
    support_close(&f);
    return parts;
}

static void test_small_instances_have_one_part(void **state) {
    (void)state;
    const char *const groups[] = {"C2", "C31", "S5", "C113", "C118", "D61"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        assert_int_equal(parts_with("mlp", groups[i], 0.99), 1);
        assert_int_equal(parts_with("transformer", groups[i], 0.99), 1);
    }
    assert_int_equal(parts_with("mlp", "S6", 0.4), 128);
    assert_int_equal(parts_with("transformer", "S6", 0.4), 64);
}

static void test_the_fused_transformer_leaves_parts_to_the_general_engine(void **state) {
    (void)state;
    static const char *const GROUPS[] = {"S5", "S6"}, *const ENGINES[] = {TS_FUSED, TS_GENERAL};
    for (int i = 0; i < 2; i++) {
        char text[200];
        support_instance f;
        snprintf(text, sizeof text, "task: group\nmodel: transformer\ngroup: %s\n", GROUPS[i]);
        support_open(&f, text);
        assert_string_equal(support_engine(ts_backend_find("cpu"), &f.params)->name, ENGINES[i]);
        support_close(&f);
    }
}

static void test_memory_of_parts_is_planned_for(void **state) {
    (void)state;
    support_instance f;
    ts_model_costs costs;
    support_open(&f, "task: group\ngroup: S6\nmodel: transformer\n");
    assert_int_equal(ts_model_cost(&f.params, f.data, &costs), TS_OK);
    assert_true(costs.unit_bytes > 114e6); // tables, their gradients, and the sums of four levels
    support_close(&f);
}

// What a step leaves on each rank, with so many threads.
typedef struct step {
    const support_instance *f;
    int threads;
    char *state;
} step;

static void take_a_step(const step *of, const ts_team *team) {
    const support_instance *f = of->f;
    const ts_engine *engine = support_engine(ts_backend_find("cpu"), &f->params);
    ts_training_spec spec = f->spec;
    void *training;
    int64_t reached = 0;
    assert_int_equal(ts_crew_create(of->threads, &spec.crew), TS_OK);
    ts_crew_begin_unit(spec.crew);
    spec.team = team;
    assert_int_equal(engine->create(&spec, &training), TS_OK);
    assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
    assert_int_equal(reached, 1);
    assert_int_equal(engine->get_state(training, 0, of->state), TS_OK);
    engine->destroy(training);
    ts_crew_end_unit(spec.crew);
    ts_crew_free(spec.crew);
}

static void take_a_step_together(support_rank *rank) {
    const ts_team team = {
        .rank = rank->rank,
        .size = rank->team->size,
        .add_floats = ts_comm_team_add_floats,
        .largest = ts_comm_team_largest,
        .context = rank->comm,
    };
    take_a_step(rank->context, &team);
}

static void test_threads_and_ranks_that_share_change_no_bit(void **state) {
    (void)state;
    enum { RANKS = 3 };
    support_instance f;
    support_open(&f, "task: group\ngroup: S5\nhidden: 3072\n");
    ts_model_costs costs;
    assert_int_equal(ts_model_cost(&f.params, f.data, &costs), TS_OK);
    assert_true(support_engine(ts_backend_find("cpu"), &f.params)->shares && costs.parts > 1);
    size_t bytes = (size_t)(ts_optimiser_parts(&f.params) * f.parameters) * sizeof(float);
    char *alone = ts_alloc((2 + RANKS) * bytes, "states"), *helped = alone + bytes;
    take_a_step(&(step){&f, 1, alone}, NULL);
    take_a_step(&(step){&f, 3, helped}, NULL);
    assert_memory_equal(alone, helped, bytes);
    for (int ranks = 2; ranks <= RANKS; ranks++) {
        step of[RANKS];
        for (int r = 0; r < ranks; r++)
            of[r] = (step){&f, 1 + r % 2, alone + (size_t)(2 + r) * bytes};
        support_run_team(ranks, take_a_step_together, of, sizeof *of);
        for (int r = 0; r < ranks; r++)
            assert_memory_equal(alone, of[r].state, bytes);
    }
    ts_free(alone);
    support_close(&f);
}

// One step of plain descent at rate 1: the weights have gone by their gradient.
static void test_parts_add_up_to_the_gradient(void **state) {
    (void)state;
    support_instance f;
    void *training;
    int64_t reached = 0;
    double loss;
    support_open(&f, "task: group\ngroup: S5\nhidden: 3072\noptimizer: sgd\nlr: 1\nweight_decay: 0\n");
    assert_true(parts_of(&f.params, f.data) > 1);
    size_t count = (size_t)f.parameters;
    float *weights = ts_alloc(count * sizeof *weights, "weights");
    double *expected = ts_alloc(2 * count * sizeof *expected, "a gradient"), *at = expected + count;
    const ts_backend *backend = ts_backend_find("cpu");
    const ts_engine *engine = support_engine(backend, &f.params);
    assert_int_equal(backend->probe(), TS_OK);
    assert_int_equal(engine->create(&f.spec, &training), TS_OK);
    assert_int_equal(engine->train(training, 0, 1, &reached), TS_OK);
    assert_int_equal(reached, 1);
    assert_int_equal(engine->get_parameters(training, 0, weights), TS_OK);
    for (size_t i = 0; i < count; i++)
        at[i] = f.initial[i];
    assert_int_equal(ts_reference_gradient(&f.spec, at, 0, &loss, expected), TS_OK);
    double error = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        double found = (double)f.initial[i] - weights[i];
        error += (found - expected[i]) * (found - expected[i]);
        norm += expected[i] * expected[i];
    }
    printf("relative error %g\n", sqrt(error / norm));
    assert_true(sqrt(error / norm) < 1e-4); // a part that is lost or counted twice: 0.1 and more
    engine->destroy(training);
    ts_free(expected);
    ts_free(weights);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_instances_have_one_part),
        cmocka_unit_test(test_the_fused_transformer_leaves_parts_to_the_general_engine),
        cmocka_unit_test(test_memory_of_parts_is_planned_for),
        cmocka_unit_test(test_parts_add_up_to_the_gradient),
        cmocka_unit_test(test_threads_and_ranks_that_share_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
