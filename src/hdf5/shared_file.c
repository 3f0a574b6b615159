// Writes at fixed offsets, each under a lock of its region.
#define _GNU_SOURCE
#include "hdf5/shared_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ts_shared_file {
    char *path;
    int fd;
    bool alone; // no other process writes
};

static ts_status open_here(const char *path, ts_shared_file **out) {
    ts_shared_file *file = *out = ts_alloc_zero(1, sizeof *file, "the results file");
    if (!file)
        return TS_ERROR_MEMORY;
    file->fd = -1;
    if (!(file->path = ts_copy_text(path)))
        return TS_ERROR_MEMORY;
    file->fd = ts_file_open(path, O_RDWR);
    if (file->fd < 0 && (errno == EACCES || errno == EPERM))
        return ts_fail(TS_ERROR_FATAL,
                       "cannot open '%s' for writing: %s; ask for the right to write it, on every node, or choose "
                       "another file with -o",
                       path, strerror(errno));
    if (file->fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open '%s' for writing", path);
    return TS_OK;
}

ts_status ts_shared_file_open(const char *path, const ts_comm *comm, ts_shared_file **file) {
    ts_status status = ts_comm_agree(comm, open_here(path, file));
    if (*file)
        (*file)->alone = comm->size == 1;
    if (status != TS_OK) {
        ts_shared_file_close(*file);
        *file = NULL;
    }
    return status;
}

void ts_shared_file_close(ts_shared_file *file) {
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd); // everything has been synced
    ts_free(file->path);
    ts_free(file);
}

// The region is locked or, with F_UNLCK, given back. On network file systems this is what makes two nodes' writes into
// one page meet: NFS drops what it has cached when a lock is taken, sends what it has kept back when it is given up,
// and meanwhile sends no byte round what was written. Elsewhere it costs a microsecond and is not needed, so a file
// system without locks will do.
static void lock_region(const ts_shared_file *file, short type, int64_t offset, size_t size) {
    struct flock region = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = (off_t)size};
    while (fcntl(file->fd, F_OFD_SETLKW, &region) != 0 && errno == EINTR)
        ;
}

ts_status ts_shared_file_write(ts_shared_file *file, int64_t offset, const void *bytes, size_t size) {
    if (size == 0)
        return TS_OK; // of no bytes the lock would be one of all that follow
    lock_region(file, F_WRLCK, offset, size);
    int error = ts_file_write_at(file->fd, bytes, size, offset);
    lock_region(file, F_UNLCK, offset, size);
    return error ? ts_fail_errno(TS_ERROR_FATAL, error, "cannot write '%s'", file->path) : TS_OK;
}

// Item by item, under one lock.
static int write_each(const ts_shared_file *file, int64_t offset, size_t size, const int64_t *row, int64_t count,
                      const char *items) {
    int error = 0;
    for (int64_t begin = 0, end; begin < count && !error; begin = end) {
        for (end = begin + 1; end < count && row[end] == row[end - 1] + 1;)
            end++;
        error = ts_file_write_at(file->fd, items + (size_t)begin * size, (size_t)(end - begin) * size,
                                 offset + row[begin] * (int64_t)size);
    }
    return error;
}

// With what lies between them, as it is, where nobody else can have changed it in the meantime, and it is not much.
// Whatever is cut off within such a write, the bytes between are what they were.
static int write_together(const ts_shared_file *file, int64_t offset, size_t size, const int64_t *row, int64_t count,
                          const char *items) {
    enum { MOST_BETWEEN = 64, PIECE = 1 << 16 };
    char piece[PIECE];
    int error = 0;
    for (int64_t begin = 0, end; begin < count && !error; begin = end) {
        int64_t most = row[begin] + (int64_t)(PIECE / size);
        for (end = begin + 1; end < count && row[end] < most && row[end] - row[end - 1] <= MOST_BETWEEN;)
            end++;
        int64_t at = offset + row[begin] * (int64_t)size;
        size_t bytes = (size_t)(row[end - 1] - row[begin] + 1) * size;
        if (ts_file_read_at(file->fd, piece, bytes, at) != (ssize_t)bytes)
            return write_each(file, offset, size, row + begin, count - begin, items + (size_t)begin * size);
        for (int64_t i = begin; i < end; i++)
            memcpy(piece + (size_t)(row[i] - row[begin]) * size, items + (size_t)i * size, size);
        error = ts_file_write_at(file->fd, piece, bytes, at);
    }
    return error;
}

ts_status ts_shared_file_write_items(ts_shared_file *file, int64_t offset, size_t size, const int64_t *row,
                                     int64_t count, const void *items) {
    if (count == 0)
        return TS_OK;
    int64_t first = offset + row[0] * (int64_t)size;
    size_t span = (size_t)(row[count - 1] - row[0] + 1) * size;
    lock_region(file, F_WRLCK, first, span);
    int error = file->alone ? write_together(file, offset, size, row, count, items)
                            : write_each(file, offset, size, row, count, items);
    lock_region(file, F_UNLCK, first, span);
    return error ? ts_fail_errno(TS_ERROR_FATAL, error, "cannot write '%s'", file->path) : TS_OK;
}

ts_status ts_shared_file_sync(ts_shared_file *file) {
    int error = ts_file_sync_data(file->fd);
    return error ? ts_fail_errno(TS_ERROR_FATAL, error, "cannot write '%s' to the disk", file->path) : TS_OK;
}

int ts_shared_file_descriptor(const ts_shared_file *file) {
    return file->fd;
}

bool ts_shared_file_in_place(const ts_shared_file *file) {
    struct stat open_file, at_path;
    return fstat(file->fd, &open_file) == 0 && stat(file->path, &at_path) == 0 && open_file.st_dev == at_path.st_dev &&
           open_file.st_ino == at_path.st_ino;
}
