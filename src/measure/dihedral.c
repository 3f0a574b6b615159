// Fourier measures of a network on a dihedral group, in components of the rotation index: of rotations and of
// reflections (definitions: docs/workloads.md).
#include "base/product.h"
#include "measure/clusters.h"
#include "measure/fourier.h"

#include <string.h>

// Of the embeddings and the unembedding.
enum { ROTATIONS, REFLECTIONS, HALVES };

typedef struct dihedral {
    const ts_pairs *pairs;
    ts_walk *walk;
    ts_sums sums; // of a walk of its own
    const ts_network *network;
    int n, order, hidden; // rotations; elements, 2 n
    const ts_planes *planes;
    double *basis;         // (n, n): orthonormal Fourier components; then of the key frequencies alone
    double *basis_columns; // (n, n): these transposed
    int keys;              // how many
    double *left;          // (HALVES, order, order) for a device: what is left of the logits, by a b
    double *columns;       // (n, hidden): half of the unembedding, transposed
    double *work;          // (n, n + the greater of hidden and the embedding's width)
    // Measures.
    double corrected_loss;
    double *embed_norm[2][HALVES], *unembed_norm[HALVES]; // (n) of the left, of the right one
    ts_slab slab;
} dihedral;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    dihedral *m = state;
    const ts_clusters *clusters = ts_measuring_state(measuring, &ts_family_clusters, chart);
    size_t n = (size_t)measuring->data->symmetry->circle, hidden = (size_t)measuring->network->hidden;
    size_t embed = (size_t)measuring->network->embed, order = 2 * n;
    m->pairs = measuring->pairs;
    m->walk = measuring->walk;
    m->sums = (ts_sums){.again = 1, .scratch = 2 * n * n + order + m->pairs->stride};
    m->network = measuring->network;
    m->n = (int)n;
    m->order = (int)order;
    m->hidden = (int)hidden;
    m->planes = &clusters->planes;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a dihedral group's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->basis = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->basis_columns = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->left = ts_slab_take(&m->slab, measuring->device ? HALVES * order * order : 0, sizeof(double));
        m->columns = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        for (int half = 0; half < HALVES; half++) {
            m->unembed_norm[half] = ts_slab_take(&m->slab, n, sizeof(double));
            for (int side = 0; side < 2; side++)
                m->embed_norm[side][half] = ts_slab_take(&m->slab, n, sizeof(double));
        }
        m->work = ts_slab_take(&m->slab, n * (n + (hidden > embed ? hidden : embed)), sizeof(double));
    }
    ts_fourier_basis(m->n, m->planes->functions, m->basis);
    return TS_OK;
}

// The key frequencies' components alone, as rows of m->basis and columns of m->basis_columns; returns how many.
static int keep_key_components(dihedral *m) {
    size_t n = (size_t)m->n, count = 0;
    for (size_t f = 1; f < n; f++)
        if (m->planes->key[ts_fourier_frequency((int)f) - 1] == 1)
            memmove(m->basis + count++ * n, m->basis + f * n, n * sizeof(double));
    for (size_t i = 0; i < count; i++)
        for (size_t x = 0; x < n; x++)
            m->basis_columns[x * count + i] = m->basis[i * n + x];
    return (int)count;
}

// Of the pairs of a with rotations (bit 0) or reflections b.
static void add_corrected_half(const dihedral *m, ts_rows *rows, int a, int bit, double *sum) {
    size_t n = (size_t)m->n, order = (size_t)m->order;
    double *coefficient = rows->scratch, *part = coefficient + n * n; // of the wrong logits
    double *z = part + n * n, *e = z + order;                         // (order), (stride)
    // a b is a reflection if just one of a and b is; the other elements are wrong.
    size_t wrong = a / m->n == bit ? n : 0;
    const double *logits = ts_rows_logits_at(rows, a) + (size_t)bit * n * order;
    if (m->keys > 0) {
        ts_product(m->n, m->keys, m->n, logits + wrong, m->order, m->basis_columns, m->keys, coefficient, m->keys);
        ts_product(m->n, m->n, m->keys, coefficient, m->keys, m->basis, m->n, part, m->n);
    }
    for (size_t b = 0; b < n; b++) {
        memcpy(z, logits + b * order, order * sizeof(double));
        for (size_t c = 0; c < n && m->keys > 0; c++)
            z[wrong + c] -= part[b * n + c];
        size_t pair = (size_t)a * order + (size_t)bit * n + b;
        bool right;
        ts_pairs_exponentials(m->pairs, z, 1, e);
        *sum += ts_pairs_loss_of(m->pairs, e, z, m->pairs->table->result[pair], &right);
    }
}

static void add_corrected(const void *context, ts_rows *rows, int first, int end, double *sum) {
    const dihedral *m = context;
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++)
        for (int bit = 0; bit < 2; bit++)
            add_corrected_half(m, rows, a, bit, sum);
}

// By whether a b is a rotation or a reflection.
static int kind_of(const void *context, int a, int b) {
    const dihedral *m = context;
    return a / m->n == b / m->n ? ROTATIONS : REFLECTIONS;
}

// Logits by what is left of them: 1 less the components of the wrong ones.
static double corrected_on(const dihedral *m, ts_device *device) {
    size_t n = (size_t)m->n, order = (size_t)m->order;
    memset(m->left, 0, HALVES * order * order * sizeof(double));
    for (size_t kind = 0; kind < HALVES; kind++) {
        double *own = m->left + kind * order * order;
        size_t wrong = kind == ROTATIONS ? n : 0;
        for (size_t c = 0; c < order; c++)
            own[c * order + c] = 1;
        for (size_t c = 0; c < n; c++)
            for (size_t d = 0; d < n; d++)
                for (size_t i = 0; i < (size_t)m->keys; i++)
                    own[(wrong + c) * order + wrong + d] -= m->basis[i * n + c] * m->basis[i * n + d];
    }
    return ts_device_mapped(device, HALVES, ts_device_each(device, kind_of, m), m->left);
}

static double corrected_loss(dihedral *m) {
    double sum = 0;
    m->keys = keep_key_components(m);
    if (m->pairs->device)
        sum = corrected_on(m, m->pairs->device);
    else
        ts_walk_add_up(m->walk, &(ts_walk_sum){1, add_corrected, m}, &sum);
    return sum / ((double)m->order * m->order);
}

static void measure_half(dihedral *m, int half) {
    const double *embedding[2] = {m->network->e_x, m->network->e_y}, *functions = m->planes->functions;
    size_t n = (size_t)m->n, hidden = (size_t)m->hidden, first = (size_t)half * n, embed = (size_t)m->network->embed;
    for (int side = 0; side < 2; side++)
        ts_fourier_norms(m->n, functions, NULL, embedding[side] + first * embed, m->network->embed, m->work,
                         m->embed_norm[side][half]);
    for (size_t c = 0; c < n; c++)
        for (size_t k = 0; k < hidden; k++)
            m->columns[c * hidden + k] = m->network->u[k * 2 * n + first + c];
    ts_fourier_norms(m->n, functions, NULL, m->columns, m->hidden, m->work, m->unembed_norm[half]);
}

// Rows of pairs are made once more, now that the key frequencies are known.
static void finish(void *state) {
    dihedral *m = state;
    m->corrected_loss = corrected_loss(m);
    for (int half = 0; half < HALVES; half++)
        measure_half(m, half);
}

static const ts_measure ROWS[] = {
    {"reflection_corrected_loss",
     "loss without the logits' key-frequency components on elements that are a reflection where the product is none, "
     "or none where it is one",
     .units = "nat", .loss = true, .at = offsetof(dihedral, corrected_loss)},
    {"embed_rotation_fourier_norm",
     "norm of the Fourier components of the left embedding, of rotations",
     {"component"},
     .at = offsetof(dihedral, embed_norm[0][ROTATIONS])},
    {"embed_reflection_fourier_norm",
     "norm of the Fourier components of the left embedding, of reflections",
     {"component"},
     .at = offsetof(dihedral, embed_norm[0][REFLECTIONS])},
    {"embed_right_rotation_fourier_norm",
     "norm of the Fourier components of the right embedding, of rotations",
     {"component"},
     .at = offsetof(dihedral, embed_norm[1][ROTATIONS])},
    {"embed_right_reflection_fourier_norm",
     "norm of the Fourier components of the right embedding, of reflections",
     {"component"},
     .at = offsetof(dihedral, embed_norm[1][REFLECTIONS])},
    {"unembed_rotation_fourier_norm",
     "norm of the Fourier components of the unembedding, of rotations",
     {"component"},
     .at = offsetof(dihedral, unembed_norm[ROTATIONS])},
    {"unembed_reflection_fourier_norm",
     "norm of the Fourier components of the unembedding, of reflections",
     {"component"},
     .at = offsetof(dihedral, unembed_norm[REFLECTIONS])},
    {0},
};

const ts_family ts_family_dihedral = {
    .name = "dihedral",
    .title = "Fourier measures of dihedral tables",
    .source = "Fourier measures: dihedral tables",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .least_circles = 2,
    .most_circles = 2,
    .state_bytes = sizeof(dihedral),
    .slab = offsetof(dihedral, slab),
    .begin = begin,
    .sums = offsetof(dihedral, sums),
    .finish = finish,
    .needs = {&ts_family_clusters},
};
