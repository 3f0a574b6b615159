// For tests of the results file: a small sweep, its file, and rows whose numbers say where they belong.
#pragma once

#include "base/digest.h"
#include "base/file.h"
#include "hdf5/hdf5.h"
#include "integrity/check.h"
#include "results/create.h"
#include "results/store.h"
#include "support.h"
#include "support_folder.h"

#include <stdbool.h>
#include <sys/stat.h>

enum { MAX_CASES = 16, FILE_LIMIT = 1 << 28 };

static const char SWEEP[] = "name: small\n"
                            "task: tree\n"
                            "depth: 2\n"
                            "steps: 20\n"
                            "checkpoints: {every: 5}\n"
                            "save: checkpoints\n"
                            "grid:\n"
                            "  seed: 0..2\n"
                            "  hidden: 2..4\n"
                            "  schedule: [constant, cosine]\n";

static ts_comm alone = {.rank = 0, .size = 1, .node_rank = 0, .node_size = 1, .mpi = false};
static ts_io_way io = TS_IO_POSIX; // how rows are written

// A test program by whose argument rows are written; "mpio" needs mpirun -n 1. Returns what main shall.
static inline int run_with_io(int argc, char **argv, int (*run)(void)) {
    for (int way = 0; argc > 1 && ts_io_names[way]; way++)
        if (strcmp(argv[1], ts_io_names[way]) == 0)
            io = (ts_io_way)way;
    ts_h5_start();
    ts_status status = io == TS_IO_MPIO ? ts_comm_start(&alone, &argc, &argv) : TS_OK;
    if (status != TS_OK || ts_io_check(io, &alone) != TS_OK) {
        fprintf(stderr, "%s\n", ts_message());
        return 1;
    }
    int failed = run();
    ts_comm_end(&alone);
    return failed;
}

typedef struct fixture {
    const char *path;
    ts_sweep *sweep;
    int cases;
    ts_record_layout *layout[MAX_CASES];
    int64_t instances;
    uint8_t *status;
} fixture;

#define LAYOUTS(f) ((const ts_record_layout *const *)(f)->layout)

static inline void expect_ok(ts_status status) {
    if (status != TS_OK)
        fail_msg("status %d: %s", (int)status, ts_message());
}

static inline void use_sweep(fixture *f, const char *text) {
    f->sweep = support_sweep(text);
    f->cases = ts_sweep_cases(f->sweep);
    f->instances = ts_sweep_instances(f->sweep);
    assert_in_range(f->cases, 1, MAX_CASES);
    for (int c = 0; c < f->cases; c++) {
        ts_params params;
        ts_case_params(f->sweep, c, 0, &params);
        ts_data *data;
        expect_ok(ts_data_create(&params, &data));
        expect_ok(ts_record_layout_make(&params, data, &f->layout[c]));
        ts_data_free(data);
    }
    f->status = ts_alloc_zero((size_t)f->instances, 1, "statuses");
}

static inline void drop_sweep(fixture *f) {
    for (int c = 0; c < f->cases; c++)
        ts_record_layout_free(f->layout[c]);
    ts_sweep_free(f->sweep);
    ts_free(f->status);
}

static inline int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    support_folder_make(state);
    f->path = path;
    use_sweep(f, SWEEP);
    *state = f;
    return 0;
}

static inline int tear_down(void **state) {
    fixture *f = *state;
    drop_sweep(f);
    free(f);
    return support_folder_remove(state);
}

static inline void create(const fixture *f) {
    expect_ok(ts_results_create(f->path, f->sweep, LAYOUTS(f), "reference"));
}

static inline int64_t check(fixture *f, bool retry_failed) {
    int64_t damaged = -1;
    expect_ok(ts_check_results(f->path, f->sweep, LAYOUTS(f), "reference", retry_failed, f->status, &damaged));
    return damaged;
}

static inline void digest_of(const char *file, char hex[TS_SHA256_HEX]) {
    char *bytes;
    size_t size;
    uint8_t digest[TS_SHA256_BYTES];
    expect_ok(ts_file_read(file, FILE_LIMIT, &bytes, &size));
    ts_sha256(bytes, size, digest);
    ts_sha256_text(digest, hex);
    ts_free(bytes);
}

// A value that says where it belongs.
static inline float value_at(int64_t instance, size_t offset) {
    return (float)instance + (float)offset / 65536;
}

static char *make_record(const fixture *f, int c, int64_t row) {
    const ts_record_layout *layout = f->layout[c];
    int64_t instance = ts_sweep_case(f->sweep, c)->instance[row];
    char *record = ts_alloc(layout->bytes, "a record");
    ts_record_reset(layout, record);
    for (int k = 0; k < layout->count; k++)
        for (size_t b = 0; b < layout->field[k].bytes; b += (size_t)layout->field[k].item_bytes) {
            size_t offset = layout->field[k].offset + b;
            float single = value_at(instance, offset);
            double real = single;
            memcpy(record + offset, layout->field[k].item_bytes == 8 ? (void *)&real : (void *)&single,
                   (size_t)layout->field[k].item_bytes);
        }
    return record;
}

// Rows end at different checkpoints, as if they had stopped early.
static inline int64_t checkpoint_of(int64_t row) {
    return 1 + row % 4;
}

static inline void commit_rows(const fixture *f, ts_store *store, int c, int64_t first, int64_t count,
                               ts_row_status status) {
    ts_row *rows = calloc((size_t)count, sizeof *rows);
    for (int64_t i = 0; i < count; i++)
        rows[i] = (ts_row){status, 5 * checkpoint_of(first + i), make_record(f, c, first + i)};
    expect_ok(ts_store_commit(store, c, first, count, rows));
    for (int64_t i = 0; i < count; i++)
        ts_free((void *)(uintptr_t)rows[i].record);
    free(rows);
}

static inline void commit_everything(const fixture *f) {
    ts_store *store;
    expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
    for (int c = f->cases - 1; c >= 0; c--)
        commit_rows(f, store, c, 0, ts_sweep_case(f->sweep, c)->rows, TS_ROW_DONE);
    expect_ok(ts_store_close(store));
}

static inline int64_t count_status(const fixture *f, int value) {
    int64_t count = 0;
    for (int64_t i = 0; i < f->instances; i++)
        count += f->status[i] == value;
    return count;
}
