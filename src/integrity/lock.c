// Open file description locks on two bytes, and what is said to who comes second.
#define _GNU_SOURCE
#include "integrity/lock.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTE_COORDINATOR = 0, BYTE_MEMBERS = 1 };

static struct flock region(short type, off_t start, off_t length) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static bool has_no_locks(int error) {
    return error == ENOLCK || ts_file_not_supported(error);
}

// Is any byte of the region held by somebody else? Errors count as no.
static bool is_held(int fd, off_t start, off_t length) {
    struct flock asked = region(F_WRLCK, start, length);
    return fcntl(fd, F_OFD_GETLK, &asked) == 0 && asked.l_type != F_UNLCK;
}

// The run before may have removed the file between our opening and locking it: then we have locked a file that nobody
// else sees.
static bool is_still_there(int fd, const char *path) {
    struct stat ours, theirs;
    return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

static void write_owner(int fd) {
    char host[256] = "", text[320];
    gethostname(host, sizeof host - 1);
    int length = snprintf(text, sizeof text, "host %s, process %ld\n", host, (long)getpid());
    if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0 || ts_file_write_all(fd, text, (size_t)length) != 0)
        ts_warn("the lock file cannot be written, only locked");
}

static ts_status refuse(int fd, const char *path) {
    char owner[320] = "";
    ssize_t got = ts_file_read_at(fd, owner, sizeof owner - 1, 0);
    owner[got > 0 ? got : 0] = 0;
    owner[strcspn(owner, "\n")] = 0;
    return ts_fail(TS_ERROR_FATAL,
                   "another run is using this results file (%s; lock '%s'); wait for it or stop it, or choose another "
                   "file with -o",
                   owner[0] ? owner : "its owner is unknown", path);
}

typedef enum attempt { ATTEMPT_TAKEN, ATTEMPT_BUSY, ATTEMPT_NO_LOCKS } attempt;

// One try; *fd stays open unless the file went away meanwhile.
static ts_status try_take(const char *path, int *fd, attempt *result) {
    *result = ATTEMPT_BUSY;
    if (*fd < 0)
        *fd = ts_file_open(path, O_RDWR | O_CREAT);
    if (*fd < 0 && errno == ENOENT && ts_path_name(path) > path)
        return ts_fail(TS_ERROR_FATAL,
                       "cannot make the lock file '%s': there is no folder '%.*s'; make it, or choose "
                       "another file with -o",
                       path, (int)(ts_path_name(path) - path), path);
    if (*fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot make the lock file '%s'; choose another file with -o",
                             path);
    struct flock wanted = region(F_WRLCK, BYTE_COORDINATOR, 1);
    if (fcntl(*fd, F_OFD_SETLK, &wanted) != 0) {
        if (has_no_locks(errno))
            *result = ATTEMPT_NO_LOCKS;
        else if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot lock '%s'", path);
        return TS_OK;
    }
    if (!is_still_there(*fd, path)) {
        close(*fd);
        *fd = -1;
    } else if (!is_held(*fd, BYTE_MEMBERS, 1)) {
        *result = ATTEMPT_TAKEN;
    }
    return TS_OK;
}

ts_status ts_lock_take(const char *path, double patience, ts_lock *lock) {
    lock->fd = -1;
    snprintf(lock->path, sizeof lock->path, "%s", path);
    int fd = -1;
    attempt result;
    double start = ts_clock();
    ts_status status = try_take(path, &fd, &result);
    while (status == TS_OK && result == ATTEMPT_BUSY && ts_clock() - start < patience) {
        ts_sleep(0.05);
        status = try_take(path, &fd, &result);
    }
    if (status == TS_OK && result == ATTEMPT_BUSY)
        status = fd >= 0 ? refuse(fd, path) : ts_fail(TS_ERROR_FATAL, "cannot lock '%s': it keeps vanishing", path);
    if (status != TS_OK) {
        if (fd >= 0)
            close(fd);
        return status;
    }
    if (result == ATTEMPT_NO_LOCKS)
        ts_warn("the file system of '%s' has no locks: make sure that no other run uses the same results file", path);
    else
        write_owner(fd);
    lock->fd = fd;
    return TS_OK;
}

ts_status ts_lock_join(const char *path, ts_lock *lock) {
    snprintf(lock->path, sizeof lock->path, "%s", path);
    if (lock->fd < 0)
        lock->fd = ts_file_open(path, O_RDWR | O_CREAT);
    if (lock->fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open the lock file '%s'", path);
    struct flock wanted = region(F_RDLCK, BYTE_MEMBERS, 1);
    if (fcntl(lock->fd, F_OFD_SETLK, &wanted) == 0 || has_no_locks(errno))
        return TS_OK; // without locks, ts_lock_take has warned
    return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot share the lock '%s'", path);
}

bool ts_lock_in_place(const ts_lock *lock) {
    return lock->fd >= 0 && is_still_there(lock->fd, lock->path);
}

void ts_lock_remove(const ts_lock *lock) {
    if (ts_lock_in_place(lock))
        unlink(lock->path);
}

void ts_lock_release(ts_lock *lock) {
    if (lock->fd < 0)
        return;
    close(lock->fd);
    lock->fd = -1;
}

bool ts_lock_is_held(const char *path) {
    int fd;
    if (ts_file_open_input(path, TS_ERROR_USER, &fd) != TS_OK)
        return false;
    bool held = is_held(fd, BYTE_COORDINATOR, 2);
    close(fd);
    return held;
}
