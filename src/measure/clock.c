// Clock and pizza (Zhong et al. 2023): how the correct logit depends on the difference of the tokens, how far the
// embedding lies on circles, and how much of the logits is cos(w (a + b - c)), alone or times |cos(w (a - b) / 2)|. Of
// tables whose tokens lie on a circle; definitions: docs/workloads.md.
#include "base/eigen.h"
#include "base/product.h"
#include "measure/family.h"
#include "measure/fourier.h"
#include "measure/losses.h"

#include <math.h>
#include <string.h>

enum { COMPONENTS = 4, MOST_EIGEN = 1024 }; // principal components; rows of a matrix whose eigenvectors are found

enum { CORRECT, WRONG, FORMS }; // the correct logit, the largest of the others

typedef struct clock_state {
    const ts_measuring *measuring;
    int n;
    const int *place; // (n)
    // By difference d of places, (n, FORMS, 2): sums over pairs of the logit and of its square; then by difference and
    // t = a + b - c (n, n): sums of centred logits; then the sum of their squares.
    ts_sums sums;
    double *functions; // (n, n)
    double *pairs;     // (n) of each difference that have a result
    int *turn;         // (n, n) places of a + b, for a device
    int rows, side; // of both embeddings' vectors, and of the smaller matrix of their products; 0: it is not looked at
    double *embedded; // (rows, width)
    double *gram, *value, *work, *score;
    double irrelevance[FORMS]; // distance irrelevance
    double clock, pizza;       // shares of variance
    double circularity;
    ts_slab slab;
} clock_state;

static bool on_circle(const ts_data *data) {
    return data->place && data->table->n_out == data->table->n && data->table->n >= 3;
}

static size_t difference(const clock_state *m, int a, int b) {
    return (size_t)((m->place[a] - m->place[b] + m->n) % m->n);
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    clock_state *m = state;
    size_t n = (size_t)measuring->data->table->n;
    const ts_network *network = measuring->network;
    size_t width = (size_t)network->embed, rows = network->e_x == network->e_y ? n : 2 * n;
    size_t side = rows < width ? rows : width;
    (void)chart;
    if (!measuring->last || side < COMPONENTS || side > MOST_EIGEN)
        rows = side = 0;
    m->rows = (int)rows;
    m->side = (int)side;
    m->measuring = measuring;
    m->n = (int)n;
    m->place = measuring->data->place;
    m->sums.numbers = n * FORMS * 2 + n * n + 1;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "clock and pizza") != TS_OK)
            return TS_ERROR_MEMORY;
        m->functions = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->pairs = ts_slab_take_zero(&m->slab, n, sizeof(double));
        m->turn = ts_slab_take(&m->slab, measuring->device ? n * n : 0, sizeof(int));
        m->embedded = ts_slab_take(&m->slab, rows * width, sizeof(double));
        m->gram = ts_slab_take(&m->slab, side * side, sizeof(double));
        m->value = ts_slab_take(&m->slab, side, sizeof(double));
        m->work = ts_slab_take(&m->slab, side, sizeof(double));
        m->score = ts_slab_take(&m->slab, side > 0 ? COMPONENTS * n : 0, sizeof(double));
    }
    ts_fourier_functions(m->n, m->functions);
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++)
            m->pairs[difference(m, a, b)] += measuring->pairs->table->result[a * m->n + b] >= 0;
    return TS_OK;
}

// --- What the pairs add up to ---

static void add_distance(double *sums, double logit) {
    sums[0] += logit;
    sums[1] += logit * logit;
}

static void add_pair(const clock_state *m, int a, int b, const double *z, int label, double *sums) {
    size_t n = (size_t)m->n, s = (size_t)((m->place[a] + m->place[b]) % m->n);
    size_t d = difference(m, a, b);
    double *by_distance = sums + d * FORMS * 2, *by_both = sums + n * FORMS * 2 + d * n;
    double *energy = sums + n * FORMS * 2 + n * n, squares = *energy, mean = 0;
    for (int c = 0; c < m->n; c++)
        mean += z[c] / m->n;
    if (label >= 0) {
        add_distance(by_distance, z[label]);
        add_distance(by_distance + 2, ts_largest_other(z, m->n, label));
    }
    for (int c = 0; c < m->n; c++) {
        size_t place = (size_t)m->place[c];
        double own = z[c] - mean;
        by_both[s >= place ? s - place : s + n - place] += own;
        squares += own * own;
    }
    *energy = squares;
}

static void add(const void *state, ts_rows *rows, int a, double *sums) {
    const clock_state *m = state;
    const int *result = m->measuring->pairs->table->result;
    const double *logits = ts_rows_at(rows, a).logits;
    for (int b = 0; b < m->n; b++)
        add_pair(m, a, b, logits + (size_t)b * (size_t)m->n, result[(size_t)a * (size_t)m->n + (size_t)b], sums);
}

static int difference_of(const void *context, int a, int b) {
    return (int)difference(context, a, b);
}

static void gather(void *state, ts_device *device) {
    const clock_state *m = state;
    size_t n = (size_t)m->n;
    double *sums = m->sums.total, *by_both = sums + n * FORMS * 2, *energy = by_both + n * n;
    const double *facts = ts_device_facts(device);
    for (int a = 0; a < m->n; a++)
        for (int b = 0; b < m->n; b++, facts += TS_PAIR_FACTS) {
            double *by_distance = sums + difference(m, a, b) * FORMS * 2;
            m->turn[(size_t)a * n + (size_t)b] = (m->place[a] + m->place[b]) % m->n;
            *energy += facts[TS_FACT_ENERGY];
            if (m->measuring->pairs->table->result[(size_t)a * n + (size_t)b] < 0)
                continue;
            add_distance(by_distance, facts[TS_FACT_LABEL]);
            add_distance(by_distance + 2, facts[TS_FACT_OTHER]);
        }
    ts_device_turned(device, ts_device_each(device, difference_of, m), m->n, m->turn, m->place, by_both);
}

// --- Distance irrelevance ---

static double deviation(double sum, double squares, double count) {
    double mean = sum / count, variance = squares / count - mean * mean;
    return variance > 0 ? sqrt(variance) : variance <= 0 ? 0 : NAN;
}

// Mean over differences of the standard deviation over sums, over that of all.
static double irrelevance(const clock_state *m, int form) {
    double mean = 0, sum = 0, squares = 0, pairs = 0, differences = 0;
    for (int d = 0; d < m->n; d++) {
        const double *own = m->sums.total + ((size_t)d * FORMS + (size_t)form) * 2;
        if (m->pairs[d] == 0)
            continue;
        mean += deviation(own[0], own[1], m->pairs[d]);
        sum += own[0];
        squares += own[1];
        pairs += m->pairs[d];
        differences += 1;
    }
    return mean / differences / deviation(sum, squares, pairs);
}

// --- Shares of the logits' variance ---

// Functions of different k are orthogonal over c, so each takes its own share.
static void measure_shares(clock_state *m) {
    size_t n = (size_t)m->n;
    const double *by_both = m->sums.total + n * FORMS * 2;
    double energy = by_both[n * n], clock = 0, pizza = 0;
    for (int k = 1; k <= (m->n - 1) / 2; k++) {
        const double *cosine = m->functions + (size_t)(2 * k - 1) * n;
        double along = 0, along_pizza = 0, weights = 0;
        for (size_t d = 0; d < n; d++) {
            // |cos(pi k d / n)|: cos(x)^2 = (1 + cos(2 x)) / 2
            double weight = sqrt(fmax(0, (1 + cosine[d]) / 2)), own = 0;
            for (size_t t = 0; t < n; t++)
                own += by_both[d * n + t] * cosine[t];
            along += own;
            along_pizza += weight * own;
            weights += weight * weight;
        }
        double norm = (double)n * (double)n / 2; // sum over pairs and c is n times this, of weights n / 2 times theirs
        clock += along * along / ((double)n * norm * energy);
        pizza += along_pizza * along_pizza / ((double)n / 2 * (double)n * weights * energy);
    }
    m->clock = m->n % 2 ? clock : NAN;
    m->pizza = m->n % 2 ? pizza : NAN;
}

// --- Circularity ---

// Both embeddings less their mean.
static void take_embeddings(clock_state *m) {
    const ts_network *network = m->measuring->network;
    size_t n = (size_t)m->n, width = (size_t)network->embed, rows = (size_t)m->rows;
    memcpy(m->embedded, network->e_x, n * width * sizeof *m->embedded);
    if (rows > n)
        memcpy(m->embedded + n * width, network->e_y, n * width * sizeof *m->embedded);
    for (size_t i = 0; i < width; i++) {
        double mean = 0;
        for (size_t r = 0; r < rows; r++)
            mean += m->embedded[r * width + i] / m->rows;
        for (size_t r = 0; r < rows; r++)
            m->embedded[r * width + i] -= mean;
    }
}

// Which share of a score (n), read by place, lies in one frequency, at most.
static double largest_share(const clock_state *m, const double *score) {
    double energy = 0, most = 0;
    for (int t = 0; t < m->n; t++)
        energy += score[t] * score[t];
    for (int k = 1; k <= m->n / 2; k++) {
        const double *cosine = m->functions + (size_t)(2 * k - 1) * (size_t)m->n;
        double along = 0, across = 0;
        for (int t = 0; t < m->n; t++) {
            along += score[t] * cosine[m->place[t]];
            across += 2 * k < m->n ? score[t] * cosine[m->n + m->place[t]] : 0;
        }
        most = fmax(most, 2 * (along * along + across * across) / (m->n * energy));
    }
    return energy > 0 ? fmin(1, most) : NAN;
}

// The number of the largest value that is not taken, which is taken then.
static int take_largest(int count, double *value) {
    int largest = 0;
    for (int i = 1; i < count; i++)
        largest = value[i] > value[largest] ? i : largest;
    value[largest] = -INFINITY;
    return largest;
}

// X X^T or X^T X, the smaller one.
static void take_products(clock_state *m) {
    size_t width = (size_t)m->measuring->network->embed, side = (size_t)m->side, rows = (size_t)m->rows;
    const double *x = m->embedded;
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; rows <= width && k < width; k++)
                sum += x[i * width + k] * x[j * width + k];
            for (size_t k = 0; rows > width && k < rows; k++)
                sum += x[k * width + i] * x[k * width + j];
            m->gram[i * side + j] = m->gram[j * side + i] = sum;
        }
}

// Of tokens on the first principal components, each up to a factor.
static void take_scores(clock_state *m) {
    int width = m->measuring->network->embed;
    for (int c = 0; c < COMPONENTS; c++) {
        const double *vector = m->gram + (size_t)take_largest(m->side, m->value) * (size_t)m->side;
        for (int t = 0; t < m->n; t++) {
            double along = 0;
            for (int i = 0; i < width; i++)
                along += m->rows > width ? m->embedded[(size_t)t * (size_t)width + (size_t)i] * vector[i] : 0;
            m->score[c * m->n + t] = m->rows > width ? along : vector[t];
        }
    }
}

static double circularity(clock_state *m) {
    double mean = 0;
    if (m->side == 0)
        return NAN;
    take_embeddings(m);
    take_products(m);
    if (!ts_eigen(m->side, m->gram, m->value, m->work))
        return NAN;
    take_scores(m);
    for (int c = 0; c < COMPONENTS; c++)
        mean += largest_share(m, m->score + (size_t)c * (size_t)m->n) / COMPONENTS;
    return mean;
}

static void finish(void *state) {
    clock_state *m = state;
    for (int form = 0; form < FORMS; form++)
        m->irrelevance[form] = irrelevance(m, form);
    measure_shares(m);
    m->circularity = circularity(m);
}

static const ts_measure ROWS[] = {
    {"distance_irrelevance",
     "mean over a - b of the standard deviation of the correct logit over a + b, over that of all pairs",
     .at = offsetof(clock_state, irrelevance[CORRECT])},
    {"distance_irrelevance_wrong", "the same of the largest wrong logit",
     .at = offsetof(clock_state, irrelevance[WRONG])},
    {"clock_share", "share of the centred logits' variance in cos(w (a + b - c)) of all frequencies; NaN: even n",
     .at = offsetof(clock_state, clock)},
    {"pizza_share", "share of it in |cos(w (a - b) / 2)| cos(w (a + b - c)) of all frequencies; NaN: even n",
     .at = offsetof(clock_state, pizza)},
    {"circularity",
     "share of one frequency in the first 4 principal components of the embedding, the largest of each, mean",
     .at_end = true, .at = offsetof(clock_state, circularity)},
    {0},
};

static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    (void)params;
    return 8 * n * n * n;
}

const ts_family ts_family_clock = {
    .name = "clock",
    .title = "Clock and pizza, of tables with tokens on a circle",
    .source = "Concentration, clock and pizza",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .has = on_circle,
    .operations = operations,
    .state_bytes = sizeof(clock_state),
    .slab = offsetof(clock_state, slab),
    .begin = begin,
    .add = add,
    .gather = gather,
    .sums = offsetof(clock_state, sums),
    .finish = finish,
};
