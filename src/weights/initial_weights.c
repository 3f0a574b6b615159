// A results file stays open while the sweep is read; of others, which may be many, one at a time is.
#include "weights/initial_weights.h"

#include "base/memory.h"
#include "results/format.h"
#include "results/reader.h"
#include "weights/tensor_file.h"
#include "weights/weights_reader.h"

#include <stdio.h>

typedef struct opened {
    char *path;        // owned
    ts_reader *reader; // NULL: it is no results file
} opened;

static void close_file(void *handle) {
    opened *file = handle;
    if (!file)
        return;
    ts_reader_close(file->reader);
    ts_free(file->path);
    ts_free(file);
}

// Whether there is a file of weights, so that one that is missing is met at once.
static ts_status look(const char *path) {
    ts_tensor_file file;
    ts_status status = ts_tensor_file_open(path, &file);
    ts_tensor_file_close(&file);
    return status;
}

static ts_status open_file(const char *path, void **handle, int64_t *instances) {
    *handle = NULL;
    *instances = -1;
    opened *file = ts_alloc_zero(1, sizeof *file, "a file of weights");
    if (!file)
        return TS_ERROR_MEMORY;
    file->path = ts_copy_text(path);
    ts_status status = file->path ? TS_OK : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_format_is_results(path) ? ts_reader_open(path, &file->reader) : look(path);
    if (status != TS_OK) {
        close_file(file);
        return status;
    }
    if (file->reader)
        *instances = ts_reader_instances(file->reader);
    *handle = file;
    return TS_OK;
}

static ts_status resolved(void *handle, int64_t instance, char **json) {
    return ts_reader_resolved(((opened *)handle)->reader, instance, json);
}

static ts_status read_weights(void *handle, int64_t instance, int64_t *step, const struct ts_model *model,
                              const struct ts_parameter_layout *layout, double *out) {
    const opened *from = handle;
    ts_tensor_file file;
    ts_text name = {0};
    ts_text_add(&name, from->path);
    if (instance >= 0)
        ts_text_addf(&name, " #%lld", (long long)instance);
    if (*step >= 0)
        ts_text_addf(&name, " @%lld", (long long)*step);
    ts_status status = ts_text_status(&name);
    if (status == TS_OK) {
        status = from->reader
                     ? ts_tensor_file_open_stored(from->path, from->reader, instance, step, ts_text_get(&name), &file)
                     : ts_tensor_file_open(from->path, &file);
        if (status == TS_OK)
            status = ts_weights_take(&file, model, layout, out);
        ts_tensor_file_close(&file);
    }
    ts_text_free(&name);
    return status;
}

const ts_weights_access ts_initial_weights = {
    .open = open_file, .close = close_file, .resolved = resolved, .read = read_weights};
