#include "model/optimiser.h"

#include <math.h>
#include <string.h>

enum { CONSTANT, LINEAR, COSINE };
const char *const ts_schedule_names[] = {
    [CONSTANT] = "constant", [LINEAR] = "linear", [COSINE] = "cosine", NULL};

ts_adam *ts_adam_at(ts_adam *adam, const ts_params *params, int64_t t) {
    if (adam->steps > 0 && adam->t == t)
        return adam;
    *adam = (ts_adam){
        .lr = ts_params_real(params, "lr"),
        .beta1 = ts_params_real(params, "beta1"),
        .beta2 = ts_params_real(params, "beta2"),
        .weight_decay =
            ts_schema_find(params->schema, "weight_decay") < 0 ? 0 : ts_params_real(params, "weight_decay"),
        .steps = ts_params_integer(params, "steps"),
        .power1 = 1,
        .power2 = 1,
        .t = t,
    };
    const char *schedule = ts_params_name(params, "schedule");
    while (strcmp(ts_schedule_names[adam->schedule], schedule) != 0)
        adam->schedule++;
    // By multiplication, as an uninterrupted run gets there, so that a continued run has the same bits.
    for (int64_t i = 0; i < t; i++) {
        adam->power1 *= adam->beta1;
        adam->power2 *= adam->beta2;
    }
    return adam;
}

static double schedule_at(const ts_adam *adam) {
    double t = (double)adam->t, steps = (double)adam->steps;
    switch (adam->schedule) {
    case LINEAR:
        return 1 - t / steps;
    case COSINE:
        return steps > 1 ? cos(1.57079632679489661923 * t / (steps - 1)) : 1;
    default:
        return 1;
    }
}

ts_adam_step ts_adam_next(ts_adam *adam) {
    adam->power1 *= adam->beta1;
    adam->power2 *= adam->beta2;
    double lr = adam->lr * schedule_at(adam);
    ts_adam_step step = {
        .rate = lr / (1 - adam->power1),
        .root = sqrt(1 - adam->power2),
        .decay = 1 - lr * adam->weight_decay,
    };
    adam->t++;
    return step;
}

bool ts_adam_update(double *state, const double *gradient, int64_t count, ts_adam *adam) {
    double *first = state + count, *second = first + count;
    ts_adam_step step = ts_adam_next(adam);
    int sound = 1;
    for (int64_t p = 0; p < count; p++) {
        double g = gradient[p];
        first[p] = adam->beta1 * first[p] + (1 - adam->beta1) * g;
        second[p] = adam->beta2 * second[p] + (1 - adam->beta2) * g * g;
        state[p] = step.decay * state[p] - step.rate * first[p] / (sqrt(second[p]) / step.root + 1e-8);
        sound &= (isfinite((float)state[p]) != 0) & (isfinite(first[p]) != 0) & (isfinite(second[p]) != 0);
    }
    return sound;
}
