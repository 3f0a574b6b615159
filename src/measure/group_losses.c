// Losses of a network without, and with nothing but, what an irrep gives to its logits (Chughtai, Chan & Nanda 2023;
// definitions: docs/workloads.md). Pairs that stand for one element share what is taken off their logits: their losses
// without each irrep are a product of two matrices, pairs' exponentials by irreps' factors (corrections.h).
#include "base/product.h"
#include "measure/corrections.h"
#include "measure/irrep_losses.h"
#include "measure/losses.h"

#include <math.h>
#include <string.h>

// Where an irrep's functions of a b are taken from.
enum { HIDDEN, LOGITS, LAYERS };

// How exponentials and factors meet: all exponentials are kept, and pairs are taken element by element; factors are
// kept for all elements, and pairs taken in blocks of rows; or neither fits, and the logits of an element's pairs are
// made again.
typedef enum way { BY_ELEMENT, BY_ROWS, AGAIN } way;

typedef struct group_losses {
    const ts_pairs *pairs;
    ts_walk *walk;
    ts_sums sums; // of a walk of its own
    const ts_group_parts *parts;
    ts_corrections corrections;
    int n, count, columns; // order of the group, irreps; of corrections
    size_t stride;         // of a row of exponentials
    way way;
    int *pair[TS_SIDES], *first[TS_SIDES]; // (n * n) by the element that they stand for, (n + 1): where its pairs begin
    double *table[TS_SIDES];               // BY_ROWS: (n, columns * n) factors of each element, but of those of a
    double *losses;                        // (LOSSES, columns) sums
    double *row[2];                        // (stride)
    int *times;                            // (n): pairs of each product over their label
    ts_irrep_losses device;                // where a device has the pairs
    // Mean losses of each irrep, and over the key irreps.
    double *ablation[TS_SIDES], *excluded[LAYERS], *restricted[LAYERS]; // (irreps)
    double total_excluded[LAYERS], total_restricted[LAYERS];
    ts_slab slab;
} group_losses;

// Sums over pairs, each of all columns.
enum { ABLATION, EXCLUDED = ABLATION + TS_SIDES, RESTRICTED = EXCLUDED + LAYERS, LOSSES = RESTRICTED + LAYERS };

// What a thread has at hand: of an element, and of up to n of its pairs, those to train on first.
typedef struct room {
    double *all;            // (irreps + 1, n) corrections
    double *factors, *cube; // (columns, n)
    double *sums, *product; // (n, columns), (columns)
    double *row, *other;    // (stride)
    double *e, *hidden_e;   // AGAIN: (n, stride) exponentials
    double *logits, *hidden_logits;
    double **at, *own; // (n) exponentials of each pair, where they lie; that of its label, in place of which is 0
    int *list, *a, *b; // (n)
    int count, train;
} room;

// Carves it out of scratch; NULL: says how many numbers it takes.
static size_t lay_out(const group_losses *m, double *scratch, room *r) {
    size_t n = (size_t)m->n, columns = (size_t)m->columns, used = 0, again = m->way == AGAIN ? n : 0;
    const struct {
        double **to;
        size_t numbers;
    } arrays[] = {{&r->all, ((size_t)m->count + 1) * n},
                  {&r->factors, columns * n},
                  {&r->cube, columns * n},
                  {&r->sums, columns * n},
                  {&r->product, columns},
                  {&r->row, m->stride},
                  {&r->other, m->stride},
                  {&r->own, n},
                  {&r->logits, (again ? n : 1) * (size_t)m->pairs->outputs},
                  {&r->hidden_logits, (again ? n : 1) * n},
                  {&r->e, again * m->stride},
                  {&r->hidden_e, again * m->stride}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i].to = scratch ? scratch + used : NULL;
        used += arrays[i].numbers;
    }
    r->at = scratch ? (double **)(void *)(scratch + used) : NULL;
    r->list = scratch ? (int *)(void *)(scratch + used + n) : NULL;
    r->a = scratch ? r->list + n : NULL;
    r->b = scratch ? r->a + n : NULL;
    return used + 3 * n;
}

// --- Pairs by element ---

// In the order of a, and of b, within an element.
static void sort_pairs(group_losses *m, int side) {
    int *first = m->first[side];
    for (int i = 0; i < m->n * m->n; i++)
        first[ts_group_element(m->parts, side, i / m->n, i % m->n) + 1]++;
    for (int g = 0; g < m->n; g++)
        first[g + 1] += first[g];
    for (int i = 0; i < m->n * m->n; i++)
        m->pair[side][first[ts_group_element(m->parts, side, i / m->n, i % m->n)]++] = i;
    for (int g = m->n; g > 0; g--)
        first[g] = first[g - 1];
    first[0] = 0;
}

// Where, of an element's pairs, those of row a and later ones begin.
static int first_from(const group_losses *m, int side, int element, int a) {
    int low = m->first[side][element], high = m->first[side][element + 1];
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (m->pair[side][middle] < a * m->n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    group_losses *m = state;
    m->pairs = measuring->pairs;
    m->walk = measuring->walk;
    m->parts = ts_measuring_state(measuring, &ts_family_group, chart);
    m->n = m->parts->n;
    m->count = m->parts->count;
    m->columns = ts_corrections_columns(m->count);
    size_t n = (size_t)m->n, count = (size_t)m->count, columns = (size_t)m->columns;
    m->stride = ts_loss_stride(m->n);
    bool own = !m->pairs->device; // pairs are the processor's
    m->way = !own || ts_pairs_kept(m->pairs) == n ? BY_ELEMENT : ts_corrections_fit(m->n, m->columns) ? BY_ROWS : AGAIN;
    size_t table = m->way == BY_ROWS && !m->pairs->network->loss ? n * n * columns : 0;
    room none;
    m->sums = (ts_sums){.again = LOSSES * columns, .scratch = lay_out(m, NULL, &none)};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "a group's losses") != TS_OK)
            return TS_ERROR_MEMORY;
        ts_corrections_reserve(m->parts, &m->slab, &m->corrections);
        m->losses = ts_slab_take_zero(&m->slab, m->sums.again, sizeof(double));
        m->times = ts_slab_take_zero(&m->slab, n, sizeof(int));
        for (int i = 0; i < 2; i++)
            m->row[i] = ts_slab_take(&m->slab, m->stride, sizeof(double));
        if (!own)
            ts_irrep_losses_reserve(m->parts, &m->slab, &m->device);
        for (int side = 0; side < TS_SIDES; side++) {
            m->pair[side] = ts_slab_take(&m->slab, own ? n * n : 0, sizeof(int));
            m->first[side] = ts_slab_take_zero(&m->slab, n + 1, sizeof(int));
            m->table[side] = side != TS_OF_A && table > 0 ? ts_slab_take(&m->slab, table, sizeof(double)) : NULL;
            m->ablation[side] = ts_slab_take(&m->slab, count, sizeof(double));
        }
        for (int layer = 0; layer < LAYERS; layer++) {
            m->excluded[layer] = ts_slab_take(&m->slab, count, sizeof(double));
            m->restricted[layer] = ts_slab_take(&m->slab, count, sizeof(double));
        }
    }
    for (int side = 0; side < TS_SIDES && own; side++)
        sort_pairs(m, side);
    return TS_OK;
}

// --- Losses of pairs without a part ---

// Of some of the pairs at hand, without each column of a kind; added to sums (columns) of losses; NULL: to one only.
typedef struct task {
    int kind, element;
    const double *factors;
    bool hidden; // of the logits that come through the hidden layer alone
    int first, end;
    double *to, *too;
} task;

static int label_of(const group_losses *m, int pair) {
    return m->pairs->table->result[pair];
}

// Columns that mean something.
static int columns_of(const group_losses *m, int kind) {
    return kind == TS_OF_PRODUCT || kind == TS_ALONG_CUBE ? m->count + 1 : m->count;
}

static void add_loss(const task *of, int column, double loss) {
    of->to[column] += loss;
    if (of->too)
        of->too[column] += loss;
}

static double loss_without(const group_losses *m, const double *z, double *correction, int label) {
    for (int c = 0; c < m->n; c++)
        correction[c] = z[c] - correction[c];
    return ts_pairs_loss(m->pairs, correction, label);
}

// Those of a pair whose factors underflow, from its logits.
static void add_left_out(const group_losses *m, ts_rows *rows, const room *r, const task *of, int i) {
    int pair = r->list[i], a = pair / m->n, b = pair % m->n, label = label_of(m, pair);
    const double *factor = of->factors + (size_t)label * TS_PANEL;
    bool residual = m->pairs->network->residual;
    ts_rows_pairs(rows, 1, &a, &b, r->logits, residual ? r->hidden_logits : NULL);
    for (int j = 0; j < columns_of(m, of->kind); j++) {
        if (!ts_cross_entropy_is_left_out(r->own[i], factor[j / TS_PANEL * m->n * TS_PANEL + j % TS_PANEL]))
            continue;
        ts_corrections_of(&m->corrections, of->kind, of->element, j, r->other);
        bool known = !isnan(r->other[label]); // else nothing is known of it
        add_loss(of, j,
                 known ? loss_without(m, of->hidden && residual ? r->hidden_logits : r->logits, r->other, label) : NAN);
    }
}

// Ends the products.
static void take_logarithms(const group_losses *m, const room *r, const task *of) {
    for (int j = 0; j < m->columns; j++) {
        add_loss(of, j, log1p(r->product[j]));
        r->product[j] = 0;
    }
}

static void add_losses(const group_losses *m, ts_rows *rows, const room *r, const task *of) {
    size_t columns = (size_t)m->columns, panel = (size_t)m->n * TS_PANEL;
    memset(r->product, 0, columns * sizeof *r->product);
    for (int i = of->first; i < of->end; i++) {
        const double *factors = of->factors + (size_t)label_of(m, r->list[i]) * TS_PANEL;
        int state = ts_cross_entropies_multiply(m->columns / TS_PANEL, r->own[i], factors, panel,
                                                r->sums + (size_t)i * columns, r->product);
        if (state & TS_LOSS_LEFT_OUT)
            add_left_out(m, rows, r, of, i);
        if (state & TS_LOSS_LARGE)
            take_logarithms(m, r, of);
    }
    take_logarithms(m, r, of);
}

// Of another loss than the cross-entropy: from logits, one by one.
static void add_other_losses(const group_losses *m, const room *r, const task *of) {
    for (int i = of->first; i < of->end; i++)
        for (int j = 0; j < columns_of(m, of->kind); j++) {
            int label = label_of(m, r->list[i]);
            memcpy(r->other, r->all + (size_t)j * (size_t)m->n, (size_t)m->n * sizeof *r->other);
            add_loss(of, j, isnan(r->other[label]) ? NAN : loss_without(m, r->at[i], r->other, label));
        }
}

// Training pairs to `train`, unless NULL, too.
static void add_kind(const group_losses *m, ts_rows *rows, const room *r, task of, double *train) {
    const task parts[2] = {{of.kind, of.element, of.factors, of.hidden, 0, r->train, of.to, train},
                           {of.kind, of.element, of.factors, of.hidden, r->train, of.end, of.to, NULL}};
    bool other = m->pairs->network->loss;
    if (other)
        ts_corrections_all(&m->corrections, of.kind, of.element, r->all);
    else
        ts_product_of_panels(of.end, m->columns, m->n, (const double *const *)r->at, of.factors, r->sums, m->columns);
    for (int i = 0; i < 2; i++) {
        if (parts[i].first < parts[i].end && other)
            add_other_losses(m, r, &parts[i]);
        else if (parts[i].first < parts[i].end)
            add_losses(m, rows, r, &parts[i]);
    }
}

// --- Pairs at hand ---

// Takes `count` of them, those to train on first.
static void choose_pairs(const group_losses *m, const int *pair, int count, room *r) {
    r->count = count;
    r->train = 0;
    for (int train = 1, at = 0; train >= 0; train--) {
        for (int i = 0; i < count; i++)
            if (m->pairs->is_train[pair[i]] == train)
                r->list[at++] = pair[i];
        r->train = train ? at : r->train;
    }
    for (int i = 0; i < count; i++) {
        r->a[i] = r->list[i] / m->n;
        r->b[i] = r->list[i] % m->n;
    }
}

// Makes the logits' exponentials again, those of hidden logits of training pairs.
static void make_again(const group_losses *m, ts_rows *rows, room *r, bool hidden) {
    size_t n = (size_t)m->n;
    ts_rows_pairs(rows, r->count, r->a, r->b, r->logits, m->pairs->network->residual ? r->hidden_logits : NULL);
    for (size_t i = 0; i < (size_t)r->count; i++)
        ts_pairs_exponentials(m->pairs, r->logits + i * n, 1, r->e + i * m->stride);
    for (size_t i = 0; i < (size_t)r->train && hidden; i++)
        ts_pairs_exponentials(m->pairs, r->hidden_logits + i * n, 1, r->hidden_e + i * m->stride);
}

// Their exponentials, without the labels'.
static void take_rows(const group_losses *m, ts_rows *rows, const room *r, bool hidden, int count) {
    for (int i = 0; i < count; i++) {
        double *again = (hidden ? r->hidden_e : r->e) + (size_t)i * m->stride;
        r->at[i] = m->way == AGAIN ? again : ts_rows_exponentials(rows, r->a[i], hidden) + (size_t)r->b[i] * m->stride;
        if (m->pairs->network->loss)
            continue;
        r->own[i] = r->at[i][label_of(m, r->list[i])];
        r->at[i][label_of(m, r->list[i])] = 0;
    }
}

static void restore_rows(const group_losses *m, const room *r, int count) {
    for (int i = 0; i < count && !m->pairs->network->loss; i++)
        r->at[i][label_of(m, r->list[i])] = r->own[i];
}

// Adds the losses of up to n pairs of an element to sums.
static void add_pairs(const group_losses *m, ts_rows *rows, room *r, int side, int element, const double *factors,
                      double *sums) {
    double *ablation = sums + (ABLATION + side) * m->columns, *excluded = sums + EXCLUDED * m->columns;
    bool residual = m->pairs->network->residual, of_product = side == TS_OF_PRODUCT; // which excluded losses leave out
    if (m->way == AGAIN)
        make_again(m, rows, r, residual && of_product);
    take_rows(m, rows, r, false, r->count);
    add_kind(m, rows, r, (task){side, element, factors, false, 0, r->count, ablation, NULL},
             of_product && !residual ? excluded : NULL);
    if (of_product && r->train > 0)
        add_kind(m, rows, r, (task){TS_ALONG_CUBE, element, r->cube, false, 0, r->train, excluded + m->columns, NULL},
                 NULL);
    restore_rows(m, r, r->count);
    if (!of_product || !residual || r->train == 0)
        return;
    take_rows(m, rows, r, true, r->train);
    add_kind(m, rows, r, (task){side, element, factors, true, 0, r->train, excluded, NULL}, NULL);
    restore_rows(m, r, r->train);
}

// Those of an element, `first` to `end` - 1.
static void add_element(const group_losses *m, ts_rows *rows, room *r, int side, int element, int first, int end,
                        double *sums) {
    size_t numbers = (size_t)m->n * (size_t)m->columns;
    const double *factors = m->table[side] ? m->table[side] + (size_t)element * numbers : r->factors;
    if (first == end)
        return;
    if (factors == r->factors && !m->pairs->network->loss)
        ts_corrections_factors(&m->corrections, side, element, r->all, r->row, r->factors);
    if (side == TS_OF_PRODUCT && !m->pairs->network->loss)
        ts_corrections_factors(&m->corrections, TS_ALONG_CUBE, element, r->all, r->row, r->cube);
    for (int i = first; i < end; i += m->n) {
        choose_pairs(m, m->pair[side] + i, end - i < m->n ? end - i : m->n, r);
        add_pairs(m, rows, r, side, element, factors, sums);
    }
}

// --- Losses with nothing but a part ---

// Sum over pairs of logits z (n) that they share.
static double loss_of_labels(const group_losses *m, const double *z, const int *times, double *e, double *other) {
    double sum = 0;
    if (!m->pairs->network->loss)
        return ts_cross_entropy_of_labels(z, m->n, times, e, other);
    for (int c = 0; c < m->n; c++)
        if (times[c] > 0) {
            memcpy(e, z, (size_t)m->n * sizeof *e);
            sum += times[c] * ts_pairs_loss(m->pairs, e, c);
        }
    return sum;
}

static void add_restricted(const group_losses *m, const room *r, int product, double *sums) {
    const int *times = m->parts->label_count + (size_t)product * (size_t)m->n;
    ts_corrections_all(&m->corrections, TS_OF_PRODUCT, product, r->all);
    for (int j = 0; j <= m->count; j++)
        sums[(RESTRICTED + HIDDEN) * m->columns + j] +=
            loss_of_labels(m, r->all + (size_t)j * (size_t)m->n, times, r->row, r->other);
}

// What a cube gives to the logits depends on a b c^-1 alone, so pairs count by their product over their label.
static void restrict_to_cubes(group_losses *m, double *sums) {
    const ts_group_parts *parts = m->parts;
    for (int p = 0; p < m->n; p++)
        for (int c = 0; c < m->n; c++)
            m->times[parts->group->result[p * m->n + parts->symmetry->inverse[c]]] += parts->label_count[p * m->n + c];
    for (int j = 0; j <= m->count; j++)
        sums[(RESTRICTED + LOGITS) * m->columns + j] =
            loss_of_labels(m, m->corrections.function + (size_t)j * (size_t)m->n, m->times, m->row[0], m->row[1]);
}

// --- The walk ---

static bool must_stop(const group_losses *m) {
    return ts_must_stop(m->pairs->pause);
}

// Rows of pairs that are kept at a time.
static void add_block(const group_losses *m, ts_rows *rows, room *r, int first, int end, double *sums) {
    for (int side = 0; side < TS_SIDES; side++)
        for (int g = 0; g < m->n && !must_stop(m); g++)
            add_element(m, rows, r, side, g, first_from(m, side, g, first), first_from(m, side, g, end), sums);
}

// `first` to `end` - 1: elements, and, BY_ROWS, rows of pairs.
static void add_rows(const void *context, ts_rows *rows, int first, int end, double *sums) {
    const group_losses *m = context;
    room r;
    lay_out(m, rows->scratch, &r);
    for (int a = first; a < end && m->way == BY_ROWS; a += TS_PAIRS_KEPT)
        add_block(m, rows, &r, a, a + TS_PAIRS_KEPT < end ? a + TS_PAIRS_KEPT : end, sums);
    for (int g = first; g < end && !must_stop(m); g++) {
        for (int side = 0; side < TS_SIDES && m->way != BY_ROWS; side++)
            add_element(m, rows, &r, side, g, m->first[side][g], m->first[side][g + 1], sums);
        add_restricted(m, &r, g, sums);
    }
}

static void fill_tables(void *state, ts_rows *rows, int element) {
    const group_losses *m = state;
    size_t numbers = (size_t)m->n * (size_t)m->columns;
    room r;
    lay_out(m, rows->scratch, &r);
    for (int side = 0; side < TS_SIDES && !must_stop(m); side++)
        if (m->table[side])
            ts_corrections_factors(&m->corrections, side, element, r.all, r.row,
                                   m->table[side] + (size_t)element * numbers);
}

static double mean_over(double sum, int64_t count) {
    return count > 0 ? sum / (double)count : NAN;
}

static void take_losses(group_losses *m, const double *sums) {
    int64_t pairs = (int64_t)m->n * m->n;
    for (int j = 0; j <= m->count; j++, sums++) {
        for (int side = 0; side < TS_SIDES && j < m->count; side++)
            m->ablation[side][j] = mean_over(sums[(ABLATION + side) * m->columns], pairs);
        for (int l = 0; l < LAYERS; l++) {
            double *excluded = j < m->count ? &m->excluded[l][j] : &m->total_excluded[l];
            double *restricted = j < m->count ? &m->restricted[l][j] : &m->total_restricted[l];
            *excluded = mean_over(sums[(EXCLUDED + l) * m->columns], m->pairs->train);
            *restricted = mean_over(sums[(RESTRICTED + l) * m->columns], pairs);
        }
    }
}

static void gather(group_losses *m) {
    ts_irrep_losses_measure(m->pairs->device, m->parts, &m->corrections, &m->device);
    const double *from[RESTRICTED + 1] = {m->device.without[TS_OF_A],       m->device.without[TS_OF_B],
                                          m->device.without[TS_OF_PRODUCT], m->device.excluded,
                                          m->device.logit_excluded,         m->device.restricted};
    for (int kind = 0; kind <= RESTRICTED; kind++)
        memcpy(m->losses + kind * m->columns, from[kind], ((size_t)m->count + (kind >= EXCLUDED)) * sizeof *m->losses);
}

static void finish(void *state) {
    group_losses *m = state;
    ts_corrections_begin(&m->corrections, m->row[0]);
    if (m->table[TS_OF_B])
        ts_walk_each(m->walk, m->n, fill_tables, m);
    if (m->pairs->device)
        gather(m);
    else
        ts_walk_add_up(m->walk, &(ts_walk_sum){m->sums.again, add_rows, m}, m->losses);
    restrict_to_cubes(m, m->losses);
    take_losses(m, m->losses);
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
    .name = "irrep_losses",
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
    .needs = {&ts_family_group},
};
