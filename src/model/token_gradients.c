// A token's row has a gradient of its own on each side, also where both sides look up one tensor.
#include "model/token_gradients.h"

#include "model/model.h"
#include "network/pass.h"

#include <string.h>

struct ts_token_gradients {
    ts_graph graph;
    ts_pass pass;
    int row[2];       // nodes
    double *gradient; // (parameters)
    double *own[2];   // (tokens, width)
    ts_slab slab;
};

// The rows of a tensor that a domain's tokens look up; -1: there are none, or several, or they are of no tensor.
static int row_node(const ts_token_gradients *g, int domain) {
    const ts_graph *graph = &g->graph;
    int found = -1, count = 0;
    for (int i = 0; i < graph->count; i++)
        if (graph->node[i].operation == TS_LOOKUP && graph->node[i].domain == domain && g->pass.uses[i] > 0) {
            found = i;
            count++;
        }
    return count == 1 && graph->node[graph->node[found].input[0]].operation == TS_PARAMETER ? found : -1;
}

static ts_status reserve(ts_token_gradients *g, int width) {
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&g->slab, "gradients by tokens") != TS_OK)
            return TS_ERROR_MEMORY;
        g->gradient = ts_slab_take(&g->slab, (size_t)g->graph.layout.total, sizeof(double));
        for (int side = 0; side < 2; side++)
            g->own[side] = ts_slab_take(&g->slab, (size_t)g->graph.tokens * (size_t)width, sizeof(double));
    }
    return TS_OK;
}

ts_status ts_token_gradients_create(const ts_params *params, const double *weights, int most, int *width,
                                    ts_token_gradients **out) {
    ts_token_gradients *g = *out = ts_alloc_zero(1, sizeof *g, "gradients by tokens");
    *width = 0;
    if (!g)
        return TS_ERROR_MEMORY;
    ts_status status = ts_model_define(params, &g->graph);
    ts_graph_forget_roles(&g->graph);
    if (status == TS_OK)
        status = ts_pass_create(&g->graph, most, true, &g->pass);
    if (status != TS_OK)
        return status;
    g->row[0] = row_node(g, TS_LEFT);
    g->row[1] = row_node(g, TS_RIGHT);
    if (g->row[0] < 0 || g->row[1] < 0 || g->graph.node[g->row[0]].width != g->graph.node[g->row[1]].width)
        return TS_OK;
    *width = g->graph.node[g->row[0]].width;
    ts_pass_tables(&g->pass, weights);
    return reserve(g, *width);
}

void ts_token_gradients_free(ts_token_gradients *g) {
    if (!g)
        return;
    ts_pass_free(&g->pass);
    ts_graph_free(&g->graph);
    ts_slab_free(&g->slab);
    ts_free(g);
}

void ts_token_gradients_take(ts_token_gradients *g, int count, const int *a, const int *b, const int *c,
                             const double **left, const double **right) {
    int outputs = g->graph.node[g->graph.output].width;
    size_t rows = (size_t)g->graph.tokens * (size_t)g->graph.node[g->row[0]].width;
    double *slope = g->pass.gradient[g->graph.output];
    ts_pass_batch(&g->pass, count, a, b);
    memset(slope, 0, (size_t)count * (size_t)outputs * sizeof *slope);
    for (int r = 0; r < count; r++)
        slope[r * outputs + c[r]] = 1;
    ts_pass_begin_back(&g->pass, g->gradient);
    for (int side = 0; side < 2; side++) {
        memset(g->own[side], 0, rows * sizeof(double));
        g->pass.gradient[g->row[side]] = g->own[side];
    }
    ts_pass_batch_back(&g->pass, count);
    ts_pass_tables_back(&g->pass);
    *left = g->own[0];
    *right = g->own[1];
}
