// What a sweep is read from, and how large it may be.
#pragma once

#include "base/status.h"
#include <stdbool.h>

#include <stddef.h>
#include <stdint.h>

struct ts_model;
struct ts_parameter_layout;

enum { TS_SWEEP_MAX_BYTES = 256 * 1024, TS_SWEEP_MAX_INSTANCES = 10000000, TS_SWEEP_MAX_CASES = 65536 };

// A file that a sweep names, by the path as written.
typedef struct ts_sweep_file {
    const char *path;
    const char *content; // (bytes)
    size_t bytes;
} ts_sweep_file;

// How files of weights are read, of whatever kind (weights/initial_weights.h).
typedef struct ts_weights_access {
    // *instances: of a results file; -1: it is a file of weights. Close it unless this fails.
    ts_status (*open)(const char *path, void **file, int64_t *instances);
    void (*close)(void *file);
    // The JSON object of the resolved parameters of an instance; free with ts_free.
    ts_status (*resolved)(void *file, int64_t instance, char **json);
    // Weights (layout->total) in the model's layout; of a results file those of an instance at *step, -1: its last, and
    // *step becomes that. TS_ERROR_USER: they are not there, do not fit or are not finite.
    ts_status (*read)(void *file, int64_t instance, int64_t *step, const struct ts_model *model,
                      const struct ts_parameter_layout *layout, double *out);
} ts_weights_access;

// Weights that a sweep begins with, as they were found when it was read first (ts_initial).
typedef struct ts_noted_weights {
    const char *path;
    int64_t instance, step;
    const char *matched;
    int64_t found_instance, found_step;
    const char *digest;
    const float *narrow; // one of the two, or neither
    const double *wide;
} ts_noted_weights;

// What a sweep is read from. Pointers are only used during the call.
typedef struct ts_sweep_source {
    const char *file; // for messages, and for paths relative to it
    const char *text; // the YAML
    size_t bytes;
    const char *const *overrides; // "key=value" of each --set
    int n_overrides;
    const ts_sweep_file *files; // those that it names, in place of the file system; NULL: read them
    int n_files;
    const ts_weights_access *weights; // reads those that it begins with; NULL: they are only known by what was `noted`
    const ts_noted_weights *noted;
    int n_noted;
    // What was noted of the sweep of that name before, asked for once when weights cannot be read. NULL: nothing.
    ts_status (*recall)(void *context, const char *name, const ts_noted_weights **noted, int *n_noted);
    void *context;
    bool trains; // it is to be trained, so that keys of earlier versions (TS_RETIRED) are faults
} ts_sweep_source;
