// Progress measures with the same keys throughout: restricted and excluded losses (Nanda et al. 2023; Chughtai, Chan &
// Nanda 2023; definitions: docs/workloads.md) at every checkpoint, of the irreps or frequencies that were found at the
// last one, or that the sweep names. Where they are found, earlier checkpoints are measured when the last one is
// (ts_measure_hindsight).
#include "base/product.h"
#include "measure/clusters.h"
#include "measure/dimension.h"
#include "measure/group.h"
#include "measure/losses.h"
#include "measure/measure.h"
#include "task/key_irreps.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Whose functions are kept or taken away: the key frequencies of a cyclic table, or what are called total losses, those
// of the key irreps. Tables that are not cyclic have key irreps only.
enum { KEYS, TOTAL, SETS };

// What is kept or taken away, and where: functions of a b in the hidden layer, with the residual stream beside it; the
// same without that; components of the logits along chi cubes.
enum { OF_KEYS, OF_TOTAL, OF_TOTAL_LOGITS, PARTS };

enum { EACH = TS_SPLITS * TS_CORRECTIONS, EXCLUDED = PARTS * EACH }; // numbers of a part's losses; of all parts'

typedef struct final_keys {
    const ts_pairs *pairs;
    ts_walk *walk;
    const ts_network *network;
    const ts_symmetry *symmetry;
    const ts_chart *chart;
    const ts_clusters *clusters;  // of the last checkpoint, whose keys are taken; NULL: they are known, or nobody asks
    const ts_group_parts *groups; // likewise
    bool active;                  // the keys are known, or will be once all pairs are seen
    int n, hidden, irreps;
    size_t stride;
    double *is_key[SETS];                       // (irreps) 1: it is
    double *weight;                             // (n) pairs of each product
    int *label_count[TS_SPLIT_ALL];             // (n, n) training, test pairs of each product with that label
    double pairs_of[TS_SPLIT_ALL];              // how many
    ts_sums sums;                               // of these, but hidden_logit_mean, one after the other
    double *hidden_sum;                         // (n, hidden) activations of those pairs, added up
    double *logit_mean, *hidden_logit_mean;     // (n) over pairs; of what comes through the hidden layer
    double *by_product;                         // (n, n) centred logits, added up over the pairs of each product
    double test_loss;                           // sum
    double *functions, *columns;                // (n, n) of the keys, and transposed
    double *along, *through;                    // (n, hidden), (n, n) along them: of H, of H through U
    double *part[PARTS];                        // (n, n) what they give to the logits of each product
    double *correction[PARTS][TS_CORRECTIONS];  // (n, n) what is taken off a pair's logits
    double *exponential[PARTS][TS_CORRECTIONS]; // (n, stride) of their negatives
    double *z, *e;                              // (n), (stride)
    // Measures: (splits, corrections), (corrections).
    double *restricted[PARTS], *excluded[PARTS], *ratio[SETS];
    ts_slab slab;
} final_keys;

// --- Which keys ---

static bool keys_are(const ts_params *params, const char *word) {
    return ts_schema_find(params->schema, "keys") < 0 ? strcmp(word, "final") == 0 : ts_words_are(params, "keys", word);
}

static bool hindsight(const ts_params *params) {
    return keys_are(params, "final");
}

// As they were found at the last checkpoint.
static void take_final(final_keys *m, const ts_measuring *measuring, int chart) {
    static const char *const NAMES[SETS] = {"final_key", "final_total_key"};
    ts_measures all = ts_measures_of(measuring->params, measuring->data);
    while (ts_measures_next(&all))
        for (int set = 0; set < SETS; set++) {
            size_t prefix = strlen(all.prefix);
            if (all.chart == chart && all.hindsight && strcmp(all.measure->name + prefix, NAMES[set]) == 0)
                memcpy(m->is_key[set], measuring->final + all.offset, (size_t)m->irreps * sizeof(double));
        }
}

static void take_named(final_keys *m, const ts_params *params) {
    char word[TS_WORD_BYTES];
    for (int set = 0; set < SETS; set++)
        ts_key_irreps(m->symmetry, ts_params_words(params, "keys"), m->is_key[set], word);
}

// Sets which keys count, if that is known before the pairs are seen.
static void choose(final_keys *m, const ts_measuring *measuring, int chart) {
    if (!hindsight(measuring->params)) {
        take_named(m, measuring->params);
    } else if (measuring->final) {
        take_final(m, measuring, chart);
    } else {
        m->groups = ts_measuring_state(measuring, &ts_family_group, chart);
        m->clusters = m->symmetry->circles == 1 ? ts_measuring_state(measuring, &ts_family_clusters, chart) : NULL;
    }
}

// Those of the network at hand.
static void find_keys(final_keys *m) {
    for (int r = 0; r < m->irreps; r++)
        m->is_key[TOTAL][r] = ts_group_is_key(r, m->groups->similarity[r]);
    memcpy(m->is_key[KEYS], m->is_key[TOTAL], (size_t)m->irreps * sizeof(double));
    if (!m->clusters)
        return;
    memset(m->is_key[KEYS], 0, (size_t)m->irreps * sizeof(double));
    for (int k = 1; k <= m->symmetry->circle / 2; k++) {
        int r = ts_irrep_of_frequency(m->symmetry, k);
        if (r > 0 && m->clusters->planes.key[k - 1] == 1)
            m->is_key[KEYS][r] = 1;
    }
}

// --- What the pairs add up to ---

static size_t product_of(const final_keys *m, int a, int b) {
    return (size_t)m->symmetry->group->result[(size_t)m->chart->x_a[a] * (size_t)m->n + (size_t)m->chart->x_b[b]];
}

static size_t label_of(const final_keys *m, int a, int b) {
    return (size_t)m->pairs->table->result[(size_t)a * (size_t)m->n + (size_t)b];
}

static int split_of(const final_keys *m, int a, int b) {
    return m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b] ? TS_SPLIT_TRAIN : TS_SPLIT_TEST;
}

static void count_pairs(final_keys *m) {
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++) {
            size_t product = product_of(m, a, b);
            int split = split_of(m, a, b);
            m->weight[product] += 1;
            m->label_count[split][product * (size_t)m->n + label_of(m, a, b)]++;
            m->pairs_of[split] += 1;
        }
}

// Room for all that is measured; and, if anything is, for the way there.
static ts_status reserve(final_keys *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, on = m->active;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "losses of the final keys") != TS_OK)
            return TS_ERROR_MEMORY;
        for (int set = 0; set < SETS; set++) {
            m->is_key[set] = ts_slab_take(&m->slab, (size_t)m->irreps, sizeof(double));
            m->ratio[set] = ts_slab_take(&m->slab, TS_CORRECTIONS, sizeof(double));
        }
        m->weight = ts_slab_take_zero(&m->slab, on * n, sizeof(double));
        m->hidden_logit_mean = ts_slab_take_zero(&m->slab, on * n, sizeof(double));
        for (int split = 0; split < TS_SPLIT_ALL; split++)
            m->label_count[split] = ts_slab_take_zero(&m->slab, on * n * n, sizeof(int));
        m->functions = ts_slab_take(&m->slab, on * n * n, sizeof(double));
        m->columns = ts_slab_take(&m->slab, on * n * n, sizeof(double));
        m->along = ts_slab_take(&m->slab, on * n * hidden, sizeof(double));
        m->through = ts_slab_take(&m->slab, on * n * n, sizeof(double));
        for (int part = 0; part < PARTS; part++) {
            m->part[part] = ts_slab_take_zero(&m->slab, on * n * n, sizeof(double));
            for (int c = 0; c < TS_CORRECTIONS; c++) {
                m->correction[part][c] = ts_slab_take(&m->slab, on * n * n, sizeof(double));
                m->exponential[part][c] = ts_slab_take(&m->slab, on * n * m->stride, sizeof(double));
            }
            m->restricted[part] = ts_slab_take(&m->slab, EACH, sizeof(double));
            m->excluded[part] = ts_slab_take(&m->slab, EACH, sizeof(double));
        }
        m->z = ts_slab_take(&m->slab, on * n, sizeof(double));
        m->e = ts_slab_take(&m->slab, on * m->stride, sizeof(double));
    }
    return TS_OK;
}

static void forget(double *out, int count) {
    for (int i = 0; i < count; i++)
        out[i] = NAN;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    final_keys *m = state;
    m->pairs = measuring->pairs;
    m->walk = measuring->walk;
    m->network = measuring->network;
    m->symmetry = measuring->data->symmetry;
    m->chart = &m->symmetry->chart[chart];
    m->n = m->symmetry->group->n;
    m->hidden = m->network->hidden;
    m->irreps = m->symmetry->irreps->count;
    m->stride = ts_loss_stride(m->n);
    m->active =
        !keys_are(measuring->params, "none") && (!hindsight(measuring->params) || measuring->final || measuring->last);
    if (m->active) {
        size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
        m->sums = (ts_sums){.numbers = n * hidden + n + n * n + 1, .again = EXCLUDED, .scratch = n};
    }
    ts_status status = reserve(m);
    if (status != TS_OK)
        return status;
    for (int set = 0; set < SETS; set++) {
        forget(m->is_key[set], m->irreps);
        forget(m->ratio[set], TS_CORRECTIONS);
    }
    for (int part = 0; part < PARTS; part++) {
        forget(m->restricted[part], EACH);
        forget(m->excluded[part], EACH);
    }
    if (m->active) {
        count_pairs(m);
        choose(m, measuring, chart);
    }
    return TS_OK;
}

// centred (n): for its logits.
static void gather_pair(const final_keys *m, int a, int b, const double *h, const double *z, double *centred,
                        double *sums) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, product = product_of(m, a, b);
    double *logit_mean = sums + n * hidden, *by_product = logit_mean + n, centre = 0;
    for (size_t c = 0; c < n; c++)
        centre += z[c] / m->n;
    for (size_t c = 0; c < n; c++)
        centred[c] = z[c] - centre;
    ts_add(sums + product * hidden, h, m->hidden);
    ts_add(by_product + product * n, centred, m->n);
    ts_add(logit_mean, z, m->n);
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const final_keys *m = state;
    if (!m->active)
        return;
    size_t n = (size_t)m->n;
    ts_pair_row row = ts_rows_at(rows, a);
    double *e = ts_rows_exponentials(rows, a, false), *test_loss = sums + m->sums.numbers - 1;
    for (size_t b = 0; b < n; b++) {
        bool right;
        gather_pair(m, a, (int)b, row.h + b * (size_t)m->hidden, row.logits + b * n, rows->scratch, sums);
        if (split_of(m, a, (int)b) == TS_SPLIT_TEST)
            *test_loss +=
                ts_pairs_loss_of(m->pairs, e + b * m->stride, row.logits + b * n, (int)label_of(m, a, (int)b), &right);
    }
}

static int product_segment(const void *context, int a, int b) {
    return (int)product_of(context, a, b);
}

static void gather(void *state, ts_device *device) {
    const final_keys *m = state;
    size_t n = (size_t)m->n;
    if (!m->active)
        return;
    double *logit_mean = m->sums.total + n * (size_t)m->hidden, *by_product = logit_mean + n, centre = 0;
    double *test_loss = m->sums.total + m->sums.numbers - 1;
    const int *product = ts_device_each(device, product_segment, m);
    const double *facts = ts_device_facts(device);
    ts_device_sum(device, TS_PAIR_HIDDEN, product, m->n, m->sums.total);
    ts_device_sum(device, TS_PAIR_CENTRED, product, m->n, by_product);
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++, facts += TS_PAIR_FACTS) {
            centre += facts[TS_FACT_MEAN];
            *test_loss += split_of(m, a, b) == TS_SPLIT_TEST ? facts[TS_FACT_CLASS_LOSS] : 0;
        }
    for (size_t c = 0; c < n; c++)
        logit_mean[c] = centre;
    for (size_t p = 0; p < n; p++)
        ts_add(logit_mean, by_product + p * n, m->n);
}

static void take_sums(final_keys *m) {
    size_t n = (size_t)m->n;
    m->hidden_sum = m->sums.total;
    m->logit_mean = m->hidden_sum + n * (size_t)m->hidden;
    m->by_product = m->logit_mean + n;
    m->test_loss = m->sums.total[m->sums.numbers - 1];
}

// --- What the keys give to the logits ---

// The first `count` functions' part of H, through U.
static void project(final_keys *m, int count, double *part) {
    size_t n = (size_t)m->n;
    if (count == 0) {
        memset(part, 0, n * n * sizeof *part);
        return;
    }
    for (size_t i = 0; i < (size_t)count; i++)
        for (size_t g = 0; g < n; g++)
            m->columns[g * (size_t)count + i] = m->functions[i * n + g];
    ts_product(count, m->hidden, m->n, m->functions, m->n, m->hidden_sum, m->hidden, m->along, m->hidden);
    ts_product(count, m->n, m->hidden, m->along, m->hidden, m->network->u, m->n, m->through, m->n);
    ts_product(m->n, m->n, count, m->columns, count, m->through, m->n, part, m->n);
}

// All together, and without what they share with the constant.
static void project_keys(final_keys *m) {
    size_t n = (size_t)m->n;
    int count = ts_symmetry_span(m->symmetry, m->is_key[KEYS], m->weight, m->functions) - 1;
    memmove(m->functions, m->functions + n, (size_t)count * n * sizeof(double));
    project(m, count, m->part[OF_KEYS]);
}

// Irrep by irrep, as total losses are defined.
static void project_total(final_keys *m) {
    size_t n = (size_t)m->n;
    int count = 0;
    ts_symmetry_basis(m->symmetry, m->weight, m->functions);
    for (int r = 0; r < m->irreps; r++)
        for (int row = m->symmetry->first[r]; m->is_key[TOTAL][r] == 1 && row < m->symmetry->first[r + 1]; row++)
            memmove(m->functions + (size_t)count++ * n, m->functions + (size_t)row * n, n * sizeof(double));
    project(m, count, m->part[OF_TOTAL]);
}

static void project_logits(final_keys *m) {
    double *part = m->part[OF_TOTAL_LOGITS];
    for (int r = 0; r < m->irreps; r++) {
        if (m->is_key[TOTAL][r] != 1)
            continue;
        const double *chi = m->symmetry->irreps->irrep[r].character;
        double fit = ts_group_along_cube(m->symmetry, m->by_product, r) / ts_group_cube_norm(m->symmetry, r);
        for (int p = 0; p < m->n; p++)
            for (int c = 0; c < m->n; c++)
                part[p * m->n + c] += chi[m->symmetry->group->result[p * m->n + m->symmetry->inverse[c]]] * fit;
    }
}

static void take_means(final_keys *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    double pairs = (double)n * (double)n;
    memset(m->along, 0, hidden * sizeof(double));
    for (size_t g = 0; g < n; g++)
        ts_add(m->along, m->hidden_sum + g * hidden, m->hidden);
    ts_product(1, m->n, m->hidden, m->along, m->hidden, m->network->u, m->n, m->hidden_logit_mean, m->n);
    for (size_t c = 0; c < n; c++) {
        m->logit_mean[c] /= pairs;
        m->hidden_logit_mean[c] /= pairs;
    }
}

// --- Losses ---

// Mean over all pairs of what the keys give to output c.
static double mean_of(const final_keys *m, const double *part, size_t c) {
    double sum = 0;
    for (size_t g = 0; g < (size_t)m->n; g++)
        sum += m->weight[g] * part[g * (size_t)m->n + c];
    return sum / ((double)m->n * m->n);
}

// What is taken off pairs' logits: the keys' part; with the mean put back, less what that changes of the mean.
static void take_corrections(final_keys *m, int part) {
    size_t n = (size_t)m->n;
    const double *own = part == OF_TOTAL ? m->hidden_logit_mean : m->logit_mean; // of what it is taken off
    memcpy(m->correction[part][TS_UNCORRECTED], m->part[part], n * n * sizeof(double));
    for (size_t c = 0; c < n; c++) {
        double change = mean_of(m, m->part[part], c) - own[c] + m->logit_mean[c];
        for (size_t g = 0; g < n; g++)
            m->correction[part][TS_MEAN_PUT_BACK][g * n + c] = m->part[part][g * n + c] - change;
    }
    for (int c = 0; c < TS_CORRECTIONS; c++)
        for (size_t g = 0; g < n; g++)
            ts_pairs_exponentials(m->pairs, m->correction[part][c] + g * n, -1,
                                  m->exponential[part][c] + g * m->stride);
}

// Sums over the pairs of each split into means; that of all pairs from both.
static void take_mean_losses(const final_keys *m, double *losses) {
    double all = m->pairs_of[TS_SPLIT_TRAIN] + m->pairs_of[TS_SPLIT_TEST];
    for (int c = 0; c < TS_CORRECTIONS; c++) {
        double *train = &losses[TS_SPLIT_TRAIN * TS_CORRECTIONS + c],
               *test = &losses[TS_SPLIT_TEST * TS_CORRECTIONS + c];
        losses[TS_SPLIT_ALL * TS_CORRECTIONS + c] = (*train + *test) / all;
        *train = m->pairs_of[TS_SPLIT_TRAIN] > 0 ? *train / m->pairs_of[TS_SPLIT_TRAIN] : NAN;
        *test = m->pairs_of[TS_SPLIT_TEST] > 0 ? *test / m->pairs_of[TS_SPLIT_TEST] : NAN;
    }
}

// Adds the losses of one product's pairs by its part alone, or with the mean put back.
static void add_restricted(final_keys *m, int part, int c, size_t product, double *losses) {
    size_t n = (size_t)m->n;
    bool right;
    for (size_t i = 0; i < n; i++) {
        m->z[i] = m->part[part][product * n + i];
        if (c == TS_MEAN_PUT_BACK)
            m->z[i] += m->through[i];
    }
    ts_pairs_exponentials(m->pairs, m->z, 1, m->e);
    for (size_t label = 0; label < n; label++)
        for (int split = 0; split < TS_SPLIT_ALL; split++) {
            int count = m->label_count[split][product * n + label];
            if (count > 0)
                losses[split * TS_CORRECTIONS + c] +=
                    count * ts_pairs_loss_of(m->pairs, m->e, m->z, (int)label, &right);
        }
}

static void measure_restricted(final_keys *m, int part) {
    double *losses = m->restricted[part];
    memset(losses, 0, EACH * sizeof *losses);
    for (size_t i = 0; i < (size_t)m->n; i++) // what is put back
        m->through[i] = m->logit_mean[i] - mean_of(m, m->part[part], i);
    for (int c = 0; c < TS_CORRECTIONS; c++)
        for (size_t product = 0; product < (size_t)m->n && !ts_must_stop(m->pairs->pause); product++)
            if (m->weight[product] > 0)
                add_restricted(m, part, c, product, losses);
    take_mean_losses(m, losses);
}

// A pair's loss without a correction, where exponentials underflow, or there are none.
static double loss_without(const final_keys *m, ts_rows *rows, int a, int b, bool hidden, const double *correction) {
    if (isnan(correction[label_of(m, a, b)]))
        return NAN;
    const double *z = ts_rows_logits(rows, a, b, hidden);
    for (int c = 0; c < m->n; c++)
        rows->scratch[c] = z[c] - correction[c];
    return ts_pairs_loss(m->pairs, rows->scratch, (int)label_of(m, a, b));
}

// Adds a pair's losses without parts `first` to `end` - 1; e: exponentials of the logits they are taken off.
static void add_excluded(const final_keys *m, ts_rows *rows, int a, int b, int first, int end, double *e,
                         double *sums) {
    size_t n = (size_t)m->n, product = product_of(m, a, b);
    const double *exponentials[PARTS * TS_CORRECTIONS];
    double losses[PARTS * TS_CORRECTIONS];
    int count = 0, split = split_of(m, a, b);
    for (int part = first; part < end; part++)
        for (int c = 0; c < TS_CORRECTIONS; c++)
            exponentials[count++] = m->exponential[part][c] + product * m->stride;
    ts_pairs_losses_of(m->pairs, e + (size_t)b * m->stride, exponentials, count, (int)label_of(m, a, b), losses);
    for (int i = 0; i < count; i++) {
        int part = first + i / TS_CORRECTIONS, c = i % TS_CORRECTIONS;
        if (isnan(losses[i]))
            losses[i] = loss_without(m, rows, a, b, part == OF_TOTAL, m->correction[part][c] + product * n);
        sums[part * EACH + split * TS_CORRECTIONS + c] += losses[i];
    }
}

static void add_excluded_rows(const void *context, ts_rows *rows, int first, int end, double *sums) {
    const final_keys *m = context;
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        double *e = ts_rows_exponentials(rows, a, false), *hidden_e = ts_rows_exponentials(rows, a, true);
        for (int b = 0; b < m->n; b++) {
            add_excluded(m, rows, a, b, OF_KEYS, OF_KEYS + 1, e, sums);
            add_excluded(m, rows, a, b, OF_TOTAL, OF_TOTAL + 1, hidden_e, sums);
            add_excluded(m, rows, a, b, OF_TOTAL_LOGITS, OF_TOTAL_LOGITS + 1, e, sums);
        }
    }
}

static void exclude_on(const final_keys *m, ts_device *device, int part, double *losses) {
    size_t n = (size_t)m->n;
    for (int c = 0; c < TS_CORRECTIONS; c++) {
        double of_split[TS_PAIR_SPLITS];
        ts_device_losses(
            device,
            &(ts_pair_corrections){.elements = m->n, .columns = 1, .value = m->correction[part][c], .numbers = n * n},
            ts_device_each(device, product_segment, m), part == OF_TOTAL, of_split);
        losses[TS_SPLIT_TRAIN * TS_CORRECTIONS + c] = of_split[TS_PAIR_TRAIN];
        losses[TS_SPLIT_TEST * TS_CORRECTIONS + c] = of_split[TS_PAIR_TEST];
    }
}

static void measure_excluded(final_keys *m) {
    double sums[EXCLUDED] = {0};
    for (int part = 0; part < PARTS && m->pairs->device; part++)
        exclude_on(m, m->pairs->device, part, sums + part * EACH);
    if (!m->pairs->device)
        ts_walk_add_up(m->walk, &(ts_walk_sum){EXCLUDED, add_excluded_rows, m}, sums);
    for (int part = 0; part < PARTS; part++) {
        memcpy(m->excluded[part], sums + part * EACH, EACH * sizeof *sums);
        take_mean_losses(m, m->excluded[part]);
    }
}

static void finish(void *state) {
    final_keys *m = state;
    if (!m->active)
        return;
    take_sums(m);
    if (m->groups)
        find_keys(m);
    take_means(m);
    project_keys(m);
    project_total(m);
    project_logits(m);
    for (int part = 0; part < PARTS; part++) {
        take_corrections(m, part);
        measure_restricted(m, part);
    }
    measure_excluded(m);
    for (int set = 0; set < SETS; set++)
        for (int c = 0; c < TS_CORRECTIONS; c++)
            m->ratio[set][c] = m->test_loss / m->pairs_of[TS_SPLIT_TEST] /
                               m->restricted[set == KEYS ? OF_KEYS : OF_TOTAL][TS_SPLIT_TEST * TS_CORRECTIONS + c];
}

static const ts_measure ROWS[] = {
    {"final_key_restricted_loss",
     "loss with only the final keys' functions of a b in the hidden layer",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, restricted[OF_KEYS])},
    {"final_key_excluded_loss",
     "loss without the final keys' functions of a b in the hidden layer",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, excluded[OF_KEYS])},
    {"final_key_ratio",
     "test loss over final_key_restricted_loss on the test pairs",
     {"correction"},
     .at = offsetof(final_keys, ratio[KEYS])},
    {"final_total_restricted_loss",
     "total_restricted_loss of the final key irreps",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, restricted[OF_TOTAL])},
    {"final_total_excluded_loss",
     "total_excluded_loss of the final key irreps",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, excluded[OF_TOTAL])},
    {"final_total_logit_restricted_loss",
     "total_logit_restricted_loss of the final key irreps",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, restricted[OF_TOTAL_LOGITS])},
    {"final_total_logit_excluded_loss",
     "total_logit_excluded_loss of the final key irreps",
     {"split", "correction"},
     .units = "nat",
     .loss = true,
     .at = offsetof(final_keys, excluded[OF_TOTAL_LOGITS])},
    {"final_total_ratio",
     "test loss over final_total_restricted_loss on the test pairs",
     {"correction"},
     .at = offsetof(final_keys, ratio[TOTAL])},
    {"final_key",
     "1 for the irreps of final_key_...: `keys`, or the key frequencies of cyclic tables, key irreps of others",
     {"irrep"},
     .at_end = true,
     .at = offsetof(final_keys, is_key[KEYS])},
    {"final_total_key",
     "1 for the irreps of final_total_...: `keys`, or the key irreps",
     {"irrep"},
     .at_end = true,
     .at = offsetof(final_keys, is_key[TOTAL])},
    {0},
};

// The forward pass again, and two losses of each pair without each part.
static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n, hidden = (double)params->schema->model->width(params, "neuron");
    return keys_are(params, "none") ? 0 : 2 * n * n * n * (hidden + PARTS * TS_CORRECTIONS) / data->symmetry->charts;
}

const ts_family ts_family_final_keys = {
    .name = "key_losses",
    .title = "Losses with the keys of the end, throughout",
    .source = "Measures with the same keys throughout",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .hindsight = hindsight,
    .operations = operations,
    .state_bytes = sizeof(final_keys),
    .slab = offsetof(final_keys, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(final_keys, sums),
    .finish = finish,
    .needs = {&ts_family_group, &ts_family_clusters},
};
