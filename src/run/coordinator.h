// The coordinator decides which rank trains what next: a pure state machine. Events go in as calls,
// assignments come out of ts_coordinator_next; it does no communication, keeps no time and draws no random
// numbers, so that `plan` and the tests run exactly what a run runs.
//
// Policy: cases with the longest instances first; a unit's size is a fraction of what is left per slot, so
// that units start large (few messages and commits) and end small (no rank waits long for the last). Saved
// units go first, whole.
//
// An instance whose steps have parts may be trained by several ranks together, with the same bits. While there are
// fewer of these than ranks, they are given to teams, as wide as makes all end at the same time, beside ranks that are
// kept for everything else. When ranks are idle and nothing waits, teams are called back and formed anew, if that gains
// more than it costs: so none of them is the last, whatever was predicted.
#pragma once

#include "base/status.h"
#include "run/coordinator_setup.h"

#include <stdbool.h>

typedef struct ts_coordinator ts_coordinator;

ts_status ts_coordinator_create(const ts_coordinator_setup *setup, ts_coordinator **coordinator);
void ts_coordinator_free(ts_coordinator *coordinator);

// Events. A rank asks once for each idle slot (urgent), and once more ahead of need; ahead requests are only
// served while plenty is left. ts_coordinator_make_urgent turns an unserved ahead request of the rank into an
// urgent one. TS_ERROR_MEMORY: the request is lost, and the run must end.
ts_status ts_coordinator_request(ts_coordinator *coordinator, int rank, bool urgent);
ts_status ts_coordinator_make_urgent(ts_coordinator *coordinator, int rank);
// Once for a unit, when its first rank has committed it: seconds by the clock. All ranks ask again for the slot.
void ts_coordinator_done(ts_coordinator *coordinator, const ts_unit *unit, double seconds);
// Now and then, of units with one instance that has parts: the share of its work that is done.
void ts_coordinator_progress(ts_coordinator *coordinator, const ts_unit *unit, double done);
// All ranks of a unit have stopped it, its state is saved, and it waits again with this share of its work left (0..1).
// All of them ask again for the slot. TS_ERROR_MEMORY: it is lost, and the run must end.
ts_status ts_coordinator_returned(ts_coordinator *coordinator, const ts_unit *unit, double left);
// No rank is waited for that should have asked by now, as all do at the beginning and when their team has ended. Until
// they have, nothing is given to anybody while an instance waits that they could share: call this some seconds after
// the last event while ranks ask in vain.
void ts_coordinator_wait_no_more(ts_coordinator *coordinator);
// A unit did not fit into memory: its halves wait again. False if it has one instance only, which has then
// failed.
bool ts_coordinator_split(ts_coordinator *coordinator, const ts_unit *unit);
// A rank is lost, with `units` that it was given and has neither done nor split: nobody waits for them, nor trains
// them. It gets no more, whatever it has asked for, and no event of it may follow.
void ts_coordinator_lost(ts_coordinator *coordinator, int rank, int64_t units);
// No more assignments: a stop was asked for.
void ts_coordinator_close(ts_coordinator *coordinator);

// The next assignment, if one can be made now.
bool ts_coordinator_next(ts_coordinator *coordinator, ts_assignment *assignment);
// After that: a unit that is to be called back from all its ranks, wherever it is, if there is one; said once. It comes
// back (ts_coordinator_returned), or is done.
bool ts_coordinator_recall(ts_coordinator *coordinator, ts_assignment *assignment);

// Not TS_OK: there was no memory to go on with, and the run must end.
ts_status ts_coordinator_status(const ts_coordinator *coordinator);

// Nothing waits and nothing is out.
bool ts_coordinator_finished(const ts_coordinator *coordinator);

// Predicted seconds of one slot for everything that waits.
double ts_coordinator_waiting(const ts_coordinator *coordinator);
int64_t ts_coordinator_units_out(const ts_coordinator *coordinator);

// Requests and row ranges looked at so far: beside the number of events, what an event costs.
int64_t ts_coordinator_looked(const ts_coordinator *coordinator);
