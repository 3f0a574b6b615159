// Cosets (Stander et al. 2023, "Grokking group multiplication with cosets"): how little what each neuron reads varies
// within the cosets of a subgroup, for every subgroup of a group, and what is lost without the neurons that vary. Of
// networks whose tokens' embeddings lead into the hidden layer.
#include "measure/changed.h"
#include "measure/family.h"

#include <math.h>
#include <string.h>

enum { LEFT, RIGHT, SIDES };

// Ratios up to that much above the smallest count as it, so that of subgroups within each other, on all of which a
// neuron is constant, the largest is taken.
static const double SAME = 1e-12;

typedef struct cosets {
    const ts_measuring *measuring;
    const ts_subgroups *subgroups;
    bool wanted; // at the last checkpoint, of networks that have such neurons
    int n, hidden;
    int *coset;                                    // (n)
    double *centred, *mean, *part;                 // (n, hidden) of a side; (n, hidden) means of cosets; (hidden)
    double *variation[SIDES];                      // (hidden) sum of squares of the centred ones
    double *ratio[SIDES];                          // (subgroups, hidden)
    double *minimum[SIDES], *which[SIDES];         // (hidden)
    double *size;                                  // (thresholds) neurons that are kept, as a share
    double *keep;                                  // (thresholds, hidden)
    double *loss[TS_SPLITS], *accuracy[TS_SPLITS]; // (thresholds)
    ts_change change[TS_COSET_THRESHOLDS];
    ts_sums sums;
    double *walked; // sums of the walk
    ts_slab slab;
} cosets;

static bool has_subgroups(const ts_data *data) {
    return data->subgroups;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    cosets *m = state;
    const ts_network *network = measuring->network;
    size_t n = (size_t)measuring->data->table->n, hidden = (size_t)network->hidden;
    size_t count = (size_t)measuring->data->subgroups->count;
    (void)chart;
    m->measuring = measuring;
    m->subgroups = measuring->data->subgroups;
    m->wanted = measuring->last;
    m->n = (int)n;
    m->hidden = (int)hidden;
    m->sums.again = ts_changes_sums(TS_COSET_THRESHOLDS);
    m->sums.scratch = m->wanted ? ts_changes_scratch((int)n, (int)hidden, (int)n) : 0;
    for (int pass = 0; pass < 2 && m->wanted; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "cosets") != TS_OK)
            return TS_ERROR_MEMORY;
        m->coset = ts_slab_take(&m->slab, n, sizeof(int));
        m->centred = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->mean = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->part = ts_slab_take(&m->slab, hidden, sizeof(double));
        for (int side = 0; side < SIDES; side++) {
            m->variation[side] = ts_slab_take(&m->slab, hidden, sizeof(double));
            m->ratio[side] = ts_slab_take(&m->slab, count * hidden, sizeof(double));
            m->minimum[side] = ts_slab_take(&m->slab, hidden, sizeof(double));
            m->which[side] = ts_slab_take(&m->slab, hidden, sizeof(double));
        }
        m->size = ts_slab_take(&m->slab, TS_COSET_THRESHOLDS, sizeof(double));
        m->keep = ts_slab_take(&m->slab, TS_COSET_THRESHOLDS * hidden, sizeof(double));
        for (int split = 0; split < TS_SPLITS; split++) {
            m->loss[split] = ts_slab_take(&m->slab, TS_COSET_THRESHOLDS, sizeof(double));
            m->accuracy[split] = ts_slab_take(&m->slab, TS_COSET_THRESHOLDS, sizeof(double));
        }
        m->walked = ts_slab_take(&m->slab, m->sums.again, sizeof(double));
    }
    return TS_OK;
}

// What tokens give each neuron, less its mean.
static void centre(cosets *m, int side) {
    const ts_network *network = m->measuring->network;
    const double *embedding = side == LEFT ? network->e_x : network->e_y;
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    memset(m->part, 0, hidden * sizeof *m->part);
    memset(m->variation[side], 0, hidden * sizeof(double));
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++)
            m->part[k] += embedding[g * hidden + k] / m->n;
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++) {
            double own = embedding[g * hidden + k] - m->part[k];
            m->centred[g * hidden + k] = own;
            m->variation[side][k] += own * own;
        }
    for (size_t k = 0; k < hidden; k++) // what rounding leaves of a constant is none
        if (m->variation[side][k] <= 1e-28 * m->n * m->part[k] * m->part[k])
            m->variation[side][k] = 0;
}

// Sum over cosets of the variance within them over the variance of all, each over one less than its elements.
static void measure_subgroup(cosets *m, int side, int index) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    int order = m->subgroups->order[index];
    int count = ts_subgroup_cosets(m->measuring->pairs->table, m->subgroups, index, side == RIGHT, m->coset);
    double *ratio = m->ratio[side] + (size_t)index * hidden;
    memset(m->mean, 0, (size_t)count * hidden * sizeof *m->mean);
    memset(ratio, 0, hidden * sizeof *ratio);
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++)
            m->mean[(size_t)m->coset[g] * hidden + k] += m->centred[g * hidden + k] / order;
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++) {
            double own = m->centred[g * hidden + k] - m->mean[(size_t)m->coset[g] * hidden + k];
            ratio[k] += own * own;
        }
    for (size_t k = 0; k < hidden; k++)
        ratio[k] = order > 1 && m->variation[side][k] > 0
                       ? ratio[k] / (order - 1) / (m->variation[side][k] / (m->n - 1))
                       : NAN;
}

// Over the proper subgroups that are not trivial.
static void take_minimum(cosets *m, int side, int k) {
    double least = NAN, which = -1;
    for (int i = 1; i < m->subgroups->count - 1; i++) {
        double own = m->ratio[side][(size_t)i * (size_t)m->hidden + (size_t)k];
        least = !(own >= least) && !isnan(own) ? own : least;
    }
    for (int i = 1; i < m->subgroups->count - 1; i++)
        if (m->ratio[side][(size_t)i * (size_t)m->hidden + (size_t)k] <= least + SAME)
            which = i;
    m->minimum[side][k] = least;
    m->which[side][k] = which;
}

// A neuron is kept if it is near constant on the cosets of some subgroup on both sides, or constant altogether.
static bool is_kept(const cosets *m, int k, double threshold) {
    for (int side = 0; side < SIDES; side++)
        if (m->minimum[side][k] > threshold)
            return false;
    return true;
}

static void remove_neurons(cosets *m) {
    const ts_network *network = m->measuring->network;
    size_t hidden = (size_t)m->hidden;
    for (int t = 0; t < TS_COSET_THRESHOLDS; t++) {
        double *keep = m->keep + (size_t)t * hidden;
        m->size[t] = 0;
        for (int k = 0; k < m->hidden; k++) {
            keep[k] = is_kept(m, k, ts_coset_threshold[t]);
            m->size[t] += keep[k] / m->hidden;
        }
        m->change[t] = (ts_change){.left = network->e_x,
                                   .right = network->e_y,
                                   .left_sign = 1,
                                   .right_sign = 1,
                                   .activation = network->activation,
                                   .keep = keep};
    }
    ts_changes_measure(m->measuring->walk, &(ts_changes){m->measuring->pairs, m->change, TS_COSET_THRESHOLDS},
                       m->walked, m->loss, m->accuracy);
}

static void fill_nan(double *x, size_t count) {
    for (size_t i = 0; i < count; i++)
        x[i] = NAN;
}

// Neither tables that lead into neurons, nor subgroups but the whole group and the trivial one.
static void forget(cosets *m, bool tables) {
    size_t hidden = (size_t)m->hidden;
    for (int side = 0; side < SIDES && !tables; side++) {
        fill_nan(m->ratio[side], (size_t)m->subgroups->count * hidden);
        fill_nan(m->minimum[side], hidden);
        fill_nan(m->which[side], hidden);
    }
    fill_nan(m->size, TS_COSET_THRESHOLDS);
    for (int split = 0; split < TS_SPLITS; split++)
        fill_nan(m->accuracy[split], TS_COSET_THRESHOLDS);
}

static void finish(void *state) {
    cosets *m = state;
    const ts_network *network = m->measuring->network;
    if (!m->wanted)
        return;
    for (int side = 0; side < SIDES && network->additive; side++) {
        centre(m, side);
        for (int i = 0; i < m->subgroups->count && !ts_must_stop(m->measuring->pause); i++)
            measure_subgroup(m, side, i);
        for (int k = 0; k < m->hidden; k++)
            take_minimum(m, side, k);
    }
    if (network->additive && m->subgroups->count > 2)
        remove_neurons(m);
    else
        forget(m, network->additive);
}

#define RATIO "sum over the subgroup's cosets of the variance of what the neuron reads "

static const ts_measure ROWS[] = {
    {"coset_left_ratio",
     RATIO "on the left, over right cosets, over its whole variance",
     {"subgroup", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, ratio[LEFT])},
    {"coset_right_ratio",
     RATIO "on the right, over left cosets, over its whole variance",
     {"subgroup", "neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, ratio[RIGHT])},
    {"coset_left_minimum",
     "the smallest coset_left_ratio of a proper subgroup that is not trivial",
     {"neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, minimum[LEFT])},
    {"coset_right_minimum",
     "the smallest coset_right_ratio of a proper subgroup that is not trivial",
     {"neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, minimum[RIGHT])},
    {"coset_left_subgroup",
     "index of that subgroup, the largest where several have it; -1: none",
     {"neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, which[LEFT])},
    {"coset_right_subgroup",
     "index of that of coset_right_minimum",
     {"neuron"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, which[RIGHT])},
    {"coset_neurons",
     "share of neurons with both minima up to the threshold",
     {"coset_threshold"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, size)},
    {"coset_train_accuracy",
     "share of training pairs that are right with these neurons alone",
     {"coset_threshold"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, accuracy[TS_SPLIT_TRAIN])},
    {"coset_test_accuracy",
     "share of the other pairs that are right with these neurons alone",
     {"coset_threshold"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, accuracy[TS_SPLIT_TEST])},
    {"coset_all_accuracy",
     "share of all pairs that are right with these neurons alone",
     {"coset_threshold"},
     .without = "head",
     .at_end = true,
     .at = offsetof(cosets, accuracy[TS_SPLIT_ALL])},
    {0},
};

const ts_family ts_family_cosets = {
    .name = "cosets",
    .title = "Neurons on cosets of subgroups, of groups",
    .source = "Cosets and interventions",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .has = has_subgroups,
    .state_bytes = sizeof(cosets),
    .sums = offsetof(cosets, sums),
    .slab = offsetof(cosets, slab),
    .begin = begin,
    .finish = finish,
};
