// Rows of a network's pairs, and sums over them, on the GPU.
#include "backend/cuda_measure.h"

#include <math.h>
#include <string.h>

_Static_assert((int)TS_MEASURE_FACTS == (int)TS_PAIR_FACTS, "kernels and measures have the same facts");

// What is kept of all pairs, what goes through the network at a time, and what losses need: bytes, at most.
static const double KEPT_BYTES = 256e6, BATCH_BYTES = 128e6, CHUNK_BYTES = 128e6;
static double limit = INFINITY;
enum { OUT_BYTES = 64 << 20 };

void ts_cuda_measured_limit(double bytes) {
    limit = bytes > 0 ? bytes : INFINITY;
}

// --- Memory ---

static size_t numbers_of_row(const ts_cuda_measured *m) {
    const ts_network *network = m->spec.network;
    size_t through = network->residual ? (size_t)m->spec.n_out : 0;
    return (size_t)network->hidden + (size_t)m->spec.outputs + through + (size_t)m->attended + TS_PAIR_FACTS;
}

static int pairs_in(double bytes, size_t numbers, int most) {
    double pairs = floor(bytes / (sizeof(double) * (double)numbers));
    return pairs < 1 ? 1 : pairs > most ? most : (int)pairs;
}

// Sizes follow from the shape alone.
static void choose_sizes(ts_cuda_measured *m) {
    size_t n = (size_t)m->spec.n, n_out = (size_t)m->spec.n_out, pairs = (size_t)m->pairs, row = numbers_of_row(m);
    size_t hidden = (size_t)m->spec.network->hidden, width = hidden > n_out ? hidden : n_out;
    m->keeps = (double)(pairs * row * sizeof(double)) <= fmin(KEPT_BYTES, limit);
    m->batch =
        pairs_in(fmin(BATCH_BYTES, limit), ts_cuda_forward_numbers(&m->forward) + (m->keeps ? 0 : row), m->pairs);
    double chunk = (double)(pairs * (2 * n_out + 2) * sizeof(double)),
           tables = (double)(n * (n_out + 1) * n_out * 2 * sizeof(double));
    chunk = chunk > tables ? chunk : tables;
    m->chunk_bytes = (size_t)fmin(chunk, fmin(CHUNK_BYTES, limit));
    size_t least = sizeof(double) * (n_out + 1) * (2 * n_out + 4), one = sizeof(double) * (width + 2 * n_out + 16);
    m->chunk_bytes = m->chunk_bytes > least ? m->chunk_bytes : least;
    m->chunk_bytes = m->chunk_bytes > one ? m->chunk_bytes : one;
    size_t out = (5 * n + pairs / 64 + 8) * (width > TS_PAIR_FACTS ? width : TS_PAIR_FACTS);
    m->out_numbers = out < OUT_BYTES / sizeof(double) ? out : OUT_BYTES / sizeof(double);
    m->arena_bytes = 2 * m->chunk_bytes +
                     sizeof(double) * (m->out_numbers + 5 * n * n + 4 * n + (2 * n + n_out + 2) * hidden + n_out) +
                     sizeof(int) * (12 * pairs + 8 * n) + (64 << 10);
}

static void take(ts_cuda_measured *m, ts_cuda_slab *slab) {
    size_t rows = (size_t)(m->keeps ? m->pairs : m->batch), n_out = (size_t)m->spec.n_out;
    m->forward.token = m->spec.token ? ts_cuda_slab_take(slab, (size_t)m->spec.n, sizeof(int)) : NULL;
    ts_cuda_forward_take(&m->forward, m->batch, slab);
    m->h = ts_cuda_slab_take(slab, rows * (size_t)m->spec.network->hidden, sizeof(double));
    m->logits = ts_cuda_slab_take(slab, rows * (size_t)m->spec.outputs, sizeof(double));
    m->hidden_logits = m->spec.network->residual ? ts_cuda_slab_take(slab, rows * n_out, sizeof(double)) : m->logits;
    m->attention = ts_cuda_slab_take(slab, rows * (size_t)m->attended, sizeof(double));
    m->facts = ts_cuda_slab_take(slab, rows * TS_PAIR_FACTS, sizeof(double));
    m->label = ts_cuda_slab_take(slab, (size_t)m->pairs, sizeof(int));
    m->arena = ts_cuda_slab_take(slab, m->arena_bytes, 1);
}

static ts_status take_host(ts_cuda_measured *m) {
    size_t pairs = (size_t)m->pairs;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&m->slab, "measures on a GPU") != TS_OK)
            return TS_ERROR_MEMORY;
        m->begin = ts_slab_take(&m->slab, pairs + 2, sizeof(int));
        m->row = ts_slab_take(&m->slab, pairs, sizeof(int));
        m->number = ts_slab_take(&m->slab, pairs + 2, sizeof(int));
        for (int i = 0; i < 3; i++)
            m->list[i] = ts_slab_take(&m->slab, pairs + 8 * (size_t)m->spec.n, sizeof(int));
        m->out = ts_slab_take(&m->slab, m->out_numbers, sizeof(double));
    }
    return TS_OK;
}

void ts_cuda_measured_begin(ts_cuda_measured *m) {
    m->arena_used = 0;
}

void *ts_cuda_measured_take(ts_cuda_measured *m, size_t count, size_t size) {
    enum { ALIGNMENT = 256 };
    size_t bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes > m->arena_bytes - m->arena_used) {
        ts_fail(TS_ERROR_FATAL, "measures on a GPU need more memory than was planned; a fault of the program");
        return NULL;
    }
    m->arena_used += bytes;
    return m->arena + m->arena_used - bytes;
}

void *ts_cuda_measured_put(ts_cuda_measured *m, const void *from, size_t count, size_t size) {
    void *to = ts_cuda_measured_take(m, count, size);
    bool copied = to && ts_cuda_upload(to, from, count * size, m->workspace->stream) == TS_OK;
    return copied ? to : NULL;
}

// --- Rows ---

static int node_of(const ts_cuda_measured *m, ts_role role) {
    return m->forward.pass->graph->role[role];
}

// From a node's rows; -1: it is not known.
static ts_status copy_node(const ts_cuda_measured *m, int node, int count, int columns, bool classes, double *out) {
    const ts_graph *graph = m->forward.pass->graph;
    return ts_cuda_check(ts_cuda_measure_columns(&(ts_measure_columns){.count = count,
                                                                       .wide = node < 0 ? 0 : graph->node[node].width,
                                                                       .columns = columns,
                                                                       .classes = m->spec.n_out,
                                                                       .token = classes ? m->forward.token : NULL,
                                                                       .from = node < 0 ? NULL : m->forward.value[node],
                                                                       .out = out},
                                                 m->workspace->stream),
                         "measures: rows of pairs");
}

ts_status ts_cuda_measured_make(ts_cuda_measured *m, const int *pair, int first, int count) {
    const ts_pair_spec *s = &m->spec;
    size_t at = m->keeps ? (size_t)first : 0;
    const ts_measure_pairs pairs = {.count = count, .n = s->n, .pair = pair, .first = first};
    double *h = m->h + at * (size_t)s->network->hidden, *logits = m->logits + at * (size_t)s->outputs;
    ts_status status = ts_cuda_forward_run(&m->forward, m->workspace, &pairs);
    if (status == TS_OK)
        status = copy_node(m, node_of(m, TS_HIDDEN), count, s->network->hidden, false, h);
    if (status == TS_OK)
        status = copy_node(m, m->forward.pass->graph->output, count, s->outputs, true, logits);
    if (status == TS_OK && s->network->residual)
        status =
            copy_node(m, node_of(m, TS_HIDDEN_OUTPUT), count, s->n_out, true, m->hidden_logits + at * (size_t)s->n_out);
    if (status == TS_OK && m->attended > 0)
        status =
            copy_node(m, node_of(m, TS_ATTENTION), count, m->attended, false, m->attention + at * (size_t)m->attended);
    const ts_measure_facts facts = {.pairs = pairs,
                                    .loss = m->forward.pass->graph->loss,
                                    .hidden = s->network->hidden,
                                    .n_out = s->n_out,
                                    .outputs = s->outputs,
                                    .h = h,
                                    .logits = logits,
                                    .label = m->label,
                                    .facts = m->facts + at * TS_PAIR_FACTS};
    return status == TS_OK ? ts_cuda_check(ts_cuda_measure_facts(&facts, m->workspace->stream), "measures: losses")
                           : status;
}

// The pairs from `first` on that are made at a time; those of row 0 of what is at hand. Makes them, unless they are
// kept.
static ts_status make_next(ts_cuda_measured *m, int first, int *count) {
    int left = m->pairs - first;
    *count = m->keeps ? left : left < m->batch ? left : m->batch;
    return m->keeps ? TS_OK : ts_cuda_measured_make(m, NULL, first, *count);
}

static ts_status upload(ts_cuda_measured *m) {
    cudaStream_t stream = m->workspace->stream;
    ts_status status = ts_cuda_forward_upload(&m->forward, m->workspace);
    if (status == TS_OK && m->spec.token)
        status = ts_cuda_upload((int *)m->forward.token, m->spec.token, (size_t)m->spec.n * sizeof(int), stream);
    if (status == TS_OK)
        status = ts_cuda_upload(m->label, m->spec.label, (size_t)m->pairs * sizeof(int), stream);
    for (int first = 0; first < m->pairs && m->keeps && status == TS_OK; first += m->batch)
        status = ts_cuda_measured_make(m, NULL, first, m->pairs - first < m->batch ? m->pairs - first : m->batch);
    return status;
}

static ts_status open_pairs(const ts_pair_spec *spec, void **own) {
    ts_cuda_measured *m = *own = ts_alloc_zero(1, sizeof *m, "measures on a GPU");
    if (!m)
        return TS_ERROR_MEMORY;
    *m = (ts_cuda_measured){.spec = *spec, .pairs = spec->n * spec->n};
    m->attended = spec->network->heads * spec->network->sources;
    ts_status status = ts_cuda_forward_create(spec->network, spec->n, &m->forward);
    if (status != TS_OK)
        return status;
    choose_sizes(m);
    ts_cuda_slab sizes = {0};
    take(m, &sizes);
    status = take_host(m);
    if (status == TS_OK)
        status = ts_cuda_workspace_take(sizes.used, &m->workspace);
    if (status != TS_OK)
        return status;
    take(m, &m->workspace->slab);
    return upload(m);
}

static void close_pairs(void *own) {
    ts_cuda_measured *m = own;
    if (m->workspace && m->workspace->stream)
        ts_cuda_wait(m->workspace->stream, "measures");
    ts_cuda_workspace_give_back(m->workspace);
    ts_cuda_forward_free(&m->forward);
    ts_slab_free(&m->slab);
    ts_free(m);
}

// What is at hand of `count` pairs from the rows' number `from` on, to those from `to` on of out (.., width).
static ts_status bring(const ts_cuda_measured *m, const double *values, size_t width, int from, int count, int to,
                       double *out) {
    if (!out)
        return TS_OK;
    return ts_cuda_download(out + (size_t)to * width, values + (size_t)from * width,
                            (size_t)count * width * sizeof *out, m->workspace->stream);
}

static ts_status rows(void *own, int first, int count, double *h, double *logits, double *hidden_logits) {
    ts_cuda_measured *m = own;
    int begin = first * m->spec.n, all = count * m->spec.n, some;
    ts_status status = ts_cuda_enter();
    for (int at = 0; at < all && status == TS_OK; at += some) {
        some = m->keeps || all - at < m->batch ? all - at : m->batch;
        int from = m->keeps ? begin : 0;
        if (!m->keeps)
            status = ts_cuda_measured_make(m, NULL, begin + at, some);
        if (status == TS_OK)
            status = bring(m, m->h, (size_t)m->spec.network->hidden, from, some, at, h);
        if (status == TS_OK)
            status = bring(m, m->logits, (size_t)m->spec.outputs, from, some, at, logits);
        if (status == TS_OK)
            status = bring(m, m->hidden_logits, (size_t)m->spec.n_out, from, some, at, hidden_logits);
        if (status == TS_OK)
            status = ts_cuda_wait(m->workspace->stream, "measures: rows of pairs");
    }
    return status;
}

static ts_status facts(void *own, double *out) {
    ts_cuda_measured *m = own;
    int count = 0;
    ts_status status = ts_cuda_enter();
    for (int first = 0; first < m->pairs && status == TS_OK; first += count) {
        status = make_next(m, first, &count);
        if (status == TS_OK)
            status = bring(m, m->facts, TS_PAIR_FACTS, 0, count, first, out);
        if (status == TS_OK)
            status = ts_cuda_wait(m->workspace->stream, "measures: losses");
    }
    return status;
}

// --- Sums ---

// Rows by segment: those of piece v, which is one of segment number[v], are row[begin[v]] to row[begin[v + 1] - 1].
// Where there are few segments they are cut, so that many threads add them up. Returns how many pieces there are.
static int cut_segments(ts_cuda_measured *m, const int *segment, int rows, int segments) {
    enum { MANY = 64, LONG = 4096, SHORT = 128 };
    int most = segments >= MANY ? LONG : SHORT, pieces = 0, end = 0;
    int *count = m->list[0], *first = m->list[1]; // (segments)
    memset(count, 0, (size_t)segments * sizeof *count);
    for (int i = 0; i < rows; i++)
        if (segment[i] >= 0)
            count[segment[i]]++;
    for (int s = 0; s < segments; s++) {
        first[s] = end;
        for (int left = count[s]; left > 0; left -= most) {
            m->number[pieces] = s;
            m->begin[pieces++] = end;
            end += left < most ? left : most;
        }
    }
    m->begin[pieces] = end;
    for (int i = 0; i < rows; i++)
        if (segment[i] >= 0)
            m->row[first[segment[i]]++] = i;
    return pieces;
}

ts_status ts_cuda_measured_sum(ts_cuda_measured *m, ts_measure_sum work, const int *segment, int rows, int segments,
                               double *out) {
    int pieces = cut_segments(m, segment, rows, segments), room = (int)(m->out_numbers / (size_t)work.width), some;
    size_t width = (size_t)work.width;
    ts_status status = TS_OK;
    if (pieces == 0)
        return TS_OK;
    const int *begin = ts_cuda_measured_put(m, m->begin, (size_t)pieces + 1, sizeof(int));
    work.row = begin ? ts_cuda_measured_put(m, m->row, (size_t)m->begin[pieces], sizeof(int)) : NULL;
    work.out = work.row ? ts_cuda_measured_take(m, m->out_numbers, sizeof(double)) : NULL;
    if (!work.out)
        return TS_ERROR_FATAL;
    for (int first = 0; first < pieces && status == TS_OK; first += some) {
        some = pieces - first < room ? pieces - first : room;
        work.segments = some;
        work.begin = begin + first;
        status = ts_cuda_check(ts_cuda_measure_sum(&work, m->workspace->stream), "measures: sums over pairs");
        if (status == TS_OK)
            status = ts_cuda_download(m->out, work.out, (size_t)some * width * sizeof(double), m->workspace->stream);
        if (status == TS_OK)
            status = ts_cuda_wait(m->workspace->stream, "measures: sums over pairs");
        for (size_t i = 0; i < (size_t)some && status == TS_OK; i++)
            for (size_t c = 0; c < width; c++)
                out[(size_t)m->number[(size_t)first + i] * width + c] += m->out[i * width + c];
    }
    return status;
}

// Over all pairs; turn (pairs, on the host): NULL: none.
static ts_status sum_pairs(ts_cuda_measured *m, ts_measure_sum work, const int *segment, int segments, const int *turn,
                           const int *at, double *out) {
    int count = 0;
    ts_status status = ts_cuda_enter();
    work.facts = m->facts;
    work.mean = TS_FACT_MEAN;
    for (int first = 0; first < m->pairs && status == TS_OK; first += count) {
        status = make_next(m, first, &count);
        ts_cuda_measured_begin(m);
        work.turn = turn ? ts_cuda_measured_put(m, turn + first, (size_t)count, sizeof(int)) : NULL;
        work.at = at ? ts_cuda_measured_put(m, at, (size_t)work.width, sizeof(int)) : NULL;
        if (turn && (!work.turn || !work.at))
            return TS_ERROR_FATAL;
        if (status == TS_OK)
            status = ts_cuda_measured_sum(m, work, segment + first, count, segments, out);
    }
    return status;
}

static ts_status squares(void *own, double *out) {
    ts_cuda_measured *m = own;
    int hidden = m->spec.network->hidden;
    memset(m->list[2], 0, (size_t)m->pairs * sizeof(int));
    memset(out, 0, (size_t)hidden * sizeof *out);
    return sum_pairs(m, (ts_measure_sum){.kind = TS_SUM_SQUARES, .width = hidden, .wide = hidden, .values = m->h},
                     m->list[2], 1, NULL, NULL, out);
}

static ts_status sum(void *own, ts_pair_values values, const int *segment, int segments, double *out) {
    ts_cuda_measured *m = own;
    int hidden = m->spec.network->hidden;
    const ts_measure_sum work[] = {
        [TS_PAIR_HIDDEN] = {.kind = TS_SUM_PLAIN, .width = hidden, .wide = hidden, .values = m->h},
        [TS_PAIR_CENTRED] = {.kind = TS_SUM_CENTRED,
                             .width = m->spec.n_out,
                             .wide = m->spec.outputs,
                             .values = m->logits},
        [TS_PAIR_ATTENTION] = {.kind = TS_SUM_PLAIN, .width = m->attended, .wide = m->attended, .values = m->attention},
    };
    memset(out, 0, (size_t)segments * (size_t)work[values].width * sizeof *out);
    return sum_pairs(m, work[values], segment, segments, NULL, NULL, out);
}

static ts_status turned(void *own, const int *segment, int segments, const int *turn, const int *place, double *out) {
    ts_cuda_measured *m = own;
    int n = m->spec.n, *at = m->list[2];
    for (int c = 0; c < n; c++)
        at[place[c]] = c;
    memset(out, 0, (size_t)segments * (size_t)n * sizeof *out);
    return sum_pairs(m,
                     (ts_measure_sum){.kind = TS_SUM_TURNED, .width = n, .wide = m->spec.outputs, .values = m->logits},
                     segment, segments, turn, at, out);
}

const ts_pair_device ts_cuda_pair_device = {
    .open = open_pairs,
    .close = close_pairs,
    .rows = rows,
    .facts = facts,
    .squares = squares,
    .sum = sum,
    .turned = turned,
    .losses = ts_cuda_measured_losses,
    .alone = ts_cuda_measured_alone,
    .changed = ts_cuda_measured_changed,
    .mapped = ts_cuda_measured_mapped,
};
