// Fuzz target: any text as a `where` expression, compiled and run for an instance of every task. Refused with a
// message, or it holds or not, the same each time, and the opposite if it is negated.
#define _GNU_SOURCE
#include "fuzz.h"

#include "sweep/where.h"

static const char *const SWEEPS[] = {
    "task: tree\ndepth: 3\nhidden: 4\nearly_stopping: true\n",
    "task: independent\nfeatures: 12\nfeature_probability: 0.1\nhidden: 4\n",
    "task: group\ngroup: S3\ntrain_fraction: 0.6\n",
};
enum { N = sizeof SWEEPS / sizeof *SWEEPS };

static ts_sweep *sweeps[N]; // never freed: the parameters point into them
static ts_params params[N];

static void open_sweeps(void) {
    for (int i = 0; i < N; i++) {
        sweeps[i] = fuzz_sweep(SWEEPS[i]);
        fuzz_require(sweeps[i]);
        ts_case_params(sweeps[i], 0, 0, &params[i]);
    }
}

static ts_status evaluate(const char *text, const ts_params *of, bool *holds) {
    ts_where *where = NULL;
    ts_status status = ts_where_compile(text, of->schema->key, of->schema->count, &where);
    if (status == TS_OK) {
        bool again = false;
        status = ts_where_run(where, of, holds);
        fuzz_require(ts_where_run(where, of, &again) == status && (status != TS_OK || again == *holds));
        ts_where_free(where);
    }
    fuzz_require(status == TS_OK || (status == TS_ERROR_USER && *ts_message()));
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!params[0].schema)
        open_sweeps();
    char *text = ts_alloc(size + 1, "a fuzz input"), *negated = ts_alloc(size + 8, "a fuzz input");
    fuzz_require(text && negated);
    memcpy(text, data, size);
    text[size] = 0;
    snprintf(negated, size + 8, "not (%s)", text);
    for (int i = 0; i < N; i++) {
        bool holds = false, fails = false;
        // The first only: "a) or (b" is none, "not (a) or (b)" is one.
        if (evaluate(text, &params[i], &holds) == TS_OK && evaluate(negated, &params[i], &fails) == TS_OK)
            fuzz_require(holds != fails);
    }
    ts_free(text);
    ts_free(negated);
    return 0;
}
