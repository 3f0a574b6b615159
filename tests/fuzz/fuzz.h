// What several fuzz targets share: a sweep of the first instance of a text, and bytes as a file.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "sweep/sweep.h"
#include "task/data.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What must hold whatever the input is.
#define fuzz_require(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

// NULL: refused, and said why.
static inline ts_sweep *fuzz_sweep(const char *text) {
    ts_sweep_source source = {.file = "fuzz.yaml", .text = text, .bytes = strlen(text)};
    ts_sweep *sweep = NULL;
    if (ts_sweep_read(&source, &sweep) == TS_OK)
        return sweep;
    fuzz_require(ts_sweep_errors()[0]);
    return NULL;
}

// A sweep that names a file with these bytes: `text` has a %s for its path. The file is in memory.
static inline ts_sweep *fuzz_sweep_with_file(const char *text, const uint8_t *data, size_t size) {
    char path[64], sweep_text[512];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(sweep_text, sizeof sweep_text, text, path);
    ts_sweep *sweep = fuzz_sweep(sweep_text);
    close(fd);
    return sweep;
}

// A folder in memory for files that are opened by name; removed at the end, with what is in it.
static inline void fuzz_remove_directory(void);
static char *fuzz_directory_made;

static inline void fuzz_directory(char directory[64]) {
    snprintf(directory, 64, "%s/toysweep-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_require(mkdtemp(directory));
    fuzz_directory_made = directory;
    atexit(fuzz_remove_directory);
}

static inline void fuzz_remove_directory(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", fuzz_directory_made);
    if (system(command) != 0)
        fprintf(stderr, "%s is left behind\n", fuzz_directory_made);
}

// A table made from a file that was accepted: whole, and examined.
static inline void fuzz_table(ts_sweep *sweep) {
    ts_params params;
    ts_data *made = NULL;
    char verdict[128];
    ts_case_params(sweep, 0, 0, &params);
    fuzz_require(ts_data_create(&params, &made) == TS_OK);
    const ts_table *table = made->table;
    for (int i = 0; i < table->n * table->n; i++)
        fuzz_require(table->result[i] >= 0 && table->result[i] < table->n_out);
    fuzz_require(*ts_table_verdict(table, verdict));
    ts_data_free(made);
}
