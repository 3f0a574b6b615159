// Which way of writing a run takes, and what it says of it.
#include "results/io.h"
#include "support_cmocka.h"

#include <stdlib.h>
#include <string.h>

static const ts_comm alone = {.size = 1, .node_size = 1};

static void expect_choice(ts_io_way asked, ts_io_way way, const char *reason) {
    ts_io io;
    assert_int_equal(ts_io_choose(asked, &alone, "/tmp", &io), TS_OK);
    if (io.way != way || strcmp(io.reason, reason) != 0)
        fail_msg("%s because of '%s', not %s because of '%s'", ts_io_names[io.way], io.reason, ts_io_names[way],
                 reason);
}

static void test_one_process_writes_by_itself(void **state) {
    (void)state;
    expect_choice(TS_IO_AUTO, TS_IO_POSIX, "one process");
    expect_choice(TS_IO_POSIX, TS_IO_POSIX, "asked for");
}

static void test_mpio_without_mpi_is_refused_with_a_cure(void **state) {
    (void)state;
    assert_int_equal(ts_io_check(TS_IO_AUTO, &alone), TS_OK);
    assert_int_equal(ts_io_check(TS_IO_POSIX, &alone), TS_OK);
    assert_int_equal(ts_io_check(TS_IO_MPIO, &alone), TS_ERROR_USER);
    assert_non_null(strstr(ts_message(), "--io mpio"));
    assert_non_null(strstr(ts_message(), "leave the option out"));
}

static void test_places_where_mpi_leans_on_locks_or_caches(void **state) {
    (void)state;
    static const struct {
        unsigned long kind; // what statfs says
        const char *name;
        bool leans;
    } places[] = {
        {0x6969, "NFS", true},
        {0x65735546, "FUSE", true},
        {0xff534d42, "SMB", true},
        {0xfe534d42, "SMB", true},
        {0x01021997, "9P", true},
        {0xef53, "ext4", false},
        {0x01021994, "tmpfs", false},
        {0x794c7630, "overlay", false},
        {0x0bd00bd0, "Lustre", false},
        {0x47504653, "GPFS", false},
        {1, "a file system of another kind", false},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        bool leans;
        assert_string_equal(ts_io_file_system(places[i].kind, &leans), places[i].name);
        assert_int_equal(leans, places[i].leans);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_process_writes_by_itself),
        cmocka_unit_test(test_mpio_without_mpi_is_refused_with_a_cure),
        cmocka_unit_test(test_places_where_mpi_leans_on_locks_or_caches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
