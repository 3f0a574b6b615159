// How well a table is learned: losses and accuracies of all pairs that are there (NaN of none), the size of the
// weights, and when it was learned.
#include "measure/curves.h"
#include "measure/family.h"

#include <math.h>

static const double COME_DOWN = 0.5; // of the test loss's peak

enum { MEMORISED, GROKKED }; // numbers of the key `thresholds`

enum { TRAIN, TEST, PARTS };

// Sums over the pairs of each part.
enum { LOSS, RIGHT = LOSS + PARTS, SUMS = RIGHT + PARTS };

typedef struct learning {
    const ts_pairs *pairs;
    ts_sums sums;
    double count[PARTS]; // pairs of each
    double weight_norm2;
} learning;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    learning *l = state;
    const ts_table *table = measuring->data->table;
    const ts_network *network = measuring->network;
    (void)chart;
    l->pairs = measuring->pairs;
    l->sums.numbers = SUMS;
    l->count[TRAIN] = (double)l->pairs->train;
    l->count[TEST] = (double)table->pairs - l->count[TRAIN];
    for (int64_t i = 0; i < network->parameters; i++)
        l->weight_norm2 += network->all[i] * network->all[i];
    return TS_OK;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const learning *l = state;
    const ts_pairs *pairs = l->pairs;
    int n = pairs->table->n, n_out = pairs->table->n_out;
    double *e = ts_rows_exponentials(rows, a, false);
    const double *logits = ts_rows_at(rows, a).logits;
    for (int b = 0; b < n; b++) {
        int pair = a * n + b, part = pairs->is_train[pair] ? TRAIN : TEST;
        int label = pairs->table->result[pair];
        bool hit;
        if (label == TS_UNDEFINED)
            continue;
        double loss =
            ts_pairs_loss_of(pairs, e + (size_t)b * pairs->stride, logits + (size_t)b * (size_t)n_out, label, &hit);
        sums[LOSS + part] += pairs->outputs > n_out ? ts_rows_whole_loss(rows, a, b, label) : loss;
        sums[RIGHT + part] += hit;
    }
}

static void gather(void *state, ts_device *device) {
    const learning *l = state;
    const ts_table *table = l->pairs->table;
    const double *facts = ts_device_facts(device);
    double *sums = l->sums.total;
    for (int pair = 0; pair < table->n * table->n; pair++, facts += TS_PAIR_FACTS) {
        int part = l->pairs->is_train[pair] ? TRAIN : TEST;
        if (table->result[pair] == TS_UNDEFINED)
            continue;
        sums[LOSS + part] += facts[TS_FACT_LOSS];
        sums[RIGHT + part] += facts[TS_FACT_RIGHT];
    }
}

static double mean_of(const learning *l, int sums, int part) {
    return l->sums.total[sums + part] / l->count[part];
}

static double train_loss(const void *state) {
    return mean_of(state, LOSS, TRAIN);
}

static double test_loss(const void *state) {
    return mean_of(state, LOSS, TEST);
}

static double train_accuracy(const void *state) {
    return mean_of(state, RIGHT, TRAIN);
}

static double test_accuracy(const void *state) {
    return mean_of(state, RIGHT, TEST);
}

static double all_loss(const void *state) {
    const learning *l = state;
    return (l->sums.total[LOSS + TRAIN] + l->sums.total[LOSS + TEST]) / (l->count[TRAIN] + l->count[TEST]);
}

// First checkpoint at which the pairs are known; NaN: none.
static double known_from(const ts_curves *curves, int threshold) {
    const char *accuracy = threshold == MEMORISED ? "train_accuracy" : "test_accuracy";
    double known = ts_params_numbers(curves->params, "thresholds")->item[threshold];
    int64_t count = ts_curve_count(curves, accuracy);
    for (int64_t k = 0; k < count; k++)
        if (*ts_curve_at(curves, accuracy, k) >= known)
            return (double)ts_curve_step(curves, k);
    return NAN;
}

static void grokked_step(const ts_curves *curves, double *out) {
    *out = known_from(curves, GROKKED);
}

static void memorised_step(const ts_curves *curves, double *out) {
    *out = known_from(curves, MEMORISED);
}

static void grokking_delay(const ts_curves *curves, double *out) {
    *out = known_from(curves, GROKKED) - known_from(curves, MEMORISED);
}

// Liu et al. 2022, "Towards understanding grokking", with steps of this program. What is generalised without having
// been memorised (where less is asked for) was at least no later.
static void phase(const ts_curves *curves, double *out) {
    enum { COMPREHENSION, GROKKING, MEMORISATION, CONFUSION };
    double memorised = known_from(curves, MEMORISED), grokked = known_from(curves, GROKKED);
    double delay = (double)ts_params_integer(curves->params, "delay");
    bool asked = ts_curve_count(curves, "test_accuracy") > 0 && !isnan(*ts_curve_last(curves, "test_accuracy"));
    if (!asked)
        *out = NAN;
    else if (isnan(grokked))
        *out = isnan(memorised) ? CONFUSION : MEMORISATION;
    else
        *out = grokked - memorised >= delay ? GROKKING : COMPREHENSION;
}

// First checkpoint from which on the test loss stays under half of its peak; NaN: it ends above, or has none.
static double down_from(const ts_curves *curves) {
    int64_t count = ts_curve_count(curves, "test_loss"), down = 0;
    double peak = 0;
    for (int64_t k = 0; k < count; k++)
        peak = fmax(peak, *ts_curve_at(curves, "test_loss", k));
    for (int64_t k = 0; k < count; k++)
        if (!(*ts_curve_at(curves, "test_loss", k) <= COME_DOWN * peak))
            down = k + 1;
    return down < count ? (double)ts_curve_step(curves, down) : NAN;
}

static void cleanup_step(const ts_curves *curves, double *out) {
    double memorised = known_from(curves, MEMORISED), down = down_from(curves);
    *out = isnan(memorised) || isnan(down) ? NAN : fmax(memorised, down);
}

static void circuit_formation_step(const ts_curves *curves, double *out) {
    *out = isnan(down_from(curves)) ? NAN : known_from(curves, MEMORISED);
}

static const ts_measure ROWS[] = {
    {"train_loss", "mean loss (by default the cross-entropy) on the training pairs", .units = "nat", .loss = true,
     .value = train_loss},
    {"test_loss", "mean loss on the other pairs", .units = "nat", .loss = true, .value = test_loss},
    {"train_accuracy", "share of training pairs that are right", .value = train_accuracy},
    {"test_accuracy", "share of the other pairs that are right", .value = test_accuracy},
    {"all_loss", "mean loss on all pairs", .units = "nat", .loss = true, .value = all_loss},
    {"weight_norm2", "sum of squares of all weights", .at = offsetof(learning, weight_norm2)},
    {"grokked_step", "first checkpoint with a test accuracy of thresholds.grokked (0.99); NaN: none", .at_end = true,
     .follows = grokked_step},
    {"memorised_step",
     "first checkpoint with a train accuracy of thresholds.memorised (0.99), where memorisation ends; NaN: none",
     .at_end = true, .follows = memorised_step},
    {"circuit_formation_step",
     "memorised_step, from which circuits form, if the test loss comes down for good afterwards; NaN: it does not",
     .at_end = true, .follows = circuit_formation_step},
    {"cleanup_step",
     "first checkpoint from memorised_step on after which the test loss stays under half of its peak; NaN: none",
     .at_end = true, .follows = cleanup_step},
    {"grokking_delay", "grokked_step less memorised_step; NaN: one of them is missing", .at_end = true,
     .follows = grokking_delay},
    {"phase",
     "0 comprehension: generalised less than `delay` steps after memorising; 1 grokking: later; 2 memorisation: never; "
     "3 confusion: not even memorised; NaN: not known",
     .at_end = true, .follows = phase},
    {0},
};

// The forward pass of all pairs.
static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    return 2 * n * n * (double)params->schema->model->width(params, "neuron") * data->table->n_out;
}

const ts_family ts_family_learning = {
    .name = TS_LOSSES,
    .title = "Losses and accuracies of a table",
    .source = "The model: `mlp`",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .operations = operations,
    .state_bytes = sizeof(learning),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(learning, sums),
};
