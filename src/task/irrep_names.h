// Names of irreps, from their characters: those of workloads.md for S_n, A_n, C_n and D_n (ts_table's
// family), dim4_a, dim4_b, ... for the rest. Beside them the published aliases. Not for finding irreps: see
// irreps.h.
#pragma once

#include "task/classes.h"
#include "task/irrep.h"
#include "task/table.h"

// Fills in name and alias of every irrep of the (sorted) set.
ts_status ts_irrep_names(const ts_table *table, const ts_classes *classes, ts_irreps *irreps);
