// Gradient symmetricity (Zhong et al. 2023): how alike the gradients of a logit by the embeddings of a and of b are, of
// networks that read both. Gradients by reverse mode, on the definition.
#include "base/python_random.h"
#include "measure/family.h"
#include "model/token_gradients.h"

#include <math.h>
#include <string.h>

// Triples (a, b, c) that are looked at; the largest table (memory: 4 bytes times n^3).
enum { TRIPLES = 100, MOST_TOKENS = 256, PUBLISHED_SEED = 42 };

typedef struct symmetricity {
    const ts_measuring *measuring;
    int n, count;
    int a[TRIPLES], b[TRIPLES], c[TRIPLES]; // count of them
    ts_token_gradients *gradients;
    int width;         // of embeddings; 0: there are no gradients
    double *inner[3];  // (TRIPLES) left.right, left.left, right.right
    bool *is_taken[2]; // (n) tokens of the batch at hand
    double mean;
    ts_slab slab;
} symmetricity;

static bool fits(const ts_data *data) {
    return data->table->n <= MOST_TOKENS && data->table->n_out == data->table->n;
}

// The first of all n^3 triples in lexicographic order, as random.Random(42).shuffle leaves them; of elements, where
// tokens stand for others than those with their numbers (token: NULL: they do not). Gradients are the tokens'.
static ts_status take_triples(symmetricity *m, const int *token) {
    int64_t n = m->n, all = n * n * n;
    int *triple = ts_alloc((size_t)all * sizeof *triple, "triples of tokens");
    ts_torch_random random;
    if (!triple)
        return TS_ERROR_MEMORY;
    for (int64_t i = 0; i < all; i++)
        triple[i] = (int)i;
    ts_python_seed(&random, PUBLISHED_SEED);
    ts_python_shuffle(&random, all, triple);
    m->count = all < TRIPLES ? (int)all : TRIPLES;
    for (int i = 0; i < m->count; i++) {
        m->a[i] = (int)(triple[i] / (n * n));
        m->b[i] = (int)(triple[i] / n % n);
        m->c[i] = (int)(triple[i] % n);
        m->a[i] = token ? token[m->a[i]] : m->a[i];
        m->b[i] = token ? token[m->b[i]] : m->b[i];
        m->c[i] = token ? token[m->c[i]] : m->c[i];
    }
    ts_free(triple);
    return TS_OK;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    symmetricity *m = state;
    size_t n = (size_t)measuring->data->table->n;
    (void)chart;
    m->measuring = measuring;
    m->n = (int)n;
    if (!measuring->last || !measuring->network->all)
        return TS_OK;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    ts_status status = take_triples(m, symmetry ? symmetry->token : NULL);
    if (status == TS_OK)
        status =
            ts_token_gradients_create(measuring->params, measuring->network->all, TRIPLES, &m->width, &m->gradients);
    for (int pass = 0; pass < 2 && status == TS_OK; pass++) {
        if (pass == 1)
            status = ts_slab_reserve(&m->slab, "gradients by embeddings");
        for (int side = 0; side < 2; side++)
            m->is_taken[side] = ts_slab_take_zero(&m->slab, n, sizeof(bool));
        for (int i = 0; i < 3; i++)
            m->inner[i] = ts_slab_take_zero(&m->slab, TRIPLES, sizeof(double));
    }
    return status;
}

static double dot(const double *x, const double *y, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}

// Adds the inner products of triples first, ... that do not share a token, and marks them done.
static void take_batch(symmetricity *m, bool *done) {
    int which[TRIPLES], a[TRIPLES], b[TRIPLES], c[TRIPLES], count = 0;
    const double *left, *right;
    size_t wide = (size_t)m->width;
    for (int side = 0; side < 2; side++)
        memset(m->is_taken[side], 0, (size_t)m->n * sizeof(bool));
    for (int i = 0; i < m->count; i++) {
        if (done[i] || m->is_taken[0][m->a[i]] || m->is_taken[1][m->b[i]])
            continue;
        done[i] = m->is_taken[0][m->a[i]] = m->is_taken[1][m->b[i]] = true;
        which[count] = i;
        a[count] = m->a[i];
        b[count] = m->b[i];
        c[count++] = m->c[i];
    }
    ts_token_gradients_take(m->gradients, count, a, b, c, &left, &right);
    for (int r = 0; r < count; r++) {
        const double *x = left + (size_t)a[r] * wide, *y = right + (size_t)b[r] * wide;
        m->inner[0][which[r]] += dot(x, y, wide);
        m->inner[1][which[r]] += dot(x, x, wide);
        m->inner[2][which[r]] += dot(y, y, wide);
    }
}

static void finish(void *state) {
    symmetricity *m = state;
    bool done[TRIPLES] = {false};
    m->mean = NAN;
    if (m->width == 0)
        return;
    for (int i = 0; i < m->count && !ts_must_stop(m->measuring->pause); i++)
        if (!done[i])
            take_batch(m, done);
    m->mean = 0;
    for (int i = 0; i < m->count; i++) {
        double lengths = sqrt(m->inner[1][i] * m->inner[2][i]);
        m->mean += lengths > 0 ? m->inner[0][i] / lengths / m->count : 0; // no gradient: nothing is alike
    }
}

static void free_state(void *state) {
    symmetricity *m = state;
    ts_token_gradients_free(m->gradients);
}

static const ts_measure ROWS[] = {
    {"gradient_symmetricity",
     "cosine between a logit's gradients by the embeddings of a and of b, mean over 100 triples (a, b, c); NaN: the "
     "network has none that are equally wide",
     .at_end = true, .at = offsetof(symmetricity, mean)},
    {0},
};

const ts_family ts_family_symmetricity = {
    .name = "gradients",
    .title = "Gradients by embeddings, of tables of up to 256 elements",
    .source = "Concentration, clock and pizza",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .has = fits,
    .state_bytes = sizeof(symmetricity),
    .slab = offsetof(symmetricity, slab),
    .begin = begin,
    .finish = finish,
    .free = free_state,
};
