// Fuzz target: any bytes as the CSV file of task `cayley`. Refused with a message, or a whole table.
#define _GNU_SOURCE
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ts_sweep *sweep = fuzz_sweep_with_file("task: cayley\ncayley: %s\nsteps: 1\n", data, size);
    if (sweep) {
        fuzz_table(sweep);
        ts_sweep_free(sweep);
    }
    return 0;
}
