// How well a table is learned: losses and accuracies of all pairs, the size of the weights, and when it was learned.
#include "measure/curves.h"
#include "measure/family.h"
#include "measure/losses.h"

#include <math.h>

static const double GROKKED = 0.99;

enum { TRAIN, TEST, PARTS };

typedef struct learning {
    ts_pairs *pairs;
    double loss[PARTS], right[PARTS], count[PARTS]; // sums over the pairs of each part; how many there are
    double weight_norm2;
} learning;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    learning *l = state;
    const ts_table *table = measuring->data->table;
    const ts_network *network = measuring->network;
    (void)chart;
    l->pairs = measuring->pairs;
    l->count[TRAIN] = (double)l->pairs->train;
    l->count[TEST] = (double)table->n * table->n - l->count[TRAIN];
    for (int64_t i = 0; i < network->parameters; i++)
        l->weight_norm2 += network->all[i] * network->all[i];
    return TS_OK;
}

static void add(void *state, int a) {
    learning *l = state;
    const ts_pairs *pairs = l->pairs;
    int n = pairs->table->n, n_out = pairs->table->n_out;
    const double *logits = ts_pairs_row(l->pairs, a).logits;
    double *e = ts_pairs_exponentials(l->pairs, a, false);
    for (int b = 0; b < n; b++) {
        int pair = a * n + b, part = pairs->is_train[pair] ? TRAIN : TEST;
        bool hit;
        l->loss[part] += ts_loss(e + (size_t)b * pairs->stride, logits + (size_t)b * (size_t)n_out, n_out,
                                 pairs->table->result[pair], &hit);
        l->right[part] += hit;
    }
}

static double train_loss(const void *state) {
    const learning *l = state;
    return l->loss[TRAIN] / l->count[TRAIN];
}

static double test_loss(const void *state) {
    const learning *l = state;
    return l->loss[TEST] / l->count[TEST];
}

static double train_accuracy(const void *state) {
    const learning *l = state;
    return l->right[TRAIN] / l->count[TRAIN];
}

static double test_accuracy(const void *state) {
    const learning *l = state;
    return l->right[TEST] / l->count[TEST];
}

static double all_loss(const void *state) {
    const learning *l = state;
    return (l->loss[TRAIN] + l->loss[TEST]) / (l->count[TRAIN] + l->count[TEST]);
}

static void grokked_step(const ts_curves *curves, double *out) {
    int64_t count = ts_curve_count(curves, "test_accuracy");
    for (int64_t k = 0; k < count && isnan(*out); k++)
        if (*ts_curve_at(curves, "test_accuracy", k) >= GROKKED)
            *out = (double)curves->step[k];
}

static const ts_measure ROWS[] = {
    {"train_loss", "mean cross-entropy on the training pairs", .units = "nat", .loss = true, .value = train_loss},
    {"test_loss", "mean cross-entropy on the other pairs", .units = "nat", .loss = true, .value = test_loss},
    {"train_accuracy", "share of training pairs that are right", .value = train_accuracy},
    {"test_accuracy", "share of the other pairs that are right", .value = test_accuracy},
    {"all_loss", "mean cross-entropy on all pairs", .units = "nat", .loss = true, .value = all_loss},
    {"weight_norm2", "sum of squares of all weights", .at = offsetof(learning, weight_norm2)},
    {"grokked_step", "first checkpoint with a test accuracy of 0.99; NaN: none", .at_end = true,
     .follows = grokked_step},
    {0},
};

// The forward pass of all pairs.
static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    return 2 * n * n * (double)params->schema->model->width(params, "neuron") * data->table->n_out;
}

const ts_family ts_family_learning = {
    .title = "Losses and accuracies of a table",
    .source = "The model: `mlp`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .operations = operations,
    .state_bytes = sizeof(learning),
    .begin = begin,
    .add = add,
};
