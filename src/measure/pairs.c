// All pairs of a table through a network.
#include "measure/pairs.h"

#include "measure/device.h"
#include "measure/losses.h"

#include <math.h>
#include <string.h>

// Exponentials of logits that are kept while a network is measured, in bytes.
static const double KEPT_BYTES = 128e6;

static size_t rows_kept(size_t n, size_t stride) {
    return (double)(n * n * stride) * sizeof(double) <= KEPT_BYTES ? n : TS_PAIRS_KEPT;
}

// On a device nobody goes over exponentials here.
size_t ts_pairs_kept(const ts_pairs *p) {
    return p->device ? 1 : rows_kept((size_t)p->table->n, p->stride);
}

ts_status ts_pairs_create(const ts_params *params, const ts_data *data, const ts_network *network,
                          const atomic_int *pause, ts_pairs *p) {
    const ts_table *table = data->table;
    const ts_symmetry *symmetry = data->symmetry && data->symmetry->table ? data->symmetry : NULL; // renumbers
    size_t n = (size_t)table->n;
    int *pairs = NULL;
    *p = (ts_pairs){.network = network,
                    .table = symmetry ? symmetry->table : table,
                    .pause = pause,
                    .stride = ts_loss_stride(table->n_out)};
    p->keeps_logits = data->symmetry && data->symmetry->circles == 2 && ts_pairs_kept(p) == n; // for dihedral.c
    p->outputs = network->outputs > 0 ? network->outputs : table->n_out;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "a network's pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        p->is_train = ts_slab_take(&p->slab, n * n, 1);
        pairs = ts_slab_take(&p->slab, n * n, sizeof(int));
    }
    ts_network_pairs(params, table, pairs, &p->train);
    memset(p->is_train, 0, n * n);
    for (int64_t i = 0; i < p->train; i++) {
        size_t a = (size_t)pairs[i] / n, b = (size_t)pairs[i] % n;
        p->is_train[symmetry ? (size_t)symmetry->element[a] * n + (size_t)symmetry->element[b] : a * n + b] = 1;
    }
    return TS_OK;
}

void ts_pairs_free(ts_pairs *p) {
    ts_slab_free(&p->slab);
}

double ts_rows_bytes(int n, int n_out, int hidden, bool residual) {
    size_t stride = ts_loss_stride(n_out), kept = rows_kept((size_t)n, stride);
    double logits = n_out + (double)kept * (double)stride;
    return sizeof(double) * n * (hidden + (residual ? 2 : 1) * logits);
}

ts_status ts_rows_create(const ts_pairs *p, bool first, size_t scratch, ts_rows *r) {
    const ts_network *network = p->network;
    size_t n = (size_t)p->table->n, hidden = (size_t)network->hidden, n_out = (size_t)p->table->n_out;
    size_t kept = ts_pairs_kept(p), outputs = (size_t)p->outputs;
    bool keeps_logits = p->keeps_logits && !p->device;
    *r = (ts_rows){.pairs = p, .row = -1, .kept = (int)kept, .weights = first ? network->weights : NULL};
    if (!first && network->beside(network->weights, &r->weights) != TS_OK)
        return TS_ERROR_MEMORY;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&r->slab, "a network's rows of pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        r->row_of = ts_slab_take(&r->slab, kept, sizeof(int));
        r->h = ts_slab_take(&r->slab, n * hidden, sizeof(double));
        r->outputs = ts_slab_take(&r->slab, n * outputs, sizeof(double));
        r->spoiled = ts_slab_take(&r->slab, outputs, sizeof(double));
        r->logits = outputs > n_out ? ts_slab_take(&r->slab, n * n_out, sizeof(double)) : r->outputs;
        r->e = ts_slab_take(&r->slab, kept * n * p->stride, sizeof(double));
        r->hidden_logits = network->residual ? ts_slab_take(&r->slab, n * n_out, sizeof(double)) : r->logits;
        r->hidden_e = network->residual ? ts_slab_take(&r->slab, kept * n * p->stride, sizeof(double)) : r->e;
        r->all_logits = keeps_logits ? ts_slab_take(&r->slab, n * n * n_out, sizeof(double)) : NULL;
        r->has_logits = keeps_logits ? ts_slab_take_zero(&r->slab, n, sizeof(bool)) : NULL;
        r->scratch = ts_slab_take(&r->slab, scratch, sizeof(double));
    }
    for (size_t i = 0; i < kept; i++)
        r->row_of[i] = -1;
    return TS_OK;
}

void ts_rows_free(ts_rows *r) {
    const ts_network *network = r->pairs ? r->pairs->network : NULL;
    if (network && r->weights && r->weights != network->weights)
        network->free(r->weights);
    ts_slab_free(&r->slab);
}

static void take_classes(const ts_rows *r) {
    size_t n = (size_t)r->pairs->table->n, n_out = (size_t)r->pairs->table->n_out;
    size_t outputs = (size_t)r->pairs->outputs;
    for (size_t b = 0; b < n && outputs > n_out; b++)
        memcpy(r->logits + b * n_out, r->outputs + b * outputs, n_out * sizeof *r->logits);
}

ts_pair_row ts_rows_at(ts_rows *r, int a) {
    const ts_network *network = r->pairs->network;
    if (r->row != a) {
        double *hidden_logits = network->residual ? r->hidden_logits : NULL;
        if (r->pairs->device)
            ts_device_row(r->pairs->device, a, r->h, r->outputs, hidden_logits);
        else
            network->row(r->weights, a, r->h, r->outputs, hidden_logits);
        take_classes(r);
    }
    if (r->row != a && r->all_logits) {
        size_t numbers = (size_t)r->pairs->table->n * (size_t)r->pairs->table->n_out;
        memcpy(r->all_logits + (size_t)a * numbers, r->logits, numbers * sizeof *r->logits);
        r->has_logits[a] = true;
    }
    r->row = a;
    return (ts_pair_row){r->h, r->logits, r->hidden_logits};
}

const double *ts_rows_logits_at(ts_rows *r, int a) {
    if (r->all_logits && r->has_logits[a])
        return r->all_logits + (size_t)a * (size_t)r->pairs->table->n * (size_t)r->pairs->table->n_out;
    return ts_rows_at(r, a).logits;
}

// A network that has no pairs by themselves has rows of them.
static void take_pairs(ts_rows *r, int count, const int *a, const int *b, double *logits, double *hidden_logits) {
    size_t outputs = (size_t)r->pairs->outputs, n_out = (size_t)r->pairs->table->n_out;
    for (size_t i = 0; i < (size_t)count; i++) {
        ts_rows_at(r, a[i]);
        memcpy(logits + i * outputs, r->outputs + (size_t)b[i] * outputs, outputs * sizeof *logits);
        if (hidden_logits)
            memcpy(hidden_logits + i * n_out, r->hidden_logits + (size_t)b[i] * n_out, n_out * sizeof *logits);
    }
}

void ts_rows_pairs(ts_rows *r, int count, const int *a, const int *b, double *logits, double *hidden_logits) {
    size_t outputs = (size_t)r->pairs->outputs, n_out = (size_t)r->pairs->table->n_out;
    if (r->pairs->network->pairs)
        r->pairs->network->pairs(r->weights, count, a, b, logits, hidden_logits);
    else
        take_pairs(r, count, a, b, logits, hidden_logits);
    for (size_t i = 1; i < (size_t)count && outputs > n_out; i++)
        memmove(logits + i * n_out, logits + i * outputs, n_out * sizeof *logits);
}

static void take_exponentials(const ts_rows *r, const double *logits, double *e) {
    size_t n = (size_t)r->pairs->table->n, n_out = (size_t)r->pairs->table->n_out;
    for (size_t b = 0; b < n; b++)
        ts_pairs_exponentials(r->pairs, logits + b * n_out, 1, e + b * r->pairs->stride);
}

double *ts_rows_exponentials(ts_rows *r, int a, bool hidden) {
    size_t at = (size_t)(a % r->kept), first = at * (size_t)r->pairs->table->n * r->pairs->stride;
    if (r->row_of[at] != a) {
        ts_rows_at(r, a);
        take_exponentials(r, r->logits, r->e + first);
        if (r->pairs->network->residual)
            take_exponentials(r, r->hidden_logits, r->hidden_e + first);
        r->row_of[at] = a;
    }
    return (hidden ? r->hidden_e : r->e) + first;
}

const double *ts_rows_logits(ts_rows *r, int a, int b, bool hidden) {
    if (r->pairs->network->loss)
        return ts_rows_exponentials(r, a, hidden) + (size_t)b * r->pairs->stride;
    ts_pair_row row = ts_rows_at(r, a);
    return (hidden ? row.hidden_logits : row.logits) + (size_t)b * (size_t)r->pairs->table->n_out;
}

// --- Losses ---

void ts_pairs_exponentials(const ts_pairs *p, const double *x, double sign, double *e) {
    if (p->network->loss)
        memcpy(e, x, (size_t)p->table->n_out * sizeof *e);
    else
        ts_exponentials(x, sign, p->table->n_out, e);
}

double ts_pairs_loss(const ts_pairs *p, double *z, int label) {
    int count = p->table->n_out;
    return p->network->loss ? p->network->loss(count, z, label) : ts_pair_loss(z, count, label);
}

// Of equal ones the first is the largest.
static bool is_largest(const double *z, int count, int label) {
    bool largest = true;
    for (int c = 0; c < count && largest; c++)
        largest = c == label || (c < label ? z[c] < z[label] : z[c] <= z[label]);
    return largest;
}

double ts_pairs_loss_of(const ts_pairs *p, double *e, const double *z, int label, bool *right) {
    int count = p->table->n_out;
    if (!p->network->loss)
        return ts_cross_entropy(e, z, count, label, right);
    *right = is_largest(z, count, label);
    double loss = p->network->loss(count, e, label);
    memcpy(e, z, (size_t)count * sizeof *e);
    return loss;
}

void ts_pairs_losses_of(const ts_pairs *p, double *e, const double *const *corrections, int count, int label,
                        double *losses) {
    if (!p->network->loss)
        ts_cross_entropies(e, corrections, count, p->stride, label, losses);
    for (int i = 0; i < count && p->network->loss; i++)
        losses[i] = NAN;
}

double ts_rows_whole_loss(ts_rows *r, int a, int b, int label) {
    int count = r->pairs->outputs;
    ts_rows_at(r, a);
    memcpy(r->spoiled, r->outputs + (size_t)b * (size_t)count, (size_t)count * sizeof *r->spoiled);
    return r->pairs->network->loss ? r->pairs->network->loss(count, r->spoiled, label)
                                   : ts_pair_loss(r->spoiled, count, label);
}
