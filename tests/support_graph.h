// Networks for tests of whatever executes them: any number of random ones over all operations, each with weights and
// something to learn; and their loss and gradient in double precision (network/pass.h). All numbers are float32's.
#pragma once

#include "base/memory.h"
#include "network/loss.h"
#include "network/pass.h"
#include "support_cmocka.h"

#include <string.h>

enum { SUPPORT_TENSORS = 16, SUPPORT_WIDEST = 7, SUPPORT_TOKENS = 5, SUPPORT_MOST_ROWS = 9 };

// --- Draws: the same with every compiler, if each is a statement of its own ---

static inline uint64_t support_draw(uint64_t *random) {
    uint64_t z = *random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline int support_below(uint64_t *random, int n) {
    return (int)(support_draw(random) >> 33) % n;
}

// From -1 to 1.
static inline double support_real(uint64_t *random) {
    return (float)((double)(support_draw(random) >> 11) * 0x1p-52 - 1);
}

// --- Random networks ---

// A new trainable tensor, and all of its rows as a node.
static inline int support_tensor(ts_graph *g, int rows, int width) {
    static const char *const NAMES[SUPPORT_TENSORS] = {"T0", "T1", "T2",  "T3",  "T4",  "T5",  "T6",  "T7",
                                                       "T8", "T9", "T10", "T11", "T12", "T13", "T14", "T15"};
    ts_parameter_layout *l = &g->layout;
    assert_true(l->count < SUPPORT_TENSORS);
    l->tensor[l->count] = (ts_tensor){
        .name = NAMES[l->count], .rank = 2, .size = {rows, width}, .dimension = {"row", "column"}, .offset = l->total};
    l->total += (int64_t)rows * width;
    return l->count++;
}

static inline int support_parameter(ts_graph *g, int rows, int width) {
    return ts_graph_parameter(g, support_tensor(g, rows, width));
}

typedef struct support_builder {
    ts_graph *g;
    uint64_t random;
    int common; // the tensor whose parts are used where no more tensors can be made; -1: not made yet
} support_builder;

static inline int support_choose(support_builder *b, int n) {
    return support_below(&b->random, n);
}

// A constant (rows, width): a tensor, some of its rows, a part of one that others have parts of, or computed.
static inline int support_matrix(support_builder *b, int rows, int width) {
    ts_graph *g = b->g;
    int inner = 1 + support_choose(b, 3), first = support_choose(b, 3), left, tensor;
    switch (g->layout.count + 3 < SUPPORT_TENSORS ? support_choose(b, 7) : 0) {
    case 0:
        if (b->common < 0)
            b->common = support_tensor(g, SUPPORT_WIDEST + 1, SUPPORT_WIDEST);
        first = support_choose(b, SUPPORT_WIDEST + 2 - rows);
        left = ts_graph_parameter_rows(g, b->common, first, rows);
        return ts_graph_slice(g, left, support_choose(b, SUPPORT_WIDEST + 1 - width), width);
    case 1:
        tensor = support_tensor(g, first + rows + 1, width);
        return ts_graph_parameter_rows(g, tensor, first, rows);
    case 2:
        left = support_parameter(g, rows, inner);
        return ts_graph_product(g, left, support_parameter(g, inner, width));
    case 3:
        left = support_parameter(g, rows, inner);
        return ts_graph_product_transposed(g, left, support_parameter(g, width, inner));
    case 4:
        return ts_graph_activation(g, TS_TANH, support_parameter(g, rows, width));
    default:
        return support_parameter(g, rows, width);
    }
}

// A node with one row for whatever it has rows for, as wide as asked (0: any), often the last; -1: there is none.
static inline int support_pick(support_builder *b, int width) {
    int found[256], count = 0;
    for (int i = 0; i < b->g->count && count < 256; i++)
        if (b->g->node[i].rows == 1 && (width == 0 || b->g->node[i].width == width))
            found[count++] = i;
    if (count == 0)
        return -1;
    bool last = support_choose(b, 2) == 0;
    return found[last ? count - 1 : support_choose(b, count)];
}

static inline int support_width(const support_builder *b, int node) {
    return b->g->node[node].width;
}

static inline int support_narrow(support_builder *b, int node, int most) {
    int width = support_width(b, node);
    return width <= most ? node : ts_graph_slice(b->g, node, support_choose(b, width - most + 1), most);
}

// One that is as wide as another: found, or made by a product.
static inline int support_fitting(support_builder *b, int width) {
    int found = support_pick(b, width);
    if (found >= 0 && support_choose(b, 3) > 0)
        return found;
    int y = support_pick(b, 0);
    return ts_graph_product(b->g, y, support_matrix(b, support_width(b, y), width));
}

static inline int support_attend(support_builder *b) {
    int score[TS_MOST_SOURCES], sources = 1 + support_choose(b, TS_MOST_SOURCES);
    for (int j = 0; j < sources; j++) {
        int q = support_pick(b, 0), k = support_fitting(b, support_width(b, q));
        score[j] = support_choose(b, 3) > 0 ? ts_graph_score(b->g, 0.75, q, k) : support_narrow(b, q, 1);
    }
    return ts_graph_attend(b->g, 0.5 * support_choose(b, 3), sources, score);
}

static inline int support_mix(support_builder *b, int x) {
    int weights = support_choose(b, 2) ? support_attend(b) : support_narrow(b, support_pick(b, 0), TS_MOST_SOURCES);
    int value[TS_MOST_SOURCES] = {x}, sources = support_width(b, weights);
    for (int j = 1; j < sources; j++)
        value[j] = support_fitting(b, support_width(b, x));
    return ts_graph_mix(b->g, weights, sources, value);
}

// What several heads of attention take from tables of tokens, added up.
static inline int support_heads(support_builder *b, int width) {
    int sum = support_choose(b, 2) ? support_fitting(b, width) : -1, heads = 1 + support_choose(b, 3);
    for (int h = 0; h < heads; h++) {
        int weights = support_narrow(b, support_pick(b, 0), 2), value[2];
        for (int j = 0; j < 2; j++)
            value[j] = ts_graph_lookup(b->g, j == 0 ? TS_LEFT : TS_RIGHT, support_matrix(b, b->g->tokens, width));
        int mixed = ts_graph_mix(b->g, weights, support_width(b, weights), value);
        sum = sum < 0 ? mixed : ts_graph_sum(b->g, sum, mixed);
    }
    return sum;
}

static inline void support_grow(support_builder *b) {
    ts_graph *g = b->g;
    int x = support_pick(b, 0), width = support_width(b, x), y, wanted = 1 + support_choose(b, SUPPORT_WIDEST);
    switch (support_choose(b, g->tokens ? 15 : 13)) {
    case 0:
        ts_graph_product(g, x, support_matrix(b, width, wanted));
        break;
    case 1:
        ts_graph_product_transposed(g, x, support_matrix(b, wanted, width));
        break;
    case 2:
        y = support_fitting(b, width);
        ts_graph_scaled_sum(g, x, support_choose(b, 2) ? 1 : -0.625, y);
        break;
    case 3:
        x = support_narrow(b, x, SUPPORT_WIDEST - 3);
        y = support_pick(b, 0);
        ts_graph_concatenate(g, x, support_narrow(b, y, 3));
        break;
    case 4:
        support_narrow(b, x, 1 + support_choose(b, width));
        break;
    case 5:
        y = support_pick(b, 0);
        ts_graph_scale(g, x, support_narrow(b, y, 1));
        break;
    case 6:
        y = support_fitting(b, width);
        ts_graph_normalise(g, x, y, support_fitting(b, width));
        break;
    case 7:
        ts_graph_score(g, 0.5, x, support_fitting(b, width));
        break;
    case 8:
        support_attend(b);
        break;
    case 9:
        support_mix(b, x);
        break;
    case 13:
        support_heads(b, width);
        break;
    case 14:
        x = support_heads(b, width);
        x = ts_graph_sum(g, x, support_matrix(b, 1, width));
        ts_graph_activation(g, (ts_activation)support_choose(b, TS_ACTIVATIONS), x);
        break;
    default:
        ts_graph_activation(g, (ts_activation)support_choose(b, TS_ACTIVATIONS), x);
    }
}

// All that nothing else has used yet, in one node: whatever was drawn matters.
static inline int support_join(support_builder *b) {
    bool used[256] = {false};
    int count = b->g->count, out = -1;
    assert_true(count > 0 && count <= 256);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < b->g->node[i].inputs; j++)
            used[b->g->node[i].input[j]] = true;
    for (int i = count - 1; i >= 0; i--) {
        if (used[i] || b->g->node[i].rows > 1)
            continue;
        int width = support_width(b, i), both = out < 0 ? 0 : support_width(b, out) + width;
        if (out < 0) {
            out = i;
        } else if (both <= SUPPORT_WIDEST) {
            out = ts_graph_concatenate(b->g, out, i);
        } else {
            int narrow = support_narrow(b, i, support_width(b, out));
            out = ts_graph_sum(b->g, support_narrow(b, out, support_width(b, narrow)), narrow);
        }
    }
    return out;
}

// A network of pairs of 2 to 5 tokens, or (a quarter of all) of samples; free with ts_graph_free.
static inline ts_status support_random_graph(uint64_t seed, ts_graph *graph) {
    support_builder b = {.g = graph, .random = seed, .common = -1};
    int tokens = support_choose(&b, 4) == 0 ? 0 : 2 + support_choose(&b, SUPPORT_TOKENS - 1);
    int outputs = tokens ? tokens : 1 + support_choose(&b, SUPPORT_WIDEST), most = 2 + support_choose(&b, 7);
    ts_graph_begin(graph, &(ts_parameter_layout){0}, tokens);
    if (tokens) {
        int width = 1 + support_choose(&b, SUPPORT_WIDEST);
        int matrix = support_matrix(&b, tokens + support_choose(&b, 2), width);
        ts_graph_lookup(graph, TS_LEFT, matrix);
        if (support_choose(&b, 2))
            matrix = support_matrix(&b, tokens, 1 + support_choose(&b, SUPPORT_WIDEST));
        ts_graph_lookup(graph, TS_RIGHT, matrix);
    } else {
        ts_graph_input(graph, outputs);
    }
    support_matrix(&b, 1, 1 + support_choose(&b, SUPPORT_WIDEST));
    for (int i = 0; i < most; i++)
        support_grow(&b);
    int out = support_join(&b);
    return ts_graph_finish(graph, ts_graph_product(graph, out, support_matrix(&b, support_width(&b, out), outputs)));
}

// --- What it learns ---

typedef struct support_problem {
    ts_graph graph;
    double *parameters; // (graph.layout.total)
    int rows;           // pairs or samples
    ts_loss loss;       // of pairs; mean over rows
    int a[SUPPORT_MOST_ROWS], b[SUPPORT_MOST_ROWS], label[SUPPORT_MOST_ROWS];
    double x[SUPPORT_MOST_ROWS * SUPPORT_WIDEST]; // samples: (rows, width of the input), to be given back
    double scale[SUPPORT_WIDEST];
} support_problem;

// Of a graph that is built, and the problem's now. Pairs are drawn; none comes twice.
static inline void support_problem_fill(support_problem *p, uint64_t seed) {
    uint64_t random = seed ^ 0x5DEECE66D;
    int tokens = p->graph.tokens, pairs = tokens * tokens, order[SUPPORT_TOKENS * SUPPORT_TOKENS];
    p->parameters = ts_alloc((size_t)p->graph.layout.total * sizeof *p->parameters, "parameters");
    assert_non_null(p->parameters);
    for (int64_t i = 0; i < p->graph.layout.total; i++)
        p->parameters[i] = support_real(&random);
    p->loss = (ts_loss)support_below(&random, TS_LOSSES);
    p->rows = tokens == 0 || pairs > SUPPORT_MOST_ROWS ? SUPPORT_MOST_ROWS : pairs;
    for (int i = 0; i < pairs; i++)
        order[i] = i;
    for (int r = 0; tokens && r < p->rows; r++) {
        int other = r + support_below(&random, pairs - r), pair = order[other];
        order[other] = order[r];
        p->a[r] = pair / tokens;
        p->b[r] = pair % tokens;
        p->label[r] = support_below(&random, tokens);
    }
    for (int i = 0; i < SUPPORT_MOST_ROWS * SUPPORT_WIDEST; i++)
        p->x[i] = support_real(&random);
    for (int i = 0; i < SUPPORT_WIDEST; i++)
        p->scale[i] = 1 + 0.5 * support_real(&random);
}

static inline void support_problem_open(support_problem *p, uint64_t seed) {
    *p = (support_problem){0};
    if (support_random_graph(seed, &p->graph) != TS_OK)
        fail_msg("network %llu: %s", (unsigned long long)seed, ts_message());
    support_problem_fill(p, seed);
}

static inline void support_problem_close(support_problem *p) {
    ts_graph_free(&p->graph);
    ts_free(p->parameters);
}

// Adds the loss of `count` rows from `first` on, row by row; their outputs (count, width) are replaced by its gradient.
static inline void support_add_loss(const support_problem *p, int first, int count, double *z, double *loss) {
    int width = p->graph.node[p->graph.output].width;
    double share = 1.0 / p->rows;
    for (int r = first; r < first + count; r++, z += width) {
        *loss += share * (p->graph.tokens ? ts_loss_of(p->loss, width, z, p->label[r])
                                          : ts_loss_of_squares(width, z, p->x + (size_t)r * (size_t)width, p->scale));
        for (int i = 0; i < width; i++)
            z[i] *= share;
    }
}

// The loss, in batches of so many rows; gradient (parameters), unless NULL, with a pass that goes backwards.
static inline double support_learn(const support_problem *p, ts_pass *pass, int batch, double *gradient) {
    const ts_graph *g = &p->graph;
    double loss = 0, out[SUPPORT_MOST_ROWS * SUPPORT_WIDEST];
    ts_pass_tables(pass, p->parameters);
    if (gradient)
        ts_pass_begin_back(pass, gradient);
    for (int first = 0; first < p->rows; first += batch) {
        int count = p->rows - first < batch ? p->rows - first : batch;
        size_t width = (size_t)g->node[g->output].width, bytes = (size_t)count * width * sizeof *out;
        for (int i = 0; i < g->count; i++)
            if (g->node[i].operation == TS_INPUT)
                memcpy(pass->made[i], p->x + (size_t)first * width, bytes);
        ts_pass_batch(pass, count, g->tokens ? p->a + first : NULL, g->tokens ? p->b + first : NULL);
        memcpy(out, pass->value[g->output], bytes);
        support_add_loss(p, first, count, out, &loss);
        if (!gradient)
            continue;
        memcpy(pass->gradient[g->output], out, bytes);
        ts_pass_batch_back(pass, count);
    }
    if (gradient)
        ts_pass_tables_back(pass);
    return loss;
}
