// Losses of a network without, and with nothing but, what an irrep gives to its logits (Chughtai, Chan & Nanda 2023;
// definitions: docs/workloads.md). A loss without an irrep needs exponentials of logits less a correction; those of
// both are made once and multiplied (losses.h).
#include "base/product.h"
#include "measure/group.h"
#include "measure/losses.h"

#include <math.h>
#include <string.h>

// Corrections of logits that are kept at once, in bytes; more irreps than fit are done in turns.
static const double TURN_BYTES = 256e6;

// What an irrep adds to the logits: as a function of a, of b, of a b in the hidden layer (family.h's sides); along the
// chi cube.
enum { CUBE = TS_SIDES, CORRECTIONS };

// Where its functions of a b are taken from.
enum { HIDDEN, LOGITS, LAYERS };

typedef struct group_losses {
    ts_pairs *pairs;
    const ts_group_parts *parts;
    int n, count;              // order of the group, irreps
    size_t stride;             // of a row of exponentials
    double *difference;        // (stride)
    double *total;             // (LAYERS, n, n) over key irreps: corrections by a b
    double *total_exponential; // (LAYERS, n, stride) of their negatives
    double *e, *hidden_e;      // (n, stride) exponentials of a row's logits, of those through H; the pairs'
    int turn;                  // irreps of a turn
    double *correction;        // (turn, CORRECTIONS, n, n)
    double *exponential;       // (turn, CORRECTIONS, n, stride) of their negatives
    // Mean losses of each irrep, and over the key irreps.
    double *ablation[TS_SIDES], *excluded[LAYERS], *restricted[LAYERS]; // (irreps)
    double total_excluded[LAYERS], total_restricted[LAYERS];
    ts_slab slab;
} group_losses;

static double *correction_of(const group_losses *m, int turn_index, int kind) {
    return m->correction + ((size_t)turn_index * CORRECTIONS + (size_t)kind) * (size_t)m->n * (size_t)m->n;
}

static double *total_exponential_of(const group_losses *m, int layer) {
    return m->total_exponential + (size_t)layer * (size_t)m->n * m->stride;
}

static double *exponential_of(const group_losses *m, int turn_index, int kind) {
    return m->exponential + ((size_t)turn_index * CORRECTIONS + (size_t)kind) * (size_t)m->n * m->stride;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    group_losses *m = state;
    m->pairs = measuring->pairs;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    m->n = m->parts->n;
    m->count = m->parts->count;
    size_t n = (size_t)m->n, stride = m->stride = ts_loss_stride(m->n), count = (size_t)m->count;
    double each = CORRECTIONS * 8 * (double)n * (double)(n + stride);
    m->turn = each * m->count > TURN_BYTES ? (int)(TURN_BYTES / each) : m->count;
    m->turn = m->turn < 1 ? 1 : m->turn;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's losses") != TS_OK)
            return TS_ERROR_MEMORY;
        m->difference = ts_slab_take(&m->slab, stride, sizeof(double));
        m->total = ts_slab_take_zero(&m->slab, LAYERS * n * n, sizeof(double));
        m->total_exponential = ts_slab_take(&m->slab, LAYERS * n * stride, sizeof(double));
        m->correction = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * n, sizeof(double));
        m->exponential = ts_slab_take(&m->slab, (size_t)m->turn * CORRECTIONS * n * stride, sizeof(double));
        for (int side = 0; side < TS_SIDES; side++)
            m->ablation[side] = ts_slab_take(&m->slab, count, sizeof(double));
        for (int layer = 0; layer < LAYERS; layer++) {
            m->excluded[layer] = ts_slab_take(&m->slab, count, sizeof(double));
            m->restricted[layer] = ts_slab_take(&m->slab, count, sizeof(double));
        }
    }
    return TS_OK;
}

// --- Losses of pairs ---

static double loss_without(group_losses *m, const double *z, const double *correction, int label) {
    for (int c = 0; c < m->n; c++)
        m->difference[c] = z[c] - correction[c];
    return ts_pair_loss(m->difference, m->n, label);
}

// Mean loss over all pairs of logits (n, n) that depend on the product alone.
static double loss_of_products(group_losses *m, const double *logits) {
    double sum = 0;
    bool right;
    for (int p = 0; p < m->n; p++) {
        const double *z = logits + (size_t)p * (size_t)m->n;
        const int *count = m->parts->label_count + (size_t)p * (size_t)m->n;
        ts_exponentials(z, 1, m->n, m->difference);
        for (int c = 0; c < m->n; c++)
            if (count[c] > 0)
                sum += count[c] * ts_loss(m->difference, z, m->n, c, &right);
    }
    return sum / ((double)m->n * m->n);
}

static double mean_over(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : NAN;
}

static void take_exponentials(group_losses *m, const double *correction, double *exponential) {
    for (int g = 0; g < m->n; g++)
        ts_exponentials(correction + (size_t)g * (size_t)m->n, -1, m->n, exponential + (size_t)g * m->stride);
}

// A pair's losses without each of the corrections; hidden: of the logits that come through the hidden layer alone.
static void pair_losses(group_losses *m, int a, int b, bool hidden, const double *const *corrections,
                        const double *const *exponentials, int count, double *losses) {
    size_t n = (size_t)m->n;
    int label = m->pairs->table->result[(size_t)a * n + (size_t)b];
    ts_losses((hidden ? m->hidden_e : m->e) + (size_t)b * m->stride, exponentials, count, m->stride, label, losses);
    for (int i = 0; i < count; i++) {
        if (!isnan(losses[i]))
            continue;
        ts_pair_row row = ts_pairs_row(m->pairs, a); // rare, so that logits are not kept for it
        const double *z = hidden ? row.hidden_logits : row.logits;
        losses[i] = loss_without(m, z + (size_t)b * n, corrections[i], label);
    }
}

static void take_rows(group_losses *m, int a) {
    m->e = ts_pairs_exponentials(m->pairs, a, false);
    m->hidden_e = ts_pairs_exponentials(m->pairs, a, true);
}

// Adds the losses of a pair without irrep r's parts.
static void add_pair(group_losses *m, int a, int b, int r, int turn_index) {
    const double *corrections[CORRECTIONS], *exponentials[CORRECTIONS];
    double losses[CORRECTIONS];
    bool train = m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b];
    for (int kind = 0; kind < CORRECTIONS; kind++) {
        size_t element = (size_t)ts_group_element(m->parts, kind == CUBE ? TS_OF_PRODUCT : kind, a, b);
        corrections[kind] = correction_of(m, turn_index, kind) + element * (size_t)m->n;
        exponentials[kind] = exponential_of(m, turn_index, kind) + element * m->stride;
    }
    pair_losses(m, a, b, false, corrections, exponentials, train ? CORRECTIONS : TS_SIDES, losses);
    for (int side = 0; side < TS_SIDES; side++)
        m->ablation[side][r] += losses[side];
    if (train && m->pairs->network->residual) // which excluded losses leave out
        pair_losses(m, a, b, true, &corrections[TS_OF_PRODUCT], &exponentials[TS_OF_PRODUCT], 1,
                    &losses[TS_OF_PRODUCT]);
    if (train) {
        m->excluded[HIDDEN][r] += losses[TS_OF_PRODUCT];
        m->excluded[LOGITS][r] += losses[CUBE];
    }
}

// Rows `first` to `end` - 1 of pairs.
static void add_losses(group_losses *m, int first, int end, int r, int turn_index) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        take_rows(m, a);
        for (int b = 0; b < m->n; b++)
            add_pair(m, a, b, r, turn_index);
    }
}

// Adds a training pair's losses without all key irreps' parts.
static void add_total_pair(group_losses *m, int a, int b) {
    size_t n = (size_t)m->n, product = (size_t)ts_group_element(m->parts, TS_OF_PRODUCT, a, b);
    const double *corrections[LAYERS], *exponentials[LAYERS];
    double losses[LAYERS];
    for (int layer = 0; layer < LAYERS; layer++) {
        corrections[layer] = m->total + ((size_t)layer * n + product) * n;
        exponentials[layer] = total_exponential_of(m, layer) + product * m->stride;
    }
    pair_losses(m, a, b, true, corrections, exponentials, 1, losses);
    pair_losses(m, a, b, false, corrections + 1, exponentials + 1, 1, losses + 1);
    m->total_excluded[HIDDEN] += losses[0];
    m->total_excluded[LOGITS] += losses[1];
}

static void add_total_losses(group_losses *m, int first, int end) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++) {
        take_rows(m, a);
        for (int b = 0; b < m->n; b++)
            if (m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b])
                add_total_pair(m, a, b);
    }
}

// --- Irreps in turns ---

// What an irrep adds to the logits (n, n each).
static void take_corrections(group_losses *m, int r, int turn_index) {
    const ts_group_parts *parts = m->parts;
    size_t n = (size_t)m->n;
    int first = parts->symmetry->first[r], rank = parts->symmetry->first[r + 1] - first;
    for (int side = 0; side < TS_SIDES; side++)
        ts_product(m->n, m->n, rank, parts->columns[side] + first, m->n, parts->through[side] + (size_t)first * n, m->n,
                   correction_of(m, turn_index, side), m->n);
    const double *chi = parts->symmetry->irreps->irrep[r].character;
    double *cube = correction_of(m, turn_index, CUBE);
    for (int p = 0; p < m->n; p++)
        for (int c = 0; c < m->n; c++)
            cube[(size_t)p * n + (size_t)c] =
                chi[parts->group->result[p * m->n + parts->symmetry->inverse[c]]] * parts->fit[r];
}

// All that one irrep needs before the pass over the pairs.
static void prepare_irrep(group_losses *m, int r, int turn_index) {
    size_t products = (size_t)m->n * (size_t)m->n;
    take_corrections(m, r, turn_index);
    const double *layer[LAYERS] = {correction_of(m, turn_index, TS_OF_PRODUCT), correction_of(m, turn_index, CUBE)};
    bool key = ts_group_is_key(r, m->parts->similarity[r]);
    for (int l = 0; l < LAYERS; l++) {
        m->restricted[l][r] = loss_of_products(m, layer[l]);
        m->excluded[l][r] = 0;
        for (size_t i = 0; i < products && key; i++)
            m->total[(size_t)l * products + i] += layer[l][i];
    }
    for (int side = 0; side < TS_SIDES; side++)
        m->ablation[side][r] = 0;
    for (int kind = 0; kind < CORRECTIONS; kind++)
        take_exponentials(m, correction_of(m, turn_index, kind), exponential_of(m, turn_index, kind));
}

static void measure_turn(group_losses *m, int first, int count) {
    int64_t pairs = (int64_t)m->n * m->n;
    for (int i = 0; i < count && !ts_must_stop(m->pairs->pause); i++)
        prepare_irrep(m, first + i, i);
    bool totals = first + count == m->count; // all of them are known by now
    for (int l = 0; l < LAYERS && totals; l++)
        take_exponentials(m, m->total + l * pairs, total_exponential_of(m, l));
    // An irrep's corrections are at hand while some rows of pairs go by, so that neither is fetched too often.
    for (int a = 0; a < m->n; a += TS_PAIRS_KEPT) {
        int end = a + TS_PAIRS_KEPT < m->n ? a + TS_PAIRS_KEPT : m->n;
        for (int i = 0; i < count; i++)
            add_losses(m, a, end, first + i, i);
        if (totals)
            add_total_losses(m, a, end);
    }
    for (int r = first; r < first + count; r++) {
        for (int side = 0; side < TS_SIDES; side++)
            m->ablation[side][r] = mean_over(m->ablation[side][r], pairs);
        for (int l = 0; l < LAYERS; l++)
            m->excluded[l][r] = mean_over(m->excluded[l][r], m->pairs->train);
    }
}

static void finish(void *state) {
    group_losses *m = state;
    for (int first = 0; first < m->count; first += m->turn)
        measure_turn(m, first, m->count - first < m->turn ? m->count - first : m->turn);
    for (int l = 0; l < LAYERS; l++) {
        m->total_restricted[l] = loss_of_products(m, m->total + (size_t)l * (size_t)m->n * (size_t)m->n);
        m->total_excluded[l] = mean_over(m->total_excluded[l], m->pairs->train);
    }
}

// --- The measures ---

static const ts_measure ROWS[] = {
    {"total_excluded_loss", "training loss without the key irreps' functions of a b in the hidden layer",
     .units = "nat", .loss = true, .at = offsetof(group_losses, total_excluded[HIDDEN])},
    {"total_restricted_loss", "loss with only the key irreps' functions of a b in the hidden layer", .units = "nat",
     .loss = true, .at = offsetof(group_losses, total_restricted[HIDDEN])},
    {"total_logit_excluded_loss", "training loss without the logits' components along the key irreps", .units = "nat",
     .loss = true, .at = offsetof(group_losses, total_excluded[LOGITS])},
    {"total_logit_restricted_loss", "loss with only the logits' components along the key irreps", .units = "nat",
     .loss = true, .at = offsetof(group_losses, total_restricted[LOGITS])},
    {"excluded_loss",
     "training loss without the irrep's functions of a b in H",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, excluded[HIDDEN])},
    {"restricted_loss",
     "loss with only the irrep's functions of a b in H",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, restricted[HIDDEN])},
    {"logit_excluded_loss",
     "training loss without the logits' component along chi_r",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, excluded[LOGITS])},
    {"logit_restricted_loss",
     "loss with only the logits' component along chi_r",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, restricted[LOGITS])},
    {"ablation_left_loss",
     "loss after removing the irrep's functions of a from H",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, ablation[TS_OF_A])},
    {"ablation_right_loss",
     "loss after removing the irrep's functions of b from H",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, ablation[TS_OF_B])},
    {"ablation_product_loss",
     "loss after removing the irrep's functions of a b from H",
     {"irrep"},
     .units = "nat",
     .loss = true,
     .at = offsetof(group_losses, ablation[TS_OF_PRODUCT])},
    {0},
};

// Three to four losses of each pair, for each irrep.
static double operations(const ts_params *params, const ts_data *data) {
    double n = data->table->n;
    (void)params;
    return 7 * (double)data->symmetry->irreps->count * n * n * n;
}

const ts_family ts_family_group_losses = {
    .title = "Losses by irreps of a group",
    .source = "Measures per irrep",
    .kind = TS_KIND_TABLE,
    .rows = ROWS,
    .charts = true,
    .operations = operations,
    .state_bytes = sizeof(group_losses),
    .slab = offsetof(group_losses, slab),
    .begin = begin,
    .finish = finish,
};
