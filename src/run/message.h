// Messages between rank 0's leader and every rank's worker (rank 0's own included).
#pragma once

#include "sweep/sweep.h"

#include <stdint.h>

typedef enum ts_message_kind {
    // worker -> leader
    TS_MSG_REQUEST,   // an idle slot wants a unit
    TS_MSG_AHEAD,     // a unit is wanted ahead of need
    TS_MSG_URGENT,    // the one asked for ahead is needed now
    TS_MSG_DONE,      // unit, seconds, steps, failed: committed
    TS_MSG_FAILURE,   // instance, text: a failed instance and why
    TS_MSG_SPLIT,     // unit: did not fit into memory
    TS_MSG_STATE,     // busy, in_flight...: for the progress line
    TS_MSG_STOP_ME,   // text: a signal reached this rank, or it cannot go on (status)
    TS_MSG_WIDE,      // unit, seconds, steps, failed: trained by a team, committed
    TS_MSG_WIDE_OVER, // this rank's teams have nothing left
    TS_MSG_STOPPED,   // everything this rank had is committed or saved
    // leader -> worker
    TS_MSG_ASSIGN, // unit
    TS_MSG_STOP,   // save everything and answer with STOPPED
    TS_MSG_FINISH, // the run is over
} ts_message_kind;

typedef struct ts_run_message {
    int32_t kind;
    int32_t status; // STOP_ME: ts_status; TS_OK for a signal
    ts_unit unit;
    int64_t instance, failed;
    double seconds, steps; // DONE
    double cost_in_flight, steps_in_flight;
    int32_t busy;
    char text[200];
} ts_run_message;
_Static_assert(sizeof(ts_run_message) <= 512, "fits a message");
