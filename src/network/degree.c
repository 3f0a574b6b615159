// Degrees of nodes follow from those of their inputs.
#include "network/degree.h"

#include "base/memory.h"

enum { NONE = -1 };

static int of_activation(ts_activation activation, int degree) {
    switch (activation) {
    case TS_IDENTITY:
    case TS_RELU:
    case TS_ABSOLUTE:
        return degree;
    case TS_SQUARE:
        return 2 * degree;
    case TS_CUBE:
        return 3 * degree;
    default:
        return degree == 0 ? 0 : NONE;
    }
}

static int alike(int x, int y) {
    return x == y ? x : NONE;
}

static int of_node(const ts_node *node, const int *degree) {
    int x = node->inputs > 0 ? degree[node->input[0]] : 0, y = node->inputs > 1 ? degree[node->input[1]] : 0;
    bool any = true;
    for (int i = 0; i < node->inputs; i++)
        any = any && degree[node->input[i]] != NONE;
    if (!any && !(node->operation == TS_ATTEND && node->scale == 0))
        return NONE;
    switch (node->operation) {
    case TS_PARAMETER:
        return 1;
    case TS_INPUT:
        return 0;
    case TS_LOOKUP:
    case TS_SLICE:
        return x;
    case TS_PRODUCT:
    case TS_SCALE:
    case TS_SCORE:
        return x + y;
    case TS_SUM:
    case TS_CONCATENATE:
        return alike(x, y);
    case TS_ACTIVATION:
        return of_activation(node->activation, x);
    case TS_ATTEND: // at rate 0 all weights are 1
        return node->scale == 0 ? 0 : NONE;
    case TS_MIX:
        for (int i = 2; i < node->inputs; i++)
            y = alike(y, degree[node->input[i]]);
        return y == NONE ? NONE : x + y;
    default:
        return NONE;
    }
}

ts_status ts_graph_degree(const ts_graph *graph, int *degree) {
    int *of = ts_alloc((size_t)graph->count * sizeof *of, "a network's degree");
    if (!of)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < graph->count; i++)
        of[i] = of_node(&graph->node[i], of);
    *degree = of[graph->output];
    ts_free(of);
    return TS_OK;
}
