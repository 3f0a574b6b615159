// Task `tree`: features are the nodes of a complete tree, active along one path from the root downwards.
// The root is always on and is not a feature; feature i is node i + 1 in heap order.
#include "task/data.h"
#include "task/task.h"

#include <stdio.h>

static const ts_key KEYS[] = {
    {"depth", TS_INTEGER, NULL, 1, 15, NULL, true, "Levels below the root"},
    {"branching", TS_INTEGER, "2", 2, 1024, NULL, true, "Children of a node"},
    {"early_stopping", TS_BOOL, "true", 0, 1, NULL, true, "A sample may end at any node (P = 1/2), not only at a leaf"},
    {0},
};

// Nodes of a complete tree with `depth` levels below the root, the root among them; stops counting beyond the
// limit.
static int64_t count_nodes(int64_t depth, int64_t branching) {
    int64_t nodes = 1, level = 1;
    for (int64_t d = 0; d < depth && nodes <= 2 * TS_MAX_FEATURES; d++) {
        level *= branching;
        nodes += level;
    }
    return nodes;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    int64_t depth = ts_params_integer(params, "depth"), branching = ts_params_integer(params, "branching");
    if (count_nodes(depth, branching) - 1 > TS_MAX_FEATURES) {
        snprintf(message, bytes, "a tree of depth %lld with %lld children a node has more than %d features",
                 (long long)depth, (long long)branching, TS_MAX_FEATURES);
        return "depth";
    }
    return NULL;
}

static double features(const ts_params *params) {
    int64_t nodes = count_nodes(ts_params_integer(params, "depth"), ts_params_integer(params, "branching"));
    return (double)(nodes - 1);
}

static const ts_quantity DERIVED[] = {{"features", "nodes of the tree but the root", .number = features}, {0}};

static void label(const ts_params *params, ts_text *out) {
    long long branching = ts_params_integer(params, "branching");
    if (branching == 2)
        ts_text_add(out, "binary");
    else
        ts_text_addf(out, "%lld-ary", branching);
    ts_text_addf(out, " tree of depth %lld%s", (long long)ts_params_integer(params, "depth"),
                 ts_params_bool(params, "early_stopping") ? "" : ", paths to leaves");
}

// Input of the sample whose deepest active node is `node`: the path to it, root left out.
static int add_path(int node, int branching, int *active) {
    int length = 0;
    for (int n = node; n > 0; n = (n - 1) / branching)
        length++;
    int at = length;
    for (int n = node; n > 0; n = (n - 1) / branching)
        active[--at] = n - 1;
    return length;
}

static ts_status fill_support(const ts_params *params, int nodes, ts_support *support) {
    int depth = (int)ts_params_integer(params, "depth"), branching = (int)ts_params_integer(params, "branching");
    bool early = ts_params_bool(params, "early_stopping");
    int leaves = 1;
    for (int d = 0; d < depth; d++)
        leaves *= branching;
    int first = early ? 0 : nodes - leaves;
    if (ts_support_create(nodes - first, depth, support) != TS_OK)
        return TS_ERROR_MEMORY;
    int at = 0;
    for (int i = 0; i < support->count; i++) {
        int node = first + i;
        support->begin[i] = at;
        int level = add_path(node, branching, support->active + at);
        at += level;
        double reach = 1; // P(the path comes by here)
        for (int l = 0; l < level; l++)
            reach *= (early ? 0.5 : 1.0) / branching;
        support->probability[i] = early && level < depth ? reach / 2 : reach;
    }
    support->begin[support->count] = at;
    return TS_OK;
}

static ts_status create(const ts_params *params, ts_data *data) {
    ts_feature_data *made = data->features;
    int depth = (int)ts_params_integer(params, "depth"), branching = (int)ts_params_integer(params, "branching");
    int nodes = (int)count_nodes(depth, branching);
    made->features = nodes - 1;
    if (branching == 2)
        made->tree = (ts_bit_tree){depth, ts_params_bool(params, "early_stopping")};
    return fill_support(params, nodes, &made->support);
}

const ts_task ts_task_tree = {
    .name = "tree",
    .help = "features on the nodes of a tree, active along a path from the root",
    .kind = TS_KIND_FEATURES,
    .keys = KEYS,
    .derived = DERIVED,
    .check = check,
    .label = label,
    .create = create,
};
