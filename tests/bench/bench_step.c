// One engine's step on one core, to be timed in turns with others by table.py.
//     build/release/tests/bench/bench_step ENGINE SWEEP [NETWORK]
// ENGINE: fused or general, of the backend cpu; SWEEP: the text of a sweep; NETWORK: of bench_networks.h, in the place
// of its model. Prints the version, or "none" if no such engine trains it; then, for each number of steps read, seconds
// per step, of the clock and of the processor.
#define _POSIX_C_SOURCE 200809L
#include "bench.h"
#include "bench_networks.h"

#include <time.h>

static double processor_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

static const ts_engine *find_engine(const char *name, const ts_params *params) {
    for (const ts_engine *const *engine = ts_backend_find("cpu")->engines; *engine; engine++)
        if (strcmp((*engine)->name, name) == 0 && !ts_engine_refuses(*engine, params))
            return *engine;
    return NULL;
}

int main(int argc, char **argv) {
    bench_instance f;
    bench_network network;
    void *training;
    int64_t reached = 0;
    long long steps;
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: bench_step ENGINE SWEEP [NETWORK]\n");
        return 2;
    }
    bench_open(argv[2], &f);
    if (argc == 4 && !bench_take_network(argv[3], &f.params, &network)) {
        fprintf(stderr, "bench_step: no network %s\n", argv[3]);
        return 2;
    }
    const ts_engine *engine = find_engine(argv[1], &f.params);
    printf("%s\n", engine ? TOYSWEEP_VERSION : "none");
    if (engine)
        check(engine->create(&(ts_training_spec){.params = &f.params, .count = 1, .data = f.data}, &training));
    while (engine && fflush(stdout) == 0 && scanf("%lld", &steps) == 1) {
        double begin = ts_clock(), used = processor_seconds();
        int64_t to = reached + steps;
        check(engine->train(training, reached, to, &reached));
        if (reached != to) {
            fprintf(stderr, "bench_step: training diverged\n");
            return 1;
        }
        printf("%.9g %.9g\n", (ts_clock() - begin) / (double)steps, (processor_seconds() - used) / (double)steps);
    }
    if (engine)
        engine->destroy(training);
    bench_close(&f);
    return 0;
}
