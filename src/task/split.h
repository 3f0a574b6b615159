// The split of a table task's pairs into training and test pairs: the keys that say how, the same for every
// table task. The split itself is ts_table_split (table.h).
#pragma once

#include "param/key.h"

// Rows of a table task's keys.
#define TS_SPLIT_KEYS                                                                                                  \
    {"train_fraction", TS_REAL, "0.4", 0, 1, NULL, true, "Share of all pairs that is trained on"}, {                   \
        "split_seed", TS_INTEGER, "-1", -1, 0x1p53, NULL, false,                                                       \
            "Seed that draws the training pairs, as PyTorch would; -1: the instance's seed"                            \
    }

// Part of a table task's check: some pair of an n x n table must be trained on. As ts_task.check.
const char *ts_split_check(const ts_params *params, int n, char *message, size_t bytes);
