// The optimisers `adam` and `adamw`.
#include "model/adam.h"

#include <math.h>

static const ts_key ADAM_KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of Adam"},
    {"beta1", TS_REAL, "0.9", 0, 0.999999, NULL, false, "Adam's decay of the gradient's mean"},
    {"beta2", TS_REAL, "0.999", 0, 0.9999999, NULL, false, "Adam's decay of the squared gradient's mean"},
    {"weight_decay", TS_REAL, "0", 0, 1e6, NULL, TS_LATER | TS_SHAPES,
     "Weight decay, added to the gradient of all weights"},
    {0},
};

static const ts_key ADAMW_KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of AdamW"},
    {"beta1", TS_REAL, "0.9", 0, 0.999999, NULL, false, "AdamW's decay of the gradient's mean"},
    {"beta2", TS_REAL, "0.98", 0, 0.9999999, NULL, false, "AdamW's decay of the squared gradient's mean"},
    {"weight_decay", TS_REAL, "1", -1e6, 1e6, NULL, false,
     "Decoupled weight decay, of all weights; negative: directions of features grow to length 1 (docs/workloads.md)"},
    {0},
};

ts_adam *ts_adam_at(ts_adam *adam, const ts_params *params, int64_t t) {
    if (adam->schedule.steps > 0 && adam->t == t)
        return adam;
    *adam = (ts_adam){
        .schedule = ts_schedule_of(params),
        .beta1 = ts_params_real(params, "beta1"),
        .beta2 = ts_params_real(params, "beta2"),
        .weight_decay = ts_optimiser_of(params)->coupled ? 0 : ts_params_real(params, "weight_decay"),
        .coupled = ts_coupled_decay(params),
        .power1 = 1,
        .power2 = 1,
        .t = t,
    };
    adam->schedule.lr *= ts_params_real_or(params, "adamw_lr_scale", 1);
    // By multiplication, as an uninterrupted run gets there, so that a continued run has the same bits.
    for (int64_t i = 0; i < t; i++) {
        adam->power1 *= adam->beta1;
        adam->power2 *= adam->beta2;
    }
    return adam;
}

ts_adam_step ts_adam_next(ts_adam *adam) {
    adam->power1 *= adam->beta1;
    adam->power2 *= adam->beta2;
    double lr = ts_schedule_rate(&adam->schedule, adam->t++);
    return (ts_adam_step){
        .rate = lr / (1 - adam->power1),
        .root = sqrt(1 - adam->power2),
        .decay = 1 - lr * adam->weight_decay,
    };
}

void ts_adam_take(const ts_adam *adam, ts_adam_step step, int64_t count, const double *gradient, double *parameter,
                  double *first, double *second) {
    for (int64_t p = 0; p < count; p++) {
        double g = gradient[p] + adam->coupled * parameter[p];
        first[p] = adam->beta1 * first[p] + (1 - adam->beta1) * g;
        second[p] = adam->beta2 * second[p] + (1 - adam->beta2) * g * g;
        parameter[p] = step.decay * parameter[p] - step.rate * first[p] / (sqrt(second[p]) / step.root + 1e-8);
    }
}

// Before the step, where it does not decay (ts_tensor_grows).
static void grow(const ts_parameter_layout *layout, double decay, double *parameter) {
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        int64_t columns = tensor->size[tensor->rank - 1], numbers = ts_tensor_numbers(tensor);
        for (int64_t c = 0; c < columns && ts_tensor_grows(tensor); c++) {
            double *w = parameter + tensor->offset + c, square = 0;
            for (int64_t at = 0; at < numbers; at += columns)
                square += w[at] * w[at];
            double factor = ts_growth_factor(decay, square);
            for (int64_t at = 0; at < numbers; at += columns)
                w[at] *= factor;
        }
    }
}

static void update(const ts_update *u, const double *gradient, double *state) {
    ts_adam *adam = ts_adam_at(u->memory, u->params, u->t);
    int64_t count = u->layout->total;
    ts_adam_step step = ts_adam_next(adam);
    if (step.decay > 1) {
        grow(u->layout, step.decay, state);
        step.decay = 1;
    }
    ts_adam_take(adam, step, count, gradient, state, state + count, state + 2 * count);
}

const ts_optimiser ts_optimiser_adam = {
    .name = "adam",
    .keys = ADAM_KEYS,
    .moments = 2,
    .memory = sizeof(ts_adam),
    .coupled = true,
    .update = update,
};

const ts_optimiser ts_optimiser_adamw = {
    .name = "adamw",
    .keys = ADAMW_KEYS,
    .moments = 2,
    .memory = sizeof(ts_adam),
    .update = update,
};
