// Rows of an old file, found by identity, checked, and put into the new one.
#include "integrity/reuse.h"

#include "base/log.h"
#include "base/memory.h"
#include "integrity/old_rows.h"
#include "results/reader.h"

#include <stdio.h>
#include <string.h>

typedef struct copying {
    const ts_reuse *reuse;
    int number; // of the old file
    const char *path;
    ts_reader *reader;
    ts_old_rows *old;
    ts_reuse_counts counts;
    const uint8_t *old_status; // (old instances) the reader's
    // Consecutive rows of a case of the sweep, to be written together.
    int case_index;
    int64_t first_row, rows;
    ts_row row[TS_OLD_ROWS];
    size_t record_bytes; // the largest record
    int64_t room;        // records that are held at a time
    char *records;       // (room, record_bytes)
    char *other;         // (record_bytes) a row that is there already
} copying;

// --- The old file ---

static ts_status check_origin(const char *old, const ts_reader *reader, const char *backend, const char *name) {
    const char *version = ts_reader_attribute(reader, "version"), *made = ts_reader_attribute(reader, "backend");
    if (strcmp(version, TOYSWEEP_VERSION) != 0)
        return ts_fail(TS_ERROR_FATAL, "%s'%s' was made by toysweep %s, this is %s, whose results may differ", name,
                       old, version, TOYSWEEP_VERSION);
    if (strcmp(made, backend) != 0)
        return ts_fail(TS_ERROR_FATAL, "%s'%s' was made with backend '%s', not '%s'", name, old, made, backend);
    return TS_OK;
}

ts_status ts_reuse_check(const char *old, const char *backend, const char *name) {
    ts_reader *reader = NULL;
    char reason[TS_MESSAGE_BYTES];
    ts_status status = ts_reader_open(old, &reader);
    if (status == TS_OK) {
        status = check_origin(old, reader, backend, name);
        ts_reader_close(reader);
        return status;
    }
    snprintf(reason, sizeof reason, "%s", ts_message());
    return ts_fail(status, "%s%s", name, reason);
}

// --- Into the new one ---

static ts_status flush(copying *c) {
    const ts_reuse *reuse = c->reuse;
    if (c->rows == 0)
        return TS_OK;
    ts_status status = reuse->from ? ts_store_put(reuse->store, c->case_index, c->first_row, c->rows, c->row)
                                   : ts_store_commit(reuse->store, c->case_index, c->first_row, c->rows, c->row);
    const ts_case *of = ts_sweep_case(reuse->sweep, c->case_index);
    for (int64_t i = 0; status == TS_OK && i < c->rows; i++) {
        int64_t instance = of->instance[c->first_row + i];
        c->counts.mended += reuse->status[instance] == TS_ROW_FAILED;
        reuse->status[instance] = (uint8_t)c->row[i].status;
        if (reuse->from)
            reuse->from[instance] = c->number;
        c->counts.done += c->row[i].status == TS_ROW_DONE;
        c->counts.failed += c->row[i].status == TS_ROW_FAILED;
    }
    c->rows = 0;
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

static bool same_row(const ts_record_layout *layout, const ts_row *a, const ts_row *b) {
    bool same = a->status == b->status && a->steps_done == b->steps_done;
    for (int f = 0; f < layout->count && same; f++)
        same = memcmp((const char *)a->record + layout->field[f].offset,
                      (const char *)b->record + layout->field[f].offset, layout->field[f].bytes) == 0;
    return same;
}

// Of files that are put together: a row that another has given. One that is done replaces one that failed, for want of
// memory, say. *take: it is to be written.
static ts_status compare(copying *c, int case_index, int64_t row, const ts_row *found, bool *take) {
    const ts_reuse *reuse = c->reuse;
    const ts_record_layout *layout = reuse->layouts[case_index];
    int64_t instance = ts_sweep_case(reuse->sweep, case_index)->instance[row];
    ts_row_status there = (ts_row_status)reuse->status[instance];
    *take = there == TS_ROW_FAILED && found->status == TS_ROW_DONE;
    if (*take || (there == TS_ROW_DONE && found->status == TS_ROW_FAILED))
        return TS_OK;
    ts_row other;
    ts_status status = ts_store_get(reuse->store, case_index, row, c->other, &other);
    if (status == TS_OK && !same_row(layout, found, &other))
        status = ts_fail(TS_ERROR_USER,
                         "'%s' and '%s' have different results for one instance (%lld of the whole), as "
                         "files have of which "
                         "one was made with portable kernels and one with AVX; leave one of them out",
                         reuse->files[reuse->from[instance]], reuse->files[c->number], (long long)instance);
    c->counts.same += status == TS_OK;
    return status;
}

static ts_status add_row(copying *c, const ts_reader_case *old, int64_t old_row, int64_t instance) {
    int case_index = ts_sweep_case_of(c->reuse->sweep, instance);
    int64_t row = row_of(ts_sweep_case(c->reuse->sweep, case_index), instance);
    if (c->rows == c->room || case_index != c->case_index || row != c->first_row + c->rows) {
        ts_status status = flush(c);
        if (status != TS_OK)
            return status;
        c->case_index = case_index;
        c->first_row = row;
    }
    bool intact, take = true;
    ts_row found;
    char *record = c->records + (size_t)c->rows * c->record_bytes;
    ts_row_status old_status = (ts_row_status)c->old_status[old->instance[old_row]];
    ts_status status =
        ts_old_rows_read(c->old, old, old_row, old_status, c->reuse->layouts[case_index], record, &found, &intact);
    if (status == TS_OK && !intact) {
        ts_warn("'%s': instance %lld is damaged; it is %s", c->path, (long long)old->instance[old_row],
                c->reuse->from ? "left out" : "trained again, unless another file has it");
        c->counts.damaged++;
    }
    if (status == TS_OK && intact && c->reuse->status[instance] != TS_ROW_PENDING)
        status = compare(c, case_index, row, &found, &take);
    if (status == TS_OK && intact && take)
        c->row[c->rows++] = found;
    return status;
}

// Where in the sweep a finished old instance belongs; -1: nowhere, or it is not wanted.
static ts_status find_place(copying *c, int64_t old, int64_t *instance) {
    uint8_t status = c->old_status[old];
    char *identity;
    *instance = -1;
    if (status != TS_ROW_DONE && (status != TS_ROW_FAILED || !c->reuse->from))
        return TS_OK;
    ts_status read = ts_reader_identity(c->reader, old, &identity);
    if (read != TS_OK)
        return read;
    *instance = ts_identities_find(c->reuse->identities, identity);
    ts_free(identity);
    c->counts.elsewhere += *instance < 0;
    if (*instance >= 0 && c->reuse->status[*instance] != TS_ROW_PENDING && !c->reuse->from)
        *instance = -1; // is there already
    return TS_OK;
}

static ts_status copy_all(copying *c) {
    for (int k = 0; k < ts_reader_cases(c->reader); k++) {
        const ts_reader_case *old = ts_reader_case_at(c->reader, k);
        for (int64_t row = 0; row < old->rows; row++) {
            int64_t instance;
            ts_status status = find_place(c, old->instance[row], &instance);
            if (status == TS_OK && instance >= 0)
                status = add_row(c, old, row, instance);
            if (status != TS_OK)
                return status;
        }
    }
    return flush(c);
}

static ts_status reserve(copying *c) {
    for (int k = 0; k < ts_sweep_cases(c->reuse->sweep); k++) {
        size_t bytes = c->reuse->layouts[k]->bytes;
        c->record_bytes = bytes > c->record_bytes ? bytes : c->record_bytes;
    }
    c->room = ts_old_rows_at_once(c->record_bytes);
    c->records = ts_alloc((size_t)c->room * c->record_bytes, "rows to be reused");
    c->other = ts_alloc(c->record_bytes, "rows to be reused");
    return c->records && c->other ? TS_OK : TS_ERROR_FATAL;
}

ts_status ts_reuse_take(const ts_reuse *reuse, const char *old, int number, ts_reuse_counts *counts) {
    copying *c = ts_alloc_zero(1, sizeof *c, "rows to be reused");
    if (!c)
        return TS_ERROR_FATAL;
    c->reuse = reuse;
    c->number = number;
    c->path = old;
    c->case_index = -1;
    ts_status status = ts_reader_open(old, &c->reader);
    if (status == TS_OK)
        status = ts_reader_status(c->reader, &c->old_status);
    if (status == TS_OK)
        status = reserve(c);
    if (status == TS_OK)
        status = ts_old_rows_open(old, c->reader, reuse->sweep, reuse->layouts, &c->old);
    if (status == TS_OK) {
        status = copy_all(c);
        ts_status closed = ts_old_rows_close(c->old);
        status = status == TS_OK ? closed : status;
    }
    *counts = c->counts;
    ts_reader_close(c->reader);
    ts_free(c->records);
    ts_free(c->other);
    ts_free(c);
    return status;
}
