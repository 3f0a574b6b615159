// The list of optimisers, and what all of them share: the choice between them and learning-rate schedules.
#include "model/optimiser.h"

#include <math.h>
#include <string.h>

// A new one is one file and one word here.
#define OPTIMISERS(ENTRY) ENTRY(adam) ENTRY(adamw) ENTRY(sgd)

#define DECLARE(name) extern const ts_optimiser ts_optimiser_##name;
#define ADDRESS(name) &ts_optimiser_##name,
#define NAME(name)    #name,
OPTIMISERS(DECLARE)
const ts_optimiser *const ts_optimisers[] = {OPTIMISERS(ADDRESS) NULL};
static const char *const NAMES[] = {OPTIMISERS(NAME) NULL};

enum { CONSTANT, LINEAR, COSINE };
static const char *const SCHEDULES[] = {[CONSTANT] = "constant", [LINEAR] = "linear", [COSINE] = "cosine", NULL};

const ts_key ts_optimizer_keys[] = {
    {"optimizer", TS_NAME, "", 0, 0, NAMES, true, "What takes the steps (default: the model's usual one)"},
    {0},
};

const ts_key ts_schedule_keys[] = {
    {"schedule", TS_NAME, "constant", 0, 0, SCHEDULES, false,
     "Learning rate over time: constant, linear (1 - t/T) or cosine (cos(pi/2 t/(T-1)))"},
    {0},
};

const ts_optimiser *ts_optimiser_of(const ts_params *params) {
    return params->schema->optimiser;
}

ts_schedule ts_schedule_of(const ts_params *params) {
    ts_schedule schedule = {.lr = ts_params_real(params, "lr"), .steps = ts_params_integer(params, "steps")};
    while (strcmp(SCHEDULES[schedule.kind], ts_params_name(params, "schedule")) != 0)
        schedule.kind++;
    return schedule;
}

double ts_schedule_rate(const ts_schedule *schedule, int64_t t) {
    double steps = (double)schedule->steps;
    switch (schedule->kind) {
    case LINEAR:
        return schedule->lr * (1 - (double)t / steps);
    case COSINE:
        return schedule->lr * (steps > 1 ? cos(1.57079632679489661923 * (double)t / (steps - 1)) : 1);
    default:
        return schedule->lr;
    }
}
