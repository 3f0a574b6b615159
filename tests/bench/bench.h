// What the benches share: medians of rounds, and the instance that is timed. A fault ends the program. Needs
// _POSIX_C_SOURCE or more.
#pragma once

#include "backend/backend.h"
#include "base/clock.h"
#include "model/model.h"
#include "sweep/sweep.h"
#include "task/data.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void check(ts_status status) {
    if (status != TS_OK) {
        fprintf(stderr, "bench: %s\n", ts_message());
        exit(1);
    }
}

// Of the calling thread, since an arbitrary start.
static inline double bench_processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline int bench_ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static inline double bench_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, bench_ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

// A sweep's first instance, to be trained for as long as one likes, and its data.
typedef struct bench_instance {
    ts_sweep *sweep;
    ts_params params;
    ts_data *data;
} bench_instance;

// Floating-point operations of a training step.
static inline double bench_operations(const ts_params *params, const ts_data *data) {
    ts_model_costs costs;
    check(ts_model_cost(params, data, &costs));
    return costs.step_operations;
}

static inline void bench_open(const char *text, bench_instance *f) {
    char whole[512];
    snprintf(whole, sizeof whole, "%ssteps: 1000000000\ncheckpoints: [1000000000]\n", text);
    ts_sweep_source source = {.file = "bench", .text = whole, .bytes = strlen(whole)};
    check(ts_sweep_read(&source, &f->sweep));
    ts_sweep_params(f->sweep, 0, &f->params);
    check(ts_data_create(&f->params, &f->data));
}

static inline void bench_close(bench_instance *f) {
    ts_data_free(f->data);
    ts_sweep_free(f->sweep);
}
