// Instances that go on from where they ended with fewer steps in another results file: as saved states of units, from
// which training begins as it goes on after an interruption.
#pragma once

#include "run/fewer_steps.h"
#include "run/job.h"

typedef struct ts_starts {
    const char *const *files; // as in ts_fewer_steps_find
    const ts_fewer_list *list;
    const ts_job *job;     // with its digest
    const uint8_t *status; // (instances) of the results file
    int slots;             // of all ranks together
    int rank_slots;        // of one
    int64_t slot_bytes;    // memory for one unit
} ts_starts;

// Saves states for those of the list that are pending and in no saved unit. started (files): how many of each. An
// instance that is damaged in its file, or does not fit, is named and left to be trained from the start. Rank 0's
// alone.
ts_status ts_starts_make(const ts_starts *starts, int64_t *started);
