// All pairs of a table through a network.
#include "measure/pairs.h"

#include "measure/losses.h"

#include <string.h>

// Exponentials of logits that are kept while a network is measured, in bytes.
static const double KEPT_BYTES = 128e6;

ts_status ts_pairs_create(const ts_params *params, const ts_data *data, const ts_network *network,
                          const atomic_int *pause, ts_pairs *p) {
    const ts_table *table = data->table;
    size_t n = (size_t)table->n, hidden = (size_t)network->hidden, n_out = (size_t)table->n_out;
    size_t stride = ts_loss_stride(table->n_out);
    size_t kept = (double)(n * n * stride) * sizeof(double) <= KEPT_BYTES ? n : TS_PAIRS_KEPT;
    int *pairs = NULL;
    *p = (ts_pairs){.network = network, .table = table, .pause = pause, .row = -1, .kept = (int)kept, .stride = stride};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&p->slab, "a network's pairs") != TS_OK)
            return TS_ERROR_MEMORY;
        p->row_of = ts_slab_take(&p->slab, kept, sizeof(int));
        p->h = ts_slab_take(&p->slab, n * hidden, sizeof(double));
        p->logits = ts_slab_take(&p->slab, n * n_out, sizeof(double));
        p->e = ts_slab_take(&p->slab, kept * n * stride, sizeof(double));
        p->hidden_logits = network->residual ? ts_slab_take(&p->slab, n * n_out, sizeof(double)) : p->logits;
        p->hidden_e = network->residual ? ts_slab_take(&p->slab, kept * n * stride, sizeof(double)) : p->e;
        p->is_train = ts_slab_take(&p->slab, n * n, 1);
        pairs = ts_slab_take(&p->slab, n * n, sizeof(int));
    }
    for (size_t i = 0; i < kept; i++)
        p->row_of[i] = -1;
    ts_network_pairs(params, table, pairs, &p->train);
    memset(p->is_train, 0, n * n);
    for (int64_t i = 0; i < p->train; i++)
        p->is_train[pairs[i]] = 1;
    return TS_OK;
}

void ts_pairs_free(ts_pairs *p) {
    ts_slab_free(&p->slab);
}

ts_pair_row ts_pairs_row(ts_pairs *p, int a) {
    if (p->row != a)
        p->network->row(p->network->weights, a, p->h, p->logits, p->network->residual ? p->hidden_logits : NULL);
    p->row = a;
    return (ts_pair_row){p->h, p->logits, p->hidden_logits};
}

static void take_exponentials(const ts_pairs *p, const double *logits, double *e) {
    size_t n = (size_t)p->table->n, n_out = (size_t)p->table->n_out;
    for (size_t b = 0; b < n; b++)
        ts_exponentials(logits + b * n_out, 1, (int)n_out, e + b * p->stride);
}

double *ts_pairs_exponentials(ts_pairs *p, int a, bool hidden) {
    size_t at = (size_t)(a % p->kept), first = at * (size_t)p->table->n * p->stride;
    if (p->row_of[at] != a) {
        ts_pairs_row(p, a);
        take_exponentials(p, p->logits, p->e + first);
        if (p->network->residual)
            take_exponentials(p, p->hidden_logits, p->hidden_e + first);
        p->row_of[at] = a;
    }
    return (hidden ? p->hidden_e : p->e) + first;
}
