// Messages between rank 0's leader and every rank's worker (rank 0's own included).
#pragma once

#include "sweep/sweep.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ts_message_kind {
    // worker -> leader
    TS_MSG_REQUEST,  // an idle slot wants a unit
    TS_MSG_AHEAD,    // a unit is wanted ahead of need
    TS_MSG_URGENT,   // the one asked for ahead is needed now
    TS_MSG_DONE,     // unit, seconds, steps, failed: committed
    TS_MSG_FAILURE,  // instance, text: a failed instance and why
    TS_MSG_SPLIT,    // unit: did not fit into memory
    TS_MSG_STATE,    // a sign of life. seconds: when; busy, in_flight...: for the progress line; text: the host
    TS_MSG_BUSY,     // from here to its next message this rank may be silent for long: it commits
    TS_MSG_STOP_ME,  // text: a signal reached this rank, or it cannot go on (status)
    TS_MSG_PROGRESS, // unit, done: of a unit that a team trains, from its first rank
    TS_MSG_RETURNED, // unit, done: its team has stopped it, from each of its ranks
    TS_MSG_STOPPED,  // everything this rank had is committed or saved
    // leader -> worker
    TS_MSG_ASSIGN, // unit, team
    TS_MSG_RECALL, // unit: its team is to stop and return it
    TS_MSG_BREAK,  // team: of its ranks some is lost, and what they train with others is given up
    TS_MSG_STOP,   // save everything and answer with STOPPED
    TS_MSG_FINISH, // the run is over; failed: so many ranks were lost, without whom it ends
    TS_MSG_ALIVE,  // a sign of life. seconds: those of the STATE that it answers; 0: none
    TS_MSG_WAIT,   // from here to its next message rank 0 may be silent for long
    TS_MSG_LOST,   // this rank was silent for too long, and is given up: it writes nothing more
} ts_message_kind;

// Ranks that train a unit together: first .. first + ranks - 1; ranks 1: one alone. No two teams of a run have one
// number.
typedef struct ts_team_place {
    int32_t first, ranks, number;
} ts_team_place;

// Whether two units of a run, in which no row is in two of them at once, are the same.
static inline bool ts_unit_is(const ts_unit *a, const ts_unit *b) {
    return a->case_index == b->case_index && a->first_row == b->first_row;
}

typedef struct ts_run_message {
    int32_t kind;
    int32_t status; // STOP_ME: ts_status; TS_OK for a signal
    ts_unit unit;
    ts_team_place team;
    double done; // share of the unit's steps
    int64_t instance, failed;
    double seconds, steps; // DONE, STATE, ALIVE
    double cost_in_flight, steps_in_flight;
    int32_t busy;
    char text[200];
} ts_run_message;
_Static_assert(sizeof(ts_run_message) <= 512, "fits a message");
