// A prefix of PyTorch's randperm.
#include "task/split.h"

#include <stdio.h>

const char *ts_split_check(const ts_params *params, int n, char *message, size_t bytes) {
    double fraction = ts_params_real(params, "train_fraction"), pairs = (double)n * n;
    if (fraction * pairs >= 1)
        return NULL;
    snprintf(message, bytes, "%.15g of %.0f pairs is none to train on; give at least %.3g", fraction, pairs, 1 / pairs);
    return "train_fraction";
}
