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
        .epsilon = 1e-8,
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
    ts_adam_step step = {
        .rate = adam->lr * schedule_at(adam) / (1 - adam->power1),
        .root = 1 / sqrt(1 - adam->power2),
    };
    adam->t++;
    return step;
}
