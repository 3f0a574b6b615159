#include "model/network.h"

#include "base/memory.h"
#include "base/torch_random.h"
#include "model/losses.h"
#include "model/network_list.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Exponentials of logits that are kept while a network is measured, in bytes.
static const double KEPT_BYTES = 128e6;
static const double GROKKED = 0.99, PASSED = 0.05;

// --- Split and initial weights ---

int ts_network_order(const ts_params *params) {
    double order = 0;
    ts_task_derive(params, "order", &order);
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
                              const atomic_int *pause, ts_pairs *p) {
    const ts_table *table = data->table;
    size_t n = (size_t)table->n, hidden = (size_t)network->hidden, n_out = (size_t)table->n_out;
    size_t stride = ts_loss_stride(table->n_out);
    size_t kept = (double)(n * n * stride) * sizeof(double) <= KEPT_BYTES ? n : TS_PAIRS_KEPT;
    int *pairs = NULL;
    *p = (ts_pairs){
        .network = network, .table = table, .pause = pause, .row = -1, .kept = (int)kept, .stride = stride};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "a network's pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        p->row_of = ts_slab_take(&p->slab, kept, sizeof(int));
        p->h = ts_slab_take(&p->slab, n * hidden, sizeof(double));
        p->logits = ts_slab_take(&p->slab, n * n_out, sizeof(double));
        p->e = ts_slab_take(&p->slab, kept * n * stride, sizeof(double));
        p->hidden_logits = network->residual ? ts_slab_take(&p->slab, n * n_out, sizeof(double)) : p->logits;
        p->hidden_e = network->residual ? ts_slab_take(&p->slab, kept * n * stride, sizeof(double)) : p->e;
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
        p->network->row(p->network->weights, a, p->h, p->logits,
                        p->network->residual ? p->hidden_logits : NULL);
    p->row = a;
    return (ts_pair_row){p->h, p->logits, p->hidden_logits};
}

static void take_exponentials(const ts_pairs *p, const double *logits, double *e) {
    size_t n = (size_t)p->table->n, n_out = (size_t)p->table->n_out;
    for (size_t b = 0; b < n; b++)
        ts_exponentials(logits + b * n_out, 1, (int)n_out, e + b * p->stride);
}

double *ts_pairs_exponentials(ts_pairs *p, int a, bool hidden) {
    size_t at = (size_t)(a % p->kept), first = at * (size_t)p->table->n * p->stride;
    if (p->row_of[at] != a) {
        ts_pairs_row(p, a);
        take_exponentials(p, p->logits, p->e + first);
        if (p->network->residual)
            take_exponentials(p, p->hidden_logits, p->hidden_e + first);
        p->row_of[at] = a;
    }
    return (hidden ? p->hidden_e : p->e) + first;
}

// --- Measures ---

// Losses and right answers so far; [0]: of training pairs, [1]: of the others.
typedef struct losses {
    double loss[2], right[2];
} losses;

static void add_losses(ts_pairs *pairs, int a, losses *sum) {
    int n = pairs->table->n, n_out = pairs->table->n_out;
    double *e = ts_pairs_exponentials(pairs, a, false);
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
    out[TS_NET_TRAIN_LOSS] = sum->loss[0] / train;
    out[TS_NET_TEST_LOSS] = sum->loss[1] / test;
    out[TS_NET_TRAIN_ACCURACY] = sum->right[0] / train;
    out[TS_NET_TEST_ACCURACY] = sum->right[1] / test;
    out[TS_NET_ALL_LOSS] = (sum->loss[0] + sum->loss[1]) / all;
}

// Where each measure's numbers start in what measure() writes; -1: the case has no such measure.
static void locate(const ts_params *params, const ts_data *data, int64_t at[TS_NET_MEASURES]) {
    int64_t offset = 0;
    for (int i = 0; i < TS_NET_MEASURES; i++) {
        int64_t length = ts_measure_length(params, data, i);
        at[i] = length > 0 ? offset : -1;
        offset += length;
    }
}

static const struct {
    int scalars, curves, final, fourier, clusters;
} CHARTS[TS_MAX_CHARTS] = {
    {TS_NET_GROUP_SCALARS, TS_NET_GROUP_CURVES, TS_NET_KEY_IRREP, TS_NET_FOURIER, TS_NET_CLUSTERS},
    {TS_NET_VALUE_SCALARS, TS_NET_VALUE_CURVES, TS_NET_VALUE_KEY_IRREP, TS_NET_VALUE_FOURIER,
     TS_NET_VALUE_CLUSTERS}};

// What is measured through one chart; NULL: not in this case.
typedef struct chart_measures {
    ts_group_measures *group;
    ts_fourier_measures *fourier;
    ts_dihedral_measures *dihedral;
} chart_measures;

static ts_status begin_group(ts_pairs *pairs, const ts_data *data, int chart, const int64_t *at, bool last,
                             double *out, chart_measures *measures) {
    const int64_t *final = at + CHARTS[chart].final - TS_NET_KEY_IRREP;
    ts_group_results results = {
        .scalar = out + at[CHARTS[chart].scalars],
        .curve = out + at[CHARTS[chart].curves],
        .neuron_irrep = last ? out + final[TS_NET_NEURON_IRREP] : NULL,
        .neuron_irrep_fraction = last ? out + final[TS_NET_NEURON_IRREP_FRACTION] : NULL,
    };
    return ts_group_measures_begin(pairs, data->symmetry, chart, &results, &measures->group);
}

static ts_status begin_circles(ts_pairs *pairs, const ts_data *data, int chart, const int64_t *at, bool last,
                               double *out, chart_measures *measures) {
    const int64_t *of_clusters = at + CHARTS[chart].clusters;
    ts_clusters clusters = {0};
    if (last && of_clusters[0] >= 0)
        clusters = (ts_clusters){out + of_clusters[0], out + of_clusters[1], out + of_clusters[2]};
    if (data->symmetry->circles == 1) {
        ts_fourier_results results = {.clusters = clusters};
        for (int i = 0; i < TS_FOURIER_MEASURES; i++)
            results.measure[i] = out + at[CHARTS[chart].fourier + i];
        return ts_fourier_measures_begin(pairs, data->symmetry, chart, &results, &measures->fourier);
    }
    if (data->symmetry->circles == 2) {
        ts_dihedral_results results = {.clusters = clusters};
        for (int i = 0; i < TS_DIHEDRAL_MEASURES; i++)
            results.measure[i] = out + at[TS_NET_DIHEDRAL + i];
        return ts_dihedral_measures_begin(pairs, data->symmetry, &results, &measures->dihedral);
    }
    return TS_OK;
}

static void add_row(const chart_measures *measures, int a) {
    if (measures->group)
        ts_group_measures_add(measures->group, a);
    if (measures->fourier)
        ts_fourier_measures_add(measures->fourier, a);
    if (measures->dihedral)
        ts_dihedral_measures_add(measures->dihedral, a);
}

static void finish(const chart_measures *measures) {
    if (measures->fourier)
        ts_fourier_measures_finish(measures->fourier);
    if (measures->dihedral)
        ts_dihedral_measures_finish(measures->dihedral);
    if (measures->group)
        ts_group_measures_finish(measures->group);
}

static void free_measures(const chart_measures *measures) {
    ts_group_measures_free(measures->group);
    ts_fourier_measures_free(measures->fourier);
    ts_dihedral_measures_free(measures->dihedral);
}

// All that takes a pass over the pairs.
static ts_status measure_pairs(ts_pairs *pairs, const ts_data *data, const int64_t *at, bool last,
                               double *out) {
    chart_measures measures[TS_MAX_CHARTS] = {{0}};
    losses sum = {0};
    ts_status status = TS_OK;
    for (int chart = 0; ts_network_has_chart(data, chart) && status == TS_OK; chart++) {
        status = begin_group(pairs, data, chart, at, last, out, &measures[chart]);
        if (status == TS_OK)
            status = begin_circles(pairs, data, chart, at, last, out, &measures[chart]);
    }
    for (int a = 0; a < data->table->n && status == TS_OK && !ts_must_stop(pairs->pause); a++) {
        ts_pairs_row(pairs, a);
        add_losses(pairs, a, &sum);
        for (int chart = 0; chart < TS_MAX_CHARTS; chart++)
            add_row(&measures[chart], a);
    }
    for (int chart = 0; chart < TS_MAX_CHARTS && status == TS_OK && !ts_must_stop(pairs->pause); chart++)
        finish(&measures[chart]);
    for (int chart = 0; chart < TS_MAX_CHARTS; chart++)
        free_measures(&measures[chart]);
    if (status == TS_OK)
        enter_losses(pairs, &sum, out + at[TS_NET_TRAIN_LOSS]);
    return status == TS_OK && ts_must_stop(pairs->pause) ? TS_STOPPED : status;
}

ts_status ts_network_measure(const ts_params *params, const ts_data *data, const ts_network *network,
                             bool last, const atomic_int *pause, double *out) {
    int64_t at[TS_NET_MEASURES], total = ts_measures_total(params, data);
    ts_pairs pairs;
    for (int64_t i = 0; i < total; i++)
        out[i] = NAN;
    locate(params, data, at);
    out[at[TS_NET_WEIGHT_NORM2]] = 0;
    for (int64_t i = 0; i < network->parameters; i++)
        out[at[TS_NET_WEIGHT_NORM2]] += network->all[i] * network->all[i];
    if (network->heads > 0)
        memcpy(out + at[TS_NET_ATTENTION], network->attention,
               (size_t)network->heads * TS_SOURCES * sizeof(double));
    ts_status status = create_pairs(params, data, network, pause, &pairs);
    if (status == TS_OK)
        status = measure_pairs(&pairs, data, at, last, out);
    ts_slab_free(&pairs.slab);
    return status;
}

// Logits of all pairs; per chart, coefficients of the hidden layer; per irrep, three to four losses of each pair.
double ts_network_measure_operations(const ts_data *data, int hidden) {
    double n = data->table->n, pairs = n * n, charts = 0, irreps = 0;
    if (data->symmetry) {
        charts = data->symmetry->charts;
        irreps = data->symmetry->irreps->count;
    }
    return 2 * pairs * hidden * data->table->n_out + charts * (18 * pairs * hidden + 7 * irreps * pairs * n);
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
    int64_t at[TS_NET_MEASURES];
    locate(params, data, at);
    bool known = !isnan(final[at[TS_NET_WEIGHT_NORM2]]); // else the weights were not finite
    double *grokked = final + at[TS_NET_GROKKED_STEP];
    if (values && isnan(*grokked) && values[at[TS_NET_TEST_ACCURACY]] >= GROKKED)
        *grokked = (double)step;
    for (int chart = 0; ts_network_has_chart(data, chart); chart++) {
        const int64_t *of_chart = at + CHARTS[chart].final - TS_NET_KEY_IRREP;
        int count = data->symmetry->irreps->count;
        int64_t similarity = at[CHARTS[chart].curves] + TS_LOGIT_SIMILARITY * count;
        double *key = final + of_chart[TS_NET_KEY_IRREP], *first = final + of_chart[TS_NET_IRREP_STEP];
        for (int r = 0; r < count; r++) {
            if (values && isnan(first[r]) && values[similarity + r] > PASSED)
                first[r] = (double)step;
            key[r] = known ? ts_is_key_irrep(r, final[similarity + r]) : NAN;
        }
        if (!values)
            order_irreps(count, key, first, final + of_chart[TS_NET_IRREP_ORDER]);
    }
}
