// What one checkpoint's measures cost: CPU seconds of one thread, on some shapes with their initial weights.
//     build/release/tests/bench/bench_measures [ROUNDS [SHAPE..]]
// Shapes are taken whose names contain a given word; without one, those of less than a second. All are timed in turn,
// round after round, and medians are shown.
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "measure/measure.h"

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

typedef struct entry {
    const char *name;
    bench_instance of;
    float *weights;
    double *out;
    double seconds[CHECKPOINTS][MAX_ROUNDS];
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
    e->out = room((size_t)ts_measures_total(params, e->of.data), sizeof *e->out);
    ts_model_initialise(params, e->weights);
}

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double time_measures(entry *e, bool last) {
    double start = thread_seconds();
    check(ts_measure_weights(&e->of.params, e->of.data, e->weights, 0, last, NULL, e->out));
    return thread_seconds() - start;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 5, n = 0;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static entry entries[N_SHAPES];
    for (int s = 0; s < N_SHAPES; s++)
        if (is_wanted(s, argc - 2 > 0 ? argc - 2 : 0, argv + 2))
            open_entry(s, &entries[n++]);
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < n; i++)
            for (int last = LATER; last < CHECKPOINTS; last++)
                entries[i].seconds[last][round] = time_measures(&entries[i], last == LAST);
    printf("%-24s %14s %14s\n", "shape", "ms/checkpoint", "ms, the last");
    for (int i = 0; i < n; i++) {
        printf("%-24s %14.1f %14.1f\n", entries[i].name, 1e3 * bench_median(entries[i].seconds[LATER], rounds),
               1e3 * bench_median(entries[i].seconds[LAST], rounds));
        bench_close(&entries[i].of);
        free(entries[i].weights);
        free(entries[i].out);
    }
    return 0;
}
