// Any network on the CPU, by its model's definition: each operation a kernel on rows. What depends on one token or on
// none is made once a step; pairs and samples go through all their operations tile by tile, which stays in the cache.
#include "backend/cpu.h"
#include "backend/cpu_pairs.h"
#include "backend/cpu_samples.h"
#include "base/crew.h"
#include "base/tree.h"
#include "model/network.h"
#include "network/plan.h"
#include "task/data.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum {
    TILE = 48,
    TOKEN_BLOCK = 24, // tokens b that come before the next ones
    // Terms of a table's products that are added up at once, which rounds less than one long chain, and as PyTorch does
    // it where rounding decides on which side of its kink a unit of the published S5 run begins.
    TABLE_BLOCK = 64,
};

// Where a node's rows are. Values and gradients of parameters and of what looks up in them lie in the training's.
typedef struct place {
    float *value, *gradient; // gradient NULL: not wanted
    float *transposed;       // of a constant that products need so; NULL: none does
    float *turned;           // its gradient, transposed, while it is summed up over pairs; NULL: as it is
    int rows, stride;
} place;

// A sum over pairs.
typedef struct sum {
    int node;
    float *at; // where it is at last
    size_t numbers;
} sum;

// What a thread takes pairs or samples through the network with: rows of its own for a tile.
typedef struct pass {
    float *gradient[TS_MAX_TENSORS]; // of parameters
    place *place;                    // (nodes)
    ts_row_operation *op;            // (nodes)
    const ts_row_operation *
        *of_pairs; // (pair_operations) those of pairs or samples that are left to do, in their order
    int pair_operations;
} pass;

typedef struct training {
    ts_cpu_training base; // first
    ts_graph graph;
    ts_plan plan;
    pass own; // also of tables, which all threads read
    sum *sum; // (sums)
    int sums;
    size_t summed; // numbers in all of them
    // Several parts (ts_plan_parts): chunks of pairs, which threads share, and the ranks of a team.
    int parts;
    int first, last;     // those of this rank, last included
    pass of_parts;       // of the training's thread; helping ones bring their own
    float *of_part;      // (last + 1 - first, summed) the sums of the subtree that begins with this part
    atomic_int *arrived; // (2 parts) children of the subtree with that number that are made: root 1, then 2, 3
    atomic_int next;     // part that nobody has taken
    atomic_bool finite;  // all losses
    // Of tables.
    ts_cpu_pairs pairs;
    const int *a, *b, *label; // of the instance selected
    // Of features.
    int input;
    ts_cpu_samples samples;
    int instance; // selected
} training;

static bool is_alias(const ts_node *node) {
    return node->operation == TS_PARAMETER || node->operation == TS_LOOKUP;
}

static ts_status set_shape(void *handle) {
    training *t = handle;
    if (t->base.spec.data->table)
        ts_cpu_pairs_begin(&t->pairs, &t->base.spec);
    ts_status status = ts_model_define_training(&t->base.spec.params[0], t->base.spec.data, &t->graph);
    if (status == TS_OK && !t->base.spec.data->table)
        ts_cpu_samples_begin(&t->samples, &t->base.spec, &t->graph);
    if (status == TS_OK)
        status = ts_plan_make(&t->graph, TS_MOST_TOGETHER, &t->plan);
    t->parts = status == TS_OK && t->base.spec.data->table ? ts_plan_parts(&t->plan, t->pairs.train) : 1;
    const ts_team *team = t->base.spec.team;
    int end;
    ts_tree_share(t->parts, team ? team->rank : 0, team ? team->size : 1, &t->first, &end);
    t->last = end - 1;
    return status;
}

// A matrix that multiplies pairs, whose gradient is better summed up transposed: fewer numbers are pads then, and the
// longer rows are read along. Its bits are the same.
static bool is_turned(const training *t, int matrix) {
    const ts_node *node = &t->graph.node[matrix];
    int rows = ts_graph_rows(&t->graph, node, 0);
    bool better = node->width % TS_VECTOR_LANES != 0 || rows > node->width;
    if (!better || !t->plan.step[matrix].single || rows % TS_VECTOR_LANES != 0)
        return false;
    for (int i = 0; i < t->graph.count; i++) {
        const ts_node *product = &t->graph.node[i];
        if (product->operation == TS_PRODUCT && product->domain == TS_PAIR && product->input[1] == matrix)
            return !product->transposed;
    }
    return false;
}

// Tables and constants, with their gradients, are the training's.
static void take_rows(const training *t, pass *p, ts_slab *slab, int index) {
    const ts_node *node = &t->graph.node[index];
    const ts_step *step = &t->plan.step[index];
    bool helps = p != &t->own, of_pairs = node->domain == TS_PAIR;
    place at = {.rows = ts_graph_rows(&t->graph, node, TILE), .stride = TS_PAD(node->width)};
    size_t numbers = (size_t)at.rows * (size_t)at.stride;
    bool lies_here = !is_alias(node) && step->home == index;
    if (helps && !of_pairs && t->own.place)
        at = t->own.place[index];
    if (lies_here && (!helps || of_pairs)) {
        at.value = ts_slab_take_zero(slab, numbers, sizeof(float));
        if (step->in_place)
            at.gradient = at.value;
    }
    if (lies_here && !step->in_place && node->operation != TS_INPUT && (!helps || of_pairs))
        at.gradient = ts_slab_take_zero(slab, numbers, sizeof(float));
    if (is_turned(t, index) && !helps)
        at.turned = ts_slab_take_zero(slab, (size_t)node->width * (size_t)at.rows, sizeof(float));
    if (step->transposed && !helps)
        at.transposed = ts_slab_take(slab, (size_t)at.stride * (size_t)TS_PAD(at.rows), sizeof(float));
    if (p->place)
        p->place[index] = at;
}

// Of parameters whole tensors, as several nodes may have rows of one.
static sum sum_of(const training *t, int index) {
    const ts_node *node = &t->graph.node[index];
    const place *p = t->own.place ? &t->own.place[index] : NULL;
    size_t rows = (size_t)ts_graph_rows(&t->graph, node, 0);
    if (is_turned(t, index))
        return (sum){index, p ? p->turned : NULL, (size_t)node->width * rows};
    if (node->operation != TS_PARAMETER)
        return (sum){index, p ? p->gradient : NULL, rows * (size_t)TS_PAD(node->width)};
    for (int i = 0; i < index; i++)
        if (t->plan.step[i].gathers && t->graph.node[i].operation == TS_PARAMETER &&
            t->graph.node[i].tensor == node->tensor && !is_turned(t, i))
            return (sum){0};
    const ts_padded_tensor *tensor = &t->base.layout.tensor[node->tensor];
    return (sum){index, t->own.gradient[node->tensor], (size_t)(tensor->rows * tensor->stride)};
}

// In both passes of the slab, the first of which has no places yet.
static void find_sums(training *t) {
    t->summed = 0;
    t->sums = 0;
    for (int i = 0; i < t->graph.count; i++) {
        sum found = t->plan.step[i].gathers ? sum_of(t, i) : (sum){0};
        t->summed += found.numbers;
        if (t->sum && found.numbers > 0)
            t->sum[t->sums++] = found;
    }
}

static void take_pass(const training *t, pass *p, ts_slab *slab) {
    size_t nodes = (size_t)t->graph.count;
    if (p != &t->own)
        memcpy(p->gradient, t->own.gradient, sizeof p->gradient);
    p->place = ts_slab_take_zero(slab, nodes, sizeof *p->place);
    p->op = ts_slab_take_zero(slab, nodes, sizeof *p->op);
    p->of_pairs = ts_slab_take(slab, nodes, sizeof *p->of_pairs);
    for (int i = 0; i < t->graph.count; i++)
        take_rows(t, p, slab, i);
    p->pair_operations = 0;
    for (int i = 0; p->of_pairs && i < t->graph.count; i++)
        if (t->graph.node[i].domain == TS_PAIR && !t->plan.step[i].skip)
            p->of_pairs[p->pair_operations++] = &p->op[i];
}

static void take(void *handle) {
    training *t = handle;
    ts_slab *slab = &t->base.slab;
    const ts_data *data = t->base.spec.data;
    for (int i = 0; i < t->graph.layout.count; i++)
        t->own.gradient[i] = t->base.gradient ? t->base.gradient + t->base.layout.tensor[i].offset : NULL;
    take_pass(t, &t->own, slab);
    t->sum = ts_slab_take(slab, (size_t)t->graph.count, sizeof *t->sum);
    find_sums(t);
    if (t->parts > 1) {
        take_pass(t, &t->of_parts, slab);
        t->of_part = ts_slab_take(slab, (size_t)(t->last + 1 - t->first) * t->summed, sizeof *t->of_part);
        t->arrived = ts_slab_take_zero(slab, 2 * (size_t)t->parts, sizeof *t->arrived);
    }
    if (data->table)
        ts_cpu_pairs_take(&t->pairs, &t->base.spec, slab);
    else
        ts_cpu_samples_take(&t->samples, TILE, slab);
}

// Pairs then come in an order in which rows of tables and of their gradients stay in the second-level cache.
static bool mixes_tables(const ts_graph *graph) {
    for (int i = 0; i < graph->count; i++)
        if (graph->node[i].operation == TS_MIX && graph->node[i].domain == TS_PAIR)
            return true;
    return false;
}

static ts_status initialise(void *handle) {
    training *t = handle;
    if (t->base.spec.data->table)
        return ts_cpu_pairs_draw(&t->pairs, &t->base.spec, mixes_tables(&t->graph) ? TOKEN_BLOCK : 0);
    t->input = ts_graph_input_node(&t->graph);
    return ts_cpu_samples_fill(&t->samples);
}

// --- Operations of the instance selected ---

// Rows that lie in the training's parameters or in another node's.
static void place_elsewhere(const training *t, pass *own) {
    for (int i = t->graph.count - 1; i >= 0; i--)
        if (t->plan.step[i].home != i) {
            own->place[i].value = own->place[t->plan.step[i].home].value;
            own->place[i].gradient = own->place[t->plan.step[i].home].gradient;
        }
    for (int i = 0; i < t->graph.count; i++) {
        const ts_node *node = &t->graph.node[i];
        place *p = &own->place[i];
        if (node->operation == TS_PARAMETER) {
            size_t first = (size_t)node->first * (size_t)p->stride;
            p->value = (float *)ts_cpu_weights(&t->base, t->instance, node->tensor) + first;
            p->gradient = own->gradient[node->tensor] + first;
        } else if (node->operation == TS_LOOKUP) {
            p->value = own->place[node->input[0]].value;
            p->gradient = own->place[node->input[0]].gradient;
        }
    }
}

static ts_rows rows_of(const training *t, const pass *own, const ts_node *node, int input) {
    const ts_node *in = &t->graph.node[input];
    const place *p = &own->place[input];
    ts_rows_by by = in->domain == TS_CONSTANT                          ? in->rows > 1 ? TS_BY_ROW : TS_THE_ONLY
                    : node->domain != TS_PAIR || in->domain == TS_PAIR ? TS_BY_ROW
                    : in->domain == TS_LEFT                            ? TS_BY_A
                                                                       : TS_BY_B;
    return (ts_rows){.value = p->value, .gradient = p->gradient, .by = by, .width = in->width, .stride = p->stride};
}

static void set_operation(const training *t, pass *own, int index) {
    const ts_node *node = &t->graph.node[index];
    const ts_step *step = &t->plan.step[index];
    ts_row_operation *op = &own->op[index];
    *op = (ts_row_operation){
        .operation = node->operation,
        .activation = node->activation,
        .scale = (float)step->scale,
        .first = node->operation == TS_SLICE ? node->first : 0,
        .transposed = node->transposed,
        .inputs = step->inputs,
        .depth_block = node->domain == TS_PAIR ? 0 : TABLE_BLOCK,
        .out = own->place[index].value,
        .dout = own->place[index].gradient,
        .before = step->before >= 0 ? &own->op[step->before] : NULL,
        .then = step->then >= 0 ? &own->op[step->then] : NULL,
        .adds = step->adds,
        .width = node->width,
        .stride = own->place[index].stride,
    };
    for (int i = 0; i < step->inputs; i++) {
        op->in[i] = rows_of(t, own, node, step->input[i]);
        op->in[i].set = step->sets[i];
        if (step->shares[i])
            op->in[i].gradient = NULL;
    }
    if (node->operation == TS_PRODUCT) {
        const place *matrix = &own->place[node->input[1]];
        op->matrix_transposed = matrix->transposed;
        op->matrix_rows = matrix->rows;
        op->matrix_stride = TS_PAD(matrix->rows);
        op->turned = node->domain == TS_PAIR ? matrix->turned : NULL;
    }
}

static void set_operations(const training *t, pass *own) {
    place_elsewhere(t, own);
    for (int i = 0; i < t->graph.count; i++)
        set_operation(t, own, i);
}

static void select_instance(void *handle, int instance) {
    training *t = handle;
    t->instance = instance;
    if (t->base.spec.data->table)
        ts_cpu_pairs_of(&t->pairs, instance, &t->a, &t->b, &t->label);
    else
        ts_cpu_samples_select(&t->samples, instance);
    set_operations(t, &t->own);
}

// --- A step ---

static void make_tables(training *t) {
    const ts_kernels *kernels = t->base.kernels;
    for (int i = 0; i < t->graph.count; i++) {
        const ts_step *step = &t->plan.step[i];
        const place *p = &t->own.place[i];
        if (t->graph.node[i].domain == TS_PAIR)
            continue;
        if (!step->skip)
            kernels->operate(&t->own.op[i], p->rows, NULL, NULL);
        if (p->turned)
            memset(p->turned, 0, (size_t)p->rows * (size_t)t->graph.node[i].width * sizeof(float));
        else if (step->clear)
            memset(p->gradient, 0, (size_t)p->rows * (size_t)p->stride * sizeof(float));
        if (step->transposed)
            kernels->transpose(p->value, p->rows, p->stride, p->stride, p->transposed, TS_PAD(p->rows));
    }
}

static void make_tile(const training *t, const pass *p, int rows, const int *a, const int *b) {
    for (int i = 0; i < p->pair_operations; i++)
        t->base.kernels->operate(p->of_pairs[i], rows, a, b);
}

static void tile_back(const training *t, const pass *p, int rows, const int *a, const int *b) {
    for (int i = p->pair_operations - 1; i >= 0; i--)
        t->base.kernels->operate_back(p->of_pairs[i], rows, a, b);
}

static void tables_back(training *t) {
    for (int i = 0; i < t->graph.count; i++) {
        const place *p = &t->own.place[i];
        if (p->turned)
            t->base.kernels->transpose(p->turned, t->graph.node[i].width, p->rows, p->rows, p->gradient, p->stride);
    }
    for (int i = t->graph.count - 1; i >= 0; i--)
        if (t->graph.node[i].domain != TS_PAIR && !t->plan.step[i].skip)
            t->base.kernels->operate_back(&t->own.op[i], t->own.place[i].rows, NULL, NULL);
}

// Of whole tiles, but for the last.
static bool learn_chunk(const training *t, const pass *p, int chunk) {
    const place *out = &p->place[t->graph.output];
    int64_t tiles = (t->pairs.train + TILE - 1) / TILE, first = tiles * chunk / t->parts * TILE;
    int64_t end = tiles * (chunk + 1) / t->parts * TILE;
    end = end < t->pairs.train ? end : t->pairs.train;
    float share = 1.0F / (float)t->pairs.train;
    bool finite = true;
    for (; first < end; first += TILE) {
        int rows = end - first < TILE ? (int)(end - first) : TILE;
        make_tile(t, p, rows, t->a + first, t->b + first);
        if (out->gradient != out->value)
            memcpy(out->gradient, out->value, (size_t)rows * (size_t)out->stride * sizeof(float));
        finite = t->base.kernels->loss(t->graph.loss, out->gradient, rows, out->stride, t->pairs.valid,
                                       t->label + first, share) &&
                 finite;
        tile_back(t, p, rows, t->a + first, t->b + first);
    }
    return finite;
}

// --- Several parts, in a binary tree ---

static float *sums_of(const training *t, int part) {
    return t->of_part + (size_t)(part - t->first) * t->summed;
}

// The pass makes its sums there, from zeros, one after the other.
static void make_sums_at(const training *t, pass *p, float *at) {
    memset(at, 0, t->summed * sizeof *at);
    for (int i = 0; i < t->sums; at += t->sum[i++].numbers) {
        int index = t->sum[i].node;
        if (is_turned(t, index))
            p->place[index].turned = at;
        else if (t->graph.node[index].operation == TS_PARAMETER)
            p->gradient[t->graph.node[index].tensor] = at;
        else
            p->place[index].gradient = at;
    }
    set_operations(t, p);
}

static void take_out(const training *t, const float *from) {
    for (int i = 0; i < t->sums; from += t->sum[i++].numbers)
        memcpy(t->sum[i].at, from, t->sum[i].numbers * sizeof *from);
}

// Whoever makes the second half of a subtree adds both up, where both are this rank's.
static void join_parts(training *t, int part) {
    for (int size = 1, node = t->parts + part; node > 1; size *= 2, node /= 2) {
        part -= part % (2 * size);
        if (part < t->first || part + 2 * size - 1 > t->last || atomic_fetch_add(&t->arrived[node / 2], 1) == 0)
            return;
        float *left = sums_of(t, part);
        const float *right = sums_of(t, part + size);
        for (size_t i = 0; i < t->summed; i++)
            left[i] = left[i] + right[i];
    }
}

static bool take_part(training *t, pass *p) {
    int part = atomic_fetch_add(&t->next, 1);
    if (part > t->last)
        return false;
    make_sums_at(t, p, sums_of(t, part));
    if (!learn_chunk(t, p, part))
        atomic_store(&t->finite, false);
    join_parts(t, part);
    return true;
}

static bool is_part_left(void *handle) {
    training *t = handle;
    return atomic_load(&t->next) <= t->last;
}

static void lead(void *handle) {
    training *t = handle;
    while (take_part(t, &t->of_parts))
        ;
}

// On another thread. Without memory for it the others do its parts.
static void help(void *handle) {
    training *t = handle;
    pass p = {0};
    ts_slab slab = {0};
    for (int both = 0; both < 2; both++) {
        if (both == 1 && ts_slab_reserve(&slab, "a helping thread") != TS_OK)
            return;
        take_pass(t, &p, &slab);
    }
    unsigned before = ts_cpu_begin_steps();
    while (take_part(t, &p) && ts_crew_may_help(t->base.spec.crew))
        ;
    ts_cpu_end_steps(before);
    ts_slab_free(&slab);
}

// The subtrees that this rank has made become the team's total.
static ts_status add_teams(const training *t, bool mine, bool *all) {
    const ts_team *team = t->base.spec.team;
    ts_subtree subtree[TS_MOST_SUBTREES];
    int subtrees = ts_tree_subtrees(t->first, t->last + 1, subtree);
    for (int i = 1; i < subtrees; i++)
        memmove(t->of_part + (size_t)i * t->summed, sums_of(t, subtree[i].first), t->summed * sizeof *t->of_part);
    return team->add_floats(team->context, t->parts, t->of_part, (int64_t)t->summed, mine, all);
}

static ts_status learn_pairs(training *t, bool *finite) {
    if (t->parts == 1) {
        *finite = learn_chunk(t, &t->own, 0);
        return TS_OK;
    }
    for (int i = 0; i < 2 * t->parts; i++)
        atomic_store(&t->arrived[i], 0);
    atomic_store(&t->finite, true);
    atomic_store(&t->next, t->first);
    if (t->base.spec.crew)
        ts_crew_share(t->base.spec.crew, &(ts_crew_work){help, is_part_left, t}, lead);
    else
        lead(t);
    *finite = atomic_load(&t->finite);
    ts_status status = t->base.spec.team ? add_teams(t, *finite, finite) : TS_OK;
    if (status == TS_OK)
        take_out(t, t->of_part);
    return status;
}

static bool learn_samples(training *t, int64_t step) {
    const place *in = &t->own.place[t->input], *out = &t->own.place[t->graph.output];
    double loss = 0;
    ts_cpu_samples_draw(&t->samples, step);
    int all = t->samples.batch.rows;
    for (int first = 0; first < all; first += TILE) {
        int rows = all - first < TILE ? all - first : TILE;
        ts_cpu_samples_enter(&t->samples, first, rows, in->value);
        make_tile(t, &t->own, rows, NULL, NULL);
        if (out->gradient != out->value)
            memcpy(out->gradient, out->value, (size_t)rows * (size_t)out->stride * sizeof(float));
        loss += ts_cpu_samples_loss(&t->samples, t->base.kernels, first, rows, in->value, out->gradient);
        tile_back(t, &t->own, rows, NULL, NULL);
    }
    return isfinite(loss);
}

static ts_status make_gradient(void *handle, int64_t step, bool *finite) {
    training *t = handle;
    ts_status status = TS_OK;
    make_tables(t);
    if (t->base.spec.data->table)
        status = learn_pairs(t, finite);
    else
        *finite = learn_samples(t, step);
    if (status == TS_OK)
        tables_back(t);
    return status;
}

static void end(void *handle) {
    training *t = handle;
    ts_cpu_samples_free(&t->samples);
    ts_plan_free(&t->plan);
    ts_graph_free(&t->graph);
}

static const ts_cpu_model MODEL = {
    .bytes = sizeof(training),
    .set_shape = set_shape,
    .take = take,
    .initialise = initialise,
    .select = select_instance,
    .make_gradient = make_gradient,
    .end = end,
};

static ts_status create(const ts_training_spec *spec, void **handle) {
    return ts_cpu_training_create(&MODEL, spec, handle);
}

const ts_engine ts_cpu_network = {.name = TS_GENERAL,
                                  .help = TS_GENERAL_HELP,
                                  .wide = true,
                                  .shares = true,
                                  .can = ts_cpu_optimiser_can,
                                  .create = create,
                                  TS_CPU_ENGINE_FUNCTIONS};
