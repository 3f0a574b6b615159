// Ranks that train one instance together, each its share of the parts of a step, end where one rank does that makes all
// parts: bit for bit, however many they are, by NCCL and through the host. Ranks are processes of their own, since a
// process has one GPU. The instances are small, and in parts all the same.
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "base/tree.h"
#include "network/plan.h"
#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_RANKS = 4,
    MOST_PARTS = 8,
    WORDS = 64,
    MOST_FLOATS = 1 << 16, // of sums, of states
    STEPS = 3,
    INSTANCES = 3,
    SECONDS = 300, // that a rank may take
    NO_GPU = 77,
};

static int parts_of_all;

int __wrap_ts_plan_parts(const ts_plan *plan, int64_t pairs);
int __wrap_ts_plan_parts(const ts_plan *plan, int64_t pairs) {
    (void)plan;
    (void)pairs;
    return parts_of_all;
}

// --- Ranks ---

// What they see of each other.
typedef struct board {
    pthread_barrier_t all;
    int64_t value[MOST_RANKS][WORDS];
    bool finite[MOST_RANKS];
    float sums[MOST_RANKS][MOST_FLOATS];
    int exchanges[MOST_RANKS]; // through the host
    // Where they end.
    int64_t reached[MOST_RANKS][INSTANCES];
    char state[MOST_RANKS][INSTANCES][MOST_FLOATS * sizeof(float)];
} board;

typedef struct rank {
    ts_team team;
    board *board;
} rank;

// In a rank nothing of cmocka's may be called: it would go on with the tests.
static void need(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "a rank: %s: %s\n", what, ts_message());
    _exit(1);
}

static ts_status largest(void *context, int64_t *values, int count) {
    const rank *r = context;
    need(count <= WORDS, "so many values");
    memcpy(r->board->value[r->team.rank], values, (size_t)count * sizeof *values);
    pthread_barrier_wait(&r->board->all);
    for (int i = 0; i < count; i++)
        for (int other = 0; other < r->team.size; other++)
            values[i] = r->board->value[other][i] > values[i] ? r->board->value[other][i] : values[i];
    pthread_barrier_wait(&r->board->all);
    return TS_OK;
}

static ts_status add_floats(void *context, int parts, float *sums, int64_t count, bool mine, bool *all) {
    const rank *r = context;
    board *b = r->board;
    ts_subtree subtree[MOST_PARTS + TS_MOST_SUBTREES];
    ts_addition addition[MOST_PARTS];
    float *at[MOST_PARTS];
    int subtrees = 0;
    for (int other = 0; other < r->team.size; other++) {
        int first, end;
        ts_tree_share(parts, other, r->team.size, &first, &end);
        int own = ts_tree_subtrees(first, end, subtree + subtrees);
        need(own * count <= MOST_FLOATS, "so many sums");
        if (other == r->team.rank)
            memcpy(b->sums[other], sums, (size_t)(own * count) * sizeof *sums);
        for (int i = 0; i < own; i++)
            at[subtrees++] = b->sums[other] + i * count;
    }
    b->finite[r->team.rank] = mine;
    b->exchanges[r->team.rank]++;
    pthread_barrier_wait(&b->all);
    int additions = ts_tree_additions(subtree, subtrees, addition);
    for (int i = 0; r->team.rank == 0 && i < additions; i++)
        for (int64_t k = 0; k < count; k++)
            at[addition[i].to][k] += at[addition[i].from][k];
    pthread_barrier_wait(&b->all);
    memcpy(sums, at[0], (size_t)count * sizeof *sums);
    *all = true;
    for (int other = 0; other < r->team.size; other++)
        *all = *all && b->finite[other];
    pthread_barrier_wait(&b->all);
    return TS_OK;
}

// --- Trainings ---

// What is trained, and on how many ranks.
typedef struct setup {
    const support_instance *f;
    const ts_engine *engine;
    int instances, ranks; // ranks 0: no team
    bool one_gpu;         // for all of them
    bool overflows;       // the last token does, at the first step
    const char *memory;   // bytes that the last rank's GPU has; NULL: enough
} setup;

// Nothing but the pairs that have the last token on their left.
static void overflow(const setup *s, void *training, char *state) {
    const int64_t numbers = ts_tensor_numbers(&s->f->layout.tensor[0]), embed = numbers / s->f->data->table->n;
    for (int64_t i = numbers - embed; i < numbers; i++)
        memcpy(state + (size_t)i * sizeof(float), &(float){INFINITY}, sizeof(float));
    need(s->engine->set_state(training, 0, state) == TS_OK, "to set a state");
}

static void play(const setup *s, board *b, int number) {
    const ts_backend *backend = ts_backend_find("cuda");
    rank r = {.team = {.rank = number, .size = s->ranks, .add_floats = add_floats, .largest = largest}, .board = b};
    ts_training_spec spec = {.params = s->f->all, .count = s->instances, .data = s->f->data};
    int64_t *reached = b->reached[number];
    void *training = NULL;
    r.team.context = &r;
    spec.team = s->ranks > 0 ? &r.team : NULL;
    alarm(SECONDS);
    backend->place(s->one_gpu ? 0 : number, s->ranks);
    if (backend->probe() != TS_OK)
        _exit(NO_GPU);
    if (s->memory) {
        if (number == s->ranks - 1)
            setenv("TOYSWEEP_EMULATE_MEMORY", s->memory, 1);
        need(s->engine->create(&spec, &training) == TS_ERROR_MEMORY, "to find no memory");
        _exit(0);
    }
    need(s->engine->create(&spec, &training) == TS_OK, "to be created");
    need(s->engine->state_bytes(training) <= sizeof b->state[number][0], "a state of such a size");
    if (s->overflows) {
        need(s->engine->get_state(training, 0, b->state[number][0]) == TS_OK, "to get a state");
        overflow(s, training, b->state[number][0]);
    }
    need(s->engine->train(training, 0, 1, reached) == TS_OK, "to train");
    need(s->engine->train(training, 1, STEPS, reached) == TS_OK, "to train");
    for (int i = 0; i < s->instances; i++)
        need(s->engine->get_state(training, i, b->state[number][i]) == TS_OK, "to get a state");
    s->engine->destroy(training);
    _exit(0);
}

static board *board_create(int ranks) {
    pthread_barrierattr_t shared;
    board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(b != MAP_FAILED);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    assert_int_equal(pthread_barrier_init(&b->all, &shared, ranks > 0 ? (unsigned)ranks : 1), 0);
    pthread_barrierattr_destroy(&shared);
    return b;
}

static void board_free(board *b) {
    pthread_barrier_destroy(&b->all);
    munmap(b, sizeof *b);
}

// Where all ranks end. Free with board_free. Skips the test where there is no GPU.
static board *train(const setup *s) {
    int ranks = s->ranks > 0 ? s->ranks : 1, failed = 0, without = 0;
    board *b = board_create(ranks);
    pid_t pid[MOST_RANKS];
    fflush(NULL);
    for (int i = 0; i < ranks; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0)
            play(s, b, i);
    }
    for (int i = 0; i < ranks; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        without += WIFEXITED(status) && WEXITSTATUS(status) == NO_GPU;
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    if (without > 0) {
        print_message("left out: no GPU can be used\n");
        board_free(b);
        skip();
    }
    if (failed > 0)
        fail_msg("%d of %d ranks failed", failed, ranks);
    return b;
}

static void open_setup(support_instance *f, const char *text, int parts, setup *s) {
    const ts_backend *backend = ts_backend_find("cuda");
    char more[512];
    if (!backend) {
        print_message("left out: this build has no CUDA\n");
        skip();
    }
    snprintf(more, sizeof more, "%ssteps: 200\nseed: 0..%d\n", text, INSTANCES - 1);
    support_open(f, more);
    *s = (setup){.f = f, .instances = 1};
    for (const ts_engine *const *engine = backend->engines; *engine; engine++)
        s->engine = (*engine)->wide ? *engine : s->engine;
    assert_non_null(s->engine);
    assert_null(ts_engine_refuses(s->engine, &f->params));
    parts_of_all = parts;
}

static size_t state_bytes(const setup *s) {
    return (size_t)(ts_optimiser_parts(&s->f->params) * s->f->parameters) * sizeof(float);
}

static bool is_emulated(void) {
#ifdef TS_EMULATE
    return true;
#else
    return false;
#endif
}

// --- Promises ---

static void compare(const setup *s, const board *alone) {
    int steps = alone->reached[0][0] == STEPS ? STEPS : 1; // it has stopped at the first
    board *b = train(s);
    for (int i = 0; i < s->ranks; i++) {
        assert_int_equal(b->reached[i][0], alone->reached[0][0]);
        if (memcmp(b->state[i][0], alone->state[0][0], state_bytes(s)) != 0)
            fail_msg("rank %d of %d ends elsewhere%s", i, s->ranks, s->one_gpu ? ", through the host" : "");
        bool by_host = s->one_gpu && s->ranks > 1;
        if (by_host || is_emulated()) // where there is one GPU only ranks share it
            assert_int_equal(b->exchanges[i], by_host ? steps : 0);
    }
    board_free(b);
}

static void compare_teams(const char *text, int parts, int fewest, int most) {
    support_instance f;
    setup s;
    open_setup(&f, text, parts, &s);
    board *alone = train(&s);
    assert_int_equal(alone->reached[0][0], STEPS);
    for (s.ranks = fewest; s.ranks <= most; s.ranks++)
        for (int gpus = 0; gpus < 2; gpus++) {
            s.one_gpu = gpus == 0;
            compare(&s, alone);
        }
    board_free(alone);
    support_close(&f);
}

static void test_ranks_end_where_one_rank_does(void **state) {
    (void)state;
    compare_teams("task: group\ngroup: S3\nembed: 5\nhidden: 9\ntrain_fraction: 0.9\n", 8, 1, MOST_RANKS);
    compare_teams("task: group\ngroup: S3\nembed: 5\nhidden: 9\noptimizer: muon\n", 2, 2, 3); // one without a part
    compare_teams("task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 8\n", 4, 3, 3);
}

static void test_a_loss_that_is_not_finite_stops_all_ranks(void **state) {
    (void)state;
    support_instance f;
    setup s;
    open_setup(&f, "task: group\ngroup: S3\nembed: 5\nhidden: 9\ntrain_fraction: 0.9\n", 8, &s);
    s.overflows = true;
    board *alone = train(&s);
    assert_int_equal(alone->reached[0][0], 0);
    for (s.ranks = 3; s.ranks > 1; s.ranks--)
        for (int gpus = 0; gpus < 2; gpus++) {
            s.one_gpu = gpus == 0;
            compare(&s, alone);
        }
    board_free(alone);
    support_close(&f);
}

// Nor does any wait for the one that has none, within NCCL or elsewhere: not even for a first exchange, or for
// training.
static void test_no_rank_trains_when_one_has_no_memory(void **state) {
    (void)state;
    support_instance f;
    setup s;
    if (!is_emulated())
        skip();
    open_setup(&f, "task: group\ngroup: S3\nembed: 5\nhidden: 9\ntrain_fraction: 0.9\n", 8, &s);
    for (s.ranks = 2; s.ranks <= MOST_RANKS; s.ranks++)
        for (int i = 0; i < 4; i++) {
            s.one_gpu = i % 2 == 0;
            s.memory = i < 2 ? "8" : "2000";
            board_free(train(&s));
        }
    support_close(&f);
}

static void test_instances_of_a_unit_end_where_each_does_alone(void **state) {
    (void)state;
    support_instance f;
    setup s;
    open_setup(&f, "task: group\ngroup: S3\nembed: 5\nhidden: 9\n", 4, &s);
    s.instances = INSTANCES;
    board *unit = train(&s);
    ts_params *first = f.all;
    s.instances = 1;
    for (int i = 0; i < INSTANCES; i++, f.all++) {
        board *alone = train(&s);
        assert_memory_equal(unit->state[0][i], alone->state[0][0], state_bytes(&s));
        board_free(alone);
    }
    f.all = first;
    board_free(unit);
    support_close(&f);
}

static void test_large_instances_are_the_wide_engines(void **state) {
    (void)state;
    static const char *const MODELS[] = {"mlp", "transformer"}, *const GROUPS[] = {"S5", "S6"};
    const ts_backend *backend = ts_backend_find("cuda");
    for (int i = 0; backend && i < 4; i++) {
        char text[200];
        support_instance f;
        snprintf(text, sizeof text, "task: group\nmodel: %s\ngroup: %s\n", MODELS[i % 2], GROUPS[i / 2]);
        support_open(&f, text);
        const ts_engine *engine = support_engine(backend, &f.params);
        assert_string_equal(engine->name, i < 2 ? TS_FUSED : TS_GENERAL);
        assert_int_equal(engine->wide, i >= 2);
        support_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_end_where_one_rank_does),
        cmocka_unit_test(test_a_loss_that_is_not_finite_stops_all_ranks),
        cmocka_unit_test(test_no_rank_trains_when_one_has_no_memory),
        cmocka_unit_test(test_instances_of_a_unit_end_where_each_does_alone),
        cmocka_unit_test(test_large_instances_are_the_wide_engines),
    };
    setenv("TOYSWEEP_EMULATE_DEVICES", "4", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
