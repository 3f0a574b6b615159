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
    // Functions of a, of b and of a b: elements of the group count by the pairs they stand for. Coefficients are
    // those of all irreps' functions (ts_symmetry_basis).
    double *weight[SIDES];     // (n) pairs of each element
    double *sum[SIDES];        // (n, hidden) H over the pairs of each element
    double *functions;         // (n, n) of a side, orthonormal
    double *columns[SIDES];    // (n, n) transposed
    double *part[SIDES];       // (n, hidden) coefficients of H
    double *part0[SIDES];      // (n, hidden) coefficients of H0
    double *through[SIDES];    // (n, n) these taken through U
    double *embedding;         // (n, embed) E over the tokens of each element
    double *embed_part[2];     // (n, embed) coefficients of E_x, E_y
    double *u_rows, *u_part;   // (n, hidden) U transposed, and its coefficients
    double *all_mean;          // (hidden)
    double *by_product;        // (n, n): centred logits summed over the pairs of each product
    int *label_count;          // (n, n): pairs of each product with that label
    double *difference;        // (stride)
    double *total;             // (2, n, n) over key irreps: corrections by a b, along the cube
    double *e, *hidden_e;      // (n, stride) exponentials of a row's logits, of those through H; the pairs'
    double *total_exponential; // (2, n, stride) of their negatives
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
        // What is added up, and so starts at 0, comes first.
        for (int side = 0; side < SIDES; side++) {
            m->weight[side] = ts_slab_take_zero(&m->slab, n, sizeof(double));
            m->sum[side] = ts_slab_take_zero(&m->slab, n * hidden, sizeof(double));
        }
        m->by_product = ts_slab_take_zero(&m->slab, n * n, sizeof(double));
        m->label_count = ts_slab_take_zero(&m->slab, n * n, sizeof(int));
        m->all_mean = ts_slab_take_zero(&m->slab, hidden, sizeof(double));
        m->total = ts_slab_take_zero(&m->slab, 2 * n * n, sizeof(double));
        m->neuron_all = ts_slab_take_zero(&m->slab, hidden, sizeof(double));
        for (int side = 0; side < SIDES; side++) {
            m->columns[side] = ts_slab_take(&m->slab, n * n, sizeof(double));
            m->part[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->part0[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->through[side] = ts_slab_take(&m->slab, n * n, sizeof(double));
        }
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->embedding = ts_slab_take(&m->slab, n * embed, sizeof(double));
        for (int side = 0; side < 2; side++)
            m->embed_part[side] = ts_slab_take(&m->slab, n * embed, sizeof(double));
        m->u_rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->u_part = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->difference = ts_slab_take(&m->slab, stride, sizeof(double));
        m->total_exponential = ts_slab_take(&m->slab, 2 * n * stride, sizeof(double));
        m->correction = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * n, sizeof(double));
        m->exponential = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * stride, sizeof(double));
        m->neuron_energy = ts_slab_take(&m->slab, hidden, sizeof(double));
    }
    return TS_OK;
}

// --- What the pairs add up to ---

static int element_of(const measuring *m, int side, int a, int b) {
    int x = m->chart->x_a[a], y = m->chart->x_b[b];
    return side == OF_A ? x : side == OF_B ? y : m->group->result[(size_t)x * (size_t)m->n + (size_t)y];
}

static void gather_pair(measuring *m, int a, int b) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    const double *h = m->row.h + (size_t)b * hidden, *z = m->row.logits + (size_t)b * n;
    double centre = 0;
    for (int side = 0; side < SIDES; side++) {
        size_t element = (size_t)element_of(m, side, a, b);
        m->weight[side][element] += 1;
        ts_add(m->sum[side] + element * hidden, h, m->hidden);
    }
    m->hidden_energy += ts_energy(h, hidden);
    for (int c = 0; c < m->n; c++)
        centre += z[c];
    centre /= m->n;
    m->centre_sum += centre;
    m->centre_energy += centre * centre;
    for (int c = 0; c < m->n; c++)
        m->difference[c] = z[c] - centre;
    size_t product = (size_t)element_of(m, OF_PRODUCT, a, b);
    ts_add(m->by_product + product * n, m->difference, m->n);
    m->logit_energy += ts_energy(m->difference, n);
    m->label_count[product * n + (size_t)m->pairs->table->result[(size_t)a * n + (size_t)b]]++;
}

void ts_group_measures_add(measuring *m, int a) {
    m->row = ts_pairs_row(m->pairs, a);
    for (int b = 0; b < m->n; b++)
        gather_pair(m, a, b);
}

// Coefficients of an embedding's functions, each token counting once.
static void take_embedding(measuring *m, int side) {
    int width = m->network->embed;
    const double *tokens = side == OF_A ? m->network->e_x : m->network->e_y;
    memset(m->embedding, 0, (size_t)m->n * (size_t)width * sizeof(double));
    for (int a = 0; a < m->n; a++)
        ts_add(m->embedding + (size_t)element_of(m, side, a, a) * (size_t)width,
               tokens + (size_t)a * (size_t)width, width);
    // The side's functions have length 1 where a token counts n times, for its n pairs.
    for (size_t i = 0; i < (size_t)m->n * (size_t)width; i++)
        m->embedding[i] *= sqrt(m->n);
    ts_product(m->n, width, m->n, m->functions, m->n, m->embedding, width, m->embed_part[side], width);
}

static void take_side(measuring *m, int side) {
    int n = m->n;
    ts_symmetry_basis(m->symmetry, m->weight[side], m->functions);
    for (int i = 0; i < n; i++)
        for (int g = 0; g < n; g++)
            m->columns[side][g * n + i] = m->functions[i * n + g];
    ts_product(n, m->hidden, n, m->functions, n, m->sum[side], m->hidden, m->part[side], m->hidden);
    ts_product(n, n, m->hidden, m->part[side], m->hidden, m->network->u, n, m->through[side], n);
    for (int i = 0; i < n; i++) {
        double constant =
            0; // the function's product with 1: nothing but for the trivial one, where all weigh the same
        for (int g = 0; g < n; g++)
            constant += m->weight[side][g] * m->functions[i * n + g];
        for (int k = 0; k < m->hidden; k++)
            m->part0[side][i * m->hidden + k] = m->part[side][i * m->hidden + k] - constant * m->all_mean[k];
    }
    if (side != OF_PRODUCT)
        take_embedding(m, side);
}

// From sums over pairs to coefficients.
static void finish_gathering(measuring *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    for (size_t k = 0; k < hidden; k++)
        for (size_t c = 0; c < n; c++)
            m->u_rows[c * hidden + k] = m->network->u[k * n + c];
    ts_product(m->n, m->hidden, m->n, m->symmetry->basis, m->n, m->u_rows, m->hidden, m->u_part, m->hidden);
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++)
            m->all_mean[k] += m->sum[OF_A][g * hidden + k] / (double)(n * n);
    m->hidden_energy -= (double)(n * n) * ts_energy(m->all_mean, hidden); // of H0
    for (int side = 0; side < SIDES; side++)
        take_side(m, side);
}

// --- One irrep ---

// Energy of its coefficients (rows of `width`) among those of all irreps.
static double energy_of(const measuring *m, int r, const double *coefficients, int width) {
    int first = m->symmetry->first[r], end = m->symmetry->first[r + 1];
    return ts_energy(coefficients + (size_t)first * (size_t)width, (size_t)(end - first) * (size_t)width);
}

static bool neurons_embedded(const measuring *m) {
    return m->network->embed == m->hidden;
}

// Adds the irrep's energy of each neuron: in its embedding, or, where it has none of its own, in its means over b
// and over a, the mean over all pairs left out.
static void add_neurons(measuring *m, int r, int side) {
    bool embedded = neurons_embedded(m);
    const double *coefficients = embedded ? m->embed_part[side] : m->part0[side];
    double share = embedded ? 1 : 1.0 / m->n;
    for (int row = m->symmetry->first[r]; row < m->symmetry->first[r + 1]; row++)
        for (int k = 0; k < m->hidden; k++) {
            double value = coefficients[(size_t)row * (size_t)m->hidden + (size_t)k];
            m->neuron_energy[k] += share * value * value;
        }
}

static void measure_sides(measuring *m, int r, int turn_index) {
    size_t n = (size_t)m->n, embed = (size_t)m->network->embed;
    const double *tokens[2] = {m->network->e_x, m->network->e_y};
    int first = m->symmetry->first[r], rank = m->symmetry->first[r + 1] - first;
    memset(m->neuron_energy, 0, (size_t)m->hidden * sizeof(double));
    for (int side = 0; side < SIDES; side++) {
        curve_of(m, TS_HIDDEN_LEFT_FRACTION + side)[r] =
            energy_of(m, r, m->part0[side], m->hidden) / m->hidden_energy;
        ts_product(m->n, m->n, rank, m->columns[side] + first, m->n, m->through[side] + (size_t)first * n,
                   m->n, correction_of(m, turn_index, side), m->n);
        if (side == OF_PRODUCT)
            break;
        curve_of(m, TS_EMBED_LEFT_FRACTION + side)[r] =
            energy_of(m, r, m->embed_part[side], m->network->embed) / ts_energy(tokens[side], n * embed);
        add_neurons(m, r, side);
    }
    curve_of(m, TS_UNEMBED_FRACTION)[r] =
        energy_of(m, r, m->u_part, m->hidden) / ts_energy(m->u_rows, n * (size_t)m->hidden);
}

// Similarity of the logits to the chi cube chi(a b c^-1), and their component along it.
static void measure_cube(measuring *m, int r, double *correction) {
    const double *chi = m->symmetry->irreps->irrep[r].character;
    double dot = 0, norm = (double)m->n * m->n * ts_energy(chi, (size_t)m->n);
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
    bool right;
    for (int p = 0; p < m->n; p++) {
        const double *z = logits + (size_t)p * (size_t)m->n;
        const int *count = m->label_count + (size_t)p * (size_t)m->n;
        ts_exponentials(z, 1, m->n, m->difference);
        for (int c = 0; c < m->n; c++)
            if (count[c] > 0)
                sum += count[c] * ts_loss(m->difference, z, m->n, c, &right);
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

// A pair's losses without each of the corrections; hidden: of the logits that come through the hidden layer alone.
static void pair_losses(measuring *m, int a, int b, bool hidden, const double *const *corrections,
                        const double *const *exponentials, int count, double *losses) {
    size_t n = (size_t)m->n;
    int label = m->pairs->table->result[(size_t)a * n + (size_t)b];
    ts_losses((hidden ? m->hidden_e : m->e) + (size_t)b * m->stride, exponentials, count, m->stride, label,
              losses);
    for (int i = 0; i < count; i++) {
        if (!isnan(losses[i]))
            continue;
        ts_pair_row row = ts_pairs_row(m->pairs, a); // rare, so that logits are not kept for it
        const double *z = hidden ? row.hidden_logits : row.logits;
        losses[i] = loss_without(m, z + (size_t)b * n, corrections[i], label);
    }
}

static void take_rows(measuring *m, int a) {
    m->e = ts_pairs_exponentials(m->pairs, a, false);
    m->hidden_e = ts_pairs_exponentials(m->pairs, a, true);
}

// Adds the losses of a pair without irrep r's parts.
static void add_pair(measuring *m, int a, int b, int r, int turn_index) {
    const double *corrections[CORRECTIONS], *exponentials[CORRECTIONS];
    double losses[CORRECTIONS];
    bool train = m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b];
    for (int kind = 0; kind < CORRECTIONS; kind++) {
        size_t element = (size_t)element_of(m, kind == CUBE ? OF_PRODUCT : kind, a, b);
        corrections[kind] = correction_of(m, turn_index, kind) + element * (size_t)m->n;
        exponentials[kind] = exponential_of(m, turn_index, kind) + element * m->stride;
    }
    pair_losses(m, a, b, false, corrections, exponentials, train ? CORRECTIONS : SIDES, losses);
    for (int side = 0; side < SIDES; side++)
        curve_of(m, TS_ABLATION_LEFT_LOSS + side)[r] += losses[side];
    if (train && m->network->residual) // which excluded losses leave out
        pair_losses(m, a, b, true, &corrections[OF_PRODUCT], &exponentials[OF_PRODUCT], 1,
                    &losses[OF_PRODUCT]);
    if (train) {
        curve_of(m, TS_EXCLUDED_LOSS)[r] += losses[OF_PRODUCT];
        curve_of(m, TS_LOGIT_EXCLUDED_LOSS)[r] += losses[CUBE];
    }
}

// Rows `first` to `end` - 1 of pairs.
static void add_losses(measuring *m, int first, int end, int r, int turn_index) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        take_rows(m, a);
        for (int b = 0; b < m->n; b++)
            add_pair(m, a, b, r, turn_index);
    }
}

// Adds a training pair's losses without all key irreps' parts.
static void add_total_pair(measuring *m, int a, int b) {
    size_t n = (size_t)m->n, product = (size_t)element_of(m, OF_PRODUCT, a, b);
    const double *corrections[2], *exponentials[2];
    double losses[2];
    for (int layer = 0; layer < 2; layer++) {
        corrections[layer] = m->total + ((size_t)layer * n + product) * n;
        exponentials[layer] = total_exponential_of(m, layer) + product * m->stride;
    }
    pair_losses(m, a, b, true, corrections, exponentials, 1, losses);
    pair_losses(m, a, b, false, corrections + 1, exponentials + 1, 1, losses + 1);
    m->results.scalar[TS_TOTAL_EXCLUDED_LOSS] += losses[0];
    m->results.scalar[TS_TOTAL_LOGIT_EXCLUDED_LOSS] += losses[1];
}

static void add_total_losses(measuring *m, int first, int end) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        take_rows(m, a);
        for (int b = 0; b < m->n; b++)
            if (m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b])
                add_total_pair(m, a, b);
    }
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
static void prepare_irrep(measuring *m, int r, int turn_index) {
    size_t products = (size_t)m->n * (size_t)m->n;
    const double *of_product = correction_of(m, turn_index, OF_PRODUCT),
                 *cube = correction_of(m, turn_index, CUBE);
    measure_sides(m, r, turn_index);
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
}

static void measure_turn(measuring *m, int first, int count) {
    int64_t pairs = (int64_t)m->n * m->n;
    for (int i = 0; i < count && !ts_must_stop(m->pairs->pause); i++)
        prepare_irrep(m, first + i, i);
    bool totals = first + count == m->count; // all of them are known by now
    for (int i = 0; i < 2 && totals; i++)
        take_exponentials(m, m->total + i * pairs, total_exponential_of(m, i));
    // An irrep's corrections are at hand while some rows of pairs go by, so that neither is fetched too often.
    for (int a = 0; a < m->n; a += TS_PAIRS_KEPT) {
        int end = a + TS_PAIRS_KEPT < m->n ? a + TS_PAIRS_KEPT : m->n;
        for (int i = 0; i < count; i++)
            add_losses(m, a, end, first + i, i);
        if (totals)
            add_total_losses(m, a, end);
    }
    for (int r = first; r < first + count; r++)
        for (int i = 0; i < 5; i++)
            curve_of(m, LOSSES[i])[r] = mean_over(curve_of(m, LOSSES[i])[r], i < 2 ? m->pairs->train : pairs);
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

void ts_group_measures_finish(measuring *m) {
    finish_gathering(m);
    for (int first = 0; first < m->count; first += m->turn)
        measure_turn(m, first, m->count - first < m->turn ? m->count - first : m->turn);
    finish_neurons(m);
    finish_totals(m, m->results.scalar);
}

void ts_group_measures_free(measuring *m) {
    if (!m)
        return;
    ts_slab_free(&m->slab);
    ts_free(m);
}
