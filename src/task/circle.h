// Tokens on a circle, as Fourier measures see them: residues at their own places, elements of a cyclic group at the
// powers that they are of its first generator.
#pragma once

#include "task/table.h"

// *place (n): of tokens and results on a circle of n places, owned by the caller. numbered: they lie at their numbers.
// Else NULL where the table is no cyclic group.
ts_status ts_circle_places(const ts_table *table, bool numbered, int **place);
