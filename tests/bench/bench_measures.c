// What one checkpoint's measures cost: CPU seconds of one thread, on some shapes with their initial weights.
//     build/release/tests/bench/bench_measures [ROUNDS [SHAPE..]]
// Shapes are taken whose names contain a given word; without one, those of less than a second. All are timed in turn,
// round after round, and medians are shown. Where there is a GPU, the same there: seconds that pass, those of the
// host's thread, and how far measures are from the processor's, beside the largest number of each (of 1, if that is
// less).
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "bench.h"
#include "measure/measure.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 101 };

static const struct {
    const char *name, *text;
    bool is_dear;
} SHAPES[] = {
    {"S5-mlp", "task: group\ngroup: S5\n", false},
    {"C113-mlp", "task: group\ngroup: C113\ntrain_fraction: 0.3\n", false},
    {"D59-mlp", "task: group\ngroup: D59\n", false},
    {"C113-transformer", "task: group\ngroup: C113\nmodel: transformer\ntrain_fraction: 0.3\n", false},
    {"D59-transformer", "task: group\ngroup: D59\nmodel: transformer\n", false},
    {"power3-transformer", "task: power\np: 113\nm: 3\nn: 3\nmodel: transformer\ntrain_fraction: 0.3\n", false},
    {"power8-mlp", "task: power\np: 113\nm: 8\nn: 9\nmodel: mlp\ntrain_fraction: 0.3\n", false},
    {"power1-mlp", "task: power\np: 113\nmodel: mlp\ntrain_fraction: 0.3\n", false},
    {"C128-mlp", "task: group\ngroup: C128\n", false},
    {"C256-mlp", "task: group\ngroup: C256\n", true},
    {"C512-mlp", "task: group\ngroup: C512\n", true},
    {"C1024-mlp", "task: group\ngroup: C1024\n", true},
    {"S6-mlp", "task: group\ngroup: S6\n", true},
    {"S6-transformer", "task: group\ngroup: S6\nmodel: transformer\n", true},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

enum { LATER, LAST, CHECKPOINTS }; // one of many, and the last one
enum { CPU, GPU_HOST, GPU, KINDS };

typedef struct entry {
    const char *name;
    bench_instance of;
    float *weights;
    int64_t numbers;
    double *out, *gpu; // (numbers)
    double seconds[KINDS][CHECKPOINTS][MAX_ROUNDS];
    double apart;
} entry;

static bool is_wanted(int shape, int words, char **word) {
    for (int i = 0; i < words; i++)
        if (strstr(SHAPES[shape].name, word[i]))
            return true;
    return words == 0 && !SHAPES[shape].is_dear;
}

static void *room(size_t count, size_t bytes) {
    void *block = calloc(count, bytes);
    if (!block)
        exit(1);
    return block;
}

static void open_entry(int shape, entry *e) {
    ts_parameter_layout tensors;
    e->name = SHAPES[shape].name;
    bench_open(SHAPES[shape].text, &e->of);
    const ts_params *params = &e->of.params;
    params->schema->model->layout(params, &tensors);
    e->weights = room((size_t)tensors.total, sizeof *e->weights);
    e->numbers = ts_measures_total(params, e->of.data);
    e->out = room((size_t)e->numbers, sizeof *e->out);
    e->gpu = room((size_t)e->numbers, sizeof *e->gpu);
    ts_model_initialise(params, e->weights);
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void compare(entry *e) {
    ts_measures m = ts_measures_of(&e->of.params, e->of.data);
    while (ts_measures_next(&m)) {
        double most = 1;
        for (int64_t i = 0; i < m.length; i++)
            most = fabs(e->out[m.offset + i]) > most ? fabs(e->out[m.offset + i]) : most;
        for (int64_t i = 0; i < m.length; i++) {
            double x = e->out[m.offset + i], y = e->gpu[m.offset + i], apart = fabs(x - y) / most;
            if (isnan(x) != isnan(y))
                e->apart = INFINITY;
            else if (apart > e->apart)
                e->apart = apart;
        }
    }
}

static void time_measures(entry *e, const struct ts_pair_device *device, int last, int round) {
    const ts_measure_help help = {.device = device};
    double start = seconds_of(CLOCK_THREAD_CPUTIME_ID), now;
    check(ts_measure_weights(&e->of.params, e->of.data, e->weights, 0, last == LAST, NULL, e->out));
    e->seconds[CPU][last][round] = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
    if (!device)
        return;
    start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    now = seconds_of(CLOCK_MONOTONIC);
    check(ts_measure_weights(&e->of.params, e->of.data, e->weights, 0, last == LAST, &help, e->gpu));
    e->seconds[GPU][last][round] = seconds_of(CLOCK_MONOTONIC) - now;
    e->seconds[GPU_HOST][last][round] = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
    compare(e);
}

static void print_times(entry *e, int rounds, bool gpu) {
    printf("%-24s", e->name);
    for (int kind = 0; kind < (gpu ? KINDS : CPU + 1); kind++)
        for (int last = LATER; last < CHECKPOINTS; last++)
            printf(" %14.1f", 1e3 * bench_median(e->seconds[kind][last], rounds));
    if (gpu)
        printf(" %10.1e", e->apart);
    printf("\n");
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 5, n = 0;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static entry entries[N_SHAPES];
    const ts_backend *cuda = ts_backend_find("cuda");
    const struct ts_pair_device *device = cuda && cuda->probe() == TS_OK ? cuda->pairs : NULL;
    for (int s = 0; s < N_SHAPES; s++)
        if (is_wanted(s, argc - 2 > 0 ? argc - 2 : 0, argv + 2))
            open_entry(s, &entries[n++]);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            for (int last = LATER; last < CHECKPOINTS; last++)
                time_measures(&entries[i], device, last, round);
    printf("%-24s %14s %14s", "shape", "ms/checkpoint", "ms, the last");
    printf(device ? " %14s %14s %14s %14s %10s\n" : "\n", "GPU: host", "the last", "GPU: all", "the last", "apart");
    for (int i = 0; i < n; i++) {
        print_times(&entries[i], rounds, device != NULL);
        bench_close(&entries[i].of);
        free(entries[i].weights);
        free(entries[i].out);
        free(entries[i].gpu);
    }
    return 0;
}
