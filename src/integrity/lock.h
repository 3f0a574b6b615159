// FILE.lock: one run at a time on a results file. Rank 0 holds byte 0 alone; every other rank holds byte 1
// shared, so that a new run can tell that ranks of a killed one are still dying. Locks vanish with their
// process (open file description locks, which NFS carries too). `path` is the lock file's own, FILE.lock.
#pragma once

#include "base/status.h"

#include <stdbool.h>

typedef struct ts_lock {
    int fd;          // -1: not held
    char path[4096]; // as PATH_MAX, which plain C lacks
} ts_lock;

// Rank 0, before anything else: takes byte 0 and checks byte 1, waiting up to `patience` seconds for a dying
// run. TS_ERROR_FATAL if another run holds it, naming host and process. Where the file system has no locks it
// warns.
ts_status ts_lock_take(const char *path, double patience, ts_lock *lock);

// Every other rank, after rank 0 took it: holds byte 1 shared.
ts_status ts_lock_join(const char *path, ts_lock *lock);

// Is the file that this lock is on still the one at its path? If not, the run that had it is over, and another one may
// have begun.
bool ts_lock_in_place(const ts_lock *lock);

// The run is over: its lock file goes, unless another run's is in its place. Before the release, so that nobody takes
// what is about to vanish.
void ts_lock_remove(const ts_lock *lock);
void ts_lock_release(ts_lock *lock); // closes the file; not held is fine

// Is a run writing now? For `status`. Never waits.
bool ts_lock_is_held(const char *path);
