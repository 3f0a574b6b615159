// Optimisers by their kernels.
#include "backend/cpu_optimiser.h"

#include "model/muon.h"

static float *part(const ts_cpu_updates *u, int index) {
    return u->of.state + index * u->of.layout->padded;
}

static double rate_of(const ts_cpu_updates *u) {
    return ts_schedule_rate(&u->schedule, u->t);
}

// A vector of columns at once, which lie together.
static void grow_columns(float *w, int64_t rows, int64_t stride, double decay) {
    double square[TS_VECTOR_LANES] = {0};
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < TS_VECTOR_LANES; c++)
            square[c] += (double)w[r * stride + c] * (double)w[r * stride + c];
    for (int c = 0; c < TS_VECTOR_LANES; c++)
        square[c] = ts_growth_factor(decay, square[c]);
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < TS_VECTOR_LANES; c++)
            w[r * stride + c] *= (float)square[c];
}

static void grow(const ts_cpu_updates *u, double decay) {
    const ts_padded_layout *layout = u->of.layout;
    for (int i = 0; i < layout->tensors; i++) {
        const ts_padded_tensor *tensor = &layout->tensor[i];
        for (int64_t c = 0; c < tensor->stride && ts_tensor_grows(&layout->model.tensor[i]); c += TS_VECTOR_LANES)
            grow_columns(u->of.state + tensor->offset + c, tensor->rows, tensor->stride, decay);
    }
}

static bool step_adam(ts_cpu_updates *u) {
    const ts_padded_layout *layout = u->of.layout;
    ts_adam_rates rates = ts_adam_next_rates(u->of.adam);
    if (rates.decay > 1) {
        grow(u, (double)rates.decay);
        rates.decay = 1;
    }
    return u->of.kernels->adam(u->of.state, layout->padded, u->of.gradient, layout->padded, u->betas, rates);
}

static bool step_sgd(ts_cpu_updates *u) {
    return u->of.kernels->descent(u->of.state, u->of.gradient, u->of.layout->padded, (float)rate_of(u));
}

static bool step_momentum(ts_cpu_updates *u) {
    return u->of.kernels->momentum(u->of.state, part(u, 1), u->of.gradient, u->of.layout->padded, u->momentum,
                                   (float)rate_of(u));
}

static bool step_matrices(ts_cpu_updates *u, int tensor) {
    const ts_padded_tensor *padded = &u->of.layout->tensor[tensor];
    ts_matrices shape = ts_muon_matrices(&u->of.layout->model.tensor[tensor]);
    double lr = rate_of(u);
    ts_muon_work work = {
        .rows = (int)shape.rows,
        .columns = (int)shape.columns,
        .scratch = u->of.scratch,
        .keep = u->momentum,
        .take = (float)(1 - ts_params_real(u->of.params, "momentum")),
        .rate = (float)(lr * ts_muon_factor(shape)),
        .decay = (float)(1 - lr * ts_params_real(u->of.params, "weight_decay")),
        .linear = (float)TS_MUON_LINEAR,
        .cubic = (float)TS_MUON_CUBIC,
        .quintic = (float)TS_MUON_QUINTIC,
        .iterations = TS_MUON_ITERATIONS,
        .epsilon = TS_MUON_EPSILON,
    };
    bool sound = true;
    for (int64_t k = 0; k < shape.count; k++) {
        int64_t at = padded->offset + k * shape.rows * padded->stride;
        work.gradient = u->of.gradient + at;
        work.parameter = u->of.state + at;
        work.mean = part(u, 1) + at;
        sound = u->of.kernels->muon(&work) && sound;
    }
    return sound;
}

static bool step_muon(ts_cpu_updates *u) {
    const ts_padded_layout *layout = u->of.layout;
    ts_adam_rates rates = ts_adam_next_rates(u->of.adam);
    bool sound = true;
    for (int i = 0; i < layout->tensors; i++) {
        const ts_padded_tensor *tensor = &layout->tensor[i];
        bool finite =
            ts_muon_takes(&layout->model.tensor[i])
                ? step_matrices(u, i)
                : u->of.kernels->adam(u->of.state + tensor->offset, layout->padded, u->of.gradient + tensor->offset,
                                      tensor->rows * tensor->stride, u->betas, rates);
        sound = finite && sound;
    }
    return sound;
}

static const struct {
    const ts_optimiser *optimiser;
    bool (*step)(ts_cpu_updates *);
} STEPS[] = {
    {&ts_optimiser_adam, step_adam},         {&ts_optimiser_adamw, step_adam}, {&ts_optimiser_sgd, step_sgd},
    {&ts_optimiser_momentum, step_momentum}, {&ts_optimiser_muon, step_muon},
};
enum { COUNT = sizeof STEPS / sizeof *STEPS };

static int find(const ts_params *params) {
    int i = 0;
    while (i < COUNT && STEPS[i].optimiser != ts_optimiser_of(params))
        i++;
    return i;
}

const char *ts_cpu_optimiser_can(const ts_params *params) {
    return find(params) < COUNT ? NULL : "it has no kernels of this optimizer";
}

size_t ts_cpu_optimiser_scratch(const ts_params *params, const ts_padded_layout *layout) {
    size_t most = 0;
    for (int i = 0; i < layout->tensors && ts_optimiser_of(params) == &ts_optimiser_muon; i++)
        if (ts_muon_takes(&layout->model.tensor[i])) {
            ts_matrices shape = ts_muon_matrices(&layout->model.tensor[i]);
            size_t floats = TS_MUON_SCRATCH(shape.rows, shape.columns);
            most = floats > most ? floats : most;
        }
    return most;
}

void ts_cpu_updates_begin(ts_cpu_updates *updates, const ts_cpu_instance *of, int64_t t) {
    const ts_params *params = of->params;
    *updates = (ts_cpu_updates){
        .of = *of,
        .t = t,
        .step = STEPS[find(params)].step,
        .filter = ts_gradient_filter_of(params),
        .schedule = ts_schedule_of(params),
        .coupled = (float)ts_coupled_decay(params),
        .momentum = (float)ts_params_real_or(params, "momentum", 0),
    };
    if (!ts_of_adam(params))
        return;
    updates->betas = ts_adam_betas_of(params);
    ts_adam_at(of->adam, params, t);
}

bool ts_cpu_update(ts_cpu_updates *u) {
    const ts_padded_layout *layout = u->of.layout;
    const ts_kernels *kernels = u->of.kernels;
    if (u->filter.grokfast)
        kernels->grokfast(u->of.gradient, part(u, layout->parts - 1), layout->padded, u->t == 0, (float)u->filter.alpha,
                          (float)(1 - u->filter.alpha), (float)u->filter.lambda);
    for (int i = 0; i < layout->tensors && u->filter.orthograd; i++) {
        const ts_padded_tensor *tensor = &layout->tensor[i];
        kernels->orthograd(u->of.gradient + tensor->offset, u->of.state + tensor->offset,
                           tensor->rows * tensor->stride);
    }
    if (u->coupled != 0)
        kernels->add_scaled(u->of.gradient, u->coupled, u->of.state, layout->padded);
    bool sound = u->step(u);
    u->t++;
    return sound;
}
