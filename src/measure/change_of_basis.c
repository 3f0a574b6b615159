// The change of basis between neurons and an irrep's functions of a b: what the hidden layer holds of each function,
// and the unembedding in these functions. Of a network that computes chi(a b c^-1) alone both are multiples of an
// orthogonal matrix, whichever orthonormal functions of the irrep are taken.
#include "measure/group.h"

#include "base/product.h"

#include <math.h>

typedef struct basis {
    bool wanted;
    const ts_group_parts *parts;
    int n, hidden, count, entries;     // functions, neurons, irreps; functions of the largest irrep
    double *coefficient;               // (n, hidden) of the mean activations of each product
    double *columns;                   // (n, entries) an irrep's functions transposed
    double *square;                    // (entries, entries)
    double *unembed;                   // (n, entries) rows of an irrep: its functions of a b to those of c
    double *similarity[2], *transpose; // (irreps) of hidden and unembed; (hidden, entries)
    ts_slab slab;
} basis;

enum { OF_HIDDEN, OF_UNEMBED };

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    basis *m = state;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    size_t n = (size_t)m->parts->n, hidden = (size_t)m->parts->hidden, count = (size_t)m->parts->count;
    const int *first = m->parts->symmetry->first;
    m->n = (int)n;
    m->hidden = (int)hidden;
    m->count = (int)count;
    for (int r = 0; r < m->count; r++)
        m->entries = first[r + 1] - first[r] > m->entries ? first[r + 1] - first[r] : m->entries;
    size_t entries = (size_t)m->entries;
    m->wanted = measuring->last;
    for (int pass = 0; pass < 2 && m->wanted; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a change of basis") != TS_OK)
            return TS_ERROR_MEMORY;
        m->coefficient = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->columns = ts_slab_take(&m->slab, n * entries, sizeof(double));
        m->transpose = ts_slab_take(&m->slab, hidden * entries, sizeof(double));
        m->square = ts_slab_take(&m->slab, entries * entries, sizeof(double));
        m->unembed = ts_slab_take(&m->slab, n * entries, sizeof(double));
        for (int of = 0; of < 2; of++)
            m->similarity[of] = ts_slab_take(&m->slab, count, sizeof(double));
    }
    return TS_OK;
}

// Cosine between a square matrix and 1.
static double beside_one(const double *square, int size, int stride) {
    double trace = 0, energy = 0;
    for (int i = 0; i < size; i++) {
        trace += square[(size_t)i * (size_t)stride + (size_t)i];
        energy += ts_energy(square + (size_t)i * (size_t)stride, (size_t)size);
    }
    return trace / sqrt(energy * size);
}

static void transpose(const double *rows, int count, int width, double *columns) {
    for (int i = 0; i < count; i++)
        for (int k = 0; k < width; k++)
            columns[(size_t)k * (size_t)count + (size_t)i] = rows[(size_t)i * (size_t)width + (size_t)k];
}

static void measure_irrep(basis *m, int r) {
    const ts_group_parts *parts = m->parts;
    size_t first = (size_t)parts->symmetry->first[r], n = (size_t)m->n, entries = (size_t)m->entries;
    int size = parts->symmetry->first[r + 1] - (int)first;
    const double *rows = m->coefficient + first * (size_t)m->hidden;
    double *unembed = m->unembed + first * entries;
    transpose(rows, size, m->hidden, m->transpose);
    ts_product(size, size, m->hidden, rows, m->hidden, m->transpose, size, m->square, size);
    m->similarity[OF_HIDDEN][r] = beside_one(m->square, size, size);
    transpose(parts->symmetry->basis + first * n, size, m->n, m->columns);
    ts_product(size, size, m->n, parts->through[TS_OF_PRODUCT] + first * n, m->n, m->columns, size, unembed,
               m->entries);
    for (size_t i = 0; i < (size_t)size; i++)
        for (size_t j = 0; j < entries; j++)
            unembed[i * entries + j] = j < (size_t)size ? unembed[i * entries + j] / sqrt(m->n) : NAN;
    m->similarity[OF_UNEMBED][r] = beside_one(unembed, size, m->entries);
}

// The parts' functions of a b have length 1 over pairs, where those of the group's elements count n times.
static void finish(void *state) {
    basis *m = state;
    for (size_t i = 0; m->wanted && i < (size_t)m->n * (size_t)m->hidden; i++)
        m->coefficient[i] = m->parts->part[TS_OF_PRODUCT][i] / sqrt(m->n);
    for (int r = 0; m->wanted && r < m->count; r++)
        measure_irrep(m, r);
}

static const ts_measure ROWS[] = {
    {"hidden_basis",
     "coefficient of the function of a b in the neuron's activations",
     {"function", "neuron"},
     .at_end = true,
     .at = offsetof(basis, coefficient)},
    {"hidden_basis_similarity",
     "cosine between A A^T and 1, A the irrep's rows of hidden_basis",
     {"irrep"},
     .at_end = true,
     .at = offsetof(basis, similarity[OF_HIDDEN])},
    {"unembed_basis",
     "A U F, F the irrep's functions of c: from its functions of a b to those of c; NaN: it has fewer",
     {"function", "entry"},
     .at_end = true,
     .at = offsetof(basis, unembed)},
    {"unembed_basis_similarity",
     "cosine between the irrep's square of unembed_basis and 1",
     {"irrep"},
     .at_end = true,
     .at = offsetof(basis, similarity[OF_UNEMBED])},
    {0},
};

const ts_family ts_family_basis = {
    .name = "basis",
    .title = "Hidden layer and unembedding in the basis of an irrep's functions",
    .source = "Neurons by irrep",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .state_bytes = sizeof(basis),
    .slab = offsetof(basis, slab),
    .begin = begin,
    .finish = finish,
    .needs = {&ts_family_group},
};
