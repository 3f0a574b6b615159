// The end of a run where other ranks may hang. While all ranks train, the leader looks after those that fall silent
// (silence.h); before and after that they wait for each other in MPI, where no message is looked at: there a thread
// of each rank counts how long, and ends the rank in time. And what tells a launcher how the run ended, before MPI
// ends.
#pragma once

#include "base/comm.h"
#include "integrity/lock.h"

typedef enum ts_ending_phase {
    TS_PHASE_PREPARE, // rank 0 may take any time to look through the results file
    TS_PHASE_TRAIN,   // somebody else looks after silent ranks
    TS_PHASE_CLOSE,   // rows and states are saved
} ts_ending_phase;

typedef struct ts_ending_setup {
    const ts_comm *comm;
    double patience;
    double deadline;     // as a session's
    const ts_lock *lock; // rank 0's, removed if the run is ended here; until ts_ending_saved
} ts_ending_setup;

// Starts the thread, where there are several ranks; it is never stopped.
void ts_ending_watch(const ts_ending_setup *setup);
void ts_ending_phase_begins(ts_ending_phase phase);

// Rank 0 has been asked to stop and saves, which may take its time: says so in that file, so that a launcher waits.
void ts_ending_saving(const ts_comm *comm);

// Rank 0 has saved everything, and nothing but the end of MPI follows: writes the exit code, a decimal number and a
// newline, to the file that TOYSWEEP_END_FILE names. Other ranks: no more than that.
void ts_ending_saved(const ts_comm *comm, int code);
