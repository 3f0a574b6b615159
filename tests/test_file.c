// Files: what is read is a file of data, nothing waits, what a file system lacks is done without, faults name a cure.
#define _GNU_SOURCE
#include "base/file.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE = 200 }; // seconds; nothing here takes one

static char directory[64];

static int set_up(void **unused) {
    (void)unused;
    snprintf(directory, sizeof directory, "/tmp/toysweep-file-XXXXXX");
    alarm(PATIENCE); // what waits is ended
    return mkdtemp(directory) ? chdir(directory) : -1;
}

static int tear_down(void **unused) {
    (void)unused;
    static const char *const names[] = {"file", "pipe", "socket", "link"};
    for (int i = 0; i < 4; i++)
        unlink(names[i]);
    return chdir("/") == 0 ? rmdir(directory) : -1;
}

static void make_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(address.sun_path, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

TEST(test_what_is_no_file_of_data_is_refused_without_waiting) {
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(symlink("pipe", "link"), 0);
    make_socket("socket");
    static const char *const paths[] = {".",
                                        "/",
                                        "pipe",
                                        "link",
                                        "socket",
                                        "/dev/null",
                                        "/dev/zero",
                                        "/dev/tty",
                                        "/proc/kmsg",
                                        "/proc/uptime",
                                        "/proc/self",
                                        "/sys/kernel/mm/transparent_hugepage/enabled",
                                        "/dev/ptmx",
                                        "/dev/full",
                                        "/proc/self/mem"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *bytes;
        size_t size;
        int fd;
        if (access(paths[i], F_OK) != 0)
            continue; // a container may lack some
        assert_int_equal(ts_file_open_input(paths[i], TS_ERROR_FATAL, &fd), TS_ERROR_FATAL);
        assert_int_equal(fd, -1);
        if (!strstr(ts_message(), paths[i]))
            fail_msg("%s: %s", paths[i], ts_message());
        assert_int_equal(ts_file_read(paths[i], 1000, &bytes, &size), TS_ERROR_USER);
        assert_int_equal(ts_file_read_or_pipe(paths[i], 1000, &bytes, &size), TS_ERROR_USER);
    }
}

TEST(test_a_file_is_read_whole_and_so_is_a_shells_pipe) {
    char *bytes, path[32];
    size_t size;
    int ends[2];
    assert_int_equal(ts_file_write_durably("file", "content", 7), TS_OK);
    assert_int_equal(ts_file_read("file", 7, &bytes, &size), TS_OK);
    assert_string_equal(bytes, "content");
    ts_free(bytes);
    assert_int_equal(ts_file_read("file", 6, &bytes, &size), TS_ERROR_USER);
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(ts_file_write_all(ends[1], "through", 7), 0);
    close(ends[1]);
    assert_int_equal(ts_file_read(path, 7, &bytes, &size), TS_ERROR_USER); // not every reader may
    assert_int_equal(ts_file_read_or_pipe(path, 7, &bytes, &size), TS_OK);
    assert_string_equal(bytes, "through");
    ts_free(bytes);
    close(ends[0]);
}

TEST(test_a_directory_that_may_not_be_read_is_no_fault) {
    // Root may read any directory; as somebody else it is tried in tests/e2e/test_places.py.
    assert_int_equal(ts_file_sync_directory("file"), TS_OK);
    assert_int_equal(ts_file_sync_directory("nowhere/file"), TS_ERROR_FATAL);
}

TEST(test_not_supported_is_known_by_all_its_names) {
    static const int lacking[] = {EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, ENOTTY, 524};
    static const int faults[] = {0, EIO, ENOSPC, EDQUOT, EROFS, EACCES, EINTR, EBADF, ENOLCK};
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
        assert_true(ts_file_not_supported(lacking[i]));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        assert_false(ts_file_not_supported(faults[i]));
}

TEST(test_faults_name_their_cure) {
    static const struct {
        int error;
        const char *cure;
    } cures[] = {
        {EFBIG, "ulimit -f"}, {EMFILE, "ulimit -n"}, {ENOSPC, "free some space"},      {EDQUOT, "quota"},
        {EROFS, "-o"},        {EIO, "disk"},         {ENFILE, "close other programs"}, {ENOMEM, "free some memory"},
        {ESTALE, "server"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof *cures; i++) {
        ts_fail_errno(TS_ERROR_FATAL, cures[i].error, "cannot write %s", "file");
        if (!strstr(ts_message(), cures[i].cure) || strncmp(ts_message(), "cannot write file: ", 19) != 0)
            fail_msg("'%s' lacks '%s'", ts_message(), cures[i].cure);
    }
}

TEST(test_too_many_open_files_are_a_message) {
    struct rlimit before, none = {0};
    char *bytes;
    size_t size;
    assert_int_equal(ts_file_write_durably("file", "content", 7), TS_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ts_status status = ts_file_read("file", 7, &bytes, &size);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, TS_ERROR_USER);
    assert_non_null(strstr(ts_message(), "ulimit -n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(test_what_is_no_file_of_data_is_refused_without_waiting),
        PROMISE(test_a_file_is_read_whole_and_so_is_a_shells_pipe),
        PROMISE(test_a_directory_that_may_not_be_read_is_no_fault),
        PROMISE(test_not_supported_is_known_by_all_its_names),
        PROMISE(test_faults_name_their_cure),
        PROMISE(test_too_many_open_files_are_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
