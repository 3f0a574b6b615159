// Files: opening what is to be read, whole reads, durable whole writes, durable directory entries. Messages name the
// path and the cure.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Does this errno mean that a file system cannot do what was asked (lock, reserve space, sync a directory)? There it is
// done without.
bool ts_file_not_supported(int error);

// open with O_CLOEXEC and the mode 0666, tried again when a signal interrupts it. A file descriptor, or -1 with errno.
int ts_file_open(const char *path, int flags);

// fsync and fdatasync, tried again when a signal interrupts them; close; space for `bytes` bytes, where the file system
// can promise any. 0 or errno.
int ts_file_sync(int fd);
int ts_file_sync_data(int fd);
int ts_file_close(int fd);
int ts_file_reserve(int fd, int64_t bytes);

// Writes all of it, however many calls that takes: where the file stands, or at `offset`. 0 or errno.
int ts_file_write_all(int fd, const void *bytes, size_t size);
int ts_file_write_at(int fd, const void *bytes, size_t size, int64_t offset);

// Opens a file of data to be read: never waits, never touches a device. On failure *fd is -1, and a message says why;
// the status is `fault`. Directories, devices, pipes, sockets and files of /proc, /sys and the like are refused.
ts_status ts_file_open_input(const char *path, ts_status fault, int *fd);

// Bytes of a file from `offset` on: `size` of them, fewer at its end; returns how many, or -1 with errno.
ssize_t ts_file_read_at(int fd, void *bytes, size_t size, int64_t offset);

// Reads a whole file of at most `limit` bytes; *bytes is NUL-terminated beyond *size; free with ts_free.
// TS_ERROR_USER: it cannot be opened, is none, or is larger.
ts_status ts_file_read(const char *path, size_t limit, char **bytes, size_t *size);

// As ts_file_read, also from a shell's pipe: <(command), or /dev/stdin behind one. (Not from a named one, at which it
// might wait forever.)
ts_status ts_file_read_or_pipe(const char *path, size_t limit, char **bytes, size_t *size);

// Writes `path`.tmp, fsync, rename to `path`, fsync of the directory: afterwards either the old or the new
// file is there, whole, whatever happens. A symbolic link's target is replaced, not the link; what is no
// regular file (a device, a pipe) is written to as it is.
ts_status ts_file_write_durably(const char *path, const void *bytes, size_t size);

// fsync of the directory that holds `path`.
ts_status ts_file_sync_directory(const char *path);

// The file that `path` means: symbolic links in its last part are followed, also when their target does not exist.
// resolved: (PATH_MAX).
ts_status ts_path_resolve(const char *path, char *resolved);

// Position of the file name within `path` (after the last '/').
const char *ts_path_name(const char *path);
bool ts_path_exists(const char *path);

// TS_OK if a file of data is there, or nothing. TS_ERROR_FATAL, with a message: a directory, or a pipe or terminal, at
// which whoever opens it would wait.
ts_status ts_path_check_regular(const char *path);
