#include "model/dihedral_measures.h"

#include "base/memory.h"
#include "base/product.h"
#include "model/fourier.h"
#include "model/losses.h"

#include <math.h>
#include <string.h>

const char *const ts_region_names[TS_REGIONS] = {"rotation_rotation", "rotation_reflection",
                                                 "reflection_rotation", "reflection_reflection"};

enum { OF_A, OF_B, OF_PRODUCT, SIDES };

struct ts_dihedral_measures {
    ts_pairs *pairs;
    const ts_network *network;
    const ts_symmetry *symmetry;
    const ts_table *group;
    int n, order, hidden; // rotations; elements, 2 n
    ts_planes planes;
    double *basis;         // (n, n): orthonormal Fourier components
    double *basis_columns; // (n, n): transposed; then of the key frequencies alone
    double *sum;           // (TS_REGIONS, SIDES, n, hidden): H by rotation index of a, of b, of a b
    double *by_quotient;   // (TS_REGIONS, order): centred logits, added up over a b c^-1
    double hidden_energy[TS_REGIONS], logit_energy[TS_REGIONS];
    double *mean, *projected;   // (hidden), (n, hidden)
    double *component;          // (n) energies
    double *coefficient, *part; // (n, n) each: of a row's wrong logits
    double *z;                  // (order)
    double *columns;            // (n, hidden): half of the unembedding, transposed
    double *work;               // (n, n + the greater of hidden and the embedding's width)
    ts_dihedral_results results;
    ts_slab slab;
};
typedef ts_dihedral_measures measuring;

static ts_status create(ts_pairs *pairs, const ts_symmetry *symmetry, const ts_dihedral_results *results,
                        measuring *m) {
    size_t n = (size_t)symmetry->circle, hidden = (size_t)pairs->network->hidden;
    size_t embed = (size_t)pairs->network->embed, order = 2 * n;
    *m = (measuring){.pairs = pairs,
                     .network = pairs->network,
                     .symmetry = symmetry,
                     .group = symmetry->group,
                     .n = (int)n,
                     .order = (int)order,
                     .hidden = (int)hidden,
                     .results = *results};
    const ts_chart *chart = &symmetry->chart[0];
    ts_status status = ts_planes_create((int)n, 2, chart->x_a, chart->x_b, (int)hidden, &m->planes);
    if (status != TS_OK)
        return status;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a dihedral group's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->basis = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->basis_columns = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->sum = ts_slab_take_zero(&m->slab, TS_REGIONS * SIDES * n * hidden, sizeof(double));
        m->by_quotient = ts_slab_take_zero(&m->slab, TS_REGIONS * order, sizeof(double));
        m->mean = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->projected = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->component = ts_slab_take(&m->slab, n, sizeof(double));
        m->coefficient = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->part = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->z = ts_slab_take(&m->slab, order, sizeof(double));
        m->columns = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->work = ts_slab_take(&m->slab, n * (n + (hidden > embed ? hidden : embed)), sizeof(double));
    }
    for (size_t f = 0; f < n; f++) {
        const double *function = m->planes.functions + f * n;
        double square = 0;
        for (size_t x = 0; x < n; x++)
            square += function[x] * function[x];
        for (size_t x = 0; x < n; x++)
            m->basis[f * n + x] = function[x] / sqrt(square);
    }
    return TS_OK;
}

// --- What the pairs add up to ---

static double *sum_of(const measuring *m, int region, int side) {
    return m->sum + (size_t)(region * SIDES + side) * (size_t)m->n * (size_t)m->hidden;
}

static void gather_pair(measuring *m, int a, int b, const double *h, const double *z) {
    int region = 2 * (a / m->n) + b / m->n;
    size_t order = (size_t)m->order, hidden = (size_t)m->hidden;
    int product = m->group->result[(size_t)a * order + (size_t)b];
    const int place[SIDES] = {a % m->n, b % m->n, product % m->n};
    double centre = 0;
    for (int side = 0; side < SIDES; side++)
        ts_add(sum_of(m, region, side) + (size_t)place[side] * hidden, h, m->hidden);
    m->hidden_energy[region] += ts_energy(h, hidden);
    for (int c = 0; c < m->order; c++)
        centre += z[c] / m->order;
    for (int c = 0; c < m->order; c++) {
        double own = z[c] - centre;
        size_t quotient = (size_t)m->group->result[(size_t)product * order + (size_t)m->symmetry->inverse[c]];
        m->logit_energy[region] += own * own;
        m->by_quotient[(size_t)region * order + quotient] += own;
    }
}

void ts_dihedral_measures_add(measuring *m, int a) {
    ts_pair_row row = ts_pairs_row(m->pairs, a);
    ts_planes_add(&m->planes, a, row.h);
    for (int b = 0; b < m->order; b++)
        gather_pair(m, a, b, row.h + (size_t)b * (size_t)m->hidden,
                    row.logits + (size_t)b * (size_t)m->order);
}

// --- Irreps by region ---

// How an irrep turns with r: by how many of a circle's steps. On rotations and on reflections its matrix
// entries are cos and sin of that times the rotation index.
static int frequency_of(const measuring *m, const ts_irrep *irrep) {
    static const double CIRCLE = 6.283185307179586476925286766559;
    double cosine = irrep->character[1] / irrep->dimension;
    return (int)lround(acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine) / CIRCLE * m->n);
}

// Share of each irrep's functions of a (of b, of a b) in a region, of its energy less its mean.
static void measure_side(measuring *m, int region, int side, double *fraction) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    double *by_place = sum_of(m, region, side), total;
    memset(m->mean, 0, hidden * sizeof(double));
    for (size_t x = 0; x < n; x++)
        ts_add(m->mean, by_place + x * hidden, m->hidden);
    total = m->hidden_energy[region] - ts_energy(m->mean, hidden) / (double)(n * n);
    for (size_t x = 0; x < n; x++)
        for (size_t k = 0; k < hidden; k++)
            by_place[x * hidden + k] = by_place[x * hidden + k] / m->n - m->mean[k] / (double)(n * n);
    ts_product(m->n, m->hidden, m->n, m->basis, m->n, by_place, m->hidden, m->projected, m->hidden);
    for (size_t f = 0; f < n; f++) // a place stands for n pairs
        m->component[f] = (double)n * ts_energy(m->projected + f * hidden, hidden);
    for (int r = 0; r < m->symmetry->irreps->count; r++) {
        int k = frequency_of(m, &m->symmetry->irreps->irrep[r]);
        double part = 0;
        for (int f = 0; f < m->n; f++)
            part += ts_fourier_frequency(f) == k ? m->component[f] : 0;
        fraction[r] = part / total;
    }
}

static void measure_region(measuring *m, int region, double *const *out) {
    size_t count = (size_t)m->symmetry->irreps->count, at = (size_t)region * count;
    double pairs = (double)m->n * m->n;
    for (int side = 0; side < SIDES; side++)
        measure_side(m, region, side, out[TS_REGION_HIDDEN_LEFT_FRACTION + side] + at);
    for (size_t r = 0; r < count; r++) {
        const double *chi = m->symmetry->irreps->irrep[r].character;
        double dot = 0;
        for (int g = 0; g < m->order; g++)
            dot += m->by_quotient[(size_t)(region * m->order + g)] * chi[g];
        out[TS_REGION_LOGIT_SIMILARITY][at + r] =
            dot / sqrt(pairs * ts_energy(chi, (size_t)m->order) * m->logit_energy[region]);
    }
}

// --- Halves of the embeddings and the unembedding ---

static void measure_half(measuring *m, int half, double *const *out) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, first = (size_t)half * n;
    size_t embed = (size_t)m->network->embed;
    const double *functions = m->planes.functions;
    ts_fourier_norms(m->n, functions, NULL, m->network->e_x + first * embed, m->network->embed, m->work,
                     out[TS_EMBED_ROTATION_FOURIER_NORM + half]);
    ts_fourier_norms(m->n, functions, NULL, m->network->e_y + first * embed, m->network->embed, m->work,
                     out[TS_EMBED_RIGHT_ROTATION_FOURIER_NORM + half]);
    for (size_t c = 0; c < n; c++)
        for (size_t k = 0; k < hidden; k++)
            m->columns[c * hidden + k] = m->network->u[k * 2 * n + first + c];
    ts_fourier_norms(m->n, functions, NULL, m->columns, m->hidden, m->work,
                     out[TS_UNEMBED_ROTATION_FOURIER_NORM + half]);
}

// --- Logits without what the product's reflection bit rules out ---

// The key frequencies' components alone, as rows of m->basis and columns of m->basis_columns; returns how many.
static int keep_key_components(measuring *m) {
    size_t n = (size_t)m->n, count = 0;
    for (size_t f = 1; f < n; f++)
        if (m->planes.key[ts_fourier_frequency((int)f) - 1] == 1)
            memmove(m->basis + count++ * n, m->basis + f * n, n * sizeof(double));
    for (size_t i = 0; i < count; i++)
        for (size_t x = 0; x < n; x++)
            m->basis_columns[x * count + i] = m->basis[i * n + x];
    return (int)count;
}

static double corrected_loss(measuring *m) {
    size_t n = (size_t)m->n, order = (size_t)m->order;
    int keys = keep_key_components(m);
    double sum = 0;
    for (int a = 0; a < m->order && !ts_must_stop(m->pairs->pause); a++) {
        const double *logits = ts_pairs_row(m->pairs, a).logits;
        for (int bit = 0; bit < 2; bit++) { // of b
            // a b is a reflection if just one of a and b is; the other elements are wrong.
            size_t wrong = a / m->n == bit ? n : 0;
            const double *rows = logits + (size_t)bit * n * order;
            if (keys > 0) {
                ts_product(m->n, keys, m->n, rows + wrong, m->order, m->basis_columns, keys, m->coefficient,
                           keys);
                ts_product(m->n, m->n, keys, m->coefficient, keys, m->basis, m->n, m->part, m->n);
            }
            for (size_t b = 0; b < n; b++) {
                memcpy(m->z, rows + b * order, order * sizeof(double));
                for (size_t c = 0; c < n && keys > 0; c++)
                    m->z[wrong + c] -= m->part[b * n + c];
                size_t pair = (size_t)a * order + (size_t)bit * n + b;
                sum += ts_pair_loss(m->z, m->order, m->pairs->table->result[pair]);
            }
        }
    }
    return sum / (double)(order * order);
}

ts_status ts_dihedral_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry,
                                     const ts_dihedral_results *results, ts_dihedral_measures **measures) {
    measuring *m = ts_alloc_zero(1, sizeof *m, "a dihedral group's measures");
    ts_status status = m ? create(pairs, symmetry, results, m) : TS_ERROR_MEMORY;
    if (status != TS_OK) {
        ts_dihedral_measures_free(m);
        return status;
    }
    *measures = m;
    return TS_OK;
}

void ts_dihedral_measures_finish(measuring *m) {
    double *const *out = m->results.measure;
    for (int region = 0; region < TS_REGIONS; region++)
        measure_region(m, region, out);
    for (int half = 0; half < 2; half++)
        measure_half(m, half, out);
    ts_planes_cluster(&m->planes, &m->results.clusters);
    *out[TS_REFLECTION_CORRECTED_LOSS] = corrected_loss(m);
}

void ts_dihedral_measures_free(measuring *m) {
    if (!m)
        return;
    ts_planes_free(&m->planes);
    ts_slab_free(&m->slab);
    ts_free(m);
}
