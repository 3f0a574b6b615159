// The optimisers `sgd` and `momentum`: gradient descent, as PyTorch's SGD computes it. With g the gradient at the
// weights p,
//     v = momentum v + g + weight_decay p (sgd: without v);  p = p - lr schedule(t) v
#include "model/optimiser.h"

#define WEIGHT_DECAY                                                                                                   \
    { "weight_decay", TS_REAL, "0", 0, 1e6, NULL, false, "Weight decay, added to the gradient of all weights" }

static const ts_key SGD_KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of SGD"},
    WEIGHT_DECAY,
    {0},
};

static const ts_key MOMENTUM_KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of SGD with momentum"},
    {"momentum", TS_REAL, "0.9", 0, 0.9999999, NULL, false, "Share of its last step that each one goes on with"},
    WEIGHT_DECAY,
    {0},
};

static double rate_of(const ts_update *u) {
    ts_schedule schedule = ts_schedule_of(u->params);
    return ts_schedule_rate(&schedule, u->t);
}

static void descend(const ts_update *u, const double *gradient, double *state) {
    double rate = rate_of(u), decay = ts_params_real(u->params, "weight_decay");
    for (int64_t p = 0; p < u->layout->total; p++)
        state[p] -= rate * (gradient[p] + decay * state[p]);
}

static void descend_with_momentum(const ts_update *u, const double *gradient, double *state) {
    double rate = rate_of(u), decay = ts_params_real(u->params, "weight_decay");
    double keep = ts_params_real(u->params, "momentum"), *velocity = state + u->layout->total;
    for (int64_t p = 0; p < u->layout->total; p++) {
        velocity[p] = keep * velocity[p] + gradient[p] + decay * state[p];
        state[p] -= rate * velocity[p];
    }
}

const ts_optimiser ts_optimiser_sgd = {
    .name = "sgd",
    .keys = SGD_KEYS,
    .coupled = true,
    .update = descend,
};

const ts_optimiser ts_optimiser_momentum = {
    .name = "momentum",
    .keys = MOMENTUM_KEYS,
    .moments = 1,
    .coupled = true,
    .update = descend_with_momentum,
};
