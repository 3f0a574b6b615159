// Real irreducible representations of any finite group, from its multiplication table alone (commutant
// method), as needed by the progress measures: characters and projectors. A pair of complex-conjugate irreps
// counts as one real irrep. Method and names: docs/workloads.md.
#pragma once

#include "task/irrep.h"
#include "task/table.h"

// All of them. TS_ERROR_UNIT if the table is no group, or its orthogonality relations do not hold to 1e-8.
ts_status ts_irreps_create(const ts_table *table, ts_irreps **irreps);
void ts_irreps_free(ts_irreps *irreps);

// How many there are, from conjugacy classes alone (O(n^2)): orbits of classes under inversion. 0 if
// the table is no group.
int ts_irreps_count(const ts_table *table);
