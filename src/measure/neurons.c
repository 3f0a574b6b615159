// Neurons by irrep, before and after the activation: the energy of each in each irrep, and of the neurons that an
// irrep owns together, its cluster, what the activations are functions of. Thresholds are not in the energies, so that
// others can be applied to them.
#include "measure/group.h"

#include "base/product.h"

#include <math.h>

// Energy that a neuron of a cluster has after the activation, in functions of a b, if it counts as active.
static const double ACTIVE_ENERGY = 100;

// Of activations: functions of a, of b, of a b (TS_OF_A, ...) in the irrep that owns the neuron; what is constant.
enum { CONSTANT = TS_SIDES, SHARES };

typedef struct neurons {
    bool wanted;
    const ts_group_parts *parts;
    int hidden, count;             // neurons, irreps
    ts_sums sums;                  // `energy`
    double *irrep_energy;          // (irreps, hidden) of embeddings
    double *product_energy;        // (irreps, hidden) of activations, in functions of a b
    double *energy;                // (hidden) of activations
    int *owner;                    // (hidden) irrep with most energy
    double *share[SHARES];         // (hidden)
    double *size, *active;         // (irreps) neurons of each cluster
    double *embed, *hidden_energy; // (irreps) energies of each cluster
    double *cluster_share[SHARES]; // (irreps)
    ts_slab slab;
} neurons;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    neurons *m = state;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    size_t hidden = (size_t)m->parts->hidden, count = (size_t)m->parts->count;
    m->wanted = measuring->last;
    m->sums.numbers = m->wanted ? hidden : 0;
    m->hidden = (int)hidden;
    m->count = (int)count;
    for (int pass = 0; pass < 2 && m->wanted; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "neurons by irrep") != TS_OK)
            return TS_ERROR_MEMORY;
        m->irrep_energy = ts_slab_take(&m->slab, count * hidden, sizeof(double));
        m->product_energy = ts_slab_take(&m->slab, count * hidden, sizeof(double));
        m->owner = ts_slab_take_zero(&m->slab, hidden, sizeof(int));
        m->size = ts_slab_take_zero(&m->slab, count, sizeof(double));
        m->active = ts_slab_take_zero(&m->slab, count, sizeof(double));
        m->embed = ts_slab_take_zero(&m->slab, count, sizeof(double));
        m->hidden_energy = ts_slab_take_zero(&m->slab, count, sizeof(double));
        for (int share = 0; share < SHARES; share++) {
            m->share[share] = ts_slab_take_zero(&m->slab, hidden, sizeof(double));
            m->cluster_share[share] = ts_slab_take_zero(&m->slab, count, sizeof(double));
        }
    }
    return TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *energy) {
    const neurons *m = state;
    if (!m->wanted)
        return;
    const double *h = ts_rows_at(rows, a).h;
    for (int b = 0; b < m->parts->n; b++)
        for (int k = 0; k < m->hidden; k++) {
            double own = h[(size_t)b * (size_t)m->hidden + (size_t)k];
            energy[k] += own * own;
        }
}

static void gather(void *state, ts_device *device) {
    const neurons *m = state;
    if (m->wanted)
        ts_device_squares(device, m->sums.total);
}

// Of activations over the pairs: a neuron's energy that is constant.
static double constant_energy(const neurons *m, int k) {
    double pairs = (double)m->parts->n * m->parts->n, mean = m->parts->all_mean[k];
    return pairs * mean * mean;
}

// In functions of a side that lie in the irrep, less their mean over pairs, which is constant.
static double side_energy(const neurons *m, int r, int side, int k) {
    const int *first = m->parts->symmetry->first;
    double sum = 0;
    for (int row = first[r]; row < first[r + 1]; row++) {
        double own = m->parts->part0[side][(size_t)row * (size_t)m->hidden + (size_t)k];
        sum += own * own;
    }
    return sum;
}

static void measure_neurons(neurons *m) {
    for (int r = 0; r < m->count; r++) {
        double *own = m->irrep_energy + (size_t)r * (size_t)m->hidden;
        double *product = m->product_energy + (size_t)r * (size_t)m->hidden;
        ts_group_neuron_energy(m->parts, r, own);
        for (int k = 0; k < m->hidden; k++) {
            product[k] = r == 0 ? constant_energy(m, k) : side_energy(m, r, TS_OF_PRODUCT, k);
            if (own[k] > m->irrep_energy[(size_t)m->owner[k] * (size_t)m->hidden + (size_t)k])
                m->owner[k] = r;
        }
    }
    for (int k = 0; k < m->hidden; k++)
        for (int share = 0; share < SHARES; share++) {
            double part = share == CONSTANT ? constant_energy(m, k) : side_energy(m, m->owner[k], share, k);
            m->share[share][k] = part / m->energy[k]; // NaN: never active
        }
}

// A neuron that is not off joins the cluster of its irrep.
static void join(neurons *m, int k) {
    int r = m->owner[k];
    size_t at = (size_t)r * (size_t)m->hidden + (size_t)k;
    m->size[r] += 1;
    m->active[r] += m->product_energy[at] >= ACTIVE_ENERGY;
    m->embed[r] += m->irrep_energy[at];
    m->hidden_energy[r] += m->energy[k];
    for (int share = 0; share < SHARES && m->energy[k] > 0; share++)
        m->cluster_share[share][r] += m->share[share][k] * m->energy[k];
}

static void finish(void *state) {
    neurons *m = state;
    if (!m->wanted)
        return;
    m->energy = m->sums.total;
    measure_neurons(m);
    for (int k = 0; k < m->hidden; k++)
        if (m->parts->neuron_irrep[k] >= 0)
            join(m, k);
    for (int r = 0; r < m->count; r++)
        for (int share = 0; share < SHARES; share++)
            m->cluster_share[share][r] /= m->hidden_energy[r]; // NaN: it has no neurons
}

static const ts_measure ROWS[] = {
    {"neuron_irrep_energy",
     "energy of the neuron in the irrep, of which neuron_irrep is the largest",
     {"irrep", "neuron"},
     .at_end = true,
     .at = offsetof(neurons, irrep_energy)},
    {"neuron_product_energy",
     "energy of the neuron's activations over pairs, in functions of a b in the irrep",
     {"irrep", "neuron"},
     .at_end = true,
     .at = offsetof(neurons, product_energy)},
    {"neuron_energy",
     "energy of the neuron's activations over pairs",
     {"neuron"},
     .at_end = true,
     .at = offsetof(neurons, energy)},
    {"neuron_left_fraction",
     "share of neuron_energy in functions of a in the irrep with most of its neuron_irrep_energy",
     {"neuron"},
     .at_end = true,
     .at = offsetof(neurons, share[TS_OF_A])},
    {"neuron_right_fraction",
     "share of neuron_energy in functions of b in that irrep",
     {"neuron"},
     .at_end = true,
     .at = offsetof(neurons, share[TS_OF_B])},
    {"neuron_product_fraction",
     "share of neuron_energy in functions of a b in that irrep",
     {"neuron"},
     .at_end = true,
     .at = offsetof(neurons, share[TS_OF_PRODUCT])},
    {"neuron_constant_fraction",
     "share of neuron_energy that is constant",
     {"neuron"},
     .at_end = true,
     .at = offsetof(neurons, share[CONSTANT])},
    {"cluster_size",
     "neurons with this neuron_irrep: the irrep's cluster",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, size)},
    {"cluster_active_size",
     "those of them with a neuron_product_energy of 100 in the irrep",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, active)},
    {"cluster_embed_energy",
     "neuron_irrep_energy in the irrep, summed over its cluster",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, embed)},
    {"cluster_hidden_energy",
     "neuron_energy summed over the irrep's cluster",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, hidden_energy)},
    {"cluster_left_fraction",
     "share of cluster_hidden_energy in functions of a in the irrep",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, cluster_share[TS_OF_A])},
    {"cluster_right_fraction",
     "share of cluster_hidden_energy in functions of b in the irrep",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, cluster_share[TS_OF_B])},
    {"cluster_product_fraction",
     "share of cluster_hidden_energy in functions of a b in the irrep",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, cluster_share[TS_OF_PRODUCT])},
    {"cluster_constant_fraction",
     "share of cluster_hidden_energy that is constant",
     {"irrep"},
     .at_end = true,
     .at = offsetof(neurons, cluster_share[CONSTANT])},
    {0},
};

const ts_family ts_family_neurons = {
    .name = "neurons",
    .title = "Neurons by irrep, before and after the activation",
    .source = "Neurons by irrep",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .state_bytes = sizeof(neurons),
    .slab = offsetof(neurons, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(neurons, sums),
    .finish = finish,
    .needs = {&ts_family_group},
};
