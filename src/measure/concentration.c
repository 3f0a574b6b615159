// How far each neuron's input and output weights are concentrated on one frequency, and their phases there, of tables
// whose tokens lie on a circle (task/circle.h). The inverse participation ratio as of single-frequency networks;
// definitions: docs/workloads.md.
#include "base/product.h"
#include "measure/family.h"
#include "measure/fourier.h"

#include <math.h>

enum { LEFT, RIGHT, OUTPUT, SIDES };

typedef struct concentration {
    const ts_measuring *measuring;
    int n, hidden;
    const int *place;  // (n)
    ts_sums sums;      // (2, n, hidden) activations over b and over a, where no embedding leads into the hidden layer
    double *functions; // (n, n) on the circle's places
    double *rows;      // (n, hidden) a side's weights, by place
    double *main;      // (hidden) frequency of the largest; -1: none
    double *ratio[SIDES], *phase[SIDES]; // (hidden)
    double *component[SIDES];            // (n, hidden)
    double input_mean, output_mean, left_mean, right_mean, both_mean;
    ts_slab slab;
} concentration;

static bool on_circle(const ts_data *data) {
    return data->place && data->table->n_out == data->table->n && data->table->n >= 3;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    concentration *m = state;
    size_t n = (size_t)measuring->data->table->n, hidden = (size_t)measuring->network->hidden;
    (void)chart;
    m->measuring = measuring;
    m->n = (int)n;
    m->hidden = (int)hidden;
    m->place = measuring->data->place;
    m->sums.numbers = measuring->network->embeds_neurons ? 0 : 2 * n * hidden;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "Fourier concentration") != TS_OK)
            return TS_ERROR_MEMORY;
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->main = ts_slab_take(&m->slab, hidden, sizeof(double));
        for (int side = 0; side < SIDES; side++) {
            m->ratio[side] = ts_slab_take(&m->slab, hidden, sizeof(double));
            m->phase[side] = ts_slab_take(&m->slab, hidden, sizeof(double));
            m->component[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        }
    }
    ts_fourier_functions(m->n, m->functions);
    return TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const concentration *m = state;
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    if (m->sums.numbers == 0)
        return;
    const double *h = ts_rows_at(rows, a).h;
    for (size_t b = 0; b < n; b++) {
        ts_add(sums + (size_t)a * hidden, h + b * hidden, m->hidden);
        ts_add(sums + (n + b) * hidden, h + b * hidden, m->hidden);
    }
}

static int left_of(const void *context, int a, int b) {
    (void)context, (void)b;
    return a;
}

static int right_of(const void *context, int a, int b) {
    (void)context, (void)a;
    return b;
}

static void gather(void *state, ts_device *device) {
    const concentration *m = state;
    size_t numbers = (size_t)m->n * (size_t)m->hidden;
    if (m->sums.numbers == 0)
        return;
    ts_device_sum(device, TS_PAIR_HIDDEN, ts_device_each(device, left_of, m), m->n, m->sums.total);
    ts_device_sum(device, TS_PAIR_HIDDEN, ts_device_each(device, right_of, m), m->n, m->sums.total + numbers);
}

// A side's weights by place (n, hidden): of inputs what tokens give each neuron, or, where embeddings do not lead
// there, its mean activation as a function of a, of b (sums over pairs stand for means here: only shares are measured).
static void take_rows(concentration *m, int side) {
    const ts_network *network = m->measuring->network;
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    const double *embedding = m->sums.numbers == 0 ? (side == LEFT ? network->e_x : network->e_y)
                                                   : m->sums.total + (side == LEFT ? 0 : n * hidden);
    for (size_t t = 0; t < n; t++)
        for (size_t k = 0; k < hidden; k++)
            m->rows[(size_t)m->place[t] * hidden + k] =
                side == OUTPUT ? network->u[k * n + t] : embedding[t * hidden + k];
}

// |rfft|^2 of a neuron at frequency f, of the sums along cosine and sine.
static double power(const concentration *m, int side, int f, int k) {
    double cosine = m->component[side][(size_t)(2 * f - 1) * (size_t)m->hidden + (size_t)k];
    double sine = 2 * f < m->n ? m->component[side][(size_t)(2 * f) * (size_t)m->hidden + (size_t)k] : 0;
    return cosine * cosine + sine * sine;
}

// Sum of P^2 over the squared sum of P; what rounding leaves of a constant row is none. NaN: it does not vary.
static double participation(const concentration *m, int side, int k) {
    double sum = 0, squares = 0;
    double constant = m->component[side][k];
    for (int f = 1; f <= m->n / 2; f++) {
        double p = power(m, side, f, k);
        sum += p;
        squares += p * p;
    }
    return sum > 1e-24 * constant * constant ? squares / (sum * sum) : NAN;
}

// f ~ A cos(2 pi f x / n + phase): the sums are A n / 2 times cos(phase) and -sin(phase).
static double phase_of(const concentration *m, int side, int f, int k) {
    double cosine = m->component[side][(size_t)(2 * f - 1) * (size_t)m->hidden + (size_t)k];
    double sine = 2 * f < m->n ? m->component[side][(size_t)(2 * f) * (size_t)m->hidden + (size_t)k] : 0;
    double phase = atan2(-sine, cosine);
    return cosine == 0 && sine == 0 ? NAN : phase <= -acos(-1) ? -phase : phase;
}

static void measure_neuron(concentration *m, int k) {
    int largest = -1;
    double most = 0;
    for (int side = 0; side < SIDES; side++)
        m->ratio[side][k] = participation(m, side, k);
    for (int f = 1; f <= m->n / 2; f++) {
        double p = (isnan(m->ratio[LEFT][k]) ? 0 : power(m, LEFT, f, k)) +
                   (isnan(m->ratio[RIGHT][k]) ? 0 : power(m, RIGHT, f, k));
        largest = p > most ? f : largest;
        most = p > most ? p : most;
    }
    m->main[k] = largest;
    for (int side = 0; side < SIDES; side++)
        m->phase[side][k] = largest < 0 || isnan(m->ratio[side][k]) ? NAN : phase_of(m, side, largest, k);
}

// Over neurons of sides first .. end - 1; those that do not vary are left out.
static double mean_ratio(const concentration *m, int first, int end) {
    double sum = 0, count = 0;
    for (int side = first; side < end; side++)
        for (int k = 0; k < m->hidden; k++) {
            sum += isnan(m->ratio[side][k]) ? 0 : m->ratio[side][k];
            count += !isnan(m->ratio[side][k]);
        }
    return sum / count;
}

static void finish(void *state) {
    concentration *m = state;
    for (int side = 0; side < SIDES; side++) {
        take_rows(m, side);
        ts_product(m->n, m->hidden, m->n, m->functions, m->n, m->rows, m->hidden, m->component[side], m->hidden);
    }
    for (int k = 0; k < m->hidden; k++)
        measure_neuron(m, k);
    m->left_mean = mean_ratio(m, LEFT, LEFT + 1);
    m->right_mean = mean_ratio(m, RIGHT, RIGHT + 1);
    m->input_mean = mean_ratio(m, LEFT, OUTPUT);
    m->output_mean = mean_ratio(m, OUTPUT, SIDES);
    m->both_mean = (m->input_mean + m->output_mean) / 2;
}

static const ts_measure ROWS[] = {
    {"concentration", "mean of input_concentration and output_concentration", .at = offsetof(concentration, both_mean)},
    {"input_concentration",
     "inverse participation ratio of the Fourier power of what a neuron reads, mean over neurons and both inputs",
     .at = offsetof(concentration, input_mean)},
    {"output_concentration",
     "inverse participation ratio of the Fourier power of what a neuron writes, mean over neurons",
     .at = offsetof(concentration, output_mean)},
    {"input_left_concentration", "input_concentration of the left input alone",
     .at = offsetof(concentration, left_mean)},
    {"input_right_concentration", "input_concentration of the right input alone",
     .at = offsetof(concentration, right_mean)},
    {"neuron_main_frequency",
     "frequency with the largest Fourier power of both inputs together; -1: none",
     {"neuron"},
     .at_end = true,
     .at = offsetof(concentration, main)},
    {"neuron_left_concentration",
     "the neuron's inverse participation ratio on the left; NaN: it does not vary",
     {"neuron"},
     .at_end = true,
     .at = offsetof(concentration, ratio[LEFT])},
    {"neuron_right_concentration",
     "the neuron's inverse participation ratio on the right",
     {"neuron"},
     .at_end = true,
     .at = offsetof(concentration, ratio[RIGHT])},
    {"neuron_output_concentration",
     "the neuron's inverse participation ratio at the outputs",
     {"neuron"},
     .at_end = true,
     .at = offsetof(concentration, ratio[OUTPUT])},
    {"neuron_left_phase",
     "phase of what the neuron reads on the left, at its main frequency",
     {"neuron"},
     .units = "rad",
     .at_end = true,
     .at = offsetof(concentration, phase[LEFT])},
    {"neuron_right_phase",
     "phase of what the neuron reads on the right, at its main frequency",
     {"neuron"},
     .units = "rad",
     .at_end = true,
     .at = offsetof(concentration, phase[RIGHT])},
    {"neuron_output_phase",
     "phase of what the neuron writes, at its main frequency",
     {"neuron"},
     .units = "rad",
     .at_end = true,
     .at = offsetof(concentration, phase[OUTPUT])},
    {0},
};

static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    return 2 * SIDES * n * n * (double)params->schema->model->width(params, "neuron");
}

const ts_family ts_family_concentration = {
    .name = "concentration",
    .title = "Fourier concentration, of tables with tokens on a circle",
    .source = "Concentration, clock and pizza",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .has = on_circle,
    .operations = operations,
    .state_bytes = sizeof(concentration),
    .slab = offsetof(concentration, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(concentration, sums),
    .finish = finish,
};
