// What group, if any, a table modulo p is to be analysed in: Z_p where it is u(a) + v(b), the cyclic group of residues
// without 0 where it is u(a) v(b), and C_n where it is a cyclic group in any order of its elements.
#pragma once

#include "task/symmetry.h"

// `residue`: that token 0 stands for; token i for residue + i. *symmetry NULL: none of these (the table may be
// another group; see ts_symmetry_of_group).
ts_status ts_symmetry_recognise(const ts_table *table, int p, int residue, ts_symmetry **symmetry);
