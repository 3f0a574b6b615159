// What a trainer is made from.
#pragma once

#include "backend/backend.h"
#include "train/record.h"

typedef struct ts_trainer_spec {
    const ts_engine *engine;
    const ts_params *params; // (count), copied
    int count;
    const struct ts_data *data;     // of the case; must outlive the trainer
    const ts_record_layout *layout; // likewise
    const ts_team *team;  // ranks that train this unit together, each with a trainer of its own that is advanced
                          // with them; NULL: this one alone
    struct ts_crew *crew; // threads that help in large steps and measures; NULL: none
    const struct ts_pair_device *device; // where instances are measured (ts_backend.pairs); NULL: on the processor
} ts_trainer_spec;

typedef struct ts_trainer ts_trainer;
