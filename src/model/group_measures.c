#include "model/group_measures.h"

#include "base/memory.h"
#include "base/product.h"
#include "base/sets.h"

#include <math.h>
#include <string.h>

// Corrections of logits that are kept at once, in bytes; more irreps than fit are done in turns.
static const double TURN_BYTES = 256e6;
static const double KEY_SIMILARITY = 0.005;
enum { LANES = 8 };

typedef struct measuring {
    const ts_group_view *view;
    int n, hidden, count;
    int *inverse;                  // (n)
    const double *h, *logits;      // (n, hidden), (n, n): one row of pairs
    double *mean[3];               // (n, hidden) each: means of H as a function of a, of b, of a b
    double *all_mean;              // (hidden)
    double *by_product;            // (n, n): centred logits summed over the pairs of each product
    double *u_rows;                // (n, hidden): U transposed
    double *projector, *projected; // (n, n), (n, hidden)
    double *component;             // (count) of the centred logits along the chi cube: alpha
    double *total;            // (2, n, n) over key irreps: corrections at the hidden layer, at the logits
    double *shifted, *powers; // (n), (n + LANES)
    double hidden_energy, logit_energy;
    int turn;           // irreps of a turn
    double *correction; // (turn, 4, n, n): by a, by b, by a b, along the chi cube
    ts_slab slab;
} measuring;

static ts_status create(const ts_group_view *view, measuring *m) {
    size_t n = (size_t)view->table->n, hidden = (size_t)view->hidden;
    double each = 4.0 * 8 * (double)n * (double)n;
    *m = (measuring){.view = view, .n = (int)n, .hidden = view->hidden, .count = view->irreps->count};
    m->turn = each * m->count > TURN_BYTES ? (int)(TURN_BYTES / each) : m->count;
    m->turn = m->turn < 1 ? 1 : m->turn;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        m->inverse = ts_slab_take(&m->slab, n, sizeof(int));
        for (int side = 0; side < 3; side++)
            m->mean[side] = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->all_mean = ts_slab_take(&m->slab, hidden, sizeof(double));
        m->by_product = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->u_rows = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->projector = ts_slab_take(&m->slab, n * n, sizeof(double));
        m->projected = ts_slab_take(&m->slab, n * hidden, sizeof(double));
        m->component = ts_slab_take(&m->slab, (size_t)m->count, sizeof(double));
        m->total = ts_slab_take(&m->slab, 2 * n * n, sizeof(double));
        m->shifted = ts_slab_take(&m->slab, n, sizeof(double));
        m->powers = ts_slab_take(&m->slab, n + LANES, sizeof(double));
        m->correction = ts_slab_take(&m->slab, (size_t)m->turn * 4 * n * n, sizeof(double));
    }
    memset(m->slab.base, 0, m->slab.size);
    return TS_OK;
}

// --- What the pairs add up to ---

static void gather_row(measuring *m, int a) {
    const ts_table *table = m->view->table;
    m->view->row(m->view->context, a, &m->h, &m->logits);
    for (int b = 0; b < m->n; b++) {
        int product = table->result[(size_t)a * (size_t)m->n + (size_t)b];
        const double *h = m->h + (size_t)b * (size_t)m->hidden, *z = m->logits + (size_t)b * (size_t)m->n;
        double *of_a = m->mean[0] + (size_t)a * (size_t)m->hidden,
               *of_b = m->mean[1] + (size_t)b * (size_t)m->hidden;
        double *of_product = m->mean[2] + (size_t)product * (size_t)m->hidden;
        double *sum = m->by_product + (size_t)product * (size_t)m->n, centre = 0;
        for (int k = 0; k < m->hidden; k++) {
            of_a[k] += h[k] / m->n;
            of_b[k] += h[k] / m->n;
            of_product[k] += h[k] / m->n;
            m->hidden_energy += h[k] * h[k];
        }
        for (int c = 0; c < m->n; c++)
            centre += z[c] / m->n;
        for (int c = 0; c < m->n; c++) {
            sum[c] += z[c] - centre;
            m->logit_energy += (z[c] - centre) * (z[c] - centre);
        }
    }
}

static void gather(measuring *m) {
    const ts_table *table = m->view->table;
    double squares = 0;
    for (int g = 0; g < m->n; g++)
        for (int h = 0; h < m->n; h++)
            if (table->result[(size_t)g * (size_t)m->n + (size_t)h] == table->identity)
                m->inverse[g] = h;
    for (int k = 0; k < m->hidden; k++)
        for (int c = 0; c < m->n; c++)
            m->u_rows[(size_t)c * (size_t)m->hidden + (size_t)k] =
                m->view->u[(size_t)k * (size_t)m->n + (size_t)c];
    for (int a = 0; a < m->n; a++)
        gather_row(m, a);
    for (int a = 0; a < m->n; a++)
        for (int k = 0; k < m->hidden; k++)
            m->all_mean[k] += m->mean[0][(size_t)a * (size_t)m->hidden + (size_t)k] / m->n;
    for (int k = 0; k < m->hidden; k++)
        squares += m->all_mean[k] * m->all_mean[k];
    m->hidden_energy -= (double)m->n * m->n * squares; // of H0
}

// --- One irrep ---

static double energy(const double *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

// P x; x (n, hidden) into m->projected. Returns its energy.
static double project(measuring *m, const double *x) {
    ts_product(m->n, m->hidden, m->n, m->projector, m->n, x, m->hidden, m->projected, m->hidden);
    return energy(m->projected, (size_t)m->n * (size_t)m->hidden);
}

static double fraction(measuring *m, const double *x) {
    return project(m, x) / energy(x, (size_t)m->n * (size_t)m->hidden);
}

// Energy in H0 of a mean's part in the irrep, and that part's logits.
static double hidden_part(measuring *m, int side, bool trivial, double *correction) {
    double part = project(m, m->mean[side]) * m->n;
    if (trivial) // the mean itself, which H0 is without
        part -= (double)m->n * m->n * energy(m->all_mean, (size_t)m->hidden);
    ts_product(m->n, m->n, m->hidden, m->projected, m->hidden, m->view->u, m->n, correction, m->n);
    return part / m->hidden_energy;
}

// Similarity of the logits to the chi cube chi(a b c^-1), and their component along it.
static double logit_part(measuring *m, int r, double *correction) {
    const double *chi = m->view->irreps->irrep[r].character;
    double dot = 0, norm = 0;
    for (int p = 0; p < m->n; p++) {
        for (int c = 0; c < m->n; c++) {
            size_t at = (size_t)p * (size_t)m->n + (size_t)c;
            double x = chi[m->view->table->result[(size_t)p * (size_t)m->n + (size_t)m->inverse[c]]];
            correction[at] = x;
            dot += m->by_product[at] * x;
            norm += x * x * m->n;
        }
    }
    m->component[r] = dot / norm;
    for (size_t i = 0; i < (size_t)m->n * (size_t)m->n; i++)
        correction[i] *= m->component[r];
    return dot / sqrt(norm * m->logit_energy);
}

static double *correction_of(const measuring *m, int turn_index, int kind) {
    return m->correction + ((size_t)turn_index * 4 + (size_t)kind) * (size_t)m->n * (size_t)m->n;
}

static void measure_irrep(measuring *m, int r, int turn_index, double *const *out) {
    const ts_group_view *view = m->view;
    bool trivial = r == 0;
    ts_irrep_projector(view->table, view->irreps, r, m->projector);
    out[TS_EMBED_LEFT_FRACTION][r] = fraction(m, view->e_x);
    out[TS_EMBED_RIGHT_FRACTION][r] = fraction(m, view->e_y);
    out[TS_UNEMBED_FRACTION][r] = fraction(m, m->u_rows);
    for (int side = 0; side < 3; side++)
        out[TS_HIDDEN_LEFT_FRACTION + side][r] =
            hidden_part(m, side, trivial, correction_of(m, turn_index, side));
    out[TS_LOGIT_SIMILARITY][r] = logit_part(m, r, correction_of(m, turn_index, 3));
}

// --- Losses ---

// exp(x) for x <= 0, without a branch, so that compilers vectorise loops of it; relative error below 1e-15, 0 below
// -708.
static inline double exp_negative(double x) {
    static const double coefficient[] = {
        1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1,          1};
    const double shift = 0x1.8p52; // adding it rounds to a whole number
    double inside = x > -708 ? x : -708, n = inside * 1.4426950408889634 + shift;
    union {
        double number;
        uint64_t bits;
    } power = {.number = n};
    n -= shift;
    double r = inside - n * 0x1.62e42fefap-1;
    r -= n * 0x1.cf79abc9e3b3ap-40;
    double p = 1.0 / 479001600;
    for (int i = 0; i < 12; i++)
        p = p * r + coefficient[i];
    power.bits = (power.bits + 1023) << 52;
    return x > -708 ? p * power.number : 0;
}

// e[c] = exp(x[c] - largest), where that is the largest x, returned. e has room for whole vectors beyond count.
TS_FOR_EACH_SET static double exponentials(const double *x, double *e, int count) {
    double lane[LANES], largest;
    for (int i = 0; i < LANES; i++)
        lane[i] = x[0];
    int c = 0;
    for (; c + LANES <= count; c += LANES)
        for (int i = 0; i < LANES; i++)
            lane[i] = x[c + i] > lane[i] ? x[c + i] : lane[i];
    largest = lane[0];
    for (int i = 1; i < LANES; i++)
        largest = lane[i] > largest ? lane[i] : largest;
    for (; c < count; c++)
        largest = x[c] > largest ? x[c] : largest;
    for (c = 0; c < count; c++)
        e[c] = exp_negative(x[c] - largest);
    return largest;
}

// Cross-entropy of m->shifted (n) with that label.
static double row_loss(measuring *m, int label) {
    double *e = m->powers, lane[LANES] = {0};
    double own = m->shifted[label] - exponentials(m->shifted, e, m->n);
    e[label] = 0;
    for (int c = 0; c < m->n; c += LANES) // beyond n they stay 0
        for (int i = 0; i < LANES; i++)
            lane[i] += e[c + i];
    double others = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    return own == 0 ? log1p(others) : log(exp(own) + others) - own;
}

static double loss_without(measuring *m, const double *z, const double *correction, int label) {
    for (int c = 0; c < m->n; c++)
        m->shifted[c] = z[c] - correction[c];
    return row_loss(m, label);
}

// Mean loss over all pairs of logits (n, n) that depend on the product alone: each occurs n times.
static double loss_of_products(measuring *m, const double *logits) {
    double sum = 0;
    for (int p = 0; p < m->n; p++) {
        memcpy(m->shifted, logits + (size_t)p * (size_t)m->n, (size_t)m->n * sizeof(double));
        sum += row_loss(m, p) / m->n;
    }
    return sum;
}

static double mean_over(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : NAN;
}

static int64_t training_pairs(const measuring *m) {
    int64_t train = 0;
    for (int i = 0; i < m->n * m->n; i++)
        train += m->view->is_train[i];
    return train;
}

// Adds the losses of one row of pairs without irrep r's parts.
static void add_row_losses(measuring *m, int a, int r, int turn_index, double *const *out) {
    size_t n = (size_t)m->n;
    const double *of_a = correction_of(m, turn_index, 0) + (size_t)a * n;
    const double *of_b = correction_of(m, turn_index, 1), *of_product = correction_of(m, turn_index, 2);
    const double *cube = correction_of(m, turn_index, 3);
    for (int b = 0; b < m->n; b++) {
        size_t pair = (size_t)a * n + (size_t)b;
        int product = m->view->table->result[pair];
        const double *z = m->logits + (size_t)b * n;
        double without_product = loss_without(m, z, of_product + (size_t)product * n, product);
        out[TS_ABLATION_LEFT_LOSS][r] += loss_without(m, z, of_a, product);
        out[TS_ABLATION_RIGHT_LOSS][r] += loss_without(m, z, of_b + (size_t)b * n, product);
        out[TS_ABLATION_PRODUCT_LOSS][r] += without_product;
        if (m->view->is_train[pair]) {
            out[TS_EXCLUDED_LOSS][r] += without_product;
            out[TS_LOGIT_EXCLUDED_LOSS][r] += loss_without(m, z, cube + (size_t)product * n, product);
        }
    }
}

static bool is_key(double *const *out, int r) {
    return r > 0 && out[TS_LOGIT_SIMILARITY][r] > KEY_SIMILARITY;
}

static void measure_turn(measuring *m, int first, int count, double *const *out) {
    int64_t pairs = (int64_t)m->n * m->n, train = training_pairs(m);
    static const int losses[] = {TS_EXCLUDED_LOSS, TS_LOGIT_EXCLUDED_LOSS, TS_ABLATION_LEFT_LOSS,
                                 TS_ABLATION_RIGHT_LOSS, TS_ABLATION_PRODUCT_LOSS};
    for (int i = 0; i < count; i++) {
        measure_irrep(m, first + i, i, out);
        out[TS_RESTRICTED_LOSS][first + i] = loss_of_products(m, correction_of(m, i, 2));
        out[TS_LOGIT_RESTRICTED_LOSS][first + i] = loss_of_products(m, correction_of(m, i, 3));
        for (int k = 0; k < 5; k++)
            out[losses[k]][first + i] = 0;
        // The trivial irrep's part of centred logits is zero, and it is never a key irrep.
        for (size_t k = 0; k < (size_t)pairs; k++) {
            bool key = is_key(out, first + i);
            m->total[k] += key ? correction_of(m, i, 2)[k] : 0;
            m->total[(size_t)pairs + k] += key ? correction_of(m, i, 3)[k] : 0;
        }
    }
    for (int a = 0; a < m->n; a++) {
        m->view->row(m->view->context, a, &m->h, &m->logits);
        for (int i = 0; i < count; i++)
            add_row_losses(m, a, first + i, i, out);
    }
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 5; k++)
            out[losses[k]][first + i] = mean_over(out[losses[k]][first + i], k < 2 ? train : pairs);
}

static void measure_totals(measuring *m, double *const *out, ts_group_totals *totals) {
    size_t n = (size_t)m->n;
    int64_t train = training_pairs(m);
    *totals = (ts_group_totals){0};
    for (int r = 1; r < m->count; r++) {
        totals->logits_explained += out[TS_LOGIT_SIMILARITY][r] * out[TS_LOGIT_SIMILARITY][r];
        if (!is_key(out, r))
            continue;
        totals->embed_left_explained += out[TS_EMBED_LEFT_FRACTION][r];
        totals->embed_right_explained += out[TS_EMBED_RIGHT_FRACTION][r];
        totals->unembed_explained += out[TS_UNEMBED_FRACTION][r];
        totals->hidden_product_explained += out[TS_HIDDEN_PRODUCT_FRACTION][r];
        totals->hidden_explained += out[TS_HIDDEN_LEFT_FRACTION][r] + out[TS_HIDDEN_RIGHT_FRACTION][r] +
                                    out[TS_HIDDEN_PRODUCT_FRACTION][r];
    }
    totals->restricted_loss = loss_of_products(m, m->total);
    totals->logit_restricted_loss = loss_of_products(m, m->total + n * n);
    for (int a = 0; a < m->n; a++) {
        m->view->row(m->view->context, a, &m->h, &m->logits);
        for (int b = 0; b < m->n; b++) {
            size_t pair = (size_t)a * n + (size_t)b;
            size_t product = (size_t)m->view->table->result[pair];
            const double *z = m->logits + (size_t)b * n;
            if (!m->view->is_train[pair])
                continue;
            totals->excluded_loss += loss_without(m, z, m->total + product * n, (int)product);
            totals->logit_excluded_loss += loss_without(m, z, m->total + n * n + product * n, (int)product);
        }
    }
    totals->excluded_loss = mean_over(totals->excluded_loss, train);
    totals->logit_excluded_loss = mean_over(totals->logit_excluded_loss, train);
}

ts_status ts_group_measures(const ts_group_view *view, double *const *out, ts_group_totals *totals) {
    measuring m;
    ts_status status = create(view, &m);
    if (status != TS_OK)
        return status;
    gather(&m);
    for (int first = 0; first < m.count; first += m.turn)
        measure_turn(&m, first, m.count - first < m.turn ? m.count - first : m.turn, out);
    measure_totals(&m, out, totals);
    ts_slab_free(&m.slab);
    return TS_OK;
}
