// How the ranks of a run write rows into its results file: through HDF5's MPI driver (mpio), or each by itself, past
// HDF5 (posix). Which of them a run takes, and why; the writing is hdf5/transfer.c's.
#pragma once

#include "base/comm.h"

#include <stdbool.h>

typedef enum ts_io_way { TS_IO_AUTO, TS_IO_MPIO, TS_IO_POSIX } ts_io_way;

typedef struct ts_io {
    ts_io_way way; // never auto
    char reason[TS_MESSAGE_BYTES];
} ts_io;

extern const char *const ts_io_names[]; // by ts_io_way; NULL at the end

// Can this program, as it was started, write so? TS_ERROR_USER, with a message: no.
ts_status ts_io_check(ts_io_way asked, const ts_comm *comm);

// Collective, after ts_io_check: all ranks get the same. `path` is the results file, or a directory for one.
// TS_ERROR_FATAL, with a message: mpio was asked for, and its place is one where MPI-IO would end the program.
ts_status ts_io_choose(ts_io_way asked, const ts_comm *comm, const char *path, ts_io *io);

// What is the kind of file system, by the number that statfs gives? *leans: MPI-IO's writes lean on locks there, or on
// caches that other nodes do not see.
const char *ts_io_file_system(unsigned long kind, bool *leans);
