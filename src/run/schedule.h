// What is left to do: from the results file's statuses and the saved states to a coordinator.
#pragma once

#include "run/coordinator.h"
#include "run/job.h"

// row_status: (instances) of the results file. Saved units that no longer fit are removed, files and all.
// ranks_per_instance: of instances that can be shared (coordinator.h). Rank 0's.
ts_status ts_schedule_make(ts_job *job, const uint8_t *row_status, int ranks, int slots, int64_t slot_bytes,
                           int ranks_per_instance, ts_coordinator **coordinator);
