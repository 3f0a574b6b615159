// Pairs through the operations of a network.
#include "backend/cuda_forward.h"

#include <string.h>

static bool is_of_pairs(const ts_cuda_forward *f, int node) {
    return f->pass->graph->node[node].domain == TS_PAIR && f->pass->uses[node] > 0;
}

// Whether pairs read a node that they do not make.
static bool is_table(const ts_cuda_forward *f, int node) {
    const ts_graph *graph = f->pass->graph;
    if (graph->node[node].domain == TS_PAIR)
        return false;
    for (int i = 0; i < graph->count; i++)
        for (int j = 0; is_of_pairs(f, i) && j < graph->node[i].inputs; j++)
            if (graph->node[i].input[j] == node)
                return true;
    return false;
}

static size_t numbers_of(const ts_cuda_forward *f, int node) {
    const ts_node *of = &f->pass->graph->node[node];
    return (size_t)ts_graph_rows(f->pass->graph, of, 1) * (size_t)of->width;
}

ts_status ts_cuda_forward_create(const ts_network *network, int n, ts_cuda_forward *f) {
    *f = (ts_cuda_forward){.pass = network->pass, .n = n};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&f->slab, "a network on a GPU") != TS_OK)
            return TS_ERROR_MEMORY;
        f->value = ts_slab_take_zero(&f->slab, (size_t)network->pass->graph->count, sizeof *f->value);
    }
    for (int i = 0; i < f->pass->graph->count; i++)
        f->table_numbers += is_table(f, i) ? numbers_of(f, i) : 0;
    return TS_OK;
}

void ts_cuda_forward_free(ts_cuda_forward *f) {
    ts_slab_free(&f->slab);
}

size_t ts_cuda_forward_numbers(const ts_cuda_forward *f) {
    size_t numbers = 0;
    for (int i = 0; i < f->pass->graph->count; i++)
        numbers += is_of_pairs(f, i) ? (size_t)f->pass->graph->node[i].width : 0;
    return numbers;
}

void ts_cuda_forward_take(ts_cuda_forward *f, int batch, ts_cuda_slab *slab) {
    f->batch = batch;
    f->tables = ts_cuda_slab_take(slab, f->table_numbers, sizeof(double));
    double *table = f->tables;
    for (int i = 0; i < f->pass->graph->count; i++)
        if (is_of_pairs(f, i)) {
            f->value[i] =
                ts_cuda_slab_take(slab, (size_t)batch * (size_t)f->pass->graph->node[i].width, sizeof(double));
        } else if (is_table(f, i)) {
            f->value[i] = table;
            table = table ? table + numbers_of(f, i) : NULL;
        }
}

ts_status ts_cuda_forward_upload(ts_cuda_forward *f, const ts_cuda_workspace *workspace) {
    double *all = ts_alloc(f->table_numbers * sizeof *all, "a network's tables"), *at = all;
    if (!all)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < f->pass->graph->count; i++)
        if (is_table(f, i)) {
            memcpy(at, f->pass->value[i], numbers_of(f, i) * sizeof *at);
            at += numbers_of(f, i);
        }
    ts_status status = ts_cuda_upload(f->tables, all, f->table_numbers * sizeof *all, workspace->stream);
    ts_free(all);
    return status;
}

static ts_measure_rows rows_of(const ts_node *in) {
    return in->domain == TS_PAIR    ? TS_ROW_OWN
           : in->domain == TS_LEFT  ? TS_ROW_LEFT
           : in->domain == TS_RIGHT ? TS_ROW_RIGHT
                                    : TS_ROW_ONLY;
}

static ts_status run_operation(const ts_cuda_forward *f, const ts_cuda_workspace *workspace,
                               const ts_measure_pairs *pairs, int index) {
    const ts_node *node = &f->pass->graph->node[index];
    ts_measure_operation work = {.pairs = *pairs,
                                 .operation = node->operation,
                                 .activation = node->activation,
                                 .scale = node->scale,
                                 .width = node->width,
                                 .inputs = node->inputs,
                                 .first = node->first,
                                 .out = f->value[index]};
    work.pairs.n = f->n;
    work.pairs.token = f->token;
    for (int i = 0; i < node->inputs; i++) {
        const ts_node *in = &f->pass->graph->node[node->input[i]];
        work.in[i] = f->value[node->input[i]];
        work.wide[i] = in->width;
        work.rows[i] = rows_of(in);
    }
    return ts_cuda_check(ts_cuda_measure_operation(&work, workspace->stream), "measures: a network's operation");
}

static ts_status run_product(const ts_cuda_forward *f, const ts_cuda_workspace *workspace, int count, int index) {
    const ts_node *node = &f->pass->graph->node[index], *by = &f->pass->graph->node[node->input[1]];
    return ts_cuda_workspace_product(workspace, &(ts_measure_product){.count = 1,
                                                                      .rows = count,
                                                                      .columns = node->width,
                                                                      .depth = node->transposed ? by->width : by->rows,
                                                                      .transposed = node->transposed,
                                                                      .a = f->value[node->input[0]],
                                                                      .b = f->value[node->input[1]],
                                                                      .c = f->value[index]});
}

ts_status ts_cuda_forward_run(const ts_cuda_forward *f, const ts_cuda_workspace *workspace,
                              const ts_measure_pairs *pairs) {
    ts_status status = TS_OK;
    for (int i = 0; i < f->pass->graph->count && status == TS_OK; i++)
        if (is_of_pairs(f, i))
            status = f->pass->graph->node[i].operation == TS_PRODUCT ? run_product(f, workspace, pairs->count, i)
                                                                     : run_operation(f, workspace, pairs, i);
    return status;
}
