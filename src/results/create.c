// Making the results file: everything but the results.
#define _POSIX_C_SOURCE 200809L

#include "results/create.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"
#include "hdf5/scale.h"
#include "results/columns.h"
#include "results/frame.h"
#include "results/origin.h"
#include "task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { MAX_SCALES = 32 };

// Bytes that HDF5 takes, about, and rather more: of a file, a group of a case, a dataset, a byte of its name and help,
// and a label.
enum { FILE_METADATA = 16384, CASE_METADATA = 2200, DATASET_METADATA = 460, TEXT_METADATA = 3, LABEL_METADATA = 40 };
// Of datasets at the root, whose attributes say more.
enum { COLUMN_METADATA = 800 };

static void describe(ts_h5 *h5, hid_t dataset, const char *help, const char *units) {
    if (help)
        ts_h5_put_text(h5, dataset, "long_name", help);
    if (units)
        ts_h5_put_text(h5, dataset, "units", units);
}

// A dataset along `scales` that training fills in, left as it was filled.
static void make_dataset(ts_h5 *h5, hid_t parent, const char *name, const ts_h5_form *form, const char *help,
                         const char *units, ts_scale *const *scales, ts_frame_gaps *gaps) {
    hid_t dataset = ts_h5_create_dataset(h5, parent, name, form);
    ts_frame_note(h5, dataset, gaps);
    ts_scale_attach(h5, dataset, form->rank, scales);
    describe(h5, dataset, help, units);
    ts_h5_close(h5, dataset);
}

// --- Root ---

static void make_attributes(ts_h5 *h5, const ts_sweep *sweep, const char *backend) {
    uint8_t digest[TS_SHA256_BYTES];
    char hex[TS_SHA256_HEX];
    if (h5->status == TS_OK)
        h5->status = ts_sweep_digest(sweep, digest);
    if (h5->status != TS_OK)
        return;
    ts_sha256_text(digest, hex);
    ts_h5_put_text(h5, h5->file, "program", TS_PROGRAM);
    ts_h5_put_text(h5, h5->file, "version", TOYSWEEP_VERSION);
    ts_h5_put_int32(h5, h5->file, "format", TS_FORMAT);
    ts_h5_put_text(h5, h5->file, "name", ts_sweep_name(sweep));
    ts_h5_put_text(h5, h5->file, "backend", backend);
    ts_h5_put_text(h5, h5->file, "sweep_sha256", hex);
}

static void write_columns(ts_h5 *h5, ts_columns *columns, const hid_t *dataset) {
    int64_t instances = ts_sweep_instances(columns->sweep);
    for (int64_t first = 0; first < instances && h5->status == TS_OK; first += columns->slab_rows) {
        int64_t count = instances - first < columns->slab_rows ? instances - first : columns->slab_rows;
        h5->status = ts_columns_fill(columns, first, count);
        for (int c = 0; c < columns->count; c++)
            ts_h5_write(h5, dataset[c], &columns->column[c].form, first, count, columns->column[c].slab);
    }
}

static void make_static_columns(ts_h5 *h5, ts_columns *columns, ts_scale *instance) {
    hid_t *dataset = ts_alloc_zero((size_t)columns->count, sizeof *dataset, "columns of the results file");
    if (!dataset) {
        h5->status = TS_ERROR_MEMORY;
        return;
    }
    for (int c = 0; c < columns->count; c++) {
        const ts_column *column = &columns->column[c];
        if (column->kind == TS_COLUMN_INSTANCE) {
            dataset[c] = instance->dataset;
        } else {
            dataset[c] = ts_h5_create_dataset(h5, h5->file, column->name, &column->form);
            ts_scale_attach(h5, dataset[c], 1, &instance);
        }
        describe(h5, dataset[c], column->help, NULL);
    }
    write_columns(h5, columns, dataset);
    for (int c = 0; c < columns->count; c++)
        if (columns->column[c].kind != TS_COLUMN_INSTANCE)
            ts_h5_close(h5, dataset[c]);
    ts_free(dataset);
}

static void make_result_columns(ts_h5 *h5, const ts_measure_columns *measures, const ts_sweep *sweep,
                                ts_scale *instance, ts_frame_gaps *gaps) {
    int64_t instances = ts_sweep_instances(sweep);
    ts_h5_form sums = ts_format_list(TS_H5_FLOAT64, instances);
    if (ts_format_has_stacks(sweep)) // before the status: what comes behind it is of rows, with their checksums
        make_dataset(h5, h5->file, TS_STACKED_COLUMN, &sums, TS_STACKED_HELP, NULL, &instance, gaps);
    const struct {
        const char *name, *help;
        ts_h5_type type;
    } fixed[] = {
        {"status", "0: pending, 1: done, 2: failed", TS_H5_UINT8},
        {"checksum", "CRC-32 of the instance's results", TS_H5_UINT32},
        {"steps_done", "training steps done", TS_H5_INT64},
    };
    for (int i = 0; i < 3; i++) {
        ts_h5_form form = ts_format_list(fixed[i].type, instances);
        make_dataset(h5, h5->file, fixed[i].name, &form, fixed[i].help, NULL, &instance, gaps);
    }
    for (int i = 0; i < measures->count; i++) {
        const ts_field *field = measures->field[i];
        ts_h5_form form = ts_format_list(TS_H5_FLOAT64, instances);
        make_dataset(h5, h5->file, field->name, &form, field->help, field->units, &instance, gaps);
    }
}

// --- Cases ---

typedef struct scale_set {
    int count;
    ts_scale scale[MAX_SCALES];
    const ts_record_layout *layout;
} scale_set;

// A scale of names, and beside it the names that its indices have elsewhere.
static void begin_named_scale(ts_h5 *h5, hid_t group, const ts_named_dimension *named, ts_scale *scale) {
    char **texts = ts_alloc((size_t)named->count * sizeof *texts, "a dimension scale"), name[TS_SCALE_NAME];
    if (!texts) {
        h5->status = TS_ERROR_MEMORY;
        return;
    }
    for (int64_t i = 0; i < named->count; i++)
        texts[i] = named->name[i];
    ts_scale_begin(h5, group, named->dimension, TS_H5_TEXT, named->count, texts, scale);
    if (named->alias) {
        ts_h5_form form = ts_format_list(TS_H5_TEXT, named->count);
        snprintf(name, sizeof name, "%s_alias", named->dimension);
        hid_t aliases = ts_h5_create_dataset(h5, group, name, &form);
        for (int64_t i = 0; i < named->count; i++)
            texts[i] = named->alias[i];
        ts_h5_write(h5, aliases, &form, 0, named->count, texts);
        ts_scale_attach(h5, aliases, 1, &scale);
        describe(h5, aliases, "published names, where they differ", NULL);
        ts_h5_close(h5, aliases);
    }
    ts_free(texts);
}

// The group's scale of that name, made (its names, or 0, 1, 2, ...) if it is not there yet.
static ts_scale *find_scale(ts_h5 *h5, hid_t group, scale_set *set, const char *name, int64_t length) {
    for (int i = 0; i < set->count; i++)
        if (strcmp(set->scale[i].name, name) == 0) {
            if (set->scale[i].length != length && h5->status == TS_OK)
                h5->status = ts_fail(TS_ERROR_FATAL, "'%s': dimension '%s' has two lengths, %lld and %lld", h5->path,
                                     name, (long long)set->scale[i].length, (long long)length);
            return &set->scale[i];
        }
    if (set->count == MAX_SCALES) {
        h5->status = ts_fail(TS_ERROR_FATAL, "'%s': a case has more than %d dimensions", h5->path, MAX_SCALES);
        return &set->scale[0];
    }
    ts_scale *scale = &set->scale[set->count++];
    for (int i = 0; i < set->layout->n_named; i++) {
        if (strcmp(set->layout->named[i].dimension, name) == 0) {
            begin_named_scale(h5, group, &set->layout->named[i], scale);
            return scale;
        }
    }
    int32_t *values = ts_alloc((size_t)length * sizeof *values, "a dimension scale");
    if (!values)
        h5->status = TS_ERROR_MEMORY;
    for (int64_t i = 0; values && i < length; i++)
        values[i] = (int32_t)i;
    ts_scale_begin(h5, group, name, TS_H5_INT32, length, values, scale);
    ts_free(values);
    return scale;
}

// A dataset may not lie twice along one scale: the second "hidden" of a square matrix becomes "hidden_2".
static void dimension_name(const ts_field *field, int dimension, char name[TS_SCALE_NAME]) {
    int before = 0;
    for (int i = 0; i < dimension; i++)
        before += strcmp(field->dimension[i], field->dimension[dimension]) == 0;
    if (before)
        snprintf(name, TS_SCALE_NAME, "%s_%d", field->dimension[dimension], before + 1);
    else
        snprintf(name, TS_SCALE_NAME, "%s", field->dimension[dimension]);
}

static void make_field(ts_h5 *h5, hid_t group, hid_t place, const ts_field *field, int64_t rows, scale_set *set,
                       ts_frame_gaps *gaps) {
    ts_scale *scales[TS_FIELD_DIMENSIONS + 1] = {&set->scale[0]};
    for (int i = 0; i < field->rank; i++) {
        char name[TS_SCALE_NAME];
        dimension_name(field, i, name);
        scales[i + 1] = find_scale(h5, group, set, name, field->size[i]);
    }
    ts_h5_form form = ts_format_field(field, rows);
    make_dataset(h5, place, field->name, &form, field->help, field->units, scales, gaps);
}

static void make_fields(ts_h5 *h5, hid_t group, const ts_record_layout *layout, int64_t rows, scale_set *set,
                        ts_frame_gaps *gaps) {
    const char *open = NULL; // fields of one group follow each other
    hid_t within = -1;
    for (int f = 0; f < layout->count && h5->status == TS_OK; f++) {
        const ts_field *field = &layout->field[f];
        const char *name = ts_format_field_group(field);
        if (field->place == TS_FIELD_ROOT)
            continue;
        if (name && name != open) {
            ts_h5_close(h5, within);
            within = ts_h5_create_group(h5, group, open = name);
        }
        make_field(h5, group, name ? within : group, field, rows, set, gaps);
    }
    ts_h5_close(h5, within);
}

static void make_case(ts_h5 *h5, const ts_case *one, const ts_record_layout *layout, ts_frame_gaps *gaps) {
    ts_text path = {0};
    ts_format_case_path(one->label, &path);
    if (ts_text_status(&path) != TS_OK)
        h5->status = TS_ERROR_MEMORY;
    hid_t group = ts_h5_create_group(h5, h5->file, ts_text_get(&path));
    ts_text_free(&path);
    ts_h5_put_text(h5, group, "kind", ts_kind_name(one->schema->task->kind));
    ts_h5_put_text(h5, group, "label", one->learned);
    scale_set set = {.count = 2, .layout = layout};
    ts_scale *row = &set.scale[0], *step = &set.scale[1];
    ts_scale_begin(h5, group, "row", TS_H5_INT64, one->rows, one->instance, row);
    describe(h5, row->dataset, "instance of each row", NULL);
    ts_h5_form form = ts_format_list(TS_H5_INT64, one->rows);
    hid_t instance = ts_h5_create_dataset(h5, group, "instance", &form);
    ts_h5_write(h5, instance, &form, 0, one->rows, one->instance);
    ts_scale_attach(h5, instance, 1, &row);
    describe(h5, instance, "instance of each row", NULL);
    ts_h5_close(h5, instance);
    ts_scale_begin(h5, group, "step", TS_H5_INT64, layout->checkpoints, layout->step, step);
    describe(h5, step->dataset, "training steps", NULL);
    make_fields(h5, group, layout, one->rows, &set, gaps);
    for (int i = 0; i < set.count; i++)
        ts_scale_end(h5, &set.scale[i]);
    ts_h5_close(h5, group);
}

// --- The file ---

static int write_file(const char *path, ts_columns *columns, const ts_record_layout *const *layouts,
                      const ts_measure_columns *measures, const char *backend, ts_frame_gaps *gaps, ts_status *status) {
    const ts_sweep *sweep = columns->sweep;
    int64_t instances = ts_sweep_instances(sweep);
    ts_h5 h5;
    ts_h5_create(&h5, path);
    make_attributes(&h5, sweep, backend);
    hid_t origin = ts_origin_write(&h5, sweep);
    ts_frame_make(&h5, origin);
    ts_h5_close(&h5, origin);
    ts_scale instance;
    ts_scale_begin(&h5, h5.file, "instance", TS_H5_INT64, instances, NULL, &instance);
    make_static_columns(&h5, columns, &instance);
    make_result_columns(&h5, measures, sweep, &instance, gaps);
    ts_scale_end(&h5, &instance);
    ts_h5_close(&h5, ts_h5_create_group(&h5, h5.file, "cases"));
    for (int c = 0; c < ts_sweep_cases(sweep) && h5.status == TS_OK; c++)
        make_case(&h5, ts_sweep_case(sweep, c), layouts[c], gaps);
    *status = ts_h5_end(&h5);
    return h5.error;
}

// Asks for the space before HDF5 does, which breaks down on a full disk. 0, or the errno. On a file system
// that cannot promise space, the C library writes into every block instead.
static int probe_space(const char *path, int64_t bytes) {
    int fd = ts_file_open(path, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return errno;
    int error = ts_file_reserve(fd, bytes), closing = ts_file_close(fd);
    return error ? error : closing;
}

// Makes the finished file durable, in its place.
static ts_status settle(const char *temporary, const char *path) {
    int fd = ts_file_open(temporary, O_RDWR);
    struct stat information;
    if (fd < 0 || fstat(fd, &information) != 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot open '%s'", temporary);
    }
    int error = ts_file_reserve(fd, information.st_size);
    if (error == 0)
        error = ts_file_sync(fd);
    int closing = ts_file_close(fd);
    error = error ? error : closing;
    if (error == 0 && rename(temporary, path) != 0)
        error = errno;
    if (error)
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot write '%s'", path);
    return ts_file_sync_directory(path);
}

// What a user can do about it.
static ts_status explain(const char *path, int error, int64_t bytes) {
    struct statvfs disk;
    ts_text directory = {0};
    ts_text_append(&directory, path, (size_t)(ts_path_name(path) - path));
    const char *where = directory.length ? ts_text_get(&directory) : ".";
    long long space = statvfs(where, &disk) == 0 ? (long long)disk.f_bavail * (long long)disk.f_frsize : -1;
    ts_status status = TS_ERROR_FATAL;
    if (error == ENOSPC)
        ts_fail(status,
                "cannot make '%s': %s: it needs about %lld bytes, %lld are free in '%s'; free some, keep fewer "
                "weights or checkpoints, or choose another place with -o",
                path, strerror(error), (long long)bytes, space, where);
    else if (error == EDQUOT || error == EFBIG)
        ts_fail_errno(status, error,
                      "cannot make '%s', which needs about %lld bytes (keep fewer weights or checkpoints, or choose "
                      "another place with -o)",
                      path, (long long)bytes);
    else if (error == ENOENT || error == ENOTDIR)
        ts_fail(status, "cannot make '%s': there is no directory '%s'; make it, or choose another place with -o", path,
                where);
    else if (error == EACCES || error == EPERM)
        ts_fail_errno(status, error, "cannot make '%s' in '%s'; choose another place with -o", path, where);
    else
        ts_fail_errno(status, error, "cannot make '%s'", path);
    ts_text_free(&directory);
    return status;
}

static int64_t dataset_bytes(const ts_h5_form *form) {
    return ts_h5_total_bytes(form) + COLUMN_METADATA;
}

// Adds a dimension that is not there yet; step, which every case has, never is.
static bool add_seen(const char *seen[MAX_SCALES], int *count, const char *dimension) {
    bool is_new = strcmp(dimension, "step") != 0 && *count < MAX_SCALES;
    for (int i = 0; i < *count && is_new; i++)
        is_new = strcmp(seen[i], dimension) != 0;
    if (is_new)
        seen[(*count)++] = dimension;
    return is_new;
}

static int64_t scale_bytes(const ts_record_layout *layout, const char *dimension, int64_t size) {
    int64_t bytes = DATASET_METADATA;
    for (int n = 0; n < layout->n_named; n++) {
        const ts_named_dimension *named = &layout->named[n];
        for (int64_t i = 0; strcmp(named->dimension, dimension) == 0 && i < named->count; i++) {
            bytes += LABEL_METADATA + (int64_t)strlen(named->name[i]);
            bytes += named->alias ? LABEL_METADATA + (int64_t)strlen(named->alias[i]) : 0;
        }
    }
    return bytes + 4 * size;
}

static int64_t case_bytes(const ts_record_layout *layout, int64_t rows, int64_t *datasets) {
    int64_t bytes = CASE_METADATA + 3 * DATASET_METADATA + 8 * (2 * rows + layout->checkpoints);
    const char *seen[MAX_SCALES];
    int n_seen = 0;
    *datasets += 3; // row, instance, step
    for (int f = 0; f < layout->count; f++) {
        const ts_field *field = &layout->field[f];
        ts_h5_form form = ts_format_field(field, rows);
        if (field->place == TS_FIELD_ROOT)
            continue;
        int64_t text = (int64_t)(strlen(field->name) + (field->help ? strlen(field->help) : 0));
        bytes += ts_h5_total_bytes(&form) + DATASET_METADATA + TEXT_METADATA * text;
        ++*datasets;
        for (int d = 0; d < field->rank; d++)
            if (add_seen(seen, &n_seen, field->dimension[d])) {
                bytes += scale_bytes(layout, field->dimension[d], field->size[d]);
                ++*datasets;
            }
    }
    return bytes;
}

static ts_status count_bytes(ts_columns *columns, const ts_record_layout *const *layouts,
                             const ts_measure_columns *measures, int64_t *out, int64_t *datasets) {
    const ts_sweep *sweep = columns->sweep;
    int64_t bytes;
    ts_status status = ts_columns_text_bytes(columns, &bytes);
    bytes += FILE_METADATA + ts_origin_bytes(sweep);
    for (int c = 0; c < columns->count; c++)
        bytes += dataset_bytes(&columns->column[c].form);
    int numbers = measures->count + ts_format_has_stacks(sweep);
    bytes += (1 + 4 + 8 + 8 * numbers) * ts_sweep_instances(sweep);
    bytes += COLUMN_METADATA * (4 + numbers);
    *datasets = columns->count + 4 + numbers;
    for (int c = 0; c < ts_sweep_cases(sweep); c++)
        bytes += case_bytes(layouts[c], ts_sweep_case(sweep, c)->rows, datasets);
    *out = bytes;
    return status;
}

int64_t ts_results_size(const ts_sweep *sweep, const ts_record_layout *const *layouts, int64_t *datasets) {
    ts_columns columns;
    ts_measure_columns measures;
    int64_t bytes = 0;
    bool known = ts_columns_make(sweep, &columns) == TS_OK && ts_format_measures(sweep, layouts, &measures) == TS_OK &&
                 count_bytes(&columns, layouts, &measures, &bytes, datasets) == TS_OK;
    ts_columns_free(&columns);
    return known ? bytes : 0;
}

static ts_status make(const char *path, const char *temporary, ts_columns *columns,
                      const ts_record_layout *const *layouts, const char *backend) {
    ts_measure_columns measures;
    int64_t bytes = 0, datasets;
    ts_status status = ts_format_measures(columns->sweep, layouts, &measures);
    if (status == TS_OK)
        status = count_bytes(columns, layouts, &measures, &bytes, &datasets);
    if (status != TS_OK)
        return status;
    ts_frame_gaps gaps = {0};
    int error = probe_space(temporary, bytes);
    if (error == 0)
        error = write_file(temporary, columns, layouts, &measures, backend, &gaps, &status);
    if (error) {
        unlink(temporary); // first, so that its own bytes count as free
        status = explain(path, error, bytes);
    }
    if (status == TS_OK)
        status = ts_frame_seal(temporary, &gaps);
    if (status == TS_OK)
        status = settle(temporary, path);
    if (status != TS_OK)
        unlink(temporary);
    ts_frame_gaps_free(&gaps);
    return status;
}

ts_status ts_results_create(const char *path, const ts_sweep *sweep, const ts_record_layout *const *layouts,
                            const char *backend) {
    ts_text temporary = {0};
    ts_text_addf(&temporary, "%s.tmp", path);
    ts_columns columns = {0};
    ts_status status = ts_text_status(&temporary);
    if (status == TS_OK)
        status = ts_columns_make(sweep, &columns);
    if (status == TS_OK)
        status = make(path, ts_text_get(&temporary), &columns, layouts, backend);
    ts_columns_free(&columns);
    ts_text_free(&temporary);
    return status;
}
