// What the models of tables share: the split of pairs, initial weights.
#include "model/network.h"

#include "base/torch_random.h"
#include "task/task.h"

#include <stdio.h>
#include <stdlib.h>

// --- Split and initial weights ---

int ts_network_order(const ts_params *params) {
    double order = 0;
    ts_task_derive(params, "order", &order);
    return (int)order;
}

static uint64_t own_seed(const ts_params *params, const char *name) {
    int64_t seed = ts_params_integer(params, name);
    return (uint64_t)(seed < 0 ? ts_params_integer(params, "seed") : seed);
}

static int ascending(const void *a, const void *b) {
    int left = *(const int *)a, right = *(const int *)b;
    return (left > right) - (left < right);
}

void ts_network_pairs(const ts_params *params, const ts_table *table, int *pairs, int64_t *train) {
    ts_table_split(table, own_seed(params, "split_seed"), ts_params_real(params, "train_fraction"), pairs, train);
    // Sums then run over pairs in the order of the table, where neighbours share their left embedding.
    qsort(pairs, (size_t)*train, sizeof *pairs, ascending);
}

static int64_t numbers(const ts_tensor *tensor) {
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->size[d];
    return count;
}

const char *ts_network_check(const ts_parameter_layout *layout, char *message, size_t bytes) {
    for (int i = 0; i < layout->count; i++) {
        const ts_tensor *tensor = &layout->tensor[i];
        if (numbers(tensor) >= TS_TORCH_NORMALS)
            continue;
        snprintf(message, bytes, "%s would have %lld numbers; PyTorch's streams need at least %d", tensor->name,
                 (long long)numbers(tensor), TS_TORCH_NORMALS);
        return tensor->name;
    }
    return NULL;
}

void ts_network_initialise(const ts_params *params, const ts_parameter_layout *layout, const float *deviation,
                           float *parameters) {
    ts_torch_random random;
    ts_torch_seed(&random, own_seed(params, "init_seed"));
    for (int i = 0; i < layout->count; i++)
        ts_torch_normal(&random, numbers(&layout->tensor[i]), deviation[i], parameters + layout->tensor[i].offset);
}

void ts_network_close(ts_network *network) {
    if (network->weights)
        network->free(network->weights);
    *network = (ts_network){0};
}
