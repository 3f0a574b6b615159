// A network whose tokens and results are given the numbers of the elements that they stand for (ts_symmetry.token), so
// that whatever measures it sees the group's own table: tokens of x * y mod p as powers of a generator.
#pragma once

#include "base/memory.h"
#include "model/network.h"
#include "task/symmetry.h"

typedef struct ts_renumbered {
    ts_network network; // to be measured in place of the one given
    ts_slab slab;
} ts_renumbered;

// What is given outlives it; free with ts_renumbered_close, also after a fault.
ts_status ts_renumbered_open(const ts_network *network, const ts_symmetry *symmetry, ts_renumbered *out);
void ts_renumbered_close(ts_renumbered *renumbered);
