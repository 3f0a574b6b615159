// Losses of pairs without corrections of their logits, on the GPU. Pairs are taken by the element that they stand for,
// so many at a time: their exponentials times the elements' factors are products of matrices, from which a loss is one
// logarithm; those that underflow, and other losses than the cross-entropy, are made from logits.
#include "backend/cuda_measure.h"

#include <string.h>

// Corrections on the device, and what is at hand of them.
typedef struct tables {
    ts_measure_corrections work;
    int most; // elements at a time
} tables;

// A chunk: pairs that stand for elements first .. end - 1, by element.
typedef struct chunk {
    int first, end, count;
    bool even;       // all elements have as many pairs
    int most;        // pairs of an element
    const int *pair; // (count) on the host
} chunk;

static void *put(ts_cuda_measured *m, const void *from, size_t count, size_t size) {
    return from ? ts_cuda_measured_put(m, from, count, size) : NULL;
}

// factors: they are wanted.
static ts_status put_tables(ts_cuda_measured *m, const ts_pair_corrections *c, bool factors, tables *t) {
    size_t n_out = (size_t)m->spec.n_out, elements = (size_t)c->elements, terms = (size_t)c->terms;
    size_t columns = (size_t)c->columns, numbers = columns * n_out;
    double room = (double)m->chunk_bytes / (double)(numbers * (factors ? 2 : 1) * sizeof(double));
    t->most = room < 1 ? 1 : room > c->elements ? c->elements : (int)room;
    t->work = (ts_measure_corrections){
        .columns = c->columns,
        .n_out = m->spec.n_out,
        .terms = c->terms,
        .left = put(m, c->left, elements * terms, sizeof(double)),
        .right = put(m, c->right, terms * n_out, sizeof(double)),
        .begin = put(m, c->first, columns + 1, sizeof(int)),
        .order = c->first ? put(m, c->order, (size_t)c->first[columns], sizeof(int)) : NULL,
        .value = put(m, c->value, columns * c->numbers, sizeof(double)),
        .index = put(m, c->index, elements * n_out, sizeof(int)),
        .numbers = (int64_t)c->numbers,
        .table = ts_cuda_measured_take(m, (size_t)t->most * numbers, sizeof(double)),
        .factor = factors ? ts_cuda_measured_take(m, (size_t)t->most * numbers, sizeof(double)) : NULL};
    const ts_measure_corrections *w = &t->work;
    bool there = c->left ? w->left && w->right && w->begin && w->order : w->value && (w->index || !c->index);
    return there && w->table && (w->factor || !factors) ? TS_OK : TS_ERROR_FATAL;
}

static ts_status make_tables(ts_cuda_measured *m, tables *t, int first, int end) {
    t->work.first = first;
    t->work.elements = end - first;
    return ts_cuda_check(ts_cuda_measure_corrections(&t->work, m->workspace->stream), "measures: corrections");
}

// --- Pairs by element ---

// Those that stand for one, in their order; begin (elements + 1). Returns how many.
static int sort_pairs(ts_cuda_measured *m, const int *element, int elements, int *begin, int *pair) {
    memset(begin, 0, ((size_t)elements + 1) * sizeof *begin);
    for (int i = 0; i < m->pairs; i++)
        if (element[i] >= 0 && m->spec.label[i] >= 0)
            begin[element[i] + 1]++;
    for (int g = 0; g < elements; g++)
        begin[g + 1] += begin[g];
    for (int i = 0; i < m->pairs; i++)
        if (element[i] >= 0 && m->spec.label[i] >= 0)
            pair[begin[element[i]]++] = i;
    for (int g = elements; g > 0; g--)
        begin[g] = begin[g - 1];
    begin[0] = 0;
    return begin[elements];
}

// The next pairs, from number `at` on, of up to `most` elements.
static chunk next_chunk(const int *begin, const int *pair, int elements, int at, int most, int room) {
    chunk c = {.pair = pair + at, .even = true};
    while (begin[c.first + 1] <= at)
        c.first++;
    for (c.end = c.first; c.end < elements && c.end < c.first + most && c.count < room; c.end++) {
        int from = begin[c.end] > at ? begin[c.end] : at, own = begin[c.end + 1] - from;
        own = own < room - c.count ? own : room - c.count;
        c.even = c.even && (c.end == c.first || own == c.most);
        c.most = own > c.most ? own : c.most;
        c.count += own;
    }
    return c;
}

// --- Losses of a chunk ---

typedef struct room {
    int *pair, *row, *label, *element, *begin; // on the device
    double *own, *e, *losses, *times;
} room;

// Pairs that go at a time, of columns and so many more numbers each.
static int pairs_at_once(const ts_cuda_measured *m, size_t numbers) {
    double fit = (double)m->chunk_bytes / (double)(numbers * sizeof(double));
    int most = m->keeps || m->pairs < m->batch ? m->pairs : m->batch;
    return fit < 1 ? 1 : fit > most ? most : (int)fit;
}

// Puts what goes with each pair of a chunk; its rows, unless they are kept, are made.
static ts_status put_pairs(ts_cuda_measured *m, const chunk *c, const int *element, room *r) {
    int *label = m->list[1], *own = m->list[2];
    for (int i = 0; i < c->count; i++) {
        label[i] = m->spec.label[c->pair[i]];
        own[i] = element[c->pair[i]] - c->first;
    }
    r->pair = ts_cuda_measured_put(m, c->pair, (size_t)c->count, sizeof(int));
    r->label = ts_cuda_measured_put(m, label, (size_t)c->count, sizeof(int));
    r->element = ts_cuda_measured_put(m, own, (size_t)c->count, sizeof(int));
    if (!r->pair || !r->label || !r->element)
        return TS_ERROR_FATAL;
    if (m->keeps) {
        r->row = r->pair;
        return TS_OK;
    }
    for (int i = 0; i < c->count; i++)
        label[i] = i;
    r->row = ts_cuda_measured_put(m, label, (size_t)c->count, sizeof(int));
    return r->row ? ts_cuda_measured_make(m, r->pair, 0, c->count) : TS_ERROR_FATAL;
}

// Sums of exponentials by factors.
static ts_status multiply(ts_cuda_measured *m, const chunk *c, const tables *t, const int *element, room *r) {
    int elements = c->end - c->first, *begin = m->list[1], n_out = m->spec.n_out;
    ts_measure_product work = {.count = elements,
                               .rows = c->most,
                               .columns = t->work.columns,
                               .depth = n_out,
                               .a = r->e,
                               .b = t->work.factor,
                               .c = r->losses,
                               .b_step = (int64_t)n_out * t->work.columns};
    if (!c->even) {
        memset(begin, 0, ((size_t)elements + 1) * sizeof *begin);
        for (int i = 0; i < c->count; i++)
            begin[element[c->pair[i]] - c->first + 1]++;
        for (int g = 0; g < elements; g++)
            begin[g + 1] += begin[g];
        work.begin = ts_cuda_measured_put(m, begin, (size_t)elements + 1, sizeof(int));
        if (!work.begin)
            return TS_ERROR_FATAL;
    }
    return ts_cuda_workspace_product(m->workspace, &work);
}

static ts_status add_chunk(ts_cuda_measured *m, const chunk *c, tables *t, const int *element, const uint8_t *split,
                           bool hidden, room *r, double *sums) {
    bool apart = hidden && m->spec.network->residual;
    const double *logits = apart ? m->hidden_logits : m->logits;
    int wide = apart ? m->spec.n_out : m->spec.outputs, columns = t->work.columns, *own = m->list[2];
    ts_status status = put_pairs(m, c, element, r);
    if (status == TS_OK)
        status = make_tables(m, t, c->first, c->end);
    if (status == TS_OK && r->e)
        status = ts_cuda_check(ts_cuda_measure_exponentials(&(ts_measure_exponentials){.count = c->count,
                                                                                       .n_out = m->spec.n_out,
                                                                                       .wide = wide,
                                                                                       .row = r->row,
                                                                                       .label = r->label,
                                                                                       .logits = logits,
                                                                                       .e = r->e,
                                                                                       .own = r->own},
                                                            m->workspace->stream),
                               "measures: exponentials");
    if (status == TS_OK && r->e)
        status = multiply(m, c, t, element, r);
    if (status == TS_OK)
        status = ts_cuda_check(ts_cuda_measure_losses(&(ts_measure_losses){.count = c->count,
                                                                           .columns = columns,
                                                                           .n_out = m->spec.n_out,
                                                                           .wide = wide,
                                                                           .loss = m->forward.pass->graph->loss,
                                                                           .row = r->row,
                                                                           .element = r->element,
                                                                           .label = r->label,
                                                                           .logits = logits,
                                                                           .table = t->work.table,
                                                                           .factor = t->work.factor,
                                                                           .own = r->own,
                                                                           .losses = r->losses},
                                                      m->workspace->stream),
                               "measures: losses");
    for (int i = 0; i < c->count; i++)
        own[i] = split[c->pair[i]];
    const ts_measure_sum work = {.kind = TS_SUM_PLAIN, .width = columns, .wide = columns, .values = r->losses};
    return status == TS_OK ? ts_cuda_measured_sum(m, work, own, c->count, TS_PAIR_SPLITS, sums) : status;
}

// Room for a chunk's rows.
static ts_status take_room(ts_cuda_measured *m, int pairs, int columns, bool exponentials, room *r) {
    size_t count = (size_t)pairs, n_out = (size_t)m->spec.n_out;
    *r = (room){.losses = ts_cuda_measured_take(m, count * (size_t)columns, sizeof(double))};
    if (exponentials) {
        r->own = ts_cuda_measured_take(m, count, sizeof(double));
        r->e = ts_cuda_measured_take(m, count * n_out, sizeof(double));
    }
    return r->losses && (!exponentials || (r->own && r->e)) ? TS_OK : TS_ERROR_FATAL;
}

ts_status ts_cuda_measured_losses(void *own, const ts_pair_corrections *corrections, const int *element,
                                  const uint8_t *split, bool hidden, double *out) {
    ts_cuda_measured *m = own;
    bool exponentials = m->forward.pass->graph->loss == TS_CROSS_ENTROPY;
    size_t columns = (size_t)corrections->columns;
    int pairs = pairs_at_once(m, columns + 1 + (exponentials ? (size_t)m->spec.n_out : 0)), done = 0;
    int *pair = ts_alloc((size_t)m->pairs * sizeof *pair, "pairs by element");
    int *begin = ts_alloc(((size_t)corrections->elements + 1) * sizeof *begin, "pairs by element");
    double *sums = ts_alloc_zero(columns * TS_PAIR_SPLITS, sizeof *sums, "losses");
    ts_status status = pair && begin && sums ? ts_cuda_enter() : TS_ERROR_MEMORY;
    tables t;
    room r;
    ts_cuda_measured_begin(m);
    if (status == TS_OK)
        status = put_tables(m, corrections, exponentials, &t);
    if (status == TS_OK)
        status = take_room(m, pairs, corrections->columns, exponentials, &r);
    int all = status == TS_OK ? sort_pairs(m, element, corrections->elements, begin, pair) : 0;
    size_t used = m->arena_used;
    for (; done < all && status == TS_OK; m->arena_used = used) {
        chunk c = next_chunk(begin, pair, corrections->elements, done, t.most, pairs);
        status = add_chunk(m, &c, &t, element, split, hidden, &r, sums);
        done += c.count;
    }
    for (size_t j = 0; j < columns && status == TS_OK; j++)
        for (size_t s = 0; s < TS_PAIR_SPLITS; s++)
            out[j * TS_PAIR_SPLITS + s] = sums[s * columns + j];
    ts_free(pair);
    ts_free(begin);
    ts_free(sums);
    return status;
}

// --- Losses of corrections alone ---

// What there is of labels from number `at` (element, label) on, up to `fit` of them: how many, of elements `first` to
// *end - 1, at most `most`; lists: label, element from `first` on. *at: where the next begins.
static int list_labels(const ts_cuda_measured *m, const int *times, int elements, int most, int fit, int64_t *at,
                       int *first, int *end, double *factor) {
    int count = 0, n_out = m->spec.n_out;
    while (*at < (int64_t)elements * n_out && times[*at] == 0)
        ++*at;
    *first = *end = (int)(*at / n_out);
    for (; *at < (int64_t)elements * n_out && count < fit && *at / n_out < *first + most; ++*at)
        if (times[*at] > 0) {
            *end = (int)(*at / n_out) + 1;
            m->list[1][count] = (int)(*at % n_out);
            m->list[2][count] = *end - 1 - *first;
            factor[count++] = times[*at];
        }
    return count;
}

static ts_status add_labels(ts_cuda_measured *m, int count, const tables *t, const double *factor, double *losses,
                            double *out) {
    int columns = t->work.columns, *one = m->list[2];
    const ts_measure_losses work = {.count = count,
                                    .columns = columns,
                                    .n_out = m->spec.n_out,
                                    .loss = m->forward.pass->graph->loss,
                                    .label = ts_cuda_measured_put(m, m->list[1], (size_t)count, sizeof(int)),
                                    .element = ts_cuda_measured_put(m, m->list[2], (size_t)count, sizeof(int)),
                                    .times = ts_cuda_measured_put(m, factor, (size_t)count, sizeof(double)),
                                    .table = t->work.table,
                                    .losses = losses};
    if (!work.label || !work.element || !work.times)
        return TS_ERROR_FATAL;
    ts_status status = ts_cuda_check(ts_cuda_measure_losses(&work, m->workspace->stream), "measures: losses");
    memset(one, 0, (size_t)count * sizeof *one);
    const ts_measure_sum sum = {.kind = TS_SUM_PLAIN, .width = columns, .wide = columns, .values = losses};
    return status == TS_OK ? ts_cuda_measured_sum(m, sum, one, count, 1, out) : status;
}

ts_status ts_cuda_measured_alone(void *own, const ts_pair_corrections *corrections, const int *times, double *out) {
    ts_cuda_measured *m = own;
    size_t columns = (size_t)corrections->columns;
    int fit = pairs_at_once(m, columns + 1), first, end;
    double *factor = ts_alloc((size_t)fit * sizeof *factor, "labels"), *losses = NULL;
    ts_status status = factor ? ts_cuda_enter() : TS_ERROR_MEMORY;
    tables t;
    ts_cuda_measured_begin(m);
    memset(out, 0, columns * sizeof *out);
    if (status == TS_OK)
        status = put_tables(m, corrections, false, &t);
    if (status == TS_OK && !(losses = ts_cuda_measured_take(m, (size_t)fit * columns, sizeof(double))))
        status = TS_ERROR_FATAL;
    size_t used = m->arena_used;
    for (int64_t at = 0; status == TS_OK; m->arena_used = used) {
        int count = list_labels(m, times, corrections->elements, t.most, fit, &at, &first, &end, factor);
        if (count == 0)
            break;
        status = make_tables(m, &t, first, end);
        if (status == TS_OK)
            status = add_labels(m, count, &t, factor, losses, out);
    }
    ts_free(factor);
    return status;
}

// --- Losses of other logits, z M ---

// Of a chunk, whose kinds are elements here.
static ts_status add_mapped(ts_cuda_measured *m, const chunk *c, const double *matrix, const int *kind, room *r,
                            double *facts, double *sums) {
    size_t n_out = (size_t)m->spec.n_out;
    tables t = {.work = {.columns = m->spec.n_out, .factor = (double *)matrix + (size_t)c->first * n_out * n_out}};
    chunk uneven = *c; // products of any shape
    uneven.even = false;
    ts_status status = put_pairs(m, c, kind, r);
    if (status == TS_OK)
        status = ts_cuda_check(ts_cuda_measure_columns(&(ts_measure_columns){.count = c->count,
                                                                             .wide = m->spec.outputs,
                                                                             .columns = m->spec.n_out,
                                                                             .row = r->row,
                                                                             .from = m->logits,
                                                                             .out = r->e},
                                                       m->workspace->stream),
                               "measures: rows of pairs");
    if (status == TS_OK)
        status = multiply(m, &uneven, &t, kind, r);
    const ts_measure_facts work = {.pairs = {.count = c->count, .n = m->spec.n, .pair = r->pair},
                                   .loss = m->forward.pass->graph->loss,
                                   .n_out = m->spec.n_out,
                                   .outputs = m->spec.n_out,
                                   .h = r->losses,
                                   .logits = r->losses,
                                   .label = m->label,
                                   .facts = facts};
    if (status == TS_OK)
        status = ts_cuda_check(ts_cuda_measure_facts(&work, m->workspace->stream), "measures: losses");
    memset(m->list[2], 0, (size_t)c->count * sizeof(int));
    const ts_measure_sum sum = {.kind = TS_SUM_PLAIN, .width = TS_PAIR_FACTS, .wide = TS_PAIR_FACTS, .values = facts};
    return status == TS_OK ? ts_cuda_measured_sum(m, sum, m->list[2], c->count, 1, sums) : status;
}

ts_status ts_cuda_measured_mapped(void *own, int kinds, const int *kind, const double *matrix, double *out) {
    ts_cuda_measured *m = own;
    size_t n_out = (size_t)m->spec.n_out;
    int pairs = pairs_at_once(m, 2 * n_out + 1 + TS_PAIR_FACTS), done = 0;
    double sums[TS_PAIR_FACTS] = {0}, *facts = NULL, *matrices = NULL;
    int *pair = ts_alloc((size_t)m->pairs * sizeof *pair, "pairs by kind");
    int *begin = ts_alloc(((size_t)kinds + 1) * sizeof *begin, "pairs by kind");
    ts_status status = pair && begin ? ts_cuda_enter() : TS_ERROR_MEMORY;
    room r;
    ts_cuda_measured_begin(m);
    if (status == TS_OK && !(matrices = ts_cuda_measured_put(m, matrix, (size_t)kinds * n_out * n_out, sizeof(double))))
        status = TS_ERROR_FATAL;
    if (status == TS_OK)
        status = take_room(m, pairs, m->spec.n_out, true, &r);
    if (status == TS_OK && !(facts = ts_cuda_measured_take(m, (size_t)pairs * TS_PAIR_FACTS, sizeof(double))))
        status = TS_ERROR_FATAL;
    int all = status == TS_OK ? sort_pairs(m, kind, kinds, begin, pair) : 0;
    size_t used = m->arena_used;
    for (; done < all && status == TS_OK; m->arena_used = used) {
        chunk c = next_chunk(begin, pair, kinds, done, kinds, pairs);
        status = add_mapped(m, &c, matrices, kind, &r, facts, sums);
        done += c.count;
    }
    *out = sums[TS_FACT_CLASS_LOSS];
    ts_free(pair);
    ts_free(begin);
    return status;
}
