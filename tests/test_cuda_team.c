// What a rank of a team does with what the others say, without the others: they are played by the team's functions.
// Two ranks that train for real are started by tests/e2e/test_cuda.py.
#define _POSIX_C_SOURCE 200809L
#include "support.h"

#include <stdio.h>

// Others that have no gradient of their own, one of which finds a loss that is not finite in step `fails`.
typedef struct others {
    int rank, size;
    int sums, fails;
    bool mine;     // this rank's verdict
    float largest; // of this rank's gradients
} others;

static bool sum(void *context, float *values, int64_t count, bool mine) {
    others *o = context;
    o->mine = mine;
    for (int64_t i = 0; i < count; i++)
        o->largest = values[i] > o->largest ? values[i] : o->largest;
    return mine && o->sums++ != o->fails;
}

// All have this rank's GPU, so that sums are made on the host: devices are the last `size` of what ranks exchange.
static void largest(void *context, int64_t *values, int count) {
    const others *o = context;
    for (int i = 0; i < o->size && count > 1; i++)
        values[count - o->size + i] = values[count - o->size + o->rank];
}

static int64_t train(const char *text, others *o, int64_t steps, float *weights) {
    support_instance f;
    support_open(&f, text);
    const ts_engine *engine = support_engine(ts_backend_find("cuda"), f.params.schema->model->name);
    if (!engine)
        skip();
    const ts_team team = {.rank = o->rank, .size = o->size, .sum = sum, .largest = largest, .context = o};
    void *training;
    int64_t reached = 0;
    f.spec.team = &team;
    assert_int_equal(engine->create(&f.spec, &training), TS_OK);
    assert_int_equal(engine->train(training, 0, steps, &reached), TS_OK);
    if (weights)
        assert_int_equal(engine->get_parameters(training, 0, weights), TS_OK);
    engine->destroy(training);
    support_close(&f);
    return reached;
}

static const char *const SWEEPS[] = {
    "task: group\ngroup: C5\nembed: 4\nhidden: 6\nsteps: 200\ntrain_fraction: 0.8\n",
    "task: group\ngroup: C5\nembed: 4\nhidden: 130\nsteps: 200\ntrain_fraction: 0.8\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 8\nsteps: 200\n"
    "train_fraction: 0.8\n",
};

static void test_a_loss_that_is_not_finite_on_another_rank_stops_this_one(void **state) {
    (void)state;
    float stopped[4000], shorter[4000];
    for (int s = 0; s < 3; s++) {
        others fail = {.size = 2, .fails = 3}, never = {.size = 2, .fails = -1};
        assert_int_equal(train(SWEEPS[s], &fail, 6, stopped), 3);
        assert_true(fail.mine);
        assert_int_equal(train(SWEEPS[s], &never, 3, shorter), 3);
        assert_memory_equal(stopped, shorter, 200 * sizeof *stopped);
    }
}

static void test_a_rank_without_pairs_adds_nothing(void **state) {
    (void)state;
    static const char *const models[] = {
        "embed: 8\nhidden: 8\n",
        "embed: 8\nhidden: 130\n",
        "model: transformer\nd_model: 8\nheads: 2\nd_head: 4\nd_mlp: 8\n",
    };
    for (int s = 0; s < 3; s++) {
        char text[256];
        others o = {.size = 3, .fails = -1};
        snprintf(text, sizeof text, "task: group\ngroup: C2\n%ssteps: 200\ntrain_fraction: 0.5\n", models[s]);
        assert_int_equal(train(text, &o, 2, NULL), 2); // 2 pairs over 3 ranks
        assert_int_equal(o.sums, 2);
        assert_true(o.mine && o.largest == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loss_that_is_not_finite_on_another_rank_stops_this_one),
        cmocka_unit_test(test_a_rank_without_pairs_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
