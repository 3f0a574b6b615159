// Task `one_hot`: exactly one feature is on in every sample, with the value 1, so that inputs are the unit vectors.
#include "task/data.h"
#include "task/task.h"

#include <stdio.h>

enum { MOST = 16384 }; // GPUs hold every input as bits

static const ts_key KEYS[] = {
    {"features", TS_INTEGER, NULL, 1, MOST, NULL, TS_SHAPES, "Number of features"},
    {"feature_probability", TS_NUMBERS, "1", 0, 1, NULL, TS_SHAPES,
     "How often each feature is the one that is on, beside the others: a number, a list, {base: B} for B^i, {base: B, "
     "branching: b} for B^level in a tree, or {power: a, base: B} for B (i + 1)^-a"},
    {0},
};

static double total(const ts_numbers *share, int64_t features) {
    double sum = 0;
    for (int64_t f = 0; f < features; f++)
        sum += ts_numbers_at(share, f);
    return sum;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    int64_t features = ts_params_integer(params, "features");
    const ts_numbers *share = ts_params_numbers(params, "feature_probability");
    if (share->form == TS_NUMBERS_LIST && share->count != features) {
        snprintf(
            message, bytes,
            "a list of %d numbers for %lld features: give one number a feature, or, to sweep it, put it under grid",
            share->count, (long long)features);
        return "feature_probability";
    }
    if (!(total(share, features) > 0)) {
        snprintf(message, bytes, "all of them are 0, so no feature could be on; give one that is more");
        return "feature_probability";
    }
    return NULL;
}

static double features(const ts_params *params) {
    return (double)ts_params_integer(params, "features");
}

static const ts_quantity DERIVED[] = {{"features", NULL, .number = features}, {0}};

static void label(const ts_params *params, ts_text *out) {
    const ts_numbers *share = ts_params_numbers(params, "feature_probability");
    ts_text_addf(out, "one of %lld features", (long long)ts_params_integer(params, "features"));
    if (share->form == TS_NUMBERS_SCALAR)
        return;
    ts_text_add(out, ", P(i) ~ ");
    ts_numbers_text(share, out);
}

static ts_status create(const ts_params *params, ts_data *data) {
    const ts_numbers *share = ts_params_numbers(params, "feature_probability");
    int count = (int)ts_params_integer(params, "features");
    ts_support *support = &data->features->support;
    double sum = total(share, count);
    data->features->features = count;
    if (ts_support_create(count, 1, support) != TS_OK)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        support->begin[i] = support->active[i] = i;
        support->probability[i] = ts_numbers_at(share, i) / sum;
    }
    support->begin[count] = count;
    return TS_OK;
}

const ts_task ts_task_one_hot = {
    .name = "one_hot",
    .help = "inputs in which exactly one feature is on",
    .kind = TS_KIND_FEATURES,
    .keys = KEYS,
    .derived = DERIVED,
    .check = check,
    .label = label,
    .create = create,
};
