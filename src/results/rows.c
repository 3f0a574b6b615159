// One field of many rows at a time, between records in memory and datasets.
#include "results/rows.h"

#include "base/memory.h"

#include <string.h>

enum { GATHER_BYTES = 16 << 20 };

// In a group that is called `group` (NULL: the root).
static hid_t open_dataset(ts_h5 *h5, hid_t parent, const char *group, const char *name, const ts_h5_form *form) {
    hid_t dataset = ts_h5_open_dataset(h5, parent, name);
    ts_h5_form found;
    if (dataset >= 0 && !(ts_h5_form_of(dataset, &found) && ts_h5_same_form(&found, form)))
        h5->status =
            ts_fail(TS_ERROR_FATAL,
                    "'%s' is damaged: '%s%s%s' does not have the type, shape or place it was made with; take a copy "
                    "of it, or move it away and start again",
                    h5->path, group ? group : "", group ? "/" : "", name);
    return dataset;
}

hid_t ts_rows_open_dataset(ts_h5 *h5, const char *name, const ts_h5_form *form) {
    return open_dataset(h5, h5->file, NULL, name, form);
}

// A dataset of results; -1 where a partial file has none of this form.
static hid_t open_results(ts_rows *rows, hid_t parent, const char *group, const char *name, const ts_h5_form *form) {
    ts_h5_form found;
    if (!rows->partial)
        return open_dataset(rows->h5, parent, group, name, form);
    if (rows->h5->status != TS_OK || parent < 0 || !ts_h5_has(parent, name))
        return -1;
    hid_t dataset = ts_h5_open_dataset(rows->h5, parent, name);
    if (dataset < 0 || (ts_h5_form_of(dataset, &found) && ts_h5_same_form(&found, form)))
        return dataset;
    ts_h5_close(rows->h5, dataset);
    return -1;
}

static hid_t open_column(ts_rows *rows, const char *name, ts_h5_type type) {
    ts_h5_form form = ts_format_list(type, ts_sweep_instances(rows->sweep));
    return open_results(rows, rows->h5->file, NULL, name, &form);
}

void ts_rows_begin(ts_rows *rows, ts_h5 *h5, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                   bool partial) {
    *rows = (ts_rows){.h5 = h5, .sweep = sweep, .layouts = layouts, .partial = partial, .case_index = -1};
    rows->status = rows->checksum = rows->steps_done = rows->stacked = -1;
    if (h5->status == TS_OK)
        h5->status = ts_format_measures(sweep, layouts, &rows->measures);
    for (int i = 0; i < rows->measures.count; i++)
        rows->measure[i] = -1;
    rows->status = open_column(rows, "status", TS_H5_UINT8);
    rows->checksum = open_column(rows, "checksum", TS_H5_UINT32);
    rows->steps_done = open_column(rows, "steps_done", TS_H5_INT64);
    for (int i = 0; i < rows->measures.count; i++)
        rows->measure[i] = open_column(rows, rows->measures.field[i]->name, TS_H5_FLOAT64);
    if (ts_format_has_stacks(sweep))
        rows->stacked = open_column(rows, TS_STACKED_COLUMN, TS_H5_FLOAT64);
}

static void close_case(ts_rows *rows) {
    if (rows->case_index < 0)
        return;
    for (int f = 0; f < rows->layouts[rows->case_index]->count; f++)
        ts_h5_close(rows->h5, rows->field[f]);
    rows->case_index = -1;
}

void ts_rows_end(ts_rows *rows) {
    close_case(rows);
    ts_h5_close(rows->h5, rows->status);
    ts_h5_close(rows->h5, rows->checksum);
    ts_h5_close(rows->h5, rows->steps_done);
    ts_h5_close(rows->h5, rows->stacked);
    for (int i = 0; i < rows->measures.count; i++)
        ts_h5_close(rows->h5, rows->measure[i]);
    ts_free(rows->gather);
}

// The group of a case's fields of one place; -1 where a partial file has none.
static hid_t open_group(ts_rows *rows, const char *label, const ts_field *field, ts_text *path) {
    const char *within = ts_format_field_group(field);
    ts_text_clear(path);
    ts_format_case_path(label, path);
    if (within)
        ts_text_addf(path, "/%s", within);
    if (ts_text_status(path) != TS_OK)
        rows->h5->status = TS_ERROR_MEMORY;
    if (rows->h5->status != TS_OK || (rows->partial && !ts_h5_has(rows->h5->file, ts_text_get(path))))
        return -1;
    return ts_h5_open_group(rows->h5, rows->h5->file, ts_text_get(path));
}

static void open_fields(ts_rows *rows, ts_field_place place) {
    const ts_record_layout *layout = rows->layouts[rows->case_index];
    const ts_case *one = ts_sweep_case(rows->sweep, rows->case_index);
    ts_text path = {0};
    hid_t group = -1;
    bool opened = false;
    for (int f = 0; f < layout->count; f++) {
        const ts_field *field = &layout->field[f];
        if (field->place != place)
            continue;
        group = opened ? group : open_group(rows, one->label, field, &path);
        opened = true;
        ts_h5_form form = ts_format_field(field, one->rows);
        rows->field[f] = open_results(rows, group, ts_text_get(&path), field->name, &form);
    }
    ts_h5_close(rows->h5, group);
    ts_text_free(&path);
}

void ts_rows_open_case(ts_rows *rows, int case_index) {
    if (rows->case_index == case_index || rows->h5->status != TS_OK)
        return;
    close_case(rows);
    const ts_record_layout *layout = rows->layouts[case_index];
    rows->case_index = case_index;
    for (int f = 0; f < layout->count; f++) {
        rows->field[f] = rows->column[f] = -1;
        if (layout->field[f].place == TS_FIELD_ROOT)
            rows->column[f] = ts_format_measure(&rows->measures, layout->field[f].name);
    }
    for (ts_field_place place = 0; place < TS_FIELD_PLACES; place++)
        if (place != TS_FIELD_ROOT)
            open_fields(rows, place);
}

static char *gather_space(ts_rows *rows, size_t bytes) {
    if (bytes <= rows->gather_bytes)
        return rows->gather;
    char *grown = ts_realloc(rows->gather, bytes, "rows to be written");
    if (!grown) {
        rows->h5->status = TS_ERROR_MEMORY;
        return NULL;
    }
    rows->gather = grown;
    rows->gather_bytes = bytes;
    return grown;
}

// Rows to take at a time so that a field of them fits into the gathering buffer (one row need not).
static int64_t rows_at_once(size_t bytes, int64_t count) {
    int64_t fit = bytes ? (int64_t)(GATHER_BYTES / bytes) : count;
    fit = fit < 1 ? 1 : fit;
    return fit < count ? fit : count;
}

// --- Writing ---

static void put_field(ts_rows *rows, hid_t dataset, const ts_field *field, const ts_h5_form *form, int64_t first_row,
                      int64_t count, const ts_row *row) {
    int64_t step = rows_at_once(field->bytes, count);
    for (int64_t done = 0; done < count && rows->h5->status == TS_OK; done += step) {
        int64_t part = count - done < step ? count - done : step;
        const char *data = (const char *)row[done].record + field->offset;
        if (part > 1) {
            char *gather = gather_space(rows, (size_t)part * field->bytes);
            for (int64_t i = 0; gather && i < part; i++)
                memcpy(gather + (size_t)i * field->bytes, (const char *)row[done + i].record + field->offset,
                       field->bytes);
            data = gather;
        }
        ts_h5_write(rows->h5, dataset, form, first_row + done, part, data);
    }
}

// Writes one value per row into a column of the root, where the instances of a case need not lie side by side.
static void put_column(ts_rows *rows, hid_t dataset, ts_h5_type type, const int64_t *instance, int64_t count,
                       const char *values) {
    ts_h5_form form = ts_format_list(type, ts_sweep_instances(rows->sweep));
    if (count == 0 || instance[count - 1] - instance[0] == count - 1)
        ts_h5_write(rows->h5, dataset, &form, instance[0], count, values);
    else
        ts_h5_write_items(rows->h5, dataset, &form, instance, count, values);
}

static void put_root_columns(ts_rows *rows, const ts_record_layout *layout, const int64_t *instance, int64_t count,
                             const ts_row *row) {
    char *values = gather_space(rows, (size_t)count * 8);
    if (!values)
        return;
    for (int f = 0; f < layout->count; f++) {
        if (layout->field[f].place != TS_FIELD_ROOT)
            continue;
        for (int64_t i = 0; i < count; i++)
            memcpy(values + 8 * i, (const char *)row[i].record + layout->field[f].offset, 8);
        put_column(rows, rows->measure[rows->column[f]], TS_H5_FLOAT64, instance, count, values);
    }
    for (int64_t i = 0; i < count; i++)
        memcpy(values + 8 * i, &row[i].steps_done, 8);
    put_column(rows, rows->steps_done, TS_H5_INT64, instance, count, values);
    for (int64_t i = 0; i < count; i++) {
        uint32_t checksum = 0;
        if (row[i].status != TS_ROW_PENDING)
            checksum = ts_format_checksum(layout, row[i].steps_done, (uint8_t)row[i].status, row[i].record);
        memcpy(values + 4 * i, &checksum, 4);
    }
    put_column(rows, rows->checksum, TS_H5_UINT32, instance, count, values);
}

void ts_rows_put(ts_rows *rows, int case_index, int64_t first_row, int64_t count, const ts_row *row) {
    ts_rows_open_case(rows, case_index);
    const ts_case *one = ts_sweep_case(rows->sweep, case_index);
    const ts_record_layout *layout = rows->layouts[case_index];
    for (int f = 0; f < layout->count && rows->h5->status == TS_OK; f++) {
        ts_h5_form form = ts_format_field(&layout->field[f], one->rows);
        if (layout->field[f].place != TS_FIELD_ROOT)
            put_field(rows, rows->field[f], &layout->field[f], &form, first_row, count, row);
    }
    if (rows->h5->status == TS_OK)
        put_root_columns(rows, layout, one->instance + first_row, count, row);
}

void ts_rows_put_status(ts_rows *rows, int case_index, int64_t first_row, int64_t count, const ts_row *row) {
    char *values = gather_space(rows, (size_t)count);
    for (int64_t i = 0; values && i < count; i++)
        values[i] = (char)row[i].status;
    if (values)
        put_column(rows, rows->status, TS_H5_UINT8, ts_sweep_case(rows->sweep, case_index)->instance + first_row, count,
                   values);
}

// --- Reading ---

void ts_rows_get(ts_rows *rows, int case_index, int64_t first_row, int64_t count, char *records) {
    ts_rows_open_case(rows, case_index);
    const ts_record_layout *layout = rows->layouts[case_index];
    int64_t all = ts_sweep_case(rows->sweep, case_index)->rows;
    for (int f = 0; f < layout->count && rows->h5->status == TS_OK; f++) {
        const ts_field *field = &layout->field[f];
        if (field->place == TS_FIELD_ROOT || rows->field[f] < 0)
            continue;
        ts_h5_form form = ts_format_field(field, all);
        if (count == 1) {
            ts_h5_read(rows->h5, rows->field[f], &form, first_row, 1, records + field->offset);
            continue;
        }
        char *gather = gather_space(rows, (size_t)count * field->bytes);
        if (!gather)
            return;
        ts_h5_read(rows->h5, rows->field[f], &form, first_row, count, gather);
        for (int64_t i = 0; i < count; i++)
            memcpy(records + (size_t)i * layout->bytes + field->offset, gather + (size_t)i * field->bytes,
                   field->bytes);
    }
}

static void get_item(ts_rows *rows, hid_t dataset, ts_h5_type type, int64_t instance, void *value) {
    ts_h5_form form = ts_format_list(type, ts_sweep_instances(rows->sweep));
    if (dataset >= 0)
        ts_h5_read(rows->h5, dataset, &form, instance, 1, value);
}

void ts_rows_get_root(ts_rows *rows, int case_index, int64_t row, ts_rows_root *root, char *record) {
    ts_rows_open_case(rows, case_index);
    const ts_record_layout *layout = rows->layouts[case_index];
    int64_t instance = ts_sweep_case(rows->sweep, case_index)->instance[row];
    *root = (ts_rows_root){0};
    get_item(rows, rows->status, TS_H5_UINT8, instance, &root->status);
    get_item(rows, rows->checksum, TS_H5_UINT32, instance, &root->checksum);
    get_item(rows, rows->steps_done, TS_H5_INT64, instance, &root->steps_done);
    for (int f = 0; f < layout->count && rows->h5->status == TS_OK; f++)
        if (layout->field[f].place == TS_FIELD_ROOT)
            get_item(rows, rows->measure[rows->column[f]], TS_H5_FLOAT64, instance, record + layout->field[f].offset);
}
