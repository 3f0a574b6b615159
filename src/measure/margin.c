// The smallest margin over all pairs, and the same normalised, of homogeneous networks: divided by a norm of the
// weights to the power of the network's degree, so that it does not change when all weights are scaled (Morwani et al.
// 2023).
#include "measure/family.h"
#include "measure/losses.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

typedef struct margin {
    const ts_pairs *pairs;
    ts_sums sums; // (n) smallest margin of the pairs (a, ..)
    double smallest, normalised;
    double scale;   // that the smallest is divided by; NaN: the network is not homogeneous
    double *neuron; // (hidden) sum of squares of each neuron's own weights
    ts_slab slab;
} margin;

// The dimension of a tensor that counts neurons; -1: none.
static int neuron_dimension(const ts_tensor *tensor, int neurons) {
    for (int d = 0; d < tensor->rank; d++)
        if (tensor->size[d] == neurons &&
            (strcmp(tensor->dimension[d], "hidden") == 0 || strcmp(tensor->dimension[d], "neuron") == 0))
            return d;
    return -1;
}

// Whether each weight belongs to one neuron.
static bool by_neuron(const ts_parameter_layout *layout, int neurons) {
    for (int i = 0; i < layout->count; i++)
        if (neuron_dimension(&layout->tensor[i], neurons) < 0)
            return false;
    return true;
}

static void add_squares(const ts_tensor *tensor, int neurons, const double *all, double *neuron) {
    int64_t inner = 1, count = ts_tensor_numbers(tensor);
    for (int d = neuron_dimension(tensor, neurons) + 1; d < tensor->rank; d++)
        inner *= tensor->size[d];
    for (int64_t i = 0; i < count; i++)
        neuron[i / inner % neurons] += all[tensor->offset + i] * all[tensor->offset + i];
}

// L2,d norm to the power of d, sum over neurons of |weights|^d, where each weight is of one neuron; else |weights|^d.
static double norm(margin *m, const ts_parameter_layout *layout, const ts_network *network) {
    double sum = 0;
    bool own = by_neuron(layout, network->hidden);
    for (int i = 0; i < layout->count && own; i++)
        add_squares(&layout->tensor[i], network->hidden, network->all, m->neuron);
    for (int k = 0; k < network->hidden && own; k++)
        sum += pow(m->neuron[k], network->degree / 2.0);
    if (own)
        return sum;
    for (int64_t i = 0; i < network->parameters; i++)
        sum += network->all[i] * network->all[i];
    return pow(sum, network->degree / 2.0);
}

static bool has_bias(const ts_parameter_layout *layout) {
    for (int i = 0; i < layout->count; i++)
        if (layout->tensor[i].rank == 1)
            return true;
    return false;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    margin *m = state;
    const ts_network *network = measuring->network;
    ts_parameter_layout layout;
    (void)chart;
    m->pairs = measuring->pairs;
    m->sums.numbers = (size_t)measuring->data->table->n;
    m->scale = NAN;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a network's margin") != TS_OK)
            return TS_ERROR_MEMORY;
        m->neuron = ts_slab_take_zero(&m->slab, (size_t)network->hidden, sizeof(double));
    }
    measuring->params->schema->model->layout(measuring->params, &layout);
    if (network->degree > 0 && !has_bias(&layout))
        m->scale = norm(m, &layout, network);
    return TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const margin *m = state;
    int n = m->pairs->table->n, n_out = m->pairs->table->n_out;
    const double *logits = ts_rows_at(rows, a).logits;
    double smallest = INFINITY;
    for (int b = 0; b < n; b++) {
        int label = m->pairs->table->result[(size_t)a * (size_t)n + (size_t)b];
        const double *z = logits + (size_t)b * (size_t)n_out;
        if (label < 0)
            continue;
        double own = z[label] - ts_largest_other(z, n_out, label);
        smallest = own >= smallest ? smallest : own;
    }
    sums[a] += smallest; // of one row alone
}

static void gather(void *state, ts_device *device) {
    const margin *m = state;
    const ts_table *table = m->pairs->table;
    const double *facts = ts_device_facts(device);
    for (int a = 0; a < table->n; a++) {
        double smallest = INFINITY;
        for (int b = 0; b < table->n; b++, facts += TS_PAIR_FACTS) {
            double own = facts[TS_FACT_LABEL] - facts[TS_FACT_OTHER];
            if (table->result[a * table->n + b] >= 0)
                smallest = own >= smallest ? smallest : own;
        }
        m->sums.total[a] = smallest;
    }
}

static void finish(void *state) {
    margin *m = state;
    m->smallest = INFINITY;
    for (int a = 0; a < m->pairs->table->n; a++)
        m->smallest = m->sums.total[a] < m->smallest ? m->sums.total[a] : m->smallest;
    m->smallest = isinf(m->smallest) ? NAN : m->smallest; // one output alone
    m->normalised = m->smallest / m->scale;
}

static const ts_measure ROWS[] = {
    {"margin", "logit of the label less the largest other one, the smallest over all pairs",
     .at = offsetof(margin, smallest)},
    {"normalised_margin",
     "margin over a norm of the weights to the power of the network's degree; NaN: it is not homogeneous",
     .at = offsetof(margin, normalised)},
    {0},
};

const ts_family ts_family_margin = {
    .name = "margin",
    .title = "Smallest margin of a table",
    .source = "The model: `mlp`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .state_bytes = sizeof(margin),
    .slab = offsetof(margin, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(margin, sums),
    .finish = finish,
};
