// Optimisers: what turns gradients into steps. One is a name, its keys of a sweep file, so many moments of every
// parameter, and an update in double precision, which the engines of `reference` call; `cpu` has a float32 form of each
// (backend/cpu_optimiser.h), and engines of other backends say which theirs have (ts_engine.can). optimiser.c lists
// them all: a new one is one file and one word there. Sweeps choose by the key `optimizer`; only the keys of the one
// that is chosen apply, and those that every one has.
#pragma once

#include "network/layout.h"
#include "param/key.h"

#include <stdint.h>

// An update of an instance.
typedef struct ts_update {
    const ts_params *params;
    const ts_parameter_layout *layout;
    int64_t t;       // updates made before
    void *memory;    // (optimiser->memory bytes): zeroed at first. What it says may only depend on params and t
    double *scratch; // (optimiser->scratch): for this update alone
} ts_update;

// All members are needed but those that say what NULL means; moments, memory and coupled may be 0.
typedef struct ts_optimiser {
    const char *name;
    const ts_key *keys; // beside ts_step_keys; `lr` is one of them; NULL name ends the list
    int moments;        // numbers that it keeps of every parameter
    size_t memory;      // bytes that it keeps of an instance from one update to the next, to be faster; not saved
    bool coupled;       // its weight_decay is added to the gradient; else weights shrink by it, beside the step

    // Numbers that an update works in. NULL: none.
    size_t (*scratch)(const ts_parameter_layout *layout);

    // Floating-point operations of an update. NULL: a few for every parameter, which count for nothing beside a
    // gradient.
    double (*operations)(const ts_parameter_layout *layout);

    // state (1 + moments, layout->total): parameters, then moments, which start at 0.
    void (*update)(const ts_update *update, const double *gradient, double *state);
} ts_optimiser;

extern const ts_optimiser *const ts_optimisers[]; // NULL-terminated
extern const ts_optimiser ts_optimiser_adam, ts_optimiser_adamw, ts_optimiser_sgd, ts_optimiser_momentum,
    ts_optimiser_muon;

// The one that trains an instance: as its key `optimizer` says, or its model's usual one.
const ts_optimiser *ts_optimiser_of(const ts_params *params);

extern const ts_key ts_optimizer_keys[]; // the choice between them
extern const ts_key ts_step_keys[];      // of any of them: what becomes of a gradient first, learning rate over time

// Parts of an instance's state, each as many numbers as it has parameters: the parameters, the optimiser's moments,
// and, with grokfast, the gradient's average.
int ts_optimiser_parts(const ts_params *params);

// Of the weights, what is added to the gradient: weight_decay of an optimiser that is coupled to it, else 0.
double ts_coupled_decay(const ts_params *params);

// Growth: what a negative weight_decay of adamw does instead. Each column w of a matrix (hidden, feature) is drawn to
// length 1, w = w (1 + lr schedule(t) |weight_decay| (1 / (|w| + 1e-8) - 1)), before the step; other weights stay (Liu,
// Liu & Gore 2025, "Superposition yields robust neural scaling"). In ts_adam_rates and ts_adam_step it is a decay above
// 1.
bool ts_tensor_grows(const ts_tensor *tensor);
double ts_growth_factor(double decay, double square); // of w with |w|^2 = square

// What is wrong with an instance's keys, and no range says, as ts_model.check; tensors: its model's.
const char *ts_optimiser_check(const ts_params *params, const ts_parameter_layout *tensors, char *message,
                               size_t bytes);

// What becomes of a gradient before an optimiser sees it; the formulas are in docs/workloads.md.
typedef struct ts_gradient_filter {
    bool grokfast, orthograd;
    double alpha, lambda; // of grokfast
} ts_gradient_filter;
ts_gradient_filter ts_gradient_filter_of(const ts_params *params);

// An update in double precision, of parameters and all that is kept of them; gradient (layout->total) is changed.
void ts_optimiser_update(const ts_update *update, double *gradient, double *state);

// Learning rate of update t (from 0), by the keys lr, schedule, floor, steps and warmup, which need not be looked up
// for every update.
typedef struct ts_schedule {
    double lr;
    int kind;
    int64_t steps, warmup;
    double floor;
} ts_schedule;
ts_schedule ts_schedule_of(const ts_params *params);
double ts_schedule_rate(const ts_schedule *schedule, int64_t t);
bool ts_schedule_needs_steps(const ts_params *params); // whether the rate of an update depends on `steps`
