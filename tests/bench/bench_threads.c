// A large instance's step by one thread and by several, in turns.
//     build/release/tests/bench/bench_threads [ROUNDS [THREADS ...]]
// Default: 9 rounds, and 2 threads. Prints medians of seconds of the clock.
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "base/crew.h"

#include <stdlib.h>

enum { MOST = 8, MAX_ROUNDS = 99 };

static const char *const SHAPES[] = {
    "task: group\nmodel: mlp\ngroup: S6\ntrain_fraction: 0.25\n",
    "task: group\nmodel: transformer\ngroup: S6\ntrain_fraction: 0.4\n",
};

typedef struct team {
    int threads;
    ts_crew *crew;
    void *training;
    int64_t reached;
    double seconds[MAX_ROUNDS];
} team;

static void open_team(const bench_instance *of, const ts_engine *engine, int threads, team *t) {
    *t = (team){.threads = threads};
    check(ts_crew_create(threads, &t->crew));
    ts_crew_begin_unit(t->crew);
    ts_training_spec spec = {.params = &of->params, .count = 1, .data = of->data, .crew = t->crew};
    check(engine->create(&spec, &t->training));
}

static void measure(const char *shape, int rounds, const int *threads, int teams) {
    bench_instance of;
    static team t[MOST];
    bench_open(shape, &of);
    const ts_engine *engine = ts_backend_engine(ts_backend_find("cpu"), &of.params, NULL);
    for (int i = 0; i < teams; i++)
        open_team(&of, engine, threads[i], &t[i]);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < teams; i++) {
            double begin = ts_clock();
            check(engine->train(t[i].training, t[i].reached, t[i].reached + 1, &t[i].reached));
            t[i].seconds[round] = ts_clock() - begin;
        }
    for (const char *p = shape; *p; p++)
        putchar(*p == '\n' ? ' ' : *p);
    ts_model_costs costs;
    check(ts_model_cost(&of.params, of.data, &costs));
    printf("(%d parts)\n", costs.parts);
    for (int i = 0; i < teams; i++) {
        double median = bench_median(t[i].seconds, rounds);
        printf("    %2d thread%s  %.4f s a step  %.2f times\n", t[i].threads, t[i].threads == 1 ? " " : "s", median,
               bench_median(t[0].seconds, rounds) / median);
        engine->destroy(t[i].training);
        ts_crew_end_unit(t[i].crew);
        ts_crew_free(t[i].crew);
    }
    bench_close(&of);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 9, threads[MOST] = {1, 2}, teams = 2;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    for (int i = 2; i < argc && teams < MOST; i++) {
        threads[i - 1] = atoi(argv[i]);
        teams = i;
    }
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++)
        measure(SHAPES[i], rounds, threads, teams);
    return 0;
}
