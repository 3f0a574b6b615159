// An instance's updates on the CPU, in float32: every optimiser of model/optimiser.h by its kernel, and what becomes of
// a gradient before. cpu_optimiser.c lists them: a new one is a function and a row there. Not: where a gradient comes
// from.
#pragma once

#include "backend/adam_constants.h"
#include "backend/cpu.h"
#include "backend/padded_layout.h"
#include "model/optimiser.h"

// As ts_engine.can: whether there are kernels of its optimiser.
const char *ts_cpu_optimiser_can(const ts_params *params);

// Floats that an update works in.
size_t ts_cpu_optimiser_scratch(const ts_params *params, const ts_padded_layout *layout);

// What updates of an instance need. Pads of all of these are 0, and stay so.
typedef struct ts_cpu_instance {
    const ts_params *params;
    const ts_kernels *kernels;
    const ts_padded_layout *layout;
    ts_adam *adam;   // zeroed at first
    float *state;    // (layout->parts, layout->padded)
    float *gradient; // (layout->padded), changed by an update
    float *scratch;
} ts_cpu_instance;

// Its updates from number `t` on, with what need not be looked up for each of them.
typedef struct ts_cpu_updates {
    ts_cpu_instance of;
    int64_t t;
    bool (*step)(struct ts_cpu_updates *updates);
    ts_gradient_filter filter;
    ts_schedule schedule;
    ts_adam_betas betas;
    float coupled, momentum;
} ts_cpu_updates;
void ts_cpu_updates_begin(ts_cpu_updates *updates, const ts_cpu_instance *of, int64_t t);

// The next one. False: a weight or a moment is not finite now.
bool ts_cpu_update(ts_cpu_updates *updates);
