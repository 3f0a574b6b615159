// Exchanges between ranks for threads that train: a thread says what goes where and waits, and its rank's main thread,
// the only one that talks to MPI, carries it out.
#pragma once

#include "base/comm.h"

// With one other rank. Either way may have no bytes, which then do not travel.
typedef struct ts_transfer {
    int rank;
    const void *out;
    void *in;
    size_t out_bytes, in_bytes;
} ts_transfer;

typedef struct ts_exchanges ts_exchanges;

ts_status ts_exchanges_create(ts_exchanges **exchanges);
// When no thread waits in an exchange. What was broken off stays, as MPI may still write there.
void ts_exchanges_free(ts_exchanges *exchanges);

// Any thread but the main one. Returns when all has left and arrived. Both sides call it in the same order with equal
// sizes; exchanges of different `number`s (0 and more) do not meet. TS_ERROR_FATAL: it was broken off, and the memory
// of all exchanges with that number must never be freed.
ts_status ts_exchange(ts_exchanges *exchanges, int number, const ts_transfer *transfers, int count);

// Main thread: begins what has been asked for and ends what has arrived. True while any is under way.
bool ts_exchanges_carry(ts_exchanges *exchanges);

// Main thread: sleeps for so long, or until an exchange is asked for.
void ts_exchanges_sleep(ts_exchanges *exchanges, double seconds);

// Main thread: breaks off all exchanges with that number, now and later.
void ts_exchanges_break(ts_exchanges *exchanges, int number);
