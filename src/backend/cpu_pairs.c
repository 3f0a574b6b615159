// Draws and sorts training pairs.
#include "backend/cpu_pairs.h"

#include "model/network.h"
#include "task/data.h"

#include <stdlib.h>

void ts_cpu_pairs_begin(ts_cpu_pairs *p, const ts_training_spec *spec) {
    p->train = ts_network_train(&spec->params[0], spec->data->table);
}

void ts_cpu_pairs_take(ts_cpu_pairs *p, const ts_training_spec *spec, ts_slab *slab) {
    p->pairs = ts_slab_take(slab, (size_t)spec->count * 3 * (size_t)p->train, sizeof(int));
    p->valid = ts_slab_take(slab, TS_VECTOR_LANES, sizeof(float));
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

// Enters an instance's training pairs; `drawn`: (n * n) scratch.
static void enter_pairs(const ts_cpu_pairs *p, const ts_params *params, const ts_table *table, int block, int *drawn,
                        int *pairs) {
    int n = table->n;
    int64_t train;
    ts_network_pairs(params, table, drawn, &train);
    for (int64_t i = 0; i < train && block > 0; i++)
        drawn[i] += drawn[i] % n / block * n * n;
    if (block > 0)
        qsort(drawn, (size_t)train, sizeof *drawn, ascending);
    for (int64_t i = 0; i < train; i++) {
        int pair = drawn[i] % (n * n);
        pairs[i] = pair / n;
        pairs[p->train + i] = pair % n;
        pairs[2 * p->train + i] = table->result[pair];
    }
}

ts_status ts_cpu_pairs_draw(const ts_cpu_pairs *p, const ts_training_spec *spec, int block) {
    const ts_table *table = spec->data->table;
    int *drawn = ts_alloc((size_t)table->n * (size_t)table->n * sizeof *drawn, "training pairs");
    if (!drawn)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < spec->count; i++)
        enter_pairs(p, &spec->params[i], table, block, drawn, p->pairs + (size_t)i * 3 * (size_t)p->train);
    int outputs = ts_network_outputs(&spec->params[0]);
    for (int j = 0; j < TS_VECTOR_LANES; j++)
        p->valid[j] = j < (outputs - 1) % TS_VECTOR_LANES + 1 ? 1 : 0;
    ts_free(drawn);
    return TS_OK;
}

void ts_cpu_pairs_of(const ts_cpu_pairs *p, int instance, const int **a, const int **b, const int **label) {
    *a = p->pairs + (size_t)instance * 3 * (size_t)p->train;
    *b = *a + p->train;
    *label = *b + p->train;
}
