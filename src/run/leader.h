// The leader: rank 0's other half. It feeds messages to the coordinator and assignments to workers, decides
// when to stop, and keeps the run log and the progress line. One tick at a time on rank 0's main thread.
#pragma once

#include "base/comm.h"
#include "run/coordinator.h"
#include "run/job.h"
#include "run/message.h"
#include "run/progress.h"
#include "run/runlog.h"
#include "sweep/grid.h"

typedef struct ts_leader_setup {
    const ts_comm *comm;
    ts_job *job;
    ts_coordinator *coordinator;
    ts_runlog *log;
    const ts_grid *grid;  // of the job's sweep
    int slots;            // of each rank
    int64_t done, failed; // instances finished before this run
    double deadline;      // ts_clock() at which to stop; 0: none
    double patience;      // with ranks that fall silent, in seconds
    int64_t max_failures; // of this run; negative: any number
    bool teams_are_fixed; // ranks train in groups, of which each is needed
} ts_leader_setup;

typedef struct ts_leader ts_leader;

ts_status ts_leader_create(const ts_leader_setup *setup, ts_leader **leader);
void ts_leader_free(ts_leader *leader);

void ts_leader_receive(ts_leader *leader, int from, const ts_run_message *message);
void ts_leader_tick(ts_leader *leader); // assigns, stops, finishes, gives silent ranks up, shows progress

// Round whatever may keep this rank's main thread for long: the others then do not take it for lost.
void ts_leader_begin_work(ts_leader *leader);
void ts_leader_end_work(ts_leader *leader);

// How the run ended; valid after the loop.
typedef struct ts_run_end {
    ts_status fault;       // TS_OK, or what made it stop
    char reason[256];      // why it stopped early; "" if it did not
    bool stopped;          // before everything was done
    bool too_many_failed;  // because of max_failures
    char lost[256];        // ranks that were given up, "rank 3 (node7)"; "": none was
    int64_t done, failed;  // instances, of the whole sweep
    const double *seconds; // (points of the grid) slot seconds spent by this run; owned by the leader
} ts_run_end;
ts_run_end ts_leader_end(const ts_leader *leader);
