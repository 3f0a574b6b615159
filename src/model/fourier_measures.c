#include "model/fourier_measures.h"

#include "base/memory.h"
#include "base/product.h"
#include "model/fourier.h"
#include "model/losses.h"

#include <math.h>
#include <string.h>

// A function that has less than this share of its energy left beside others depends on them.
static const double DEPENDENT = 1e-10;

struct ts_fourier_measures {
    ts_pairs *pairs;
    const ts_network *network;
    const int *x_a, *x_b; // (n) places of tokens a, b
    int n, hidden;
    ts_planes planes;
    double *weight;        // (n) pairs whose places add up to s
    double *hidden_sum;    // (n, hidden) activations of those pairs, added up
    int *label_count;      // (n, n): pairs of each s with that label
    double *logit_mean;    // (n) over pairs
    double *by_difference; // (n): centred logits, added up over x_a + x_b - c
    double logit_energy;   // of the centred logits
    int keys;              // functions of the key frequencies
    double *key;           // (n, n): of s, orthonormal over pairs and to 1
    double *key_hidden;    // (n, hidden): components of the activations along them
    double *key_logit;     // (n, n): through the unembedding
    double *by_key;        // (n, n): `key` transposed
    double *component;     // (n, n): what they give to the logits of each s
    double *exponential;   // (n, stride) of their negatives
    double *z;             // (n)
    double *work;          // (n, n + the embedding's width)
    ts_fourier_results results;
    ts_slab slab;
};
typedef ts_fourier_measures measuring;

static ts_status create(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                        const ts_fourier_results *results, measuring *m) {
    size_t n = (size_t)symmetry->circle, hidden = (size_t)pairs->network->hidden;
    *m = (measuring){.pairs = pairs,
                     .network = pairs->network,
                     .x_a = symmetry->chart[chart].x_a,
                     .x_b = symmetry->chart[chart].x_b,
                     .n = (int)n,
                     .hidden = (int)hidden,
                     .results = *results};
    ts_status status = ts_planes_create((int)n, 1, m->x_a, m->x_b, (int)hidden, &m->planes);
    if (status != TS_OK)
        return status;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "Fourier measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->weight = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->hidden_sum = ts_slab_take_zero(&m->slab, n * hidden, sizeof(double));
        m->label_count = ts_slab_take_zero(&m->slab, n * n, sizeof(int));
        m->logit_mean = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->by_difference = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->key = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->key_hidden = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->key_logit = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->by_key = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->component = ts_slab_take_zero(&m->slab, n * n, sizeof(double));
        m->exponential = ts_slab_take_zero(&m->slab, n * pairs->stride, sizeof(double));
        m->z = ts_slab_take(&m->slab, n, sizeof(double));
        m->work = ts_slab_take(&m->slab, n * (n + (size_t)pairs->network->embed), sizeof(double));
    }
    return TS_OK;
}

static int place_of(const measuring *m, int a, int b) {
    return (m->x_a[a] + m->x_b[b]) % m->n;
}

// --- What the pairs add up to ---

static void gather_pair(measuring *m, int a, int b, const double *h, const double *z) {
    size_t n = (size_t)m->n, s = (size_t)place_of(m, a, b);
    double *sum = m->hidden_sum + s * (size_t)m->hidden, centre = 0;
    for (int k = 0; k < m->hidden; k++)
        sum[k] += h[k];
    m->weight[s] += 1;
    m->label_count[s * n + (size_t)m->pairs->table->result[(size_t)a * n + (size_t)b]]++;
    for (size_t c = 0; c < n; c++) {
        m->logit_mean[c] += z[c];
        centre += z[c];
    }
    centre /= m->n;
    for (size_t c = 0; c < n; c++) {
        double own = z[c] - centre;
        m->logit_energy += own * own;
        m->by_difference[s >= c ? s - c : s + n - c] += own;
    }
}

void ts_fourier_measures_add(measuring *m, int a) {
    ts_pair_row row = ts_pairs_row(m->pairs, a);
    ts_planes_add(&m->planes, a, row.h);
    for (int b = 0; b < m->n; b++)
        gather_pair(m, a, b, row.h + (size_t)b * (size_t)m->hidden, row.logits + (size_t)b * (size_t)m->n);
}

// The centred logits' components along the cubes cos(2 pi k (x_a + x_b - c) / n), which are orthogonal to each
// other over c.
static void measure_cubes(measuring *m) {
    double *const *out = m->results.measure, explained = 0;
    for (int k = 1; k <= m->n / 2; k++) {
        const double *cosine = m->planes.functions + (size_t)(2 * k - 1) * (size_t)m->n;
        double dot = 0, norm = 0;
        for (int d = 0; d < m->n; d++) {
            dot += m->by_difference[d] * cosine[d];
            norm += (double)m->n * m->n * cosine[d] * cosine[d];
        }
        out[TS_LOGIT_COS_COEFFICIENT][k - 1] = dot / norm;
        out[TS_LOGIT_COS_SIMILARITY][k - 1] = dot / sqrt(norm * m->logit_energy);
        explained += dot * dot / (norm * m->logit_energy);
    }
    *out[TS_LOGIT_RESIDUAL_FRACTION] = sqrt(explained < 1 ? 1 - explained : isnan(explained) ? NAN : 0);
}

// --- The key frequencies ---

static double weighted_dot(const measuring *m, const double *f, const double *g) {
    double sum = 0;
    for (int s = 0; s < m->n; s++)
        sum += m->weight[s] * f[s] * g[s];
    return sum;
}

// Takes what lies along 1 and the functions so far out of f, and scales it; false: nothing is left.
static bool orthonormalise(const measuring *m, double *f) {
    double pairs = (double)m->n * m->n, before = weighted_dot(m, f, f);
    for (int again = 0; again < 2; again++) { // the second time takes out what rounding left
        double mean = 0;
        for (int s = 0; s < m->n; s++)
            mean += m->weight[s] * f[s] / pairs;
        for (int s = 0; s < m->n; s++)
            f[s] -= mean;
        for (int i = 0; i < m->keys; i++) {
            const double *earlier = m->key + (size_t)i * (size_t)m->n;
            double along = weighted_dot(m, f, earlier);
            for (int s = 0; s < m->n; s++)
                f[s] -= along * earlier[s];
        }
    }
    double left = weighted_dot(m, f, f);
    if (left <= DEPENDENT * before || left <= DEPENDENT * pairs)
        return false;
    for (int s = 0; s < m->n; s++)
        f[s] /= sqrt(left);
    return true;
}

// What the key frequencies' functions of x_a + x_b in the hidden layer give to the logits of each sum.
static void project_keys(measuring *m) {
    size_t n = (size_t)m->n;
    for (int f = 1; f < m->n; f++) {
        if (m->planes.key[ts_fourier_frequency(f) - 1] != 1)
            continue;
        double *own = m->key + (size_t)m->keys * n;
        memcpy(own, m->planes.functions + (size_t)f * n, n * sizeof *own);
        m->keys += orthonormalise(m, own);
    }
    if (m->keys == 0)
        return;
    for (size_t i = 0; i < (size_t)m->keys; i++)
        for (size_t s = 0; s < n; s++)
            m->by_key[s * (size_t)m->keys + i] = m->key[i * n + s];
    ts_product(m->keys, m->hidden, m->n, m->key, m->n, m->hidden_sum, m->hidden, m->key_hidden, m->hidden);
    ts_product(m->keys, m->n, m->hidden, m->key_hidden, m->hidden, m->network->u, m->n, m->key_logit, m->n);
    ts_product(m->n, m->n, m->keys, m->by_key, m->keys, m->key_logit, m->n, m->component, m->n);
}

// Mean over all pairs; what is left of a pair's logits depends on x_a + x_b alone.
static double restricted_loss(measuring *m) {
    size_t n = (size_t)m->n;
    double sum = 0;
    for (size_t s = 0; s < n && !ts_must_stop(m->pairs->pause); s++) {
        for (size_t c = 0; c < n; c++)
            m->z[c] = m->component[s * n + c] + m->logit_mean[c];
        for (size_t label = 0; label < n; label++)
            if (m->label_count[s * n + label] > 0)
                sum += m->label_count[s * n + label] * ts_pair_loss(m->z, m->n, (int)label);
    }
    return sum / (double)(n * n);
}

// A pair's loss without its component.
static double loss_without(measuring *m, int a, int b, double *e) {
    size_t n = (size_t)m->n, s = (size_t)place_of(m, a, b);
    const double *component = m->component + s * n, *exponential = m->exponential + s * m->pairs->stride;
    int label = m->pairs->table->result[(size_t)a * n + (size_t)b];
    double loss;
    ts_losses(e + (size_t)b * m->pairs->stride, &exponential, 1, m->pairs->stride, label, &loss);
    if (!isnan(loss))
        return loss;
    const double *logits = ts_pairs_row(m->pairs, a).logits + (size_t)b * n; // rare: they are made again
    for (size_t c = 0; c < n; c++)
        m->z[c] = logits[c] - component[c];
    return ts_pair_loss(m->z, m->n, label);
}

// Mean over the training pairs.
static double excluded_loss(measuring *m) {
    size_t n = (size_t)m->n;
    double sum = 0;
    for (size_t s = 0; s < n; s++)
        ts_exponentials(m->component + s * n, -1, m->n, m->exponential + s * m->pairs->stride);
    for (int a = 0; a < m->n && !ts_must_stop(m->pairs->pause); a++) {
        double *e = ts_pairs_exponentials(m->pairs, a, false);
        for (int b = 0; b < m->n; b++)
            if (m->pairs->is_train[(size_t)a * n + (size_t)b])
                sum += loss_without(m, a, b, e);
    }
    return m->pairs->train > 0 ? sum / (double)m->pairs->train : NAN;
}

ts_status ts_fourier_measures_begin(ts_pairs *pairs, const ts_symmetry *symmetry, int chart,
                                    const ts_fourier_results *results, ts_fourier_measures **measures) {
    measuring *m = ts_alloc_zero(1, sizeof *m, "Fourier measures");
    ts_status status = m ? create(pairs, symmetry, chart, results, m) : TS_ERROR_MEMORY;
    if (status != TS_OK) {
        ts_fourier_measures_free(m);
        return status;
    }
    *measures = m;
    return TS_OK;
}

void ts_fourier_measures_finish(measuring *m) {
    double *const *out = m->results.measure;
    const double *functions = m->planes.functions;
    ts_fourier_norms(m->n, functions, m->x_a, m->network->e_x, m->network->embed, m->work,
                     out[TS_EMBED_FOURIER_NORM]);
    ts_fourier_norms(m->n, functions, m->x_b, m->network->e_y, m->network->embed, m->work,
                     out[TS_EMBED_RIGHT_FOURIER_NORM]);
    for (int c = 0; c < m->n; c++)
        m->logit_mean[c] /= (double)m->n * m->n;
    measure_cubes(m);
    ts_planes_cluster(&m->planes, &m->results.clusters);
    project_keys(m);
    *out[TS_KEY_RESTRICTED_LOSS] = restricted_loss(m);
    *out[TS_KEY_EXCLUDED_LOSS] = excluded_loss(m);
}

void ts_fourier_measures_free(measuring *m) {
    if (!m)
        return;
    ts_planes_free(&m->planes);
    ts_slab_free(&m->slab);
    ts_free(m);
}
