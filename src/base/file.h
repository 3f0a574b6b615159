// Files: whole reads, durable whole writes, durable directory entries. Messages name the path and the cure.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

// Reads a whole file of at most `limit` bytes; *bytes is NUL-terminated beyond *size; free with ts_free.
ts_status ts_file_read(const char *path, size_t limit, char **bytes, size_t *size);

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
