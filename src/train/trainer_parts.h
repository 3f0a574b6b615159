// What a trainer is made of, for trainer.c, which trains, and saved.c, which turns it into bytes and back.
#pragma once

#include "base/memory.h"
#include "model/model.h"
#include "train/trainer_spec.h"

struct ts_trainer {
    ts_trainer_spec spec;
    const ts_model *model;
    void *training; // the engine's
    ts_params *params;
    int64_t step;       // steps the unit has done
    int64_t checkpoint; // next checkpoint to measure at
    int64_t measured;   // instances measured at it already
    int64_t reviewed;   // of the next one, 1 + checkpoints looked at in hindsight; 0: it is not at its end
    int64_t steps;      // to do
    int64_t *reached;   // (count) == step; or, of an instance that has ended, -1 - steps that it did
    int64_t *diverged;  // (count) what is not finite then (divergence.h); 0: nothing, it stopped early
    char *records;      // (count, layout->bytes)
    double *measures;   // (layout->measures)
    double *scratch;    // (layout->measures)
    double *final;      // (layout->measures)
    float *parameters;  // of one instance
    float *kept;        // (layout->kept, count, layout->parameters) weights of earlier checkpoints
    int64_t slice;      // steps trained between two looks at `pause`
    char (*failure)[96];
    _Atomic double progress;
    ts_slab slab;
};

static inline char *ts_trainer_record_of(const ts_trainer *t, int instance) {
    return t->records + (size_t)instance * t->spec.layout->bytes;
}

// Of one instance's weights.
static inline size_t ts_trainer_kept_bytes(const ts_trainer *t) {
    return (size_t)t->spec.layout->parameters * sizeof(float);
}

// Steps that an instance has done.
static inline int64_t ts_trainer_steps_of(int64_t reached) {
    return reached < 0 ? -1 - reached : reached;
}

// Whether the checkpoint at hand is partly measured.
static inline bool ts_trainer_is_begun(int64_t measured, int64_t reviewed) {
    return measured > 0 || reviewed > 0;
}

// The state of an instance at its end goes into its record, if the sweep keeps it.
ts_status ts_trainer_keep_state(ts_trainer *trainer, int instance);
