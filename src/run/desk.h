// A rank's desk: which units it asks rank 0 for, which of them wait for a slot, and how many of its slots are idle.
// No I/O, clock or randomness, so that runs (worker.c), `plan` (simulate.c) and tests all use the same one.
#pragma once

#include "run/message.h"

#include <stdbool.h>

typedef struct ts_desk {
    int slots, idle;           // idle: slots without a unit
    int urgent_out, ahead_out; // requests that rank 0 has not answered yet
    ts_unit *queue;            // ring of slots + 1, which is all that can be on its way: a unit a slot, one ahead
    int first, queued;
    int alone;              // of those that wait, the first so many are to be trained with nothing beside them
    bool is_alone;          // one is
    bool stopping, stopped; // stopped: rank 0 knows
} ts_desk;

ts_status ts_desk_open(ts_desk *desk, int slots); // all slots idle
void ts_desk_close(ts_desk *desk);

// The next message that is due to rank 0, in `kind`; false: none is. A REQUEST for each idle slot, or an URGENT if one
// is due ahead; AHEAD once all slots train and nothing waits; none while a unit is alone or waits to be; after
// ts_desk_stop only STOPPED, once all slots are idle.
bool ts_desk_ask(ts_desk *desk, ts_message_kind *kind);

// Rank 0 answered with a unit, which is dropped if the desk is stopping. TS_ERROR_FATAL: it was not asked for.
ts_status ts_desk_receive(ts_desk *desk, const ts_unit *unit);

// Gives the unit that has waited longest to an idle slot, those that are to be alone before all others; false if there
// is none to start, or one is alone, or is to be and others are trained.
bool ts_desk_start(ts_desk *desk, ts_unit *unit);

// Rank 0 calls a unit back: false if it does not wait here any more.
bool ts_desk_drop(ts_desk *desk, const ts_unit *unit);

void ts_desk_finish(ts_desk *desk); // a slot is idle again
void ts_desk_stop(ts_desk *desk);   // what waits is dropped, and nothing more is started or asked for

// As finish, of a slot whose unit found no memory. True: others may have it, so it waits, before all others, to be
// trained alone (or is dropped if the desk is stopping); false: it was alone.
bool ts_desk_try_alone(ts_desk *desk, const ts_unit *unit);
