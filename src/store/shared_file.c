#define _POSIX_C_SOURCE 200809L
#include "store/shared_file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 30 };

struct ts_shared_file {
    char *path;
    int fd; // of our own, also with MPI-IO: it has no fdatasync
#ifdef TOYSWEEP_MPI
    MPI_File mpi;
#endif
};

#ifdef TOYSWEEP_MPI
static bool writes_through_mpi(const ts_shared_file *file) {
    return file->mpi != MPI_FILE_NULL;
}
#endif

static ts_shared_file *allocate(const char *path) {
    ts_shared_file *file = ts_alloc_zero(1, sizeof *file, "the results file");
    if (!file)
        return NULL;
    file->fd = -1;
    file->path = ts_copy_text(path);
#ifdef TOYSWEEP_MPI
    file->mpi = MPI_FILE_NULL;
#endif
    if (file->path)
        return file;
    ts_free(file);
    return NULL;
}

#ifdef TOYSWEEP_MPI
static ts_status mpi_fault(const ts_shared_file *file, const char *doing, int code) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0, class = MPI_ERR_OTHER;
    MPI_Error_class(code, &class);
    if (class == MPI_ERR_NO_SPACE || class == MPI_ERR_QUOTA)
        return ts_fail_errno(TS_ERROR_FATAL, ENOSPC, "cannot %s '%s'", doing, file->path);
    MPI_Error_string(code, text, &length);
    return ts_fail(
        TS_ERROR_FATAL,
        "cannot %s '%s': %s; see whether its disk is full or broken, then run the same command again", doing,
        file->path, text);
}
#endif

// Each rank opens the file for itself (MPI_COMM_SELF): opened by all together, Open MPI 4.1 waits for ever when it
// fails on one of them, which goes on to close it while the others still open.
static ts_status open_here(ts_shared_file *file, const ts_comm *comm) {
    if ((file->fd = open(file->path, O_RDWR | O_CLOEXEC)) < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open '%s' for writing", file->path);
#ifdef TOYSWEEP_MPI
    int code = comm->mpi ? MPI_File_open(MPI_COMM_SELF, file->path, MPI_MODE_RDWR, MPI_INFO_NULL, &file->mpi)
                         : MPI_SUCCESS;
    if (code != MPI_SUCCESS) {
        file->mpi = MPI_FILE_NULL;
        return mpi_fault(file, "open", code);
    }
#else
    (void)comm;
#endif
    return TS_OK;
}

ts_status ts_shared_file_open(const char *path, const ts_comm *comm, ts_shared_file **out) {
    *out = NULL;
    ts_shared_file *file = allocate(path);
    ts_status status = ts_comm_agree(comm, file ? open_here(file, comm) : TS_ERROR_MEMORY);
    if (status != TS_OK) {
        ts_shared_file_close(file); // what failed has been told
        return status;
    }
    *out = file;
    return TS_OK;
}

ts_status ts_shared_file_close(ts_shared_file *file) {
    ts_status status = TS_OK;
    if (!file)
        return TS_OK;
#ifdef TOYSWEEP_MPI
    int code = file->mpi == MPI_FILE_NULL ? MPI_SUCCESS : MPI_File_close(&file->mpi);
    if (code != MPI_SUCCESS)
        status = mpi_fault(file, "close", code);
#endif
    if (file->fd >= 0)
        close(file->fd); // everything has been synced
    ts_free(file->path);
    ts_free(file);
    return status;
}

// One write call; returns what it wrote, or -1 with the message set.
static ssize_t write_piece(ts_shared_file *file, int64_t offset, const char *bytes, size_t size) {
#ifdef TOYSWEEP_MPI
    if (writes_through_mpi(file)) {
        MPI_Status status;
        int count = 0;
        int code = MPI_File_write_at(file->mpi, (MPI_Offset)offset, bytes, (int)size, MPI_BYTE, &status);
        if (code == MPI_SUCCESS)
            code = MPI_Get_count(&status, MPI_BYTE, &count);
        if (code == MPI_SUCCESS && count > 0)
            return count;
        mpi_fault(file, "write", code);
        return -1;
    }
#endif
    ssize_t wrote;
    do
        wrote = pwrite(file->fd, bytes, size, (off_t)offset);
    while (wrote < 0 && errno == EINTR);
    if (wrote > 0)
        return wrote;
    ts_fail_errno(TS_ERROR_FATAL, wrote < 0 ? errno : EIO, "cannot write '%s'", file->path);
    return -1;
}

ts_status ts_shared_file_write(ts_shared_file *file, int64_t offset, const void *bytes, size_t size) {
    for (const char *at = bytes; size > 0;) {
        ssize_t wrote = write_piece(file, offset, at, size < PIECE_BYTES ? size : PIECE_BYTES);
        if (wrote < 0)
            return TS_ERROR_FATAL;
        at += wrote;
        offset += wrote;
        size -= (size_t)wrote;
    }
    return TS_OK;
}

ts_status ts_shared_file_sync(ts_shared_file *file) {
    if (fdatasync(file->fd) == 0)
        return TS_OK;
    return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot write '%s' to the disk", file->path);
}

bool ts_shared_file_in_place(const ts_shared_file *file) {
    struct stat open_file, at_path;
    return fstat(file->fd, &open_file) == 0 && stat(file->path, &at_path) == 0 &&
           open_file.st_dev == at_path.st_dev && open_file.st_ino == at_path.st_ino;
}
