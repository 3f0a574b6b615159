// Throughput of every backend and instruction set on some shapes, beside the machine's float32 peak.
// All are timed in turn, round after round, and medians are shown: a noisy machine disturbs them alike.
//     build/release/tests/bench/bench [ROUNDS]
#define _POSIX_C_SOURCE 200809L
#include "backend/backend.h"
#include "backend/cpu.h"
#include "base/clock.h"
#include "base/memory.h"
#include "model/model.h"
#include "sweep/sweep.h"
#include "task/data.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROUNDS = 101, MAX_ENTRIES = 128 };

static const char *const SHAPES[] = {
    "task: tree\ndepth: 1\nhidden: 2\n",
    "task: tree\ndepth: 3\nhidden: 5\n",
    "task: tree\ndepth: 5\nhidden: 10\n",
    "task: tree\ndepth: 6\nhidden: 10\n",
    "task: tree\ndepth: 6\nhidden: 10\nearly_stopping: false\n",
    "task: tree\ndepth: 6\nhidden: 10\nbatch: exact\n",
    "task: tree\ndepth: 6\nhidden: 64\nbatch: exact\n",
    "task: independent\nfeatures: 126\nhidden: 10\n",
    "task: group\ngroup: S5\n",
    "task: group\ngroup: D59\ntrain_fraction: 0.3\n",
    "task: power\nm: 8\nn: 9\ntrain_fraction: 0.3\n",
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

// One engine on one shape.
typedef struct entry {
    char name[96];
    const ts_engine *engine;
    void *training;
    double operations; // useful ones of a step
    int64_t steps;     // per round
    int64_t reached;
    double seconds[MAX_ROUNDS]; // per step
} entry;

// A shape's sweep and data outlive the entries that use them.
typedef struct shape {
    ts_sweep *sweep;
    ts_params params;
    ts_data *data;
    char label[64];
} shape;

static void check(ts_status status) {
    if (status != TS_OK) {
        fprintf(stderr, "bench: %s\n", ts_message());
        exit(1);
    }
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void open_shape(const char *text, shape *s) {
    char whole[512];
    snprintf(whole, sizeof whole, "%ssteps: 1000000000\ncheckpoints: [1000000000]\n", text);
    ts_sweep_source source = {.file = "bench", .text = whole, .bytes = strlen(whole)};
    check(ts_sweep_read(&source, &s->sweep));
    ts_sweep_params(s->sweep, 0, &s->params);
    check(ts_data_create(&s->params, &s->data));
    snprintf(s->label, sizeof s->label, "%s", text + strlen("task: "));
    for (char *p = s->label; *p; p++)
        if (*p == '\n')
            *p = p[1] ? ' ' : 0;
}

// Trains `steps` more; returns seconds per step.
static double time_steps(entry *e, int64_t steps) {
    double start = ts_clock();
    check(e->engine->train(e->training, e->reached, e->reached + steps, &e->reached));
    return (ts_clock() - start) / (double)steps;
}

static void open_entry(const shape *s, const char *backend, const char *kernels, entry *e) {
    *e = (entry){.engine = ts_backend_engine(ts_backend_find(backend), &s->params, NULL)};
    snprintf(e->name, sizeof e->name, "%s%s%s  %s", backend, kernels ? " " : "", kernels ? kernels : "", s->label);
    e->operations = s->params.schema->model->step_operations(&s->params, s->data);
    if (kernels)
        setenv("TOYSWEEP_KERNELS", kernels, 1);
    ts_training_spec spec = {&s->params, 1, s->data, NULL};
    check(e->engine->create(&spec, &e->training));
    unsetenv("TOYSWEEP_KERNELS");
    // Past the start, where batches cost what they cost later; then as many steps as fill some 20 ms.
    double seconds = time_steps(e, e->operations > 1e8 ? 2 : 20);
    e->steps = seconds > 0 ? (int64_t)(0.02 / seconds) + 1 : 1000;
}

static double time_peak(const ts_kernels *kernels) {
    float sink;
    double start = ts_clock(), operations = kernels->peak(2000000, &sink);
    return operations / (ts_clock() - start);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 15, n = 0;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    static shape shapes[N_SHAPES];
    static entry entries[MAX_ENTRIES];
    double peaks[MAX_ROUNDS];
    for (int s = 0; s < N_SHAPES; s++) {
        open_shape(SHAPES[s], &shapes[s]);
        for (int k = 0; ts_cpu_kernel_names[k]; k++)
            if (ts_cpu_kernels_named(ts_cpu_kernel_names[k]))
                open_entry(&shapes[s], "cpu", ts_cpu_kernel_names[k], &entries[n++]);
        // Seconds a step are of no interest.
        if (shapes[s].params.schema->model->step_operations(&shapes[s].params, shapes[s].data) < 1e8)
            open_entry(&shapes[s], "reference", NULL, &entries[n++]);
    }
    for (int round = 0; round < rounds; round++) {
        peaks[round] = time_peak(ts_cpu_kernels());
        for (int i = 0; i < n; i++)
            entries[i].seconds[round] = time_steps(&entries[i], entries[i].steps);
    }
    double peak = median(peaks, rounds);
    printf("float32 multiply-add peak of one core (%s, measured): %.1f GFLOP/s; medians of %d rounds\n\n",
           ts_cpu_device(), peak / 1e9, rounds);
    printf("%-64s %12s %10s %10s %8s\n", "backend, shape", "steps/s", "us/step", "GFLOP/s", "of peak");
    for (int i = 0; i < n; i++) {
        double seconds = median(entries[i].seconds, rounds), rate = entries[i].operations / seconds;
        printf("%-64s %12.0f %10.2f %10.2f %7.1f%%\n", entries[i].name, 1 / seconds, seconds * 1e6, rate / 1e9,
               100 * rate / peak);
        entries[i].engine->destroy(entries[i].training);
    }
    for (int s = 0; s < N_SHAPES; s++) {
        ts_data_free(shapes[s].data);
        ts_sweep_free(shapes[s].sweep);
    }
    return 0;
}
