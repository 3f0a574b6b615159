// Deciding what is made together.
#include "network/plan.h"

#include "base/memory.h"
#include "network/rewrite.h"

static bool of_pairs(const ts_graph *graph, int node) {
    return graph->node[node].domain == TS_PAIR;
}

// An activation makes the sum before it where nothing else needs that.
static void join_activations(ts_plan *plan, const int *uses) {
    const ts_graph *graph = plan->graph;
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i], *sum = &graph->node[node->input[0]];
        if (node->operation != TS_ACTIVATION || sum->operation != TS_SUM || sum->domain != node->domain ||
            uses[node->input[0]] > 1)
            continue;
        plan->step[node->input[0]].skip = true;
        plan->step[i].inputs = sum->inputs;
        plan->step[i].input = sum->input;
        plan->step[i].scale = sum->scale;
    }
}

// The way back needs what came out, or it is given.
static bool must_stay(const ts_graph *graph, int node) {
    return graph->node[node].operation == TS_ATTEND || graph->node[node].operation == TS_INPUT;
}

// Input j of a sum is of pairs, and nothing else needs it: it can be written into the sum's own rows.
static bool is_term(const ts_graph *graph, const int *uses, const ts_node *sum, int j) {
    return sum->operation == TS_SUM && sum->domain == TS_PAIR && sum->input[0] != sum->input[1] &&
           of_pairs(graph, sum->input[j]) && uses[sum->input[j]] == 1 && !must_stay(graph, sum->input[j]);
}

// It can be added to what another term has left in its rows.
static bool can_add(const ts_graph *graph, const int *uses, int index) {
    const ts_node *node = &graph->node[index];
    return node->operation == TS_PRODUCT || node->operation == TS_MIX ||
           (is_term(graph, uses, node, 0) && can_add(graph, uses, node->input[0]));
}

// The first term of a sum lies in the sum's rows; so does the second where both can be added up there, and then there
// is no sum left to make. From the outermost sum inwards.
static void join_terms(ts_plan *plan, const int *uses) {
    const ts_graph *graph = plan->graph;
    for (int i = graph->count - 1; i >= 0; i--) {
        const ts_node *node = &graph->node[i];
        ts_step *step = &plan->step[i];
        if (step->skip || !is_term(graph, uses, node, 0))
            continue;
        plan->step[node->input[0]].home = step->home;
        step->shares[0] = true;
        if (is_term(graph, uses, node, 1) && node->scale == 1 && can_add(graph, uses, node->input[0]) &&
            can_add(graph, uses, node->input[1])) {
            plan->step[node->input[1]].home = step->home;
            step->shares[1] = step->skip = true;
        }
    }
}

// Of those that write into the same rows the first does, the others add. A sum in its first term's rows always adds.
static void order_terms(ts_plan *plan) {
    int count = plan->graph->count;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i && !plan->step[i].skip; j++)
            if (!plan->step[j].skip && plan->step[j].home == plan->step[i].home)
                plan->step[i].adds = true;
}

// A mixture of tables, in whose rows it may be made together with others.
static bool is_mixture(const ts_plan *plan, int index) {
    const ts_node *node = &plan->graph->node[index];
    bool of_tables = node->operation == TS_MIX && of_pairs(plan->graph, index) && !plan->step[index].skip;
    for (int j = 1; j < node->inputs; j++)
        of_tables = of_tables && !of_pairs(plan->graph, node->input[j]);
    return of_tables;
}

// The activation that alone reads the rows where a mixture lies, or the sum that alone goes on with them in their
// place, if all else that it reads is made before. -1: none.
static int next_of(const ts_plan *plan, int mixture) {
    const ts_graph *graph = plan->graph;
    int home = plan->step[mixture].home, found = -1;
    for (int i = mixture + 1; i < graph->count; i++) {
        const ts_step *step = &plan->step[i];
        bool reads = false;
        for (int j = 0; j < step->inputs; j++)
            reads = reads || plan->step[step->input[j]].home == home;
        if (step->skip || !(reads || step->home == home))
            continue;
        ts_operation operation = graph->node[i].operation;
        bool ready = step->inputs < 2 || !of_pairs(graph, step->input[1]);
        if (found >= 0 || !ready || (operation != TS_ACTIVATION && !(operation == TS_SUM && step->shares[0])))
            return -1;
        found = i;
    }
    return found;
}

// Those that come one after the other in the same rows, so that sums have the order that they have without.
static void join_mixtures(ts_plan *plan, int together) {
    for (int i = 0; i < plan->graph->count; i++) {
        int last = -1, joined = 1;
        if (!is_mixture(plan, i))
            continue;
        for (int j = 0; j < i; j++)
            if (plan->step[j].home == plan->step[i].home && !plan->step[j].skip)
                last = j;
        for (int j = last; j >= 0 && is_mixture(plan, last); j = plan->step[j].before)
            joined++;
        if (last >= 0 && is_mixture(plan, last) && joined <= together && plan->step[last].then < 0) {
            plan->step[i].before = last;
            plan->step[last].skip = true;
        }
        int then = together > 0 ? next_of(plan, i) : -1;
        if (then >= 0) {
            plan->step[i].then = then;
            plan->step[then].skip = true;
        }
    }
}

// Where a node's values and gradient lie: a looked-up matrix's own.
static int owner_of(const ts_graph *graph, int node) {
    while (graph->node[node].operation == TS_LOOKUP)
        node = graph->node[node].input[0];
    return node;
}

// Another parameter node views some of the same rows.
static bool overlaps(const ts_graph *graph, int index) {
    const ts_node *node = &graph->node[index];
    for (int i = 0; i < graph->count; i++) {
        const ts_node *other = &graph->node[i];
        if (i != index && other->operation == TS_PARAMETER && other->tensor == node->tensor &&
            other->first < node->first + node->rows && node->first < other->first + other->rows)
            return true;
    }
    return false;
}

// Whether a user writes a node's whole gradient at once: as the matrix of a product of tables, or row by row.
static bool reaches_all(const ts_graph *graph, const ts_node *user, int input, int owner) {
    const ts_node *of = &graph->node[owner];
    if (of->domain == TS_PAIR)
        return true;
    return user->domain != TS_PAIR && ((user->operation == TS_PRODUCT && input == 1) ||
                                       ts_graph_rows(graph, user, 0) == ts_graph_rows(graph, of, 0));
}

// The operations in the order in which they are taken back. Returns how many.
static int way_back(const ts_plan *plan, int *order) {
    int count = 0;
    for (int i = plan->graph->count - 1; i >= 0; i--) {
        if (plan->step[i].skip)
            continue;
        if (plan->step[i].then >= 0)
            order[count++] = plan->step[i].then;
        for (int j = i; j >= 0; j = plan->step[j].before)
            order[count++] = j;
    }
    return count;
}

// The first operation on the way back to reach a gradient writes it, if it reaches all of it; else it must be 0.
static void order_gradients(ts_plan *plan, int node, const int *order, int count) {
    const ts_graph *graph = plan->graph;
    ts_step *of = &plan->step[node];
    bool alone = graph->node[node].operation != TS_PARAMETER || !overlaps(graph, node);
    bool found = graph->node[node].operation == TS_LOOKUP || node == graph->output;
    int reached = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < plan->step[order[i]].inputs; j++)
            if (owner_of(graph, plan->step[order[i]].input[j]) == node) {
                of->gathers = of->gathers || (!of_pairs(graph, node) && of_pairs(graph, order[i]));
                reached++;
            }
    of->single = alone && reached == 1;
    of->clear = !found && !of_pairs(graph, node);
    for (int i = 0; i < count && !found && alone && !of->gathers; i++) {
        ts_step *user = &plan->step[order[i]];
        for (int j = 0; j < user->inputs && !found; j++) {
            if (owner_of(graph, user->input[j]) != node || user->shares[j])
                continue;
            found = true;
            user->sets[j] = reaches_all(graph, &graph->node[order[i]], j, node);
            of->clear = !user->sets[j];
        }
    }
}

// What reads a node's rows is the loss alone, or one operation that needs them no more when it writes their gradient.
static bool can_lie_in_place(const ts_plan *plan, int node, const int *order, int count) {
    const ts_graph *graph = plan->graph;
    int home = plan->step[node].home, readers = plan->step[graph->output].home == home;
    bool fits = true;
    for (int i = 0; i < count; i++) {
        const ts_step *step = &plan->step[order[i]];
        ts_operation operation = graph->node[order[i]].operation;
        for (int j = 0; j < step->inputs; j++)
            if (plan->step[step->input[j]].home == home && !step->shares[j]) {
                readers++;
                fits = fits && j == 0 && (operation == TS_PRODUCT || operation == TS_ACTIVATION);
            }
    }
    return of_pairs(graph, node) && !must_stay(graph, node) && fits && readers == 1;
}

ts_status ts_plan_make(const ts_graph *graph, int together, ts_plan *plan) {
    size_t count = (size_t)graph->count;
    int *uses = ts_alloc(2 * count * sizeof *uses, "a network");
    *plan = (ts_plan){.graph = graph, .step = ts_alloc_zero(count, sizeof *plan->step, "a network")};
    if (uses && plan->step) {
        ts_graph_count_uses(graph, uses);
        for (int i = 0; i < graph->count; i++) {
            const ts_node *node = &graph->node[i];
            plan->step[i] = (ts_step){.skip = uses[i] == 0,
                                      .inputs = node->inputs,
                                      .input = node->input,
                                      .scale = node->scale,
                                      .home = i,
                                      .before = -1,
                                      .then = -1};
        }
        for (int i = 0; i < graph->count; i++)
            if (uses[i] > 0 && graph->node[i].operation == TS_PRODUCT)
                plan->step[graph->node[i].input[1]].transposed = true;
        join_activations(plan, uses);
        join_terms(plan, uses);
        order_terms(plan);
        join_mixtures(plan, together);
        int *order = uses + count, steps = way_back(plan, order);
        for (int i = 0; i < graph->count; i++)
            order_gradients(plan, i, order, steps);
        for (int i = 0; i < graph->count; i++)
            plan->step[i].in_place = can_lie_in_place(plan, i, order, steps);
    }
    ts_status status = uses && plan->step ? TS_OK : TS_ERROR_MEMORY;
    ts_free(uses);
    return status;
}

double ts_plan_sums(const ts_plan *plan) {
    double sums = 0;
    for (int i = 0; i < plan->graph->count; i++)
        if (plan->step[i].gathers)
            sums += (double)ts_graph_rows(plan->graph, &plan->graph->node[i], 0) * plan->graph->node[i].width;
    return sums;
}

// A part is worth its tree: adding up its sums is little beside making them.
int ts_plan_parts(const ts_plan *plan, int64_t pairs) {
    enum { MOST = 128, WORTH = 256 };                // parts; multiply-adds a number of the sums
    const double least = TS_ONE_PART / 64, ways = 3; // multiply-adds of a part; forwards, and back to both factors
    double work = ways * ts_graph_cost(plan->graph, (double)pairs), sums = ts_plan_sums(plan);
    int parts = 1;
    while (work >= TS_ONE_PART && parts < MOST && work / (2 * parts) >= least && work / (2 * parts) >= WORTH * sums)
        parts *= 2;
    return parts;
}

void ts_plan_free(ts_plan *plan) {
    ts_free(plan->step);
    *plan = (ts_plan){0};
}
