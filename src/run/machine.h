// What of its node a rank may use.
#pragma once

#include "base/comm.h"

// Cores this rank may use, shared fairly among the ranks of its node.
int ts_machine_cores(const ts_comm *comm);

// Memory one slot may use for its unit, of this rank's node.
int64_t ts_machine_slot_bytes(const ts_comm *comm, int slots);
