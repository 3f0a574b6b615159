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
    const ts_pairs *pairs;
    ts_walk *walk;
    ts_sums sums; // of walks of its own
    const ts_group_parts *parts;
    int n, count;              // order of the group, irreps
    size_t stride;             // of a row of exponentials
    double *difference;        // (stride)
    double *total;             // (LAYERS, n, n) over key irreps: corrections by a b
    double *total_exponential; // (LAYERS, n, stride) of their negatives
    int turn;                  // irreps of a turn
    int first, end;            // those of the turn at hand
    double *losses;            // sums of a turn
    bool totals;               // it is the last one, so that the total corrections are known
    double *correction;        // (turn, CORRECTIONS, n, n)
    double *exponential;       // (turn, CORRECTIONS, n, stride) of their negatives
    // Mean losses of each irrep, and over the key irreps.
    double *ablation[TS_SIDES], *excluded[LAYERS], *restricted[LAYERS]; // (irreps)
    double total_excluded[LAYERS], total_restricted[LAYERS];
    ts_slab slab;
} group_losses;

// Sums over pairs: losses of each irrep of a turn, then LAYERS without all key irreps' parts.
enum { ABLATION, EXCLUDED = ABLATION + TS_SIDES, LOSSES = EXCLUDED + LAYERS };

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
    m->walk = measuring->walk;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    m->n = m->parts->n;
    m->count = m->parts->count;
    size_t n = (size_t)m->n, stride = m->stride = ts_loss_stride(m->n), count = (size_t)m->count;
    double each = CORRECTIONS * 8 * (double)n * (double)(n + stride);
    m->turn = each * m->count > TURN_BYTES ? (int)(TURN_BYTES / each) : m->count;
    m->turn = m->turn < 1 ? 1 : m->turn;
    m->sums = (ts_sums){.again = (size_t)m->turn * LOSSES + LAYERS, .scratch = stride};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's losses") != TS_OK)
            return TS_ERROR_MEMORY;
        m->difference = ts_slab_take(&m->slab, stride, sizeof(double));
        m->losses = ts_slab_take_zero(&m->slab, m->sums.again, sizeof(double));
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

// difference (n): for the logits that are left.
static double loss_without(const group_losses *m, const double *z, const double *correction, int label,
                           double *difference) {
    for (int c = 0; c < m->n; c++)
        difference[c] = z[c] - correction[c];
    return ts_pairs_loss(m->pairs, difference, label);
}

// Mean loss over all pairs of logits (n, n) that depend on the product alone; e (stride): for their exponentials.
static double loss_of_products(const group_losses *m, const double *logits, double *e) {
    double sum = 0;
    bool right;
    for (int p = 0; p < m->n; p++) {
        const double *z = logits + (size_t)p * (size_t)m->n;
        const int *count = m->parts->label_count + (size_t)p * (size_t)m->n;
        ts_pairs_exponentials(m->pairs, z, 1, e);
        for (int c = 0; c < m->n; c++)
            if (count[c] > 0)
                sum += count[c] * ts_pairs_loss_of(m->pairs, e, z, c, &right);
    }
    return sum / ((double)m->n * m->n);
}

static double mean_over(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : NAN;
}

static void take_exponentials(const group_losses *m, const double *correction, double *exponential) {
    for (int g = 0; g < m->n; g++)
        ts_pairs_exponentials(m->pairs, correction + (size_t)g * (size_t)m->n, -1, exponential + (size_t)g * m->stride);
}

// A pair's losses without each of the corrections; hidden: of the logits that come through the hidden layer alone.
static void pair_losses(const group_losses *m, ts_rows *rows, int a, int b, bool hidden,
                        const double *const *corrections, const double *const *exponentials, int count,
                        double *losses) {
    size_t n = (size_t)m->n;
    int label = m->pairs->table->result[(size_t)a * n + (size_t)b];
    ts_pairs_losses_of(m->pairs, ts_rows_exponentials(rows, a, hidden) + (size_t)b * m->stride, exponentials, count,
                       label, losses);
    for (int i = 0; i < count; i++) {
        if (isnan(losses[i]) && !isnan(corrections[i][label])) // else nothing is known of it
            losses[i] = loss_without(m, ts_rows_logits(rows, a, b, hidden), corrections[i], label, rows->scratch);
    }
}

// Adds the losses of a pair without an irrep's parts to sums (LOSSES).
static void add_pair(const group_losses *m, ts_rows *rows, int a, int b, int turn_index, double *sums) {
    const double *corrections[CORRECTIONS], *exponentials[CORRECTIONS];
    double losses[CORRECTIONS];
    bool train = m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b];
    for (int kind = 0; kind < CORRECTIONS; kind++) {
        size_t element = (size_t)ts_group_element(m->parts, kind == CUBE ? TS_OF_PRODUCT : kind, a, b);
        corrections[kind] = correction_of(m, turn_index, kind) + element * (size_t)m->n;
        exponentials[kind] = exponential_of(m, turn_index, kind) + element * m->stride;
    }
    pair_losses(m, rows, a, b, false, corrections, exponentials, train ? CORRECTIONS : TS_SIDES, losses);
    for (int side = 0; side < TS_SIDES; side++)
        sums[ABLATION + side] += losses[side];
    if (train && m->pairs->network->residual) // which excluded losses leave out
        pair_losses(m, rows, a, b, true, &corrections[TS_OF_PRODUCT], &exponentials[TS_OF_PRODUCT], 1,
                    &losses[TS_OF_PRODUCT]);
    if (train) {
        sums[EXCLUDED + HIDDEN] += losses[TS_OF_PRODUCT];
        sums[EXCLUDED + LOGITS] += losses[CUBE];
    }
}

// Rows `first` to `end` - 1 of pairs.
static void add_losses(const group_losses *m, ts_rows *rows, int first, int end, int turn_index, double *sums) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++)
        for (int b = 0; b < m->n; b++)
            add_pair(m, rows, a, b, turn_index, sums);
}

// Adds a training pair's losses without all key irreps' parts to sums (LAYERS).
static void add_total_pair(const group_losses *m, ts_rows *rows, int a, int b, double *sums) {
    size_t n = (size_t)m->n, product = (size_t)ts_group_element(m->parts, TS_OF_PRODUCT, a, b);
    const double *corrections[LAYERS], *exponentials[LAYERS];
    double losses[LAYERS];
    for (int layer = 0; layer < LAYERS; layer++) {
        corrections[layer] = m->total + ((size_t)layer * n + product) * n;
        exponentials[layer] = total_exponential_of(m, layer) + product * m->stride;
    }
    pair_losses(m, rows, a, b, true, corrections, exponentials, 1, losses);
    pair_losses(m, rows, a, b, false, corrections + 1, exponentials + 1, 1, losses + 1);
    sums[HIDDEN] += losses[0];
    sums[LOGITS] += losses[1];
}

static void add_total_losses(const group_losses *m, ts_rows *rows, int first, int end, double *sums) {
    for (int a = first; a < end && !ts_must_stop(m->pairs->pause); a++)
        for (int b = 0; b < m->n; b++)
            if (m->pairs->is_train[(size_t)a * (size_t)m->n + (size_t)b])
                add_total_pair(m, rows, a, b, sums);
}

// An irrep's corrections are at hand while some rows of pairs go by, so that neither is fetched too often.
static void add_rows(const void *context, ts_rows *rows, int first, int end, double *sums) {
    const group_losses *m = context;
    for (int a = first; a < end; a += TS_PAIRS_KEPT) {
        int until = a + TS_PAIRS_KEPT < end ? a + TS_PAIRS_KEPT : end, irreps = m->end - m->first;
        for (int i = 0; i < irreps; i++)
            add_losses(m, rows, a, until, i, sums + (size_t)i * LOSSES);
        if (m->totals)
            add_total_losses(m, rows, a, until, sums + (size_t)irreps * LOSSES);
    }
}

// --- Irreps in turns ---

// What an irrep adds to the logits (n, n each).
static void take_corrections(const group_losses *m, int r, int turn_index) {
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

// All that one irrep of a turn needs before the walk over the pairs.
static void prepare_irrep(void *state, ts_rows *rows, int turn_index) {
    const group_losses *m = state;
    if (ts_must_stop(m->pairs->pause))
        return;
    take_corrections(m, m->first + turn_index, turn_index);
    for (int l = 0; l < LAYERS; l++)
        m->restricted[l][m->first + turn_index] =
            loss_of_products(m, correction_of(m, turn_index, l == HIDDEN ? TS_OF_PRODUCT : CUBE), rows->scratch);
    for (int kind = 0; kind < CORRECTIONS; kind++)
        take_exponentials(m, correction_of(m, turn_index, kind), exponential_of(m, turn_index, kind));
}

// Adds key irreps' corrections of a row, of all products, to the total ones.
static void add_to_totals(void *state, ts_rows *rows, int product) {
    const group_losses *m = state;
    size_t n = (size_t)m->n, row = (size_t)product * n;
    (void)rows;
    for (int r = m->first; r < m->end; r++)
        for (size_t l = 0; l < LAYERS && ts_group_is_key(r, m->parts->similarity[r]); l++)
            ts_add(m->total + l * n * n + row, correction_of(m, r - m->first, l == HIDDEN ? TS_OF_PRODUCT : CUBE) + row,
                   m->n);
}

static void take_losses(group_losses *m, const double *sums) {
    int64_t pairs = (int64_t)m->n * m->n;
    for (int r = m->first; r < m->end; r++, sums += LOSSES) {
        for (int side = 0; side < TS_SIDES; side++)
            m->ablation[side][r] = mean_over(sums[ABLATION + side], pairs);
        for (int l = 0; l < LAYERS; l++)
            m->excluded[l][r] = mean_over(sums[EXCLUDED + l], m->pairs->train);
    }
    for (int l = 0; l < LAYERS && m->totals; l++)
        m->total_excluded[l] = mean_over(sums[l], m->pairs->train);
}

static void measure_turn(group_losses *m, int first, int end) {
    m->first = first;
    m->end = end;
    m->totals = end == m->count;
    ts_walk_each(m->walk, end - first, prepare_irrep, m);
    ts_walk_each(m->walk, m->n, add_to_totals, m);
    for (int l = 0; l < LAYERS && m->totals; l++)
        take_exponentials(m, m->total + l * m->n * m->n, total_exponential_of(m, l));
    size_t numbers = (size_t)(end - first) * LOSSES + LAYERS;
    ts_walk_add_up(m->walk, &(ts_walk_sum){numbers, add_rows, m}, m->losses);
    take_losses(m, m->losses);
}

static void finish(void *state) {
    group_losses *m = state;
    for (int first = 0; first < m->count; first += m->turn)
        measure_turn(m, first, m->count - first < m->turn ? m->count : first + m->turn);
    for (int l = 0; l < LAYERS; l++)
        m->total_restricted[l] = loss_of_products(m, m->total + (size_t)l * (size_t)m->n * (size_t)m->n, m->difference);
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
    .sums = offsetof(group_losses, sums),
    .finish = finish,
};
