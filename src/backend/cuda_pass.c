// Where rows lie, and the kernels of a step in their order.
#include "backend/cuda_pass.h"

#include "base/memory.h"
#include "cuda/tree.h"

enum {
    PART_PAIRS = 1024, // pairs summed at once into the gradient of a matrix
    STRETCH = 256,     // rows summed at once into that of a row which all of them share
};

static bool is_alias(const ts_node *node) {
    return node->operation == TS_PARAMETER || node->operation == TS_LOOKUP;
}

static const ts_node *input_of(const ts_cuda_pass *p, int index, int input) {
    return &p->graph->node[p->plan.step[index].input[input]];
}

// What a sample is given as has no gradient.
static bool goes_back(const ts_cuda_pass *p, int index, int input) {
    return input_of(p, index, input)->operation != TS_INPUT;
}

static int parts_of(int rows, int part) {
    return rows > part ? (rows - 1) / part + 1 : 1;
}

static ts_cuda_which which_of(const ts_cuda_pass *p, int index, int input) {
    const ts_node *node = &p->graph->node[index], *in = input_of(p, index, input);
    if (in->domain == TS_CONSTANT)
        return in->rows > 1 || (node->domain == TS_CONSTANT && node->rows == 1) ? TS_ROW_SAME : TS_ROW_ONLY;
    if (node->domain != TS_PAIR || in->domain == TS_PAIR)
        return TS_ROW_SAME;
    return in->domain == TS_LEFT ? TS_ROW_OF_LEFT : TS_ROW_OF_RIGHT;
}

// --- Memory ---

static void enlarge(int64_t *most, int64_t floats) {
    *most = floats > *most ? floats : *most;
}

// What the way back through a node needs beside its rows.
static void add_scratch(ts_cuda_pass *p, int index) {
    const ts_node *node = &p->graph->node[index];
    const ts_step *step = &p->plan.step[index];
    int rows = p->place[index].rows;
    for (int j = 0; j < step->inputs; j++) {
        int64_t stride = p->place[step->input[j]].stride;
        if (node->operation == TS_PRODUCT) {
            int64_t parts = node->domain == TS_PAIR ? parts_of(rows, PART_PAIRS) : 1;
            if (j == 1 && parts > 1)
                enlarge(&p->partial_floats, parts * p->place[step->input[j]].rows * stride);
        } else if (which_of(p, index, j) != TS_ROW_SAME) {
            enlarge(&p->scratch_floats, rows * stride);
            enlarge(&p->partial_floats, parts_of(rows, STRETCH) * stride);
        }
    }
}

static void set_place(ts_cuda_pass *p, int index) {
    const ts_node *node = &p->graph->node[index];
    ts_cuda_node_rows *place = &p->place[index];
    place->rows = ts_graph_rows(p->graph, node, p->pairs);
    place->stride = TS_QUAD_PAD(node->width);
    if (p->plan.step[index].skip || is_alias(node))
        return;
    p->place[p->plan.step[index].home].used = true;
    if (node->domain == TS_PAIR)
        return;
    int64_t floats = (int64_t)place->rows * place->stride;
    if (p->parts > 1 && p->plan.step[index].gathers) {
        place->cleared = p->summed;
        p->summed += floats;
    } else {
        place->cleared = p->cleared_floats;
        p->cleared_floats += p->instances * floats;
    }
}

// Parameters that pairs add to, from the first of such a tensor to the last: few others are between them.
static void set_summed_parameters(ts_cuda_pass *p) {
    int first = p->layout->tensors, last = -1;
    for (int i = 0; i < p->graph->count && p->parts > 1; i++) {
        const ts_node *node = &p->graph->node[i];
        if (node->operation != TS_PARAMETER || !p->plan.step[i].gathers)
            continue;
        first = node->tensor < first ? node->tensor : first;
        last = node->tensor > last ? node->tensor : last;
    }
    if (last < 0)
        return;
    const ts_padded_tensor *end = &p->layout->tensor[last];
    p->summed_from = p->layout->tensor[first].offset;
    p->summed_parameters = end->offset + end->rows * end->stride - p->summed_from;
    p->summed = p->summed_parameters;
}

ts_status ts_cuda_pass_create(const ts_graph *graph, const ts_padded_layout *layout, int instances, int rows,
                              ts_cuda_pass *pass) {
    *pass = (ts_cuda_pass){
        .graph = graph,
        .layout = layout,
        .instances = instances,
        .cleared_floats = instances * layout->padded,
    };
    ts_status status = ts_plan_make(graph, 0, &pass->plan);
    if (status == TS_OK) {
        int parts = graph->tokens > 0 ? ts_plan_parts(&pass->plan, rows) : 1;
        pass->parts = parts < TS_CUDA_MOST_PARTS ? parts : TS_CUDA_MOST_PARTS;
        pass->pairs = (rows - 1) / pass->parts + 1;
        set_summed_parameters(pass);
        pass->place = ts_alloc_zero((size_t)graph->count, sizeof *pass->place, "a network");
        status = pass->place ? TS_OK : TS_ERROR_MEMORY;
    }
    for (int i = 0; status == TS_OK && i < graph->count; i++)
        set_place(pass, i);
    for (int i = 0; status == TS_OK && i < graph->count; i++)
        if (!pass->plan.step[i].skip)
            add_scratch(pass, i);
    return status;
}

void ts_cuda_pass_free(ts_cuda_pass *pass) {
    ts_plan_free(&pass->plan);
    ts_free(pass->place);
    *pass = (ts_cuda_pass){0};
}

void ts_cuda_pass_take(ts_cuda_pass *pass, ts_cuda_slab *slab) {
    size_t count = (size_t)pass->instances;
    pass->cleared = ts_cuda_slab_take(slab, (size_t)pass->cleared_floats, sizeof(float));
    pass->scratch = ts_cuda_slab_take(slab, count * (size_t)pass->scratch_floats, sizeof(float));
    pass->partial = ts_cuda_slab_take(slab, count * (size_t)pass->partial_floats, sizeof(float));
    for (int i = 0; i < pass->graph->count; i++) {
        const ts_node *node = &pass->graph->node[i];
        ts_cuda_node_rows *place = &pass->place[i];
        size_t floats = count * (size_t)place->rows * (size_t)place->stride;
        if (!place->used)
            continue;
        place->value = ts_cuda_slab_take(slab, floats, sizeof(float));
        if (node->domain == TS_PAIR && node->operation != TS_INPUT) // the output's gradient is made in its place
            place->gradient = i == pass->graph->output ? place->value : ts_cuda_slab_take(slab, floats, sizeof(float));
    }
}

// --- Operands ---

// A step as it is put on the stream. A fault sticks: further kernels are not started.
typedef struct step {
    const ts_cuda_pass *p;
    const ts_cuda_batch *batch;
    ts_cuda_pass_of of;
    cudaStream_t stream;
    cudaError_t error;
    bool tf32x3; // of its products
} step;

static int rows_of(const step *s, int index) {
    bool of_pairs = s->p->graph->node[index].domain == TS_PAIR && s->batch->pairs;
    return of_pairs ? s->batch->pairs->count : s->p->place[index].rows;
}

static ts_operand rows_at(const ts_cuda_node_rows *place, const float *first) {
    return (ts_operand){first, (int64_t)place->rows * place->stride, 0, place->stride};
}

// Rows of a tensor among an instance's parameters, of which those from number `from` on are at hand.
static ts_operand parameter_rows(const ts_cuda_pass *p, const ts_node *node, const float *parameters, int64_t from,
                                 int64_t instance_step) {
    const ts_padded_tensor *tensor = &p->layout->tensor[node->tensor];
    int64_t first = tensor->offset + node->first * tensor->stride - from;
    return (ts_operand){parameters + first, instance_step, 0, (int)tensor->stride};
}

static ts_operand value_of(const step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    if (node->operation == TS_LOOKUP)
        return value_of(s, node->input[0]);
    if (node->operation == TS_PARAMETER)
        return parameter_rows(s->p, node, s->batch->weights, 0, s->batch->weights_step);
    const ts_cuda_node_rows *place = &s->p->place[s->p->plan.step[index].home];
    return rows_at(place, place->value);
}

static ts_operand gradient_of(const step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    if (node->operation == TS_LOOKUP)
        return gradient_of(s, node->input[0]);
    if (node->operation == TS_PARAMETER && s->of == TS_OF_PAIRS)
        return parameter_rows(s->p, node, s->batch->sums, s->p->summed_from, s->p->summed);
    if (node->operation == TS_PARAMETER)
        return parameter_rows(s->p, node, s->p->cleared, 0, s->p->layout->padded);
    const ts_cuda_node_rows *place = &s->p->place[s->p->plan.step[index].home];
    if (node->domain == TS_PAIR)
        return rows_at(place, place->gradient);
    if (s->batch->sums && s->p->plan.step[index].gathers)
        return (ts_operand){s->batch->sums + place->cleared, s->p->summed, 0, place->stride};
    return rows_at(place, s->p->cleared + place->cleared);
}

static ts_row_work operation(const step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    const ts_step *plan = &s->p->plan.step[index];
    ts_row_work work = {
        .operation = node->operation,
        .activation = node->operation == TS_ACTIVATION ? node->activation : TS_IDENTITY,
        .instances = s->p->instances,
        .rows = rows_of(s, index),
        .width = node->width,
        .scale = (float)plan->scale,
        .first = node->first,
        .inputs = plan->inputs,
        .out = value_of(s, index),
        .adds = plan->adds,
        .token = s->batch->pairs ? s->batch->pairs->token : NULL,
        .stopped = s->batch->stopped,
        .factor = 1,
    };
    for (int j = 0; j < plan->inputs; j++)
        work.in[j] =
            (ts_cuda_rows){value_of(s, plan->input[j]), which_of(s->p, index, j), input_of(s->p, index, j)->width};
    return work;
}

// --- Products: all of them go through here ---

static void multiply(step *s, ts_product_work work) {
    work.instances = s->p->instances;
    work.parts = work.parts ? work.parts : 1;
    work.stopped = s->batch->stopped;
    work.tf32x3 = s->tf32x3;
    if (s->error == cudaSuccess)
        s->error = ts_cuda_product(&work, s->stream);
}

static void make_product(step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    ts_operand out = value_of(s, index);
    multiply(s, (ts_product_work){
                    .form = node->transposed ? TS_PRODUCT_B_TRANSPOSED : TS_PRODUCT_PLAIN,
                    .rows = rows_of(s, index),
                    .columns = node->width,
                    .depth = input_of(s->p, index, 0)->width,
                    .a = value_of(s, node->input[0]),
                    .b = value_of(s, node->input[1]),
                    .c = out,
                    .plus = s->p->plan.step[index].adds ? out.first : NULL,
                });
}

static void sum_rows(step *s, ts_row_sum_work work) {
    work.instances = s->p->instances;
    work.stopped = s->batch->stopped;
    if (s->error == cudaSuccess)
        s->error = ts_cuda_row_sums(&work, s->stream);
}

// dM += x^T dout, or dout^T x of one that is transposed; over pairs in parts that are added up.
static void matrix_gradient(step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    const ts_cuda_node_rows *matrix = &s->p->place[node->input[1]];
    int rows = rows_of(s, index), parts = node->domain == TS_PAIR ? parts_of(rows, PART_PAIRS) : 1;
    ts_operand x = value_of(s, node->input[0]), dout = gradient_of(s, index), to = gradient_of(s, node->input[1]);
    ts_product_work work = {
        .form = TS_PRODUCT_A_TRANSPOSED,
        .rows = matrix->rows,
        .columns = s->p->graph->node[node->input[1]].width,
        .depth = rows,
        .parts = parts,
        .a = node->transposed ? dout : x,
        .b = node->transposed ? x : dout,
        .c = to,
        .plus = to.first,
    };
    if (parts > 1) {
        int64_t numbers = (int64_t)matrix->rows * matrix->stride;
        work.part_depth = PART_PAIRS;
        work.a.part_step = (int64_t)PART_PAIRS * work.a.stride;
        work.b.part_step = (int64_t)PART_PAIRS * work.b.stride;
        work.c = (ts_operand){s->p->partial, parts * numbers, numbers, matrix->stride};
        work.plus = NULL;
        multiply(s, work);
        to.stride = (int)numbers;
        sum_rows(s, (ts_row_sum_work){.rows = parts,
                                      .columns = (int)numbers,
                                      .of = {s->p->partial, parts * numbers, 0, (int)numbers},
                                      .sums = 1,
                                      .stretch = parts,
                                      .scale = 1,
                                      .out = to,
                                      .adds = true});
    } else {
        multiply(s, work);
    }
}

static void product_back(step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    matrix_gradient(s, index);
    if (!goes_back(s->p, index, 0))
        return;
    ts_operand to = gradient_of(s, node->input[0]);
    multiply(s, (ts_product_work){
                    .form = node->transposed ? TS_PRODUCT_PLAIN : TS_PRODUCT_B_TRANSPOSED,
                    .rows = rows_of(s, index),
                    .columns = s->p->graph->node[node->input[0]].width,
                    .depth = node->width,
                    .a = gradient_of(s, index),
                    .b = value_of(s, node->input[1]),
                    .c = to,
                    .plus = s->p->plan.step[index].sets[0] ? NULL : to.first,
                });
}

// --- Other operations backwards ---

static ts_operand scratch_of(const step *s, int input) {
    return (ts_operand){s->p->scratch, s->p->scratch_floats, 0, s->p->place[input].stride};
}

// Adds rows to the gradient of an input that several of them share: sums over the pairs of each token, or over all
// rows. weights: NULL, or of each row.
static void share_out(step *s, int index, int input, ts_operand rows, double scale, const ts_operand *weights) {
    const ts_cuda_pass *p = s->p;
    int in = p->plan.step[index].input[input], tokens = p->graph->tokens, rows_here = rows_of(s, index),
        sums = parts_of(rows_here, STRETCH);
    ts_cuda_which which = which_of(p, index, input);
    ts_row_sum_work work = {
        .rows = rows_here,
        .columns = p->place[in].stride,
        .of = rows,
        .sums = sums,
        .stretch = STRETCH,
        .scale = (float)scale,
        .out = gradient_of(s, in),
        .adds = true,
    };
    if (weights)
        work.weights = *weights;
    if (which != TS_ROW_ONLY) {
        int side = which == TS_ROW_OF_RIGHT;
        work.begin = s->batch->pairs->begin + side * (tokens + 1);
        work.begin_step = 2 * (int64_t)(tokens + 1);
        work.order = s->batch->pairs->order + (int64_t)side * s->batch->pairs->count;
        work.sums = tokens;
    } else if (sums > 1) {
        ts_row_sum_work parts = work;
        int64_t numbers = (int64_t)sums * work.columns;
        parts.out = (ts_operand){p->partial, numbers, 0, work.columns};
        parts.adds = false;
        ts_row_sum_work all = {.rows = sums,
                               .columns = work.columns,
                               .of = parts.out,
                               .sums = 1,
                               .stretch = sums,
                               .scale = 1,
                               .out = work.out,
                               .adds = true};
        sum_rows(s, parts);
        work = all;
    }
    sum_rows(s, work);
}

static void go_back(step *s, const ts_row_work *work) {
    if (s->error == cudaSuccess)
        s->error = ts_cuda_rows_back(work, s->stream);
}

// What an operation gives to an input; `scale`: a factor of all of it.
static void give(step *s, int index, int input, double scale) {
    const ts_step *plan = &s->p->plan.step[index];
    bool same = which_of(s->p, index, input) == TS_ROW_SAME;
    if (!goes_back(s->p, index, input))
        return;
    ts_row_work work = operation(s, index);
    work.input = input;
    work.factor = same ? (float)scale : 1;
    work.dout = gradient_of(s, index);
    work.to = same ? gradient_of(s, plan->input[input]) : scratch_of(s, plan->input[input]);
    work.sets = !same || plan->sets[input];
    go_back(s, &work);
    if (!same)
        share_out(s, index, input, work.to, scale, NULL);
}

// The same where it is the operation's own gradient, or that times a factor.
static void pass_on(step *s, int index, int input, double scale) {
    if (which_of(s->p, index, input) == TS_ROW_SAME)
        give(s, index, input, scale);
    else
        share_out(s, index, input, gradient_of(s, index), scale, NULL);
}

static void sum_back(step *s, int index) {
    const ts_step *plan = &s->p->plan.step[index];
    for (int j = 0; j < 2; j++)
        if (!plan->shares[j])
            pass_on(s, index, j, j == 0 ? 1 : plan->scale);
}

// f(x) or f(x + scale y): what goes to y is what goes to x, times the scale.
static void activation_back(step *s, int index) {
    const ts_step *plan = &s->p->plan.step[index];
    bool same = which_of(s->p, index, 0) == TS_ROW_SAME;
    give(s, index, 0, 1);
    if (plan->inputs < 2)
        return;
    if (which_of(s->p, index, 1) != TS_ROW_SAME && (!same || (plan->sets[0] && goes_back(s->p, index, 0))))
        share_out(s, index, 1, same ? gradient_of(s, plan->input[0]) : scratch_of(s, plan->input[0]), plan->scale,
                  NULL);
    else
        give(s, index, 1, plan->scale);
}

static void mix_back(step *s, int index) {
    const ts_step *plan = &s->p->plan.step[index];
    bool weighed = which_of(s->p, index, 0) == TS_ROW_SAME;
    ts_operand weights = value_of(s, plan->input[0]);
    give(s, index, 0, 1);
    for (int j = 1; j < plan->inputs; j++, weights.first++)
        if (weighed && which_of(s->p, index, j) != TS_ROW_SAME)
            share_out(s, index, j, gradient_of(s, index), 1, &weights);
        else
            give(s, index, j, 1);
}

static void back(step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    switch (node->operation) {
    case TS_PARAMETER:
    case TS_LOOKUP:
    case TS_INPUT:
        break;
    case TS_PRODUCT:
        product_back(s, index);
        break;
    case TS_SUM:
        sum_back(s, index);
        break;
    case TS_ACTIVATION:
        activation_back(s, index);
        break;
    case TS_MIX:
        mix_back(s, index);
        break;
    case TS_NORMALISE:
        give(s, index, 0, 1);
        give(s, index, 1, 1);
        pass_on(s, index, 2, 1);
        break;
    default:
        for (int j = 0; j < node->inputs; j++)
            give(s, index, j, 1);
    }
}

// --- A step ---

static void forward(step *s, int index) {
    const ts_node *node = &s->p->graph->node[index];
    if (node->operation == TS_PRODUCT) {
        make_product(s, index);
    } else if (!is_alias(node) && node->operation != TS_INPUT) {
        ts_row_work work = operation(s, index);
        if (s->error == cudaSuccess)
            s->error = ts_cuda_rows_forward(&work, s->stream);
    }
}

ts_operand ts_cuda_pass_rows(const ts_cuda_pass *pass, int node) {
    const ts_cuda_node_rows *place = &pass->place[pass->plan.step[node].home];
    return rows_at(place, place->value);
}

static bool is_wanted(const step *s, int index) {
    bool of_pairs = s->p->graph->node[index].domain == TS_PAIR;
    return !s->p->plan.step[index].skip && (s->of & (of_pairs ? TS_OF_PAIRS : TS_OF_TABLES));
}

cudaError_t ts_cuda_pass_forward(const ts_cuda_pass *pass, const ts_cuda_batch *batch, ts_cuda_pass_of of,
                                 cudaStream_t stream) {
    step s = {pass, batch, of, stream, cudaSuccess, false};
    size_t sums = (size_t)pass->instances * (size_t)pass->summed;
    if (of & TS_OF_TABLES)
        s.error = cudaMemsetAsync(pass->cleared, 0, (size_t)pass->cleared_floats * sizeof(float), stream);
    if (of == TS_OF_PAIRS)
        s.error = cudaMemsetAsync(batch->sums, 0, sums * sizeof(float), stream);
    for (int i = 0; i < pass->graph->count; i++)
        if (is_wanted(&s, i))
            forward(&s, i);
    return s.error;
}

// The parameters' gradient begins with their sums over pairs.
static void enter_sums(step *s) {
    const ts_tree_work work = {
        .instances = s->p->instances,
        .count = (int)s->p->summed_parameters,
        .to = s->p->cleared + s->p->summed_from,
        .from = s->batch->sums,
        .to_step = s->p->layout->padded,
        .from_step = s->p->summed,
        .stopped = s->batch->stopped,
    };
    if (work.count > 0)
        s->error = ts_cuda_tree_add(&work, s->stream);
}

cudaError_t ts_cuda_pass_back(const ts_cuda_pass *pass, const ts_cuda_batch *batch, ts_cuda_pass_of of,
                              cudaStream_t stream) {
    step s = {pass, batch, of, stream, cudaSuccess, batch->tf32x3};
    if (of == TS_OF_TABLES)
        enter_sums(&s);
    for (int i = pass->graph->count - 1; i >= 0; i--)
        if (is_wanted(&s, i))
            back(&s, i);
    return s.error;
}
