// What a results file holds against its sweep and its checksums, row by row; rows that fail go back to pending.
#define _POSIX_C_SOURCE 200809L

#include "integrity/check.h"

#include "base/file.h"
#include "base/memory.h"
#include "hdf5/heap.h"
#include "hdf5/shared_file.h"
#include "integrity/provenance.h"
#include "results/columns.h"
#include "results/format.h"
#include "results/frame.h"
#include "results/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16 << 20, COLUMN_ITEM = TS_HEAP_REFERENCE }; // no column has larger items

// A row to be put back to pending.
typedef struct reset_row {
    int case_index;
    int64_t row;
} reset_row;

typedef struct inspection {
    ts_h5 h5;
    ts_rows rows;
    ts_frame_gaps gaps;
    ts_heap heap; // with a descriptor of our own
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts;
    bool retry_failed;
    uint8_t *status;     // (instances); the caller's
    uint32_t *checksum;  // (instances)
    int64_t *steps_done; // (instances)
    double *measure;     // (measures, instances)
    reset_row *reset;    // (resets)
    int64_t resets, capacity;
    int64_t damaged;
} inspection;

static void damaged(inspection *check, const char *what) {
    if (check->h5.status == TS_OK)
        check->h5.status =
            ts_fail(TS_ERROR_FATAL,
                    "'%s' is damaged: '%s' is not what its sweep says; move it away and start again (nothing in it "
                    "has been changed)",
                    check->h5.path, what);
}

// --- What the sweep determines ---

static bool same_texts(inspection *check, const ts_column *column, hid_t dataset, int64_t first, int64_t count,
                       unsigned char *found) {
    size_t bytes = (size_t)count * TS_HEAP_REFERENCE;
    int64_t offset = (int64_t)H5Dget_offset(dataset) + first * TS_HEAP_REFERENCE;
    bool same = ts_file_read_at(check->heap.fd, found, bytes, offset) == (ssize_t)bytes;
    for (int64_t i = 0; same && i < count; i++) {
        size_t length;
        const char *expected = ts_column_text(column, i);
        const char *text = ts_heap_text(&check->heap, found + i * TS_HEAP_REFERENCE, &length);
        same = text && strlen(expected) == length && memcmp(text, expected, length) == 0;
    }
    return same;
}

static void compare_column(inspection *check, const ts_column *column, hid_t dataset, int64_t first, int64_t count,
                           char *found) {
    bool same = true;
    if (check->h5.status != TS_OK)
        return;
    if (column->form.type == TS_H5_TEXT) {
        same = same_texts(check, column, dataset, first, count, (unsigned char *)found);
    } else {
        ts_h5_read(&check->h5, dataset, &column->form, first, count, found);
        same = memcmp(found, column->slab, (size_t)count * ts_h5_item_bytes(column->form.type)) == 0;
    }
    if (check->heap.status != TS_OK)
        check->h5.status = check->heap.status;
    else if (!same)
        damaged(check, column->name);
}

static void compare_columns(inspection *check, ts_columns *columns, hid_t *dataset) {
    int64_t instances = ts_sweep_instances(check->sweep);
    for (int c = 0; c < columns->count; c++)
        dataset[c] = ts_rows_open_dataset(&check->h5, columns->column[c].name, &columns->column[c].form);
    char *found = ts_alloc((size_t)columns->slab_rows * COLUMN_ITEM, "columns of the results file");
    if (!found)
        check->h5.status = TS_ERROR_MEMORY;
    for (int64_t first = 0; first < instances && check->h5.status == TS_OK; first += columns->slab_rows) {
        int64_t count = instances - first < columns->slab_rows ? instances - first : columns->slab_rows;
        check->h5.status = ts_columns_fill(columns, first, count);
        for (int c = 0; c < columns->count; c++)
            compare_column(check, &columns->column[c], dataset[c], first, count, found);
    }
    for (int c = 0; c < columns->count; c++)
        ts_h5_close(&check->h5, dataset[c]);
    ts_free(found);
}

// digest: the sweep's, if all is as it should be.
static void check_columns(inspection *check, uint8_t digest[TS_SHA256_BYTES]) {
    ts_columns columns = {0};
    hid_t *dataset = NULL;
    if (check->h5.status == TS_OK)
        check->h5.status = ts_columns_make(check->sweep, &columns);
    if (check->h5.status == TS_OK) {
        dataset = ts_alloc_zero((size_t)columns.count, sizeof *dataset, "columns of the results file");
        if (!dataset)
            check->h5.status = TS_ERROR_MEMORY;
    }
    if (dataset)
        compare_columns(check, &columns, dataset);
    if (check->h5.status == TS_OK)
        ts_columns_digest(&columns, digest);
    ts_free(dataset);
    ts_columns_free(&columns);
}

// Is it of this sweep? Asked after its columns have been compared, on the way of which the digest is made: what was
// found there of a file of another sweep is not worth telling.
static void check_sweep(inspection *check, uint8_t digest[TS_SHA256_BYTES]) {
    ts_status status = check->h5.status == TS_ERROR_FATAL ? ts_sweep_digest(check->sweep, digest) : check->h5.status;
    if (status == TS_OK)
        status = ts_provenance_check_sweep(check->h5.path, check->h5.file, check->sweep, digest);
    if (status != TS_OK)
        check->h5.status = status;
}

// A case's dataset `name` must hold exactly these values.
static void check_list(inspection *check, const ts_case *one, const char *name, int64_t length, const int64_t *values) {
    ts_text path = {0};
    ts_format_case_path(one->label, &path);
    ts_text_addf(&path, "/%s", name);
    ts_h5_form form = ts_format_list(TS_H5_INT64, length);
    int64_t *found = ts_alloc((size_t)length * sizeof *found, "a case's numbers");
    if (!found || ts_text_status(&path) != TS_OK)
        check->h5.status = TS_ERROR_MEMORY;
    hid_t dataset = ts_rows_open_dataset(&check->h5, ts_text_get(&path), &form);
    ts_h5_read(&check->h5, dataset, &form, 0, length, found);
    if (check->h5.status == TS_OK && memcmp(found, values, (size_t)length * sizeof *found) != 0)
        damaged(check, ts_text_get(&path));
    ts_h5_close(&check->h5, dataset);
    ts_free(found);
    ts_text_free(&path);
}

// --- What has been trained ---

static void add_reset(inspection *check, int case_index, int64_t row) {
    if (check->resets == check->capacity) {
        int64_t capacity = check->capacity ? 2 * check->capacity : 64;
        reset_row *grown = ts_realloc(check->reset, (size_t)capacity * sizeof *grown, "damaged rows");
        if (!grown) {
            check->h5.status = TS_ERROR_MEMORY;
            return;
        }
        check->reset = grown;
        check->capacity = capacity;
    }
    check->reset[check->resets++] = (reset_row){case_index, row};
}

// Completes the record with its values at the root, and compares.
static bool is_intact(inspection *check, const ts_record_layout *layout, int64_t instance, char *record) {
    int64_t instances = ts_sweep_instances(check->sweep);
    for (int f = 0; f < layout->count; f++)
        if (layout->field[f].place == TS_FIELD_ROOT)
            memcpy(record + layout->field[f].offset, &check->measure[check->rows.column[f] * instances + instance], 8);
    return ts_format_checksum(layout, check->steps_done[instance], check->status[instance], record) ==
           check->checksum[instance];
}

static void judge_row(inspection *check, int case_index, int64_t row, char *record) {
    int64_t instance = ts_sweep_case(check->sweep, case_index)->instance[row];
    uint8_t *status = &check->status[instance];
    if (*status == TS_ROW_PENDING)
        return;
    bool known = *status == TS_ROW_DONE || *status == TS_ROW_FAILED;
    bool intact = known && is_intact(check, check->layouts[case_index], instance, record);
    check->damaged += !intact;
    if (intact && !(*status == TS_ROW_FAILED && check->retry_failed))
        return;
    add_reset(check, case_index, row);
    *status = TS_ROW_PENDING;
}

static bool any_trained(const inspection *check, const int64_t *instance, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (check->status[instance[i]] != TS_ROW_PENDING)
            return true;
    return false;
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// Measures that the case's model does not have must be NaN: no checksum of a row covers them.
static void check_foreign_measures(inspection *check, int case_index) {
    static const uint64_t nan = 0x7ff8000000000000u;
    const ts_case *one = ts_sweep_case(check->sweep, case_index);
    const ts_record_layout *layout = check->layouts[case_index];
    bool own[TS_MAX_MEASURE_COLUMNS] = {0};
    for (int f = 0; f < layout->count; f++)
        if (layout->field[f].place == TS_FIELD_ROOT)
            own[check->rows.column[f]] = true;
    for (int i = 0; i < check->rows.measures.count; i++) {
        const double *column = check->measure + i * ts_sweep_instances(check->sweep);
        for (int64_t row = 0; row < one->rows && !own[i]; row++)
            if (bits_of(column[one->instance[row]]) != nan)
                damaged(check, check->rows.measures.field[i]->name);
    }
}

static void check_case(inspection *check, int case_index) {
    const ts_case *one = ts_sweep_case(check->sweep, case_index);
    const ts_record_layout *layout = check->layouts[case_index];
    check_list(check, one, "row", one->rows, one->instance);
    check_list(check, one, "instance", one->rows, one->instance);
    check_list(check, one, "step", layout->checkpoints, layout->step);
    ts_rows_open_case(&check->rows, case_index);
    if (check->h5.status == TS_OK)
        ts_frame_note_case(&check->rows, &check->gaps);
    if (check->h5.status == TS_OK)
        check_foreign_measures(check, case_index);
    if (check->h5.status != TS_OK || !any_trained(check, one->instance, one->rows))
        return;
    int64_t block = (int64_t)(BLOCK_BYTES / (layout->bytes + 1)) + 1;
    block = block < one->rows ? block : one->rows;
    char *records = ts_alloc_zero((size_t)block, layout->bytes, "records of the results file");
    if (!records)
        check->h5.status = TS_ERROR_MEMORY;
    for (int64_t first = 0; first < one->rows && check->h5.status == TS_OK; first += block) {
        int64_t count = one->rows - first < block ? one->rows - first : block;
        if (!any_trained(check, one->instance + first, count))
            continue;
        ts_rows_get(&check->rows, case_index, first, count, records);
        for (int64_t i = 0; i < count && check->h5.status == TS_OK; i++)
            judge_row(check, case_index, first + i, records + (size_t)i * layout->bytes);
    }
    ts_free(records);
}

static void read_column(inspection *check, hid_t dataset, ts_h5_type type, void *out) {
    int64_t instances = ts_sweep_instances(check->sweep);
    ts_h5_form form = ts_format_list(type, instances);
    ts_h5_read(&check->h5, dataset, &form, 0, instances, out);
}

static void read_columns(inspection *check) {
    size_t instances = (size_t)ts_sweep_instances(check->sweep);
    const ts_rows *rows = &check->rows;
    check->checksum = ts_alloc(instances * 4, "checksums");
    check->steps_done = ts_alloc(instances * 8, "steps done");
    check->measure = ts_alloc(instances * 8 * (size_t)rows->measures.count, "final measures");
    if (!check->checksum || !check->steps_done || !check->measure) {
        check->h5.status = TS_ERROR_MEMORY;
        return;
    }
    read_column(check, rows->status, TS_H5_UINT8, check->status);
    read_column(check, rows->checksum, TS_H5_UINT32, check->checksum);
    read_column(check, rows->steps_done, TS_H5_INT64, check->steps_done);
    for (int i = 0; i < rows->measures.count; i++)
        read_column(check, rows->measure[i], TS_H5_FLOAT64, check->measure + (size_t)i * instances);
}

static void check_all(inspection *check) {
    uint8_t digest[TS_SHA256_BYTES];
    check->heap.fd = ts_file_open(check->h5.path, O_RDONLY);
    if (check->heap.fd < 0) {
        check->h5.status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", check->h5.path);
        return;
    }
    ts_rows_begin(&check->rows, &check->h5, check->sweep, check->layouts, false);
    ts_frame_note_root(&check->rows, &check->gaps);
    check_columns(check, digest);
    check_sweep(check, digest);
    if (check->h5.status == TS_OK)
        read_columns(check);
    for (int c = 0; c < ts_sweep_cases(check->sweep) && check->h5.status == TS_OK; c++)
        check_case(check, c);
    if (check->h5.status == TS_OK)
        ts_frame_check(&check->h5, &check->gaps, check->heap.fd);
    ts_rows_end(&check->rows);
    ts_frame_gaps_free(&check->gaps);
    ts_heap_free(&check->heap);
    close(check->heap.fd);
}

// --- Putting rows back ---

static void sync_file(ts_h5 *h5) {
    if (h5->status == TS_OK)
        h5->status = ts_shared_file_sync(h5->direct);
}

// Data first, statuses after them: a row whose status says more than its data hold fails its checksum next
// time.
static void reset_rows(const inspection *check, ts_h5 *h5) {
    ts_rows rows;
    ts_rows_begin(&rows, h5, check->sweep, check->layouts, false);
    for (int64_t i = 0; i < check->resets && h5->status == TS_OK; i++) {
        const ts_record_layout *layout = check->layouts[check->reset[i].case_index];
        void *record = ts_alloc_zero(1, layout->bytes, "an empty record");
        if (!record) {
            h5->status = TS_ERROR_MEMORY;
            break;
        }
        ts_record_reset(layout, record);
        ts_row row = {.status = TS_ROW_PENDING, .record = record};
        ts_rows_put(&rows, check->reset[i].case_index, check->reset[i].row, 1, &row);
        ts_free(record);
    }
    sync_file(h5);
    for (int64_t i = 0; i < check->resets && h5->status == TS_OK; i++)
        ts_rows_put_status(&rows, check->reset[i].case_index, check->reset[i].row, 1,
                           &(ts_row){.status = TS_ROW_PENDING});
    sync_file(h5);
    ts_rows_end(&rows);
}

// Past HDF5, like a run: opened for writing, it would mark the file as open, and a kill would leave the mark.
static ts_status write_resets(const inspection *check, const char *path) {
    static const ts_comm alone = {.size = 1, .node_size = 1};
    ts_shared_file *file;
    ts_status status = ts_shared_file_open(path, &alone, &file);
    if (status != TS_OK)
        return status;
    ts_h5 h5;
    ts_h5_open(&h5, path, false);
    h5.direct = file;
    reset_rows(check, &h5);
    status = ts_h5_end(&h5);
    ts_shared_file_close(file);
    return status;
}

// --- Public ---

ts_status ts_check_results(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                           const char *backend, bool retry_failed, uint8_t *status, int64_t *damaged_rows) {
    *damaged_rows = 0;
    inspection check = {.sweep = sweep, .layouts = layouts, .retry_failed = retry_failed, .status = status};
    ts_format_open(&check.h5, path);
    if (check.h5.status != TS_OK)
        return check.h5.status;
    check.h5.status = ts_provenance_check(path, check.h5.file, sweep, backend);
    if (check.h5.status == TS_OK)
        check_all(&check);
    ts_status result = ts_h5_end(&check.h5);
    if (result == TS_OK && check.resets > 0)
        result = write_resets(&check, path);
    *damaged_rows = check.damaged;
    ts_free(check.checksum);
    ts_free(check.steps_done);
    ts_free(check.measure);
    ts_free(check.reset);
    return result;
}
