// The published number of stacked instances (`stacked_instances` N): final_loss summed over the N that would be one
// tensor, which are N instances of one point of the grid that follow each other. A column that follows from others: no
// row's checksum covers it, and whoever fills the file makes it again at the end.
#pragma once

#include "results/rows.h"

// Makes the column what it is by now. No other process may write.
void ts_stacks_fill(ts_rows *rows);
