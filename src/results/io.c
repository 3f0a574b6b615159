// The ways of writing, and the file systems where one of them is the better.
#define _GNU_SOURCE
#include "results/io.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

const char *const ts_io_names[] = {[TS_IO_AUTO] = "auto", [TS_IO_MPIO] = "mpio", [TS_IO_POSIX] = "posix", NULL};

// --- What the program has ---

ts_status ts_io_check(ts_io_way asked, const ts_comm *comm) {
    if (asked != TS_IO_MPIO)
        return TS_OK;
#if !defined TOYSWEEP_MPI
    (void)comm;
    return ts_fail(TS_ERROR_USER, "--io mpio: this build has no MPI; leave the option out, or build with "
                                  "-DTOYSWEEP_MPI=ON and parallel HDF5");
#elif !defined H5_HAVE_PARALLEL
    (void)comm;
    return ts_fail(TS_ERROR_USER, "--io mpio: this build's HDF5 has no MPI; leave the option out, or build with "
                                  "parallel HDF5");
#else
    if (!comm->mpi)
        return ts_fail(TS_ERROR_USER, "--io mpio: the program was started alone, without MPI; start it with mpirun "
                                      "(-n 1 will do), or leave the option out");
    return TS_OK;
#endif
}

// --- Where the file lies ---

typedef struct file_system {
    unsigned long kind;
    const char *name;
    bool leans;
} file_system;

// Network file systems without coherent caches, and those of which nobody knows what is behind them (FUSE). Numbers
// are those that no header of older systems has.
static const file_system file_systems[] = {
    {NFS_SUPER_MAGIC, "NFS", true},
    {0x65735546, "FUSE", true},
    {0x517b, "SMB", true},
    {0xff534d42, "SMB", true},
    {0xfe534d42, "SMB", true},
    {0x01021997, "9P", true},
    {AFS_SUPER_MAGIC, "AFS", true},
    {AFS_FS_MAGIC, "AFS", true},
    {0x73757245, "Coda", true},
    {0x0bd00bd0, "Lustre", false},
    {0x47504653, "GPFS", false},
    {0x19830326, "BeeGFS", false},
    {EXT4_SUPER_MAGIC, "ext4", false},
    {0x58465342, "XFS", false},
    {BTRFS_SUPER_MAGIC, "Btrfs", false},
    {TMPFS_MAGIC, "tmpfs", false},
    {OVERLAYFS_SUPER_MAGIC, "overlay", false},
};

const char *ts_io_file_system(unsigned long kind, bool *leans) {
    for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems; i++)
        if (file_systems[i].kind == kind) {
            *leans = file_systems[i].leans;
            return file_systems[i].name;
        }
    *leans = false;
    return "a file system of another kind";
}

static const char *file_system_of(const char *path, bool *leans) {
    struct statfs system;
    *leans = false;
    return statfs(path, &system) == 0 ? ts_io_file_system((unsigned long)system.f_type & 0xffffffffu, leans)
                                      : "a file system that does not say what it is";
}

// ROMIO locks round its writes there, and ends all ranks if it cannot.
static ts_status check_locks(const char *path, const char *name) {
    struct flock region = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int fd = ts_file_open(path, O_RDWR);
    bool works = fd >= 0 && (fcntl(fd, F_SETLK, &region) == 0 || errno == EACCES || errno == EAGAIN);
    int error = errno;
    if (fd >= 0)
        close(fd); // and with it the lock
    return works ? TS_OK
                 : ts_fail_errno(TS_ERROR_FATAL, error,
                                 "'%s': MPI-IO needs locks on %s, and cannot take any; use another place with -o, or "
                                 "--io posix",
                                 path, name);
}

// --- The choice ---

static ts_status choose(ts_io *io, ts_io_way way, const char *reason) {
    io->way = way;
    snprintf(io->reason, sizeof io->reason, "%s", reason);
    return TS_OK;
}

ts_status ts_io_choose(ts_io_way asked, const ts_comm *comm, const char *path, ts_io *io) {
    bool leans;
    const char *name = file_system_of(path, &leans);
    char text[96];
    if (asked == TS_IO_POSIX)
        return choose(io, TS_IO_POSIX, "asked for");
    if (asked == TS_IO_MPIO) {
        ts_status status = ts_comm_agree(comm, leans ? check_locks(path, name) : TS_OK);
        snprintf(text, sizeof text, "asked for, on %s", name);
        return status == TS_OK ? choose(io, TS_IO_MPIO, text) : status;
    }
    if (comm->size == 1)
        return choose(io, TS_IO_POSIX, "one process");
    if (ts_io_check(TS_IO_MPIO, comm) != TS_OK)
        return choose(io, TS_IO_POSIX, "HDF5 without MPI");
    // One place may be of several kinds: the node that serves it has the disk, the others have NFS.
    if (ts_comm_agree(comm, leans ? ts_fail(TS_ERROR_USER, "on %s, where MPI-IO leans on locks or caches", name)
                                  : TS_OK) != TS_OK)
        return choose(io, TS_IO_POSIX, ts_message());
    snprintf(text, sizeof text, "%d ranks, on %s", comm->size, name);
    return choose(io, TS_IO_MPIO, text);
}
