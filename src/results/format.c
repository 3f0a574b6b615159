// Paths, forms and checksums; and what is said of a file that is none of ours.
#define _POSIX_C_SOURCE 200809L
#include "results/format.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"
#include "hdf5/heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// 1 or 0; -1: it cannot be read (errno).
static int has_signature(int fd) {
    static const unsigned char signature[8] = "\211HDF\r\n\032\n";
    unsigned char found[8] = {0};
    ssize_t got = ts_file_read_at(fd, found, sizeof found, 0);
    return got < 0 ? -1 : got == sizeof found && memcmp(found, signature, sizeof found) == 0;
}

bool ts_format_has_signature(const char *path) {
    int fd;
    if (ts_file_open_input(path, TS_ERROR_USER, &fd) != TS_OK)
        return false;
    bool found = has_signature(fd) == 1;
    close(fd);
    return found;
}

bool ts_format_is_results(const char *path) {
    if (!ts_format_has_signature(path))
        return false;
    ts_h5 h5;
    char *program = NULL;
    ts_h5_open(&h5, path, false);
    bool found = h5.status == TS_OK && ts_h5_get_text(h5.file, "program", &program) == TS_OK && program &&
                 strcmp(program, TS_PROGRAM) == 0;
    ts_free(program);
    ts_h5_end(&h5);
    return found;
}

static ts_status check_signature(int fd, const char *path) {
    int found = has_signature(fd);
    if (found < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", path);
    if (!found)
        return ts_fail(TS_ERROR_FATAL, "'%s' is not a results file (no HDF5 signature); name another file", path);
    return TS_OK;
}

static ts_status open_and_look(ts_h5 *h5, int fd, const char *path) {
    ts_status status = check_signature(fd, path);
    if (status != TS_OK)
        return status;
    ts_h5_open(h5, path, false);
    if (h5->status != TS_OK && h5->error)
        return h5->status; // the file may be well
    if (h5->status != TS_OK) {
        char reason[512];
        snprintf(reason, sizeof reason, "%s", ts_message());
        return ts_fail(TS_ERROR_FATAL, "the results file is damaged: %s; move it away and start again", reason);
    }
    bool sound = false;
    status = ts_heap_start_is_sound(fd, &sound);
    if (status == TS_OK && sound)
        return TS_OK;
    ts_h5_end(h5);
    if (status != TS_OK)
        return status;
    return ts_fail(TS_ERROR_FATAL, "the results file '%s' is damaged (in its texts); move it away and start again",
                   path);
}

void ts_format_open(ts_h5 *h5, const char *path) {
    ts_h5_begin(h5, path);
    int fd;
    if ((h5->status = ts_file_open_input(path, TS_ERROR_FATAL, &fd)) != TS_OK)
        return;
    h5->status = open_and_look(h5, fd, path);
    close(fd);
}

void ts_format_case_path(const char *label, ts_text *out) {
    ts_text_addf(out, "/cases/%s", label);
}

const char *ts_format_field_group(const ts_field *field) {
    return field->place == TS_FIELD_WEIGHTS ? "weights" : field->place == TS_FIELD_STATE ? "state" : NULL;
}

void ts_format_field_path(const char *label, const ts_field *field, ts_text *out) {
    const char *group = ts_format_field_group(field);
    ts_format_case_path(label, out);
    ts_text_addf(out, "/%s%s%s", group ? group : "", group ? "/" : "", field->name);
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
        for (int f = 0; layouts[c] && f < layouts[c]->count; f++) {
            const ts_field *field = &layouts[c]->field[f];
            if (field->place != TS_FIELD_ROOT || ts_format_measure(columns, field->name) >= 0)
                continue;
            if (columns->count == TS_MAX_MEASURE_COLUMNS)
                return ts_fail(TS_ERROR_FATAL, "the sweep has more than %d final measures: split it",
                               TS_MAX_MEASURE_COLUMNS);
            columns->field[columns->count++] = field;
        }
    return TS_OK;
}

bool ts_format_has_stacks(const ts_sweep *sweep) {
    const ts_key *const *keys;
    int varying = ts_sweep_varying(sweep, &keys);
    for (int k = 0; k < varying; k++)
        if (strcmp(keys[k]->name, "stacked_instances") == 0)
            return true;
    for (int c = 0; c < ts_sweep_cases(sweep); c++) {
        ts_params params;
        ts_case_params(sweep, c, 0, &params);
        int key = ts_schema_find(params.schema, "stacked_instances");
        if (key >= 0 && params.value[key].integer > 1)
            return true;
    }
    return false;
}

uint32_t ts_format_checksum(const ts_record_layout *layout, int64_t steps_done, uint8_t status, const void *record) {
    uint32_t crc = ts_crc32(0, &steps_done, sizeof steps_done);
    crc = ts_crc32(crc, &status, 1);
    for (int f = 0, next; f < layout->count; f = next) { // fields that lie side by side at once
        size_t begin = layout->field[f].offset, end = begin + layout->field[f].bytes;
        for (next = f + 1; next < layout->count && layout->field[next].offset == end; next++)
            end += layout->field[next].bytes;
        crc = ts_crc32(crc, (const char *)record + begin, end - begin);
    }
    return crc;
}

ts_status ts_format_damaged(const char *path, const char *name) {
    return ts_fail(TS_ERROR_FATAL,
                   "'%s' is damaged: '%s' in it is not what toysweep wrote there; if there is a copy of the file, use "
                   "that",
                   path, name);
}

ts_status ts_format_backend(const char *path, char out[32]) {
    out[0] = 0;
    ts_h5 h5;
    char *backend = NULL;
    ts_format_open(&h5, path);
    if (h5.status == TS_OK)
        h5.status = ts_h5_get_text(h5.file, "backend", &backend);
    if (backend)
        snprintf(out, 32, "%s", backend);
    ts_free(backend);
    return ts_h5_end(&h5);
}
