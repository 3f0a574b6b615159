#include "model/group_measures.h"

#include "base/memory.h"
#include "base/product.h"
#include "model/losses.h"

#include <math.h>
#include <string.h>

// Corrections of logits that are kept at once, in bytes; more irreps than fit are done in turns.
static const double TURN_BYTES = 256e6;
static const double KEY_SIMILARITY = 0.005, OFF_ENERGY = 1;

// What an irrep adds to the logits: as a function of a, of b, of a b in the hidden layer; along the chi cube.
enum { OF_A, OF_B, OF_PRODUCT, SIDES, CUBE = SIDES, CORRECTIONS };

struct ts_group_measures {
    ts_pairs *pairs;
    const ts_network *network;
    const ts_symmetry *symmetry;
    const ts_table *group;
    const ts_chart *chart;
    int n, hidden, count; // order of the group, width, irreps
    size_t stride;        // of a row of exponentials
    ts_pair_row row;      // of pairs, while they are gathered
    // Functions of a, of b and of a b: elements of the group weighted by the pairs they stand for.
    double *weight[SIDES];         // (n) pairs of each element
    double *mean[SIDES];           // (n, hidden) means of H over the pairs of each element
    double *all_mean;              // (hidden)
    double *by_product;            // (n, n): centred logits summed over the pairs of each product
    int *label_count;              // (n, n): pairs of each product with that label
    double *embedding[2];          // (n, embed) E_x, E_y, mean over the tokens of each element
    double *u_rows;                // (n, hidden): U transposed
    double *projector, *projected; // (n, n), (n, the widest)
    double *difference;            // (n)
    double *total;                 // (2, n, n) over key irreps: corrections by a b, along the cube
    double *e;                     // (n, stride) exponentials of a row's logits; the pairs'
    double *total_exponential;     // (2, n, stride) of their negatives
    // Of H0; of logits centred over c; of their means over c; and the sum of these means.
    double hidden_energy, logit_energy, centre_energy, centre_sum;
    int turn;              // irreps of a turn
    double *correction;    // (turn, CORRECTIONS, n, n)
    double *exponential;   // (turn, CORRECTIONS, n, stride) of their negatives
    double *neuron_energy; // (hidden) of the irrep at hand
    double *neuron_all;    // (hidden)
    ts_group_results results;
    ts_slab slab;
};
typedef ts_group_measures measuring;

static double *curve_of(const measuring *m, int measure) {
    return m->results.curve + (size_t)measure * (size_t)m->count;
}

static double *correction_of(const measuring *m, int turn_index, int kind) {
    return m->correction + ((size_t)turn_index * CORRECTIONS + (size_t)kind) * (size_t)m->n * (size_t)m->n;
}

static double *total_exponential_of(const measuring *m, int layer) {
    return m->total_exponential + (size_t)layer * (size_t)m->n * m->stride;
}

static double *exponential_of(const measuring *m, int turn_index, int kind) {
    return m->exponential + ((size_t)turn_index * CORRECTIONS + (size_t)kind) * (size_t)m->n * m->stride;
}

static ts_status create(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                        const ts_group_results *results, measuring *m) {
    size_t n = (size_t)symmetry->group->n, hidden = (size_t)pairs->network->hidden;
    size_t embed = (size_t)pairs->network->embed, stride = ts_loss_stride((int)n);
    double each = CORRECTIONS * 8 * (double)n * (double)(n + stride);
    *m = (measuring){.pairs = pairs,
                     .network = pairs->network,
                     .symmetry = symmetry,
                     .group = symmetry->group,
                     .chart = &symmetry->chart[chart],
                     .n = (int)n,
                     .hidden = (int)hidden,
                     .count = symmetry->irreps->count,
                     .stride = stride,
                     .results = *results};
    m->turn = each * m->count > TURN_BYTES ? (int)(TURN_BYTES / each) : m->count;
    m->turn = m->turn < 1 ? 1 : m->turn;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        for (int side = 0; side < SIDES; side++) {
            m->weight[side] = ts_slab_take(&m->slab, n, sizeof(double));
            m->mean[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        }
        m->all_mean = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->by_product = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->label_count = ts_slab_take(&m->slab, n * n, sizeof(int));
        for (int side = 0; side < 2; side++)
            m->embedding[side] = ts_slab_take(&m->slab, n * embed, sizeof(double));
        m->u_rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->projector = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->projected = ts_slab_take(&m->slab, n * (hidden > embed ? hidden : embed), sizeof(double));
        m->difference = ts_slab_take(&m->slab, n, sizeof(double));
        m->total = ts_slab_take(&m->slab, 2 * n * n, sizeof(double));
        m->total_exponential = ts_slab_take(&m->slab, 2 * n * stride, sizeof(double));
        m->correction = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * n, sizeof(double));
        m->exponential = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * stride, sizeof(double));
        m->neuron_energy = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->neuron_all = ts_slab_take(&m->slab, hidden, sizeof(double));
    }
    memset(m->slab.base, 0, m->slab.size);
    return TS_OK;
}

// --- What the pairs add up to ---

static int element_of(const measuring *m, int side, int a, int b) {
    int x = m->chart->x_a[a], y = m->chart->x_b[b];
    return side == OF_A ? x : side == OF_B ? y : m->group->result[(size_t)x * (size_t)m->n + (size_t)y];
}

static double energy(const double *x, size_t count) {
    double lane[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++)
            lane[k] += x[i + k] * x[i + k];
    for (; i < count; i++)
        sum += x[i] * x[i];
    for (size_t k = 0; k < 8; k++)
        sum += lane[k];
    return sum;
}

static void add(double *restrict sum, const double *restrict x, int count) {
    for (int k = 0; k < count; k++)
        sum[k] += x[k];
}

static void gather_pair(measuring *m, int a, int b) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    const double *h = m->row.h + (size_t)b * hidden, *z = m->row.logits + (size_t)b * n;
    double centre = 0;
    for (int side = 0; side < SIDES; side++) {
        size_t element = (size_t)element_of(m, side, a, b);
        m->weight[side][element] += 1;
        add(m->mean[side] + element * hidden, h, m->hidden);
    }
    m->hidden_energy += energy(h, hidden);
    for (int c = 0; c < m->n; c++)
        centre += z[c];
    centre /= m->n;
    m->centre_sum += centre;
    m->centre_energy += centre * centre;
    for (int c = 0; c < m->n; c++)
        m->difference[c] = z[c] - centre;
    size_t product = (size_t)element_of(m, OF_PRODUCT, a, b);
    add(m->by_product + product * n, m->difference, m->n);
    m->logit_energy += energy(m->difference, n);
    m->label_count[product * n + (size_t)m->pairs->table->result[(size_t)a * n + (size_t)b]]++;
}

// Means over the tokens of each element.
static void gather_embedding(measuring *m, int side) {
    size_t width = (size_t)m->network->embed;
    const double *tokens = side == OF_A ? m->network->e_x : m->network->e_y;
    for (int a = 0; a < m->n; a++) {
        int element = element_of(m, side, a, a);
        double *mean = m->embedding[side] + (size_t)element * width;
        for (size_t k = 0; k < width; k++) // an element stands for n pairs per token
            mean[k] += tokens[(size_t)a * width + k] * m->n / m->weight[side][element];
    }
}

void ts_group_measures_add(measuring *m, int a) {
    m->row = ts_pairs_row(m->pairs, a);
    for (int b = 0; b < m->n; b++)
        gather_pair(m, a, b);
}

// Sums over all pairs to means.
static void finish_gathering(measuring *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    for (size_t k = 0; k < hidden; k++)
        for (size_t c = 0; c < n; c++)
            m->u_rows[c * hidden + k] = m->network->u[k * n + c];
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++)
            m->all_mean[k] += m->mean[OF_A][g * hidden + k] / (double)(n * n);
    for (int side = 0; side < SIDES; side++)
        for (size_t g = 0; g < n; g++)
            for (size_t k = 0; k < hidden && m->weight[side][g] > 0; k++)
                m->mean[side][g * hidden + k] /= m->weight[side][g];
    m->hidden_energy -= (double)(n * n) * energy(m->all_mean, hidden); // of H0
    gather_embedding(m, OF_A);
    gather_embedding(m, OF_B);
}

// --- One irrep ---

// P x; x (n, width) into m->projected: the best approximation by the irrep's functions where each element
// counts by its weight. Returns its energy, each element counted once for every `scale` of its weight.
static double project(measuring *m, const double *x, int width, const double *weight, double scale) {
    double sum = 0;
    ts_product(m->n, width, m->n, m->projector, m->n, x, width, m->projected, width);
    for (int g = 0; g < m->n; g++)
        sum += (weight ? weight[g] / scale : 1) *
               energy(m->projected + (size_t)g * (size_t)width, (size_t)width);
    return sum;
}

static ts_status take_projector(measuring *m, int r, int side) {
    return ts_symmetry_projector(m->symmetry, r, side == SIDES ? NULL : m->weight[side], m->projector);
}

// Adds a projection's energy of each neuron.
static void add_neurons(measuring *m, const double *x, const double *weight, double scale, double *sum) {
    for (int g = 0; g < m->n; g++)
        for (int k = 0; k < m->hidden; k++) {
            double value = x[(size_t)g * (size_t)m->hidden + (size_t)k];
            sum[k] += weight[g] / scale * value * value;
        }
}

static bool neurons_embedded(const measuring *m) {
    return m->network->embed == m->hidden;
}

static ts_status measure_sides(measuring *m, int r, int turn_index) {
    size_t n = (size_t)m->n, embed = (size_t)m->network->embed;
    const double *tokens[2] = {m->network->e_x, m->network->e_y};
    memset(m->neuron_energy, 0, (size_t)m->hidden * sizeof(double));
    for (int side = 0; side < SIDES; side++) {
        if (take_projector(m, r, side) != TS_OK)
            return TS_ERROR_MEMORY;
        double part = project(m, m->mean[side], m->hidden, m->weight[side], 1);
        if (r == 0) // the mean itself, which H0 is without
            part -= (double)(n * n) * energy(m->all_mean, (size_t)m->hidden);
        curve_of(m, TS_HIDDEN_LEFT_FRACTION + side)[r] = part / m->hidden_energy;
        ts_product(m->n, m->n, m->hidden, m->projected, m->hidden, m->network->u, m->n,
                   correction_of(m, turn_index, side), m->n);
        if (side == OF_PRODUCT)
            break;
        if (!neurons_embedded(m) && r > 0)
            add_neurons(m, m->projected, m->weight[side], m->n, m->neuron_energy);
        part = project(m, m->embedding[side], m->network->embed, m->weight[side], m->n);
        curve_of(m, TS_EMBED_LEFT_FRACTION + side)[r] = part / energy(tokens[side], n * embed);
        if (neurons_embedded(m))
            add_neurons(m, m->projected, m->weight[side], m->n, m->neuron_energy);
    }
    ts_status status = take_projector(m, r, SIDES);
    curve_of(m, TS_UNEMBED_FRACTION)[r] =
        project(m, m->u_rows, m->hidden, NULL, 1) / energy(m->u_rows, n * (size_t)m->hidden);
    return status;
}

// Similarity of the logits to the chi cube chi(a b c^-1), and their component along it.
static void measure_cube(measuring *m, int r, double *correction) {
    const double *chi = m->symmetry->irreps->irrep[r].character;
    double dot = 0, norm = (double)m->n * m->n * energy(chi, (size_t)m->n);
    for (int p = 0; p < m->n; p++)
        for (int c = 0; c < m->n; c++) {
            size_t at = (size_t)p * (size_t)m->n + (size_t)c;
            correction[at] = chi[m->group->result[p * m->n + m->symmetry->inverse[c]]];
            dot += m->by_product[at] * correction[at];
        }
    for (size_t i = 0; i < (size_t)m->n * (size_t)m->n; i++)
        correction[i] *= dot / norm;
    curve_of(m, TS_LOGIT_SIMILARITY)[r] = dot / sqrt(norm * m->logit_energy);
    curve_of(m, TS_FIT_COEFFICIENT)[r] = dot / norm;
}

static void enter_neurons(measuring *m, int r) {
    const ts_group_results *results = &m->results;
    for (int k = 0; k < m->hidden && results->neuron_irrep; k++) {
        m->neuron_all[k] += m->neuron_energy[k];
        if (r == 0 || m->neuron_energy[k] > results->neuron_irrep_fraction[k]) {
            results->neuron_irrep[k] = r;
            results->neuron_irrep_fraction[k] = m->neuron_energy[k];
        }
    }
}

static void finish_neurons(measuring *m) {
    const ts_group_results *results = &m->results;
    for (int k = 0; k < m->hidden && results->neuron_irrep; k++) {
        bool off = m->neuron_all[k] < OFF_ENERGY;
        results->neuron_irrep_fraction[k] = off ? NAN : results->neuron_irrep_fraction[k] / m->neuron_all[k];
        results->neuron_irrep[k] = off ? -1 : results->neuron_irrep[k];
    }
}

// --- Losses ---

static double loss_without(measuring *m, const double *z, const double *correction, int label) {
    for (int c = 0; c < m->n; c++)
        m->difference[c] = z[c] - correction[c];
    return ts_pair_loss(m->difference, m->n, label);
}

// Mean loss over all pairs of logits (n, n) that depend on the product alone.
static double loss_of_products(measuring *m, const double *logits) {
    double sum = 0;
    for (int p = 0; p < m->n; p++)
        for (int c = 0; c < m->n; c++) {
            size_t at = (size_t)p * (size_t)m->n + (size_t)c;
            if (m->label_count[at] > 0)
                sum += m->label_count[at] * ts_pair_loss(logits + (size_t)p * (size_t)m->n, m->n, c);
        }
    return sum / ((double)m->n * m->n);
}

static double mean_over(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : NAN;
}

static void take_exponentials(measuring *m, const double *correction, double *exponential) {
    for (int g = 0; g < m->n; g++)
        ts_exponentials(correction + (size_t)g * (size_t)m->n, -1, m->n, exponential + (size_t)g * m->stride);
}

// A pair's losses without each of the corrections.
static void pair_losses(measuring *m, int a, int b, const double *const *corrections,
                        const double *const *exponentials, int count, double *losses) {
    size_t n = (size_t)m->n;
    int label = m->pairs->table->result[(size_t)a * n + (size_t)b];
    ts_losses(m->e + (size_t)b * m->stride, exponentials, count, m->stride, label, losses);
    for (int i = 0; i < count; i++)
        if (isnan(losses[i])) // rare, so that logits are not kept for it
            losses[i] =
                loss_without(m, ts_pairs_row(m->pairs, a).logits + (size_t)b * n, corrections[i], label);
}

// Adds the losses of a pair without irrep r's parts.
static void add_losses(measuring *m, int a, int b, int r, int turn_index) {
    const double *corrections[CORRECTIONS], *exponentials[CORRECTIONS];
    double losses[CORRECTIONS];
    bool train = m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b];
    for (int kind = 0; kind < CORRECTIONS; kind++) {
        size_t element = (size_t)element_of(m, kind == CUBE ? OF_PRODUCT : kind, a, b);
        corrections[kind] = correction_of(m, turn_index, kind) + element * (size_t)m->n;
        exponentials[kind] = exponential_of(m, turn_index, kind) + element * m->stride;
    }
    pair_losses(m, a, b, corrections, exponentials, train ? CORRECTIONS : SIDES, losses);
    for (int side = 0; side < SIDES; side++)
        curve_of(m, TS_ABLATION_LEFT_LOSS + side)[r] += losses[side];
    if (train) {
        curve_of(m, TS_EXCLUDED_LOSS)[r] += losses[OF_PRODUCT];
        curve_of(m, TS_LOGIT_EXCLUDED_LOSS)[r] += losses[CUBE];
    }
}

// Adds a training pair's losses without all key irreps' parts.
static void add_total_losses(measuring *m, int a, int b) {
    size_t n = (size_t)m->n, product = (size_t)element_of(m, OF_PRODUCT, a, b);
    const double *corrections[2], *exponentials[2];
    double losses[2];
    for (int layer = 0; layer < 2; layer++) {
        corrections[layer] = m->total + ((size_t)layer * n + product) * n;
        exponentials[layer] = total_exponential_of(m, layer) + product * m->stride;
    }
    pair_losses(m, a, b, corrections, exponentials, 2, losses);
    m->results.scalar[TS_TOTAL_EXCLUDED_LOSS] += losses[0];
    m->results.scalar[TS_TOTAL_LOGIT_EXCLUDED_LOSS] += losses[1];
}

bool ts_is_key_irrep(int irrep, double similarity) {
    return irrep > 0 && similarity > KEY_SIMILARITY;
}

static bool is_key(const measuring *m, int r) {
    return ts_is_key_irrep(r, curve_of(m, TS_LOGIT_SIMILARITY)[r]);
}

static const int LOSSES[] = {TS_EXCLUDED_LOSS, TS_LOGIT_EXCLUDED_LOSS, TS_ABLATION_LEFT_LOSS,
                             TS_ABLATION_RIGHT_LOSS, TS_ABLATION_PRODUCT_LOSS};

// All that one irrep needs before the pass over the pairs.
static ts_status prepare_irrep(measuring *m, int r, int turn_index) {
    size_t products = (size_t)m->n * (size_t)m->n;
    const double *of_product = correction_of(m, turn_index, OF_PRODUCT),
                 *cube = correction_of(m, turn_index, CUBE);
    if (measure_sides(m, r, turn_index) != TS_OK)
        return TS_ERROR_MEMORY;
    measure_cube(m, r, correction_of(m, turn_index, CUBE));
    enter_neurons(m, r);
    curve_of(m, TS_RESTRICTED_LOSS)[r] = loss_of_products(m, of_product);
    curve_of(m, TS_LOGIT_RESTRICTED_LOSS)[r] = loss_of_products(m, cube);
    for (int i = 0; i < 5; i++)
        curve_of(m, LOSSES[i])[r] = 0;
    for (int kind = 0; kind < CORRECTIONS; kind++)
        take_exponentials(m, correction_of(m, turn_index, kind), exponential_of(m, turn_index, kind));
    for (size_t i = 0; i < products && is_key(m, r); i++) {
        m->total[i] += of_product[i];
        m->total[products + i] += cube[i];
    }
    return TS_OK;
}

static ts_status measure_turn(measuring *m, int first, int count) {
    int64_t pairs = (int64_t)m->n * m->n;
    for (int i = 0; i < count; i++)
        if (prepare_irrep(m, first + i, i) != TS_OK)
            return TS_ERROR_MEMORY;
    bool totals = first + count == m->count; // all of them are known by now
    for (int i = 0; i < 2 && totals; i++)
        take_exponentials(m, m->total + i * pairs, total_exponential_of(m, i));
    for (int a = 0; a < m->n; a++) {
        m->e = ts_pairs_exponentials(m->pairs, a);
        for (int b = 0; b < m->n; b++) {
            for (int i = 0; i < count; i++)
                add_losses(m, a, b, first + i, i);
            if (totals && m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b])
                add_total_losses(m, a, b);
        }
    }
    for (int r = first; r < first + count; r++)
        for (int i = 0; i < 5; i++)
            curve_of(m, LOSSES[i])[r] = mean_over(curve_of(m, LOSSES[i])[r], i < 2 ? m->pairs->train : pairs);
    return TS_OK;
}

// --- Over the key irreps ---

static void sum_fractions(measuring *m, double *scalar) {
    for (int r = 1; r < m->count; r++) {
        double similarity = curve_of(m, TS_LOGIT_SIMILARITY)[r],
               product = curve_of(m, TS_HIDDEN_PRODUCT_FRACTION)[r];
        scalar[TS_LOGITS_EXPLAINED] += similarity * similarity;
        if (!is_key(m, r))
            continue;
        scalar[TS_EMBED_LEFT_EXPLAINED] += curve_of(m, TS_EMBED_LEFT_FRACTION)[r];
        scalar[TS_EMBED_RIGHT_EXPLAINED] += curve_of(m, TS_EMBED_RIGHT_FRACTION)[r];
        scalar[TS_UNEMBED_EXPLAINED] += curve_of(m, TS_UNEMBED_FRACTION)[r];
        scalar[TS_HIDDEN_PRODUCT_EXPLAINED] += product;
        scalar[TS_HIDDEN_EXPLAINED] +=
            curve_of(m, TS_HIDDEN_LEFT_FRACTION)[r] + curve_of(m, TS_HIDDEN_RIGHT_FRACTION)[r] + product;
    }
}

// Least squares of all n^3 logits on the key irreps' chi cubes and a constant. These are orthogonal (over c, a
// chi cube sums to 0, and so does a product of two), so each coefficient is the component by itself.
static void fit(measuring *m, double *scalar) {
    double pairs = (double)m->n * m->n, mean = m->centre_sum / pairs, explained = 0;
    double variance = m->logit_energy + m->n * (m->centre_energy - pairs * mean * mean);
    for (int r = 1; r < m->count; r++) {
        double similarity = curve_of(m, TS_LOGIT_SIMILARITY)[r];
        explained += is_key(m, r) ? similarity * similarity * m->logit_energy : 0;
    }
    scalar[TS_FIT_CONSTANT] = mean;
    scalar[TS_FIT_EXPLAINED] = explained / variance;
}

static void finish_totals(measuring *m, double *scalar) {
    sum_fractions(m, scalar);
    fit(m, scalar);
    scalar[TS_TOTAL_RESTRICTED_LOSS] = loss_of_products(m, m->total);
    scalar[TS_TOTAL_LOGIT_RESTRICTED_LOSS] = loss_of_products(m, m->total + (size_t)m->n * (size_t)m->n);
    scalar[TS_TOTAL_EXCLUDED_LOSS] = mean_over(scalar[TS_TOTAL_EXCLUDED_LOSS], m->pairs->train);
    scalar[TS_TOTAL_LOGIT_EXCLUDED_LOSS] = mean_over(scalar[TS_TOTAL_LOGIT_EXCLUDED_LOSS], m->pairs->train);
}

ts_status ts_group_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                                  const ts_group_results *results, ts_group_measures **measures) {
    measuring *m = ts_alloc_zero(1, sizeof *m, "a group's measures");
    ts_status status = m ? create(pairs, symmetry, chart, results, m) : TS_ERROR_MEMORY;
    if (status != TS_OK) {
        ts_group_measures_free(m);
        return status;
    }
    for (int i = 0; i < TS_GROUP_SCALARS; i++)
        results->scalar[i] = 0;
    *measures = m;
    return TS_OK;
}

ts_status ts_group_measures_finish(measuring *m) {
    ts_status status = TS_OK;
    finish_gathering(m);
    for (int first = 0; first < m->count && status == TS_OK; first += m->turn)
        status = measure_turn(m, first, m->count - first < m->turn ? m->count - first : m->turn);
    finish_neurons(m);
    if (status == TS_OK)
        finish_totals(m, m->results.scalar);
    return status;
}

void ts_group_measures_free(measuring *m) {
    if (!m)
        return;
    ts_slab_free(&m->slab);
    ts_free(m);
}
