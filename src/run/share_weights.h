// What a sweep begins with (`init_from`), from rank 0, which has read its files, to all others.
#pragma once

#include "base/comm.h"
#include "sweep/sweep.h"

typedef struct ts_shared_weights {
    int64_t count;
    ts_noted_weights *noted; // (count)
    char *texts;             // that these point into; owned
    char *numbers;           // likewise
} ts_shared_weights;

// Collective. `sweep`: rank 0's; NULL elsewhere. Fills in `shared` on the others; to be freed in any case.
ts_status ts_share_weights(const ts_comm *comm, const ts_sweep *sweep, ts_shared_weights *shared);
void ts_shared_weights_free(ts_shared_weights *shared);
