// Any network on the CPU, by its model's definition: each operation a kernel on rows. What depends on one token or on
// none is made once a step; pairs and samples go through all their operations tile by tile, which stays in the cache.
#include "backend/cpu_pairs.h"
#include "model/network.h"
#include "network/plan.h"
#include "task/data.h"

#include <math.h>
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

typedef struct sum {
    float *at;
    size_t numbers;
} sum;

typedef struct training {
    ts_cpu_training base; // first
    ts_graph graph;
    ts_plan plan;
    place *place;         // (nodes)
    ts_row_operation *op; // (nodes)
    const ts_row_operation *
        *of_pairs; // (pair_operations) those of pairs or samples that are left to do, in their order
    int pair_operations;
    int chunks; // of pairs (ts_plan_chunks)
    sum *sum;   // (sums) over pairs
    int sums;
    size_t summed;  // numbers in all of them
    float *waiting; // (log2(chunks), summed) those of the left 1, 2, 4 ... chunks of a subtree
    // Of tables.
    ts_cpu_pairs pairs;
    const int *a, *b, *label; // of the instance selected
    // Of features.
    int input;
    float *scale; // (count, stride): importance / features, pads 0
    int instance; // selected
    ts_feature_batch batch;
} training;

static bool is_alias(const ts_node *node) {
    return node->operation == TS_PARAMETER || node->operation == TS_LOOKUP;
}

static ts_status set_shape(void *handle) {
    training *t = handle;
    if (t->base.spec.data->table)
        ts_cpu_pairs_begin(&t->pairs, &t->base.spec);
    ts_status status = ts_model_define_training(&t->base.spec.params[0], t->base.spec.data, &t->graph);
    if (status == TS_OK)
        status = ts_plan_make(&t->graph, TS_MOST_TOGETHER, &t->plan);
    t->chunks = status == TS_OK && t->base.spec.data->table ? ts_plan_chunks(&t->plan, t->pairs.own) : 1;
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

static void take_rows(training *t, ts_slab *slab, int index) {
    const ts_node *node = &t->graph.node[index];
    const ts_step *step = &t->plan.step[index];
    place p = {.rows = ts_graph_rows(&t->graph, node, TILE), .stride = TS_PAD(node->width)};
    size_t numbers = (size_t)p.rows * (size_t)p.stride;
    bool lies_here = !is_alias(node) && step->home == index;
    if (lies_here) {
        p.value = ts_slab_take_zero(slab, numbers, sizeof(float));
        if (step->in_place)
            p.gradient = p.value;
        else if (node->operation != TS_INPUT)
            p.gradient = ts_slab_take_zero(slab, numbers, sizeof(float));
    }
    if (is_turned(t, index))
        p.turned = ts_slab_take(slab, (size_t)node->width * (size_t)p.rows, sizeof(float));
    if (step->transposed)
        p.transposed = ts_slab_take(slab, (size_t)p.stride * (size_t)TS_PAD(p.rows), sizeof(float));
    if (t->place)
        t->place[index] = p;
}

// Of parameters whole tensors, as several nodes may have rows of one.
static sum sum_of(const training *t, int index) {
    const ts_node *node = &t->graph.node[index];
    if (is_turned(t, index))
        return (sum){t->place ? t->place[index].turned : NULL,
                     (size_t)node->width * (size_t)ts_graph_rows(&t->graph, node, 0)};
    if (node->operation != TS_PARAMETER)
        return (sum){t->place ? t->place[index].gradient : NULL,
                     (size_t)ts_graph_rows(&t->graph, node, 0) * (size_t)TS_PAD(node->width)};
    for (int i = 0; i < index; i++)
        if (t->plan.step[i].gathers && t->graph.node[i].operation == TS_PARAMETER &&
            t->graph.node[i].tensor == node->tensor && !is_turned(t, i))
            return (sum){0};
    const ts_padded_tensor *tensor = &t->base.layout.tensor[node->tensor];
    return (sum){t->place ? ts_cpu_gradient(&t->base, node->tensor) : NULL, (size_t)(tensor->rows * tensor->stride)};
}

// In both passes of the slab, the first of which has no places yet.
static void find_sums(training *t) {
    t->sums = 0;
    t->summed = 0;
    for (int i = 0; i < t->graph.count; i++) {
        sum found = t->plan.step[i].gathers ? sum_of(t, i) : (sum){0};
        t->summed += found.numbers;
        if (t->sum && found.numbers > 0)
            t->sum[t->sums++] = found;
    }
}

static void take(void *handle) {
    training *t = handle;
    ts_slab *slab = &t->base.slab;
    size_t nodes = (size_t)t->graph.count, levels = 0;
    const ts_data *data = t->base.spec.data;
    t->place = ts_slab_take_zero(slab, nodes, sizeof *t->place);
    t->op = ts_slab_take_zero(slab, nodes, sizeof *t->op);
    t->of_pairs = ts_slab_take(slab, nodes, sizeof *t->of_pairs);
    t->sum = ts_slab_take(slab, nodes, sizeof *t->sum);
    for (int i = 0; i < t->graph.count; i++)
        take_rows(t, slab, i);
    find_sums(t);
    for (int rest = t->chunks; rest > 1; rest /= 2)
        levels++;
    t->waiting = ts_slab_take(slab, levels * t->summed, sizeof(float));
    if (data->table)
        ts_cpu_pairs_take(&t->pairs, &t->base.spec, slab);
    else
        t->scale = ts_slab_take_zero(slab, (size_t)t->base.spec.count * (size_t)TS_PAD(data->features->features),
                                     sizeof(float));
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
    for (int i = 0; i < t->graph.count; i++)
        if (t->graph.node[i].domain == TS_PAIR && !t->plan.step[i].skip)
            t->of_pairs[t->pair_operations++] = &t->op[i];
    if (t->base.spec.data->table)
        return ts_cpu_pairs_draw(&t->pairs, &t->base.spec, mixes_tables(&t->graph) ? TOKEN_BLOCK : 0);
    const ts_feature_data *features = t->base.spec.data->features;
    size_t stride = (size_t)TS_PAD(features->features);
    t->input = ts_graph_input_node(&t->graph);
    for (int i = 0; i < t->base.spec.count; i++)
        ts_network_scale(&t->base.spec.params[i], features->features, NULL, t->scale + (size_t)i * stride);
    return ts_feature_batch_create(features, ts_params_integer(&t->base.spec.params[0], "batch"), &t->batch);
}

// --- Operations of the instance selected ---

// Rows that lie in the training's parameters or in another node's.
static void place_elsewhere(training *t, int instance) {
    for (int i = t->graph.count - 1; i >= 0; i--)
        if (t->plan.step[i].home != i) {
            t->place[i].value = t->place[t->plan.step[i].home].value;
            t->place[i].gradient = t->place[t->plan.step[i].home].gradient;
        }
    for (int i = 0; i < t->graph.count; i++) {
        const ts_node *node = &t->graph.node[i];
        place *p = &t->place[i];
        if (node->operation == TS_PARAMETER) {
            size_t first = (size_t)node->first * (size_t)p->stride;
            p->value = (float *)ts_cpu_weights(&t->base, instance, node->tensor) + first;
            p->gradient = ts_cpu_gradient(&t->base, node->tensor) + first;
        } else if (node->operation == TS_LOOKUP) {
            p->value = t->place[node->input[0]].value;
            p->gradient = t->place[node->input[0]].gradient;
        }
    }
}

static ts_rows rows_of(const training *t, const ts_node *node, int input) {
    const ts_node *in = &t->graph.node[input];
    const place *p = &t->place[input];
    ts_rows_by by = in->domain == TS_CONSTANT                          ? in->rows > 1 ? TS_BY_ROW : TS_THE_ONLY
                    : node->domain != TS_PAIR || in->domain == TS_PAIR ? TS_BY_ROW
                    : in->domain == TS_LEFT                            ? TS_BY_A
                                                                       : TS_BY_B;
    return (ts_rows){.value = p->value, .gradient = p->gradient, .by = by, .width = in->width, .stride = p->stride};
}

static void set_operation(training *t, int index) {
    const ts_node *node = &t->graph.node[index];
    const ts_step *step = &t->plan.step[index];
    ts_row_operation *op = &t->op[index];
    *op = (ts_row_operation){
        .operation = node->operation,
        .activation = node->activation,
        .scale = (float)step->scale,
        .first = node->operation == TS_SLICE ? node->first : 0,
        .transposed = node->transposed,
        .inputs = step->inputs,
        .depth_block = node->domain == TS_PAIR ? 0 : TABLE_BLOCK,
        .out = t->place[index].value,
        .dout = t->place[index].gradient,
        .before = step->before >= 0 ? &t->op[step->before] : NULL,
        .then = step->then >= 0 ? &t->op[step->then] : NULL,
        .adds = step->adds,
        .width = node->width,
        .stride = t->place[index].stride,
    };
    for (int i = 0; i < step->inputs; i++) {
        op->in[i] = rows_of(t, node, step->input[i]);
        op->in[i].set = step->sets[i];
        if (step->shares[i])
            op->in[i].gradient = NULL;
    }
    if (node->operation == TS_PRODUCT) {
        const place *matrix = &t->place[node->input[1]];
        op->matrix_transposed = matrix->transposed;
        op->matrix_rows = matrix->rows;
        op->matrix_stride = TS_PAD(matrix->rows);
        op->turned = node->domain == TS_PAIR ? matrix->turned : NULL;
    }
}

static void select_instance(void *handle, int instance) {
    training *t = handle;
    t->instance = instance;
    if (t->base.spec.data->table)
        ts_cpu_pairs_of(&t->pairs, instance, &t->a, &t->b, &t->label);
    place_elsewhere(t, instance);
    for (int i = 0; i < t->graph.count; i++)
        set_operation(t, i);
}

// --- A step ---

static void make_tables(training *t) {
    const ts_kernels *kernels = t->base.kernels;
    for (int i = 0; i < t->graph.count; i++) {
        const ts_step *step = &t->plan.step[i];
        const place *p = &t->place[i];
        if (t->graph.node[i].domain == TS_PAIR)
            continue;
        if (!step->skip)
            kernels->operate(&t->op[i], p->rows, NULL, NULL);
        if (p->turned)
            memset(p->turned, 0, (size_t)p->rows * (size_t)t->graph.node[i].width * sizeof(float));
        else if (step->clear)
            memset(p->gradient, 0, (size_t)p->rows * (size_t)p->stride * sizeof(float));
        if (step->transposed)
            kernels->transpose(p->value, p->rows, p->stride, p->stride, p->transposed, TS_PAD(p->rows));
    }
}

static void make_tile(training *t, int rows, const int *a, const int *b) {
    for (int i = 0; i < t->pair_operations; i++)
        t->base.kernels->operate(t->of_pairs[i], rows, a, b);
}

static void tile_back(training *t, int rows, const int *a, const int *b) {
    for (int i = t->pair_operations - 1; i >= 0; i--)
        t->base.kernels->operate_back(t->of_pairs[i], rows, a, b);
}

static void tables_back(training *t) {
    for (int i = 0; i < t->graph.count; i++) {
        const place *p = &t->place[i];
        if (p->turned)
            t->base.kernels->transpose(p->turned, t->graph.node[i].width, p->rows, p->rows, p->gradient, p->stride);
    }
    for (int i = t->graph.count - 1; i >= 0; i--)
        if (t->graph.node[i].domain != TS_PAIR && !t->plan.step[i].skip)
            t->base.kernels->operate_back(&t->op[i], t->place[i].rows, NULL, NULL);
}

static bool learn_chunk(training *t, int64_t first, int64_t end) {
    const place *out = &t->place[t->graph.output];
    float share = 1.0F / (float)t->pairs.train;
    bool finite = true;
    for (; first < end; first += TILE) {
        int rows = end - first < TILE ? (int)(end - first) : TILE;
        make_tile(t, rows, t->a + first, t->b + first);
        if (out->gradient != out->value)
            memcpy(out->gradient, out->value, (size_t)rows * (size_t)out->stride * sizeof(float));
        finite = t->base.kernels->loss(t->graph.loss, out->gradient, rows, out->stride, t->pairs.valid,
                                       t->label + first, share) &&
                 finite;
        tile_back(t, rows, t->a + first, t->b + first);
    }
    return finite;
}

// The sums over the pairs of a chunk: of the subtree that it completes, with the chunks before it, to the left. Unless
// it is the last one, they wait, and the next chunk begins with zeros.
static void end_chunk(training *t, int chunk) {
    float *waiting = t->waiting;
    for (int left = chunk; left % 2 == 1; left /= 2, waiting += t->summed) {
        const float *from = waiting;
        for (int i = 0; i < t->sums; from += t->sum[i++].numbers)
            for (size_t j = 0; j < t->sum[i].numbers; j++)
                t->sum[i].at[j] = from[j] + t->sum[i].at[j];
    }
    for (int i = 0; i < t->sums && chunk + 1 < t->chunks; waiting += t->sum[i++].numbers) {
        memcpy(waiting, t->sum[i].at, t->sum[i].numbers * sizeof *waiting);
        memset(t->sum[i].at, 0, t->sum[i].numbers * sizeof *waiting);
    }
}

static bool learn_pairs(training *t) {
    bool finite = true;
    for (int chunk = 0; chunk < t->chunks; chunk++) {
        finite = learn_chunk(t, t->pairs.own * chunk / t->chunks, t->pairs.own * (chunk + 1) / t->chunks) && finite;
        end_chunk(t, chunk);
    }
    return finite;
}

static bool learn_samples(training *t, int64_t step) {
    const ts_params *params = &t->base.spec.params[t->instance];
    const place *in = &t->place[t->input], *out = &t->place[t->graph.output];
    const float *scale = t->scale + (size_t)t->instance * (size_t)out->stride;
    const ts_feature_batch *batch = &t->batch;
    const ts_team *team = t->base.spec.team;
    double loss = 0;
    ts_feature_draw(t->base.spec.data->features, (uint64_t)ts_params_integer(params, "seed"), TS_STREAM_BATCH,
                    (uint32_t)step, ts_params_integer(params, "batch"), &t->batch);
    int64_t rank = team ? team->rank : 0, ranks = team ? team->size : 1;
    int first = (int)(batch->rows * rank / ranks), end = (int)(batch->rows * (rank + 1) / ranks);
    for (; first < end; first += TILE) {
        int rows = end - first < TILE ? end - first : TILE;
        memset(in->value, 0, (size_t)rows * (size_t)in->stride * sizeof(float));
        for (int r = 0; r < rows; r++)
            for (int e = batch->begin[first + r]; e < batch->end[first + r]; e++)
                in->value[r * in->stride + batch->active[e]] = batch->value ? batch->value[e] : 1;
        make_tile(t, rows, NULL, NULL);
        if (out->gradient != out->value)
            memcpy(out->gradient, out->value, (size_t)rows * (size_t)out->stride * sizeof(float));
        loss +=
            t->base.kernels->loss_of_squares(out->gradient, in->value, scale, batch->weight + first, rows, out->stride);
        tile_back(t, rows, NULL, NULL);
    }
    return isfinite(loss);
}

static bool make_gradient(void *handle, int64_t step) {
    training *t = handle;
    make_tables(t);
    bool finite = t->base.spec.data->table ? learn_pairs(t) : learn_samples(t, step);
    tables_back(t);
    return finite;
}

static void end(void *handle) {
    training *t = handle;
    ts_feature_batch_free(&t->batch);
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
                                  .can = ts_cpu_optimiser_can,
                                  .create = create,
                                  TS_CPU_ENGINE_FUNCTIONS};
