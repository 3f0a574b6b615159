// Datasets opened by name when they are asked for, each looked at before it is trusted.
#define _POSIX_C_SOURCE 200809L
#include "results/reader.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "hdf5/heap.h"
#include "results/format.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ATTRIBUTES = 5 };

static const char *const attribute_names[ATTRIBUTES] = {"program", "version", "name", "backend", "sweep_sha256"};

struct ts_reader {
    ts_h5 h5;
    char *path;
    char *attribute[ATTRIBUTES];
    int64_t instances;
    int cases, capacity;
    ts_reader_case *list; // (cases); labels and instances owned
    int32_t *case_of;     // (instances)
    uint8_t *status;      // (instances)
    ts_heap heap;         // of texts, with a descriptor of its own
    bool heap_open;
    const char *texts; // dataset of texts that was asked for last; NULL: none
    haddr_t texts_begin;
};

static void fail_as_damaged(ts_reader *reader, const char *dataset) {
    if (reader->h5.status == TS_OK)
        reader->h5.status = ts_format_damaged(reader->path, dataset);
}

static void fail_as_foreign(ts_reader *reader, const char *attribute, const char *fault) {
    if (reader->h5.status == TS_OK)
        reader->h5.status =
            ts_fail(TS_ERROR_FATAL, "'%s' is an HDF5 file, but not a results file of toysweep: its attribute '%s' %s",
                    reader->path, attribute, fault);
}

// Reads a whole one-dimensional dataset; its length must be `length` unless that is -1. Freed with ts_free.
static void *read_list(ts_reader *reader, const char *name, ts_h5_type type, int64_t *length) {
    hid_t dataset = ts_h5_open_dataset(&reader->h5, reader->h5.file, name);
    ts_h5_form form;
    void *values = NULL;
    if (dataset >= 0 && !(ts_h5_form_of(dataset, &form) && form.rank == 1 && form.type == type &&
                          (*length < 0 || (int64_t)form.size[0] == *length)))
        fail_as_damaged(reader, name);
    if (reader->h5.status == TS_OK) {
        *length = (int64_t)form.size[0];
        values = ts_alloc((size_t)ts_h5_total_bytes(&form), "a column of the results file");
        if (!values)
            reader->h5.status = TS_ERROR_MEMORY;
        ts_h5_read(&reader->h5, dataset, &form, 0, *length, values);
    }
    ts_h5_close(&reader->h5, dataset);
    return values;
}

static void read_attributes(ts_reader *reader) {
    int32_t format = 0;
    if (reader->h5.status != TS_OK)
        return;
    for (int i = 0; i < ATTRIBUTES && reader->h5.status == TS_OK; i++) {
        reader->h5.status = ts_h5_get_text(reader->h5.file, attribute_names[i], &reader->attribute[i]);
        if (!reader->attribute[i])
            fail_as_foreign(reader, attribute_names[i], "is missing or no text");
        else if (i == 0 && strcmp(reader->attribute[0], TS_PROGRAM) != 0)
            fail_as_foreign(reader, attribute_names[0], "names another program");
    }
    if (!ts_h5_get_int32(reader->h5.file, "format", &format))
        fail_as_foreign(reader, "format", "is missing or no 32-bit integer");
    if (reader->h5.status == TS_OK && (format < 1 || format > TS_FORMAT))
        reader->h5.status =
            ts_fail(TS_ERROR_FATAL, "'%s' has format %d, this program (toysweep %s) reads formats up to %d",
                    reader->path, (int)format, TOYSWEEP_VERSION, TS_FORMAT);
}

static void add_case(ts_reader *reader, const char *label) {
    if (reader->cases == reader->capacity) {
        int capacity = reader->capacity ? 2 * reader->capacity : 64;
        ts_reader_case *grown = ts_realloc(reader->list, (size_t)capacity * sizeof *grown, "cases");
        if (!grown) {
            reader->h5.status = TS_ERROR_MEMORY;
            return;
        }
        reader->list = grown;
        reader->capacity = capacity;
    }
    ts_reader_case *one = &reader->list[reader->cases];
    *one = (ts_reader_case){.label = ts_copy_text(label), .rows = -1};
    if (!one->label) {
        reader->h5.status = TS_ERROR_MEMORY;
        return;
    }
    reader->cases++;
    ts_text path = {0};
    ts_text_addf(&path, "/cases/%s/instance", label);
    if (ts_text_status(&path) != TS_OK)
        reader->h5.status = TS_ERROR_MEMORY;
    one->instance = read_list(reader, ts_text_get(&path), TS_H5_INT64, &one->rows);
    for (int64_t row = 0; one->instance && reader->h5.status == TS_OK && row < one->rows; row++)
        if (one->instance[row] < 0 || one->instance[row] >= reader->instances)
            fail_as_damaged(reader, ts_text_get(&path));
    ts_text_free(&path);
}

static herr_t visit_case(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    ts_reader *reader = context;
    (void)group;
    (void)info;
    add_case(reader, name);
    return reader->h5.status == TS_OK ? 0 : -1;
}

static void read_cases(ts_reader *reader) {
    hid_t group = ts_h5_open_group(&reader->h5, reader->h5.file, "cases");
    hsize_t position = 0;
    if (group >= 0 && H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, &position, visit_case, reader) < 0)
        ts_h5_fault(&reader->h5, "read", "/cases");
    ts_h5_close(&reader->h5, group);
    reader->case_of = read_list(reader, "case", TS_H5_INT32, &reader->instances);
    for (int64_t i = 0; reader->h5.status == TS_OK && i < reader->instances; i++)
        if (reader->case_of[i] < 0 || reader->case_of[i] >= reader->cases)
            fail_as_damaged(reader, "case");
}

// Texts are read past HDF5, with a descriptor that stays open: there may be one for every instance.
static ts_heap *open_heap(ts_reader *reader) {
    if (!reader->heap_open) {
        reader->heap = (ts_heap){0};
        reader->h5.status = ts_file_open_input(reader->path, TS_ERROR_FATAL, &reader->heap.fd);
        reader->heap_open = reader->h5.status == TS_OK;
    }
    return reader->heap_open ? &reader->heap : NULL;
}

static void close_heap(ts_reader *reader) {
    if (!reader->heap_open)
        return;
    ts_heap_free(&reader->heap);
    close(reader->heap.fd);
    reader->heap_open = false;
}

ts_status ts_reader_open(const char *path, ts_reader **reader) {
    *reader = NULL;
    ts_reader *made = ts_alloc_zero(1, sizeof *made, "the results file");
    if (!made)
        return TS_ERROR_MEMORY;
    made->path = ts_copy_text(path);
    made->instances = -1;
    if (!made->path) {
        ts_free(made);
        return TS_ERROR_MEMORY;
    }
    ts_format_open(&made->h5, made->path);
    read_attributes(made);
    made->status = read_list(made, "status", TS_H5_UINT8, &made->instances);
    read_cases(made);
    if (made->h5.status != TS_OK) {
        ts_status status = made->h5.status;
        ts_reader_close(made);
        return status;
    }
    *reader = made;
    return TS_OK;
}

void ts_reader_close(ts_reader *reader) {
    if (!reader)
        return;
    ts_h5_end(&reader->h5);
    close_heap(reader);
    for (int i = 0; i < reader->cases; i++) {
        ts_free((void *)(uintptr_t)reader->list[i].label);
        ts_free((void *)(uintptr_t)reader->list[i].instance);
    }
    for (int i = 0; i < ATTRIBUTES; i++)
        ts_free(reader->attribute[i]);
    ts_free(reader->list);
    ts_free(reader->case_of);
    ts_free(reader->status);
    ts_free(reader->path);
    ts_free(reader);
}

const char *ts_reader_attribute(const ts_reader *reader, const char *name) {
    for (int i = 0; i < ATTRIBUTES; i++)
        if (strcmp(name, attribute_names[i]) == 0)
            return reader->attribute[i];
    return "";
}

int64_t ts_reader_instances(const ts_reader *reader) {
    return reader->instances;
}

int ts_reader_cases(const ts_reader *reader) {
    return reader->cases;
}

const ts_reader_case *ts_reader_case_at(const ts_reader *reader, int index) {
    return &reader->list[index];
}

// A fault in one question must not spoil the next: takes it out of the file's sticky status.
static ts_status answer(ts_reader *reader) {
    ts_status status = reader->h5.status;
    reader->h5.status = TS_OK;
    return status;
}

ts_status ts_reader_status(ts_reader *reader, const uint8_t **status) {
    uint8_t *fresh = read_list(reader, "status", TS_H5_UINT8, &reader->instances);
    if (reader->h5.status != TS_OK) {
        ts_free(fresh);
        return answer(reader);
    }
    ts_free(reader->status);
    *status = reader->status = fresh;
    return TS_OK;
}

static double number_at(const void *values, ts_h5_type type, int64_t i) {
    switch (type) {
    case TS_H5_UINT8:
        return ((const uint8_t *)values)[i];
    case TS_H5_UINT32:
        return ((const uint32_t *)values)[i];
    case TS_H5_INT32:
        return ((const int32_t *)values)[i];
    case TS_H5_INT64:
        return (double)((const int64_t *)values)[i];
    case TS_H5_FLOAT32:
        return (double)((const float *)values)[i];
    case TS_H5_FLOAT64:
        return ((const double *)values)[i];
    case TS_H5_TEXT:
        break;
    }
    return 0;
}

ts_status ts_reader_column(ts_reader *reader, const char *name, double *out) {
    ts_h5_form form = {0};
    bool lacks = !name[0] || strchr(name, '/') || ts_h5_lacks(reader->h5.file, name);
    hid_t dataset = lacks ? -1 : ts_h5_open_dataset(&reader->h5, reader->h5.file, name);
    if (dataset >= 0 && !ts_h5_form_of(dataset, &form))
        fail_as_damaged(reader, name);
    ts_h5_close(&reader->h5, dataset);
    if (reader->h5.status == TS_OK && (lacks || form.type == TS_H5_TEXT))
        return ts_fail(TS_ERROR_USER, "'%s' has no column of numbers '%s'", reader->path, name);
    void *values = read_list(reader, name, form.type, &reader->instances);
    for (int64_t i = 0; reader->h5.status == TS_OK && i < reader->instances; i++)
        out[i] = number_at(values, form.type, i);
    ts_free(values);
    return answer(reader);
}

// Row of its case; -1: the file is damaged.
static int64_t row_of(const ts_reader *reader, int64_t instance) {
    const ts_reader_case *of = &reader->list[reader->case_of[instance]];
    for (int64_t row = 0; row < of->rows; row++)
        if (of->instance[row] == instance)
            return row;
    return -1;
}

// One row of a dataset with a row for each instance of a case and a number for each checkpoint.
static double *read_curve(ts_reader *reader, hid_t dataset, const ts_reader_case *of, int64_t row, int64_t *count) {
    ts_h5_form form;
    bool fits = ts_h5_form_of(dataset, &form) && form.rank == 2 && (int64_t)form.size[0] == of->rows && row >= 0 &&
                (form.type == TS_H5_FLOAT32 || form.type == TS_H5_FLOAT64);
    if (!fits) {
        fail_as_damaged(reader, "cases");
        return NULL;
    }
    *count = (int64_t)form.size[1];
    void *raw = ts_alloc((size_t)ts_h5_row_bytes(&form), "a curve");
    double *value = ts_alloc((size_t)*count * sizeof *value, "a curve");
    if (!raw || !value)
        reader->h5.status = TS_ERROR_MEMORY;
    else
        ts_h5_read(&reader->h5, dataset, &form, row, 1, raw);
    for (int64_t i = 0; i < *count && reader->h5.status == TS_OK; i++)
        value[i] = number_at(raw, form.type, i);
    ts_free(raw);
    return value;
}

ts_status ts_reader_curve(ts_reader *reader, int64_t instance, const char *name, double **value, int64_t *count) {
    const ts_reader_case *of = &reader->list[reader->case_of[instance]];
    ts_text path = {0};
    *value = NULL;
    *count = 0;
    ts_text_addf(&path, "/cases/%s/%s", of->label, name);
    ts_status status = ts_text_status(&path);
    hid_t dataset = status == TS_OK ? ts_h5_try_dataset(reader->h5.file, ts_text_get(&path)) : -1;
    ts_text_free(&path);
    if (status != TS_OK)
        return status;
    if (dataset < 0)
        return ts_fail(TS_ERROR_USER, "'%s' has no curves '%s' of case %s", reader->path, name, of->label);
    *value = read_curve(reader, dataset, of, row_of(reader, instance), count);
    ts_h5_close(&reader->h5, dataset);
    status = answer(reader);
    if (status == TS_OK)
        return TS_OK;
    ts_free(*value);
    *value = NULL;
    return status;
}

ts_status ts_reader_refuse_instance(const ts_reader *reader, int64_t instance) {
    return ts_fail(TS_ERROR_USER, "'%s' has no instance %lld; it has 0 to %lld", reader->path, (long long)instance,
                   (long long)reader->instances - 1);
}

// A text of the file, by what a dataset holds at `offset` for it; freed with ts_free.
static char *read_text(ts_reader *reader, const char *name, haddr_t offset) {
    ts_heap *heap = open_heap(reader);
    unsigned char reference[TS_HEAP_REFERENCE];
    if (!heap)
        return NULL;
    size_t length;
    const char *text = NULL;
    char *copy = NULL;
    if (ts_file_read_at(heap->fd, reference, sizeof reference, (int64_t)offset) == (ssize_t)sizeof reference)
        text = ts_heap_text(heap, reference, &length);
    if (heap->status != TS_OK)
        reader->h5.status = heap->status;
    else if (!text)
        fail_as_damaged(reader, name);
    else if (!(copy = ts_alloc_zero(length + 1, 1, name)))
        reader->h5.status = TS_ERROR_MEMORY;
    else
        memcpy(copy, text, length);
    if (reader->h5.status != TS_OK)
        close_heap(reader); // a fault in one question must not spoil the next
    return copy;
}

// Where the texts of a dataset with one for each instance begin. It stays where it is, and the next question is
// likeliest about the same one.
static haddr_t find_texts(ts_reader *reader, const char *name) {
    ts_h5_form form;
    if (reader->texts && strcmp(reader->texts, name) == 0)
        return reader->texts_begin;
    hid_t dataset = ts_h5_open_dataset(&reader->h5, reader->h5.file, name);
    if (dataset >= 0 && !(ts_h5_form_of(dataset, &form) && form.rank == 1 && form.type == TS_H5_TEXT &&
                          (int64_t)form.size[0] == reader->instances))
        fail_as_damaged(reader, name);
    if (reader->h5.status == TS_OK) {
        reader->texts = name;
        reader->texts_begin = H5Dget_offset(dataset);
    }
    ts_h5_close(&reader->h5, dataset);
    return reader->texts_begin;
}

// Text number `instance` of such a dataset; `name` is a literal.
static ts_status read_text_of(ts_reader *reader, const char *name, int64_t instance, char **text) {
    *text = NULL;
    if (instance < 0 || instance >= reader->instances)
        return ts_reader_refuse_instance(reader, instance);
    haddr_t begin = find_texts(reader, name);
    if (reader->h5.status == TS_OK)
        *text = read_text(reader, name, begin + (haddr_t)instance * TS_HEAP_REFERENCE);
    return answer(reader);
}

ts_status ts_reader_text(ts_reader *reader, const char *name, char **text) {
    *text = NULL;
    if (!ts_h5_has(reader->h5.file, name))
        return ts_fail(TS_ERROR_USER, "'%s' has no text '%s'", reader->path, name);
    hid_t dataset = ts_h5_open_dataset(&reader->h5, reader->h5.file, name);
    ts_h5_form form;
    if (dataset >= 0 && !(ts_h5_form_of(dataset, &form) && form.rank == 0 && form.type == TS_H5_TEXT))
        fail_as_damaged(reader, name);
    if (reader->h5.status == TS_OK)
        *text = read_text(reader, name, H5Dget_offset(dataset));
    ts_h5_close(&reader->h5, dataset);
    return answer(reader);
}

ts_status ts_reader_resolved(ts_reader *reader, int64_t instance, char **json) {
    return read_text_of(reader, "sweep/resolved", instance, json);
}

ts_status ts_reader_identity(ts_reader *reader, int64_t instance, char **identity) {
    return read_text_of(reader, "identity", instance, identity);
}
