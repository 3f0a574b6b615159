// Files that hold tables or element orders: what is read, what is refused, and how they enter identities.
#define _POSIX_C_SOURCE 200809L
#include "support_tables.h"

TEST(test_groups_from_files_are_recognised) {
    // Q8: 1, -1, i, -i, j, -j, k, -k.
    ts_data *q8 = cayley_of("0,1,2,3,4,5,6,7\n1,0,3,2,5,4,7,6\n2,3,1,0,6,7,5,4\n3,2,0,1,7,6,4,5\n"
                            "4,5,7,6,1,0,2,3\n5,4,6,7,0,1,3,2\n6,7,4,5,3,2,1,0\n7,6,5,4,2,3,0,1\n");
    assert_true(q8->table->group);
    assert_false(q8->table->abelian);
    assert_int_equal(q8->table->family, 0);
    assert_int_equal(elements_of_order(q8->table, 2), 1);
    assert_int_equal(elements_of_order(q8->table, 4), 6);
    ts_data_free(q8);

    // The group of order 21 that is not abelian: (i, j) = 3 i + j, (i, j) (k, l) = (i + 2^j k mod 7, j + l
    // mod 3).
    ts_text csv = {0};
    for (int a = 0; a < 21; a++)
        for (int b = 0; b < 21; b++)
            ts_text_addf(&csv, "%d%s", 3 * ((a / 3 + (1 << a % 3) * (b / 3)) % 7) + (a % 3 + b % 3) % 3,
                         b < 20 ? ", " : "\r\n");
    ts_data *f21 = cayley_of(ts_text_get(&csv));
    assert_true(f21->table->group);
    assert_false(f21->table->abelian);
    assert_int_equal(elements_of_order(f21->table, 3), 14);
    assert_int_equal(elements_of_order(f21->table, 7), 6);
    ts_data_free(f21);
    ts_text_free(&csv);
}

TEST(test_malformed_tables_are_refused) {
    static const struct {
        const char *content, *error;
    } REFUSED[] = {
        {"", "table.csv has 0 rows; a table has 1 to 1024"},
        {" \n\r\n\t\n", "table.csv has 0 rows"},
        {"0,1\n1\n", "table.csv, line 2: it has 1 entries; a table of 2 rows has 2 in each"},
        {"0,1\n1,0\n0,1\n", "line 1: it has 2 entries; a table of 3 rows has 3 in each"},
        {"0,1\n\n1,0,1\n", "line 3: it has 3 entries"},
        {"0,1\n1,2\n", "line 2, column 3: entry 2, '2', is not one of 0 to 1 (a table of 2 rows; counted from 0)"},
        {"0,1\n1,-1\n", "line 2, column 3: entry 2, '-1', is not one of 0 to 1"},
        {"0,1\n1,,0\n", "line 2, column 3: entry 2, '', is not one of 0 to 1"},
        {"0,1.5\n1,0\n", "line 1, column 3: entry 2, '1.5', is not one of 0 to 1"},
        {"0,1e-400\n1,0\n", "line 1, column 3: entry 2, '1e-400', is not one of 0 to 1"},
        {"0 1,2\n1 2,0\n2 0,1\n", "line 1, column 4: numbers are separated in two ways"},
        {"0,1;1,0\n", "line 1, column 4: numbers are separated in two ways"},
        {"1,2,3\n2,3,1\n3,1,0\n", "line 1, column 5: entry 3, '3', is not one of 0 to 2"},
        {"1,1\n1,2,\n1,1", "line 1: it has 2 entries; a table of 3 rows"},
        {"[[0, 1], [1, 2]]", "line 1, column 14: entry 2 of a row, '2', is not one of 0 to 1"},
        {"[[0, 1], [1]]", "line 1, row 2: it has 1 entries; a table of 2 rows has 2 in each"},
        {"[[0, 1], [1, 0]", "line 1, column 16: a bracket is not closed"},
        {"[[0, 1], [1, 0]]]", "line 1, column 17: a bracket has no partner"},
        {"[[0, 1], []]", "line 1, column 11: a list is empty"},
        {"[[0, 1], 1, 0]", "line 1, column 10: a number stands outside of the lists that are rows"},
        {"[0, [1]]", "line 1, column 5: a list stands within a row"},
        {"\"0\",\"1\n1,0\n", "line 1, column 5: a quotation mark is not closed"},
        {"0,\xc3\xa9\n1,0\n", "line 1, column 3: entry 2, '\xc3\xa9', is not one of 0 to 1"},
        {"0,1,2\n0,1,2\n1,2,0\n2,0,1\n", "line 1: it has 3 entries; a table of 4 rows has 4 in each "
                                         "(headings of rows or columns are to be left out)"},
        {"a,b\n0,1\n", "line 1, column 1: entry 1, 'a', is not one of 0 to 1"},
        {"0,99999999999999999999999999999999999999\n1,0\n", "entry 2, '9999999999999999999999999999...', is not"},
    };
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        char error[256];
        write_file("table.csv", REFUSED[i].content);
        expect_refused("task: cayley\ncayley: table.csv\n", REFUSED[i].error);
        snprintf(error, sizeof error, "%s:2: key 'cayley': ", sweep_file);
        expect_refused("task: cayley\ncayley: table.csv\n", error);
    }
}

TEST(test_a_table_may_end_anyhow) {
    static const char *const SAME[] = {"0,1\n1,0", "0,1\n1,0\n", "0,1,\r\n1,0,\r\n\r\n", "\n 0 ,1\n1, 0 \n"};
    for (int i = 0; i < 4; i++) {
        ts_data *data = cayley_of(SAME[i]);
        assert_int_equal(data->table->n, 2);
        assert_true(data->table->group);
        ts_data_free(data);
    }
}

// Empty cells, as spreadsheets leave them by the million: each is looked at once.
TEST(test_separators_without_end_take_no_time) {
    enum { MOST = 3000000 };
    static const char *const PATTERN[] = {",", ";", ", ", ",\n"};
    char *content = ts_alloc(MOST + 64, "a table");
    for (int i = 0; i < 4; i++)
        for (int lists = 0; lists < 2; lists++) {
            size_t each = strlen(PATTERN[i]);
            char *at = content + sprintf(content, lists ? "[[0%c1],[1%c0" : "0%c1\n1%c0", *PATTERN[i], *PATTERN[i]);
            for (size_t k = 0; k < MOST / each; k++, at += each)
                memcpy(at, PATTERN[i], each);
            strcpy(at, lists ? "]]" : "\n");
            ts_data *data = cayley_of(content);
            assert_int_equal(data->table->n, 2);
            ts_data_free(data);
        }
    ts_free(content);
}

// As people and programs write the cyclic group of order 3.
TEST(test_tables_of_other_programs_are_read) {
    static const char *const SAME[] = {
        "\357\273\2770,1,2\n1,2,0\n2,0,1\n",
        "0;1;2\n1;2;0\n2;0;1\n",
        "0\t1\t2\r\n1\t2\t0\r\n2\t0\t1\r\n",
        "0 1 2\n  1  2 0\n2 0 1 \n",
        "\"0\",\"1\",\"2\"\n\"1\",\"2\",\"0\"\n\"2\",\"0\",\"1\"\n",
        "'0' '1' '2'\n'1' '2' '0'\n' 2 ' '0' '1'\n",
        "0.0,1.0,2.\n1,2,0\n2,0,1\n",
        "0.000e+00 1.000e+00 2.000e+00\n1.000e+00 2.000e+00 0.000e+00\n2.000e+00 0.000e+00 1.000e+00\n",
        "1,2,3\n2,3,1\n3,1,2\n",
        "# numpy.savetxt, delimiter ','\n0,1,2 # first\n\n#\n1,2,0\n2,0,1",
        "0,1,2,,,\n1,2,0,,,\n2,0,1,,,\n,,,,,\n",
        "[ [ 1, 2, 3 ], [ 2, 3, 1 ], [ 3, 1, 2 ] ]\n",
        "t := [ [ 1, 2, 3 ],\n  [ 2, 3, 1 ],\n  [ 3, 1, 2 ] ];\n",
        "return [ [ 1, 2, 3 ],\n  [ 2, 3, 1 ],\n  [ 3, 1, 2 ] ];\n",
        "# GAP\nreturn\n[ [ 1, 2, 3 ], [ 2, 3, 1 ], [ 3, 1, 2 ] ];",
        "0 1 2\r1 2 0\r2 0 1\r",
        "# old\r0,1,2,\r1,2,0 # Mac\r\r2,0,1",
        "[[0, 1, 2],\r [1, 2, 0], # two\r [2, 0, 1]]\r",
        "[[0, 1, 2], [1, 2, 0], [2, 0, 1]]",
        "table = [[0, 1, 2],\n         [1, 2, 0], # two\n         [2, 0, 1],]\n",
        "[[0 1 2]\n [1 2 0]\n [2 0 1]]\n",
        "array([[0, 1, 2],\n       [1, 2, 0],\n       [2, 0, 1]])\n",
        "[(0, 1, 2), (1, 2, 0), (2, 0, 1)]\n",
        "{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}}\n",
        "[0, 1, 2]\n[1, 2, 0]\n[2, 0, 1]\n",
    };
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        ts_data *data = cayley_of(SAME[i]);
        if (data->table->n != 3)
            fail_msg("%s\nhas %d elements, expected 3", SAME[i], data->table->n);
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                if (product(data->table, a, b) != (a + b) % 3)
                    fail_msg("%s\nentry (%d, %d) is %d, expected %d", SAME[i], a, b, product(data->table, a, b),
                             (a + b) % 3);
        ts_data_free(data);
    }
    ts_data *one = cayley_of("1\n");
    assert_int_equal(product(one->table, 0, 0), 0);
    ts_data_free(one);
    // Without a 2, counted from 0: nothing but a file with all of 1 to n is counted from 1.
    ts_data *constant = cayley_of("1,1\n1,1\n");
    assert_int_equal(product(constant->table, 0, 0), 1);
    ts_data_free(constant);
}

TEST(test_orders_of_other_programs_are_read) {
    static const char *const SAME[] = {
        "\357\273\2770 1 2\n0 2 1\n1 0 2\n1 2 0\n2 0 1\n2 1 0\n",
        "0,1,2\n0,2,1\n1,0,2\n1,2,0\n2,0,1\n2,1,0\n",
        "1 2 3\n1 3 2\n2 1 3\n2 3 1\n3 1 2\n3 2 1\n",
        "[(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]\n",
        "[ [ 1, 2, 3 ], [ 1, 3, 2 ], [ 2, 1, 3 ],\n  [ 2, 3, 1 ], [ 3, 1, 2 ], [ 3, 2, 1 ] ]\n",
        "0.0 1.0 2.0\n0.0 2.0 1.0\n1.0 0.0 2.0\n1.0 2.0 0.0\n2.0 0.0 1.0\n2.0 1.0 0.0\n",
    };
    ts_data *listed = group_of("S3");
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        write_file("order.txt", SAME[i]);
        ts_data *data = table_of("task: group\ngroup: S3\nelement_order: order.txt\ntrain_fraction: 0.5\n");
        assert_memory_equal(data->table->result, listed->table->result, 36 * sizeof(int));
        ts_data_free(data);
    }
    ts_data_free(listed);
}

TEST(test_files_that_cannot_be_read_are_refused) {
    char path[128], error[256];
    path_of("missing.csv", path);
    snprintf(error, sizeof error, "%s:2: key 'cayley': cannot open %s: No such file or directory; give a readable file",
             sweep_file, path);
    expect_refused("task: cayley\ncayley: missing.csv\n", error);
    expect_refused("task: cayley\ncayley: .\n", "is not a regular file");
    path_of("fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused("task: cayley\ncayley: fifo\n", "is not a regular file");
    expect_refused("task: cayley\ncayley: ''\n", "key 'cayley': has no value; give the path of a file");
    expect_refused("task: cayley\ncayley:\n", "key 'cayley': has no value; give the path of a file");
    expect_refused("task: cayley\ncayley: {a: b}\n", "key 'cayley': must be the path of a file");
    expect_refused("task: cayley\ncayley: \"a\\tb\"\n", "'a\\tb' is no path");
    expect_refused("task: group\ngroup: S3\nelement_order: [missing.csv, '']\n", "cannot open");
    path_of("big.csv", path);
    write_file("big.csv", "0");
    assert_int_equal(truncate(path, 2), 0);
    expect_refused("task: cayley\ncayley: big.csv\n", "key 'cayley': big.csv is not a text file: it has NUL bytes");
    assert_int_equal(truncate(path, (4 << 20) + 1), 0);
    expect_refused("task: cayley\ncayley: big.csv\n", "is larger than 4096 KiB");
}

static void digest_of(const char *text, uint8_t digest[32]) {
    ts_sweep *sweep = sweep_of(text);
    assert_int_equal(ts_sweep_digest(sweep, digest), TS_OK);
    ts_sweep_free(sweep);
}

TEST(test_files_enter_identities_by_content_only) {
    uint8_t one[32], same[32], other[32], none[32];
    char text[256];
    write_file("order.txt", "0 1 2\n1 2 0\n2 0 1\n");
    write_file("same.txt", "0 1 2\n1 2 0\n2 0 1\n");
    write_file("other.txt", "0 1 2\n2 0 1\n1 2 0\n");
    digest_of("task: group\ngroup: A3\nelement_order: order.txt\n", one);
    snprintf(text, sizeof text, "task: group\ngroup: A3\nelement_order: %s/same.txt\n", directory);
    digest_of(text, same);
    digest_of("task: group\ngroup: A3\nelement_order: other.txt\n", other);
    digest_of("task: group\ngroup: A3\n", none);
    assert_memory_equal(one, same, 32);
    assert_memory_not_equal(one, other, 32);
    assert_memory_not_equal(one, none, 32);
    ts_sweep *left = sweep_of("task: group\ngroup: A3\nelement_order: ['', order.txt, other.txt]\n"
                              "exclude: [{element_order: same.txt}]\n");
    assert_int_equal(ts_sweep_instances(left), 2);
    ts_sweep_free(left);
    expect_refused("task: group\ngroup: A3\nelement_order: [order.txt, same.txt]\n", "instances 0 and 1 are the same");
}

TEST(test_files_given_with_the_source_take_the_place_of_paths) {
    static const char TEXT[] = "task: cayley\ncayley: [table.csv, other.txt]\ntrain_fraction: 1\n";
    static const char CYCLIC[] = "0,1,2\n1,2,0\n2,0,1\n", LOOP[] = "0,1,2\n1,2,0\n2,1,0\n";
    const ts_sweep_file given[] = {{"other.txt", LOOP, sizeof LOOP - 1}, {"table.csv", CYCLIC, sizeof CYCLIC - 1}};
    ts_sweep_source source = {
        .file = "elsewhere/test.yaml", .text = TEXT, .bytes = sizeof TEXT - 1, .files = given, .n_files = 2};
    uint8_t read[32], digest[32];
    const ts_file *const *files;
    ts_sweep *sweep;
    write_file("table.csv", CYCLIC);
    write_file("other.txt", LOOP);
    digest_of(TEXT, read);
    assert_int_equal(ts_sweep_read(&source, &sweep), TS_OK);
    ts_sweep_digest(sweep, digest);
    assert_memory_equal(digest, read, sizeof digest);
    assert_int_equal(ts_sweep_files(sweep, &files), 2); // as first named
    assert_string_equal(files[0]->path, "table.csv");
    assert_string_equal(files[1]->path, "other.txt");
    assert_int_equal(files[0]->bytes, sizeof CYCLIC - 1);
    assert_memory_equal(files[1]->content, LOOP, sizeof LOOP);
    ts_sweep_free(sweep);
    source.n_files = 1;
    source.file = sweep_file; // where the other one is; but nothing is read then
    assert_int_equal(ts_sweep_read(&source, &sweep), TS_ERROR_USER);
    assert_non_null(strstr(ts_sweep_errors(), "test.yaml:2: key 'cayley': 'table.csv' is not among"));
}

TEST(test_files_stand_as_their_sha256_in_json) {
    ts_params params;
    ts_text json = {0};
    write_file("table.csv", "0\n");
    ts_sweep *sweep = sweep_of("task: cayley\ncayley: table.csv\ntrain_fraction: 1\n");
    ts_sweep_params(sweep, 0, &params);
    ts_params_json(&params, &json);
    const char *expected = "\"cayley\":\"sha256:9a271f2a916b0b6ee6cecb2426f0b3206ef074578be55d9bc94f6f3fe3ab86aa\"";
    if (!strstr(ts_text_get(&json), expected))
        fail_msg("%s\nlacks %s", ts_text_get(&json), expected);
    ts_text_clear(&json);
    ts_sweep_free(sweep);
    sweep = sweep_of("task: group\ngroup: C5\n");
    ts_sweep_params(sweep, 0, &params);
    ts_params_json(&params, &json);
    assert_non_null(strstr(ts_text_get(&json), "\"element_order\":\"\""));
    ts_text_free(&json);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_from_files_are_recognised),
        cmocka_unit_test(test_malformed_tables_are_refused),
        cmocka_unit_test(test_tables_of_other_programs_are_read),
        cmocka_unit_test(test_orders_of_other_programs_are_read),
        cmocka_unit_test(test_a_table_may_end_anyhow),
        cmocka_unit_test(test_separators_without_end_take_no_time),
        cmocka_unit_test(test_files_that_cannot_be_read_are_refused),
        cmocka_unit_test(test_files_enter_identities_by_content_only),
        cmocka_unit_test(test_files_given_with_the_source_take_the_place_of_paths),
        cmocka_unit_test(test_files_stand_as_their_sha256_in_json),
    };
    return cmocka_run_group_tests_name("groups", tests, set_up, tear_down);
}
