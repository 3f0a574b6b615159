"""File systems that cannot do all, or do it piece by piece: the same file all the same. A library loaded before the C
library's stands in for them."""

import errno
import os
import shutil
import subprocess

from processes import MPIRUN, finish
from support import TOYSWEEP, Case, is_sanitized, long_sweep, main, needs_mpi, sha256

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
# than a byte is done by half and every second call is interrupted; KIND=NUMBER, what statfs says of results files. All
# of what lies in the folder WITHIN: MPI's own files are left alone.
LIBRARY = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static int is_within(int fd) {
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strncmp(path, getenv("WITHIN"), strlen(getenv("WITHIN"))) == 0;
}

static int lacks(int fd) {
    const char *text = getenv("LACKS");
    return text && is_within(fd) ? atoi(text) : 0;
}

static int is_interrupted(int fd) {
    static atomic_int calls;
    return getenv("PIECES") && is_within(fd) && atomic_fetch_add(&calls, 1) % 2;
}

static size_t piece(int fd, size_t size) {
    return getenv("PIECES") && size > 1 && is_within(fd) ? size / 2 : size;
}

static int fails_with(int error) {
    errno = error;
    return -1;
}

#define CALL(number, fd, ...) (is_interrupted(fd) ? fails_with(EINTR) : syscall(number, fd, ##__VA_ARGS__))

static int is_file(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t size) { return CALL(SYS_write, fd, bytes, piece(fd, size)); }
ssize_t read(int fd, void *bytes, size_t size) { return CALL(SYS_read, fd, bytes, piece(fd, size)); }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return CALL(SYS_pwrite64, fd, bytes, piece(fd, size), at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) {
    return CALL(SYS_pwrite64, fd, bytes, piece(fd, size), at);
}
ssize_t pread(int fd, void *bytes, size_t size, off_t at) {
    return CALL(SYS_pread64, fd, bytes, piece(fd, size), at);
}
ssize_t pread64(int fd, void *bytes, size_t size, off_t at) {
    return CALL(SYS_pread64, fd, bytes, piece(fd, size), at);
}
int fdatasync(int fd) { return CALL(SYS_fdatasync, fd); }
int fsync(int fd) { return lacks(fd) && !is_file(fd) ? fails_with(lacks(fd)) : CALL(SYS_fsync, fd); }

int posix_fallocate(int fd, off_t at, off_t size) {
    if (lacks(fd) || is_interrupted(fd))
        return lacks(fd) ? lacks(fd) : EINTR;
    return syscall(SYS_fallocate, fd, 0, at, size) ? errno : 0;
}

int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int locks = command == F_OFD_SETLK || command == F_OFD_SETLKW || command == F_OFD_GETLK || command == F_SETLK ||
                command == F_SETLKW;
    return locks && lacks(fd) ? fails_with(lacks(fd)) : syscall(SYS_fcntl, fd, command, argument);
}
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
int flock(int fd, int operation) { return lacks(fd) ? fails_with(lacks(fd)) : syscall(SYS_flock, fd, operation); }
int statfs(const char *path, struct statfs *system) {
    char real[PATH_MAX];
    int result = syscall(SYS_statfs, path, system);
    if (result == 0 && getenv("KIND") && realpath(path, real) && strstr(real, ".h5"))
        system->f_type = strtoul(getenv("KIND"), NULL, 0);
    return result;
}
int statfs64(const char *path, struct statfs64 *system) __attribute__((alias("statfs")));
"""


class OnOthers(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("cc") or is_sanitized():
            self.skipTest("needs a C compiler, and a program without sanitizers")
        self.write("lacking.c", LIBRARY)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "lacking.so", "lacking.c"], cwd=self.directory, check=True)
        os.unlink(self.path("lacking.c"))
        self.write("small.yaml", SWEEP)

    def on(self, **environment):
        return {"LD_PRELOAD": self.path("lacking.so"), "WITHIN": os.path.realpath(self.directory),
                **{name: str(value) for name, value in environment.items()}}


class FileSystems(OnOthers):
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
        output = self.run_program("run", "long.yaml", "-o", "parts.h5", *options, environment=self.on(PIECES=1))
        self.assertNotIn("warning", output)
        self.assertEqual(sha256(self.path("parts.h5")), sha256(self.path("whole.h5")))
        self.run_program("status", "parts.h5", environment=self.on(PIECES=1))


@needs_mpi
class Networks(OnOthers):
    """Ranks on file systems of many kinds, as far as statfs tells."""
    KINDS = {"NFS": 0x6969, "FUSE": 0x65735546, "SMB": 0xff534d42}

    def setUp(self):
        super().setUp()
        self.expected = self.finished("small.yaml", "whole.h5")

    def check_way(self, way, *reasons):
        self.assertEqual(sha256(self.path("small.h5")), self.expected)
        self.assert_says(self.log("small.h5.log.jsonl"), f'"io":"{way}"', *reasons)
        self.check_nothing_else("lacking.so")
        os.unlink(self.path("small.h5"))
        os.unlink(self.path("small.h5.log.jsonl"))

    def test_where_mpi_leans_on_locks_or_caches_each_rank_writes_by_itself(self):
        for name, kind in self.KINDS.items():
            with self.subTest(name):
                self.run_program("run", "small.yaml", ranks=2, environment=self.on(KIND=kind))
                self.check_way("posix", f"on {name}, where MPI-IO leans on locks or caches")

    def test_also_if_only_one_rank_sees_it_so(self):
        run = [TOYSWEEP, "run", "small.yaml"]
        for order in (["env", f"KIND={0x6969}", *run], run), (run, ["env", f"KIND={0x6969}", *run]):
            command = [MPIRUN, "-n", "1", *order[0], ":", "-n", "1", *order[1]]
            process = self.start_command(command, environment=self.on())
            output = finish(process)
            self.assertEqual(process.returncode, 0, output)
            self.check_way("posix", "on NFS")

    def test_mpio_may_be_asked_for_there_if_there_are_locks(self):
        self.run_program("run", "small.yaml", "--io", "mpio", ranks=2, environment=self.on(KIND=0x6969))
        self.check_way("mpio", "asked for, on NFS")
        output = self.run_program("run", "small.yaml", "--io", "mpio", ranks=2, expect=1,
                                  environment=self.on(KIND=0x6969, LACKS=errno.ENOSYS))
        self.assert_says(output, "small.h5': MPI-IO needs locks on NFS", "--io posix")
        self.run_program("run", "small.yaml", "--io", "posix", ranks=2)
        self.check_way("posix", "asked for")

    def test_short_and_interrupted_transfers_of_ranks_are_gone_on_with(self):
        output = self.run_program("run", "small.yaml", ranks=2, environment=self.on(PIECES=1))
        self.assertLessEqual(output.count("warning: "), 3, output)  # MPI-IO cannot, which is said once a rank
        self.assertEqual(sha256(self.path("small.h5")), self.expected)


if __name__ == "__main__":
    main()
