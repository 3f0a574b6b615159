// The results file: made the same from the same, keeps what was committed, finds what was damaged, and is
// never touched when it belongs to something else.
#define _POSIX_C_SOURCE 200809L
#include "integrity/check.h"
#include "results/create.h"
#include "results/format.h"
#include "results/rows.h"
#include "results/store.h"
#include "task/data.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"
#include "hdf5/hdf5.h"
#include "results/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_CASES = 16, FILE_LIMIT = 1 << 28 };

static const char SWEEP[] = "name: small\n"
                            "task: tree\n"
                            "depth: 2\n"
                            "steps: 20\n"
                            "checkpoints: {every: 5}\n"
                            "save: checkpoints\n"
                            "grid:\n"
                            "  seed: 0..2\n"
                            "  hidden: 2..4\n"
                            "  schedule: [constant, cosine]\n";

static const ts_comm alone = {.rank = 0, .size = 1, .node_rank = 0, .node_size = 1, .mpi = false};

typedef struct fixture {
    char directory[64], path[128];
    ts_sweep *sweep;
    int cases;
    ts_record_layout *layout[MAX_CASES];
    int64_t instances;
    uint8_t *status;
} fixture;

#define LAYOUTS(f) ((const ts_record_layout *const *)(f)->layout)

static void expect_ok(ts_status status) {
    if (status != TS_OK)
        fail_msg("status %d: %s", (int)status, ts_message());
}

static ts_sweep *read_sweep(const char *text) {
    ts_sweep_source source = {.file = "small.yaml", .text = text, .bytes = strlen(text)};
    ts_sweep *sweep = NULL;
    if (ts_sweep_read(&source, &sweep) != TS_OK)
        fail_msg("%s", ts_sweep_errors());
    return sweep;
}

static void use_sweep(fixture *f, const char *text) {
    f->sweep = read_sweep(text);
    f->cases = ts_sweep_cases(f->sweep);
    f->instances = ts_sweep_instances(f->sweep);
    assert_in_range(f->cases, 1, MAX_CASES);
    for (int c = 0; c < f->cases; c++) {
        ts_params params;
        ts_case_params(f->sweep, c, 0, &params);
        ts_data *data;
        expect_ok(ts_data_create(&params, &data));
        expect_ok(ts_record_layout_make(&params, data, &f->layout[c]));
        ts_data_free(data);
    }
    f->status = ts_alloc_zero((size_t)f->instances, 1, "statuses");
}

static void drop_sweep(fixture *f) {
    for (int c = 0; c < f->cases; c++)
        ts_record_layout_free(f->layout[c]);
    ts_sweep_free(f->sweep);
    ts_free(f->status);
}

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->directory, "/tmp/test store'\n\"XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/a \"b\"\n'c'.h5", f->directory);
    use_sweep(f, SWEEP);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    unlink(f->path);
    rmdir(f->directory);
    drop_sweep(f);
    free(f);
    return 0;
}

static void create(const fixture *f) {
    expect_ok(ts_results_create(f->path, f->sweep, LAYOUTS(f), "reference"));
}

static int64_t check(fixture *f, bool retry_failed) {
    int64_t damaged = -1;
    expect_ok(
        ts_check_results(f->path, f->sweep, LAYOUTS(f), "reference", retry_failed, f->status, &damaged));
    return damaged;
}

static void digest_of(const char *path, char hex[TS_SHA256_HEX]) {
    char *bytes;
    size_t size;
    uint8_t digest[TS_SHA256_BYTES];
    expect_ok(ts_file_read(path, FILE_LIMIT, &bytes, &size));
    ts_sha256(bytes, size, digest);
    ts_sha256_text(digest, hex);
    ts_free(bytes);
}

// A value that says where it belongs.
static float value_at(int64_t instance, size_t offset) {
    return (float)instance + (float)offset / 65536;
}

static char *make_record(const fixture *f, int c, int64_t row) {
    const ts_record_layout *layout = f->layout[c];
    int64_t instance = ts_sweep_case(f->sweep, c)->instance[row];
    char *record = ts_alloc(layout->bytes, "a record");
    ts_record_reset(layout, record);
    for (int k = 0; k < layout->count; k++)
        for (size_t b = 0; b < layout->field[k].bytes; b += (size_t)layout->field[k].item_bytes) {
            size_t offset = layout->field[k].offset + b;
            float single = value_at(instance, offset);
            double real = single;
            memcpy(record + offset, layout->field[k].item_bytes == 8 ? (void *)&real : (void *)&single,
                   (size_t)layout->field[k].item_bytes);
        }
    return record;
}

// Rows end at different checkpoints, as if they had stopped early.
static int64_t checkpoint_of(int64_t row) {
    return 1 + row % 4;
}

static void commit_rows(const fixture *f, ts_store *store, int c, int64_t first, int64_t count,
                        ts_row_status status) {
    ts_row *rows = calloc((size_t)count, sizeof *rows);
    for (int64_t i = 0; i < count; i++)
        rows[i] = (ts_row){status, 5 * checkpoint_of(first + i), make_record(f, c, first + i)};
    expect_ok(ts_store_commit(store, c, first, count, rows));
    for (int64_t i = 0; i < count; i++)
        ts_free((void *)(uintptr_t)rows[i].record);
    free(rows);
}

static void commit_everything(const fixture *f) {
    ts_store *store;
    expect_ok(ts_store_open(f->path, &alone, f->sweep, LAYOUTS(f), &store));
    for (int c = f->cases - 1; c >= 0; c--)
        commit_rows(f, store, c, 0, ts_sweep_case(f->sweep, c)->rows, TS_ROW_DONE);
    expect_ok(ts_store_close(store));
}

static int64_t count_status(const fixture *f, int value) {
    int64_t count = 0;
    for (int64_t i = 0; i < f->instances; i++)
        count += f->status[i] == value;
    return count;
}

// --- What is promised ---

static void test_equal_inputs_give_equal_bytes(void **state) {
    fixture *f = *state;
    char first[TS_SHA256_HEX], second[TS_SHA256_HEX];
    create(f);
    digest_of(f->path, first);
    unlink(f->path);
    sleep(1); // no times in it
    create(f);
    digest_of(f->path, second);
    assert_string_equal(first, second);
    commit_everything(f);
    digest_of(f->path, first);
    unlink(f->path);
    create(f);
    ts_store *store; // the same results, row by row and in another order
    expect_ok(ts_store_open(f->path, &alone, f->sweep, LAYOUTS(f), &store));
    for (int c = 0; c < f->cases; c++)
        for (int64_t row = ts_sweep_case(f->sweep, c)->rows - 1; row >= 0; row--)
            commit_rows(f, store, c, row, 1, TS_ROW_DONE);
    expect_ok(ts_store_close(store));
    digest_of(f->path, second);
    assert_string_equal(first, second);
}

static void test_size_is_known_before(void **state) {
    fixture *f = *state;
    create(f);
    struct stat information;
    assert_int_equal(stat(f->path, &information), 0);
    int64_t expected = ts_results_size(f->sweep, LAYOUTS(f));
    if (expected < information.st_size || expected > 3 * information.st_size)
        fail_msg("expected about %lld bytes, it has %lld", (long long)expected,
                 (long long)information.st_size);
}

static void test_new_file_is_all_pending(void **state) {
    fixture *f = *state;
    create(f);
    assert_int_equal(check(f, false), 0);
    assert_int_equal(count_status(f, TS_ROW_PENDING), f->instances);
}

static void expect_field(ts_h5 *h5, const fixture *f, int c, int64_t row, const ts_field *field,
                         hid_t dataset) {
    ts_h5_form form;
    assert_true(ts_h5_form_of(dataset, &form));
    int64_t instance = ts_sweep_case(f->sweep, c)->instance[row];
    char *values = ts_alloc(field->bytes, "values");
    ts_h5_read(h5, dataset, &form, field->place == TS_FIELD_ROOT ? instance : row, 1, values);
    expect_ok(h5->status);
    for (size_t b = 0; b < field->bytes; b += (size_t)field->item_bytes) {
        float single;
        double real;
        memcpy(&single, values + b, 4);
        memcpy(&real, values + b, field->item_bytes == 8 ? 8 : 4);
        double found = field->item_bytes == 8 ? real : (double)single;
        double expected = (double)value_at(instance, field->offset + b);
        if (found != expected)
            fail_msg("case %d, row %lld, '%s', byte %zu: %g, not %g", c, (long long)row, field->name, b,
                     found, expected);
    }
    ts_free(values);
}

static void test_every_field_of_every_row_reads_back(void **state) {
    fixture *f = *state;
    create(f);
    commit_everything(f);
    assert_int_equal(check(f, false), 0);
    assert_int_equal(count_status(f, TS_ROW_DONE), f->instances);
    ts_h5 h5;
    ts_h5_open(&h5, f->path, false);
    for (int c = 0; c < f->cases; c++)
        for (int k = 0; k < f->layout[c]->count; k++) {
            const ts_field *field = &f->layout[c]->field[k];
            char name[256];
            snprintf(name, sizeof name, field->place == TS_FIELD_ROOT ? "%.0s%s%s" : "/cases/%s/%s%s",
                     ts_sweep_case(f->sweep, c)->label, field->place == TS_FIELD_WEIGHTS ? "weights/" : "",
                     field->name);
            hid_t dataset = ts_h5_open_dataset(&h5, h5.file, name);
            expect_ok(h5.status);
            for (int64_t row = 0; row < ts_sweep_case(f->sweep, c)->rows; row++)
                expect_field(&h5, f, c, row, field, dataset);
            ts_h5_close(&h5, dataset);
        }
    expect_ok(ts_h5_end(&h5));
}

static void test_reader_works_during_a_run(void **state) {
    fixture *f = *state;
    create(f);
    ts_store *store;
    ts_reader *reader;
    const uint8_t *status;
    expect_ok(ts_store_open(f->path, &alone, f->sweep, LAYOUTS(f), &store));
    expect_ok(ts_reader_open(f->path, &reader));
    expect_ok(ts_reader_status(reader, &status));
    int64_t instance = ts_sweep_case(f->sweep, 1)->instance[1];
    assert_int_equal(status[instance], TS_ROW_PENDING);
    commit_rows(f, store, 1, 1, 1, TS_ROW_DONE);
    expect_ok(ts_reader_status(reader, &status));
    assert_int_equal(status[instance], TS_ROW_DONE);
    double *steps = calloc((size_t)f->instances, sizeof *steps);
    expect_ok(ts_reader_column(reader, "steps_done", steps));
    assert_true(steps[instance] == 10);
    assert_int_equal(ts_reader_column(reader, "nonsense", steps), TS_ERROR_USER);
    assert_int_equal(ts_reader_column(reader, "identity", steps), TS_ERROR_USER);
    free(steps);
    ts_reader_close(reader);
    expect_ok(ts_store_close(store));
}

static void test_reader_gives_attributes_cases_parameters_and_weights(void **state) {
    fixture *f = *state;
    create(f);
    commit_everything(f);
    ts_reader *reader;
    expect_ok(ts_reader_open(f->path, &reader));
    assert_string_equal(ts_reader_attribute(reader, "name"), "small");
    assert_string_equal(ts_reader_attribute(reader, "backend"), "reference");
    assert_int_equal(ts_reader_cases(reader), f->cases);
    for (int c = 0; c < f->cases; c++) {
        const ts_reader_case *one = ts_reader_case_at(reader, c);
        assert_string_equal(one->label, ts_sweep_case(f->sweep, c)->label);
        assert_int_equal(one->rows, ts_sweep_case(f->sweep, c)->rows);
        for (int64_t row = 0; row < one->rows; row++)
            assert_int_equal(one->instance[row], ts_sweep_case(f->sweep, c)->instance[row]);
    }
    ts_params params;
    ts_text expected = {0};
    ts_sweep_params(f->sweep, 3, &params);
    ts_params_json(&params, &expected);
    char *json;
    expect_ok(ts_reader_resolved(reader, 3, &json));
    assert_string_equal(json, ts_text_get(&expected));
    ts_free(json);
    ts_text_free(&expected);
    ts_reader_tensor *tensors;
    int count;
    expect_ok(ts_reader_weights(reader, 3, &tensors, &count));
    int c = ts_sweep_case_of(f->sweep, 3), seen = 0;
    int64_t row_of_3 = 0;
    while (ts_sweep_case(f->sweep, c)->instance[row_of_3] != 3)
        row_of_3++;
    for (int k = 0; k < f->layout[c]->count; k++) {
        const ts_field *field =
            &f->layout[c]->field[k]; // [step, ...]: the step at which it ended is asked for
        if (field->place != TS_FIELD_WEIGHTS)
            continue;
        assert_true(seen < count);
        const ts_reader_tensor *tensor = &tensors[seen++];
        assert_string_equal(tensor->name, field->name);
        assert_int_equal(tensor->rank, field->rank - 1);
        size_t bytes = field->bytes / (size_t)field->size[0];
        float first = value_at(3, field->offset + (size_t)checkpoint_of(row_of_3) * bytes);
        if (tensor->data[0] != first)
            fail_msg("'%s': %g, not %g", tensor->name, (double)tensor->data[0], (double)first);
    }
    assert_int_equal(seen, count);
    assert_int_equal(ts_reader_weights(reader, f->instances, &tensors, &count), TS_ERROR_USER);
    ts_reader_close(reader);
}

static void test_failed_rows_stay_until_retried(void **state) {
    fixture *f = *state;
    create(f);
    char fresh[TS_SHA256_HEX], after[TS_SHA256_HEX];
    digest_of(f->path, fresh);
    ts_store *store;
    expect_ok(ts_store_open(f->path, &alone, f->sweep, LAYOUTS(f), &store));
    commit_rows(f, store, 0, 1, 1, TS_ROW_FAILED);
    expect_ok(ts_store_close(store));
    assert_int_equal(check(f, false), 0);
    assert_int_equal(count_status(f, TS_ROW_FAILED), 1);
    assert_int_equal(check(f, true), 0);
    assert_int_equal(count_status(f, TS_ROW_PENDING), f->instances);
    digest_of(f->path, after);
    assert_string_equal(fresh, after); // nothing of it is left
}

// --- Damage ---

static int64_t offset_of(const fixture *f, const char *name) {
    ts_h5 h5;
    ts_h5_open(&h5, f->path, false);
    hid_t dataset = ts_h5_open_dataset(&h5, h5.file, name);
    expect_ok(h5.status);
    int64_t offset = (int64_t)H5Dget_offset(dataset);
    ts_h5_close(&h5, dataset);
    expect_ok(ts_h5_end(&h5));
    return offset;
}

static void flip(const fixture *f, int64_t offset, unsigned char bits) {
    FILE *file = fopen(f->path, "r+b");
    assert_non_null(file);
    fseek(file, (long)offset, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)offset, SEEK_SET);
    fputc(byte ^ bits, file);
    assert_int_equal(fclose(file), 0);
}

static void test_damaged_rows_go_back_to_pending(void **state) {
    fixture *f = *state;
    create(f);
    commit_everything(f);
    const ts_case *one = ts_sweep_case(f->sweep, 0);
    char whole[TS_SHA256_HEX], mended[TS_SHA256_HEX], name[256];
    digest_of(f->path, whole);
    const struct {
        const char *dataset;
        int64_t offset; // of an item of row 1
    } places[] = {
        {"status", one->instance[1]},
        {"checksum", 4 * one->instance[1] + 2},
        {"steps_done", 8 * one->instance[1]},
        {"train_loss", 8 * one->instance[1] + 5},
        {"weights/W", -1},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(name, sizeof name, "/cases/%s/weights/W", one->label);
        bool weights = places[i].offset < 0;
        int64_t offset = offset_of(f, weights ? name : places[i].dataset);
        for (int k = 0; weights && k < f->layout[0]->count; k++)
            if (strcmp(f->layout[0]->field[k].name, "W") == 0)
                offset += (int64_t)f->layout[0]->field[k].bytes + 3;
        flip(f, offset + (weights ? 0 : places[i].offset), i == 0 ? 0x40 : 0x10);
        int64_t damaged = check(f, false);
        if (damaged != 1 || f->status[one->instance[1]] != TS_ROW_PENDING)
            fail_msg("'%s': %lld damaged rows, not 1", places[i].dataset, (long long)damaged);
        assert_int_equal(check(f, false), 0);
        assert_int_equal(count_status(f, TS_ROW_PENDING), 1);
        ts_store *store;
        expect_ok(ts_store_open(f->path, &alone, f->sweep, LAYOUTS(f), &store));
        commit_rows(f, store, 0, 1, 1, TS_ROW_DONE);
        expect_ok(ts_store_close(store));
        digest_of(f->path, mended);
        assert_string_equal(whole, mended);
    }
}

// The check must refuse, with these words, and leave every byte as it is.
static void expect_refusal(fixture *f, const ts_sweep *sweep, const char *backend, const char *words) {
    char before[TS_SHA256_HEX], after[TS_SHA256_HEX];
    int64_t damaged;
    digest_of(f->path, before);
    ts_status status = ts_check_results(f->path, sweep, LAYOUTS(f), backend, true, f->status, &damaged);
    if (status != TS_ERROR_FATAL || !strstr(ts_message(), words))
        fail_msg("status %d, '%s', where '%s' was to be said", (int)status, ts_message(), words);
    digest_of(f->path, after);
    assert_string_equal(before, after);
}

static void test_another_sweep_is_refused(void **state) {
    fixture *f = *state;
    create(f);
    char text[sizeof SWEEP + 32];
    snprintf(text, sizeof text, "%s", SWEEP);
    memcpy(strstr(text, "small"), "other", 5);
    ts_sweep *renamed = read_sweep(text);
    expect_refusal(f, renamed, "reference", "made by the sweep 'small', not by 'other'");
    ts_sweep_free(renamed);
    snprintf(text, sizeof text, "%s", SWEEP);
    memcpy(strstr(text, "0..2"), "0..3", 4);
    ts_sweep *grown = read_sweep(text);
    expect_refusal(f, grown, "reference", "it had 18 instances then, and has 24 now");
    ts_sweep_free(grown);
}

static void test_another_backend_is_refused(void **state) {
    fixture *f = *state;
    create(f);
    expect_refusal(f, f->sweep, "cpu", "begun with backend 'reference', not 'cpu'");
    char backend[32];
    expect_ok(ts_format_backend(f->path, backend));
    assert_string_equal(backend, "reference");
}

static void put_attribute(const fixture *f, const char *name, const char *text, int32_t number) {
    ts_h5 h5;
    ts_h5_open(&h5, f->path, true);
    expect_ok(h5.status);
    assert_true(H5Adelete(h5.file, name) >= 0);
    if (text)
        ts_h5_put_text(&h5, h5.file, name, text);
    else
        ts_h5_put_int32(&h5, h5.file, name, number);
    expect_ok(ts_h5_end(&h5));
}

static void test_another_version_or_format_is_refused(void **state) {
    fixture *f = *state;
    create(f);
    put_attribute(f, "version", "0.0.0", 0);
    expect_refusal(f, f->sweep, "reference", "made by toysweep 0.0.0, this is toysweep " TOYSWEEP_VERSION);
    put_attribute(f, "format", NULL, 2);
    expect_refusal(f, f->sweep, "reference", "has format 2");
    put_attribute(f, "program", "another", 0);
    expect_refusal(f, f->sweep, "reference", "not a results file of toysweep");
}

static void test_truncated_and_foreign_files_are_refused(void **state) {
    fixture *f = *state;
    create(f);
    struct stat information;
    assert_int_equal(stat(f->path, &information), 0);
    for (int part = 3; part >= 0; part--) {
        assert_int_equal(truncate(f->path, information.st_size * part / 4), 0);
        expect_refusal(f, f->sweep, "reference", part ? "truncated" : "no HDF5 signature");
    }
    expect_ok(ts_file_write_durably(f->path, "name: not HDF5\n", 15));
    expect_refusal(f, f->sweep, "reference", "no HDF5 signature");
    ts_reader *reader;
    assert_int_equal(ts_reader_open(f->path, &reader), TS_ERROR_FATAL);
}

// Every byte of the superblock and of the first object headers, and many others: refused, or a row put back; never a
// crash, and a refused file is not touched.
static void test_flipped_bytes_anywhere_are_noticed(void **state) {
    fixture *f = *state;
    create(f);
    commit_everything(f);
    struct stat information;
    assert_int_equal(stat(f->path, &information), 0);
    char *bytes, before[TS_SHA256_HEX], after[TS_SHA256_HEX];
    size_t size;
    expect_ok(ts_file_read(f->path, FILE_LIMIT, &bytes, &size));
    int refused = 0;
    for (int64_t at = 0; at < (int64_t)size; at += at < 512 ? 1 : 61) {
        flip(f, at, (unsigned char)(1 << at % 8));
        digest_of(f->path, before);
        int64_t damaged;
        ts_status status =
            ts_check_results(f->path, f->sweep, LAYOUTS(f), "reference", false, f->status, &damaged);
        digest_of(f->path, after);
        refused += status != TS_OK;
        if (status != TS_OK && strcmp(before, after) != 0)
            fail_msg("byte %lld: refused (%s), but changed", (long long)at, ts_message());
        if (at < 48 && status != TS_ERROR_FATAL)
            fail_msg("byte %lld of the superblock: not refused", (long long)at);
        if (status == TS_OK && damaged == 0 && count_status(f, TS_ROW_PENDING) == 0)
            fail_msg("byte %lld: nothing was noticed", (long long)at);
        if (damaged == 0) {
            flip(f, at, (unsigned char)(1 << at % 8));
        } else {
            FILE *file = fopen(f->path, "r+b");
            assert_int_equal(fwrite(bytes, 1, size, file), size);
            assert_int_equal(fclose(file), 0);
        }
    }
    assert_true(refused > 100);
    ts_free(bytes);
}

// --- Faults of creation and transfer ---

static void test_missing_directory_is_named(void **state) {
    fixture *f = *state;
    ts_status status = ts_results_create("/tmp/no/such/place/x.h5", f->sweep, LAYOUTS(f), "reference");
    assert_int_equal(status, TS_ERROR_FATAL);
    if (!strstr(ts_message(), "there is no directory '/tmp/no/such/place/'"))
        fail_msg("%s", ts_message());
}

static void test_forbidden_directory_is_named(void **state) {
    fixture *f = *state;
    if (geteuid() == 0)
        skip(); // may write everywhere
    assert_int_equal(chmod(f->directory, 0500), 0);
    ts_status status = ts_results_create(f->path, f->sweep, LAYOUTS(f), "reference");
    assert_int_equal(chmod(f->directory, 0700), 0);
    assert_int_equal(status, TS_ERROR_FATAL);
    assert_non_null(strstr(ts_message(), "choose another place"));
}

static void test_nothing_is_left_of_a_failed_creation(void **state) {
    fixture *f = *state;
    char temporary[160];
    snprintf(temporary, sizeof temporary, "%s.tmp", f->path);
    assert_int_equal(mkdir(f->path, 0777), 0); // in the way of the rename
    assert_int_equal(ts_results_create(f->path, f->sweep, LAYOUTS(f), "reference"), TS_ERROR_FATAL);
    assert_int_equal(rmdir(f->path), 0);
    assert_false(ts_path_exists(temporary));
}

static void test_small_transfers_write_the_same(void **state) {
    fixture *f = *state;
    int32_t values[4 * 3 * 5 * 2], found[4 * 3 * 5 * 2] = {0};
    ts_h5_form form = {.type = TS_H5_INT32, .rank = 4, .size = {4, 3, 5, 2}};
    for (int i = 0; i < 120; i++)
        values[i] = i + 1;
    for (size_t limit = 4; limit <= 600; limit += 12) {
        ts_h5 h5;
        ts_h5_create(&h5, f->path);
        h5.limit = limit;
        hid_t dataset = ts_h5_create_dataset(&h5, h5.file, "cube", &form);
        ts_h5_write(&h5, dataset, &form, 0, 1, values);
        ts_h5_write(&h5, dataset, &form, 1, 3, values + 30);
        memset(found, 0, sizeof found);
        ts_h5_read(&h5, dataset, &form, 0, 4, found);
        ts_h5_close(&h5, dataset);
        expect_ok(ts_h5_end(&h5));
        assert_memory_equal(values, found, sizeof values);
    }
}

#define PROMISE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(test_equal_inputs_give_equal_bytes),
        PROMISE(test_size_is_known_before),
        PROMISE(test_new_file_is_all_pending),
        PROMISE(test_every_field_of_every_row_reads_back),
        PROMISE(test_reader_works_during_a_run),
        PROMISE(test_reader_gives_attributes_cases_parameters_and_weights),
        PROMISE(test_failed_rows_stay_until_retried),
        PROMISE(test_damaged_rows_go_back_to_pending),
        PROMISE(test_another_sweep_is_refused),
        PROMISE(test_another_backend_is_refused),
        PROMISE(test_another_version_or_format_is_refused),
        PROMISE(test_truncated_and_foreign_files_are_refused),
        PROMISE(test_flipped_bytes_anywhere_are_noticed),
        PROMISE(test_missing_directory_is_named),
        PROMISE(test_forbidden_directory_is_named),
        PROMISE(test_nothing_is_left_of_a_failed_creation),
        PROMISE(test_small_transfers_write_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
