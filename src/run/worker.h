// The worker side of a rank: its slots, the units waiting for them, commits, and the messages to and from the leader.
// Everything runs on the rank's main thread, in ts_worker_tick.
#pragma once

#include "base/comm.h"
#include "results/store.h"
#include "run/message.h"
#include "run/slot.h"

typedef struct ts_worker ts_worker;

typedef struct ts_worker_setup {
    const ts_comm *comm;
    ts_job *job;
    ts_store *store;
    int slots;
    double checkpoint_interval; // seconds between saves of unit states
} ts_worker_setup;

ts_status ts_worker_create(const ts_worker_setup *setup, ts_worker **worker);
void ts_worker_free(ts_worker *worker);

// One round: commits what is finished, starts what waits, asks for more. True if anything happened.
bool ts_worker_tick(ts_worker *worker);

// A message of the leader. True if the run is over.
bool ts_worker_receive(ts_worker *worker, const ts_run_message *message);

// Saves and stops everything at once. The leader learns why: TS_OK for a signal, else the fault; unless it
// asked itself (reason NULL).
void ts_worker_stop(ts_worker *worker, ts_status status, const char *reason);
