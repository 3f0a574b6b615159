// Rules, their application, and the choice between them.
#include "network/rewrite.h"

#include "base/memory.h"

#include <pthread.h>
#include <string.h>

// For each tensor M, whether (x + y) M becomes x M + y M, and whether (x A) M becomes x (A M).
typedef struct choice {
    bool distribute[TS_MAX_TENSORS], fold[TS_MAX_TENSORS];
} choice;

// One graph being made from another.
typedef struct rewriting {
    const ts_graph *from;
    ts_graph *to;
    const choice *choice;
    int *made; // (from->count) the node of `to` that is a node of `from`
    int *uses; // (from->count)
    int *term; // (TS_MOST_INPUTS * from->count) scratch
    double *factor;
} rewriting;

static const ts_node *input_of(const rewriting *w, const ts_node *node, int i) {
    return &w->from->node[node->input[i]];
}

// --- Rules. Each returns the node of `to` that takes a node's place; -1: it does not apply. ---

// [x, y] M = x M_1 + y M_2 with M's upper and lower rows.
static int split_concatenation(const rewriting *w, const ts_node *x, const ts_node *matrix) {
    if (x->operation != TS_CONCATENATE || matrix->operation != TS_PARAMETER)
        return -1;
    int upper = input_of(w, x, 0)->width, lower = input_of(w, x, 1)->width;
    int m_1 = ts_graph_parameter_rows(w->to, matrix->tensor, matrix->first, upper);
    int m_2 = ts_graph_parameter_rows(w->to, matrix->tensor, matrix->first + upper, lower);
    return ts_graph_sum(w->to, ts_graph_product(w->to, w->made[x->input[0]], m_1),
                        ts_graph_product(w->to, w->made[x->input[1]], m_2));
}

// (x + s y) M = x M + s (y M): of pairs, where chosen; of a table and a constant, as the table may serve both sides.
static int distribute(const rewriting *w, const ts_node *x, const ts_node *matrix, int by) {
    if (x->operation != TS_SUM || x->domain == TS_CONSTANT)
        return -1;
    bool chosen = x->domain == TS_PAIR ? matrix->operation == TS_PARAMETER && w->choice->distribute[matrix->tensor]
                                       : input_of(w, x, 1)->domain == TS_CONSTANT;
    return chosen ? ts_graph_scaled_sum(w->to, ts_graph_product(w->to, w->made[x->input[0]], by), x->scale,
                                        ts_graph_product(w->to, w->made[x->input[1]], by))
                  : -1;
}

// (sum_j w_j v_j) M = sum_j w_j (v_j M), where the v_j are tables.
static int push_into_mixture(const rewriting *w, const ts_node *x, int by) {
    int value[TS_MOST_SOURCES];
    if (x->operation != TS_MIX)
        return -1;
    for (int j = 1; j < x->inputs; j++) {
        if (input_of(w, x, j)->domain == TS_PAIR)
            return -1;
        value[j - 1] = ts_graph_product(w->to, w->made[x->input[j]], by);
    }
    return ts_graph_mix(w->to, w->made[x->input[0]], x->inputs - 1, value);
}

// (x A) M = x (A M), where chosen.
static int fold(const rewriting *w, const ts_node *x, const ts_node *matrix, int by) {
    if (x->operation != TS_PRODUCT || x->transposed || matrix->operation != TS_PARAMETER ||
        !w->choice->fold[matrix->tensor])
        return -1;
    return ts_graph_product(w->to, w->made[x->input[0]], ts_graph_product(w->to, w->made[x->input[1]], by));
}

static int rewrite_product(const rewriting *w, const ts_node *node) {
    const ts_node *x = input_of(w, node, 0), *matrix = input_of(w, node, 1);
    int by = w->made[node->input[1]], made = -1;
    if (node->transposed)
        return -1;
    if (x->operation == TS_LOOKUP) // a table's product, for both sides at once
        return ts_graph_lookup(w->to, x->domain, ts_graph_product(w->to, w->made[x->input[0]], by));
    made = split_concatenation(w, x, matrix);
    made = made >= 0 ? made : distribute(w, x, matrix, by);
    made = made >= 0 ? made : push_into_mixture(w, x, by);
    return made >= 0 ? made : fold(w, x, matrix, by);
}

// Weights of attention add up to S = rate + (1 - rate) sources. With a constant as the last source v_c
//     sum_j w_j v_j = S v_c + sum over the others of w_j (v_j - v_c).
static int take_out_constant_source(const rewriting *w, const ts_node *node) {
    const ts_node *weights = input_of(w, node, 0);
    int others = node->inputs - 2, value[TS_MOST_SOURCES];
    if (others < 1 || weights->operation != TS_ATTEND || weights->inputs != others + 1 ||
        input_of(w, node, others + 1)->domain != TS_CONSTANT)
        return -1;
    int constant = w->made[node->input[others + 1]];
    for (int j = 0; j < others; j++)
        value[j] = ts_graph_scaled_sum(w->to, w->made[node->input[1 + j]], -1, constant);
    int mixed = ts_graph_mix(w->to, w->made[node->input[0]], others, value);
    return ts_graph_scaled_sum(w->to, mixed, weights->scale + (1 - weights->scale) * (others + 1), constant);
}

// Terms of a sum, each with a factor. There is room for one an input of any node.
typedef struct terms {
    int count;
    int *node; // of `from`
    double *factor;
} terms;

// Through sums of the same domain that nothing else needs.
static void find_terms(const rewriting *w, int index, int domain, double factor, terms *found) {
    const ts_node *node = &w->from->node[index];
    for (int i = 0; i < 2; i++) {
        int input = node->input[i];
        double by = i == 0 ? factor : factor * node->scale;
        const ts_node *in = &w->from->node[input];
        if (in->operation == TS_SUM && in->domain == domain && w->uses[input] == 1) {
            find_terms(w, input, domain, by, found);
        } else {
            found->node[found->count] = input;
            found->factor[found->count++] = by;
        }
    }
}

// Adds those of a domain to a sum (-1: none yet). -2: the first of them has a factor.
static int add_terms(const rewriting *w, const terms *found, int domain, int sum) {
    for (int i = 0; i < found->count && sum > -2; i++) {
        int term = w->made[found->node[i]];
        if (w->from->node[found->node[i]].domain != domain)
            continue;
        if (sum >= 0)
            sum = ts_graph_scaled_sum(w->to, sum, found->factor[i], term);
        else
            sum = found->factor[i] == 1 ? term : -2;
    }
    return sum;
}

// What depends on less is added up first.
static int gather_sum(const rewriting *w, int index) {
    terms found = {.node = w->term, .factor = w->factor};
    int domain = w->from->node[index].domain;
    find_terms(w, index, domain, 1, &found);
    if (found.count < 3)
        return -1;
    int sum = add_terms(w, &found, domain, -1), constant = add_terms(w, &found, TS_CONSTANT, -1);
    int side[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        side[i] = domain == TS_PAIR ? add_terms(w, &found, i == 0 ? TS_LEFT : TS_RIGHT, -1) : -1;
        if (side[i] >= 0 && constant >= 0) {
            side[i] = ts_graph_sum(w->to, side[i], constant);
            constant = -1;
        }
    }
    const int rest[] = {side[0], side[1], constant};
    for (int i = 0; i < 3 && sum > -2; i++) {
        if (rest[i] != -1)
            sum = rest[i] < 0 ? -2 : sum < 0 ? rest[i] : ts_graph_sum(w->to, sum, rest[i]);
    }
    return sum < 0 ? -1 : sum;
}

// x M + s y M = (x + s y) M, of constants: one product less to go through a matrix for.
static int factor_out(const rewriting *w, const ts_node *node) {
    const ts_node *x = input_of(w, node, 0), *y = input_of(w, node, 1);
    if (x->operation != TS_PRODUCT || y->operation != TS_PRODUCT || x->input[1] != y->input[1] || x->transposed ||
        y->transposed || x->rows != 1 || y->rows != 1)
        return -1;
    int sum = ts_graph_scaled_sum(w->to, w->made[x->input[0]], node->scale, w->made[y->input[0]]);
    return ts_graph_product(w->to, sum, w->made[x->input[1]]);
}

static int rewrite_sum(const rewriting *w, int index) {
    const ts_node *node = &w->from->node[index];
    return node->domain == TS_CONSTANT ? factor_out(w, node) : gather_sum(w, index);
}

// --- Applying them ---

static int copy(const rewriting *w, ts_node node) {
    for (int i = 0; i < node.inputs; i++)
        node.input[i] = w->made[node.input[i]];
    return ts_graph_add(w->to, node);
}

// Leaves out what the output does not need; scratch: (count). Nothing can be added then.
static void prune(ts_graph *graph, int *scratch) {
    int kept = 0;
    ts_graph_count_uses(graph, scratch);
    for (int i = 0; i < graph->count; i++) {
        if (!scratch[i])
            continue;
        ts_node node = graph->node[i];
        for (int j = 0; j < node.inputs; j++)
            node.input[j] = scratch[node.input[j]];
        graph->node[kept] = node;
        scratch[i] = kept++; // from a number of uses to the new place
    }
    graph->output = scratch[graph->output];
    for (int i = 0; i < TS_ROLES; i++)
        if (graph->role[i] >= 0)
            graph->role[i] = scratch[graph->role[i]];
    graph->count = kept;
}

// What rewriting needs again and again.
typedef struct workspace {
    ts_graph graph[2];
    int nodes;      // there is room for
    int *numbers;   // (nodes, 2 + TS_MOST_INPUTS)
    double *factor; // (nodes, TS_MOST_INPUTS)
    double gone;    // nodes that rules have been tried on
} workspace;

static void free_workspace(workspace *space) {
    ts_graph_free(&space->graph[0]);
    ts_graph_free(&space->graph[1]);
    ts_free(space->numbers);
    ts_free(space->factor);
}

static ts_status make_room(workspace *space, int nodes) {
    if (nodes <= space->nodes)
        return TS_OK;
    ts_free(space->numbers);
    ts_free(space->factor);
    size_t count = 2 * (size_t)nodes;
    space->numbers = ts_alloc(count * (2 + TS_MOST_INPUTS) * sizeof *space->numbers, "a network");
    space->factor = ts_alloc(count * TS_MOST_INPUTS * sizeof *space->factor, "a network");
    space->nodes = space->numbers && space->factor ? (int)count : 0;
    return space->nodes ? TS_OK : TS_ERROR_MEMORY;
}

static int rewrite_node(const rewriting *w, int index) {
    const ts_node *node = &w->from->node[index];
    switch (node->operation) {
    case TS_PRODUCT:
        return rewrite_product(w, node);
    case TS_MIX:
        return take_out_constant_source(w, node);
    case TS_SUM:
        return rewrite_sum(w, index);
    default:
        return -1;
    }
}

// What the output needs of `from`, with each rule applied where it can be.
static ts_status apply(workspace *space, const ts_graph *from, const choice *chosen, ts_graph *to) {
    ts_status status = make_room(space, from->count);
    if (status != TS_OK)
        return status;
    rewriting w = {.from = from,
                   .to = to,
                   .choice = chosen,
                   .made = space->numbers,
                   .uses = space->numbers + from->count,
                   .term = space->numbers + 2 * (size_t)from->count,
                   .factor = space->factor};
    space->gone += from->count;
    ts_graph_restart(to, &from->layout, from->tokens);
    to->loss = from->loss;
    to->penalised = from->penalised;
    ts_graph_count_uses(from, w.uses);
    for (int i = 0; i < from->count; i++) {
        if (!w.uses[i])
            continue;
        int made = rewrite_node(&w, i);
        w.made[i] = made >= 0 ? made : copy(&w, from->node[i]);
    }
    for (int i = 0; i < TS_ROLES && to->status == TS_OK; i++)
        if (from->role[i] >= 0)
            ts_graph_set_role(to, i, w.made[from->role[i]]);
    status = ts_graph_finish(to, to->status == TS_OK ? w.made[from->output] : 0);
    if (status == TS_OK)
        status = make_room(space, to->count);
    if (status == TS_OK)
        prune(to, space->numbers);
    return status;
}

static bool same_graph(const ts_graph *x, const ts_graph *y) {
    bool same = x->count == y->count && x->output == y->output && memcmp(x->role, y->role, sizeof x->role) == 0;
    for (int i = 0; same && i < x->count; i++)
        same = ts_node_same(&x->node[i], &y->node[i]);
    return same;
}

// Until no rule changes anything. *to: one of the workspace's.
static ts_status apply_all(workspace *space, const ts_graph *from, const choice *chosen, const ts_graph **to) {
    enum { MOST_TURNS = 64 };
    ts_status status = apply(space, from, chosen, &space->graph[0]);
    int now = 0;
    for (int turn = 0; status == TS_OK && turn < MOST_TURNS; turn++) {
        status = apply(space, &space->graph[now], chosen, &space->graph[1 - now]);
        now = 1 - now;
        if (status == TS_OK && same_graph(&space->graph[0], &space->graph[1]))
            break;
    }
    *to = &space->graph[now];
    return status;
}

double ts_graph_cost(const ts_graph *graph, double pairs) {
    double cost = 0;
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i];
        double rows = node->domain == TS_PAIR ? pairs : ts_graph_rows(graph, node, 0), each = 2.0 * node->width;
        if (node->operation == TS_PARAMETER || node->operation == TS_LOOKUP || node->operation == TS_INPUT)
            each = 0;
        else if (node->operation == TS_PRODUCT)
            each = (double)graph->node[node->input[0]].width * node->width;
        else if (node->operation == TS_MIX)
            each = 3.0 * (node->inputs - 1) * node->width;
        else if (node->operation == TS_SCORE)
            each = 3.0 * graph->node[node->input[0]].width;
        cost += rows * each;
    }
    return cost;
}

static ts_status cost_of(workspace *space, const ts_graph *from, const choice *chosen, double pairs, double *cost) {
    const ts_graph *to;
    ts_status status = apply_all(space, from, chosen, &to);
    *cost = status == TS_OK ? ts_graph_cost(to, pairs) : 0;
    return status;
}

// Whether a tensor's rows are a factor of some product, so that decisions about it matter.
static bool multiplies(const ts_graph *graph, int tensor) {
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i];
        const ts_node *matrix = node->operation == TS_PRODUCT ? &graph->node[node->input[1]] : node;
        if (matrix != node && matrix->operation == TS_PARAMETER && matrix->tensor == tensor)
            return true;
    }
    return false;
}

// Nodes after which no more decisions are tried: some seconds. Networks of many layers and heads come to it, those of one
// layer with 256 heads do not.
static const double MOST_GONE = 8e6;

// Changes one decision after the other for the better, until none is.
static ts_status improve(workspace *space, const ts_graph *from, double pairs, choice *best, double *cost) {
    ts_status status = cost_of(space, from, best, pairs, cost);
    space->gone = 0;
    for (bool better = true; better && status == TS_OK;) {
        better = false;
        for (int t = 0; t < 2 * from->layout.count && status == TS_OK; t++) {
            if (!multiplies(from, t / 2) || space->gone > MOST_GONE)
                continue;
            choice other = *best;
            bool *decision = t % 2 == 0 ? &other.distribute[t / 2] : &other.fold[t / 2];
            *decision = !*decision;
            double now;
            status = cost_of(space, from, &other, pairs, &now);
            if (status == TS_OK && now < *cost) {
                *best = other;
                *cost = now;
                better = true;
            }
        }
    }
    return status;
}

static ts_status rewrite(const ts_graph *from, double pairs, ts_graph *to) {
    workspace space = {0};
    choice none = {0}, all;
    double without, with;
    const ts_graph *best;
    for (int t = 0; t < TS_MAX_TENSORS; t++)
        all.distribute[t] = all.fold[t] = true;
    ts_status status = improve(&space, from, pairs, &none, &without);
    if (status == TS_OK)
        status = improve(&space, from, pairs, &all, &with);
    if (status == TS_OK)
        status = apply_all(&space, from, without <= with ? &none : &all, &best);
    if (status == TS_OK)
        status = ts_graph_copy(best, to);
    free_workspace(&space);
    return status;
}

// The last graphs that were rewritten: those of a sweep are alike, and measures ask again and again.
enum { KEPT = 16 };
static struct {
    pthread_mutex_t lock;
    struct {
        ts_graph from, to; // nothing: no graph
        double pairs;
    } entry[KEPT];
    int next;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

// TS_STOPPED: it is not among them.
static ts_status find_kept(const ts_graph *from, double pairs, ts_graph *to) {
    ts_status status = TS_STOPPED;
    pthread_mutex_lock(&kept.lock);
    for (int i = 0; i < KEPT && status == TS_STOPPED; i++)
        if (kept.entry[i].from.node && kept.entry[i].pairs == pairs && kept.entry[i].from.tokens == from->tokens &&
            kept.entry[i].from.layout.count == from->layout.count && same_graph(&kept.entry[i].from, from))
            status = ts_graph_copy(&kept.entry[i].to, to);
    pthread_mutex_unlock(&kept.lock);
    to->layout = from->layout;
    to->loss = from->loss;
    to->penalised = from->penalised;
    return status;
}

// Without memory for it, it is not kept.
static void keep(const ts_graph *from, double pairs, const ts_graph *to) {
    ts_graph of = {0}, rewritten = {0};
    bool copied = ts_graph_copy(from, &of) == TS_OK && ts_graph_copy(to, &rewritten) == TS_OK;
    pthread_mutex_lock(&kept.lock);
    if (copied) {
        ts_graph_free(&kept.entry[kept.next].from);
        ts_graph_free(&kept.entry[kept.next].to);
        kept.entry[kept.next].from = of;
        kept.entry[kept.next].to = rewritten;
        kept.entry[kept.next].pairs = pairs;
        kept.next = (kept.next + 1) % KEPT;
    } else {
        ts_graph_free(&of);
        ts_graph_free(&rewritten);
    }
    pthread_mutex_unlock(&kept.lock);
}

ts_status ts_graph_rewrite(const ts_graph *from, double pairs, ts_graph *to) {
    *to = (ts_graph){0};
    ts_status status = find_kept(from, pairs, to);
    if (status != TS_STOPPED)
        return status;
    status = rewrite(from, pairs, to);
    if (status == TS_OK)
        keep(from, pairs, to);
    return status;
}
