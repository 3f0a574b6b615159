// Fuzz target: a safetensors file of weights. The input is the file without the length of its header, which ends at the
// first NUL; or, after a NUL, any file. Read whole, or refused with a message that names the file.
#define _GNU_SOURCE
#include "fuzz.h"

#include "weights/weights_reader.h"

#include <math.h>

static const char *const SWEEP = "task: tree\ndepth: 1\nhidden: 2\n"; // W (2, 2), b (2)

static void write_file(const char *path, const uint8_t *data, size_t size) {
    const uint8_t *end = size && *data ? memchr(data, 0, size) : NULL;
    uint64_t length = end ? (uint64_t)(end - data) : size;
    FILE *file = fopen(path, "wb");
    fuzz_require(file);
    if (size && *data) {
        fwrite(&length, 1, sizeof length, file);
        fwrite(data, 1, (size_t)length, file);
        data += length + (end ? 1 : 0);
        size -= (size_t)length + (end ? 1 : 0);
    } else if (size) {
        data++;
        size--;
    }
    fwrite(data, 1, size, file);
    fuzz_require(fclose(file) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ts_parameter_layout layout;
    static const ts_model *model;
    static char directory[64], path[96];
    if (!model) {
        ts_sweep *sweep = fuzz_sweep(SWEEP);
        ts_params params;
        fuzz_require(sweep);
        ts_case_params(sweep, 0, 0, &params);
        model = params.schema->model;
        model->layout(&params, &layout);
        ts_sweep_free(sweep);
        fuzz_directory(directory);
        snprintf(path, sizeof path, "%s/weights", directory);
        stderr = fopen("/dev/null", "w"); // layouts that are transposed are warned of
    }
    write_file(path, data, size);
    double *parameters = ts_alloc((size_t)layout.total * sizeof *parameters, "weights");
    fuzz_require(parameters);
    for (int64_t i = 0; i < layout.total; i++)
        parameters[i] = NAN;
    ts_status status = ts_weights_read(path, model, &layout, parameters);
    fuzz_require(status == TS_OK || (status == TS_ERROR_USER && strstr(ts_message(), path)));
    for (int64_t i = 0; i < layout.total && status == TS_OK; i++)
        fuzz_require(isfinite((float)parameters[i]));
    ts_free(parameters);
    return 0;
}
