// Adam (Kingma & Ba 2015) as PyTorch computes it; with weight decay it is AdamW (Loshchilov & Hutter 2019). The numbers
// a step needs are made here, in double precision, so that every backend takes the same steps:
//     m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = decay p - rate m / (sqrt(v) / root + 1e-8)
// rate and root have the corrections of both moments' bias.
#pragma once

#include "model/optimiser.h"

typedef struct ts_adam {
    ts_schedule schedule;
    double beta1, beta2, weight_decay;
    double power1, power2; // beta^t after t updates
    int64_t t;
} ts_adam;

// Positions `adam` after `t` updates, if it is not there already (zeroed: it is nowhere), and returns it.
// Constants come from the keys lr, beta1, beta2, schedule, steps and, where there is one, weight_decay.
ts_adam *ts_adam_at(ts_adam *adam, const ts_params *params, int64_t t);

// Constants of the next update (number t, from 0), and on to the one after.
typedef struct ts_adam_step {
    double rate;  // lr schedule(t) / (1 - beta1^(t + 1))
    double root;  // sqrt(1 - beta2^(t + 1))
    double decay; // 1 - lr schedule(t) * weight_decay
} ts_adam_step;
ts_adam_step ts_adam_next(ts_adam *adam);
