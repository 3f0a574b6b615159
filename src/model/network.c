#include "model/network.h"

#include "base/memory.h"
#include "base/torch_random.h"
#include "model/group_measures.h"
#include "model/losses.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Exponentials of logits that are kept while a network is measured, in bytes.
static const double KEPT_BYTES = 128e6;
static const double GROKKED = 0.99, PASSED = 0.05;

// --- The list of measures ---

enum {
    TRAIN_LOSS,
    TEST_LOSS,
    TRAIN_ACCURACY,
    TEST_ACCURACY,
    ALL_LOSS,
    WEIGHT_NORM2,
    GROKKED_STEP,
    GROUP_SCALARS,                                    // of chart 0
    VALUE_SCALARS = GROUP_SCALARS + TS_GROUP_SCALARS, // of chart 1
    GROUP_CURVES = VALUE_SCALARS + TS_GROUP_SCALARS,  // per irrep, of chart 0
    VALUE_CURVES = GROUP_CURVES + TS_GROUP_CURVES,    // of chart 1
    KEY_IRREP = VALUE_CURVES + TS_GROUP_CURVES,       // at the end, of chart 0
    IRREP_STEP,
    IRREP_ORDER,
    NEURON_IRREP,
    NEURON_IRREP_FRACTION,
    VALUE_KEY_IRREP, // of chart 1
    VALUE_IRREP_STEP,
    VALUE_IRREP_ORDER,
    VALUE_NEURON_IRREP,
    VALUE_NEURON_IRREP_FRACTION,
    ATTENTION,
    MEASURES,
};

#define SCALAR(name_, loss_, help_, units_)                                                                  \
    { .name = (name_), .curve = true, .final = true, .loss = (loss_), .help = (help_), .units = (units_) }
#define SCALAR_OF(needs_, name_, loss_, help_)                                                               \
    {                                                                                                        \
        .name = (name_), .needs = (needs_), .curve = true, .final = true, .loss = (loss_), .help = (help_),  \
        .units = (loss_) ? "nat" : NULL                                                                      \
    }
#define CURVE_OF(needs_, name_, loss_, help_)                                                                \
    {                                                                                                        \
        .name = (name_), .dimension = {"irrep"}, .needs = (needs_), .curve = true, .loss = (loss_),          \
        .help = (help_), .units = (loss_) ? "nat" : NULL                                                     \
    }
#define FINAL_OF(needs_, name_, dimension_, help_)                                                           \
    { .name = (name_), .dimension = {dimension_}, .needs = (needs_), .final = true, .help = (help_) }

// Once for each chart: `needs` is the dimension or chart that must be there, `in` what a, b stand for.
#define GROUP_SCALAR_ROWS(base, needs, prefix, in)                                                           \
    [base +                                                                                                  \
        TS_LOGITS_EXPLAINED] =                                                                               \
        SCALAR_OF(needs, prefix "logits_explained", false,                                                   \
                  "sum of squared logit similarities over all irreps but the trivial one" in),               \
        [base + TS_TOTAL_EXCLUDED_LOSS] =                                                                    \
            SCALAR_OF(needs, prefix "total_excluded_loss", true,                                             \
                      "training loss without the key irreps' functions of a b in the hidden layer" in),      \
        [base + TS_TOTAL_RESTRICTED_LOSS] =                                                                  \
            SCALAR_OF(needs, prefix "total_restricted_loss", true,                                           \
                      "loss with only the key irreps' functions of a b in the hidden layer" in),             \
        [base + TS_TOTAL_LOGIT_EXCLUDED_LOSS] =                                                              \
            SCALAR_OF(needs, prefix "total_logit_excluded_loss", true,                                       \
                      "training loss without the logits' components along the key irreps" in),               \
        [base + TS_TOTAL_LOGIT_RESTRICTED_LOSS] =                                                            \
            SCALAR_OF(needs, prefix "total_logit_restricted_loss", true,                                     \
                      "loss with only the logits' components along the key irreps" in),                      \
        [base + TS_EMBED_LEFT_EXPLAINED] = SCALAR_OF(needs, prefix "embed_left_explained", false,            \
                                                     "embed_left_fraction summed over the key irreps" in),   \
        [base + TS_EMBED_RIGHT_EXPLAINED] = SCALAR_OF(needs, prefix "embed_right_explained", false,          \
                                                      "embed_right_fraction summed over the key irreps" in), \
        [base + TS_UNEMBED_EXPLAINED] = SCALAR_OF(needs, prefix "unembed_explained", false,                  \
                                                  "unembed_fraction summed over the key irreps" in),         \
        [base + TS_HIDDEN_EXPLAINED] =                                                                       \
            SCALAR_OF(needs, prefix "hidden_explained", false,                                               \
                      "all three hidden fractions summed over the key irreps" in),                           \
        [base + TS_HIDDEN_PRODUCT_EXPLAINED] =                                                               \
            SCALAR_OF(needs, prefix "hidden_product_explained", false,                                       \
                      "hidden_product_fraction summed over the key irreps" in),                              \
        [base + TS_FIT_CONSTANT] = SCALAR_OF(needs, prefix "fit_constant", false,                            \
                                             "constant of the least-squares fit of the logits" in),          \
        [base + TS_FIT_EXPLAINED] =                                                                          \
            SCALAR_OF(needs, prefix "fit_explained", false,                                                  \
                      "share of the logits' variance that a fit of the key irreps' chi cubes explains" in)

#define GROUP_CURVE_ROWS(base, needs, prefix, in)                                                            \
    [base +                                                                                                  \
        TS_EMBED_LEFT_FRACTION] =                                                                            \
        CURVE_OF(needs, prefix "embed_left_fraction", false, "|P_r E_x|^2 / |E_x|^2" in),                    \
        [base + TS_EMBED_RIGHT_FRACTION] =                                                                   \
            CURVE_OF(needs, prefix "embed_right_fraction", false, "|P_r E_y|^2 / |E_y|^2" in),               \
        [base + TS_UNEMBED_FRACTION] =                                                                       \
            CURVE_OF(needs, prefix "unembed_fraction", false, "|P_r U^T|^2 / |U|^2" in),                     \
        [base + TS_HIDDEN_LEFT_FRACTION] = CURVE_OF(needs, prefix "hidden_left_fraction", false,             \
                                                    "share of |H0|^2 in functions of a in the irrep" in),    \
        [base + TS_HIDDEN_RIGHT_FRACTION] = CURVE_OF(needs, prefix "hidden_right_fraction", false,           \
                                                     "share of |H0|^2 in functions of b in the irrep" in),   \
        [base + TS_HIDDEN_PRODUCT_FRACTION] =                                                                \
            CURVE_OF(needs, prefix "hidden_product_fraction", false,                                         \
                     "share of |H0|^2 in functions of a b in the irrep" in),                                 \
        [base + TS_LOGIT_SIMILARITY] = CURVE_OF(needs, prefix "logit_similarity", false,                     \
                                                "cosine between centred logits and chi_r(a b c^-1)" in),     \
        [base + TS_FIT_COEFFICIENT] =                                                                        \
            CURVE_OF(needs, prefix "fit_coefficient", false,                                                 \
                     "coefficient of chi_r(a b c^-1) in the least-squares fit of the logits" in),            \
        [base + TS_EXCLUDED_LOSS] = CURVE_OF(needs, prefix "excluded_loss", true,                            \
                                             "training loss without the irrep's functions of a b in H" in),  \
        [base + TS_RESTRICTED_LOSS] = CURVE_OF(needs, prefix "restricted_loss", true,                        \
                                               "loss with only the irrep's functions of a b in H" in),       \
        [base + TS_LOGIT_EXCLUDED_LOSS] =                                                                    \
            CURVE_OF(needs, prefix "logit_excluded_loss", true,                                              \
                     "training loss without the logits' component along chi_r" in),                          \
        [base + TS_LOGIT_RESTRICTED_LOSS] = CURVE_OF(needs, prefix "logit_restricted_loss", true,            \
                                                     "loss with only the logits' component along chi_r" in), \
        [base + TS_ABLATION_LEFT_LOSS] =                                                                     \
            CURVE_OF(needs, prefix "ablation_left_loss", true,                                               \
                     "loss after removing the irrep's functions of a from H" in),                            \
        [base + TS_ABLATION_RIGHT_LOSS] =                                                                    \
            CURVE_OF(needs, prefix "ablation_right_loss", true,                                              \
                     "loss after removing the irrep's functions of b from H" in),                            \
        [base + TS_ABLATION_PRODUCT_LOSS] =                                                                  \
            CURVE_OF(needs, prefix "ablation_product_loss", true,                                            \
                     "loss after removing the irrep's functions of a b from H" in)

#define GROUP_FINAL_ROWS(base, needs, prefix, in)                                                            \
    [base] = FINAL_OF(needs, prefix "key_irrep", "irrep",                                                    \
                      "1 for irreps with a final logit similarity over 0.005, but the trivial one" in),      \
    [base + 1] = FINAL_OF(needs, prefix "irrep_step", "irrep",                                               \
                          "first checkpoint with a logit similarity over 0.05; NaN: none" in),               \
    [base + 2] = FINAL_OF(needs, prefix "irrep_order", "irrep",                                              \
                          "key irreps numbered from 1 in the order of their irrep_step; NaN: not one" in),   \
    [base + 3] = FINAL_OF(needs, prefix "neuron_irrep", "neuron",                                            \
                          "irrep that holds most of the neuron's energy; -1: off" in),                       \
    [base + 4] = FINAL_OF(needs, prefix "neuron_irrep_fraction", "neuron",                                   \
                          "share of the neuron's energy that its irrep holds" in)

#define IN_VALUES ", with a^m and b^n mod p for a and b"

const ts_measure ts_network_measures[] = {
    [TRAIN_LOSS] = SCALAR("train_loss", true, "mean cross-entropy on the training pairs", "nat"),
    [TEST_LOSS] = SCALAR("test_loss", true, "mean cross-entropy on the other pairs", "nat"),
    [TRAIN_ACCURACY] = SCALAR("train_accuracy", false, "share of training pairs that are right", NULL),
    [TEST_ACCURACY] = SCALAR("test_accuracy", false, "share of the other pairs that are right", NULL),
    [ALL_LOSS] = SCALAR("all_loss", true, "mean cross-entropy on all pairs", "nat"),
    [WEIGHT_NORM2] = SCALAR("weight_norm2", false, "sum of squares of all weights", NULL),
    [GROKKED_STEP] = {.name = "grokked_step",
                      .final = true,
                      .help = "first checkpoint with a test accuracy of 0.99; NaN: none"},
    GROUP_SCALAR_ROWS(GROUP_SCALARS, "irrep", "", ""),
    GROUP_SCALAR_ROWS(VALUE_SCALARS, "value", "value_", IN_VALUES),
    GROUP_CURVE_ROWS(GROUP_CURVES, "irrep", "", ""),
    GROUP_CURVE_ROWS(VALUE_CURVES, "value", "value_", IN_VALUES),
    GROUP_FINAL_ROWS(KEY_IRREP, "irrep", "", ""),
    GROUP_FINAL_ROWS(VALUE_KEY_IRREP, "value", "value_", IN_VALUES),
    [ATTENTION] = {.name = "attention",
                   .dimension = {"head", "source"},
                   .curve = true,
                   .help = "attention of the last position, mean over all pairs"},
    [MEASURES] = {0},
};

static bool has_chart(const ts_data *data, int chart) {
    return data->symmetry && chart < data->symmetry->charts;
}

int64_t ts_network_dimension(const ts_parameter_layout *layout, int hidden, int heads, const ts_data *data,
                             const char *name) {
    if (strcmp(name, "irrep") == 0)
        return has_chart(data, 0) ? data->symmetry->irreps->count : 0;
    if (strcmp(name, "value") == 0) // no dimension of data: whether there is a value chart
        return has_chart(data, 1);
    if (strcmp(name, "neuron") == 0)
        return hidden;
    if (strcmp(name, "head") == 0)
        return heads;
    if (strcmp(name, "source") == 0)
        return TS_SOURCES;
    for (int i = 0; i < layout->count; i++)
        for (int d = 0; d < layout->tensor[i].rank; d++)
            if (strcmp(layout->tensor[i].dimension[d], name) == 0)
                return layout->tensor[i].size[d];
    return 0;
}

const char *ts_network_label(const ts_data *data, const char *dimension, int64_t index) {
    static const char *const SOURCES[TS_SOURCES] = {"a", "b", "="};
    if (strcmp(dimension, "irrep") == 0 && data->symmetry)
        return data->symmetry->irreps->irrep[index].name;
    if (strcmp(dimension, "irrep_alias") == 0 && data->symmetry)
        return data->symmetry->irreps->irrep[index].alias;
    return strcmp(dimension, "source") == 0 ? SOURCES[index] : NULL;
}

// --- Split and initial weights ---

int ts_network_order(const ts_params *params) {
    double order = 0;
    params->schema->task->derive(params, "order", &order);
    return (int)order;
}

static uint64_t own_seed(const ts_params *params, const char *name) {
    int64_t seed = ts_params_integer(params, name);
    return (uint64_t)(seed < 0 ? ts_params_integer(params, "seed") : seed);
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train) {
    ts_table_split(table, own_seed(params, "split_seed"), ts_params_real(params, "train_fraction"), pairs,
                   train);
    // Sums then run over pairs in the order of the table, where neighbours share their left embedding.
    qsort(pairs, (size_t)*train, sizeof *pairs, ascending);
}

static int64_t numbers(const ts_tensor *tensor) {
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->size[d];
    return count;
}

const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes) {
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        if (numbers(tensor) >= TS_TORCH_NORMALS)
            continue;
        snprintf(message, bytes, "%s would have %lld numbers; PyTorch's streams need at least %d",
                 tensor->name, (long long)numbers(tensor), TS_TORCH_NORMALS);
        return tensor->name;
    }
    return NULL;
}

void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters) {
    ts_torch_random random;
    ts_torch_seed(&random, own_seed(params, "init_seed"));
    for (int i = 0; i < layout->count; i++)
        ts_torch_normal(&random, numbers(&layout->tensor[i]), deviation[i],
                        parameters + layout->tensor[i].offset);
}

// --- All pairs ---

static ts_status create_pairs(const ts_params *params, const ts_data *data, const ts_network *network,
                              ts_pairs *p) {
    const ts_table *table = data->table;
    size_t n = (size_t)table->n, hidden = (size_t)network->hidden, n_out = (size_t)table->n_out;
    size_t stride = ts_loss_stride(table->n_out);
    size_t kept = (double)(n * n * stride) * sizeof(double) <= KEPT_BYTES ? n : 1;
    int *pairs = NULL;
    *p = (ts_pairs){.network = network, .table = table, .row = -1, .kept = (int)kept, .stride = stride};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "a network's pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        p->row_of = ts_slab_take(&p->slab, kept, sizeof(int));
        p->h = ts_slab_take(&p->slab, n * hidden, sizeof(double));
        p->logits = ts_slab_take(&p->slab, n * n_out, sizeof(double));
        p->e = ts_slab_take(&p->slab, kept * n * stride, sizeof(double));
        p->is_train = ts_slab_take(&p->slab, n * n, 1);
        pairs = ts_slab_take(&p->slab, n * n, sizeof(int));
    }
    for (size_t i = 0; i < kept; i++)
        p->row_of[i] = -1;
    ts_network_pairs(params, table, pairs, &p->train);
    memset(p->is_train, 0, n * n);
    for (int64_t i = 0; i < p->train; i++)
        p->is_train[pairs[i]] = 1;
    return TS_OK;
}

ts_pair_row ts_pairs_row(ts_pairs *p, int a) {
    if (p->row != a)
        p->network->row(p->network->weights, a, p->h, p->logits);
    p->row = a;
    return (ts_pair_row){p->h, p->logits};
}

double *ts_pairs_exponentials(ts_pairs *p, int a) {
    size_t at = (size_t)(p->kept > 1 ? a : 0), n = (size_t)p->table->n, n_out = (size_t)p->table->n_out;
    double *e = p->e + at * n * p->stride;
    if (p->row_of[at] != a) {
        ts_pairs_row(p, a);
        for (size_t b = 0; b < n; b++)
            ts_exponentials(p->logits + b * n_out, 1, (int)n_out, e + b * p->stride);
        p->row_of[at] = a;
    }
    return e;
}

// --- Measures ---

// Losses and right answers so far; [0]: of training pairs, [1]: of the others.
typedef struct losses {
    double loss[2], right[2];
} losses;

static void add_losses(ts_pairs *pairs, int a, losses *sum) {
    int n = pairs->table->n, n_out = pairs->table->n_out;
    double *e = ts_pairs_exponentials(pairs, a);
    for (int b = 0; b < n; b++) {
        int pair = a * n + b, part = pairs->is_train[pair] ? 0 : 1;
        bool hit;
        sum->loss[part] += ts_loss(e + (size_t)b * pairs->stride, pairs->logits + (size_t)b * (size_t)n_out,
                                   n_out, pairs->table->result[pair], &hit);
        sum->right[part] += hit;
    }
}

static void enter_losses(const ts_pairs *pairs, const losses *sum, double *out) {
    double all = (double)pairs->table->n * pairs->table->n, train = (double)pairs->train, test = all - train;
    out[TRAIN_LOSS] = sum->loss[0] / train;
    out[TEST_LOSS] = sum->loss[1] / test;
    out[TRAIN_ACCURACY] = sum->right[0] / train;
    out[TEST_ACCURACY] = sum->right[1] / test;
    out[ALL_LOSS] = (sum->loss[0] + sum->loss[1]) / all;
}

// Where each measure's numbers start in what measure() writes; -1: the case has no such measure.
static void locate(const ts_params *params, const ts_data *data, int64_t at[MEASURES]) {
    int64_t offset = 0;
    for (int i = 0; i < MEASURES; i++) {
        int64_t length = ts_measure_length(params, data, i);
        at[i] = length > 0 ? offset : -1;
        offset += length;
    }
}

static const struct {
    int scalars, curves, final;
} CHARTS[TS_MAX_CHARTS] = {{GROUP_SCALARS, GROUP_CURVES, KEY_IRREP},
                           {VALUE_SCALARS, VALUE_CURVES, VALUE_KEY_IRREP}};

// Starts what is measured through each chart.
static ts_status begin_charts(ts_pairs *pairs, const ts_data *data, const int64_t *at, bool last, double *out,
                              ts_group_measures *measures[TS_MAX_CHARTS]) {
    ts_status status = TS_OK;
    for (int chart = 0; has_chart(data, chart) && status == TS_OK; chart++) {
        const int64_t *final = at + CHARTS[chart].final - KEY_IRREP;
        ts_group_results results = {
            .scalar = out + at[CHARTS[chart].scalars],
            .curve = out + at[CHARTS[chart].curves],
            .neuron_irrep = last ? out + final[NEURON_IRREP] : NULL,
            .neuron_irrep_fraction = last ? out + final[NEURON_IRREP_FRACTION] : NULL,
        };
        status = ts_group_measures_begin(pairs, data->symmetry, chart, &results, &measures[chart]);
    }
    return status;
}

ts_status ts_network_measure(const ts_params *params, const ts_data *data, const ts_network *network,
                             bool last, double *out) {
    int64_t at[MEASURES], total = ts_measures_total(params, data);
    ts_group_measures *measures[TS_MAX_CHARTS] = {0};
    losses sum = {0};
    ts_pairs pairs;
    for (int64_t i = 0; i < total; i++)
        out[i] = NAN;
    locate(params, data, at);
    ts_status status = create_pairs(params, data, network, &pairs);
    if (status == TS_OK)
        status = begin_charts(&pairs, data, at, last, out, measures);
    for (int a = 0; a < data->table->n && status == TS_OK; a++) {
        ts_pairs_row(&pairs, a);
        add_losses(&pairs, a, &sum);
        for (int chart = 0; has_chart(data, chart); chart++)
            ts_group_measures_add(measures[chart], a);
    }
    for (int chart = 0; has_chart(data, chart) && status == TS_OK; chart++)
        status = ts_group_measures_finish(measures[chart]);
    for (int chart = 0; chart < TS_MAX_CHARTS; chart++)
        ts_group_measures_free(measures[chart]);
    if (status == TS_OK) {
        enter_losses(&pairs, &sum, out + at[TRAIN_LOSS]);
        out[at[WEIGHT_NORM2]] = network->weight_norm2;
    }
    if (status == TS_OK && network->heads > 0)
        memcpy(out + at[ATTENTION], network->attention, (size_t)network->heads * TS_SOURCES * sizeof(double));
    ts_slab_free(&pairs.slab);
    return status;
}

// --- What follows from the curves ---

// Key irreps numbered in the order of the step at which each first passed; equal steps in the order of irreps.
static void order_irreps(int count, const double *key, const double *step, double *order) {
    for (int r = 0; r < count; r++) {
        if (key[r] != 1 || isnan(step[r]))
            continue;
        order[r] = 1;
        for (int s = 0; s < count; s++)
            order[r] += key[s] == 1 && (step[s] < step[r] || (step[s] == step[r] && s < r));
    }
}

void ts_network_conclude(const ts_params *params, const ts_data *data, int64_t step, const double *values,
                         double *final) {
    int64_t at[MEASURES];
    locate(params, data, at);
    double *grokked = final + at[GROKKED_STEP];
    if (values && isnan(*grokked) && values[at[TEST_ACCURACY]] >= GROKKED)
        *grokked = (double)step;
    for (int chart = 0; has_chart(data, chart); chart++) {
        const int64_t *of_chart = at + CHARTS[chart].final - KEY_IRREP;
        int count = data->symmetry->irreps->count;
        int64_t similarity = at[CHARTS[chart].curves] + TS_LOGIT_SIMILARITY * count;
        double *key = final + of_chart[KEY_IRREP], *first = final + of_chart[IRREP_STEP];
        for (int r = 0; r < count; r++) {
            if (values && isnan(first[r]) && values[similarity + r] > PASSED)
                first[r] = (double)step;
            key[r] = ts_is_key_irrep(r, final[similarity + r]);
        }
        if (!values)
            order_irreps(count, key, first, final + of_chart[IRREP_ORDER]);
    }
}
