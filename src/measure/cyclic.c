// Fourier measures of a network in the functions of a cyclic group, read through a chart (task/symmetry.h), as of
// modular addition (Nanda et al. 2023; definitions: docs/workloads.md).
#include "base/product.h"
#include "measure/clusters.h"
#include "measure/fourier.h"
#include "measure/group.h"

#include <math.h>
#include <string.h>

// A function that has less than this share of its energy left beside others depends on them.
static const double DEPENDENT = 1e-10;

typedef struct cyclic {
    const ts_pairs *pairs;
    ts_walk *walk;
    const ts_network *network;
    const int *x_a, *x_b; // (n) places of tokens a, b
    int n, hidden;
    const ts_planes *planes;     // with the key frequencies
    const ts_group_parts *parts; // what the pairs add up to, an element being its place
    double *weight;              // (n) pairs whose places add up to s
    int *label_count;            // (n, n): pairs of each s with that label
    ts_sums sums;
    const double *hidden_sum; // (n, hidden) activations of those pairs, added up
    double *logit_mean;       // (n) over pairs
    double *by_difference;    // (n): centred logits, added up over x_a + x_b - c
    double logit_energy;      // of the centred logits
    int keys;                 // functions of the key frequencies
    double *key;              // (n, n): of s, orthonormal over pairs and to 1
    double *key_hidden;       // (n, hidden): components of the activations along them
    double *key_logit;        // (n, n): through the unembedding
    double *by_key;           // (n, n): `key` transposed
    double *component;        // (n, n): what they give to the logits of each s
    double *exponential;      // (n, stride) of their negatives
    double *z;                // (n)
    double *work;             // (n, n + the embedding's width)
    // Measures.
    double *embed_norm[2];                    // (n) of the left, of the right one
    double *cos_coefficient, *cos_similarity; // (n / 2)
    double residual_fraction, restricted_loss, excluded_loss;
    double *alone; // (n, n) for a device: what is left of the logits of each sum
    ts_slab slab;
} cyclic;

static int place_of(const cyclic *m, int a, int b) {
    return (m->x_a[a] + m->x_b[b]) % m->n;
}

static size_t label_of(const cyclic *m, int a, int b) {
    return (size_t)m->pairs->table->result[(size_t)a * (size_t)m->n + (size_t)b];
}

static void count_pairs(cyclic *m) {
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++) {
            size_t s = (size_t)place_of(m, a, b);
            m->weight[s] += 1;
            m->label_count[s * (size_t)m->n + label_of(m, a, b)]++;
        }
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    cyclic *m = state;
    const ts_symmetry *symmetry = measuring->data->symmetry;
    const ts_clusters *clusters = ts_measuring_state(measuring, &ts_family_clusters, chart);
    size_t n = (size_t)symmetry->circle, hidden = (size_t)measuring->network->hidden;
    m->pairs = measuring->pairs;
    m->walk = measuring->walk;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    m->sums = (ts_sums){.again = 1, .scratch = n};
    m->network = measuring->network;
    m->x_a = symmetry->chart[chart].x_a;
    m->x_b = symmetry->chart[chart].x_b;
    m->n = (int)n;
    m->hidden = (int)hidden;
    m->planes = &clusters->planes;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "Fourier measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->weight = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->logit_mean = ts_slab_take(&m->slab, n, sizeof(double));
        m->by_difference = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->label_count = ts_slab_take_zero(&m->slab, n * n, sizeof(int));
        m->key = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->key_hidden = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->key_logit = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->by_key = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->component = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->exponential = ts_slab_take(&m->slab, n * m->pairs->stride, sizeof(double));
        m->z = ts_slab_take(&m->slab, n, sizeof(double));
        m->alone = ts_slab_take(&m->slab, measuring->device ? n * n : 0, sizeof(double));
        for (int side = 0; side < 2; side++)
            m->embed_norm[side] = ts_slab_take(&m->slab, n, sizeof(double));
        m->cos_coefficient = ts_slab_take(&m->slab, n / 2, sizeof(double));
        m->cos_similarity = ts_slab_take(&m->slab, n / 2, sizeof(double));
        m->work = ts_slab_take(&m->slab, n * (n + (size_t)m->network->embed), sizeof(double));
    }
    count_pairs(m);
    return TS_OK;
}

// --- What the pairs add up to ---

static void take_sums(cyclic *m) {
    size_t n = (size_t)m->n;
    const double *by_product = m->parts->by_product;
    m->hidden_sum = m->parts->sum[TS_OF_PRODUCT];
    m->logit_energy = m->parts->logit_energy;
    for (size_t c = 0; c < n; c++)
        m->logit_mean[c] = m->parts->centre_sum;
    for (size_t s = 0; s < n; s++) {
        ts_add(m->logit_mean, by_product + s * n, m->n);
        for (size_t c = 0; c < n; c++)
            m->by_difference[s >= c ? s - c : s + n - c] += by_product[s * n + c];
    }
}

// The centred logits beside the cubes cos(2 pi k (x_a + x_b - c) / n), which are orthogonal to each other over c.
static void measure_cubes(cyclic *m) {
    double explained = 0;
    for (int k = 1; k <= m->n / 2; k++) {
        const double *cosine = m->planes->functions + (size_t)(2 * k - 1) * (size_t)m->n;
        double dot = 0, norm = 0;
        for (int d = 0; d < m->n; d++) {
            dot += m->by_difference[d] * cosine[d];
            norm += (double)m->n * m->n * cosine[d] * cosine[d];
        }
        m->cos_coefficient[k - 1] = dot / norm;
        m->cos_similarity[k - 1] = dot / sqrt(norm * m->logit_energy);
        explained += dot * dot / (norm * m->logit_energy);
    }
    m->residual_fraction = sqrt(explained < 1 ? 1 - explained : isnan(explained) ? NAN : 0);
}

// --- The key frequencies ---

static double weighted_dot(const cyclic *m, const double *f, const double *g) {
    double sum = 0;
    for (int s = 0; s < m->n; s++)
        sum += m->weight[s] * f[s] * g[s];
    return sum;
}

// Takes what lies along 1 and the functions so far out of f, and scales it; false: nothing is left.
static bool orthonormalise(const cyclic *m, double *f) {
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
static void project_keys(cyclic *m) {
    size_t n = (size_t)m->n;
    for (int f = 1; f < m->n; f++) {
        if (m->planes->key[ts_fourier_frequency(f) - 1] != 1)
            continue;
        double *own = m->key + (size_t)m->keys * n;
        memcpy(own, m->planes->functions + (size_t)f * n, n * sizeof *own);
        m->keys += orthonormalise(m, own);
    }
    if (m->keys == 0) {
        memset(m->component, 0, n * n * sizeof *m->component);
        return;
    }
    for (size_t i = 0; i < (size_t)m->keys; i++)
        for (size_t s = 0; s < n; s++)
            m->by_key[s * (size_t)m->keys + i] = m->key[i * n + s];
    ts_product(m->keys, m->hidden, m->n, m->key, m->n, m->hidden_sum, m->hidden, m->key_hidden, m->hidden);
    ts_product(m->keys, m->n, m->hidden, m->key_hidden, m->hidden, m->network->u, m->n, m->key_logit, m->n);
    ts_product(m->n, m->n, m->keys, m->by_key, m->keys, m->key_logit, m->n, m->component, m->n);
}

static double restricted_on(const cyclic *m, ts_device *device) {
    size_t n = (size_t)m->n;
    double sum;
    for (size_t s = 0; s < n; s++)
        for (size_t c = 0; c < n; c++)
            m->alone[s * n + c] = m->component[s * n + c] + m->logit_mean[c];
    ts_device_alone(device, &(ts_pair_corrections){.elements = m->n, .columns = 1, .value = m->alone, .numbers = n * n},
                    m->label_count, &sum);
    return sum;
}

// Mean over all pairs; what is left of a pair's logits depends on x_a + x_b alone.
static double restricted_loss(cyclic *m) {
    size_t n = (size_t)m->n;
    double sum = 0;
    if (m->pairs->device)
        return restricted_on(m, m->pairs->device) / (double)(n * n);
    for (size_t s = 0; s < n && !ts_must_stop(m->pairs->pause); s++) {
        for (size_t label = 0; label < n; label++) {
            for (size_t c = 0; c < n && m->label_count[s * n + label] > 0; c++)
                m->z[c] = m->component[s * n + c] + m->logit_mean[c];
            if (m->label_count[s * n + label] > 0)
                sum += m->label_count[s * n + label] * ts_pairs_loss(m->pairs, m->z, (int)label);
        }
    }
    return sum / (double)(n * n);
}

// A pair's loss without its component.
static double loss_without(const cyclic *m, ts_rows *rows, int a, int b, double *e) {
    size_t n = (size_t)m->n, s = (size_t)place_of(m, a, b);
    const double *component = m->component + s * n, *exponential = m->exponential + s * m->pairs->stride;
    int label = (int)label_of(m, a, b);
    double *z = rows->scratch, loss;
    ts_pairs_losses_of(m->pairs, e + (size_t)b * m->pairs->stride, &exponential, 1, label, &loss);
    if (!isnan(loss) || isnan(component[label]))
        return loss;
    const double *logits = ts_rows_logits(rows, a, b, false);
    for (size_t c = 0; c < n; c++)
        z[c] = logits[c] - component[c];
    return ts_pairs_loss(m->pairs, z, label);
}

static void add_excluded(const void *context, ts_rows *rows, int first, int end, double *sum) {
    const cyclic *m = context;
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        double *e = ts_rows_exponentials(rows, a, false);
        for (int b = 0; b < m->n; b++)
            if (m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b])
                *sum += loss_without(m, rows, a, b, e);
    }
}

// Mean over the training pairs.
static int training_place(const void *context, int a, int b) {
    const cyclic *m = context;
    return m->pairs->is_train[a * m->n + b] ? (int)place_of(m, a, b) : -1;
}

static double excluded_on(const cyclic *m, ts_device *device) {
    size_t n = (size_t)m->n;
    double sum[TS_PAIR_SPLITS];
    ts_device_losses(device,
                     &(ts_pair_corrections){.elements = m->n, .columns = 1, .value = m->component, .numbers = n * n},
                     ts_device_each(device, training_place, m), false, sum);
    return sum[TS_PAIR_TRAIN];
}

static double excluded_loss(cyclic *m) {
    size_t n = (size_t)m->n;
    double sum = 0;
    if (m->pairs->device)
        return m->pairs->train > 0 ? excluded_on(m, m->pairs->device) / (double)m->pairs->train : NAN;
    for (size_t s = 0; s < n; s++)
        ts_pairs_exponentials(m->pairs, m->component + s * n, -1, m->exponential + s * m->pairs->stride);
    ts_walk_add_up(m->walk, &(ts_walk_sum){1, add_excluded, m}, &sum);
    return m->pairs->train > 0 ? sum / (double)m->pairs->train : NAN;
}

static void finish(void *state) {
    cyclic *m = state;
    take_sums(m);
    for (int c = 0; c < m->n; c++)
        m->logit_mean[c] /= (double)m->n * m->n;
    measure_cubes(m);
    ts_fourier_norms(m->n, m->planes->functions, m->x_a, m->network->e_x, m->network->embed, m->work, m->embed_norm[0]);
    ts_fourier_norms(m->n, m->planes->functions, m->x_b, m->network->e_y, m->network->embed, m->work, m->embed_norm[1]);
    project_keys(m);
    m->restricted_loss = restricted_loss(m);
    m->excluded_loss = excluded_loss(m);
}

static const ts_measure ROWS[] = {
    {"logit_residual_fraction",
     "norm of the centred logits without their components along all cosine cubes, over their own",
     .at = offsetof(cyclic, residual_fraction)},
    {"key_restricted_loss",
     "loss with only the key frequencies' functions of a + b in the hidden layer, and the mean logits", .units = "nat",
     .loss = true, .at = offsetof(cyclic, restricted_loss)},
    {"key_excluded_loss", "training loss without the key frequencies' functions of a + b in the hidden layer",
     .units = "nat", .loss = true, .at = offsetof(cyclic, excluded_loss)},
    {"embed_fourier_norm",
     "norm of the left embedding's Fourier components over tokens",
     {"component"},
     .at = offsetof(cyclic, embed_norm[0])},
    {"embed_right_fourier_norm",
     "norm of the right embedding's Fourier components over tokens",
     {"component"},
     .at = offsetof(cyclic, embed_norm[1])},
    {"logit_cos_coefficient",
     "coefficient of cos(2 pi k (a + b - c) / n) in the centred logits",
     {"frequency"},
     .at = offsetof(cyclic, cos_coefficient)},
    {"logit_cos_similarity",
     "cosine between the centred logits and cos(2 pi k (a + b - c) / n)",
     {"frequency"},
     .at = offsetof(cyclic, cos_similarity)},
    {0},
};

const ts_family ts_family_cyclic = {
    .name = "cyclic",
    .title = "Fourier measures of cyclic tables",
    .source = "Fourier measures: cyclic tables",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .least_circles = 1,
    .most_circles = 1,
    .state_bytes = sizeof(cyclic),
    .slab = offsetof(cyclic, slab),
    .begin = begin,
    .sums = offsetof(cyclic, sums),
    .finish = finish,
    .needs = {&ts_family_clusters, &ts_family_group},
};
