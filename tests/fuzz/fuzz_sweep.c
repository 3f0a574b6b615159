// Fuzz target: any bytes as a sweep file, as --set, or as a where expression. Nothing may crash, leak or
// hang, and a refused file must come with an error.
#include "../support_weights.h"
#include "base/memory.h"
#include "sweep/sweep.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char BASE[] = "name: fuzz\ntask: tree\ndepth: 1..3\nhidden: [2, 3]\ngrid: {seed: 0..2}\n";

static void read_sweep(const char *text, size_t bytes, const char *override) {
    ts_sweep_source source = {.file = "fuzz.yaml",
                              .text = text,
                              .bytes = bytes,
                              .overrides = &override,
                              .n_overrides = override ? 1 : 0,
                              .weights = &support_weights};
    ts_sweep *sweep;
    if (ts_sweep_read(&source, &sweep) != TS_OK) {
        if (!ts_sweep_errors()[0])
            abort();
        return;
    }
    uint8_t digest[32];
    ts_params params;
    ts_sweep_params(sweep, ts_sweep_instances(sweep) - 1, &params);
    if (ts_sweep_digest(sweep, digest) != TS_OK)
        abort();
    ts_sweep_free(sweep);
}

// The first byte chooses what the rest is: 's' --set, 'w' where, anything else (itself included) the file.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool set = size > 0 && data[0] == 's', where = size > 0 && data[0] == 'w';
    if (!set && !where) {
        read_sweep((const char *)data, size, NULL);
        return 0;
    }
    char *text = ts_alloc(size + 8, "a fuzz input");
    if (!text)
        return 0;
    memcpy(text, "where=", 6);
    memcpy(text + 6, data + 1, size - 1);
    text[size + 5] = 0;
    read_sweep(BASE, sizeof BASE - 1, set ? text + 6 : text);
    ts_free(text);
    return 0;
}
