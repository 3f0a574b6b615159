// A prefix of all pairs, shuffled as PyTorch or Python would.
#include "task/split.h"

#include <stdio.h>
#include <string.h>

const char *const ts_split_choices[] = {[TS_SHUFFLE_TORCH] = "torch", [TS_SHUFFLE_PYTHON] = "python", NULL};

const char *ts_split_check(const ts_params *params, int64_t pairs, char *message, size_t bytes) {
    double fraction = ts_params_real(params, "train_fraction");
    if (fraction * (double)pairs >= 1)
        return NULL;
    snprintf(message, bytes, "%.15g of %lld pairs is none to train on; give at least %.3g", fraction, (long long)pairs,
             1 / (double)pairs);
    return "train_fraction";
}

bool ts_split_has_key(const char *name) {
    static const ts_key KEYS[] = {TS_SPLIT_KEYS};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (strcmp(name, KEYS[i].name) == 0)
            return true;
    return false;
}

ts_shuffle ts_split_shuffle(const ts_params *params) {
    return strcmp(ts_params_name(params, "split"), ts_split_choices[TS_SHUFFLE_PYTHON]) == 0 ? TS_SHUFFLE_PYTHON
                                                                                             : TS_SHUFFLE_TORCH;
}
