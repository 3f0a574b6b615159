// Rows and columns of what a network has for each token or result, in the order of the elements.
#include "measure/renumbered.h"

#include <string.h>

// The weights of the network that is seen, and of each thread beside it.
typedef struct seen {
    const ts_network *inner;
    void *weights;                      // the inner network's, or a thread's beside it
    const int *token;                   // (n) of each element
    int n, outputs;                     // outputs: n, and those beyond the classes
    double *h, *logits, *hidden_logits; // a row of pairs, as the inner network has it
    int *a, *b;                         // (n) tokens of pairs
    double *read;                       // (n, heads * hidden)
    double *crossed[2];                 // (n, hidden)
    ts_slab slab;
} seen;

static void reorder_rows(const int *token, int n, size_t width, const double *from, double *to) {
    for (int g = 0; g < n && width > 0; g++)
        memcpy(to + (size_t)g * width, from + (size_t)token[g] * width, width * sizeof *to);
}

static void reorder_columns(const int *token, size_t rows, int n, const double *from, double *to) {
    for (size_t i = 0; i < rows; i++)
        for (int c = 0; c < n; c++)
            to[i * (size_t)n + (size_t)c] = from[i * (size_t)n + (size_t)token[c]];
}

// Logits (count, outputs), of which the first n are the classes', of rows `of` (NULL: in their order).
static void reorder_logits(const seen *s, int count, const int *of, int outputs, const double *from, double *to) {
    size_t width = (size_t)outputs, n = (size_t)s->n;
    for (size_t i = 0; i < (size_t)count; i++) {
        const double *row = from + (of ? (size_t)of[i] : i) * width;
        reorder_columns(s->token, 1, s->n, row, to + i * width);
        memcpy(to + i * width + n, row + n, (width - n) * sizeof *to);
    }
}

static void row(const void *weights, int a, double *h, double *logits, double *hidden_logits) {
    const seen *s = weights;
    s->inner->row(s->weights, s->token[a], s->h, s->logits, hidden_logits ? s->hidden_logits : NULL);
    reorder_rows(s->token, s->n, (size_t)s->inner->hidden, s->h, h);
    reorder_logits(s, s->n, s->token, s->outputs, s->logits, logits);
    if (hidden_logits)
        reorder_logits(s, s->n, s->token, s->n, s->hidden_logits, hidden_logits);
}

static void make_pairs(const void *weights, int count, const int *a, const int *b, double *logits,
                       double *hidden_logits) {
    const seen *s = weights;
    for (int i = 0; i < count; i++) {
        s->a[i] = s->token[a[i]];
        s->b[i] = s->token[b[i]];
    }
    s->inner->pairs(s->weights, count, s->a, s->b, s->logits, hidden_logits ? s->hidden_logits : NULL);
    reorder_logits(s, count, NULL, s->outputs, s->logits, logits);
    if (hidden_logits)
        reorder_logits(s, count, NULL, s->n, s->hidden_logits, hidden_logits);
}

// Tables that are renumbered have all pairs, so that each b has the same share.
static void attend(const void *weights, int a, const double *share, double *mean) {
    const seen *s = weights;
    s->inner->attend(s->weights, s->token[a], share, mean);
}

static ts_status read_tokens(const void *weights, double *out) {
    const seen *s = weights;
    ts_status status = s->inner->read(s->weights, s->read);
    if (status == TS_OK)
        reorder_rows(s->token, s->n, (size_t)s->inner->heads * (size_t)s->inner->hidden, s->read, out);
    return status;
}

static ts_status cross(const void *weights, double *left, double *right) {
    const seen *s = weights;
    ts_status status = s->inner->cross(s->weights, s->crossed[0], s->crossed[1]);
    for (int side = 0; side < 2 && status == TS_OK; side++)
        reorder_rows(s->token, s->n, (size_t)s->inner->hidden, s->crossed[side], side == 0 ? left : right);
    return status;
}

static void free_seen(void *weights) {
    seen *s = weights;
    if (!s)
        return;
    if (s->weights && s->weights != s->inner->weights)
        s->inner->free(s->weights);
    ts_slab_free(&s->slab);
    ts_free(s);
}

static ts_status reserve(seen *s) {
    size_t n = (size_t)s->n, hidden = (size_t)s->inner->hidden;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&s->slab, "a network's rows") != TS_OK)
            return TS_ERROR_MEMORY;
        s->h = ts_slab_take(&s->slab, n * hidden, sizeof(double));
        s->logits = ts_slab_take(&s->slab, n * (size_t)s->outputs, sizeof(double));
        s->a = ts_slab_take(&s->slab, n, sizeof(int));
        s->b = ts_slab_take(&s->slab, n, sizeof(int));
        s->hidden_logits = ts_slab_take(&s->slab, s->inner->residual ? n * n : 0, sizeof(double));
        s->read = ts_slab_take(&s->slab, s->inner->read ? n * (size_t)s->inner->heads * hidden : 0, sizeof(double));
        for (int side = 0; side < 2; side++)
            s->crossed[side] = ts_slab_take(&s->slab, s->inner->cross ? n * hidden : 0, sizeof(double));
    }
    return TS_OK;
}

static ts_status create(const ts_network *inner, void *weights, const int *token, int n, void **out) {
    seen *s = *out = ts_alloc_zero(1, sizeof *s, "a network's rows");
    if (!s)
        return TS_ERROR_MEMORY;
    *s = (seen){.inner = inner, .weights = weights, .token = token, .n = n};
    s->outputs = inner->outputs > 0 ? inner->outputs : n;
    return reserve(s);
}

static ts_status beside(const void *weights, void **own) {
    const seen *first = weights;
    void *inner = NULL;
    ts_status status = first->inner->beside(first->inner->weights, &inner);
    if (status != TS_OK) {
        if (inner)
            first->inner->free(inner);
        return status;
    }
    status = create(first->inner, inner, first->token, first->n, own);
    if (!*own)
        first->inner->free(inner);
    return status;
}

ts_status ts_renumbered_open(const ts_network *network, const ts_symmetry *symmetry, ts_renumbered *out) {
    int n = symmetry->group->n;
    size_t embed = (size_t)network->embed, hidden = (size_t)network->hidden;
    double *e_x = NULL, *e_y = NULL, *u = NULL, *shift = NULL;
    *out = (ts_renumbered){.network = *network};
    out->network.weights = NULL;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&out->slab, "a network's weights") != TS_OK)
            return TS_ERROR_MEMORY;
        e_x = ts_slab_take(&out->slab, (size_t)n * embed, sizeof(double));
        e_y = network->e_x == network->e_y ? e_x : ts_slab_take(&out->slab, (size_t)n * embed, sizeof(double));
        u = ts_slab_take(&out->slab, hidden * (size_t)n, sizeof(double));
        shift = ts_slab_take(&out->slab, (size_t)n, sizeof(double));
    }
    reorder_rows(symmetry->token, n, embed, network->e_x, e_x);
    reorder_rows(symmetry->token, n, embed, network->e_y, e_y);
    reorder_columns(symmetry->token, hidden, n, network->u, u);
    if (network->additive)
        reorder_columns(symmetry->token, 1, n, network->output_shift, shift);
    out->network.output_shift = network->additive ? shift : NULL;
    out->network.e_x = e_x;
    out->network.e_y = e_y;
    out->network.u = u;
    out->network.free = free_seen;
    out->network.beside = network->beside ? beside : NULL;
    out->network.row = row;
    out->network.pairs = make_pairs;
    out->network.attend = network->attend ? attend : NULL;
    out->network.read = network->read ? read_tokens : NULL;
    out->network.cross = network->cross ? cross : NULL;
    return create(network, network->weights, symmetry->token, n, &out->network.weights);
}

void ts_renumbered_close(ts_renumbered *renumbered) {
    free_seen(renumbered->network.weights);
    ts_slab_free(&renumbered->slab);
    *renumbered = (ts_renumbered){0};
}
