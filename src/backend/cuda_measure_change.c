// A changed network's losses over all pairs, on the GPU: activations from two tables, a product, losses.
#include "backend/cuda_measure.h"

#include <string.h>

typedef struct changed {
    ts_measure_change work;
    ts_measure_product product;
    double *facts;
    int most; // pairs at a time
} changed;

static const double *put(ts_cuda_measured *m, const double *from, size_t count) {
    return from ? ts_cuda_measured_put(m, from, count, sizeof *from) : NULL;
}

static ts_status put_change(ts_cuda_measured *m, const ts_pair_change *change, changed *c) {
    const ts_network *network = m->spec.network;
    size_t n = (size_t)m->spec.n, hidden = (size_t)network->hidden, n_out = (size_t)m->spec.n_out;
    size_t fit = m->chunk_bytes / (sizeof(double) * (hidden + n_out + TS_PAIR_FACTS));
    c->most = fit < (size_t)m->pairs ? (int)fit : m->pairs;
    size_t most = (size_t)c->most;
    c->work = (ts_measure_change){.activation = change->activation,
                                  .hidden = network->hidden,
                                  .n_out = m->spec.n_out,
                                  .left_sign = change->left_sign,
                                  .right_sign = change->right_sign,
                                  .mean = change->mean,
                                  .deviation = change->deviation,
                                  .left = put(m, change->left, n * hidden),
                                  .right = put(m, change->right, n * hidden),
                                  .shift = put(m, network->shift, hidden),
                                  .keep = put(m, change->keep, hidden),
                                  .seed = (uint64_t)change->noise.key[1] << 32 | change->noise.key[0],
                                  .h = ts_cuda_measured_take(m, most * hidden, sizeof(double)),
                                  .logits = ts_cuda_measured_take(m, most * n_out, sizeof(double)),
                                  .output_shift = put(m, network->output_shift, n_out)};
    memcpy(c->work.counter, change->noise.counter, sizeof c->work.counter);
    c->product = (ts_measure_product){.count = 1,
                                      .columns = m->spec.n_out,
                                      .depth = network->hidden,
                                      .a = c->work.h,
                                      .b = put(m, network->u, hidden * n_out),
                                      .c = c->work.logits};
    c->facts = ts_cuda_measured_take(m, most * TS_PAIR_FACTS, sizeof(double));
    const ts_measure_change *w = &c->work;
    bool there = w->left && w->right && w->shift && (w->keep || !change->keep) && w->h && w->logits && w->output_shift;
    return there && c->product.b && c->facts ? TS_OK : TS_ERROR_FATAL;
}

// Of pairs `first` on.
static ts_status add_pairs(ts_cuda_measured *m, changed *c, int first, int count, const uint8_t *split, double *sums) {
    cudaStream_t stream = m->workspace->stream;
    c->work.pairs = (ts_measure_pairs){.count = count, .n = m->spec.n, .first = first};
    c->product.rows = count;
    ts_status status = ts_cuda_check(ts_cuda_measure_change(&c->work, stream), "measures: a changed network");
    if (status == TS_OK)
        status = ts_cuda_workspace_product(m->workspace, &c->product);
    if (status == TS_OK)
        status = ts_cuda_check(ts_cuda_measure_shift(&c->work, stream), "measures: a changed network");
    const ts_measure_facts facts = {.pairs = c->work.pairs,
                                    .loss = m->forward.pass->graph->loss,
                                    .n_out = m->spec.n_out,
                                    .outputs = m->spec.n_out,
                                    .h = c->work.h,
                                    .logits = c->work.logits,
                                    .label = m->label,
                                    .facts = c->facts};
    if (status == TS_OK)
        status = ts_cuda_check(ts_cuda_measure_facts(&facts, stream), "measures: losses");
    for (int i = 0; i < count; i++)
        m->list[2][i] = m->spec.label[first + i] < 0 ? -1 : split[first + i];
    const ts_measure_sum sum = {
        .kind = TS_SUM_PLAIN, .width = TS_PAIR_FACTS, .wide = TS_PAIR_FACTS, .values = c->facts};
    return status == TS_OK ? ts_cuda_measured_sum(m, sum, m->list[2], count, TS_PAIR_SPLITS, sums) : status;
}

ts_status ts_cuda_measured_changed(void *own, const ts_pair_change *change, const uint8_t *split, double *out) {
    ts_cuda_measured *m = own;
    double sums[TS_PAIR_SPLITS * TS_PAIR_FACTS] = {0};
    changed c;
    int count = 0;
    ts_status status = ts_cuda_enter();
    ts_cuda_measured_begin(m);
    if (status == TS_OK)
        status = put_change(m, change, &c);
    size_t used = m->arena_used;
    for (int first = 0; first < m->pairs && status == TS_OK; first += count, m->arena_used = used) {
        count = m->pairs - first < c.most ? m->pairs - first : c.most;
        status = add_pairs(m, &c, first, count, split, sums);
    }
    for (int s = 0; s < TS_PAIR_SPLITS; s++) {
        out[s * TS_CHANGED_KINDS + TS_CHANGED_LOSS] = sums[s * TS_PAIR_FACTS + TS_FACT_CLASS_LOSS];
        out[s * TS_CHANGED_KINDS + TS_CHANGED_RIGHT] = sums[s * TS_PAIR_FACTS + TS_FACT_RIGHT];
    }
    return status;
}
