// States of unfinished units: FILE.state/unit-<case>-<first row>-<rows>.bin, two generations (.bin and .old),
// each written to a temporary name, checksummed, synced and renamed. The payload is the trainer's; this
// module knows only which unit and which sweep it belongs to. Any rank saves its own units; listing is rank
// 0's.
#pragma once

#include "sweep/sweep.h"

#include <stdbool.h>
#include <stddef.h>

struct ts_lock;

// `directory` is made if it is missing, unless the run's lock (NULL: the directory exists) is no more in place: then
// another run may have ended since, and this is TS_ERROR_FATAL. `digest`: the sweep's. A fault (full disk) leaves the
// earlier generation intact.
ts_status ts_state_save(const char *directory, const struct ts_lock *lock, const uint8_t digest[32],
                        const ts_unit *unit, const void *payload, size_t bytes);

// Units of this sweep that have a state file, by name only; free *units with ts_free. A missing directory:
// none.
ts_status ts_state_list(const char *directory, ts_unit **units, int64_t *count);

// The newest intact state of the unit: *payload (free with ts_free), or NULL if there is none. A torn,
// corrupt or foreign file, one of more than `most` bytes, or what is no file, is reported with ts_warn and passed over,
// falling back to the older generation.
ts_status ts_state_load(const char *directory, const uint8_t digest[32], const ts_unit *unit, size_t most,
                        void **payload, size_t *bytes);

// The first `bytes` bytes of the newest state, quickly: its head is checked, its contents are not. False: there is none
// that long.
bool ts_state_peek(const char *directory, const uint8_t digest[32], const ts_unit *unit, void *beginning, size_t bytes);

void ts_state_remove(const char *directory, const ts_unit *unit); // both generations; missing is fine

// When every unit is finished: what is left by ranks that were killed or given up, and the directory, unless something
// else is in it.
void ts_state_remove_all(const char *directory);
