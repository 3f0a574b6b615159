// 2-D Fourier components of the last checkpoint's neurons and logits, as functions of where a and b stand on a circle;
// and of logits along each component of the output. On a dihedral group of each region by itself: by whether a and b
// are rotations or reflections.
#include "base/product.h"
#include "measure/family.h"
#include "measure/fourier.h"

#include <math.h>

// Components of b that are taken at once, in numbers; for more of them rows of pairs are made again.
static const double AT_ONCE = 8e6;

enum { NEURONS, LOGITS, KINDS };

// Sums over pairs, (regions, n) each.
enum { DOT, SQUARE, OF_DIRECTION, OF_OTHER, SUMS };

typedef struct spectrum {
    bool last, planes; // is anything wanted; are the 2-D components
    const ts_pairs *pairs;
    ts_walk *walk;
    const ts_symmetry *symmetry;
    const ts_chart *chart;
    int n, circles, order, hidden; // places of a circle; tokens
    int chunk, width;              // components at once; neurons and logits
    double *functions;             // (n, n), fourier.h's
    double *output;                // (n, n): of length 1, transposed
    double *left, *right;          // (n, n): at tokens a and b of a circle
    double *of_b;                  // (order, chunk, width): components of b of each a
    int first, count;              // components of b that are taken
    ts_sums sums;                  // of these and `direction`, `other`, one after the other
    double *dot, *square;          // (regions, n): `along` beside the component at a b; of that
    // Measures.
    double *norm[KINDS]; // (regions, n, n)
    double *direction;   // (regions, n): of outputs in the half of the circles in which a b lies
    double *other;       // in the other half
    double *similarity;  // (regions, n)
    ts_slab slab;
} spectrum;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    spectrum *m = state;
    m->pairs = measuring->pairs;
    m->walk = measuring->walk;
    m->symmetry = measuring->data->symmetry;
    m->chart = &m->symmetry->chart[chart];
    size_t n = (size_t)m->symmetry->circle, circles = (size_t)m->symmetry->circles, order = circles * n;
    size_t regions = circles * circles, width = (size_t)measuring->network->hidden + order;
    double chunk = AT_ONCE / (double)(order * width);
    m->n = (int)n;
    m->circles = (int)circles;
    m->order = (int)order;
    m->hidden = measuring->network->hidden;
    m->width = (int)width;
    m->chunk = chunk < 1 ? 1 : chunk > (double)order ? m->order : (int)chunk;
    m->last = measuring->last;
    m->sums = (ts_sums){.numbers = m->last ? SUMS * regions * n : 0, .scratch = m->last ? n * width : 0};
    m->planes = ts_measuring_wants(measuring, (double)(regions * n * n));
    for (int pass = 0; pass < 2 && m->last; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "2-D Fourier components") != TS_OK)
            return TS_ERROR_MEMORY;
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->output = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->left = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->right = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->of_b = ts_slab_take(&m->slab, m->planes ? order * (size_t)m->chunk * width : 0, sizeof(double));
        for (int kind = 0; kind < KINDS; kind++)
            m->norm[kind] = ts_slab_take(&m->slab, m->planes ? regions * n * n : 0, sizeof(double));
        m->similarity = ts_slab_take(&m->slab, regions * n, sizeof(double));
    }
    if (!m->last)
        return TS_OK;
    ts_fourier_functions(m->n, m->functions);
    ts_fourier_basis(m->n, m->functions, m->left);
    for (size_t f = 0; f < n; f++)
        for (size_t c = 0; c < n; c++)
            m->output[c * n + f] = m->left[f * n + c];
    // Of two circles, the tokens stand in the order of their places.
    ts_fourier_at(m->n, m->functions, circles == 1 ? m->chart->x_a : NULL, m->left);
    ts_fourier_at(m->n, m->functions, circles == 1 ? m->chart->x_b : NULL, m->right);
    return TS_OK;
}

static int region_of(const spectrum *m, int a, int b) {
    return m->circles * (a / m->n) + b / m->n;
}

// --- Logits along components of the output ---

// own (n): the pair's logits along components of c, of a half of the circles.
static void gather_pair(const spectrum *m, int a, int b, int half, const double *own, double *sums) {
    size_t n = (size_t)m->n, all = (size_t)(m->circles * m->circles) * n;
    int product = m->symmetry->group->result[m->chart->x_a[a] * m->order + m->chart->x_b[b]];
    double *of_region = sums + (size_t)region_of(m, a, b) * n;
    double *energy = of_region + (half == product / m->n ? OF_DIRECTION : OF_OTHER) * all;
    double *dot = of_region + DOT * all, *square = of_region + SQUARE * all;
    for (size_t f = 0; f < n; f++)
        energy[f] += own[f] * own[f];
    for (size_t f = 0; f < n && half == product / m->n; f++) {
        double expected = m->functions[f * n + (size_t)(product % m->n)];
        dot[f] += own[f] * expected;
        square[f] += expected * expected;
    }
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const spectrum *m = state;
    if (!m->last)
        return;
    const double *logits = ts_rows_at(rows, a).logits;
    double *along = rows->scratch; // (order, n)
    for (int half = 0; half < m->circles; half++) {
        ts_product(m->order, m->n, m->n, logits + (size_t)(half * m->n), m->order, m->output, m->n, along, m->n);
        for (int b = 0; b < m->order; b++)
            gather_pair(m, a, b, half, along + (size_t)b * (size_t)m->n, sums);
    }
}

static void measure_directions(spectrum *m) {
    size_t all = (size_t)(m->circles * m->circles * m->n);
    m->dot = m->sums.total + DOT * all;
    m->square = m->sums.total + SQUARE * all;
    m->direction = m->sums.total + OF_DIRECTION * all;
    m->other = m->sums.total + OF_OTHER * all;
    for (int i = 0; i < m->circles * m->circles * m->n; i++) {
        m->similarity[i] = m->dot[i] / sqrt(m->square[i] * m->direction[i]);
        m->direction[i] = sqrt(m->direction[i]);
        m->other[i] = sqrt(m->other[i]);
    }
}

// --- Neurons and logits over a and b ---

// Of a row of pairs, the components of b at hand, of which each circle has n.
static void transform_row(void *state, ts_rows *rows, int a) {
    const spectrum *m = state;
    size_t n = (size_t)m->n, width = (size_t)m->width;
    if (ts_must_stop(m->pairs->pause))
        return;
    ts_pair_row row = ts_rows_at(rows, a);
    for (int circle = 0; circle < m->circles; circle++) {
        int begin = m->first > circle * m->n ? m->first : circle * m->n, last = m->first + m->count;
        int end = last < (circle + 1) * m->n ? last : (circle + 1) * m->n;
        if (begin >= end)
            continue;
        size_t tokens = (size_t)circle * n;
        const double *component = m->right + ((size_t)begin - tokens) * n;
        double *out = m->of_b + ((size_t)a * (size_t)m->chunk + (size_t)(begin - m->first)) * width;
        ts_product(end - begin, m->hidden, m->n, component, m->n, row.h + tokens * (size_t)m->hidden, m->hidden, out,
                   m->width);
        ts_product(end - begin, m->order, m->n, component, m->n, row.logits + tokens * (size_t)m->order, m->order,
                   out + m->hidden, m->width);
    }
}

static double mean_size(const double *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += fabs(x[i]);
    return sum / count;
}

// Of each of these, the components of a on a circle; i: circle, component.
static void transform_column(void *state, ts_rows *rows, int index) {
    const spectrum *m = state;
    int circle = index / m->count, place = index % m->count, of_b = m->first + place;
    size_t n = (size_t)m->n, width = (size_t)m->width, row = (size_t)m->chunk * width;
    size_t region = (size_t)(m->circles * circle + of_b / m->n), component = (size_t)(of_b % m->n);
    double *of_both = rows->scratch; // (n, width)
    ts_product(m->n, m->width, m->n, m->left, m->n, m->of_b + (size_t)circle * n * row + (size_t)place * width,
               (int)row, of_both, m->width);
    for (size_t i = 0; i < n; i++) {
        const double *own = of_both + i * width;
        m->norm[NEURONS][(region * n + i) * n + component] = mean_size(own, m->hidden);
        m->norm[LOGITS][(region * n + i) * n + component] = mean_size(own + m->hidden, m->order);
    }
}

static void finish(void *state) {
    spectrum *m = state;
    if (m->last)
        measure_directions(m);
    for (int first = 0; m->planes && first < m->order; first += m->chunk) {
        m->first = first;
        m->count = m->order - first < m->chunk ? m->order - first : m->chunk;
        ts_walk_each(m->walk, m->order, transform_row, m);
        ts_walk_each(m->walk, m->circles * m->count, transform_column, m);
    }
}

// Their names, of both groups: of a region where there are several.
#define NEURON_NORM "mean over neurons of |f_i(a) . h . f_j(b)|, components i of a and j of b of length 1"
#define LOGIT_NORM  "mean over outputs of |f_i(a) . z . f_j(b)|, of the logits as they are"
#define DIRECTION   "norm over pairs of the logits along the component of the output"

static const ts_measure CYCLIC_ROWS[] = {
    {"neuron_fourier_norm",
     NEURON_NORM,
     {"component", "component_b"},
     .at_end = true,
     .at = offsetof(spectrum, norm[NEURONS])},
    {"logit_fourier_norm",
     LOGIT_NORM,
     {"component", "component_b"},
     .at_end = true,
     .at = offsetof(spectrum, norm[LOGITS])},
    {"logit_direction_norm", DIRECTION, {"component"}, .at_end = true, .at = offsetof(spectrum, direction)},
    {"logit_direction_similarity",
     "cosine between the logits along the component, of pairs, and the component of a + b",
     {"component"},
     .at_end = true,
     .at = offsetof(spectrum, similarity)},
    {0},
};

static const ts_measure DIHEDRAL_ROWS[] = {
    {"neuron_fourier_norm",
     NEURON_NORM,
     {"region", "component", "component_b"},
     .at_end = true,
     .at = offsetof(spectrum, norm[NEURONS])},
    {"logit_fourier_norm",
     LOGIT_NORM,
     {"region", "component", "component_b"},
     .at_end = true,
     .at = offsetof(spectrum, norm[LOGITS])},
    {"logit_direction_norm",
     DIRECTION ", of outputs that are a reflection where a b is one",
     {"region", "component"},
     .at_end = true,
     .at = offsetof(spectrum, direction)},
    {"logit_other_direction_norm",
     DIRECTION ", of outputs that are a reflection where a b is none",
     {"region", "component"},
     .at_end = true,
     .at = offsetof(spectrum, other)},
    {"logit_direction_similarity",
     "cosine between the logits of logit_direction_norm, of pairs, and the component of a b",
     {"region", "component"},
     .at_end = true,
     .at = offsetof(spectrum, similarity)},
    {0},
};

const ts_family ts_family_cyclic_spectrum = {
    .name = "cyclic_spectrum",
    .title = "2-D Fourier components of cyclic tables",
    .source = "2-D Fourier components and weights",
    .kind = TS_KIND_TABLE,
    .rows = CYCLIC_ROWS,
    .charts = true,
    .least_circles = 1,
    .most_circles = 1,
    .state_bytes = sizeof(spectrum),
    .slab = offsetof(spectrum, slab),
    .begin = begin,
    .add = add,
    .sums = offsetof(spectrum, sums),
    .finish = finish,
};

const ts_family ts_family_dihedral_spectrum = {
    .name = "dihedral_spectrum",
    .title = "2-D Fourier components of dihedral tables",
    .source = "2-D Fourier components and weights",
    .kind = TS_KIND_TABLE,
    .rows = DIHEDRAL_ROWS,
    .prefix = "region_",
    .least_circles = 2,
    .most_circles = 2,
    .state_bytes = sizeof(spectrum),
    .slab = offsetof(spectrum, slab),
    .begin = begin,
    .add = add,
    .sums = offsetof(spectrum, sums),
    .finish = finish,
};
