// Columns of an old file, and a case of it, some rows at a time.
#include "integrity/old_rows.h"

#include "base/memory.h"
#include "results/format.h"

#include <string.h>

enum { BATCH_BYTES = 16 << 20 };

struct ts_old_rows {
    ts_h5 h5;
    ts_reader *reader;
    ts_measure_columns measures;             // those of the new sweep
    double *measure[TS_MAX_MEASURE_COLUMNS]; // (old instances) each; NULL until it is needed
    int64_t *steps_done;                     // (old instances)
    uint32_t *checksum;                      // (old instances)
    const ts_reader_case *of;                // NULL: none is open
    const ts_record_layout *layout;          // of its rows
    hid_t field[TS_MAX_FIELDS];              // -1: a column
    int column[TS_MAX_FIELDS];               // in `measure`
    int64_t first, count;                    // rows in memory
    char *block;                             // (rows_at_once, layout->bytes)
    char *gather;                            // one field of them
};

int64_t ts_old_rows_at_once(size_t record_bytes) {
    int64_t rows = (int64_t)(BATCH_BYTES / (record_bytes + 1)) + 1;
    return rows < TS_OLD_ROWS ? rows : TS_OLD_ROWS;
}

// A column of the old file; NULL after a fault, which is noted.
static void *read_column(ts_old_rows *from, const char *name, ts_h5_type type) {
    int64_t instances = ts_reader_instances(from->reader);
    ts_h5_form form = ts_format_list(type, instances);
    void *values = ts_alloc((size_t)ts_h5_total_bytes(&form), "a column of the results file");
    if (!values)
        from->h5.status = TS_ERROR_MEMORY;
    hid_t dataset = ts_rows_open_dataset(&from->h5, name, &form);
    ts_h5_read(&from->h5, dataset, &form, 0, instances, values);
    ts_h5_close(&from->h5, dataset);
    return values;
}

void ts_old_rows_leave(ts_old_rows *from) {
    if (!from->of)
        return;
    for (int f = 0; f < from->layout->count; f++)
        ts_h5_close(&from->h5, from->field[f]);
    ts_free(from->block);
    ts_free(from->gather);
    from->block = from->gather = NULL;
    from->of = NULL;
}

static void open_field(ts_old_rows *from, int f, ts_text *path) {
    const ts_field *field = &from->layout->field[f];
    from->field[f] = -1;
    if (field->place == TS_FIELD_ROOT) {
        int column = from->column[f] = ts_format_measure(&from->measures, field->name);
        if (!from->measure[column])
            from->measure[column] = read_column(from, field->name, TS_H5_FLOAT64);
        return;
    }
    ts_h5_form form = ts_format_field(field, from->of->rows);
    ts_text_clear(path);
    ts_format_field_path(from->of->label, field, path);
    if (ts_text_status(path) != TS_OK)
        from->h5.status = TS_ERROR_MEMORY;
    from->field[f] = ts_rows_open_dataset(&from->h5, ts_text_get(path), &form);
}

static void open_case(ts_old_rows *from, const ts_reader_case *of, const ts_record_layout *layout) {
    if (from->of == of && from->layout == layout)
        return;
    ts_old_rows_leave(from);
    from->of = of;
    from->layout = layout;
    from->first = from->count = 0;
    size_t rows = (size_t)ts_old_rows_at_once(layout->bytes);
    from->block = ts_alloc(rows * layout->bytes, "rows to be reused");
    from->gather = ts_alloc(rows * layout->bytes, "rows to be reused");
    if (!from->block || !from->gather)
        from->h5.status = TS_ERROR_MEMORY;
    ts_text path = {0};
    for (int f = 0; f < layout->count; f++)
        open_field(from, f, &path);
    ts_text_free(&path);
}

// Reads rows of the open case from `first` on, without their columns.
static void read_block(ts_old_rows *from, int64_t first) {
    const ts_record_layout *layout = from->layout;
    int64_t rows = ts_old_rows_at_once(layout->bytes);
    from->first = first;
    from->count = from->of->rows - first < rows ? from->of->rows - first : rows;
    for (int64_t i = 0; i < from->count && from->h5.status == TS_OK; i++)
        ts_record_reset(layout, from->block + (size_t)i * layout->bytes);
    for (int f = 0; f < layout->count && from->h5.status == TS_OK; f++) {
        const ts_field *field = &layout->field[f];
        ts_h5_form form = ts_format_field(field, from->of->rows);
        if (field->place == TS_FIELD_ROOT)
            continue;
        ts_h5_read(&from->h5, from->field[f], &form, first, from->count, from->gather);
        for (int64_t i = 0; i < from->count; i++)
            memcpy(from->block + (size_t)i * layout->bytes + field->offset, from->gather + (size_t)i * field->bytes,
                   field->bytes);
    }
}

ts_status ts_old_rows_read(ts_old_rows *from, const ts_reader_case *of, int64_t old_row, ts_row_status status,
                           const ts_record_layout *layout, char *record, ts_row *row, bool *intact) {
    int64_t instance = of->instance[old_row];
    *intact = false;
    open_case(from, of, layout);
    if (from->h5.status == TS_OK && (old_row < from->first || old_row >= from->first + from->count))
        read_block(from, old_row);
    if (from->h5.status != TS_OK)
        return from->h5.status;
    memcpy(record, from->block + (size_t)(old_row - from->first) * layout->bytes, layout->bytes);
    for (int f = 0; f < layout->count; f++)
        if (layout->field[f].place == TS_FIELD_ROOT)
            memcpy(record + layout->field[f].offset, &from->measure[from->column[f]][instance], sizeof(double));
    *row = (ts_row){status, from->steps_done[instance], record};
    *intact = from->checksum[instance] == ts_format_checksum(layout, row->steps_done, (uint8_t)status, record);
    return TS_OK;
}

ts_status ts_old_rows_open(const char *old, ts_reader *reader, const ts_sweep *sweep,
                           const ts_record_layout *const *layouts, ts_old_rows **rows) {
    ts_old_rows *from = ts_alloc_zero(1, sizeof *from, "rows to be reused");
    if (!from)
        return TS_ERROR_FATAL;
    from->reader = reader;
    ts_status status = ts_format_measures(sweep, layouts, &from->measures);
    if (status == TS_OK) {
        ts_h5_open(&from->h5, old, false);
        from->steps_done = read_column(from, "steps_done", TS_H5_INT64);
        from->checksum = read_column(from, "checksum", TS_H5_UINT32);
        status = from->h5.status;
        if (status != TS_OK)
            ts_old_rows_close(from);
    } else {
        ts_free(from);
    }
    *rows = status == TS_OK ? from : NULL;
    return status;
}

ts_status ts_old_rows_close(ts_old_rows *from) {
    if (!from)
        return TS_OK;
    ts_old_rows_leave(from);
    for (int i = 0; i < TS_MAX_MEASURE_COLUMNS; i++)
        ts_free(from->measure[i]);
    ts_free(from->steps_done);
    ts_free(from->checksum);
    ts_status status = ts_h5_end(&from->h5);
    ts_free(from);
    return status;
}
