// The list of optimisers, and what all of them share: the choice between them, what becomes of a gradient before they
// see it, and learning rates over time.
#include "model/optimiser.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// A new one is one file and one word here.
#define OPTIMISERS(ENTRY) ENTRY(adam) ENTRY(adamw) ENTRY(sgd) ENTRY(momentum) ENTRY(muon)

#define DECLARE(name) extern const ts_optimiser ts_optimiser_##name;
#define ADDRESS(name) &ts_optimiser_##name,
#define NAME(name)    #name,
OPTIMISERS(DECLARE)
const ts_optimiser *const ts_optimisers[] = {OPTIMISERS(ADDRESS) NULL};
static const char *const NAMES[] = {OPTIMISERS(NAME) NULL};

enum { CONSTANT, LINEAR, COSINE, COSINE_FLOOR };
static const char *const SCHEDULES[] = {
    [CONSTANT] = "constant", [LINEAR] = "linear", [COSINE] = "cosine", [COSINE_FLOOR] = "cosine_floor", NULL};

const ts_key ts_optimizer_keys[] = {
    {"optimizer", TS_NAME, "", 0, 0, NAMES, TS_SHAPES, "What takes the steps (default: the model's usual one)"},
    {0},
};

const ts_key ts_step_keys[] = {
    {"schedule", TS_NAME, "constant", 0, 0, SCHEDULES, 0,
     "Learning rate over time: constant, linear (1 - t/T), cosine (cos(pi/2 t/(T-1))) or cosine_floor (floor + (1 - "
     "floor) (1 + cos(pi t/T)) / 2)"},
    {"floor", TS_REAL, "0.1", 0, 1, NULL, TS_LATER, "Share of the learning rate that schedule cosine_floor ends with"},
    {"warmup", TS_INTEGER, "0", 0, 1e9, NULL, TS_LATER,
     "Steps over which the learning rate first rises: a factor min(t/N, 1), beside the schedule's; 0: none"},
    {"grokfast", TS_BOOL, "false", 0, 0, NULL, TS_LATER | TS_SHAPES,
     "Whether the gradient's slow part is amplified: lambda times its moving average h is added to it"},
    {"grokfast_alpha", TS_REAL, "0.98", 0, 0.9999999, NULL, TS_LATER | TS_SWITCHED,
     "Decay of that average: h = alpha h + (1 - alpha) g, at first h = g"},
    {"grokfast_lambda", TS_REAL, "2", 0, 1e6, NULL, TS_LATER | TS_SWITCHED, "Share of that average that is added"},
    {"orthograd", TS_BOOL, "false", 0, 0, NULL, TS_LATER | TS_SHAPES,
     "Whether each tensor's gradient loses its part along the weights, and is rescaled to the length that it had"},
    {0},
};

const ts_optimiser *ts_optimiser_of(const ts_params *params) {
    return params->schema->optimiser;
}

int ts_optimiser_parts(const ts_params *params) {
    return 1 + ts_optimiser_of(params)->moments + ts_params_bool(params, "grokfast");
}

// The usual one of a sweep that does not choose may be without the key (ts_model_schema).
double ts_coupled_decay(const ts_params *params) {
    return ts_optimiser_of(params)->coupled ? ts_params_real_or(params, "weight_decay", 0) : 0;
}

ts_gradient_filter ts_gradient_filter_of(const ts_params *params) {
    return (ts_gradient_filter){
        .grokfast = ts_params_bool(params, "grokfast"),
        .orthograd = ts_params_bool(params, "orthograd"),
        .alpha = ts_params_real(params, "grokfast_alpha"),
        .lambda = ts_params_real(params, "grokfast_lambda"),
    };
}

static void add_average(const ts_gradient_filter *filter, int64_t t, int64_t count, double *gradient, double *average) {
    for (int64_t p = 0; p < count; p++) {
        average[p] = t == 0 ? gradient[p] : filter->alpha * average[p] + (1 - filter->alpha) * gradient[p];
        gradient[p] += filter->lambda * average[p];
    }
}

static double dot(const double *a, const double *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static void make_orthogonal(const ts_parameter_layout *layout, double *gradient, const double *weights) {
    for (int i = 0; i < layout->count; i++) {
        double *g = gradient + layout->tensor[i].offset;
        const double *w = weights + layout->tensor[i].offset;
        int64_t count = ts_tensor_numbers(&layout->tensor[i]);
        double length = sqrt(dot(g, g, count)), along = dot(w, g, count) / (dot(w, w, count) + 1e-30);
        for (int64_t p = 0; p < count; p++)
            g[p] -= along * w[p];
        double scale = length / (sqrt(dot(g, g, count)) + 1e-30);
        for (int64_t p = 0; p < count; p++)
            g[p] *= scale;
    }
}

void ts_optimiser_update(const ts_update *update, double *gradient, double *state) {
    const ts_optimiser *optimiser = ts_optimiser_of(update->params);
    ts_gradient_filter filter = ts_gradient_filter_of(update->params);
    int64_t count = update->layout->total;
    if (filter.grokfast)
        add_average(&filter, update->t, count, gradient, state + (1 + optimiser->moments) * count);
    if (filter.orthograd)
        make_orthogonal(update->layout, gradient, state);
    optimiser->update(update, gradient, state);
}

ts_schedule ts_schedule_of(const ts_params *params) {
    ts_schedule schedule = {
        .lr = ts_params_real(params, "lr"),
        .steps = ts_params_integer(params, "steps"),
        .warmup = ts_params_integer(params, "warmup"),
        .floor = ts_params_real(params, "floor"),
    };
    while (strcmp(SCHEDULES[schedule.kind], ts_params_name(params, "schedule")) != 0)
        schedule.kind++;
    return schedule;
}

static const double HALF_PI = 1.57079632679489661923;

double ts_schedule_rate(const ts_schedule *schedule, int64_t t) {
    double steps = (double)schedule->steps, rate = schedule->lr;
    if (t < schedule->warmup)
        rate *= (double)t / (double)schedule->warmup;
    switch (schedule->kind) {
    case LINEAR:
        return rate * (1 - (double)t / steps);
    case COSINE:
        return rate * (steps > 1 ? cos(HALF_PI * (double)t / (steps - 1)) : 1);
    case COSINE_FLOOR:
        return rate * (schedule->floor + (1 - schedule->floor) * 0.5 * (1 + cos(2 * HALF_PI * (double)t / steps)));
    default:
        return rate;
    }
}

bool ts_schedule_needs_steps(const ts_params *params) {
    return ts_schedule_of(params).kind != CONSTANT;
}

// --- Growth ---

bool ts_tensor_grows(const ts_tensor *tensor) {
    return tensor->rank == 2 && strcmp(tensor->dimension[1], "feature") == 0;
}

double ts_growth_factor(double decay, double square) {
    return 1 + (decay - 1) * (1 / (sqrt(square) + 1e-8) - 1);
}

// --- Checks ---

const char *ts_optimiser_check(const ts_params *params, const ts_parameter_layout *tensors, char *message,
                               size_t bytes) {
    double decay = ts_params_real_or(params, "weight_decay", 0), floor = ts_params_real(params, "floor");
    int kind = ts_schedule_of(params).kind;
    bool grows = false;
    for (int i = 0; i < tensors->count; i++)
        grows = grows || ts_tensor_grows(&tensors->tensor[i]);
    if (decay < 0 && !grows) {
        snprintf(message, bytes, "%.15g: only the directions of features grow, and this model has none; give 0 or more",
                 decay);
        return "weight_decay";
    }
    if (kind != COSINE_FLOOR && !ts_params_is_default(params, ts_schema_find(params->schema, "floor"))) {
        snprintf(message, bytes, "%.15g is for 'schedule: cosine_floor', and this is '%s'; leave it out there", floor,
                 SCHEDULES[kind]);
        return "floor";
    }
    return NULL;
}
