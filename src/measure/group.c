// What a network holds in the functions of a group, per irrep (Chughtai, Chan & Nanda 2023; definitions:
// docs/workloads.md): of the table's group, and of Z_p read through a chart (task/symmetry.h).
#include "measure/group.h"

#include "base/product.h"
#include "base/sets.h"
#include "measure/curves.h"

#include <math.h>
#include <string.h>

const double ts_group_off_energy = 1;
static const double KEY_SIMILARITY = 0.005, PASSED = 0.05;

// What is added up, one after the other: `sum` of each side, by_product, and these.
enum { HIDDEN_ENERGY, LOGIT_ENERGY, CENTRE_SUM, CENTRE_ENERGY, ENERGIES };

static void count_pairs(ts_group_parts *m) {
    size_t n = (size_t)m->n;
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++) {
            size_t product = (size_t)ts_group_element(m, TS_OF_PRODUCT, a, b);
            for (int side = 0; side < TS_SIDES; side++)
                m->weight[side][ts_group_element(m, side, a, b)] += 1;
            m->label_count[product * n + (size_t)m->pairs->table->result[(size_t)a * n + (size_t)b]]++;
        }
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    ts_group_parts *m = state;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    size_t n = (size_t)symmetry->group->n, hidden = (size_t)measuring->network->hidden;
    size_t embed = (size_t)measuring->network->embed, count = (size_t)symmetry->irreps->count;
    m->pairs = measuring->pairs;
    m->network = measuring->network;
    m->symmetry = symmetry;
    m->group = symmetry->group;
    m->chart = &symmetry->chart[chart];
    m->n = (int)n;
    m->hidden = (int)hidden;
    m->count = (int)count;
    m->sums.numbers = TS_SIDES * n * hidden + n * n + ENERGIES;
    m->sums.scratch = n;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        for (int side = 0; side < TS_SIDES; side++) {
            m->weight[side] = ts_slab_take_zero(&m->slab, n, sizeof(double));
            m->columns[side] = ts_slab_take(&m->slab, n * n, sizeof(double));
            m->part[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->part0[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
            m->through[side] = ts_slab_take(&m->slab, n * n, sizeof(double));
        }
        m->all_mean = ts_slab_take_zero(&m->slab, hidden, sizeof(double));
        m->label_count = ts_slab_take_zero(&m->slab, n * n, sizeof(int));
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->embedding = ts_slab_take(&m->slab, n * embed, sizeof(double));
        for (int side = 0; side < 2; side++) {
            m->embed_part[side] = ts_slab_take(&m->slab, n * embed, sizeof(double));
            m->embed_fraction[side] = ts_slab_take(&m->slab, count, sizeof(double));
        }
        m->u_rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->u_part = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->neuron_energy = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->neuron_all = ts_slab_take_zero(&m->slab, hidden, sizeof(double));
        m->neuron_irrep = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->neuron_irrep_fraction = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->similarity = ts_slab_take(&m->slab, count, sizeof(double));
        m->raw_similarity = ts_slab_take(&m->slab, count, sizeof(double));
        m->less_mean_similarity = ts_slab_take(&m->slab, count, sizeof(double));
        m->fit = ts_slab_take(&m->slab, count, sizeof(double));
        m->unembed_fraction = ts_slab_take(&m->slab, count, sizeof(double));
        for (int side = 0; side < TS_SIDES; side++)
            m->hidden_fraction[side] = ts_slab_take(&m->slab, count, sizeof(double));
    }
    count_pairs(m);
    return TS_OK;
}

// --- What the pairs add up to ---

int ts_group_element(const ts_group_parts *m, int side, int a, int b) {
    int x = m->chart->x_a[a], y = m->chart->x_b[b];
    return side == TS_OF_A ? x : side == TS_OF_B ? y : m->group->result[(size_t)x * (size_t)m->n + (size_t)y];
}

TS_FOR_EACH_SET static void add_activations(const double *restrict h, int count, double *restrict of_a,
                                            double *restrict of_b, double *restrict of_product) {
    for (int i = 0; i < count; i++) {
        of_a[i] += h[i];
        of_b[i] += h[i];
        of_product[i] += h[i];
    }
}

// centred (n): for its logits.
static void gather_pair(const ts_group_parts *m, ts_pair_row row, int a, int b, double *centred, double *sums) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    const double *h = row.h + (size_t)b * hidden, *z = row.logits + (size_t)b * n;
    double *by_product = sums + TS_SIDES * n * hidden, *energy = by_product + n * n, centre = 0;
    double *of[TS_SIDES];
    for (int side = 0; side < TS_SIDES; side++)
        of[side] = sums + ((size_t)side * n + (size_t)ts_group_element(m, side, a, b)) * hidden;
    add_activations(h, m->hidden, of[TS_OF_A], of[TS_OF_B], of[TS_OF_PRODUCT]);
    energy[HIDDEN_ENERGY] += ts_energy(h, hidden);
    for (int c = 0; c < m->n; c++)
        centre += z[c];
    centre /= m->n;
    energy[CENTRE_SUM] += centre;
    energy[CENTRE_ENERGY] += centre * centre;
    for (int c = 0; c < m->n; c++)
        centred[c] = z[c] - centre;
    ts_add(by_product + (size_t)ts_group_element(m, TS_OF_PRODUCT, a, b) * n, centred, m->n);
    energy[LOGIT_ENERGY] += ts_energy(centred, n);
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const ts_group_parts *m = state;
    ts_pair_row row = ts_rows_at(rows, a);
    for (int b = 0; b < m->n; b++)
        gather_pair(m, row, a, b, rows->scratch, sums);
}

typedef struct side_of {
    const ts_group_parts *parts;
    int side;
} side_of;

static int element_of(const void *context, int a, int b) {
    const side_of *of = context;
    return ts_group_element(of->parts, of->side, a, b);
}

static void gather(void *state, ts_device *device) {
    const ts_group_parts *m = state;
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    double *sums = m->sums.total, *by_product = sums + TS_SIDES * n * hidden, *energy = by_product + n * n;
    const double *facts = ts_device_facts(device);
    for (int side = 0; side < TS_SIDES; side++) {
        const int *element = ts_device_each(device, element_of, &(side_of){m, side});
        ts_device_sum(device, TS_PAIR_HIDDEN, element, m->n, sums + (size_t)side * n * hidden);
        if (side == TS_OF_PRODUCT)
            ts_device_sum(device, TS_PAIR_CENTRED, element, m->n, by_product);
    }
    for (size_t i = 0; i < n * n; i++, facts += TS_PAIR_FACTS) {
        energy[HIDDEN_ENERGY] += facts[TS_FACT_HIDDEN];
        energy[LOGIT_ENERGY] += facts[TS_FACT_ENERGY];
        energy[CENTRE_SUM] += facts[TS_FACT_MEAN];
        energy[CENTRE_ENERGY] += facts[TS_FACT_MEAN] * facts[TS_FACT_MEAN];
    }
}

static void take_sums(ts_group_parts *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    for (size_t side = 0; side < TS_SIDES; side++)
        m->sum[side] = m->sums.total + side * n * hidden;
    m->by_product = m->sums.total + TS_SIDES * n * hidden;
    const double *energy = m->by_product + n * n;
    m->hidden_energy = energy[HIDDEN_ENERGY];
    m->logit_energy = energy[LOGIT_ENERGY];
    m->centre_sum = energy[CENTRE_SUM];
    m->centre_energy = energy[CENTRE_ENERGY];
}

// Coefficients of an embedding's functions, each token counting once.
static void take_embedding(ts_group_parts *m, int side) {
    int width = m->network->embed;
    const double *tokens = side == TS_OF_A ? m->network->e_x : m->network->e_y;
    memset(m->embedding, 0, (size_t)m->n * (size_t)width * sizeof(double));
    for (int a = 0; a < m->n; a++)
        ts_add(m->embedding + (size_t)ts_group_element(m, side, a, a) * (size_t)width,
               tokens + (size_t)a * (size_t)width, width);
    m->embed_energy[side] = ts_energy(tokens, (size_t)m->n * (size_t)width);
    // The side's functions have length 1 where a token counts n times, for its n pairs.
    for (size_t i = 0; i < (size_t)m->n * (size_t)width; i++)
        m->embedding[i] *= sqrt(m->n);
    ts_product(m->n, width, m->n, m->functions, m->n, m->embedding, width, m->embed_part[side], width);
}

static void take_side(ts_group_parts *m, int side) {
    int n = m->n;
    ts_symmetry_basis(m->symmetry, m->weight[side], m->functions);
    for (int i = 0; i < n; i++)
        for (int g = 0; g < n; g++)
            m->columns[side][g * n + i] = m->functions[i * n + g];
    ts_product(n, m->hidden, n, m->functions, n, m->sum[side], m->hidden, m->part[side], m->hidden);
    ts_product(n, n, m->hidden, m->part[side], m->hidden, m->network->u, n, m->through[side], n);
    for (int i = 0; i < n; i++) {
        double constant = 0; // the function's product with 1: nothing but for the trivial one, where all weigh the same
        for (int g = 0; g < n; g++)
            constant += m->weight[side][g] * m->functions[i * n + g];
        for (int k = 0; k < m->hidden; k++)
            m->part0[side][i * m->hidden + k] = m->part[side][i * m->hidden + k] - constant * m->all_mean[k];
    }
    if (side != TS_OF_PRODUCT)
        take_embedding(m, side);
}

// From sums over pairs to coefficients.
static void take_coefficients(ts_group_parts *m) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    for (size_t k = 0; k < hidden; k++)
        for (size_t c = 0; c < n; c++)
            m->u_rows[c * hidden + k] = m->network->u[k * n + c];
    m->u_energy = ts_energy(m->u_rows, n * hidden);
    ts_product(m->n, m->hidden, m->n, m->symmetry->basis, m->n, m->u_rows, m->hidden, m->u_part, m->hidden);
    for (size_t g = 0; g < n; g++)
        for (size_t k = 0; k < hidden; k++)
            m->all_mean[k] += m->sum[TS_OF_A][g * hidden + k] / (double)(n * n);
    m->hidden_energy -= (double)(n * n) * ts_energy(m->all_mean, hidden); // of H0
    for (int side = 0; side < TS_SIDES; side++)
        take_side(m, side);
}

double ts_group_along_cube(const ts_symmetry *symmetry, const double *by_product, int r) {
    const double *chi = symmetry->irreps->irrep[r].character;
    int n = symmetry->group->n;
    double dot = 0;
    for (int p = 0; p < n; p++)
        for (int c = 0; c < n; c++)
            dot += by_product[(size_t)p * (size_t)n + (size_t)c] *
                   chi[symmetry->group->result[p * n + symmetry->inverse[c]]];
    return dot;
}

double ts_group_cube_norm(const ts_symmetry *symmetry, int r) {
    int n = symmetry->group->n;
    return (double)n * n * ts_energy(symmetry->irreps->irrep[r].character, (size_t)n);
}

// |Z|^2 of the logits as they are.
static double raw_energy(const ts_group_parts *m) {
    return m->logit_energy + m->n * m->centre_energy;
}

// |Z - mean|^2, the mean being that of all n^3.
static double variation(const ts_group_parts *m) {
    double pairs = (double)m->n * m->n, mean = m->centre_sum / pairs;
    return m->logit_energy + m->n * (m->centre_energy - pairs * mean * mean);
}

// Centring takes away what lies along the trivial irrep's cube, and makes the logits shorter; along the others' it
// changes nothing, as over c they sum to 0.
static void measure_similarity(ts_group_parts *m, int r, double along, double norm) {
    m->similarity[r] = along / sqrt(norm * m->logit_energy);
    m->raw_similarity[r] = (r == 0 ? m->n * m->centre_sum : along) / sqrt(norm * raw_energy(m));
    m->less_mean_similarity[r] = along / sqrt(norm * variation(m));
}

bool ts_group_is_key(int irrep, double similarity) {
    return irrep > 0 && similarity > KEY_SIMILARITY;
}

static bool is_key(const ts_group_parts *m, int r) {
    return ts_group_is_key(r, m->similarity[r]);
}

// --- Neurons ---

static void add_neurons(const ts_group_parts *m, int r, int side, double *energy) {
    bool embedded = m->network->embeds_neurons;
    const double *coefficients = embedded ? m->embed_part[side] : m->part0[side];
    double share = embedded ? 1 : 1.0 / m->n;
    for (int row = m->symmetry->first[r]; row < m->symmetry->first[r + 1]; row++)
        for (int k = 0; k < m->hidden; k++) {
            double value = coefficients[(size_t)row * (size_t)m->hidden + (size_t)k];
            energy[k] += share * value * value;
        }
}

void ts_group_neuron_energy(const ts_group_parts *m, int r, double *energy) {
    memset(energy, 0, (size_t)m->hidden * sizeof *energy);
    add_neurons(m, r, TS_OF_A, energy);
    add_neurons(m, r, TS_OF_B, energy);
}

static void sort_neurons(ts_group_parts *m) {
    for (int r = 0; r < m->count; r++) {
        ts_group_neuron_energy(m, r, m->neuron_energy);
        for (int k = 0; k < m->hidden; k++) {
            m->neuron_all[k] += m->neuron_energy[k];
            if (r == 0 || m->neuron_energy[k] > m->neuron_irrep_fraction[k]) {
                m->neuron_irrep[k] = r;
                m->neuron_irrep_fraction[k] = m->neuron_energy[k];
            }
        }
    }
    for (int k = 0; k < m->hidden; k++) {
        bool off = m->neuron_all[k] < ts_group_off_energy;
        m->neuron_irrep_fraction[k] = off ? NAN : m->neuron_irrep_fraction[k] / m->neuron_all[k];
        m->neuron_irrep[k] = off ? -1 : m->neuron_irrep[k];
    }
}

// --- Measures per irrep ---

// Energy of its coefficients (rows of `width`) among those of all irreps.
static double energy_of(const ts_group_parts *m, int r, const double *coefficients, int width) {
    int first = m->symmetry->first[r], end = m->symmetry->first[r + 1];
    return ts_energy(coefficients + (size_t)first * (size_t)width, (size_t)(end - first) * (size_t)width);
}

static void measure_irrep(ts_group_parts *m, int r) {
    double along = ts_group_along_cube(m->symmetry, m->by_product, r), norm = ts_group_cube_norm(m->symmetry, r);
    measure_similarity(m, r, along, norm);
    m->fit[r] = along / norm;
    m->unembed_fraction[r] = energy_of(m, r, m->u_part, m->hidden) / m->u_energy;
    for (int side = 0; side < 2; side++)
        m->embed_fraction[side][r] = energy_of(m, r, m->embed_part[side], m->network->embed) / m->embed_energy[side];
    for (int side = 0; side < TS_SIDES; side++)
        m->hidden_fraction[side][r] = energy_of(m, r, m->part0[side], m->hidden) / m->hidden_energy;
}

// Adds an irrep's fractions to those of the key irreps.
static void add_key(ts_group_parts *m, int r) {
    m->unembed_explained += m->unembed_fraction[r];
    for (int side = 0; side < 2; side++)
        m->embed_explained[side] += m->embed_fraction[side][r];
    m->hidden_explained +=
        m->hidden_fraction[TS_OF_A][r] + m->hidden_fraction[TS_OF_B][r] + m->hidden_fraction[TS_OF_PRODUCT][r];
    m->hidden_product_explained += m->hidden_fraction[TS_OF_PRODUCT][r];
}

static void finish(void *state) {
    ts_group_parts *m = state;
    take_sums(m);
    take_coefficients(m);
    for (int r = 0; r < m->count; r++) {
        measure_irrep(m, r);
        if (is_key(m, r))
            add_key(m, r);
    }
    sort_neurons(m);
}

// --- Of the logits ---

static double logits_explained(const void *state) {
    const ts_group_parts *m = state;
    double sum = 0;
    for (int r = 1; r < m->count; r++)
        sum += m->similarity[r] * m->similarity[r];
    return sum;
}

// Least squares of all n^3 logits on the key irreps' chi cubes and a constant. These are orthogonal (over c, a
// chi cube sums to 0, and so does a product of two), so each coefficient is the component by itself.
static double fit_constant(const void *state) {
    const ts_group_parts *m = state;
    return m->centre_sum / ((double)m->n * m->n);
}

// What the key irreps' cubes hold of |Z|^2.
static double fitted_energy(const ts_group_parts *m) {
    double energy = 0;
    for (int r = 1; r < m->count; r++) {
        double similarity = m->similarity[r];
        energy += is_key(m, r) ? similarity * similarity * m->logit_energy : 0;
    }
    return energy;
}

static double fit_explained(const void *state) {
    const ts_group_parts *m = state;
    return fitted_energy(m) / variation(m);
}

static double fit_norm_ratio(const void *state) {
    const ts_group_parts *m = state;
    double logits = (double)m->n * m->n * m->n, constant = fit_constant(m);
    return sqrt((fitted_energy(m) + logits * constant * constant) / raw_energy(m));
}

// --- What follows from curves ---

static void key_irrep(const ts_curves *curves, double *out) {
    int count = (int)ts_curve_length(curves, "logit_similarity");
    const double *similarity = ts_curve_last(curves, "logit_similarity");
    for (int r = 0; r < count && curves->measured; r++)
        out[r] = ts_group_is_key(r, similarity[r]);
}

static void irrep_step(const ts_curves *curves, double *out) {
    int count = (int)ts_curve_length(curves, "logit_similarity");
    int64_t checkpoints = ts_curve_count(curves, "logit_similarity");
    for (int64_t k = 0; k < checkpoints; k++) {
        const double *similarity = ts_curve_at(curves, "logit_similarity", k);
        for (int r = 0; r < count; r++)
            if (isnan(out[r]) && similarity[r] > PASSED)
                out[r] = (double)ts_curve_step(curves, k);
    }
}

// Equal steps in the order of irreps.
static void irrep_order(const ts_curves *curves, double *out) {
    int count = (int)ts_curve_length(curves, "irrep_step");
    const double *key = ts_curve_last(curves, "key_irrep"), *step = ts_curve_last(curves, "irrep_step");
    for (int r = 0; r < count; r++) {
        if (key[r] != 1 || isnan(step[r]))
            continue;
        out[r] = 1;
        for (int s = 0; s < count; s++)
            out[r] += key[s] == 1 && (step[s] < step[r] || (step[s] == step[r] && s < r));
    }
}

static const ts_measure ROWS[] = {
    {"logits_explained", "sum of squared logit similarities over all irreps but the trivial one",
     .value = logits_explained},
    {"embed_left_explained", "embed_left_fraction summed over the key irreps",
     .at = offsetof(ts_group_parts, embed_explained[TS_OF_A])},
    {"embed_right_explained", "embed_right_fraction summed over the key irreps",
     .at = offsetof(ts_group_parts, embed_explained[TS_OF_B])},
    {"unembed_explained", "unembed_fraction summed over the key irreps",
     .at = offsetof(ts_group_parts, unembed_explained)},
    {"hidden_explained", "all three hidden fractions summed over the key irreps",
     .at = offsetof(ts_group_parts, hidden_explained)},
    {"hidden_product_explained", "hidden_product_fraction summed over the key irreps",
     .at = offsetof(ts_group_parts, hidden_product_explained)},
    {"fit_constant", "constant of the least-squares fit of the logits", .value = fit_constant},
    {"fit_explained", "share of the logits' variance that a fit of the key irreps' chi cubes explains",
     .value = fit_explained},
    {"fit_norm_ratio", "norm of that fit, with its constant, over that of the logits as they are",
     .value = fit_norm_ratio},
    {"embed_left_fraction",
     "|P_r E_x|^2 / |E_x|^2",
     {"irrep"},
     .at = offsetof(ts_group_parts, embed_fraction[TS_OF_A])},
    {"embed_right_fraction",
     "|P_r E_y|^2 / |E_y|^2",
     {"irrep"},
     .at = offsetof(ts_group_parts, embed_fraction[TS_OF_B])},
    {"unembed_fraction", "|P_r U^T|^2 / |U|^2", {"irrep"}, .at = offsetof(ts_group_parts, unembed_fraction)},
    {"hidden_left_fraction",
     "share of |H0|^2 in functions of a in the irrep",
     {"irrep"},
     .at = offsetof(ts_group_parts, hidden_fraction[TS_OF_A])},
    {"hidden_right_fraction",
     "share of |H0|^2 in functions of b in the irrep",
     {"irrep"},
     .at = offsetof(ts_group_parts, hidden_fraction[TS_OF_B])},
    {"hidden_product_fraction",
     "share of |H0|^2 in functions of a b in the irrep",
     {"irrep"},
     .at = offsetof(ts_group_parts, hidden_fraction[TS_OF_PRODUCT])},
    {"logit_similarity",
     "cosine between centred logits and chi_r(a b c^-1)",
     {"irrep"},
     .at = offsetof(ts_group_parts, similarity)},
    {"logit_similarity_raw",
     "cosine between the logits as they are and chi_r(a b c^-1)",
     {"irrep"},
     .at = offsetof(ts_group_parts, raw_similarity)},
    {"logit_similarity_less_mean",
     "cosine between the logits less their mean over all pairs and c, and chi_r(a b c^-1)",
     {"irrep"},
     .at = offsetof(ts_group_parts, less_mean_similarity)},
    {"fit_coefficient",
     "coefficient of chi_r(a b c^-1) in the least-squares fit of the logits",
     {"irrep"},
     .at = offsetof(ts_group_parts, fit)},
    {"key_irrep",
     "1 for irreps with a final logit similarity over 0.005, but the trivial one",
     {"irrep"},
     .at_end = true,
     .follows = key_irrep},
    {"irrep_step",
     "first checkpoint with a logit similarity over 0.05; NaN: none",
     {"irrep"},
     .at_end = true,
     .follows = irrep_step},
    {"irrep_order",
     "key irreps numbered from 1 in the order of their irrep_step; NaN: not one",
     {"irrep"},
     .at_end = true,
     .follows = irrep_order},
    {"neuron_irrep",
     "irrep that holds most of the neuron's energy; -1: off",
     {"neuron"},
     .at_end = true,
     .at = offsetof(ts_group_parts, neuron_irrep)},
    {"neuron_irrep_fraction",
     "share of the neuron's energy that its irrep holds",
     {"neuron"},
     .at_end = true,
     .at = offsetof(ts_group_parts, neuron_irrep_fraction)},
    {0},
};

// Coefficients of the hidden layer.
static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    return 18 * n * n * (double)params->schema->model->width(params, "neuron");
}

const ts_family ts_family_group = {
    .name = "irreps",
    .title = "Irreps of a group in embeddings, hidden layer and logits",
    .source = "Measures per irrep",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .operations = operations,
    .state_bytes = sizeof(ts_group_parts),
    .slab = offsetof(ts_group_parts, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(ts_group_parts, sums),
    .finish = finish,
};
