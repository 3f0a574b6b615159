#include "model/autoencoder.h"

#include "base/memory.h"
#include "base/random.h"
#include "model/model.h"
#include "model/optimiser.h"
#include "task/data.h"
#include "task/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const INIT[] = {"xavier", "xavier_per_instance", NULL};
static const char *const BATCH[] = {"exact", NULL};

static const ts_key KEYS[] = {
    {"hidden", TS_INTEGER, NULL, 1, 4096, NULL, true, "Hidden width"},
    {"batch", TS_INTEGER, "1024", 0, 1 << 20, BATCH, true,
     "Samples a step; `exact` (or 0) trains on the probabilities themselves"},
    {"importance", TS_NUMBERS, "1", 0, 1e6, NULL, false,
     "Weight of a feature's loss: a number, a list, {base: B} for B^i, {base: B, branching: b} for B^level"},
    {"init", TS_NAME, "xavier", 0, 0, INIT, false,
     "Xavier-normal with the fans of the stacked tensor [instances, hidden, features], or of one instance"},
    {"stacked_instances", TS_INTEGER, "1", 1, 1e7, NULL, false,
     "Instances in the stacked tensor of `init: xavier`; `instances: N` sets it to N"},
    {0},
};

enum { FINAL_SAMPLES = 500 };
enum { TRAIN_LOSS, EXACT_LOSS, FINAL_LOSS, FEATURE_NORM, INTERFERENCE, DIMENSIONALITY };

static const ts_measure MEASURES[] = {
    [TRAIN_LOSS] = {.name = "train_loss",
                    .curve = true,
                    .final = true,
                    .loss = true,
                    .help = "loss on the step's batch, before its update"},
    [EXACT_LOSS] = {.name = "exact_loss",
                    .curve = true,
                    .final = true,
                    .loss = true,
                    .help = "expectation of the loss (NaN where the inputs are too many to list)"},
    [FINAL_LOSS] = {.name = "final_loss", .final = true, .loss = true, .help = "loss on 500 fresh samples"},
    [FEATURE_NORM] = {.name = "feature_norm", .dimension = {"feature"}, .curve = true, .help = "|W_i|"},
    [INTERFERENCE] = {.name = "interference",
                      .dimension = {"feature"},
                      .curve = true,
                      .help = "sum over j != i of (W_i/|W_i| . W_j)^2"},
    [DIMENSIONALITY] = {.name = "dimensionality",
                        .dimension = {"feature"},
                        .curve = true,
                        .help = "|W_i|^2 / sum over j of (W_i/|W_i| . W_j)^2"},
    {0},
};

ts_autoencoder_shape ts_autoencoder_shape_of(const ts_params *params) {
    return (ts_autoencoder_shape){
        .hidden = (int)ts_params_integer(params, "hidden"),
        .features = (int)ts_task_features(params),
        .samples = ts_params_integer(params, "batch"),
    };
}

static const char *check(const ts_params *params, char *message, size_t bytes) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    const ts_numbers *importance = ts_params_numbers(params, "importance");
    if (importance->form == TS_NUMBERS_LIST && importance->count != shape.features) {
        snprintf(message, bytes,
                 "a list of %d numbers for %d features: give one number a feature, or, to sweep it, put it "
                 "under grid",
                 importance->count, shape.features);
        return "importance";
    }
    if (shape.samples * (double)shape.features > 0x1p30) {
        snprintf(message, bytes, "%lld samples of %d features are too many: at most 2^30 numbers",
                 (long long)shape.samples, shape.features);
        return "batch";
    }
    if (shape.samples == 0) {
        // Only the task knows whether its inputs can be listed.
        ts_data *data = NULL;
        if (ts_data_create(params, &data) != TS_OK)
            return NULL;
        bool finite = data->features->support.count > 0;
        ts_data_free(data);
        if (!finite) {
            snprintf(message, bytes,
                     "'exact' needs finitely many inputs, and this task has too many (or values between 0 "
                     "and 1): give "
                     "a number of samples");
            return "batch";
        }
    }
    return NULL;
}

static void layout(const ts_params *params, ts_parameter_layout *out) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    *out = (ts_parameter_layout){
        .count = 2,
        .tensor = {{.name = "W",
                    .rank = 2,
                    .size = {shape.hidden, shape.features},
                    .dimension = {"hidden", "feature"}},
                   {.name = "b",
                    .rank = 1,
                    .size = {shape.features},
                    .dimension = {"feature"},
                    .offset = (int64_t)shape.hidden * shape.features}},
        .total = (int64_t)(shape.hidden + 1) * shape.features,
    };
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
    int64_t n = (int64_t)shape.hidden * shape.features;
    ts_philox random = ts_philox_at((uint64_t)ts_params_integer(params, "seed"), TS_STREAM_WEIGHTS, 0, 0);
    for (int64_t i = 0; i < n; i += 2) {
        double pair[2];
        ts_philox_normals(&random, pair, 2);
        parameters[i] = (float)(pair[0] * deviation);
        if (i + 1 < n)
            parameters[i + 1] = (float)(pair[1] * deviation);
    }
    memset(parameters + n, 0, (size_t)shape.features * sizeof *parameters);
}

static int64_t dimension(const ts_params *params, const ts_data *data, const char *name) {
    (void)data;
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    return strcmp(name, "feature") == 0 ? shape.features : shape.hidden;
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
    double samples =
        data->features->support.count > 0 ? data->features->support.count : (double)shape.samples;
    double entries = data->features->support.count > 0 ? 0 : samples * shape.features;
    return 2 * (16 * samples + 8 * entries);
}

// --- Measures ---

// What measure() works on: parameters in double precision.
typedef struct measured {
    int hidden, features;
    double *w;          // (hidden, features)
    double *b;          // (features)
    double *importance; // (features)
    double *x, *z, *h;  // (features), (features), (hidden): one row's input, pre-activation, hidden
    char *memory;
    const atomic_int *pause;
} measured;

static ts_status measured_create(const ts_params *params, const float *parameters, measured *m) {
    ts_autoencoder_shape shape = ts_autoencoder_shape_of(params);
    size_t h = (size_t)shape.hidden, f = (size_t)shape.features;
    double *at = ts_alloc(sizeof(double) * (h * f + 4 * f + h), "an autoencoder's measures");
    if (!at)
        return TS_ERROR_MEMORY;
    *m = (measured){shape.hidden, shape.features, .w = at, .b = at + h * f, .importance = at + h * f + f};
    m->x = m->importance + f;
    m->z = m->x + f;
    m->h = m->z + f;
    m->memory = (char *)at;
    for (size_t i = 0; i < h * f + f; i++)
        at[i] = parameters[i];
    const ts_numbers *importance = ts_params_numbers(params, "importance");
    for (size_t i = 0; i < f; i++)
        m->importance[i] = ts_numbers_at(importance, (int64_t)i);
    memset(m->x, 0, f * sizeof(double));
    return TS_OK;
}

static double row_loss(measured *m, const ts_feature_batch *batch, int row) {
    int features = m->features;
    memset(m->h, 0, (size_t)m->hidden * sizeof(double));
    for (int e = batch->begin[row]; e < batch->end[row]; e++) {
        int feature = batch->active[e];
        double value = batch->value ? batch->value[e] : 1;
        m->x[feature] = value;
        for (int k = 0; k < m->hidden; k++)
            m->h[k] += m->w[(size_t)k * (size_t)features + (size_t)feature] * value;
    }
    memcpy(m->z, m->b, (size_t)features * sizeof(double));
    for (int k = 0; k < m->hidden; k++) {
        const double *w = m->w + (size_t)k * (size_t)features;
        double h = m->h[k];
        for (int f = 0; f < features; f++)
            m->z[f] += h * w[f];
    }
    double loss = 0;
    for (int f = 0; f < features; f++) {
        double error = m->x[f] - (m->z[f] <= 0 ? 0 : m->z[f]);
        loss += m->importance[f] * error * error;
    }
    for (int e = batch->begin[row]; e < batch->end[row]; e++)
        m->x[batch->active[e]] = 0;
    return loss / features;
}

static double batch_loss(measured *m, const ts_feature_batch *batch) {
    double loss = 0;
    for (int row = 0; row < batch->rows && !ts_must_stop(m->pause); row++)
        loss += batch->weight[row] * row_loss(m, batch, row);
    return loss;
}

// Norm, interference and dimensionality of every feature (Elhage et al. 2022, "Toy models of superposition").
static void measure_geometry(measured *m, double *norm, double *interference, double *dimensionality) {
    int features = m->features;
    memset(norm, 0, (size_t)features * sizeof *norm);
    for (int k = 0; k < m->hidden; k++)
        for (int f = 0; f < features; f++)
            norm[f] += m->w[(size_t)k * (size_t)features + (size_t)f] *
                       m->w[(size_t)k * (size_t)features + (size_t)f];
    for (int i = 0; i < features; i++)
        norm[i] = sqrt(norm[i]);
    double *dot = m->z;
    for (int i = 0; i < features; i++) {
        memset(dot, 0, (size_t)features * sizeof *dot);
        for (int k = 0; k < m->hidden; k++) {
            const double *w = m->w + (size_t)k * (size_t)features;
            for (int j = 0; j < features; j++)
                dot[j] += w[i] * w[j];
        }
        double total = 0;
        for (int j = 0; j < features; j++)
            total += dot[j] * dot[j];
        double own = norm[i] * norm[i];
        // A feature without a direction interferes with none and fills no dimension.
        interference[i] = own > 0 ? (total - own * own) / own : 0;
        dimensionality[i] = own > 0 ? own * own / total : 0;
    }
}

static ts_status measure(const ts_params *params, const ts_data *all_data, const float *parameters,
                         int64_t step, bool last, const atomic_int *pause, double *out) {
    const ts_feature_data *data = all_data->features;
    int64_t samples = ts_params_integer(params, "batch");
    uint64_t seed = (uint64_t)ts_params_integer(params, "seed");
    measured m;
    ts_feature_batch batch;
    ts_status status = measured_create(params, parameters, &m);
    if (status != TS_OK)
        return status;
    m.pause = pause;
    status = ts_feature_batch_create(data, samples > FINAL_SAMPLES ? samples : FINAL_SAMPLES, &batch);
    if (status != TS_OK) {
        ts_free(m.memory);
        return status;
    }
    ts_feature_draw(data, seed, TS_STREAM_BATCH, (uint32_t)step, samples, &batch);
    out[TRAIN_LOSS] = batch_loss(&m, &batch);
    out[EXACT_LOSS] = NAN;
    if (data->support.count > 0) {
        ts_feature_draw(data, seed, TS_STREAM_FINAL, 0, 0, &batch);
        out[EXACT_LOSS] = batch_loss(&m, &batch);
    }
    out[FINAL_LOSS] = NAN;
    if (last) {
        ts_feature_draw(data, seed, TS_STREAM_FINAL, 0, FINAL_SAMPLES, &batch);
        out[FINAL_LOSS] = batch_loss(&m, &batch);
    }
    double *features = out + FEATURE_NORM;
    measure_geometry(&m, features, features + m.features, features + 2 * m.features);
    ts_feature_batch_free(&batch);
    ts_free(m.memory);
    return ts_must_stop(pause) ? TS_STOPPED : TS_OK;
}

const ts_model ts_model_autoencoder = {
    .name = "autoencoder",
    .help = "x_hat = relu(W^T W x + b), the toy model of superposition",
    .learns = TS_KIND_FEATURES,
    .keys = KEYS,
    .optimiser = &ts_optimiser_adam,
    .check = check,
    .layout = layout,
    .initialise = initialise,
    .dimension = dimension,
    .step_operations = step_operations,
    .unit_bytes = unit_bytes,
    .measures = MEASURES,
    .headline = "final_loss",
    .measure = measure,
};
