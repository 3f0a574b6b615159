// Terms of the sums before the activation and at the output.
#include "model/additive.h"

#include <math.h>
#include <string.h>

// Rounding by which a table may differ from the embedding that it stands for.
static const double ROUNDING = 1e-9;

// Adds up the terms of one domain among those of a sum: tables of a, of b at a token, constants.
typedef struct terms {
    const ts_pass *pass;
    int domain, token;
    double *sum; // (width)
    int other;   // the one term of pairs that is no sum; -1: none
} terms;

// False: there is a term that is none of these, or a second one of pairs.
static bool add_terms(terms *t, int index, double scale) {
    const ts_node *node = &t->pass->graph->node[index];
    if (node->domain == TS_PAIR && node->operation == TS_SUM)
        return add_terms(t, node->input[0], scale) && add_terms(t, node->input[1], scale * node->scale);
    if (node->domain == TS_PAIR) {
        bool first = t->other < 0 && scale == 1;
        t->other = index;
        return first;
    }
    if (node->domain == TS_CONSTANT && node->rows != 1)
        return false;
    size_t row = node->domain == TS_CONSTANT ? 0 : (size_t)t->token;
    for (int i = 0; i < node->width && node->domain == t->domain; i++)
        t->sum[i] += scale * t->pass->value[index][row * (size_t)node->width + (size_t)i];
    return true;
}

static bool take_terms(terms *t, int index) {
    t->other = -1;
    memset(t->sum, 0, (size_t)t->pass->graph->node[index].width * sizeof *t->sum);
    return add_terms(t, index, 1);
}

// Whether the tables of a domain are that side's embedding, but for what is the same for all tokens: that is added to
// shift. rest, sum (width).
static bool is_embedding(const ts_pass *pass, int index, int domain, ts_role role, double *shift, double *rest,
                         double *sum) {
    const ts_graph *graph = pass->graph;
    size_t width = (size_t)graph->node[index].width;
    for (int token = 0; token < graph->tokens; token++) {
        terms t = {.pass = pass, .domain = domain, .token = token, .sum = sum};
        const double *row = pass->value[graph->role[role]] + (size_t)token * width;
        if (!take_terms(&t, index) || t.other >= 0)
            return false;
        for (size_t i = 0; i < width; i++) {
            double own = sum[i] - row[i];
            rest[i] = token == 0 ? own : rest[i];
            if (!(fabs(own - rest[i]) <= ROUNDING * (fabs(sum[i]) + fabs(row[i]) + fabs(rest[i]))))
                return false;
        }
    }
    for (size_t i = 0; i < width; i++)
        shift[i] += rest[i];
    return true;
}

bool ts_network_is_additive(const ts_pass *pass, ts_activation *activation, double *shift) {
    const ts_graph *graph = pass->graph;
    const ts_node *hidden = &graph->node[graph->role[TS_HIDDEN]];
    int width = hidden->width, outputs = graph->node[graph->output].width;
    double *scratch = shift + width + outputs;
    if (hidden->operation != TS_ACTIVATION)
        return false;
    *activation = hidden->activation;
    terms constant = {.pass = pass, .domain = TS_CONSTANT, .sum = shift};
    if (!take_terms(&constant, hidden->input[0]) || constant.other >= 0 ||
        !is_embedding(pass, hidden->input[0], TS_LEFT, TS_EMBED_LEFT, shift, scratch, scratch + width) ||
        !is_embedding(pass, hidden->input[0], TS_RIGHT, TS_EMBED_RIGHT, shift, scratch, scratch + width))
        return false;
    terms output = {.pass = pass, .domain = TS_CONSTANT, .sum = shift + width};
    if (!take_terms(&output, graph->output) || output.other < 0)
        return false;
    const ts_node *product = &graph->node[output.other];
    return product->operation == TS_PRODUCT && !product->transposed && product->input[0] == graph->role[TS_HIDDEN] &&
           product->input[1] == graph->role[TS_UNEMBED];
}
