// Building the list of operations: shapes and domains.
#include "network/graph.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

void ts_graph_begin(ts_graph *graph, const ts_parameter_layout *layout, int tokens) {
    *graph = (ts_graph){.layout = *layout, .tokens = tokens};
    ts_graph_forget_roles(graph);
}

void ts_graph_restart(ts_graph *graph, const ts_parameter_layout *layout, int tokens) {
    ts_graph old = *graph;
    ts_graph_begin(graph, layout, tokens);
    graph->node = old.node;
    graph->room = old.room;
    graph->slot = old.slot;
    graph->slots = old.slots;
    if (old.slot)
        memset(old.slot, 0xff, (size_t)old.slots * sizeof *old.slot);
}

void ts_graph_set_role(ts_graph *graph, ts_role role, int node) {
    graph->role[role] = node;
}

void ts_graph_forget_roles(ts_graph *graph) {
    for (int i = 0; i < TS_ROLES; i++)
        graph->role[i] = -1;
}

void ts_graph_free(ts_graph *graph) {
    ts_free(graph->node);
    ts_free(graph->slot);
    *graph = (ts_graph){0};
}

static const char *const NAMES[TS_OPERATIONS] = {
    "parameter",  "input", "lookup",    "product", "sum",    "concatenate", "slice",
    "activation", "scale", "normalise", "score",   "attend", "mix",
};

static void need_of(ts_graph *graph, int node, bool fits, ts_operation operation, const char *what) {
    if (!fits && graph->status == TS_OK)
        graph->status = ts_fail(TS_ERROR_FATAL, "a model's network is defined wrongly: node %d (%s): %s", node,
                                NAMES[operation], what);
}

// Whether a node's inputs fit; the first that do not are the graph's fault.
static void need(ts_graph *graph, bool fits, ts_operation operation, const char *what) {
    need_of(graph, graph->count, fits, operation, what);
}

bool ts_node_same(const ts_node *x, const ts_node *y) {
    bool inputs = x->operation == y->operation && x->inputs == y->inputs;
    for (int i = 0; inputs && i < x->inputs; i++)
        inputs = x->input[i] == y->input[i];
    return inputs && x->domain == y->domain && x->rows == y->rows && x->width == y->width && x->tensor == y->tensor &&
           x->first == y->first && x->transposed == y->transposed && x->activation == y->activation &&
           x->scale == y->scale;
}

static uint64_t hash_of(const ts_node *node) {
    uint64_t bits, hash = (uint64_t)node->operation;
    memcpy(&bits, &node->scale, sizeof bits);
    const uint64_t parts[] = {bits,
                              (uint64_t)node->domain,
                              (uint64_t)node->rows,
                              (uint64_t)node->width,
                              (uint64_t)node->tensor,
                              (uint64_t)node->first,
                              (uint64_t)node->transposed,
                              (uint64_t)node->activation,
                              (uint64_t)node->inputs};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = (hash ^ parts[i]) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < node->inputs; i++)
        hash = (hash ^ (uint64_t)node->input[i]) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

// Where the same node is entered, or can be.
static int *slot_of(const ts_graph *graph, const ts_node *node) {
    int at = (int)(hash_of(node) & (uint64_t)(graph->slots - 1));
    while (graph->slot[at] >= 0 && !ts_node_same(&graph->node[graph->slot[at]], node))
        at = (at + 1) & (graph->slots - 1);
    return &graph->slot[at];
}

// Room for another node, and at least as many free slots as nodes.
static bool grow(ts_graph *graph) {
    int room = 64; // a power of 2, whatever the room of a copy
    while (room <= graph->room)
        room *= 2;
    ts_node *node = ts_realloc(graph->node, (size_t)room * sizeof *node, "a network");
    graph->node = node ? node : graph->node;
    int *slot = node ? ts_alloc(2 * (size_t)room * sizeof *slot, "a network") : NULL;
    if (!slot)
        return false;
    ts_free(graph->slot);
    graph->slot = slot;
    graph->slots = 2 * room;
    graph->room = room;
    memset(slot, 0xff, (size_t)graph->slots * sizeof *slot);
    for (int i = 0; i < graph->count; i++)
        *slot_of(graph, &graph->node[i]) = i;
    return true;
}

int ts_graph_add(ts_graph *graph, ts_node node) {
    for (int i = 0; i < node.inputs; i++)
        need(graph, node.input[i] >= 0 && node.input[i] < graph->count, node.operation, "its inputs are earlier nodes");
    if (graph->status == TS_OK && graph->count == graph->room && !grow(graph))
        graph->status = TS_ERROR_MEMORY;
    if (graph->status != TS_OK)
        return -1;
    int *slot = slot_of(graph, &node);
    if (*slot >= 0)
        return *slot;
    graph->node[graph->count] = node;
    *slot = graph->count;
    return graph->count++;
}

ts_status ts_graph_copy(const ts_graph *from, ts_graph *to) {
    *to = *from;
    to->slot = NULL;
    to->slots = 0;
    to->room = to->count;
    to->node = ts_alloc((size_t)from->count * sizeof *to->node, "a network");
    if (!to->node) {
        *to = (ts_graph){0};
        return TS_ERROR_MEMORY;
    }
    memcpy(to->node, from->node, (size_t)from->count * sizeof *to->node);
    return TS_OK;
}

// An earlier node; after a fault, which may have left none, an empty one.
static ts_node at(const ts_graph *graph, int node) {
    return graph->status == TS_OK && node >= 0 && node < graph->count ? graph->node[node] : (ts_node){0};
}

// A node of these inputs, with a row for whatever any of them has rows for, as wide as the first.
static ts_node made_of(ts_graph *graph, ts_operation operation, int inputs, const int *input) {
    ts_node node = {.operation = operation, .rows = 1, .width = at(graph, input[0]).width, .inputs = inputs};
    for (int i = 0; i < inputs; i++) {
        ts_node in = at(graph, input[i]);
        node.input[i] = input[i];
        node.domain |= in.domain;
        node.rows = in.rows > node.rows ? in.rows : node.rows;
    }
    for (int i = 0; i < inputs; i++) {
        int rows = at(graph, input[i]).rows;
        need(graph, rows == 1 || (rows == node.rows && node.domain == TS_CONSTANT), operation,
             "a constant of several rows goes with constants of as many rows only");
    }
    return node;
}

// Of a tensor; 0: there is none.
static int64_t rows_of(const ts_graph *graph, int tensor) {
    if (tensor < 0 || tensor >= graph->layout.count)
        return 0;
    int64_t rows = 1;
    for (int d = 0; d < graph->layout.tensor[tensor].rank - 1; d++)
        rows *= graph->layout.tensor[tensor].size[d];
    return rows;
}

int ts_graph_parameter_rows(ts_graph *graph, int tensor, int first, int rows) {
    need(graph, first >= 0 && rows > 0 && rows <= rows_of(graph, tensor) - first, TS_PARAMETER,
         "there is a tensor with these rows");
    if (graph->status != TS_OK)
        return -1;
    const ts_tensor *of = &graph->layout.tensor[tensor];
    return ts_graph_add(graph, (ts_node){.operation = TS_PARAMETER,
                                         .rows = rows,
                                         .width = (int)of->size[of->rank - 1],
                                         .tensor = tensor,
                                         .first = first});
}

int ts_graph_parameter(ts_graph *graph, int tensor) {
    return ts_graph_parameter_rows(graph, tensor, 0, (int)rows_of(graph, tensor));
}

int ts_graph_input(ts_graph *graph, int width) {
    bool others = false;
    for (int i = 0; i < graph->count; i++)
        others = others || (graph->node[i].operation == TS_INPUT && graph->node[i].width != width);
    need(graph, width > 0 && !others && graph->tokens == 0, TS_INPUT,
         "a network has one, of some width, if it learns samples and not pairs of tokens");
    return ts_graph_add(graph, (ts_node){.operation = TS_INPUT, .domain = TS_SAMPLE, .rows = 1, .width = width});
}

int ts_graph_lookup(ts_graph *graph, int domain, int matrix) {
    ts_node of = at(graph, matrix);
    need(graph, domain == TS_LEFT || domain == TS_RIGHT, TS_LOOKUP, "it is of left or of right tokens");
    need(graph, graph->tokens > 0 && of.domain == TS_CONSTANT && of.rows >= graph->tokens, TS_LOOKUP,
         "there are tokens, and a constant matrix has a row for each");
    return ts_graph_add(
        graph,
        (ts_node){
            .operation = TS_LOOKUP, .domain = domain, .rows = 1, .width = of.width, .inputs = 1, .input = {matrix}});
}

static int product(ts_graph *graph, int x, int matrix, bool transposed) {
    ts_node in = at(graph, x), by = at(graph, matrix);
    need(graph, by.domain == TS_CONSTANT && in.width == (transposed ? by.width : by.rows), TS_PRODUCT,
         "x is as wide as a constant matrix has rows (transposed: columns)");
    return ts_graph_add(graph, (ts_node){.operation = TS_PRODUCT,
                                         .domain = in.domain,
                                         .rows = in.rows,
                                         .width = transposed ? by.rows : by.width,
                                         .inputs = 2,
                                         .input = {x, matrix},
                                         .transposed = transposed});
}

int ts_graph_product(ts_graph *graph, int x, int matrix) {
    return product(graph, x, matrix, false);
}

int ts_graph_product_transposed(ts_graph *graph, int x, int matrix) {
    return product(graph, x, matrix, true);
}

int ts_graph_scaled_sum(ts_graph *graph, int x, double scale, int y) {
    ts_node node = made_of(graph, TS_SUM, 2, (const int[]){x, y});
    need(graph, at(graph, y).width == node.width, TS_SUM, "both are as wide");
    node.scale = scale;
    return ts_graph_add(graph, node);
}

int ts_graph_sum(ts_graph *graph, int x, int y) {
    return ts_graph_scaled_sum(graph, x, 1, y);
}

int ts_graph_concatenate(ts_graph *graph, int x, int y) {
    ts_node node = made_of(graph, TS_CONCATENATE, 2, (const int[]){x, y});
    node.width += at(graph, y).width;
    return ts_graph_add(graph, node);
}

int ts_graph_slice(ts_graph *graph, int x, int first, int width) {
    ts_node node = made_of(graph, TS_SLICE, 1, &x);
    need(graph, first >= 0 && width > 0 && width <= node.width - first, TS_SLICE, "x has these columns");
    node.first = first;
    node.width = width;
    return ts_graph_add(graph, node);
}

int ts_graph_activation(ts_graph *graph, ts_activation activation, int x) {
    ts_node node = made_of(graph, TS_ACTIVATION, 1, &x);
    node.activation = activation;
    return ts_graph_add(graph, node);
}

int ts_graph_scale(ts_graph *graph, int x, int factor) {
    ts_node node = made_of(graph, TS_SCALE, 2, (const int[]){x, factor});
    need(graph, at(graph, factor).width == 1, TS_SCALE, "a factor is one number a row");
    return ts_graph_add(graph, node);
}

int ts_graph_normalise(ts_graph *graph, int x, int gain, int bias) {
    ts_node node = made_of(graph, TS_NORMALISE, 3, (const int[]){x, gain, bias});
    need(graph, at(graph, gain).width == node.width && at(graph, bias).width == node.width, TS_NORMALISE,
         "gain and bias are as wide as x");
    return ts_graph_add(graph, node);
}

int ts_graph_score(ts_graph *graph, double scale, int q, int k) {
    ts_node node = made_of(graph, TS_SCORE, 2, (const int[]){q, k});
    need(graph, at(graph, k).width == node.width, TS_SCORE, "query and key are as wide");
    node.width = 1;
    node.scale = scale;
    return ts_graph_add(graph, node);
}

int ts_graph_attend(ts_graph *graph, double rate, int sources, const int *score) {
    need(graph, sources >= 1 && sources <= TS_MOST_SOURCES, TS_ATTEND, "it has one to three sources");
    if (graph->status != TS_OK)
        return -1;
    ts_node node = made_of(graph, TS_ATTEND, sources, score);
    for (int j = 0; j < sources; j++)
        need(graph, at(graph, score[j]).width == 1, TS_ATTEND, "a score is one number a row");
    node.width = sources;
    node.scale = rate;
    return ts_graph_add(graph, node);
}

int ts_graph_mix(ts_graph *graph, int weights, int sources, const int *value) {
    need(graph, sources >= 1 && sources <= TS_MOST_SOURCES && at(graph, weights).width >= sources, TS_MIX,
         "there is a weight for each value");
    if (graph->status != TS_OK)
        return -1;
    int input[TS_MOST_INPUTS] = {weights};
    for (int j = 0; j < sources; j++)
        input[1 + j] = value[j];
    ts_node node = made_of(graph, TS_MIX, 1 + sources, input);
    node.width = at(graph, value[0]).width;
    for (int j = 1; j < sources; j++)
        need(graph, at(graph, value[j]).width == node.width, TS_MIX, "values are as wide");
    return ts_graph_add(graph, node);
}

ts_status ts_graph_finish(ts_graph *graph, int output) {
    ts_node of = at(graph, output);
    if (graph->status == TS_OK && (output < 0 || output >= graph->count))
        graph->status =
            ts_fail(TS_ERROR_FATAL, "a model's network is defined wrongly: node %d: there is no such node", output);
    need_of(graph, output, of.domain == TS_PAIR && of.operation != TS_INPUT, of.operation,
            "the output is computed, and not the same for all pairs that share a token");
    graph->output = output;
    return graph->status;
}

void ts_graph_count_uses(const ts_graph *graph, int *uses) {
    memset(uses, 0, (size_t)graph->count * sizeof *uses);
    uses[graph->output] = 1;
    for (int i = 0; i < TS_ROLES; i++)
        if (graph->role[i] >= 0)
            uses[graph->role[i]]++;
    for (int i = graph->count - 1; i >= 0; i--)
        for (int j = 0; uses[i] && j < graph->node[i].inputs; j++)
            uses[graph->node[i].input[j]]++;
}

int ts_graph_input_node(const ts_graph *graph) {
    for (int i = 0; i < graph->count; i++)
        if (graph->node[i].operation == TS_INPUT)
            return i;
    return -1;
}

int ts_graph_rows(const ts_graph *graph, const ts_node *node, int batch) {
    return node->domain == TS_CONSTANT ? node->rows : node->domain == TS_PAIR ? batch : graph->tokens;
}

static const double ROOT_2 = 1.41421356237309504880, ROOT_2_PI = 2.50662827463100050242;

double ts_activation_value(ts_activation activation, double x) {
    switch (activation) {
    case TS_RELU:
        return x <= 0 ? 0 : x;
    case TS_SQUARE:
        return x * x;
    case TS_CUBE:
        return x * x * x;
    case TS_ABSOLUTE:
        return fabs(x);
    case TS_GELU:
        return 0.5 * x * erfc(-x / ROOT_2);
    case TS_TANH:
        return tanh(x);
    default:
        return x;
    }
}

double ts_activation_slope(ts_activation activation, double x) {
    switch (activation) {
    case TS_RELU:
        return x <= 0 ? 0 : x > 0 ? 1 : x;
    case TS_SQUARE:
        return 2 * x;
    case TS_CUBE:
        return 3 * x * x;
    case TS_ABSOLUTE:
        return x > 0 ? 1 : x < 0 ? -1 : x;
    case TS_GELU:
        return 0.5 * erfc(-x / ROOT_2) + x * exp(-0.5 * x * x) / ROOT_2_PI;
    case TS_TANH:
        return 1 / cosh(x) / cosh(x); // 1 - tanh^2, without cancellation
    default:
        return 1;
    }
}
