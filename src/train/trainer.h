// The trainer takes one work unit - some instances of one case - from initial weights to finished records:
// step loop, measures at checkpoints, divergence, saving and restoring. It knows nothing of files, ranks or
// schedules. One thread at a time works on a trainer; different trainers are independent.
#pragma once

#include "base/pause.h"
#include "train/trainer_spec.h"

#include <stdbool.h>
#include <stdint.h>

// TS_ERROR_MEMORY: with fewer instances it may fit.
ts_status ts_trainer_create(const ts_trainer_spec *spec, ts_trainer **trainer);
void ts_trainer_free(ts_trainer *trainer);

// Trains on until everything is measured (*finished), or *pause, a ts_pause, is not 0 (on any rank of the team):
// it then returns within some 20 ms, between two steps, and may be called again. Measures in progress are finished
// first, or given up, as *pause says; ranks of a team that were not asked themselves finish their share of a pass over
// the pairs. When it returns has no influence on any bit of the results.
ts_status ts_trainer_advance(ts_trainer *trainer, const atomic_int *pause, bool *finished);

// Steps of the whole unit done so far, of how many; readable from any thread.
double ts_trainer_progress(const ts_trainer *trainer);

// Result of one instance, once finished: steps done, and the record. A diverged instance has a reason (else NULL), its
// curve so far, and as many steps as left its weights and moments finite.
typedef struct ts_trained {
    int64_t steps_done;
    const void *record;
    const char *failure;
} ts_trained;
ts_trained ts_trainer_result(const ts_trainer *trainer, int instance);

// The whole state between two steps, for ts_trainer_restore of a new trainer with the same spec. *state (*bytes):
// free with ts_free; NULL unless TS_OK. TS_ERROR_MEMORY: there is no room for it; TS_ERROR_FATAL: the device is lost.
ts_status ts_trainer_save(const ts_trainer *trainer, void **state, size_t *bytes);
size_t ts_trainer_most_state_bytes(const ts_trainer *trainer); // that it can have at any step
// TS_ERROR_UNIT: it is not this unit's, and the trainer is as before; TS_ERROR_FATAL: the device is lost.
ts_status ts_trainer_restore(ts_trainer *trainer, const void *state, size_t bytes);

// A new trainer begins where instances that differ in steps and checkpoints alone, and have fewer, ended at `step`:
// ended (count, of->bytes) are their records, with states (`save: state`), which are used up. What is to be measured at
// that step is measured again, so that all is as if they had had these steps from the start. TS_ERROR_UNIT, with a
// message: they do not fit, and the trainer is of no use; TS_ERROR_FATAL: the device is lost.
ts_status ts_trainer_go_on(ts_trainer *trainer, int64_t step, const ts_record_layout *of, void *ended);

// What a saved state tells of its instances without an engine: steps done, and losses of the last checkpoint that was
// measured (NaN: there was none, or the model has no such loss).
enum { TS_LATEST_LOSSES = 3 };
extern const char *const ts_latest_loss[TS_LATEST_LOSSES]; // their names
typedef struct ts_latest {
    int64_t steps_done;
    double loss[TS_LATEST_LOSSES];
} ts_latest;

// From the beginning of the state of a unit of `count` instances, of which so many bytes are enough. False: it is none.
size_t ts_trainer_latest_bytes(int64_t count);
bool ts_trainer_latest(const void *state, int64_t count, ts_latest *latest);

// The instances' records (count, layout->bytes) within a whole state. NULL: it is not of such a unit.
const void *ts_trainer_saved_records(const void *state, size_t bytes, const ts_record_layout *layout, int64_t count);

// Bytes that a trainer of one instance takes, about; for packing units into memory.
int64_t ts_trainer_bytes(const ts_params *params, const ts_record_layout *layout);
