// The optimiser `muon` in double precision, by plain loops.
#include "model/muon.h"

#include "model/adam.h"

#include <math.h>
#include <string.h>

static const ts_key KEYS[] = {
    {"lr", TS_REAL, "1e-3", 0, 1e30, NULL, false, "Learning rate of Muon"},
    {"momentum", TS_REAL, "0.95", 0, 0.9999999, NULL, false, "Muon's decay of the gradient's mean"},
    {"weight_decay", TS_REAL, "1", 0, 1e6, NULL, false, "Decoupled weight decay, of all weights"},
    {"adamw_lr_scale", TS_REAL, "1", 0, 1e30, NULL, false,
     "Learning rate of the tensors that AdamW steps, as a multiple of lr"},
    {"beta1", TS_REAL, "0.9", 0, 0.999999, NULL, false, "AdamW's decay of the gradient's mean"},
    {"beta2", TS_REAL, "0.98", 0, 0.9999999, NULL, false, "AdamW's decay of the squared gradient's mean"},
    {0},
};

bool ts_muon_takes(const ts_tensor *tensor) {
    static const char *const OUTER[] = {"token", "input", "position", "output"};
    for (int d = 0; d < tensor->rank; d++)
        for (size_t i = 0; i < sizeof OUTER / sizeof *OUTER; i++)
            if (strcmp(tensor->dimension[d], OUTER[i]) == 0)
                return false;
    return tensor->rank >= 2;
}

ts_matrices ts_muon_matrices(const ts_tensor *tensor) {
    ts_matrices shape = {1, tensor->size[tensor->rank - 2], tensor->size[tensor->rank - 1]};
    for (int d = 0; d < tensor->rank - 2; d++)
        shape.count *= tensor->size[d];
    return shape;
}

double ts_muon_factor(ts_matrices shape) {
    return shape.rows > shape.columns ? sqrt((double)shape.rows / (double)shape.columns) : 1;
}

// Of one matrix: x, what it becomes, and a and a a of its shorter side.
static size_t scratch(const ts_parameter_layout *layout) {
    int64_t most = 0;
    for (int i = 0; i < layout->count; i++)
        if (ts_muon_takes(&layout->tensor[i])) {
            ts_matrices shape = ts_muon_matrices(&layout->tensor[i]);
            int64_t shorter = shape.rows < shape.columns ? shape.rows : shape.columns;
            int64_t numbers = 2 * (shape.rows * shape.columns + shorter * shorter);
            most = numbers > most ? numbers : most;
        }
    return (size_t)most;
}

// The three products of each iteration.
static double operations(const ts_parameter_layout *layout) {
    double sum = 0;
    for (int i = 0; i < layout->count; i++)
        if (ts_muon_takes(&layout->tensor[i])) {
            ts_matrices shape = ts_muon_matrices(&layout->tensor[i]);
            double m = (double)(shape.rows < shape.columns ? shape.rows : shape.columns);
            double n = (double)(shape.rows < shape.columns ? shape.columns : shape.rows);
            sum += (double)shape.count * m * m * (2 * n + m);
        }
    return 2 * TS_MUON_ITERATIONS * sum;
}

// x (m, n), m <= n, each time; a, b (m, m), y (m, n): scratch.
static void iterate(double *x, int64_t m, int64_t n, double *a, double *b, double *y) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += x[i * n + k] * x[j * n + k];
            a[i * m + j] = sum;
        }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < m; j++) {
            double sum = 0;
            for (int64_t k = 0; k < m; k++)
                sum += a[i * m + k] * a[k * m + j];
            b[i * m + j] = TS_MUON_CUBIC * a[i * m + j] + TS_MUON_QUINTIC * sum;
        }
    for (int64_t i = 0; i < m; i++) {
        double *row = y + i * n;
        for (int64_t k = 0; k < n; k++)
            row[k] = TS_MUON_LINEAR * x[i * n + k];
        for (int64_t j = 0; j < m; j++)
            for (int64_t k = 0; k < n; k++)
                row[k] += b[i * m + j] * x[j * n + k];
    }
    memcpy(x, y, (size_t)(m * n) * sizeof *x);
}

// One matrix, of `shape`; the shorter side first in scratch, where it is all done.
static void step_matrix(ts_matrices shape, const double *gradient, double *parameter, double *mean, double keep,
                        double rate, double decay, double *scratch) {
    int64_t rows = shape.rows, columns = shape.columns, count = rows * columns;
    bool tall = rows > columns;
    int64_t m = tall ? columns : rows, n = tall ? rows : columns;
    double *x = scratch, *y = x + count, *a = y + count, *b = a + m * m, square = 0;
    for (int64_t p = 0; p < count; p++) {
        mean[p] = keep * mean[p] + (1 - keep) * gradient[p];
        double u = keep * mean[p] + (1 - keep) * gradient[p];
        square += u * u;
        x[tall ? p % columns * rows + p / columns : p] = u;
    }
    if (!isfinite(square)) // of the direction nothing would be left, and a step of 0 would hide that
        rate = NAN;
    for (int64_t p = 0; p < count; p++)
        x[p] /= sqrt(square) + TS_MUON_EPSILON;
    for (int i = 0; i < TS_MUON_ITERATIONS; i++)
        iterate(x, m, n, a, b, y);
    for (int64_t p = 0; p < count; p++)
        parameter[p] =
            decay * parameter[p] - rate * ts_muon_factor(shape) * x[tall ? p % columns * rows + p / columns : p];
}

static void update(const ts_update *u, const double *gradient, double *state) {
    ts_schedule schedule = ts_schedule_of(u->params);
    double lr = ts_schedule_rate(&schedule, u->t), decay = 1 - lr * ts_params_real(u->params, "weight_decay");
    double keep = ts_params_real(u->params, "momentum");
    ts_adam *adam = ts_adam_at(u->memory, u->params, u->t);
    ts_adam_step step = ts_adam_next(adam);
    int64_t total = u->layout->total;
    for (int i = 0; i < u->layout->count; i++) {
        const ts_tensor *tensor = &u->layout->tensor[i];
        int64_t at = tensor->offset, count = ts_tensor_numbers(tensor);
        double *first = state + total, *second = first + total;
        if (!ts_muon_takes(tensor)) {
            ts_adam_take(adam, step, count, gradient + at, state + at, first + at, second + at);
            continue;
        }
        ts_matrices shape = ts_muon_matrices(tensor);
        for (int64_t k = 0; k < shape.count; k++, at += shape.rows * shape.columns)
            step_matrix(shape, gradient + at, state + at, first + at, keep, lr, decay, u->scratch);
    }
}

const ts_optimiser ts_optimiser_muon = {
    .name = "muon",
    .keys = KEYS,
    .moments = 2, // AdamW's; of a matrix only the first
    .memory = sizeof(ts_adam),
    .scratch = scratch,
    .operations = operations,
    .update = update,
};
