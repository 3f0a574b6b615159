// Executing a network in double precision. Each operation is one function for a row forwards and one backwards; only
// products take all their rows at once.
#include "network/pass.h"

#include "base/product.h"
#include "base/sets.h"

#include <math.h>
#include <string.h>

// Rows of pairs that go through all nodes together, so that what one makes is near when the next reads it.
enum { PAIRS_AT_ONCE = 12 };

// One row of a node, with those of its inputs.
typedef struct row {
    const ts_node *node;
    int width[TS_MOST_INPUTS];
    const double *in[TS_MOST_INPUTS];
    double *out;
    // Backwards.
    double *din[TS_MOST_INPUTS]; // added to; NULL: not wanted
    const double *dout;
} row;

// --- Operations, row by row ---

TS_FOR_EACH_SET static void take_sum(const double *x, const double *y, double scale, int count, double *restrict out) {
    for (int i = 0; i < count; i++)
        out[i] = x[i] + scale * y[i];
}

static void sum(const row *r) {
    take_sum(r->in[0], r->in[1], r->node->scale, r->node->width, r->out);
}

TS_FOR_EACH_SET static void add_scaled(double *to, const double *from, double scale, int count) {
    if (!to)
        return;
    for (int i = 0; i < count; i++)
        to[i] += scale * from[i];
}

static void sum_back(const row *r) {
    add_scaled(r->din[0], r->dout, 1, r->node->width);
    add_scaled(r->din[1], r->dout, r->node->scale, r->node->width);
}

static void concatenate(const row *r) {
    memcpy(r->out, r->in[0], (size_t)r->width[0] * sizeof *r->out);
    memcpy(r->out + r->width[0], r->in[1], (size_t)r->width[1] * sizeof *r->out);
}

static void concatenate_back(const row *r) {
    add_scaled(r->din[0], r->dout, 1, r->width[0]);
    add_scaled(r->din[1], r->dout + r->width[0], 1, r->width[1]);
}

static void slice(const row *r) {
    memcpy(r->out, r->in[0] + r->node->first, (size_t)r->node->width * sizeof *r->out);
}

static void slice_back(const row *r) {
    if (r->din[0])
        add_scaled(r->din[0] + r->node->first, r->dout, 1, r->node->width);
}

TS_FOR_EACH_SET static void rectify(const double *x, int count, double *restrict out) {
    for (int i = 0; i < count; i++)
        out[i] = x[i] <= 0 ? 0 : x[i]; // as ts_activation_value has it
}

static void activate_each(const row *r) {
    for (int i = 0; i < r->node->width; i++)
        r->out[i] = ts_activation_value(r->node->activation, r->in[0][i]);
}

static void activate(const row *r) {
    if (r->node->activation == TS_RELU)
        rectify(r->in[0], r->node->width, r->out);
    else
        activate_each(r);
}

static void activate_back(const row *r) {
    for (int i = 0; r->din[0] && i < r->node->width; i++)
        r->din[0][i] += ts_activation_slope(r->node->activation, r->in[0][i]) * r->dout[i];
}

static void scale(const row *r) {
    for (int i = 0; i < r->node->width; i++)
        r->out[i] = *r->in[1] * r->in[0][i];
}

static double dot(const double *x, const double *y, int count) {
    double total = 0;
    for (int i = 0; i < count; i++)
        total += x[i] * y[i];
    return total;
}

static void scale_back(const row *r) {
    add_scaled(r->din[0], r->dout, *r->in[1], r->node->width);
    if (r->din[1])
        *r->din[1] += dot(r->in[0], r->dout, r->node->width);
}

// Mean of x, and 1 / sqrt(variance + 1e-5).
static double moments(const double *x, int count, double *mean) {
    double squares = 0;
    *mean = 0;
    for (int i = 0; i < count; i++)
        *mean += x[i] / count;
    for (int i = 0; i < count; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    return 1 / sqrt(squares / count + 1e-5);
}

static void normalise(const row *r) {
    double mean, inverse = moments(r->in[0], r->node->width, &mean);
    for (int i = 0; i < r->node->width; i++)
        r->out[i] = r->in[1][i] * (inverse * (r->in[0][i] - mean)) + r->in[2][i];
}

// With u the normalised x and g = gain dout: dx = (g - mean(g) - u mean(g u)) / deviation.
static void normalise_back(const row *r) {
    int count = r->node->width;
    double mean, inverse = moments(r->in[0], count, &mean), mean_g = 0, mean_gu = 0;
    for (int i = 0; i < count; i++) {
        double g = r->in[1][i] * r->dout[i], u = inverse * (r->in[0][i] - mean);
        mean_g += g / count;
        mean_gu += g * u / count;
    }
    for (int i = 0; i < count; i++) {
        double g = r->in[1][i] * r->dout[i], u = inverse * (r->in[0][i] - mean);
        if (r->din[0])
            r->din[0][i] += inverse * (g - mean_g - u * mean_gu);
        if (r->din[1])
            r->din[1][i] += u * r->dout[i];
    }
    add_scaled(r->din[2], r->dout, 1, count);
}

static void score(const row *r) {
    *r->out = r->node->scale * dot(r->in[0], r->in[1], r->width[0]);
}

static void score_back(const row *r) {
    add_scaled(r->din[0], r->in[1], r->node->scale * *r->dout, r->width[0]);
    add_scaled(r->din[1], r->in[0], r->node->scale * *r->dout, r->width[0]);
}

static void softmax(const row *r, double *p) {
    double largest = -INFINITY, total = 0;
    for (int j = 0; j < r->node->inputs; j++)
        largest = fmax(largest, *r->in[j]);
    for (int j = 0; j < r->node->inputs; j++)
        total += p[j] = exp(*r->in[j] - largest);
    for (int j = 0; j < r->node->inputs; j++)
        p[j] /= total;
}

static void attend(const row *r) {
    double rate = r->node->scale;
    softmax(r, r->out);
    for (int j = 0; j < r->node->inputs; j++)
        r->out[j] = rate * r->out[j] + (1 - rate);
}

static void attend_back(const row *r) {
    double p[TS_MOST_SOURCES], mean = 0;
    softmax(r, p);
    for (int j = 0; j < r->node->inputs; j++)
        mean += p[j] * r->dout[j];
    for (int j = 0; j < r->node->inputs; j++)
        if (r->din[j])
            *r->din[j] += r->node->scale * p[j] * (r->dout[j] - mean);
}

// Its first source is added to 0, as all are to those before.
TS_FOR_EACH_SET static void take_scaled(const double *from, double scale, int count, double *restrict out) {
    for (int i = 0; i < count; i++)
        out[i] = 0.0 + scale * from[i];
}

static void mix(const row *r) {
    take_scaled(r->in[1], r->in[0][0], r->node->width, r->out);
    for (int j = 1; j < r->node->inputs - 1; j++)
        add_scaled(r->out, r->in[1 + j], r->in[0][j], r->node->width);
}

static void mix_back(const row *r) {
    for (int j = 0; j < r->node->inputs - 1; j++) {
        add_scaled(r->din[1 + j], r->dout, r->in[0][j], r->node->width);
        if (r->din[0])
            r->din[0][j] += dot(r->in[1 + j], r->dout, r->node->width);
    }
}

static const struct {
    void (*forward)(const row *), (*backward)(const row *);
} OPERATIONS[TS_OPERATIONS] = {
    [TS_SUM] = {sum, sum_back},       [TS_CONCATENATE] = {concatenate, concatenate_back},
    [TS_SLICE] = {slice, slice_back}, [TS_ACTIVATION] = {activate, activate_back},
    [TS_SCALE] = {scale, scale_back}, [TS_NORMALISE] = {normalise, normalise_back},
    [TS_SCORE] = {score, score_back}, [TS_ATTEND] = {attend, attend_back},
    [TS_MIX] = {mix, mix_back},
};

// --- Nodes ---

// Which row of an input goes with row `at` of a node.
static size_t row_of(const ts_pass *p, const ts_node *node, const ts_node *in, int at) {
    if (in->domain == TS_CONSTANT)
        return in->rows > 1 ? (size_t)at : 0;
    if (node->domain == TS_PAIR && in->domain != TS_PAIR)
        return (size_t)(in->domain == TS_LEFT ? p->a[at] : p->b[at]);
    return (size_t)at;
}

static row row_at(const ts_pass *p, int index, int at, bool backwards) {
    const ts_node *node = &p->graph->node[index];
    size_t own = (size_t)at * (size_t)node->width;
    row r = {.node = node, .out = p->made[index] + own, .dout = backwards ? p->gradient[index] + own : NULL};
    for (int i = 0; i < node->inputs; i++) {
        const ts_node *in = &p->graph->node[node->input[i]];
        size_t from = row_of(p, node, in, at) * (size_t)in->width;
        double *gradient = backwards ? p->gradient[node->input[i]] : NULL;
        r.width[i] = in->width;
        r.in[i] = p->value[node->input[i]] + from;
        r.din[i] = gradient ? gradient + from : NULL;
    }
    return r;
}

// Of inputs, most of which are 0.
static void sparse_product(const ts_pass *p, int index, int first, int end) {
    const ts_node *node = &p->graph->node[index], *by = &p->graph->node[node->input[1]];
    const double *m = p->value[node->input[1]];
    int depth = node->transposed ? by->width : by->rows, width = node->width;
    for (int r = first; r < end; r++) {
        const double *x = p->value[node->input[0]] + (size_t)r * (size_t)depth;
        double *out = p->made[index] + (size_t)r * (size_t)width;
        memset(out, 0, (size_t)width * sizeof *out);
        for (int i = 0; i < depth; i++)
            for (int j = 0; x[i] != 0 && j < width; j++)
                out[j] += x[i] * (node->transposed ? m[(size_t)j * (size_t)depth + (size_t)i]
                                                   : m[(size_t)i * (size_t)width + (size_t)j]);
    }
}

// Whether a product's matrix is brought into panels, once for all pairs.
static bool has_panels(const ts_graph *graph, const ts_node *node) {
    return node->operation == TS_PRODUCT && node->domain == TS_PAIR && !node->transposed &&
           graph->node[node->input[0]].operation != TS_INPUT && graph->node[node->input[1]].domain == TS_CONSTANT;
}

// Rows `first` to `end` - 1.
static void product(const ts_pass *p, int index, int first, int end) {
    const ts_node *node = &p->graph->node[index], *by = &p->graph->node[node->input[1]];
    int depth = node->transposed ? by->width : by->rows, width = node->width;
    const double *x = p->value[node->input[0]] + (size_t)first * (size_t)depth, *m = p->value[node->input[1]];
    double *out = p->made[index] + (size_t)first * (size_t)width;
    const double *of[PAIRS_AT_ONCE];
    if (p->graph->node[node->input[0]].operation == TS_INPUT) {
        sparse_product(p, index, first, end);
    } else if (p->panels[index]) {
        for (int r = 0; r < end - first; r++)
            of[r] = x + (size_t)r * (size_t)depth;
        ts_product_of_panels(end - first, width, depth, of, p->panels[index], out, width);
    } else if (!node->transposed) {
        ts_product(end - first, width, depth, x, depth, m, width, out, width);
    } else {
        for (int r = 0; r < end - first; r++)
            for (int j = 0; j < width; j++)
                out[(size_t)r * (size_t)width + (size_t)j] =
                    dot(x + (size_t)r * (size_t)depth, m + (size_t)j * (size_t)depth, depth);
    }
}

// dx += dout M^T, dM += x^T dout; transposed: dx += dout M, dM += dout^T x; here what one row of x
// adds. Either way M is met row by row: m_ij goes with u_i and v_j, of x and dout or the other way round.
static void product_back(const ts_pass *p, int index, size_t r) {
    const ts_node *node = &p->graph->node[index], *by = &p->graph->node[node->input[1]];
    size_t depth = (size_t)(node->transposed ? by->width : by->rows), columns = (size_t)by->width;
    const double *m = p->value[node->input[1]], *x = p->value[node->input[0]] + r * depth;
    const double *dout = p->gradient[index] + r * (size_t)node->width;
    double *dx = p->gradient[node->input[0]], *dm = p->gradient[node->input[1]];
    double *back = dx ? dx + r * depth : NULL;
    for (size_t i = 0; i < (size_t)by->rows; i++) {
        const double *along = node->transposed ? x : dout;
        double across = node->transposed ? dout[i] : x[i];
        if (dm)
            add_scaled(dm + i * columns, along, across, by->width);
        if (back && node->transposed)
            add_scaled(back, m + i * columns, across, by->width);
        else if (back)
            back[i] += dot(m + i * columns, dout, by->width);
    }
}

static void forwards(ts_pass *p, int index, int first, int end) {
    ts_operation operation = p->graph->node[index].operation;
    if (operation == TS_PRODUCT)
        product(p, index, first, end);
    for (int r = first; OPERATIONS[operation].forward && r < end; r++) {
        row at = row_at(p, index, r, false);
        OPERATIONS[operation].forward(&at);
    }
}

static void backwards(ts_pass *p, int index, int at) {
    ts_operation operation = p->graph->node[index].operation;
    if (operation == TS_PRODUCT)
        product_back(p, index, (size_t)at);
    if (!OPERATIONS[operation].backward)
        return;
    row r = row_at(p, index, at, true);
    OPERATIONS[operation].backward(&r);
}

// --- Passes ---

static size_t panel_numbers(const ts_graph *graph, const ts_node *node) {
    return ts_panel_numbers(graph->node[node->input[1]].rows, node->width);
}

// `tables`: a pass that has made what does not depend on the pairs; NULL: this one makes it itself.
static ts_status create(const ts_graph *graph, int batch, bool backwards, const ts_pass *tables, ts_pass *pass) {
    *pass = (ts_pass){.graph = graph, .batch = batch};
    size_t count = (size_t)graph->count;
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1 && ts_slab_reserve(&pass->slab, "a network's rows") != TS_OK)
            return TS_ERROR_MEMORY;
        pass->value = ts_slab_take_zero(&pass->slab, count, sizeof *pass->value);
        pass->made = ts_slab_take_zero(&pass->slab, count, sizeof *pass->made);
        pass->gradient = ts_slab_take_zero(&pass->slab, count, sizeof *pass->gradient);
        pass->panels = ts_slab_take_zero(&pass->slab, count, sizeof *pass->panels);
        pass->uses = ts_slab_take(&pass->slab, count, sizeof *pass->uses);
        for (int i = 0; i < graph->count; i++) {
            const ts_node *node = &graph->node[i];
            bool is_alias = node->operation == TS_PARAMETER || node->operation == TS_LOOKUP;
            bool is_made = tables && (is_alias || node->domain != TS_PAIR);
            if (is_made && turn == 1)
                pass->value[i] = tables->value[i];
            if (is_alias || is_made)
                continue;
            if (has_panels(graph, node) && !tables) {
                double *panels = ts_slab_take(&pass->slab, panel_numbers(graph, node), sizeof(double));
                if (turn == 1)
                    pass->panels[i] = panels;
            } else if (has_panels(graph, node) && turn == 1) {
                pass->panels[i] = tables->panels[i];
            }
            size_t numbers = (size_t)ts_graph_rows(graph, node, batch) * (size_t)node->width;
            double *made = ts_slab_take(&pass->slab, numbers, sizeof(double));
            bool goes_back = backwards && node->operation != TS_INPUT;
            double *gradient = goes_back ? ts_slab_take(&pass->slab, numbers, sizeof(double)) : NULL;
            if (turn == 0)
                continue;
            pass->value[i] = pass->made[i] = made;
            pass->gradient[i] = gradient;
        }
    }
    ts_graph_count_uses(graph, pass->uses);
    return TS_OK;
}

ts_status ts_pass_create(const ts_graph *graph, int batch, bool backwards, ts_pass *pass) {
    return create(graph, batch, backwards, NULL, pass);
}

ts_status ts_pass_beside(const ts_pass *tables, ts_pass *pass) {
    return create(tables->graph, tables->batch, false, tables, pass);
}

void ts_pass_free(ts_pass *pass) {
    ts_slab_free(&pass->slab);
    *pass = (ts_pass){0};
}

void ts_pass_tables(ts_pass *pass, const double *parameters) {
    const ts_graph *graph = pass->graph;
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i];
        if (node->operation == TS_PARAMETER)
            pass->value[i] =
                parameters + graph->layout.tensor[node->tensor].offset + (int64_t)node->first * node->width;
        else if (node->operation == TS_LOOKUP)
            pass->value[i] = pass->value[node->input[0]];
        else if (node->domain != TS_PAIR && pass->uses[i])
            forwards(pass, i, 0, ts_graph_rows(graph, node, 0));
        if (pass->panels[i] && pass->uses[i])
            ts_panels_take(graph->node[node->input[1]].rows, node->width, pass->value[node->input[1]], node->width,
                           pass->panels[i]);
    }
}

void ts_pass_batch(ts_pass *pass, int count, const int *a, const int *b) {
    pass->a = a;
    pass->b = b;
    for (int first = 0; first < count; first += PAIRS_AT_ONCE) {
        int end = count - first < PAIRS_AT_ONCE ? count : first + PAIRS_AT_ONCE;
        for (int i = 0; i < pass->graph->count; i++)
            if (pass->graph->node[i].domain == TS_PAIR && pass->uses[i])
                forwards(pass, i, first, end);
    }
}

static void clear_gradient(ts_pass *pass, int index, int rows) {
    if (pass->gradient[index])
        memset(pass->gradient[index], 0, (size_t)rows * (size_t)pass->graph->node[index].width * sizeof(double));
}

void ts_pass_begin_back(ts_pass *pass, double *gradient) {
    const ts_graph *graph = pass->graph;
    memset(gradient, 0, (size_t)graph->layout.total * sizeof *gradient);
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i];
        if (node->operation == TS_PARAMETER)
            pass->gradient[i] =
                gradient + graph->layout.tensor[node->tensor].offset + (int64_t)node->first * node->width;
        else if (node->operation == TS_LOOKUP)
            pass->gradient[i] = pass->gradient[node->input[0]];
        else if (node->domain != TS_PAIR)
            clear_gradient(pass, i, ts_graph_rows(graph, node, 0));
    }
}

void ts_pass_batch_back(ts_pass *pass, int count) {
    const ts_graph *graph = pass->graph;
    for (int i = 0; i < graph->count; i++)
        if (graph->node[i].domain == TS_PAIR && i != graph->output)
            clear_gradient(pass, i, count);
    // Row by row, so that what several nodes add to has the same bits in batches of any size.
    for (int r = 0; r < count; r++)
        for (int i = graph->output; i >= 0; i--)
            if (graph->node[i].domain == TS_PAIR && pass->uses[i])
                backwards(pass, i, r);
}

void ts_pass_tables_back(ts_pass *pass) {
    const ts_graph *graph = pass->graph;
    for (int i = graph->count - 1; i >= 0; i--) {
        bool wanted = graph->node[i].domain != TS_PAIR && pass->uses[i];
        for (int r = 0; wanted && r < ts_graph_rows(graph, &graph->node[i], 0); r++)
            backwards(pass, i, r);
    }
}
