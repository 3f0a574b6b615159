// Task `independent`: features switched on independently of each other, apart from correlated and
// anticorrelated pairs; active ones have a value uniform in [0, 1), or as `values` says, or 1 if `binary`.
#include "base/memory.h"
#include "task/data.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>

static const ts_key KEYS[] = {
    {"features", TS_INTEGER, NULL, 1, TS_MAX_FEATURES, NULL, true, "Number of features"},
    {"feature_probability", TS_NUMBERS, "0.05", 0, 1, NULL, true,
     "P(a feature is on): a number, a list, {base: B} for B^i, {base: B, branching: b} for B^level in a tree, or "
     "{power: a, base: B} for B (i + 1)^-a"},
    {"binary", TS_BOOL, "false", 0, 1, NULL, true, "Active features have the value 1"},
    {"values", TS_NUMBERS, "[0, 1]", -1e6, 1e6, NULL, TS_LATER | TS_SHAPES,
     "[low, high]: active features have a value uniform between these, unless they are binary"},
    {"correlated_pairs", TS_INTEGER, "0", 0, TS_MAX_FEATURES, NULL, true,
     "The first 2k features come in pairs that are on together, with the probability of the pair's first"},
    {"anticorrelated_pairs", TS_INTEGER, "0", 0, TS_MAX_FEATURES, NULL, true,
     "The next 2k features come in pairs of which one or the other is on, never both"},
    {0},
};

// NULL: fine.
static const char *check_values(const ts_params *params, char *message, size_t bytes) {
    const ts_numbers *values = ts_params_numbers(params, "values");
    if (values->form != TS_NUMBERS_LIST || values->count != 2)
        snprintf(message, bytes,
                 "it is not two numbers, [low, high], as in [0, 1]; to sweep it, put a list of such "
                 "pairs under grid");
    else if (!(values->item[0] < values->item[1]))
        snprintf(message, bytes,
                 "[%.15g, %.15g]: the first is not below the second; for features that are always 1 "
                 "write binary: true",
                 values->item[0], values->item[1]);
    else if (ts_params_bool(params, "binary") && (values->item[0] != 0 || values->item[1] != 1))
        snprintf(message, bytes,
                 "[%.15g, %.15g] is not for binary features, whose value is 1; leave one of 'values' "
                 "and 'binary' out",
                 values->item[0], values->item[1]);
    else
        return NULL;
    return "values";
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    int64_t features = ts_params_integer(params, "features");
    int64_t correlated = ts_params_integer(params, "correlated_pairs");
    int64_t anticorrelated = ts_params_integer(params, "anticorrelated_pairs");
    const ts_numbers *probability = ts_params_numbers(params, "feature_probability");
    if (probability->form == TS_NUMBERS_LIST && probability->count != features) {
        snprintf(message, bytes,
                 "a list of %d numbers for %lld features: give one number a feature, or, to sweep it, put it "
                 "under grid",
                 probability->count, (long long)features);
        return "feature_probability";
    }
    if (2 * (correlated + anticorrelated) > features) {
        snprintf(message, bytes, "%lld pairs do not fit into %lld features", (long long)(correlated + anticorrelated),
                 (long long)features);
        return anticorrelated > 0 ? "anticorrelated_pairs" : "correlated_pairs";
    }
    if (check_values(params, message, bytes))
        return "values";
    for (int64_t k = correlated; k < correlated + anticorrelated; k++) {
        if (ts_numbers_at(probability, 2 * k) > 0.5) {
            snprintf(message, bytes, "a feature of an anticorrelated pair is on with probability %g; at most 0.5",
                     ts_numbers_at(probability, 2 * k));
            return "feature_probability";
        }
    }
    return NULL;
}

static double features(const ts_params *params) {
    return (double)ts_params_integer(params, "features");
}

static const ts_quantity DERIVED[] = {{"features", NULL, .number = features}, {0}};

static void add_pairs(ts_text *out, const ts_params *params, const char *key, const char *what) {
    long long pairs = ts_params_integer(params, key);
    if (pairs)
        ts_text_addf(out, ", %lld %s pair%s", pairs, what, pairs > 1 ? "s" : "");
}

static void label(const ts_params *params, ts_text *out) {
    ts_text_addf(out, "%lld %sfeatures, P(on) = ", (long long)ts_params_integer(params, "features"),
                 ts_params_bool(params, "binary") ? "binary " : "");
    ts_numbers_text(ts_params_numbers(params, "feature_probability"), out);
    const ts_numbers *values = ts_params_numbers(params, "values");
    if (values->item[0] != 0 || values->item[1] != 1)
        ts_text_addf(out, ", values %.15g to %.15g", values->item[0], values->item[1]);
    add_pairs(out, params, "correlated_pairs", "correlated");
    add_pairs(out, params, "anticorrelated_pairs", "anticorrelated");
}

static void list_groups(const ts_numbers *probability, int features, ts_independent *law) {
    int correlated = 2 * law->correlated_pairs, paired = correlated + 2 * law->anticorrelated_pairs;
    for (int f = 0; f < features; f += law->group[law->groups++].size) {
        bool anti = f >= correlated && f < paired;
        law->group[law->groups] =
            (ts_feature_group){f, f < paired ? 2 : 1, anti ? 3 : 2, ts_numbers_at(probability, f)};
    }
}

// Lists every binary input that can occur, if there are at most LISTED of them.
enum { LISTED = 4096 };

static ts_status fill_support(ts_feature_data *data) {
    const ts_independent *law = &data->independent;
    double inputs = 1;
    for (int g = 0; g < law->groups; g++)
        inputs *= law->group[g].states;
    if (!law->binary || inputs > LISTED)
        return TS_OK;
    ts_support *support = &data->support;
    if (ts_support_create((int)inputs, data->features, support) != TS_OK)
        return TS_ERROR_MEMORY;
    int at = 0;
    for (int i = 0; i < support->count; i++) {
        support->begin[i] = at;
        double probability = 1;
        int rest = i;
        for (int g = 0; g < law->groups; g++) {
            const ts_feature_group *group = &law->group[g];
            int state = rest % group->states;
            rest /= group->states;
            probability *= state ? group->on : 1 - group->on * (group->states - 1);
            bool together = group->size == 2 && group->states == 2;
            if (state == 1)
                support->active[at++] = group->first;
            if (state == 2 || (state == 1 && together))
                support->active[at++] = group->first + 1;
        }
        support->probability[i] = probability;
    }
    support->begin[support->count] = at;
    return TS_OK;
}

static ts_status create(const ts_params *params, ts_data *all) {
    ts_feature_data *data = all->features;
    const ts_numbers *probability = ts_params_numbers(params, "feature_probability");
    const ts_numbers *values = ts_params_numbers(params, "values");
    data->features = (int)ts_params_integer(params, "features");
    data->independent = (ts_independent){
        .binary = ts_params_bool(params, "binary"),
        .low = (float)values->item[0],
        .span = (float)(values->item[1] - values->item[0]),
        .correlated_pairs = (int)ts_params_integer(params, "correlated_pairs"),
        .anticorrelated_pairs = (int)ts_params_integer(params, "anticorrelated_pairs"),
        .threshold = ts_alloc((size_t)data->features * sizeof(uint64_t), "a task's probabilities"),
        .group = ts_alloc((size_t)data->features * sizeof(ts_feature_group), "a task's features"),
    };
    if (!data->independent.threshold || !data->independent.group)
        return TS_ERROR_MEMORY;
    for (int f = 0; f < data->features; f++)
        data->independent.threshold[f] = (uint64_t)llround(ts_numbers_at(probability, f) * 0x1p32);
    list_groups(probability, data->features, &data->independent);
    return fill_support(data);
}

const ts_task ts_task_independent = {
    .name = "independent",
    .help = "features that are on independently of each other, some of them in pairs",
    .kind = TS_KIND_FEATURES,
    .keys = KEYS,
    .derived = DERIVED,
    .check = check,
    .label = label,
    .create = create,
};
