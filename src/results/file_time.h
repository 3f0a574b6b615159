// What a results file costs beside training, on this machine: HDF5 is timed for some milliseconds, in memory.
#pragma once

#include <stdint.h>

typedef struct ts_file_contents {
    int64_t cases, datasets, instances, bytes;
    double fields; // of all units: of each as many as its case has
} ts_file_contents;

// Seconds of the main thread to make all of it, and to write what units bring; what it takes to open it again is in
// neither.
void ts_results_time(const ts_file_contents *file, double *make, double *write);
