// System calls on files, and what real file systems make of them: interruptions, short counts, calls they lack.
#define _GNU_SOURCE
#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// --- What is asked of file systems ---

// NFS's own ENOTSUPP, which the kernel lets through to programs; no header of theirs has it.
enum { ENOTSUPP_OF_NFS = 524 };

enum { PIECE_BYTES = 1 << 30 }; // of one call that reads or writes

bool ts_file_not_supported(int error) {
    static const int lacking[] = {EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, ENOTTY, ENOTSUPP_OF_NFS};
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
        if (error == lacking[i])
            return true;
    return false;
}

int ts_file_open(const char *path, int flags) {
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int sync_with(int (*sync)(int), int fd) {
    int result;
    do
        result = sync(fd);
    while (result != 0 && errno == EINTR);
    return result != 0 ? errno : 0;
}

int ts_file_sync(int fd) {
    return sync_with(fsync, fd);
}

int ts_file_sync_data(int fd) {
    return sync_with(fdatasync, fd);
}

int ts_file_close(int fd) {
    // Interrupted or not, Linux has closed it.
    return close(fd) != 0 && errno != EINTR ? errno : 0;
}

int ts_file_reserve(int fd, int64_t bytes) {
    int error;
    do
        error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR);
    return ts_file_not_supported(error) ? 0 : error;
}

// --- Reading ---

// File systems whose files are questions to the kernel: they have no size, and some answer only when something
// happens, like /proc/kmsg.
static bool is_of_kernel(int fd) {
    static const unsigned long kinds[] = {
        PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,       TRACEFS_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC,
        SMACK_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,  PSTOREFS_MAGIC,   EFIVARFS_MAGIC,
    };
    struct statfs system;
    if (fstatfs(fd, &system) != 0)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((unsigned long)system.f_type == kinds[i])
            return true;
    return false;
}

// A pipe without a name: a shell's, as in <(command) or command | toysweep plan /dev/stdin.
static bool is_of_shell(int fd) {
    struct statfs system;
    return fstatfs(fd, &system) == 0 && (unsigned long)system.f_type == PIPEFS_MAGIC;
}

// NULL for a file of data, else what it is instead.
static const char *kind_of(const struct stat *info) {
    if (S_ISREG(info->st_mode))
        return NULL;
    return S_ISDIR(info->st_mode) ? "a directory" : "a pipe or device";
}

static ts_status refuse_kind(ts_status fault, const char *path, const char *kind) {
    return ts_fail(fault, "'%s' is not a regular file but %s; name a file of data", path, kind);
}

// Opening must not wait, nor do anything to a device: so it is looked at before, and once more when it is open.
static ts_status open_input(const char *path, ts_status fault, bool or_pipe, int *fd) {
    struct stat info;
    *fd = -1;
    if (stat(path, &info) == 0 && kind_of(&info) && !(or_pipe && S_ISFIFO(info.st_mode)))
        return refuse_kind(fault, path, kind_of(&info));
    int opened = ts_file_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (opened < 0)
        return ts_fail_errno(fault, errno, "cannot open %s", path);
    const char *kind = fstat(opened, &info) == 0 ? kind_of(&info) : NULL;
    if (kind && or_pipe && is_of_shell(opened) && fcntl(opened, F_SETFL, O_RDONLY) == 0)
        kind = NULL;
    else if (!kind && is_of_kernel(opened))
        kind = "one that the kernel makes up";
    if (kind) {
        close(opened);
        return refuse_kind(fault, path, kind);
    }
    *fd = opened;
    return TS_OK;
}

ts_status ts_file_open_input(const char *path, ts_status fault, int *fd) {
    return open_input(path, fault, false, fd);
}

// Reads into `to`, or writes `from`, up to `size` bytes at `offset` (-1: where the file stands), in as many calls as it
// takes. Returns how many, fewer only at the end of what is read; -1 with errno.
static ssize_t transfer(int fd, char *to, const char *from, size_t size, int64_t offset) {
    size_t done = 0;
    while (done < size) {
        size_t piece = size - done < PIECE_BYTES ? size - done : PIECE_BYTES;
        off_t at = (off_t)(offset + (int64_t)done);
        ssize_t moved;
        if (to)
            moved = offset < 0 ? read(fd, to + done, piece) : pread(fd, to + done, piece, at);
        else
            moved = offset < 0 ? write(fd, from + done, piece) : pwrite(fd, from + done, piece, at);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved == 0 && to)
            break;
        if (moved == 0)
            errno = EIO;
        if (moved <= 0)
            return -1;
        done += (size_t)moved;
    }
    return (ssize_t)done;
}

ssize_t ts_file_read_at(int fd, void *bytes, size_t size, int64_t offset) {
    return transfer(fd, bytes, NULL, size, offset);
}

static ts_status read_all(int fd, const char *path, size_t limit, char **bytes, size_t *size) {
    size_t capacity = 1 << 16, length = 0;
    char *buffer = ts_alloc(capacity, "a file's contents");
    while (buffer) {
        ssize_t got = transfer(fd, buffer + length, NULL, capacity - 1 - length, -1);
        ts_status status = got < 0 ? ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read %s", path) : TS_OK;
        length += got > 0 ? (size_t)got : 0;
        if (status == TS_OK && length > limit)
            status = ts_fail(TS_ERROR_USER, "%s is larger than %zu KiB", path, limit / 1024);
        if (status != TS_OK) {
            ts_free(buffer);
            return status;
        }
        if (length < capacity - 1) {
            buffer[length] = 0;
            *bytes = buffer;
            *size = length;
            return TS_OK;
        }
        capacity *= 2;
        char *grown = ts_realloc(buffer, capacity, "a file's contents");
        if (!grown)
            ts_free(buffer);
        buffer = grown;
    }
    return TS_ERROR_MEMORY;
}

static ts_status read_whole(const char *path, size_t limit, bool or_pipe, char **bytes, size_t *size) {
    int fd;
    ts_status status = open_input(path, TS_ERROR_USER, or_pipe, &fd);
    if (status == TS_OK)
        status = read_all(fd, path, limit, bytes, size);
    if (fd >= 0)
        close(fd);
    return status;
}

ts_status ts_file_read(const char *path, size_t limit, char **bytes, size_t *size) {
    return read_whole(path, limit, false, bytes, size);
}

ts_status ts_file_read_or_pipe(const char *path, size_t limit, char **bytes, size_t *size) {
    return read_whole(path, limit, true, bytes, size);
}

// --- Writing ---

int ts_file_write_all(int fd, const void *bytes, size_t size) {
    return transfer(fd, NULL, bytes, size, -1) < 0 ? errno : 0;
}

int ts_file_write_at(int fd, const void *bytes, size_t size, int64_t offset) {
    return transfer(fd, NULL, bytes, size, offset) < 0 ? errno : 0;
}

// Writes, and syncs if `durably`; closes in any case. 0 or errno.
static int write_and_close(int fd, const void *bytes, size_t size, bool durably) {
    int error = ts_file_write_all(fd, bytes, size);
    if (error == 0 && durably)
        error = ts_file_sync(fd);
    int closing = ts_file_close(fd);
    return error ? error : closing;
}

// Devices and pipes: nothing to rename, nothing to make durable.
static ts_status write_special(const char *path, const void *bytes, size_t size) {
    int fd = ts_file_open(path, O_WRONLY);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open %s", path);
    int error = write_and_close(fd, bytes, size, false);
    return error ? ts_fail_errno(TS_ERROR_FATAL, error, "cannot write %s", path) : TS_OK;
}

ts_status ts_file_write_durably(const char *link, const void *bytes, size_t size) {
    char temporary[PATH_MAX], path[PATH_MAX];
    struct stat info;
    if (ts_path_resolve(link, path) != TS_OK)
        return TS_ERROR_FATAL;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return write_special(path, bytes, size);
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", path) >= sizeof temporary)
        return ts_fail(TS_ERROR_FATAL, "path too long: %s", path);
    int fd = ts_file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot create %s", temporary);
    int error = write_and_close(fd, bytes, size, true);
    if (error == 0 && rename(temporary, path) != 0)
        error = errno;
    if (error == 0)
        return ts_file_sync_directory(path);
    unlink(temporary);
    return ts_fail_errno(TS_ERROR_FATAL, error, "cannot write %s", path);
}

ts_status ts_file_sync_directory(const char *path) {
    char directory[PATH_MAX];
    size_t length = (size_t)(ts_path_name(path) - path);
    if (length >= sizeof directory)
        return ts_fail(TS_ERROR_FATAL, "path too long: %s", path);
    memcpy(directory, path, length);
    directory[length] = 0;
    int fd = ts_file_open(length ? directory : ".", O_RDONLY | O_DIRECTORY);
    // Who may write into a directory need not be allowed to read it. There, and on file systems that cannot sync a
    // directory, rename is as durable as it gets.
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return TS_OK;
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open the directory of %s", path);
    int error = ts_file_sync(fd);
    close(fd);
    if (error && !ts_file_not_supported(error))
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot sync the directory of %s", path);
    return TS_OK;
}

// --- Paths ---

ts_status ts_path_resolve(const char *path, char *resolved) {
    enum { LINKS = 40 }; // as many as the kernel follows
    if ((size_t)snprintf(resolved, PATH_MAX, "%s", path) >= PATH_MAX)
        return ts_fail(TS_ERROR_FATAL, "path too long: %s", path);
    for (int i = 0; i < LINKS; i++) {
        char target[PATH_MAX], next[PATH_MAX];
        ssize_t length = readlink(resolved, target, sizeof target - 1);
        if (length < 0)
            return TS_OK; // no link
        target[length] = 0;
        int directory = target[0] == '/' ? 0 : (int)(ts_path_name(resolved) - resolved);
        if ((size_t)snprintf(next, sizeof next, "%.*s%s", directory, resolved, target) >= sizeof next)
            return ts_fail(TS_ERROR_FATAL, "path too long: %s", path);
        memcpy(resolved, next, sizeof next);
    }
    return ts_fail(TS_ERROR_FATAL, "too many symbolic links: %s", path);
}

const char *ts_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool ts_path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

ts_status ts_path_check_regular(const char *path) {
    struct stat info;
    const char *kind = stat(path, &info) == 0 ? kind_of(&info) : NULL;
    return kind ? refuse_kind(TS_ERROR_FATAL, path, kind) : TS_OK;
}
