// Fuzz target: any bytes as the element order of a symmetric or alternating group, which the first byte chooses.
// Refused with a message, or a group.
#define _GNU_SOURCE
#include "fuzz.h"

static const char *const GROUPS[] = {"S2", "S3", "A3", "S4", "A4", "A5"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[128];
    if (size == 0)
        return 0;
    snprintf(text, sizeof text, "task: group\ngroup: %s\nelement_order: %%s\nsteps: 1\n",
             GROUPS[data[0] % (sizeof GROUPS / sizeof *GROUPS)]);
    ts_sweep *sweep = fuzz_sweep_with_file(text, data + 1, size - 1);
    if (sweep) {
        fuzz_table(sweep);
        ts_sweep_free(sweep);
    }
    return 0;
}
