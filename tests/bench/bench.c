// Throughput of every engine of a backend and instruction set on some shapes, beside the float32 peak of one core with
// that instruction set.
// All are timed in turn, round after round, and medians are shown, of processor time: a noisy machine disturbs them
// alike. A step is one instance's, of as many as are trained together.
//     build/release/tests/bench/bench [ROUNDS [TEXT]]
// With TEXT only rows whose name has it, such as "fused avx2".
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "backend/cpu.h"

enum { MAX_ROUNDS = 101, MOST_INSTANCES = 16, MOST_SETS = 3 };

static const struct {
    const char *text;
    int instances; // trained together
} SHAPES[] = {
    {"task: tree\ndepth: 1\nhidden: 2\n", 16},
    {"task: tree\ndepth: 2\nhidden: 3\n", 16},
    {"task: tree\ndepth: 3\nhidden: 5\n", 16},
    {"task: tree\ndepth: 3\nhidden: 5\n", 1},
    {"task: tree\ndepth: 4\nhidden: 7\n", 16},
    {"task: tree\ndepth: 5\nhidden: 10\n", 16},
    {"task: tree\ndepth: 6\nhidden: 10\n", 16},
    {"task: tree\ndepth: 6\nhidden: 10\nearly_stopping: false\n", 16},
    {"task: tree\ndepth: 3\nhidden: 5\nbatch: exact\n", 16},
    {"task: tree\ndepth: 6\nhidden: 10\nbatch: exact\n", 16},
    {"task: tree\ndepth: 6\nhidden: 64\nbatch: exact\n", 16},
    {"task: independent\nfeatures: 126\nhidden: 10\n", 1},
    {"task: group\ngroup: C13\nembed: 16\nhidden: 32\n", 1},
    {"task: group\ngroup: C31\nembed: 32\nhidden: 64\n", 1},
    {"task: group\ngroup: C113\n", 1},
    {"task: group\ngroup: D59\ntrain_fraction: 0.3\n", 1},
    {"task: group\ngroup: S5\n", 1},
    {"task: power\np: 23\nm: 1\nn: 1\ntrain_fraction: 0.3\n", 1},
    {"task: power\nm: 8\nn: 9\ntrain_fraction: 0.3\n", 1},
    {"task: group\nmodel: transformer\ngroup: S5\n", 1},
    {"task: group\ngroup: S6\n", 1},
    {"task: group\nmodel: transformer\ngroup: S6\n", 1},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES, MOST_ENTRIES = N_SHAPES * (2 * MOST_SETS + 1) };

// One engine on one shape.
typedef struct entry {
    char name[112];
    const ts_engine *engine;
    int kernels; // whose peak it is compared with: a place in ts_cpu_kernel_names
    void *training;
    double operations; // useful ones of a step
    int instances;
    int64_t steps; // per round
    int64_t reached[MOST_INSTANCES];
    double seconds[MAX_ROUNDS]; // per step
} entry;

// A shape outlives the entries that use it.
typedef struct shape {
    bench_instance of;
    ts_params params[MOST_INSTANCES];
    int instances;
    char label[80];
} shape;

static void open_shape(int index, shape *s) {
    char text[256];
    s->instances = SHAPES[index].instances;
    snprintf(text, sizeof text, "%sseed: 0..%d\n", SHAPES[index].text, s->instances - 1);
    bench_open(text, &s->of);
    for (int i = 0; i < s->instances; i++)
        ts_sweep_params(s->of.sweep, i, &s->params[i]);
    int length = snprintf(s->label, sizeof s->label, "%s", SHAPES[index].text + strlen("task: "));
    if (s->instances > 1)
        snprintf(s->label + length, sizeof s->label - (size_t)length, "x %d", s->instances);
    for (char *p = s->label; *p; p++)
        if (*p == '\n')
            *p = p[1] ? ' ' : 0;
}

// Trains `steps` more; returns seconds per step of an instance.
static double time_steps(entry *e, int64_t steps) {
    double start = bench_processor_seconds();
    int64_t to = e->reached[0] + steps;
    check(e->engine->train(e->training, e->reached[0], to, e->reached));
    return (bench_processor_seconds() - start) / (double)steps / e->instances;
}

// False: its name has not the text.
static bool open_entry(const shape *s, const char *backend, const ts_engine *engine, int set, const char *text,
                       entry *e) {
    const char *kernels = strcmp(backend, "cpu") == 0 ? ts_cpu_kernel_names[set] : NULL;
    *e = (entry){.engine = engine, .kernels = set, .instances = s->instances};
    snprintf(e->name, sizeof e->name, "%s %s%s%s  %s", backend, engine->name, kernels ? " " : "",
             kernels ? kernels : "", s->label);
    if (!strstr(e->name, text))
        return false;
    e->operations = bench_operations(&s->of.params, s->of.data);
    if (kernels)
        setenv("TOYSWEEP_KERNELS", kernels, 1);
    ts_training_spec spec = {.params = s->params, .count = s->instances, .data = s->of.data};
    check(e->engine->create(&spec, &e->training));
    unsetenv("TOYSWEEP_KERNELS");
    // Past the start, where batches cost what they cost later; then as many steps as fill some 60 ms: the first comes
    // back to cold caches.
    double seconds = time_steps(e, e->operations > 1e8 ? 2 : 20) * e->instances;
    e->steps = seconds > 0 ? (int64_t)(0.06 / seconds) + 1 : 1000;
    return true;
}

// One for each engine that trains the shape. Returns how many.
static int open_engines(const shape *s, const char *backend, int set, const char *text, entry *entries) {
    int n = 0;
    for (const ts_engine *const *engine = ts_backend_find(backend)->engines; *engine; engine++)
        if (!ts_engine_refuses(*engine, &s->of.params))
            n += open_entry(s, backend, *engine, set, text, &entries[n]);
    return n;
}

static double time_peak(const ts_kernels *kernels) {
    float sink;
    double start = bench_processor_seconds(), operations = kernels->peak(2000000, &sink);
    return operations / (bench_processor_seconds() - start);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 15, n = 0;
    const char *text = argc > 2 ? argv[2] : "";
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static shape shapes[N_SHAPES];
    static entry entries[MOST_ENTRIES];
    const ts_kernels *kernels[MOST_SETS];
    static double peaks[MOST_SETS][MAX_ROUNDS], peak[MOST_SETS];
    int sets = 0, best = 0;
    check(ts_cpu_probe());
    for (; sets < MOST_SETS && ts_cpu_kernel_names[sets]; sets++) {
        kernels[sets] = ts_cpu_kernels_named(ts_cpu_kernel_names[sets]); // NULL: not on this machine
        best = kernels[sets] == ts_cpu_kernels() ? sets : best;
    }
    for (int s = 0; s < N_SHAPES; s++) {
        open_shape(s, &shapes[s]);
        double operations = bench_operations(&shapes[s].of.params, shapes[s].of.data);
        for (int k = 0; k < sets; k++)
            if (kernels[k] && (operations < 1e10 || k == best)) // a step takes seconds: the best alone
                n += open_engines(&shapes[s], "cpu", k, text, entries + n);
        if (operations < 1e8) // seconds a step are of no interest
            n += open_engines(&shapes[s], "reference", best, text, entries + n);
    }
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < sets; k++)
            peaks[k][round] = kernels[k] ? time_peak(kernels[k]) : 0;
        for (int i = 0; i < n; i++)
            entries[i].seconds[round] = time_steps(&entries[i], entries[i].steps);
    }
    printf("float32 multiply-add peaks of one core, medians of %d rounds:", rounds);
    for (int k = 0; k < sets; k++) {
        peak[k] = bench_median(peaks[k], rounds);
        if (kernels[k])
            printf(" %s %.1f GFLOP/s%s", ts_cpu_kernel_names[k], peak[k] / 1e9, ts_cpu_kernel_names[k + 1] ? "," : "");
    }
    printf("\n\n");
    printf("%-72s %12s %10s %10s %8s\n", "backend, shape", "steps/s", "us/step", "GFLOP/s", "of peak");
    for (int i = 0; i < n; i++) {
        double seconds = bench_median(entries[i].seconds, rounds), rate = entries[i].operations / seconds;
        printf("%-72s %12.0f %10.2f %10.2f %7.1f%%\n", entries[i].name, 1 / seconds, seconds * 1e6, rate / 1e9,
               100 * rate / peak[entries[i].kernels]);
        entries[i].engine->destroy(entries[i].training);
    }
    for (int s = 0; s < N_SHAPES; s++)
        bench_close(&shapes[s].of);
    return 0;
}
