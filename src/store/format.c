#include "store/format.h"

#include "base/digest.h"

#include <string.h>

void ts_format_case_path(const char *label, ts_text *out) {
    ts_text_add(out, "/cases/");
    for (const char *c = label; *c; c++)
        ts_text_append(out, *c == '/' ? "|" : c, 1);
}

void ts_format_field_path(const char *label, const ts_field *field, ts_text *out) {
    ts_format_case_path(label, out);
    ts_text_addf(out, field->place == TS_PLACE_WEIGHTS ? "/weights/%s" : "/%s", field->name);
}

ts_h5_form ts_format_field(const ts_field *field, int64_t rows) {
    ts_h5_form form = {.type = field->item_bytes == 4 ? TS_H5_FLOAT32 : TS_H5_FLOAT64,
                       .rank = field->rank + 1,
                       .size = {(hsize_t)rows}};
    for (int i = 0; i < field->rank; i++)
        form.size[i + 1] = (hsize_t)field->size[i];
    return form;
}

ts_h5_form ts_format_list(ts_h5_type type, int64_t length) {
    return (ts_h5_form){.type = type, .rank = 1, .size = {(hsize_t)length}};
}

int ts_format_measure(const ts_measure_columns *columns, const char *name) {
    for (int i = 0; i < columns->count; i++)
        if (strcmp(columns->field[i]->name, name) == 0)
            return i;
    return -1;
}

ts_status ts_format_measures(const ts_sweep *sweep, const ts_record_layout *const *layouts,
                             ts_measure_columns *columns) {
    columns->count = 0;
    for (int c = 0; c < ts_sweep_cases(sweep); c++)
        for (int f = 0; f < layouts[c]->count; f++) {
            const ts_field *field = &layouts[c]->field[f];
            if (field->place != TS_PLACE_ROOT || ts_format_measure(columns, field->name) >= 0)
                continue;
            if (columns->count == TS_MAX_MEASURE_COLUMNS)
                return ts_fail(TS_ERROR_FATAL, "the sweep has more than %d final measures: split it",
                               TS_MAX_MEASURE_COLUMNS);
            columns->field[columns->count++] = field;
        }
    return TS_OK;
}

uint32_t ts_format_checksum(const ts_record_layout *layout, int64_t steps_done, uint8_t status,
                            const void *record) {
    uint32_t crc = ts_crc32(0, &steps_done, sizeof steps_done);
    crc = ts_crc32(crc, &status, 1);
    for (int f = 0; f < layout->count; f++)
        crc = ts_crc32(crc, (const char *)record + layout->field[f].offset, layout->field[f].bytes);
    return crc;
}
