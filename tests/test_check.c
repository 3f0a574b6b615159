// The check of a results file before a run: finds what was damaged, and never touches what belongs to something else.
#define _POSIX_C_SOURCE 200809L
#include "hdf5/hdf5.h"
#include "results/format.h"
#include "results/reader.h"
#include "support_results.h"

static void test_failed_rows_stay_until_retried(void **state) {
    fixture *f = *state;
    create(f);
    char fresh[TS_SHA256_HEX], after[TS_SHA256_HEX];
    digest_of(f->path, fresh);
    ts_store *store;
    expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
    commit_rows(f, store, 0, 1, 1, TS_ROW_FAILED);
    expect_ok(ts_store_close(store));
    assert_int_equal(check(f, false), 0);
    assert_int_equal(count_status(f, TS_ROW_FAILED), 1);
    assert_int_equal(check(f, true), 0);
    assert_int_equal(count_status(f, TS_ROW_PENDING), f->instances);
    digest_of(f->path, after);
    assert_string_equal(fresh, after); // nothing of it is left
}

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
        support_flip(f->path, offset + (weights ? 0 : places[i].offset), i == 0 ? 0x40 : 0x10);
        int64_t damaged = check(f, false);
        if (damaged != 1 || f->status[one->instance[1]] != TS_ROW_PENDING)
            fail_msg("'%s': %lld damaged rows, not 1", places[i].dataset, (long long)damaged);
        assert_int_equal(check(f, false), 0);
        assert_int_equal(count_status(f, TS_ROW_PENDING), 1);
        ts_store *store;
        expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
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

static void test_another_sweep_is_refused(void **state) {
    fixture *f = *state;
    create(f);
    char text[sizeof SWEEP + 32];
    snprintf(text, sizeof text, "%s", SWEEP);
    memcpy(strstr(text, "small"), "other", 5);
    ts_sweep *renamed = support_sweep(text);
    expect_refusal(f, renamed, "reference", "made by the sweep 'small', not by 'other'");
    ts_sweep_free(renamed);
    snprintf(text, sizeof text, "%s", SWEEP);
    memcpy(strstr(text, "0..2"), "0..3", 4);
    ts_sweep *grown = support_sweep(text);
    expect_refusal(f, grown, "reference", "it had 18 instances then, and has 24 now");
    ts_sweep_free(grown);
    snprintf(text, sizeof text, "%slr: 0.002\n", SWEEP); // of the same shape
    ts_sweep *changed = support_sweep(text);
    expect_refusal(f, changed, "reference", "the sweep 'small' has changed since");
    expect_refusal(f, changed, "reference", ", 0.002 now");
    ts_sweep_free(changed);
    put_attribute(f, "sweep_sha256", "0123456789ab", 0); // nothing but this is not the sweep's
    expect_refusal(f, f->sweep, "reference", "(its instances differ; sweep_sha256 0123456789ab... then");
}

static void test_another_backend_is_refused(void **state) {
    fixture *f = *state;
    create(f);
    expect_refusal(f, f->sweep, "cpu", "begun with backend 'reference', not 'cpu'");
    char backend[32];
    expect_ok(ts_format_backend(f->path, backend));
    assert_string_equal(backend, "reference");
}

static void test_another_version_or_format_is_refused(void **state) {
    fixture *f = *state;
    ts_reader *reader;
    create(f);
    put_attribute(f, "format", NULL, TS_FORMAT + 1);
    expect_refusal(f, f->sweep, "reference", "has format");
    assert_int_equal(ts_reader_open(f->path, &reader), TS_ERROR_FATAL);
    put_attribute(f, "format", NULL, TS_FORMAT - 1); // is read, but not continued
    expect_refusal(f, f->sweep, "reference", "has format");
    put_attribute(f, "version", "0.0.0", 0);
    expect_refusal(f, f->sweep, "reference", "made by toysweep 0.0.0, this is toysweep " TOYSWEEP_VERSION);
    expect_ok(ts_reader_open(f->path, &reader));
    ts_reader_close(reader);
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
        support_flip(f->path, at, 1 << at % 8);
        digest_of(f->path, before);
        int64_t damaged;
        ts_status status = ts_check_results(f->path, f->sweep, LAYOUTS(f), "reference", false, f->status, &damaged);
        digest_of(f->path, after);
        refused += status != TS_OK;
        if (status != TS_OK && strcmp(before, after) != 0)
            fail_msg("byte %lld: refused (%s), but changed", (long long)at, ts_message());
        if (at < 48 && status != TS_ERROR_FATAL)
            fail_msg("byte %lld of the superblock: not refused", (long long)at);
        if (status == TS_OK && damaged == 0 && count_status(f, TS_ROW_PENDING) == 0)
            fail_msg("byte %lld: nothing was noticed", (long long)at);
        if (damaged == 0) {
            support_flip(f->path, at, 1 << at % 8);
        } else {
            FILE *file = fopen(f->path, "r+b");
            assert_int_equal(fwrite(bytes, 1, size, file), size);
            assert_int_equal(fclose(file), 0);
        }
    }
    assert_true(refused > 100);
    ts_free(bytes);
}

static int all(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(test_failed_rows_stay_until_retried),
        PROMISE(test_damaged_rows_go_back_to_pending),
        PROMISE(test_another_sweep_is_refused),
        PROMISE(test_another_backend_is_refused),
        PROMISE(test_another_version_or_format_is_refused),
        PROMISE(test_truncated_and_foreign_files_are_refused),
        PROMISE(test_flipped_bytes_anywhere_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv) {
    return run_with_io(argc, argv, all);
}
