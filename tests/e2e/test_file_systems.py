"""File systems that cannot do all, or do it piece by piece: the same file all the same. A library loaded before the C
library's stands in for them."""

import errno
import os
import shutil
import subprocess

from support import Case, is_sanitized, long_sweep, main, sha256

SWEEP = """\
name: small
task: tree
steps: 300
save: final
instances: 2
grid:
  depth: [2, 3]
  hidden: [2, 4]
"""

# Environment: LACKS=ERRNO, what locking, reserving and syncing a directory fail with; PIECES=1, every transfer of more
# than a byte is done by half and every second call is interrupted.
LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lacks(void) {
    const char *text = getenv("LACKS");
    return text ? atoi(text) : 0;
}

static int is_interrupted(void) {
    static atomic_int calls;
    return getenv("PIECES") && atomic_fetch_add(&calls, 1) % 2;
}

static size_t piece(size_t size) {
    return getenv("PIECES") && size > 1 ? size / 2 : size;
}

static int fails_with(int error) {
    errno = error;
    return -1;
}

#define CALL(...) (is_interrupted() ? fails_with(EINTR) : syscall(__VA_ARGS__))

static int is_file(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    return is_file(fd) ? CALL(SYS_write, fd, bytes, piece(size)) : syscall(SYS_write, fd, bytes, size);
}
ssize_t read(int fd, void *bytes, size_t size) {
    return is_file(fd) ? CALL(SYS_read, fd, bytes, piece(size)) : syscall(SYS_read, fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return CALL(SYS_pwrite64, fd, bytes, piece(size), at); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) { return CALL(SYS_pwrite64, fd, bytes, piece(size), at); }
ssize_t pread(int fd, void *bytes, size_t size, off_t at) { return CALL(SYS_pread64, fd, bytes, piece(size), at); }
ssize_t pread64(int fd, void *bytes, size_t size, off_t at) { return CALL(SYS_pread64, fd, bytes, piece(size), at); }
int fdatasync(int fd) { return CALL(SYS_fdatasync, fd); }
int fsync(int fd) { return lacks() && !is_file(fd) ? fails_with(lacks()) : CALL(SYS_fsync, fd); }

int posix_fallocate(int fd, off_t at, off_t size) {
    if (lacks() || is_interrupted())
        return lacks() ? lacks() : EINTR;
    return syscall(SYS_fallocate, fd, 0, at, size) ? errno : 0;
}

int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int locks = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK || command == F_SETLK;
    return locks && lacks() ? fails_with(lacks()) : syscall(SYS_fcntl, fd, command, argument);
}
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
int flock(int fd, int operation) { return lacks() ? fails_with(lacks()) : syscall(SYS_flock, fd, operation); }
"""


class FileSystems(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("cc") or is_sanitized():
            self.skipTest("needs a C compiler, and a program without sanitizers")
        self.write("lacking.c", LIBRARY)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "lacking.so", "lacking.c"], cwd=self.directory, check=True)
        os.unlink(self.path("lacking.c"))
        self.write("small.yaml", SWEEP)

    def on(self, **environment):
        return {"LD_PRELOAD": self.path("lacking.so"), **{name: str(value) for name, value in environment.items()}}

    def test_what_a_file_system_cannot_do_is_done_without(self):
        expected = self.finished("small.yaml", "whole.h5", "--threads", 1)
        kernel_only = 524  # what NFS answers
        for error in errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, kernel_only:
            with self.subTest(error=error):
                output = self.run_program("run", "small.yaml", "--threads", 1, environment=self.on(LACKS=error))
                self.assertEqual(sha256(self.path("small.h5")), expected)
                self.assertEqual(output.count("warning: "), 1, output)
                self.assertIn("has no locks", output)
                for command in (["status", "small.h5"], ["measure", "small.h5"], ["measure", "small.h5", "-o", "new.h5"],
                                ["export", "small.h5", "--instance", "0"]):
                    self.run_program(*command, environment=self.on(LACKS=error, HDF5_USE_FILE_LOCKING="TRUE"))
                os.unlink(self.path("new.h5"))
                os.unlink(self.path("small.h5"))

    def test_a_fault_is_still_a_fault(self):
        output = self.run_program("run", "small.yaml", "--threads", 1, expect=1, environment=self.on(LACKS=errno.EIO))
        self.assertIn("small.h5", output)
        self.assertNotIn("small.h5", self.files())

    def test_short_and_interrupted_transfers_are_gone_on_with(self):
        self.write("long.yaml", long_sweep(2))
        options = ["--threads", 1, "--checkpoint-interval", "0.2s"]
        self.run_program("run", "long.yaml", "-o", "whole.h5", *options)
        self.stop_halfway("long.yaml", "parts.h5", *options, environment=self.on(PIECES=1))
        self.assertTrue(self.states("parts.h5"))
        output = self.run_program("run", "long.yaml", "-o", "parts.h5", *options, environment=self.on(PIECES=1))
        self.assertNotIn("warning", output)
        self.assertEqual(sha256(self.path("parts.h5")), sha256(self.path("whole.h5")))
        self.run_program("status", "parts.h5", environment=self.on(PIECES=1))


if __name__ == "__main__":
    main()
