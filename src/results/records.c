// Rows by what this version's layout has of them, and their checksums.
#include "results/records.h"

#include "base/memory.h"
#include "results/origin.h"
#include "results/rows.h"
#include "task/data.h"

#include <string.h>

struct ts_records {
    ts_h5 h5;
    ts_rows rows;
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts;
    bool same_version;
};

static ts_status check_cases(const char *path, const ts_reader *reader, const ts_sweep *sweep) {
    bool same =
        ts_reader_cases(reader) == ts_sweep_cases(sweep) && ts_reader_instances(reader) == ts_sweep_instances(sweep);
    for (int c = 0; same && c < ts_sweep_cases(sweep); c++) {
        const ts_reader_case *then = ts_reader_case_at(reader, c);
        const ts_case *now = ts_sweep_case(sweep, c);
        same = then->rows == now->rows &&
               memcmp(then->instance, now->instance, (size_t)now->rows * sizeof *now->instance) == 0;
    }
    if (same)
        return TS_OK;
    return ts_fail(TS_ERROR_FATAL,
                   "'%s' has other cases than its sweep (it is damaged, or of a version that shares "
                   "instances out otherwise)",
                   path);
}

ts_status ts_records_open(const char *path, const ts_reader *reader, const ts_sweep *sweep,
                          const ts_record_layout *const *layouts, ts_records **out) {
    ts_status status = check_cases(path, reader, sweep);
    if (status != TS_OK)
        return status;
    ts_records *records = ts_alloc_zero(1, sizeof *records, "the results file");
    if (!records)
        return TS_ERROR_MEMORY;
    records->sweep = sweep;
    records->layouts = layouts;
    records->same_version = strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) == 0;
    ts_h5_open(&records->h5, path, false);
    ts_rows_begin(&records->rows, &records->h5, sweep, layouts, !records->same_version);
    if (records->h5.status != TS_OK) {
        status = records->h5.status;
        ts_records_close(records);
        return status;
    }
    *out = records;
    return TS_OK;
}

void ts_records_close(ts_records *records) {
    if (!records)
        return;
    ts_rows_end(&records->rows);
    ts_h5_end(&records->h5);
    ts_free(records);
}

// Measures may be missing, weights not.
static void check_weights(ts_records *records, int case_index) {
    const ts_record_layout *layout = records->layouts[case_index];
    ts_rows_open_case(&records->rows, case_index);
    for (int f = 0; f < layout->count && records->h5.status == TS_OK; f++)
        if (layout->field[f].place == TS_FIELD_WEIGHTS && records->rows.field[f] < 0)
            records->h5.status =
                ts_fail(TS_ERROR_USER, "'%s' does not have the weights '%s' of case %s as this version takes them",
                        records->h5.path, layout->field[f].name, ts_sweep_case(records->sweep, case_index)->title);
}

ts_status ts_records_read(ts_records *records, int case_index, int64_t index, void *record, ts_row *row, bool *intact) {
    const ts_record_layout *layout = records->layouts[case_index];
    ts_rows_root root;
    ts_record_reset(layout, record);
    check_weights(records, case_index);
    ts_rows_get_root(&records->rows, case_index, index, &root, record);
    if (root.status != TS_ROW_PENDING)
        ts_rows_get(&records->rows, case_index, index, 1, record);
    *row = (ts_row){(ts_row_status)root.status, root.steps_done, record};
    *intact = root.status == TS_ROW_PENDING || root.status == TS_ROW_DONE || root.status == TS_ROW_FAILED;
    if (records->same_version && root.status != TS_ROW_PENDING && *intact)
        *intact = root.checksum == ts_format_checksum(layout, root.steps_done, root.status, record);
    return records->h5.status;
}

// --- One instance ---

static ts_status damaged(const char *path, int64_t instance, const char *what) {
    return ts_fail(TS_ERROR_FATAL,
                   "instance %lld of '%s' is damaged: its %s are not as they were written; run its sweep again, "
                   "which trains it anew",
                   (long long)instance, path, what);
}

static ts_status check_parameters(const char *path, ts_reader *reader, const ts_params *params, int64_t instance) {
    ts_text now = {0};
    char *then = NULL;
    ts_params_json(params, &now);
    ts_status status = ts_text_status(&now);
    if (status == TS_OK)
        status = ts_reader_resolved(reader, instance, &then);
    if (status == TS_OK && strcmp(then, ts_text_get(&now)) != 0)
        status = damaged(path, instance, "parameters");
    ts_free(then);
    ts_text_free(&now);
    return status;
}

static ts_status check_record(const char *path, const ts_reader *reader, const ts_sweep *sweep, int case_index,
                              int64_t index, const ts_record_layout *const *layouts) {
    ts_records *records = NULL;
    ts_row row;
    bool intact = true;
    int64_t instance = ts_sweep_case(sweep, case_index)->instance[index];
    char *record = ts_alloc(layouts[case_index]->bytes, "a record");
    ts_status status = record ? ts_records_open(path, reader, sweep, layouts, &records) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_records_read(records, case_index, index, record, &row, &intact);
    if (status == TS_OK && !intact)
        status = damaged(path, instance, "results");
    ts_records_close(records);
    ts_free(record);
    return status;
}

ts_status ts_records_layout(const ts_sweep *sweep, int case_index, ts_record_layout **layout) {
    ts_params params;
    ts_data *data = NULL;
    ts_case_params(sweep, case_index, 0, &params);
    ts_status status = ts_data_create(&params, &data);
    if (status == TS_OK)
        status = ts_record_layout_make(&params, data, layout);
    ts_data_free(data);
    return status;
}

static ts_status check_row(const char *path, ts_reader *reader, const ts_sweep *sweep, int64_t instance) {
    int case_index = ts_sweep_case_of(sweep, instance);
    const ts_case *one = ts_sweep_case(sweep, case_index);
    ts_record_layout **layouts = ts_alloc_zero((size_t)ts_sweep_cases(sweep), sizeof *layouts, "cases");
    ts_params params;
    int64_t index = 0;
    while (one->instance[index] != instance)
        index++;
    ts_case_params(sweep, case_index, index, &params);
    ts_status status = layouts ? check_parameters(path, reader, &params, instance) : TS_ERROR_MEMORY;
    if (status == TS_OK)
        status = ts_records_layout(sweep, case_index, &layouts[case_index]);
    if (status == TS_OK)
        status = check_record(path, reader, sweep, case_index, index, (const ts_record_layout *const *)layouts);
    if (layouts)
        ts_record_layout_free(layouts[case_index]);
    ts_free(layouts);
    return status;
}

ts_status ts_records_check(const char *path, ts_reader *reader, int64_t instance) {
    ts_sweep *sweep = NULL;
    if (strcmp(ts_reader_attribute(reader, "version"), TOYSWEEP_VERSION) != 0)
        return TS_OK;
    ts_status status = ts_origin_read(reader, &sweep);
    if (status == TS_OK && instance < ts_sweep_instances(sweep))
        status = check_row(path, reader, sweep, instance);
    ts_sweep_free(sweep);
    return status;
}
