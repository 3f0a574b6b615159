// The split of a table task's pairs into training and test pairs: the keys that say how, the same for every
// table task. The split itself is ts_table_split (table.h).
#pragma once

#include "param/key.h"
#include "task/table.h"

extern const char *const ts_split_choices[]; // of the key `split`, as ts_shuffle numbers them

// Rows of a table task's keys.
#define TS_SPLIT_KEYS                                                                                                  \
    {"train_fraction", TS_REAL, "0.4", 0, 1, NULL, true, "Share of all pairs that is trained on"},                     \
        {"split_seed", TS_INTEGER, "-1",  -1,                                                                          \
         0x1p53,       NULL,       false, "Seed that draws the training pairs; -1: the instance's seed"},              \
    {                                                                                                                  \
        "split", TS_NAME, "torch", 0, 0, ts_split_choices, TS_LATER,                                                   \
            "Whose shuffle draws the training pairs: torch.randperm, or Python's random.shuffle"                       \
    }

// Part of a table task's check: some of its pairs must be trained on. As ts_task.check.
const char *ts_split_check(const ts_params *params, int64_t pairs, char *message, size_t bytes);

// Whether the key is one of these rows: they say which pairs are trained on, not what the table is.
bool ts_split_has_key(const char *name);

ts_shuffle ts_split_shuffle(const ts_params *params);
