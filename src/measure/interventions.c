// Interventions on what tokens give the hidden layer (Stander et al. 2023): swapped, signs flipped, noise, the
// absolute value in place of the activation; losses and accuracies of each. Of networks that are one activation of
// a sum of two tables.
#include "base/random.h"
#include "measure/changed.h"
#include "measure/family.h"

#include <math.h>

enum { SWAPPED, LEFT_FLIPPED, RIGHT_FLIPPED, BOTH_FLIPPED, ABSOLUTE, NOISY, NOISES = 4 };
enum { CROSSED = NOISY + NOISES, PAIRS_NOISY }; // swapped before what reads them; noise on pairs

// Mean and standard deviation, in the order of the dimension's names.
static const struct { double mean, deviation; } NOISE[NOISES] = {{0, 0.1}, {0, 1}, {1, 1}, {-1, 1}};

typedef struct interventions {
    const ts_measuring *measuring;
    bool wanted;
    double *table[NOISES][2];                      // (n, hidden) with noise, left and right
    double *crossed[2];                            // (n, hidden)
    double *loss[TS_SPLITS], *accuracy[TS_SPLITS]; // (interventions)
    ts_change change[TS_INTERVENTIONS];
    ts_sums sums;
    double *walked;
    ts_slab slab;
} interventions;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    interventions *m = state;
    size_t n = (size_t)measuring->data->table->n, hidden = (size_t)measuring->network->hidden;
    (void)chart;
    m->measuring = measuring;
    m->wanted = measuring->last;
    m->sums.again = ts_changes_sums(TS_INTERVENTIONS);
    m->sums.scratch = m->wanted ? ts_changes_scratch((int)n, (int)hidden, measuring->data->table->n_out) : 0;
    for (int pass = 0; pass < 2 && m->wanted; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "interventions") != TS_OK)
            return TS_ERROR_MEMORY;
        for (int i = 0; i < NOISES; i++)
            for (int side = 0; side < 2; side++)
                m->table[i][side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        for (int side = 0; side < 2; side++)
            m->crossed[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        for (int split = 0; split < TS_SPLITS; split++) {
            m->loss[split] = ts_slab_take(&m->slab, TS_INTERVENTIONS, sizeof(double));
            m->accuracy[split] = ts_slab_take(&m->slab, TS_INTERVENTIONS, sizeof(double));
        }
        m->walked = ts_slab_take(&m->slab, m->sums.again, sizeof(double));
    }
    if (!m->wanted || !measuring->network->cross)
        return TS_OK;
    return measuring->network->cross(measuring->network->weights, m->crossed[0], m->crossed[1]);
}

static ts_philox stream_of(const interventions *m, int step, int lane) {
    uint64_t seed = (uint64_t)ts_params_integer(m->measuring->params, "seed");
    return ts_philox_at(seed, TS_STREAM_NOISE, (uint32_t)step, (uint32_t)lane);
}

// An embedding with noise of its own for each token and neuron.
static void add_noise(const interventions *m, int i, int side) {
    const ts_network *network = m->measuring->network;
    const double *embedding = side == 0 ? network->e_x : network->e_y;
    int64_t count = (int64_t)m->measuring->data->table->n * network->hidden;
    ts_philox at = stream_of(m, i, side);
    double *table = m->table[i][side];
    ts_philox_normals(&at, table, count);
    for (int64_t k = 0; k < count; k++)
        table[k] = embedding[k] + NOISE[i].mean + NOISE[i].deviation * table[k];
}

static void take_changes(interventions *m) {
    const ts_network *network = m->measuring->network;
    const ts_change as_it_is = {.left = network->e_x,
                                .right = network->e_y,
                                .left_sign = 1,
                                .right_sign = 1,
                                .activation = network->activation};
    for (int i = 0; i < TS_INTERVENTIONS; i++)
        m->change[i] = as_it_is;
    m->change[SWAPPED].left = network->e_y;
    m->change[SWAPPED].right = network->e_x;
    m->change[LEFT_FLIPPED].left_sign = m->change[BOTH_FLIPPED].left_sign = -1;
    m->change[RIGHT_FLIPPED].right_sign = m->change[BOTH_FLIPPED].right_sign = -1;
    m->change[ABSOLUTE].activation = TS_ABSOLUTE;
    for (int i = 0; i < NOISES; i++) {
        for (int side = 0; side < 2; side++)
            add_noise(m, i, side);
        m->change[NOISY + i].left = m->table[i][0];
        m->change[NOISY + i].right = m->table[i][1];
        m->change[PAIRS_NOISY + i].mean = NOISE[i].mean;
        m->change[PAIRS_NOISY + i].deviation = NOISE[i].deviation;
        m->change[PAIRS_NOISY + i].noise = stream_of(m, NOISES + i, 0);
    }
    if (network->cross) {
        m->change[CROSSED].left = m->crossed[0];
        m->change[CROSSED].right = m->crossed[1];
    }
}

static void finish(void *state) {
    interventions *m = state;
    if (!m->wanted)
        return;
    for (int split = 0; split < TS_SPLITS; split++)
        for (int i = 0; i < TS_INTERVENTIONS; i++)
            m->loss[split][i] = m->accuracy[split][i] = NAN;
    if (!m->measuring->network->additive)
        return;
    take_changes(m);
    ts_changes_measure(m->measuring->walk, &(ts_changes){m->measuring->pairs, m->change, TS_INTERVENTIONS}, m->walked,
                       m->loss, m->accuracy);
    for (int split = 0; split < TS_SPLITS && !m->measuring->network->cross; split++)
        m->loss[split][CROSSED] = m->accuracy[split][CROSSED] = NAN;
}

#define ROW(name_, help_, split_, kind_, loss_)                                                                        \
    {                                                                                                                  \
        .name = name_, .help = help_, .dimension = {"intervention"}, .without = "head", .at_end = true, .loss = loss_, \
        .units = loss_ ? "nat" : NULL, .at = offsetof(interventions, kind_[split_])                                    \
    }

static const ts_measure ROWS[] = {
    ROW("intervention_train_loss", "training loss with the intervention", TS_SPLIT_TRAIN, loss, true),
    ROW("intervention_test_loss", "test loss with the intervention", TS_SPLIT_TEST, loss, true),
    ROW("intervention_all_loss", "loss on all pairs with the intervention", TS_SPLIT_ALL, loss, true),
    ROW("intervention_train_accuracy", "share of training pairs that are right with it", TS_SPLIT_TRAIN, accuracy,
        false),
    ROW("intervention_test_accuracy", "share of the other pairs that are right with it", TS_SPLIT_TEST, accuracy,
        false),
    ROW("intervention_all_accuracy", "share of all pairs that are right with it", TS_SPLIT_ALL, accuracy, false),
    {0},
};

const ts_family ts_family_interventions = {
    .name = "interventions",
    .title = "Interventions on what tokens give the hidden layer",
    .source = "Cosets and interventions",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .state_bytes = sizeof(interventions),
    .sums = offsetof(interventions, sums),
    .slab = offsetof(interventions, slab),
    .begin = begin,
    .finish = finish,
};
