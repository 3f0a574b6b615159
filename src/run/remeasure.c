// Weights in, measures out, instance by instance; with -o into a results file as a run would have made it.
#define _POSIX_C_SOURCE 200809L
#include "run/remeasure.h"

#include "backend/backend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "integrity/check.h"
#include "measure/curves.h"
#include "measure/measure.h"
#include "model/model.h"
#include "results/create.h"
#include "results/format.h"
#include "results/origin.h"
#include "results/records.h"
#include "results/rows.h"
#include "run/target.h"
#include "task/data.h"
#include "weights/weights_reader.h"

#include <stdio.h>
#include <string.h>

enum { BATCH_BYTES = 16 << 20, BATCH_ROWS = 256 };

// What measures of a GPU are to those of the processor.
#define ROUNDED                                                                                                        \
    "the processor's agree with them to 1e-10 of each measure's largest number (of 1, if that is less), not to the "   \
    "bit"

typedef struct remeasure {
    const char *path;
    ts_reader *reader;
    const ts_sweep *sweep;
    ts_sweep *own_sweep; // that of the file; NULL: the caller's
    int cases;
    ts_record_layout **layouts; // (cases)
    ts_data **data;             // (cases)
    ts_records *records;
    double *measures, *scratch; // (the most measures of a case)
    float *parameters;          // (the largest instance)
    ts_measure_help help;       // where they are measured
    double *exact;              // (the instance) weights from elsewhere, which the file has as float32; else NULL
    ts_remeasure_counts counts;
} remeasure;

// --- The file ---

// What trained the weights.
static const char *backend_of(const remeasure *r) {
    return r->reader ? ts_reader_attribute(r->reader, "backend") : TS_BACKEND_ELSEWHERE;
}

static bool has_weights(const ts_record_layout *layout) {
    return layout->count > 0 && layout->field[layout->count - 1].place == TS_FIELD_WEIGHTS; // they come last
}

// Measures are made where the file's were, if that is here.
static void choose_place(remeasure *r) {
    const ts_backend *backend = ts_backend_find(backend_of(r));
    if (!backend && strcmp(backend_of(r), "cuda") == 0)
        ts_warn("%s: its measures were made on a GPU, of which this build knows nothing; " ROUNDED, r->path);
    else if (backend && backend->pairs && backend->probe() != TS_OK)
        ts_warn("%s: its measures were made on a GPU, and there is none here (%s); " ROUNDED, r->path, ts_message());
    else if (backend)
        r->help.device = backend->pairs;
}

static ts_status check_weights(const remeasure *r) {
    for (int c = 0; c < r->cases; c++)
        if (has_weights(r->layouts[c]))
            return TS_OK;
    return ts_fail(TS_ERROR_USER, "'%s' keeps no weights (save: none); run its sweep again with `save: final`",
                   r->path);
}

// Layouts and data of all cases, and room for one instance.
static ts_status prepare(remeasure *r) {
    int64_t most = 0, largest = 0;
    r->cases = ts_sweep_cases(r->sweep);
    r->layouts = ts_alloc_zero((size_t)r->cases, sizeof *r->layouts, "cases");
    r->data = ts_alloc_zero((size_t)r->cases, sizeof *r->data, "cases");
    if (!r->layouts || !r->data)
        return TS_ERROR_MEMORY;
    for (int c = 0; c < r->cases; c++) {
        ts_params params;
        ts_parameter_layout parameters;
        ts_case_params(r->sweep, c, 0, &params);
        ts_status status = ts_data_create(&params, &r->data[c]);
        if (status == TS_OK)
            status = ts_record_layout_make(&params, r->data[c], &r->layouts[c]);
        if (status != TS_OK)
            return status;
        params.schema->model->layout(&params, &parameters);
        most = r->layouts[c]->measures > most ? r->layouts[c]->measures : most;
        largest = parameters.total > largest ? parameters.total : largest;
    }
    r->measures = ts_alloc((size_t)most * sizeof *r->measures, "measures");
    r->scratch = ts_alloc((size_t)most * sizeof *r->scratch, "measures");
    r->parameters = ts_alloc((size_t)largest * sizeof *r->parameters, "weights");
    return r->measures && r->scratch && r->parameters ? TS_OK : TS_ERROR_MEMORY;
}

static ts_status open_results(const char *path, remeasure *r) {
    *r = (remeasure){.path = path};
    ts_status status = ts_reader_open(path, &r->reader);
    if (status == TS_OK && (status = ts_origin_read(r->reader, &r->own_sweep)) != TS_OK)
        return ts_fail(status, "'%s': %s", path, ts_message());
    r->sweep = r->own_sweep;
    if (status == TS_OK)
        choose_place(r);
    if (status == TS_OK)
        status = prepare(r);
    if (status == TS_OK)
        status = check_weights(r);
    if (status == TS_OK)
        status = ts_records_open(path, r->reader, r->sweep, (const ts_record_layout *const *)r->layouts, &r->records);
    return status;
}

static void close_results(remeasure *r) {
    ts_records_close(r->records);
    for (int c = 0; c < r->cases && r->layouts && r->data; c++) {
        ts_record_layout_free(r->layouts[c]);
        ts_data_free(r->data[c]);
    }
    ts_free(r->layouts);
    ts_free(r->data);
    ts_free(r->measures);
    ts_free(r->scratch);
    ts_free(r->parameters);
    ts_free(r->exact);
    ts_sweep_free(r->own_sweep);
    ts_reader_close(r->reader);
}

// --- One instance ---

// Reads a row; one that is damaged counts as pending.
static ts_status read_row(remeasure *r, int case_index, int64_t index, char *record, ts_row *row) {
    bool intact;
    ts_status status = ts_records_read(r->records, case_index, index, record, row, &intact);
    if (status == TS_OK && !intact) {
        ts_warn("%s: instance %lld is damaged; it is left out", r->path,
                (long long)ts_sweep_case(r->sweep, case_index)->instance[index]);
        row->status = TS_ROW_PENDING;
    }
    r->counts.pending += status == TS_OK && row->status == TS_ROW_PENDING;
    return status;
}

// Number of the checkpoint at that step; -1: there is none.
static int64_t checkpoint_at(const ts_record_layout *layout, int64_t step) {
    for (int64_t k = 0; k < layout->checkpoints; k++)
        if (layout->step[k] == step)
            return k;
    return -1;
}

// Ends a record at its last checkpoint. Weights from elsewhere have no curve before it: from the one point that there
// is nothing follows, also where the file of them is measured anew.
static void conclude(const remeasure *r, int case_index, const ts_params *params, int64_t last, char *record) {
    const ts_record_layout *layout = r->layouts[case_index];
    const ts_data *data = r->data[case_index];
    if (strcmp(backend_of(r), TS_BACKEND_ELSEWHERE) != 0) {
        ts_record_conclude(layout, params, data, last, r->measures, r->scratch, record);
        return;
    }
    ts_measures_conclude(&(ts_curves){.params = params, .data = data, .last = r->measures});
    ts_record_put_measures(layout, last, true, r->measures, record);
}

// What depends on the last checkpoint, of those before it whose weights are there.
static ts_status review(remeasure *r, int case_index, const ts_params *params, int64_t last, char *record) {
    const ts_record_layout *layout = r->layouts[case_index];
    ts_record_get_final(layout, record, r->scratch);
    for (int64_t k = 0; k < last && layout->hindsight; k++) {
        if (!ts_record_is_full(layout, k) || !ts_record_get_weights(layout, k, record, r->parameters))
            continue;
        ts_status status =
            ts_measure_hindsight(params, r->data[case_index], r->parameters, r->scratch, &r->help, r->measures);
        if (status != TS_OK)
            return status;
        ts_record_put_hindsight(layout, k, r->measures, record);
    }
    return TS_OK;
}

// Measures a finished row's record again, as the trainer did: with `all`, at every checkpoint whose weights are
// there, else at the last. *measured: false if there were none. Of a failed row only the curves are known.
static ts_status measure_row(remeasure *r, int case_index, int64_t index, const ts_row *row, bool all, char *record,
                             bool *measured) {
    const ts_record_layout *layout = r->layouts[case_index];
    const ts_data *data = r->data[case_index];
    ts_params params;
    ts_case_params(r->sweep, case_index, index, &params);
    bool by_checkpoint = strcmp(ts_params_name(&params, "save"), "checkpoints") == 0;
    bool done = row->status == TS_ROW_DONE;
    int64_t last = checkpoint_at(layout, row->steps_done), k = all && by_checkpoint ? 0 : last;
    *measured = false;
    if (!has_weights(layout) || (!done && !by_checkpoint))
        return TS_OK;
    if (done && last < 0)
        return ts_fail(TS_ERROR_FATAL, "'%s' is damaged: instance %lld is done at step %lld, no checkpoint", r->path,
                       (long long)ts_sweep_case(r->sweep, case_index)->instance[index], (long long)row->steps_done);
    for (; k >= 0 && k < layout->checkpoints && layout->step[k] <= row->steps_done; k++) {
        bool at_end = done && k == last;
        if (!ts_record_get_weights(layout, k, record, r->parameters))
            continue;
        ts_measure_extent extent = ts_measure_extent_of(at_end, ts_record_is_full(layout, k));
        ts_status status =
            ts_measure_weights(&params, data, r->parameters, layout->step[k], extent, &r->help, r->measures);
        if (status != TS_OK)
            return status;
        ts_record_put_measures(layout, k, at_end, r->measures, record);
        if (at_end)
            conclude(r, case_index, &params, k, record);
        *measured = true;
    }
    return done && all && by_checkpoint ? review(r, case_index, &params, last, record) : TS_OK;
}

// --- Each ---

static ts_status each_row(remeasure *r, int case_index, int64_t index, char *record,
                          ts_status (*take)(const ts_remeasured *, void *), void *context) {
    ts_row row;
    ts_params params;
    bool measured = false;
    ts_status status = read_row(r, case_index, index, record, &row);
    if (status == TS_OK && row.status == TS_ROW_DONE)
        status = measure_row(r, case_index, index, &row, false, record, &measured);
    if (status != TS_OK || !measured)
        return status;
    ts_case_params(r->sweep, case_index, index, &params);
    ts_remeasured one = {.instance = ts_sweep_case(r->sweep, case_index)->instance[index],
                         .step = row.steps_done,
                         .params = &params,
                         .data = r->data[case_index],
                         .measures = r->measures};
    return take(&one, context);
}

static ts_status each_case(remeasure *r, int case_index, ts_status (*take)(const ts_remeasured *, void *),
                           void *context) {
    const ts_case *one = ts_sweep_case(r->sweep, case_index);
    if (!has_weights(r->layouts[case_index])) {
        ts_warn("%s: case %s keeps no weights (save: none); it is left out", r->path, one->title);
        return TS_OK;
    }
    char *record = ts_alloc(r->layouts[case_index]->bytes, "a record");
    ts_status status = record ? TS_OK : TS_ERROR_MEMORY;
    for (int64_t i = 0; i < one->rows && status == TS_OK; i++)
        status = each_row(r, case_index, i, record, take, context);
    ts_free(record);
    return status;
}

ts_status ts_remeasure_each(const char *path, ts_status (*take)(const ts_remeasured *, void *), void *context) {
    remeasure r;
    ts_status status = open_results(path, &r);
    for (int c = 0; c < r.cases && status == TS_OK; c++)
        status = each_case(&r, c, take, context);
    close_results(&r);
    return status;
}

// --- A new file ---

typedef struct target {
    ts_target file;
    ts_store *store;
    uint8_t *status; // (instances) what an interrupted call left
} target;

// Goes on with a part that an earlier call left, if it can be from this very file.
static ts_status make_part(const remeasure *r, target *t) {
    const ts_record_layout *const *layouts = (const ts_record_layout *const *)r->layouts;
    const char *backend = backend_of(r);
    bool current = r->reader && strcmp(ts_reader_attribute(r->reader, "version"), TOYSWEEP_VERSION) == 0;
    int64_t damaged = 0, instances = ts_sweep_instances(r->sweep);
    t->status = ts_alloc_zero((size_t)instances, 1, "the instances' status");
    if (!t->status)
        return TS_ERROR_MEMORY;
    if (current && ts_path_exists(t->file.part) &&
        ts_check_results(t->file.part, r->sweep, layouts, backend, false, t->status, &damaged) == TS_OK)
        return TS_OK;
    memset(t->status, TS_ROW_PENDING, (size_t)instances);
    return ts_results_create(t->file.part, r->sweep, layouts, backend);
}

static ts_status open_target(const remeasure *r, target *t) {
    static const ts_comm SERIAL = {.size = 1, .node_size = 1};
    ts_status status = make_part(r, t);
    if (status == TS_OK)
        status = ts_store_open(t->file.part, &SERIAL, TS_IO_POSIX, r->sweep,
                               (const ts_record_layout *const *)r->layouts, &t->store);
    return status;
}

// Rows of a case that follow each other, to be committed together.
typedef struct batch {
    int64_t first_row, rows, room;
    ts_row row[BATCH_ROWS];
    char *records; // (room, layout->bytes)
} batch;

static ts_status flush(target *t, int case_index, batch *b) {
    ts_status status = TS_OK;
    if (b->rows > 0)
        status = ts_store_commit(t->store, case_index, b->first_row, b->rows, b->row);
    b->rows = 0;
    return status;
}

static ts_status add_row(remeasure *r, target *t, int case_index, int64_t index, batch *b) {
    bool measured;
    ts_row row;
    char *record = b->records + (size_t)b->rows * r->layouts[case_index]->bytes;
    ts_status status = read_row(r, case_index, index, record, &row);
    bool finished = status == TS_OK && row.status != TS_ROW_PENDING;
    if (finished)
        status = measure_row(r, case_index, index, &row, true, record, &measured);
    if (status != TS_OK)
        return status;
    if (finished) {
        r->counts.measured += measured;
        r->counts.taken += !measured;
        b->row[b->rows++] = row;
    }
    return !finished || b->rows == b->room ? flush(t, case_index, b) : TS_OK;
}

static ts_status remeasure_case(remeasure *r, target *t, int case_index, batch *b) {
    const ts_case *one = ts_sweep_case(r->sweep, case_index);
    size_t bytes = r->layouts[case_index]->bytes;
    b->room = (int64_t)(BATCH_BYTES / (bytes + 1)) + 1;
    b->room = b->room > BATCH_ROWS ? BATCH_ROWS : b->room;
    b->records = ts_alloc_zero((size_t)b->room, bytes, "records");
    if (!b->records)
        return TS_ERROR_MEMORY;
    if (!has_weights(r->layouts[case_index]))
        ts_warn("%s: case %s keeps no weights (save: none); its measures are taken over", r->path, one->title);
    ts_status status = TS_OK;
    for (int64_t i = 0; i < one->rows && status == TS_OK; i++) {
        if (t->status[one->instance[i]] != TS_ROW_PENDING) {
            status = flush(t, case_index, b);
            r->counts.measured++;
            continue;
        }
        if (b->rows == 0)
            b->first_row = i;
        status = add_row(r, t, case_index, i, b);
    }
    if (status == TS_OK)
        status = flush(t, case_index, b);
    ts_free(b->records);
    return status;
}

// Closes the store, and gives the file its name if all went well.
static ts_status finish_target(target *t, ts_status status) {
    if (t->store) {
        ts_status closed = ts_store_close(t->store);
        status = status == TS_OK ? closed : status;
    }
    return status == TS_OK ? ts_target_settle(&t->file) : status;
}

static ts_status fill_target(remeasure *r, target *t) {
    batch *b = ts_alloc_zero(1, sizeof *b, "records");
    ts_status status = b ? open_target(r, t) : TS_ERROR_MEMORY;
    for (int c = 0; c < r->cases && status == TS_OK; c++)
        status = remeasure_case(r, t, c, b);
    ts_free(b);
    return finish_target(t, status);
}

// Opens the target at `output` and fills it.
static ts_status make_file(remeasure *r, const char *output, ts_status (*fill)(remeasure *, target *)) {
    target *t = ts_alloc_zero(1, sizeof *t, "the results file");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_status status = ts_target_begin(output, &t->file);
    if (status == TS_OK)
        status = fill(r, t);
    ts_target_end(&t->file);
    ts_free(t->status);
    ts_free(t);
    return status;
}

ts_status ts_remeasure_file(const char *path, const char *output, ts_remeasure_counts *counts) {
    remeasure r;
    ts_status status = open_results(path, &r);
    if (status == TS_OK)
        status = make_file(&r, output, fill_target);
    *counts = r.counts;
    close_results(&r);
    return status;
}

// --- Of weights from elsewhere ---

// The record of the only instance, as if it had been trained: all that is known is its end.
static ts_status measure_end(remeasure *r, char *record) {
    const ts_record_layout *layout = r->layouts[0];
    ts_params params;
    ts_case_params(r->sweep, 0, 0, &params);
    int64_t steps = ts_params_integer(&params, "steps"), last = checkpoint_at(layout, steps);
    ts_record_reset(layout, record);
    ts_status status = ts_measure_exact(&params, r->data[0], r->exact, steps, TS_MEASURE_LAST, NULL, r->measures);
    if (status != TS_OK)
        return status;
    conclude(r, 0, &params, last, record);
    ts_record_put_weights(layout, last, true, r->parameters, record);
    return TS_OK;
}

static ts_status fill_with_weights(remeasure *r, target *t) {
    ts_params params;
    ts_case_params(r->sweep, 0, 0, &params);
    char *record = ts_alloc(r->layouts[0]->bytes, "a record");
    ts_row row = {.status = TS_ROW_DONE, .steps_done = ts_params_integer(&params, "steps"), .record = record};
    ts_status status = record ? measure_end(r, record) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = open_target(r, t);
    if (status == TS_OK)
        status = ts_store_commit(t->store, 0, 0, 1, &row);
    ts_free(record);
    return finish_target(t, status);
}

static ts_status read_weights(remeasure *r, const ts_params *params, const char *path) {
    ts_parameter_layout layout;
    params->schema->model->layout(params, &layout);
    r->exact = ts_alloc((size_t)layout.total * sizeof *r->exact, "weights");
    ts_status status = r->exact ? ts_weights_read(path, params->schema->model, &layout, r->exact) : TS_ERROR_MEMORY;
    for (int64_t i = 0; i < layout.total && status == TS_OK; i++)
        r->parameters[i] = (float)r->exact[i];
    return status;
}

ts_status ts_remeasure_weights(const ts_sweep *sweep, const char *weights, const char *output) {
    remeasure r = {.path = weights, .sweep = sweep};
    ts_params params;
    ts_case_params(sweep, 0, 0, &params);
    ts_status status = prepare(&r);
    if (status == TS_OK)
        status = read_weights(&r, &params, weights);
    if (status == TS_OK)
        status = make_file(&r, output, fill_with_weights);
    close_results(&r);
    return status;
}
