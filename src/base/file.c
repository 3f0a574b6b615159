#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ts_status read_all(int fd, const char *path, size_t limit, char **bytes, size_t *size) {
    size_t capacity = 1 << 16, length = 0;
    char *buffer = ts_alloc(capacity, "a file's contents");
    while (buffer) {
        ssize_t got = read(fd, buffer + length, capacity - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            ts_free(buffer);
            return ts_fail_errno(error == EISDIR ? TS_ERROR_USER : TS_ERROR_FATAL, error, "cannot read %s",
                                 path);
        }
        length += (size_t)got;
        if (length > limit) {
            ts_free(buffer);
            return ts_fail(TS_ERROR_USER, "%s is larger than %zu KiB", path, limit / 1024);
        }
        if (got == 0) {
            buffer[length] = 0;
            *bytes = buffer;
            *size = length;
            return TS_OK;
        }
        if (capacity - 1 - length < capacity / 4) {
            capacity *= 2;
            char *grown = ts_realloc(buffer, capacity, "a file's contents");
            if (!grown)
                ts_free(buffer);
            buffer = grown;
        }
    }
    return TS_ERROR_MEMORY;
}

ts_status ts_file_read(const char *path, size_t limit, char **bytes, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_USER, errno, "cannot open %s", path);
    ts_status status = read_all(fd, path, limit, bytes, size);
    close(fd);
    return status;
}

static ts_status write_all(int fd, const char *path, const char *bytes, size_t size) {
    while (size > 0) {
        size_t piece = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
        ssize_t wrote = write(fd, bytes, piece);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot write %s", path);
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return TS_OK;
}

// Devices and pipes: nothing to rename, nothing to make durable.
static ts_status write_special(const char *path, const void *bytes, size_t size) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open %s", path);
    ts_status status = write_all(fd, path, bytes, size);
    if (close(fd) != 0 && status == TS_OK)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot close %s", path);
    return status;
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
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot create %s", temporary);
    ts_status status = write_all(fd, temporary, bytes, size);
    if (status == TS_OK && fsync(fd) != 0)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot sync %s", temporary);
    if (close(fd) != 0 && status == TS_OK)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot close %s", temporary);
    if (status == TS_OK && rename(temporary, path) != 0)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot rename %s to %s", temporary, path);
    if (status != TS_OK) {
        unlink(temporary);
        return status;
    }
    return ts_file_sync_directory(path);
}

ts_status ts_file_sync_directory(const char *path) {
    char directory[PATH_MAX];
    size_t length = (size_t)(ts_path_name(path) - path);
    if (length >= sizeof directory)
        return ts_fail(TS_ERROR_FATAL, "path too long: %s", path);
    memcpy(directory, path, length);
    directory[length] = 0;
    int fd = open(length ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open the directory of %s", path);
    // Some file systems cannot sync a directory (EINVAL); there, rename is as durable as it gets.
    ts_status status = TS_OK;
    if (fsync(fd) != 0 && errno != EINVAL)
        status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot sync the directory of %s", path);
    close(fd);
    return status;
}

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
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return ts_fail(TS_ERROR_FATAL, "'%s' is %s, not a file", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "a pipe or device");
    return TS_OK;
}
