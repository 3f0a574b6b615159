// Ranks: the few MPI calls the program uses, behind an interface that also works with one process and no MPI.
// Built without MPI, or started without an MPI launcher, there is one rank and MPI is never initialised.
// All functions but ts_comm_waiting are called from the main thread (MPI_THREAD_FUNNELED).
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef TOYSWEEP_MPI
#include <mpi.h>
#endif

typedef struct ts_comm {
    int rank, size;
    int node_rank, node_size; // among the ranks of this node
    bool mpi;                 // MPI is in use (also true for one rank started by mpirun)
} ts_comm;

// Collective. Starts MPI if a launcher is present (Open MPI, PMIx or PMI variables in the environment).
// TS_ERROR_USER if this process is one of several that a launcher started, and MPI (another one, or none) knows nothing
// of the others.
ts_status ts_comm_start(ts_comm *comm, int *argc, char ***argv);
void ts_comm_end(ts_comm *comm); // collective

// Some rank is lost: from here on what is collective concerns this rank alone, and returns at once. Every rank that is
// not lost calls it, then ts_comm_leave instead of ts_comm_end.
void ts_comm_part(void);
bool ts_comm_parted(void);
// Rank 0 ends all ranks that can be reached, with that exit code; the others wait for that.
void ts_comm_leave(const ts_comm *comm, int code) __attribute__((noreturn));

// Since when, on ts_clock, the main thread has been waiting for other ranks in a collective call; 0: it has not. For
// any thread.
double ts_comm_waiting(void);

// Ends all ranks at once, where this one can neither go on nor tell the others; standard error says why. Exit code 1.
void ts_comm_abort(const ts_comm *comm, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

// Collective. Everybody gets the worst status and, if it is not TS_OK, rank-lowest's message: nobody goes on
// alone after a fault elsewhere.
ts_status ts_comm_agree(const ts_comm *comm, ts_status mine);

// Collective: copies rank 0's bytes to all. `bytes` has the same size everywhere.
void ts_comm_broadcast(const ts_comm *comm, void *bytes, size_t size);

// Messages of at most TS_MESSAGE_MAX bytes between the coordinator (rank 0) and workers. Sending never blocks
// for long (the message is buffered); a rank may send to itself.
enum { TS_MESSAGE_MAX = 512 };
ts_status ts_comm_send(const ts_comm *comm, int to, const void *bytes, size_t size);

// Takes one waiting message, if there is one: true, with sender and size.
bool ts_comm_poll(const ts_comm *comm, int *from, void *bytes, size_t *size);

// "Open MPI v4.1.4, ..." or "none".
const char *ts_comm_library(void);
