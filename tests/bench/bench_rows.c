// Rows a second that the ranks write into one results file, through MPI and each for itself, in turns.
//     mpirun -n RANKS build/release/tests/bench/bench_rows [ROUNDS [FOLDER ...]]
// Default: 9 rounds, in the working directory. Prints medians as a table in Markdown: rows committed one by one, each
// with its two syncs, and rows put without any.
#define _GNU_SOURCE
#include "bench.h"

#include "base/memory.h"
#include "hdf5/hdf5.h"
#include "results/create.h"
#include "results/store.h"

#include <limits.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAX_ROUNDS = 99, WAYS = 2 };

typedef struct shape {
    const char *sweep;
    int rows; // a rank writes in a round
} shape;

static const shape SHAPES[] = {
    {"name: rows\ntask: tree\ndepth: 3\nhidden: 4\nsteps: 600\ncheckpoints: {every: 20}\nsave: final\ninstances: "
     "512\n",
     100},
    {"name: rows\ntask: tree\ndepth: 6\nhidden: 62\nsteps: 600\ncheckpoints: {every: 20}\nsave: "
     "checkpoints\ninstances: 64\n",
     8},
};
static const ts_io_way ways[WAYS] = {TS_IO_MPIO, TS_IO_POSIX};

typedef struct bench_rows {
    const ts_comm *comm;
    ts_sweep *sweep;
    ts_record_layout *layout;
    const ts_record_layout *layouts[1]; // the same
    char *record;
    ts_store *store[WAYS];
} bench_rows;

static void open_rows(const shape *of, const char *directory, bench_rows *b) {
    ts_sweep_source source = {.file = "bench", .text = of->sweep, .bytes = strlen(of->sweep)};
    ts_params params;
    ts_data *data;
    check(ts_sweep_read(&source, &b->sweep));
    ts_sweep_params(b->sweep, 0, &params);
    check(ts_data_create(&params, &data));
    check(ts_record_layout_make(&params, data, &b->layout));
    b->layouts[0] = b->layout;
    ts_data_free(data);
    b->record = ts_alloc(b->layout->bytes, "a record");
    check(b->record ? TS_OK : TS_ERROR_MEMORY);
    ts_record_reset(b->layout, b->record);
    for (int w = 0; w < WAYS; w++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/bench-rows-%s.h5", directory, ts_io_names[ways[w]]);
        if (b->comm->rank == 0) {
            unlink(path);
            check(ts_results_create(path, b->sweep, b->layouts, "cpu"));
        }
        check(ts_comm_agree(b->comm, TS_OK));
        check(ts_store_open(path, b->comm, ways[w], b->sweep, b->layouts, &b->store[w]));
        if (ts_comm_agree(b->comm, TS_OK) == TS_OK && b->comm->rank == 0)
            unlink(path); // the space is given back with the last descriptor
    }
}

static void close_rows(bench_rows *b) {
    for (int w = 0; w < WAYS; w++)
        check(ts_store_close(b->store[w]));
    ts_free(b->record);
    ts_record_layout_free(b->layout);
    ts_sweep_free(b->sweep);
}

// Rows a second, of all ranks.
static double write_rows(const bench_rows *b, ts_store *store, int rows, bool durably) {
    const ts_row row = {.status = TS_ROW_DONE, .steps_done = 600, .record = b->record};
    int64_t all = ts_sweep_case(b->sweep, 0)->rows;
    check(ts_comm_agree(b->comm, TS_OK));
    double begin = ts_clock();
    for (int i = 0; i < rows; i++) {
        int64_t at = ((int64_t)i * b->comm->size + b->comm->rank) % all;
        check(durably ? ts_store_commit(store, 0, at, 1, &row) : ts_store_put(store, 0, at, 1, &row));
    }
    check(ts_comm_agree(b->comm, TS_OK));
    double seconds = ts_clock() - begin;
    check(ts_store_sync(store)); // so that nobody pays for it later
    check(ts_comm_agree(b->comm, TS_OK));
    return (double)b->comm->size * rows / seconds;
}

static void measure(const ts_comm *comm, const shape *of, const char *directory, int rounds) {
    static double rate[2][WAYS][MAX_ROUNDS]; // durably; way
    bench_rows b = {.comm = comm};
    struct statfs system;
    bool leans;
    open_rows(of, directory, &b);
    for (int round = -1; round < rounds; round++) // the first is not counted
        for (int durably = 0; durably < 2; durably++)
            for (int turn = 0; turn < WAYS; turn++) {
                int w = (round + 1 + turn) % WAYS; // each begins as often
                rate[durably][w][round < 0 ? 0 : round] = write_rows(&b, b.store[w], of->rows, durably);
            }
    if (comm->rank == 0 && statfs(directory, &system) == 0) {
        printf("| %s | %.1f kB |", ts_io_file_system((unsigned long)system.f_type & 0xffffffffu, &leans),
               (double)b.layout->bytes / 1e3);
        for (int durably = 1; durably >= 0; durably--)
            for (int w = 0; w < WAYS; w++)
                printf(" %.0f |", bench_median(rate[durably][w], rounds));
        printf("\n");
        fflush(stdout);
    }
    close_rows(&b);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 9;
    static const char *const HERE[] = {"."};
    const char *const *folders = argc > 2 ? (const char *const *)argv + 2 : HERE;
    int count = argc > 2 ? argc - 2 : 1;
    ts_comm comm;
    rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
    ts_h5_start();
    check(ts_comm_start(&comm, &argc, &argv));
    check(ts_io_check(TS_IO_MPIO, &comm));
    if (comm.rank == 0)
        printf("| file system | row | mpio, committed | posix, committed | mpio, put | posix, put |\n"
               "|---|---|---|---|---|---|\n");
    for (int i = 0; i < count; i++)
        for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++)
            measure(&comm, &SHAPES[s], folders[i], rounds);
    ts_comm_end(&comm);
    return 0;
}
