// Costs are those of one machine, carried over by how long it takes this one to make a dataset.
#include "results/file_time.h"

#include "base/clock.h"
#include "hdf5/hdf5.h"

#include <math.h>
#include <stdio.h>

// Seconds on that machine: to make a dataset in memory; of the main thread, to make a case's group and a dataset of the
// results file; to write a field of a unit, an instance, and a byte.
static const double IN_MEMORY = 10.7e-6;
static const double CASE = 480e-6, DATASET = 67e-6, FIELD = 2e-6, INSTANCE = 1.5e-6, BYTE = 3e-9;

enum { GROUPS = 20, DATASETS = 10 }; // that are timed

static void make_group(ts_h5 *h5, int index) {
    const ts_h5_form form = {.type = TS_H5_FLOAT64, .rank = 1, .size = {1}};
    char name[16];
    snprintf(name, sizeof name, "%d", index);
    hid_t group = ts_h5_create_group(h5, h5->file, name);
    for (int i = 0; i < DATASETS; i++) {
        snprintf(name, sizeof name, "%d", i);
        hid_t dataset = ts_h5_create_dataset(h5, group, name, &form);
        ts_h5_put_text(h5, dataset, "long_name", "one of those that are timed");
        ts_h5_close(h5, dataset);
    }
    ts_h5_close(h5, group);
}

// How many times as long HDF5 takes here, by the quickest group; 1 where it cannot be told.
static double slowness(void) {
    ts_h5 h5;
    double least = INFINITY;
    ts_h5_create_in_memory(&h5);
    for (int i = 0; i < GROUPS; i++) {
        double start = ts_clock_thread();
        make_group(&h5, i);
        least = fmin(least, ts_clock_thread() - start);
    }
    return ts_h5_end(&h5) == TS_OK ? least / DATASETS / IN_MEMORY : 1;
}

void ts_results_time(const ts_file_contents *file, double *make, double *write) {
    double slower = slowness();
    *make = slower * (CASE * (double)file->cases + DATASET * (double)file->datasets);
    *write = slower * (FIELD * file->fields + INSTANCE * (double)file->instances + BYTE * (double)file->bytes);
}
