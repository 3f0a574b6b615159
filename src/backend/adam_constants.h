// What engines whose kernels have Adam alone need of it: whether it trains an instance; and, of all kernels that have
// Adam, its constants as they take them, rounded to float.
#pragma once

#include "model/adam.h"
#include "optimiser.h"

// As ts_engine.can. (Whatever makes learning rates, they take.)
static inline const char *ts_adam_can(const ts_params *params) {
    const ts_optimiser *optimiser = ts_optimiser_of(params);
    if (optimiser != &ts_optimiser_adam && optimiser != &ts_optimiser_adamw)
        return "its kernels have no optimizer but adam and adamw";
    if (ts_coupled_decay(params) != 0)
        return "its kernels have no weight_decay of adam";
    return ts_params_bool(params, "grokfast")    ? "its kernels have no grokfast"
           : ts_params_bool(params, "orthograd") ? "its kernels have no orthograd"
                                                 : NULL;
}

// Whether an update needs Adam's constants: that of Adam, AdamW, and Muon, whose other tensors AdamW steps.
static inline bool ts_of_adam(const ts_params *params) {
    const ts_optimiser *optimiser = ts_optimiser_of(params);
    return optimiser == &ts_optimiser_adam || optimiser == &ts_optimiser_adamw || optimiser == &ts_optimiser_muon;
}

static inline ts_adam_betas ts_adam_betas_from(double beta1, double beta2) {
    return (ts_adam_betas){(float)beta1, (float)(1 - beta1), (float)beta2, (float)(1 - beta2)};
}

static inline ts_adam_betas ts_adam_betas_of(const ts_params *params) {
    return ts_adam_betas_from(ts_params_real(params, "beta1"), ts_params_real(params, "beta2"));
}

// Constants of the next update, and on to the one after.
static inline ts_adam_rates ts_adam_next_rates(ts_adam *adam) {
    ts_adam_step next = ts_adam_next(adam);
    float root = (float)next.root;
    return (ts_adam_rates){(float)next.rate, (float)next.decay, root, 1 / root};
}
