#include "store/reuse.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/format.h"
#include "store/reader.h"
#include "store/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// An instance that waits to be trained, by identity.
typedef struct wanted {
    char identity[TS_SHA256_HEX];
    int64_t instance;
} wanted;

enum { BATCH_ROWS = 256 };

typedef struct reuse {
    ts_store *store;
    const ts_sweep *sweep;
    const ts_record_layout *const *layouts;
    uint8_t *status;
    int64_t copied;
    ts_h5 h5; // the old file
    ts_reader *reader;
    wanted *wanted; // (n_wanted) sorted
    int64_t n_wanted;
    int64_t *target; // (old instances) instance of the new sweep, or -1
    // Consecutive rows of a new case, to be committed together.
    int case_index;
    int64_t first_row, rows;
    ts_row row[BATCH_ROWS];
    char *records; // (BATCH_ROWS, the largest record)
    size_t record_bytes;
} reuse;

static int by_identity(const void *a, const void *b) {
    return strcmp(((const wanted *)a)->identity, ((const wanted *)b)->identity);
}

static ts_status list_wanted(reuse *r) {
    int64_t n = ts_sweep_instances(r->sweep);
    r->wanted = ts_alloc((size_t)n * sizeof *r->wanted, "instances to be reused");
    if (!r->wanted)
        return TS_ERROR_FATAL;
    for (int64_t i = 0; i < n; i++) {
        uint8_t digest[TS_SHA256_BYTES];
        ts_params params;
        if (r->status[i] != TS_ROW_PENDING)
            continue;
        ts_sweep_params(r->sweep, i, &params);
        ts_status status = ts_params_identity(&params, digest);
        if (status != TS_OK)
            return status;
        ts_sha256_text(digest, r->wanted[r->n_wanted].identity);
        r->wanted[r->n_wanted++].instance = i;
    }
    qsort(r->wanted, (size_t)r->n_wanted, sizeof *r->wanted, by_identity);
    return TS_OK;
}

static ts_status check_origin(const char *old, const ts_reader *reader, const char *backend) {
    const char *version = ts_reader_attribute(reader, "version"),
               *made = ts_reader_attribute(reader, "backend");
    if (strcmp(version, TOYSWEEP_VERSION) != 0)
        return ts_fail(TS_ERROR_FATAL,
                       "--reuse: '%s' was made by toysweep %s, this is %s, whose results may differ", old,
                       version, TOYSWEEP_VERSION);
    if (strcmp(made, backend) != 0)
        return ts_fail(TS_ERROR_FATAL, "--reuse: '%s' was made with backend '%s', not '%s'", old, made,
                       backend);
    return TS_OK;
}

ts_status ts_store_reuse_check(const char *old, const char *backend) {
    ts_reader *reader = NULL;
    char reason[TS_MESSAGE_BYTES];
    ts_status status = ts_reader_open(old, &reader);
    if (status == TS_OK) {
        status = check_origin(old, reader, backend);
        ts_reader_close(reader);
        return status;
    }
    snprintf(reason, sizeof reason, "%s", ts_message());
    return ts_fail(status, "--reuse: %s", reason);
}

// Which instance of the new sweep each finished instance of the old file stands for.
static ts_status match(reuse *r) {
    int64_t n = ts_reader_instances(r->reader);
    const uint8_t *done = NULL;
    ts_status status = ts_reader_status(r->reader, &done);
    r->target = ts_alloc((size_t)n * sizeof *r->target, "instances to be reused");
    if (status == TS_OK && !r->target)
        status = TS_ERROR_FATAL;
    for (int64_t i = 0; status == TS_OK && i < n; i++) {
        char *identity = NULL;
        wanted key = {.instance = 0};
        r->target[i] = -1;
        if (done[i] != TS_ROW_DONE)
            continue;
        status = ts_reader_identity(r->reader, i, &identity);
        if (status != TS_OK)
            break;
        snprintf(key.identity, sizeof key.identity, "%s", identity);
        const wanted *found = bsearch(&key, r->wanted, (size_t)r->n_wanted, sizeof *r->wanted, by_identity);
        if (found)
            r->target[i] = found->instance;
        ts_free(identity);
    }
    return status;
}

static ts_status flush(reuse *r) {
    if (r->rows == 0)
        return TS_OK;
    ts_status status = ts_store_commit(r->store, r->case_index, r->first_row, r->rows, r->row);
    const ts_case *of = ts_sweep_case(r->sweep, r->case_index);
    for (int64_t i = 0; status == TS_OK && i < r->rows; i++)
        r->status[of->instance[r->first_row + i]] = TS_ROW_DONE;
    r->copied += r->rows;
    r->rows = 0;
    return status;
}

static int64_t row_of(const ts_case *of, int64_t instance) {
    int64_t low = 0, high = of->rows - 1;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (of->instance[middle] < instance)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// A column's number of one old instance.
static void read_item(reuse *r, const char *name, ts_h5_type type, int64_t instance, void *value) {
    ts_h5_form form = ts_format_list(type, ts_reader_instances(r->reader));
    hid_t dataset = ts_rows_open_dataset(&r->h5, name, &form);
    ts_h5_read(&r->h5, dataset, &form, instance, 1, value);
    ts_h5_close(&r->h5, dataset);
}

// Reads an old instance's record; same identity, so same layout. False: damaged.
static ts_status read_record(reuse *r, const ts_record_layout *layout, const ts_reader_case *old,
                             int64_t old_row, char *record, int64_t *steps_done, bool *intact) {
    int64_t instance = old->instance[old_row];
    uint32_t checksum = 0;
    ts_text path = {0};
    ts_record_reset(layout, record);
    for (int f = 0; f < layout->count && r->h5.status == TS_OK; f++) {
        const ts_field *field = &layout->field[f];
        if (field->place == TS_PLACE_ROOT) {
            read_item(r, field->name, TS_H5_FLOAT64, instance, record + field->offset);
            continue;
        }
        ts_h5_form form = ts_format_field(field, old->rows);
        ts_text_clear(&path);
        ts_format_field_path(old->label, field, &path);
        if (ts_text_status(&path) != TS_OK)
            r->h5.status = TS_ERROR_MEMORY;
        hid_t dataset = ts_rows_open_dataset(&r->h5, ts_text_get(&path), &form);
        ts_h5_read(&r->h5, dataset, &form, old_row, 1, record + field->offset);
        ts_h5_close(&r->h5, dataset);
    }
    ts_text_free(&path);
    read_item(r, "steps_done", TS_H5_INT64, instance, steps_done);
    read_item(r, "checksum", TS_H5_UINT32, instance, &checksum);
    *intact =
        r->h5.status == TS_OK && checksum == ts_format_checksum(layout, *steps_done, TS_ROW_DONE, record);
    return r->h5.status;
}

static ts_status copy_row(reuse *r, const ts_reader_case *old, int64_t old_row, int64_t instance) {
    int new_case = ts_sweep_case_of(r->sweep, instance);
    int64_t row = row_of(ts_sweep_case(r->sweep, new_case), instance), steps_done;
    bool intact;
    if (r->rows == BATCH_ROWS || new_case != r->case_index || row != r->first_row + r->rows) {
        ts_status status = flush(r);
        if (status != TS_OK)
            return status;
        r->case_index = new_case;
        r->first_row = row;
    }
    char *record = r->records + (size_t)r->rows * r->record_bytes;
    ts_status status = read_record(r, r->layouts[new_case], old, old_row, record, &steps_done, &intact);
    if (status != TS_OK)
        return status;
    if (intact)
        r->row[r->rows++] = (ts_row){TS_ROW_DONE, steps_done, record};
    else
        ts_warn("--reuse: instance %lld of the old file is damaged; it is trained again",
                (long long)old->instance[old_row]);
    return TS_OK;
}

static ts_status copy_all(reuse *r) {
    for (int c = 0; c < ts_sweep_cases(r->sweep); c++)
        r->record_bytes = r->layouts[c]->bytes > r->record_bytes ? r->layouts[c]->bytes : r->record_bytes;
    r->records = ts_alloc(BATCH_ROWS * r->record_bytes, "rows to be reused");
    if (!r->records)
        return TS_ERROR_FATAL;
    for (int c = 0; c < ts_reader_cases(r->reader); c++) {
        const ts_reader_case *old = ts_reader_case_at(r->reader, c);
        for (int64_t row = 0; row < old->rows; row++) {
            int64_t instance = r->target[old->instance[row]];
            ts_status status = instance >= 0 ? copy_row(r, old, row, instance) : TS_OK;
            if (status != TS_OK)
                return status;
        }
    }
    return flush(r);
}

ts_status ts_store_reuse(ts_store *store, const char *old, const ts_sweep *sweep,
                         const ts_record_layout *const *layouts, uint8_t *status, int64_t *copied) {
    reuse r = {.store = store, .sweep = sweep, .layouts = layouts, .status = status, .case_index = -1};
    ts_status result = ts_reader_open(old, &r.reader);
    if (result == TS_OK)
        result = list_wanted(&r);
    if (result == TS_OK) {
        ts_h5_open(&r.h5, old, false);
        result = match(&r);
        if (result == TS_OK)
            result = copy_all(&r);
        ts_status closed = ts_h5_end(&r.h5);
        result = result == TS_OK ? closed : result;
    }
    *copied = r.copied;
    ts_free(r.wanted);
    ts_free(r.target);
    ts_free(r.records);
    ts_reader_close(r.reader);
    return result;
}
