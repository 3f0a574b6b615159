// The optimiser `sgd`: gradient descent, as PyTorch's SGD computes it. With g the gradient at the weights p,
//     p = p - lr schedule(t) (g + weight_decay p)
#include "model/optimiser.h"

static const ts_key KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of SGD"},
    {"weight_decay", TS_REAL, "1", 0, 1e6, NULL, false, "Weight decay, added to the gradient of all weights"},
    {0},
};

static void update(const ts_params *params, int64_t t, void *memory, int64_t count, const double *gradient,
                   double *state) {
    ts_schedule schedule = ts_schedule_of(params);
    double rate = ts_schedule_rate(&schedule, t), decay = ts_params_real(params, "weight_decay");
    (void)memory; // nothing is dear to make
    for (int64_t p = 0; p < count; p++)
        state[p] -= rate * (gradient[p] + decay * state[p]);
}

const ts_optimiser ts_optimiser_sgd = {
    .name = "sgd",
    .keys = KEYS,
    .update = update,
};
