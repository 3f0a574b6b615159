// Measures of a network on a dihedral group by region: by whether a and b are rotations or reflections (definitions:
// docs/workloads.md).
#include "base/product.h"
#include "measure/family.h"
#include "measure/fourier.h"

#include <math.h>
#include <string.h>

enum { REGIONS = 4 };

typedef struct regions {
    const ts_symmetry *symmetry;
    const ts_table *group;
    int n, order, hidden; // rotations; elements, 2 n
    double *basis;        // (n, n): orthonormal Fourier components
    ts_sums sums;         // of these, one after the other
    double *sum;          // (REGIONS, TS_SIDES, n, hidden): H by rotation index of a, of b, of a b
    double *by_place;     // (REGIONS, n, order): centred logits, added up over the pairs of each place of a b
    double *by_quotient;  // (REGIONS, order): and those over a b c^-1
    const double *hidden_energy, *logit_energy;     // (REGIONS)
    double *mean, *centred, *projected;             // (hidden), (n, hidden), (n, hidden): of a side
    double *component;                              // (n) energies
    double *hidden_fraction[TS_SIDES], *similarity; // measures, (REGIONS, irreps)
    double *by_side;                                // (REGIONS, n, hidden) as a device has them
    ts_slab slab;
} regions;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    regions *m = state;
    (void)chart;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    size_t n = (size_t)symmetry->circle, hidden = (size_t)measuring->network->hidden, order = 2 * n;
    size_t irreps = (size_t)symmetry->irreps->count;
    m->sums.numbers = REGIONS * (TS_SIDES * n * hidden + n * order + 2);
    m->sums.scratch = order;
    m->symmetry = symmetry;
    m->group = symmetry->group;
    m->n = (int)n;
    m->order = (int)order;
    m->hidden = (int)hidden;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a dihedral group's regions") != TS_OK)
            return TS_ERROR_MEMORY;
        m->basis = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->by_quotient = ts_slab_take_zero(&m->slab, REGIONS * order, sizeof(double));
        m->by_side = ts_slab_take(&m->slab, measuring->device ? REGIONS * n * hidden : 0, sizeof(double));
        m->mean = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->centred = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->projected = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->component = ts_slab_take(&m->slab, n, sizeof(double));
        for (int side = 0; side < TS_SIDES; side++)
            m->hidden_fraction[side] = ts_slab_take(&m->slab, REGIONS * irreps, sizeof(double));
        m->similarity = ts_slab_take(&m->slab, REGIONS * irreps, sizeof(double));
    }
    ts_fourier_functions(m->n, m->basis);
    ts_fourier_basis(m->n, m->basis, m->basis);
    return TS_OK;
}

static size_t place_of_sum(const regions *m, int region, int side) {
    return (size_t)(region * TS_SIDES + side) * (size_t)m->n * (size_t)m->hidden;
}

// centred (order): for its logits.
static void gather_pair(const regions *m, int a, int b, const double *h, const double *z, double *centred,
                        double *sums) {
    int region = 2 * (a / m->n) + b / m->n;
    size_t n = (size_t)m->n, order = (size_t)m->order, hidden = (size_t)m->hidden;
    double *by_place = sums + place_of_sum(m, REGIONS, 0), *hidden_energy = by_place + REGIONS * n * order;
    double *logit_energy = hidden_energy + REGIONS, centre = 0;
    int product = m->group->result[(size_t)a * order + (size_t)b];
    const int place[TS_SIDES] = {a % m->n, b % m->n, product % m->n};
    for (int side = 0; side < TS_SIDES; side++)
        ts_add(sums + place_of_sum(m, region, side) + (size_t)place[side] * hidden, h, m->hidden);
    hidden_energy[region] += ts_energy(h, hidden);
    for (int c = 0; c < m->order; c++)
        centre += z[c] / m->order;
    for (int c = 0; c < m->order; c++)
        centred[c] = z[c] - centre;
    logit_energy[region] += ts_energy(centred, order);
    ts_add(by_place + ((size_t)region * n + (size_t)place[TS_OF_PRODUCT]) * order, centred, m->order);
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const regions *m = state;
    ts_pair_row row = ts_rows_at(rows, a);
    for (int b = 0; b < m->order; b++)
        gather_pair(m, a, b, row.h + (size_t)b * (size_t)m->hidden, row.logits + (size_t)b * (size_t)m->order,
                    rows->scratch, sums);
}

typedef struct side_of {
    const regions *regions;
    int side;
} side_of;

// Place of a, of b or of a b in the region of the pair.
static int place_in_region(const void *context, int a, int b) {
    const side_of *of = context;
    const regions *m = of->regions;
    int element = of->side == TS_OF_A ? a : of->side == TS_OF_B ? b : m->group->result[a * m->order + b];
    return (2 * (a / m->n) + b / m->n) * m->n + element % m->n;
}

static void gather(void *state, ts_device *device) {
    const regions *m = state;
    size_t n = (size_t)m->n, order = (size_t)m->order, all = n * (size_t)m->hidden;
    double *by_place = m->sums.total + place_of_sum(m, REGIONS, 0), *energy = by_place + REGIONS * n * order;
    const double *facts = ts_device_facts(device);
    for (int side = 0; side < TS_SIDES; side++) {
        const int *place = ts_device_each(device, place_in_region, &(side_of){m, side});
        ts_device_sum(device, TS_PAIR_HIDDEN, place, REGIONS * m->n, m->by_side);
        for (int region = 0; region < REGIONS; region++)
            memcpy(m->sums.total + place_of_sum(m, region, side), m->by_side + (size_t)region * all,
                   all * sizeof(double));
        if (side == TS_OF_PRODUCT)
            ts_device_sum(device, TS_PAIR_CENTRED, place, REGIONS * m->n, by_place);
    }
    for (int a = 0; a < m->order; a++)
        for (int b = 0; b < m->order; b++, facts += TS_PAIR_FACTS) {
            int region = 2 * (a / m->n) + b / m->n;
            energy[region] += facts[TS_FACT_HIDDEN];
            energy[REGIONS + region] += facts[TS_FACT_ENERGY];
        }
}

// In a region all products lie on one circle.
static void take_quotients(regions *m, int region) {
    for (int place = 0; place < m->n; place++) {
        const double *own = m->by_place + (region * m->n + place) * m->order;
        int product = place + (region == 1 || region == 2 ? m->n : 0);
        for (int c = 0; c < m->order; c++)
            m->by_quotient[region * m->order + m->group->result[product * m->order + m->symmetry->inverse[c]]] +=
                own[c];
    }
}

static void take_sums(regions *m) {
    m->sum = m->sums.total;
    m->by_place = m->sum + place_of_sum(m, REGIONS, 0);
    m->hidden_energy = m->by_place + (size_t)(REGIONS * m->n * m->order);
    m->logit_energy = m->hidden_energy + REGIONS;
    for (int region = 0; region < REGIONS; region++)
        take_quotients(m, region);
}

// An irrep's frequency: its character at r tells it. On rotations and on reflections its matrix entries are cos and sin
// of that times the rotation index.
static int frequency_of(const regions *m, const ts_irrep *irrep) {
    static const double CIRCLE = 6.283185307179586476925286766559;
    double cosine = irrep->character[1] / irrep->dimension;
    return (int)lround(acos(cosine > 1 ? 1 : cosine < -1 ? -1 : cosine) / CIRCLE * m->n);
}

// Share of each irrep's functions of a (of b, of a b) in a region, of its energy less its mean.
static void measure_side(regions *m, int region, int side) {
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden;
    const double *by_place = m->sum + place_of_sum(m, region, side);
    memset(m->mean, 0, hidden * sizeof(double));
    for (size_t x = 0; x < n; x++)
        ts_add(m->mean, by_place + x * hidden, m->hidden);
    double total = m->hidden_energy[region] - ts_energy(m->mean, hidden) / (double)(n * n);
    for (size_t x = 0; x < n; x++)
        for (size_t k = 0; k < hidden; k++)
            m->centred[x * hidden + k] = by_place[x * hidden + k] / m->n - m->mean[k] / (double)(n * n);
    ts_product(m->n, m->hidden, m->n, m->basis, m->n, m->centred, m->hidden, m->projected, m->hidden);
    for (size_t f = 0; f < n; f++) // a place stands for n pairs
        m->component[f] = (double)n * ts_energy(m->projected + f * hidden, hidden);
    for (int r = 0; r < m->symmetry->irreps->count; r++) {
        int k = frequency_of(m, &m->symmetry->irreps->irrep[r]);
        double part = 0;
        for (int f = 0; f < m->n; f++)
            part += ts_fourier_frequency(f) == k ? m->component[f] : 0;
        m->hidden_fraction[side][region * m->symmetry->irreps->count + r] = part / total;
    }
}

static void measure_logits(regions *m, int region) {
    int count = m->symmetry->irreps->count;
    double pairs = (double)m->n * m->n;
    for (int r = 0; r < count; r++) {
        const double *chi = m->symmetry->irreps->irrep[r].character;
        double dot = 0;
        for (int g = 0; g < m->order; g++)
            dot += m->by_quotient[(size_t)(region * m->order + g)] * chi[g];
        m->similarity[region * count + r] =
            dot / sqrt(pairs * ts_energy(chi, (size_t)m->order) * m->logit_energy[region]);
    }
}

static void finish(void *state) {
    take_sums(state);
    for (int region = 0; region < REGIONS; region++) {
        for (int side = 0; side < TS_SIDES; side++)
            measure_side(state, region, side);
        measure_logits(state, region);
    }
}

static const ts_measure ROWS[] = {
    {"hidden_left_fraction",
     "share of the region's |H0|^2 in functions of a in the irrep",
     {"region", "irrep"},
     .at = offsetof(regions, hidden_fraction[TS_OF_A])},
    {"hidden_right_fraction",
     "share of the region's |H0|^2 in functions of b in the irrep",
     {"region", "irrep"},
     .at = offsetof(regions, hidden_fraction[TS_OF_B])},
    {"hidden_product_fraction",
     "share of the region's |H0|^2 in functions of a b in the irrep",
     {"region", "irrep"},
     .at = offsetof(regions, hidden_fraction[TS_OF_PRODUCT])},
    {"logit_similarity",
     "cosine between the region's centred logits and chi_r(a b c^-1)",
     {"region", "irrep"},
     .at = offsetof(regions, similarity)},
    {0},
};

const ts_family ts_family_regions = {
    .name = "regions",
    .title = "Dihedral tables by region",
    .source = "Fourier measures: dihedral tables",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .prefix = "region_",
    .least_circles = 2,
    .most_circles = 2,
    .state_bytes = sizeof(regions),
    .slab = offsetof(regions, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(regions, sums),
    .finish = finish,
};
