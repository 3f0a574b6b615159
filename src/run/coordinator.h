// The coordinator decides which rank trains what next: a pure state machine. Events go in as calls,
// assignments come out of ts_coordinator_next; it does no communication, keeps no time and draws no random
// numbers, so that `plan` and the tests run exactly what a run runs.
//
// Policy: cases with the longest instances first; a unit's size is a fraction of what is left per slot, so
// that units start large (few messages and commits) and end small (no rank waits long for the last). Saved
// units go first, whole.
#pragma once

#include "base/status.h"
#include "sweep/sweep.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ts_coordinator_case {
    double cost;            // predicted seconds of one slot for one instance
    int64_t instance_bytes; // memory while it trains
    int64_t unit_bytes;     // memory of a unit beside its instances
    int64_t fill;           // instances that a rank needs to be fully used, over all slots of its GPU (CPU: 1)
} ts_coordinator_case;

typedef struct ts_coordinator_setup {
    int ranks;
    int slots;          // units each rank trains at once
    int64_t slot_bytes; // memory for one unit
    int cases;
    const ts_coordinator_case *cases_of; // (cases), copied
    const ts_unit *pending;              // (n_pending) row ranges to train, none overlapping
    int64_t n_pending;
    const ts_unit *saved; // (n_saved) units that were begun and have a state; not in `pending`
    int64_t n_saved;
} ts_coordinator_setup;

typedef struct ts_coordinator ts_coordinator;

ts_status ts_coordinator_create(const ts_coordinator_setup *setup, ts_coordinator **coordinator);
void ts_coordinator_free(ts_coordinator *coordinator);

// Events. A rank asks once for each idle slot (urgent), and once more ahead of need; ahead requests are only
// served while plenty is left. ts_coordinator_make_urgent turns an unserved ahead request of the rank into an
// urgent one. TS_ERROR_MEMORY: the request is lost, and the run must end.
ts_status ts_coordinator_request(ts_coordinator *coordinator, int rank, bool urgent);
ts_status ts_coordinator_make_urgent(ts_coordinator *coordinator, int rank);
void ts_coordinator_done(ts_coordinator *coordinator, const ts_unit *unit, double seconds);
// A unit did not fit into memory: its halves wait again. False if it has one instance only, which has then
// failed.
bool ts_coordinator_split(ts_coordinator *coordinator, const ts_unit *unit);
// No more assignments: a stop was asked for.
void ts_coordinator_close(ts_coordinator *coordinator);

// The next assignment, if one can be made now.
bool ts_coordinator_next(ts_coordinator *coordinator, int *rank, ts_unit *unit);

// Nothing waits and nothing is out.
bool ts_coordinator_finished(const ts_coordinator *coordinator);

// Predicted seconds of one slot for everything that waits.
double ts_coordinator_waiting(const ts_coordinator *coordinator);
int64_t ts_coordinator_units_out(const ts_coordinator *coordinator);

// Requests and row ranges looked at so far: beside the number of events, what an event costs.
int64_t ts_coordinator_looked(const ts_coordinator *coordinator);
