// Adam (Kingma & Ba 2015) as PyTorch computes it; with decoupled weight decay it is AdamW (Loshchilov & Hutter 2019).
// The numbers a step needs are made here, in double precision, so that every backend takes the same steps:
//     m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = decay p - rate m / (sqrt(v) / root + 1e-8)
// rate and root have the corrections of both moments' bias. Adam's own weight decay is added to the gradient before.
#pragma once

#include "model/optimiser.h"

typedef struct ts_adam {
    ts_schedule schedule;
    double beta1, beta2;
    double weight_decay;   // decoupled: AdamW's
    double coupled;        // that of the gradient: Adam's
    double power1, power2; // beta^t after t updates
    int64_t t;
} ts_adam;

// Positions `adam` after `t` updates, if it is not there already (zeroed: it is nowhere), and returns it. Constants
// come from the keys of adamw, of muon for the tensors that AdamW steps there, or of adam.
ts_adam *ts_adam_at(ts_adam *adam, const ts_params *params, int64_t t);

// Constants of the next update (number t, from 0), and on to the one after.
typedef struct ts_adam_step {
    double rate;  // lr schedule(t) / (1 - beta1^(t + 1))
    double root;  // sqrt(1 - beta2^(t + 1))
    double decay; // 1 - lr schedule(t) * weight_decay; above 1 weights grow instead (ts_growth_factor)
} ts_adam_step;
ts_adam_step ts_adam_next(ts_adam *adam);

// The step that they make, in double precision: p, m, v, g (count).
void ts_adam_take(const ts_adam *adam, ts_adam_step step, int64_t count, const double *gradient, double *parameter,
                  double *first, double *second);
