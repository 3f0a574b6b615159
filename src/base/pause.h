// How others ask a thread that trains and measures to pause: through an atomic_int that it looks at now and then.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

typedef enum ts_pause {
    TS_PAUSE_NONE,
    TS_PAUSE_SAVE, // between two steps, to go on soon: measures in progress are finished first
    TS_PAUSE_STOP, // at once: measures in progress are given up, to be made again
} ts_pause;

// `pause` may be NULL: nobody asks.
static inline bool ts_must_stop(const atomic_int *pause) {
    return pause && atomic_load(pause) == TS_PAUSE_STOP;
}
