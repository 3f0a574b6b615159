// The results file: made the same from the same, keeps what was committed, can be read while it is written.
#define _POSIX_C_SOURCE 200809L
#include "hdf5/hdf5.h"
#include "hdf5/shared_file.h"
#include "results/format.h"
#include "results/stored_weights.h"
#include "support_results.h"

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
    expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
    for (int c = 0; c < f->cases; c++)
        for (int64_t row = ts_sweep_case(f->sweep, c)->rows - 1; row >= 0; row--)
            commit_rows(f, store, c, row, 1, TS_ROW_DONE);
    expect_ok(ts_store_close(store));
    digest_of(f->path, second);
    assert_string_equal(first, second);
}

static void test_an_open_file_says_of_which_sweep_it_is(void **state) {
    fixture *f = *state;
    uint8_t expected[TS_SHA256_BYTES], got[TS_SHA256_BYTES];
    create(f);
    ts_store *store;
    expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
    expect_ok(ts_sweep_digest(f->sweep, expected));
    ts_store_sweep(store, got);
    assert_memory_equal(got, expected, sizeof got);
    expect_ok(ts_store_close(store));
}

static void test_size_is_known_before(void **state) {
    fixture *f = *state;
    create(f);
    struct stat information;
    assert_int_equal(stat(f->path, &information), 0);
    int64_t datasets, expected = ts_results_size(f->sweep, LAYOUTS(f), &datasets);
    if (expected < information.st_size || (double)expected > 1.1 * (double)information.st_size + 32768)
        fail_msg("expected about %lld bytes, it has %lld", (long long)expected, (long long)information.st_size);
}

static void test_new_file_is_all_pending(void **state) {
    fixture *f = *state;
    create(f);
    assert_int_equal(check(f, false), 0);
    assert_int_equal(count_status(f, TS_ROW_PENDING), f->instances);
}

static void expect_field(ts_h5 *h5, const fixture *f, int c, int64_t row, const ts_field *field, hid_t dataset) {
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
            fail_msg("case %d, row %lld, '%s', byte %zu: %g, not %g", c, (long long)row, field->name, b, found,
                     expected);
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
    expect_ok(ts_store_open(f->path, &alone, io, f->sweep, LAYOUTS(f), &store));
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
    static ts_stored_weights weights;
    expect_ok(ts_stored_weights_read(f->path, reader, 3, TS_STORED_END, &weights));
    int c = ts_sweep_case_of(f->sweep, 3), seen = 0;
    int64_t row_of_3 = 0;
    while (ts_sweep_case(f->sweep, c)->instance[row_of_3] != 3)
        row_of_3++;
    for (int k = 0; k < f->layout[c]->count; k++) {
        const ts_field *field = &f->layout[c]->field[k]; // [step, ...]: the step at which it ended is asked for
        if (field->place != TS_FIELD_WEIGHTS)
            continue;
        assert_true(seen < weights.count);
        const ts_stored_tensor *tensor = &weights.tensor[seen++];
        assert_string_equal(tensor->name, field->name);
        assert_int_equal(tensor->rank, field->rank - 1);
        size_t bytes = field->bytes / (size_t)field->size[0];
        float first = value_at(3, field->offset + (size_t)checkpoint_of(row_of_3) * bytes);
        if (tensor->data[0] != first)
            fail_msg("'%s': %g, not %g", tensor->name, (double)tensor->data[0], (double)first);
    }
    assert_int_equal(seen, weights.count);
    ts_stored_weights_free(&weights);
    assert_int_equal(ts_stored_weights_read(f->path, reader, f->instances, TS_STORED_END, &weights), TS_ERROR_USER);
    ts_stored_weights_free(&weights);
    ts_reader_close(reader);
}

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
    assert_int_equal(chmod(folder, 0500), 0);
    ts_status status = ts_results_create(f->path, f->sweep, LAYOUTS(f), "reference");
    assert_int_equal(chmod(folder, 0700), 0);
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

enum { LISTED = 40000 };

// Every third row, a run, and two far away, through HDF5 or past it, by one process or as one of two.
static void write_items(const char *name, int ranks, int64_t *expected) {
    ts_h5 h5;
    ts_h5_form form = {.type = TS_H5_INT64, .rank = 1, .size = {LISTED}};
    const ts_comm comm = {.size = ranks, .node_size = 1};
    ts_shared_file *file = NULL;
    static int64_t row[12000], value[12000];
    int64_t count = 0;
    for (int64_t r = 5; r<30000; r += r> 6000 && r < 6100 ? 1 : 3)
        row[count++] = r;
    row[count++] = 35000;
    row[count++] = LISTED - 1;
    for (int64_t i = 0; i < count; i++)
        expected[row[i]] = value[i] = 1000 * ranks + i;
    ts_h5_open(&h5, name, ranks == 0);
    if (ranks > 0)
        expect_ok(ts_shared_file_open(name, &comm, &file));
    h5.direct = file;
    hid_t dataset = ts_h5_open_dataset(&h5, h5.file, "list");
    ts_h5_write_items(&h5, dataset, &form, row, count, value);
    ts_h5_write_items(&h5, dataset, &form, row, 0, value);
    ts_h5_close(&h5, dataset);
    expect_ok(ts_h5_end(&h5));
    ts_shared_file_close(file);
}

static void test_items_here_and_there_leave_what_lies_between(void **state) {
    fixture *f = *state;
    ts_h5 h5;
    ts_h5_form form = {.type = TS_H5_INT64, .rank = 1, .size = {LISTED}};
    static int64_t expected[LISTED], found[LISTED];
    for (int64_t i = 0; i < LISTED; i++)
        expected[i] = -i;
    ts_h5_create(&h5, f->path);
    hid_t dataset = ts_h5_create_dataset(&h5, h5.file, "list", &form);
    ts_h5_write(&h5, dataset, &form, 0, LISTED, expected);
    ts_h5_close(&h5, dataset);
    expect_ok(ts_h5_end(&h5));
    for (int ranks = 0; ranks <= 2; ranks++) {
        write_items(f->path, ranks, expected);
        ts_h5_open(&h5, f->path, false);
        dataset = ts_h5_open_dataset(&h5, h5.file, "list");
        ts_h5_read(&h5, dataset, &form, 0, LISTED, found);
        ts_h5_close(&h5, dataset);
        expect_ok(ts_h5_end(&h5));
        assert_memory_equal(found, expected, sizeof found);
    }
}

static int all(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(test_equal_inputs_give_equal_bytes),
        PROMISE(test_an_open_file_says_of_which_sweep_it_is),
        PROMISE(test_size_is_known_before),
        PROMISE(test_new_file_is_all_pending),
        PROMISE(test_every_field_of_every_row_reads_back),
        PROMISE(test_reader_works_during_a_run),
        PROMISE(test_reader_gives_attributes_cases_parameters_and_weights),
        PROMISE(test_missing_directory_is_named),
        PROMISE(test_forbidden_directory_is_named),
        PROMISE(test_nothing_is_left_of_a_failed_creation),
        PROMISE(test_small_transfers_write_the_same),
        PROMISE(test_items_here_and_there_leave_what_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv) {
    return run_with_io(argc, argv, all);
}
