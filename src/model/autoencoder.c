// The model `autoencoder`: keys, layout, initial weights, definition.
#include "model/autoencoder.h"

#include "base/random.h"
#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/graph.h"
#include "task/data.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const INIT[] = {"xavier", "xavier_per_instance", NULL};
static const char *const BATCH[] = {"exact", NULL};
static const char *const TARGET[] = {"identity", "abs", NULL};

#define USUAL_BATCH "1024"

static const ts_key KEYS[] = {
    {"hidden", TS_INTEGER, NULL, 1, 4096, NULL, true, "Hidden width"},
    {"hidden_activation", TS_NAME, "identity", 0, 0, ts_network_activations, TS_LATER | TS_SHAPES | TS_DEFINES,
     "f of the hidden layer h = f(W x)"},
    {"tied", TS_BOOL, "true", 0, 0, NULL, TS_LATER | TS_SHAPES | TS_DEFINES,
     "Whether the decoder is W^T; else a matrix W_dec of its own is, drawn after W and as W is"},
    {"bias", TS_BOOL, "true", 0, 0, NULL, TS_LATER | TS_SHAPES | TS_DEFINES,
     "Whether there is a bias b before the output's ReLU"},
    {"target", TS_NAME, "identity", 0, 0, TARGET, TS_LATER | TS_SHAPES | TS_DEFINES,
     "What the output is compared with: the input, or its absolute value"},
    {"l1", TS_REAL, "0", 0, 1e6, NULL, TS_LATER | TS_SHAPES | TS_DEFINES,
     "Penalty on hidden activations: l1 times the mean over samples of sum_k |h_k| is added to what is trained on"},
    {"batch", TS_INTEGER, USUAL_BATCH, 0, 1 << 20, BATCH, true,
     "Samples a step; `exact` (or 0) trains on the probabilities themselves"},
    {"samples", TS_INTEGER, "0", 0, 1 << 20, NULL, TS_LATER | TS_SHAPES | TS_DEFINES,
     "A fixed training set of so many samples, drawn once from the seed, all of which are the batch of every step; 0: "
     "samples are drawn anew"},
    {"importance", TS_NUMBERS, "1", 0, 1e6, NULL, false,
     "Weight of a feature's loss: a number, a list, {base: B} for B^i, {base: B, branching: b} for B^level, {power: a, "
     "base: B} for B (i + 1)^-a"},
    {"init", TS_NAME, "xavier", 0, 0, INIT, TS_DRAWS,
     "Xavier-normal with the fans of the stacked tensor [instances, hidden, features], or of one instance"},
    {"stacked_instances", TS_INTEGER, "1", 1, 1e7, NULL, false,
     "Instances in the stacked tensor of `init: xavier`; `instances: N` sets it to N"},
    {0},
};

ts_autoencoder_shape ts_autoencoder_shape_of(const ts_params *params) {
    return (ts_autoencoder_shape){
        .hidden = (int)ts_params_integer(params, "hidden"),
        .features = (int)ts_task_features(params),
        .samples = ts_network_samples(params),
    };
}

// Only the task knows whether its inputs can be listed.
static bool can_be_listed(const ts_params *params) {
    ts_data *data = NULL;
    if (ts_data_create(params, &data) != TS_OK)
        return true; // that is said elsewhere
    bool finite = data->features->support.count > 0;
    ts_data_free(data);
    return finite;
}

static const char *check_samples(const ts_params *params, char *message, size_t bytes) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    int64_t batch = ts_params_integer(params, "batch"), fixed = ts_params_integer(params, "samples");
    const char *key = fixed > 0 ? "samples" : "batch";
    if (fixed > 0 && batch != strtoll(USUAL_BATCH, NULL, 10)) {
        snprintf(message, bytes,
                 "%lld fixed samples are all of every batch, so 'batch' says nothing; leave one of "
                 "'samples' and 'batch' out",
                 (long long)fixed);
        return key;
    }
    if (shape.samples * (double)shape.features > 0x1p30) {
        snprintf(message, bytes, "%lld samples of %d features are too many: at most 2^30 numbers",
                 (long long)shape.samples, shape.features);
        return key;
    }
    if (shape.samples == 0 && !can_be_listed(params)) {
        snprintf(message, bytes,
                 "'exact' needs finitely many inputs, and this task has too many (or values between 0 "
                 "and 1): give "
                 "a number of samples");
        return key;
    }
    return NULL;
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    int features = ts_autoencoder_shape_of(params).features;
    const ts_numbers *importance = ts_params_numbers(params, "importance");
    if (importance->form == TS_NUMBERS_LIST && importance->count != features) {
        snprintf(message, bytes,
                 "a list of %d numbers for %d features: give one number a feature, or, to sweep it, put it "
                 "under grid",
                 importance->count, features);
        return "importance";
    }
    return check_samples(params, message, bytes);
}

// Tensors in their order: W, W_dec where the decoder is not W, b where there is one.
static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    *out = (ts_parameter_layout){.count = 1};
    out->tensor[0] =
        (ts_tensor){"W", 2, {shape.hidden, shape.features}, {"hidden", "feature"}, .fan_in = shape.features};
    if (!ts_params_bool(params, "tied"))
        out->tensor[out->count++] =
            (ts_tensor){"W_dec", 2, {shape.hidden, shape.features}, {"hidden", "feature"}, .fan_in = shape.hidden};
    if (ts_params_bool(params, "bias"))
        out->tensor[out->count++] = (ts_tensor){"b", 1, {shape.features}, {"feature"}, .kind = TS_BIAS};
    ts_layout_place(out);
}

// Fans as PyTorch's xavier_normal_ takes them from a tensor of shape [instances, hidden, features].
static double xavier_deviation(const ts_params *params, ts_autoencoder_shape shape) {
    double fan_in = shape.features, fan_out = shape.hidden;
    if (strcmp(ts_params_name(params, "init"), "xavier") == 0) {
        fan_in = (double)shape.hidden * shape.features;
        fan_out = (double)ts_params_integer(params, "stacked_instances") * shape.features;
    }
    return sqrt(2 / (fan_in + fan_out));
}

static void initialise(const ts_params *params, float *parameters) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    double deviation = xavier_deviation(params, shape);
    bool tied = ts_params_bool(params, "tied"), bias = ts_params_bool(params, "bias");
    int64_t n = (tied ? 1 : 2) * (int64_t)shape.hidden * shape.features;
    ts_philox random = ts_philox_at((uint64_t)ts_params_integer(params, "seed"), TS_STREAM_WEIGHTS, 0, 0);
    for (int64_t i = 0; i < n; i += 2) {
        double pair[2];
        ts_philox_normals(&random, pair, 2);
        parameters[i] = (float)(pair[0] * deviation);
        if (i + 1 < n)
            parameters[i + 1] = (float)(pair[1] * deviation);
    }
    if (bias)
        memset(parameters + n, 0, (size_t)shape.features * sizeof *parameters);
}

// x_hat = relu(D^T act(W x) + b); x is a row. With l1, |h| comes behind it.
static int define(const ts_params *params, ts_graph *g) {
    int features = ts_autoencoder_shape_of(params).features;
    bool tied = ts_params_bool(params, "tied"), bias = ts_params_bool(params, "bias");
    ts_activation activation = ts_network_activation_by(params, "hidden_activation");
    int x = ts_graph_input(g, features), w = ts_graph_parameter(g, 0), d = tied ? w : ts_graph_parameter(g, 1);
    int h = ts_graph_product_transposed(g, x, w);
    if (activation != TS_IDENTITY)
        h = ts_graph_activation(g, activation, h);
    int z = ts_graph_product(g, h, d), b = bias ? ts_graph_parameter(g, tied ? 1 : 2) : -1;
    ts_graph_set_role(g, TS_DIRECTIONS, w);
    bool to_input = strcmp(ts_params_name(params, "target"), "identity") == 0;
    if (tied && bias && activation == TS_IDENTITY && to_input)
        ts_graph_set_role(g, TS_TIED_BIAS, b);
    int x_hat = ts_graph_activation(g, TS_RELU, bias ? ts_graph_sum(g, z, b) : z);
    if (ts_params_real(params, "l1") == 0)
        return x_hat;
    g->penalised = (int)g->layout.tensor[0].size[0];
    return ts_graph_concatenate(g, x_hat, ts_graph_activation(g, TS_ABSOLUTE, h));
}

static int64_t width(const ts_params *params, const char *name) {
    return strcmp(name, "feature") == 0 ? ts_autoencoder_shape_of(params).features : 0;
}

// Three products of rows x features x hidden, forward and twice backward; what is sparse is not counted.
static double step_operations(const ts_params *params, const ts_data *data) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    double rows = ts_feature_expected_rows(data->features, shape.samples);
    return 6.0 * rows * shape.features * shape.hidden;
}

// Two batches: one to train on, one to measure with.
static double unit_bytes(const ts_params *params, const ts_data *data) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    double samples = data->features->support.count > 0 ? data->features->support.count : (double)shape.samples;
    double entries = data->features->support.count > 0 ? 0 : samples * shape.features;
    return 2 * (16 * samples + 8 * entries);
}

const ts_model ts_model_autoencoder = {
    .name = "autoencoder",
    .help = "x_hat = relu(W^T W x + b), the toy model of superposition, and variants",
    .learns = TS_KIND_FEATURES,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adam,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .define = define,
    .width = width,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .headline = "final_loss",
    .better = (const char *const[]){"exact_loss", "estimated_loss", NULL},
};
