// What a sweep is read from, and how large it may be.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { TS_SWEEP_MAX_BYTES = 256 * 1024, TS_SWEEP_MAX_INSTANCES = 10000000, TS_SWEEP_MAX_CASES = 65536 };

// A file that a sweep names, by the path as written.
typedef struct ts_sweep_file {
    const char *path;
    const char *content; // (bytes)
    size_t bytes;
} ts_sweep_file;

// What a sweep is read from. Pointers are only used during the call.
typedef struct ts_sweep_source {
    const char *file; // for messages, and for paths relative to it
    const char *text; // the YAML
    size_t bytes;
    const char *const *overrides; // "key=value" of each --set
    int n_overrides;
    const ts_sweep_file *files; // those that it names, in place of the file system; NULL: read them
    int n_files;
    bool trains; // it is to be trained, so that keys of earlier versions (TS_RETIRED) are faults
} ts_sweep_source;
