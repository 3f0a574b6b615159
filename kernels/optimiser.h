// Constants of optimisers as every kernel takes them; model/optimiser.h has the formulas. A GPU reads each at once.
#pragma once

#define TS_ORTHOGRAD_EPSILON 1e-30 // so that no division is by 0

#define TS_ADAM_EPSILON 1e-8F

enum { TS_ADAM_PARTS = 3 }; // of a state: parameters, first moments, second moments

typedef struct __attribute__((aligned(16))) ts_adam_betas {
    float beta1, take1, beta2, take2; // take = 1 - beta, rounded once from double (1 - 0.999f is off by 5e-5)
} ts_adam_betas;

typedef struct __attribute__((aligned(16))) ts_adam_rates { // of one step
    float rate, decay;   // decay above 1: columns of features grow (model/optimiser.h), and nothing decays
    float root, inverse; // inverse = 1 / root, rounded: for a division without dividing
} ts_adam_rates;
