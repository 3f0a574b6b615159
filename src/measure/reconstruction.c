// How well features are reconstructed: losses of a model of features on samples, and their expectation.
#include "measure/family.h"

#include <math.h>

enum { FINAL_SAMPLES = 500 };

typedef struct reconstruction {
    const ts_measuring *measuring;
    ts_feature_batch batch;
    double train_loss, exact_loss, final_loss;
    double *importance, *x, *x_hat; // (features) each; the input and output of one sample
    ts_slab slab;
} reconstruction;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    reconstruction *r = state;
    int64_t samples = ts_params_integer(measuring->params, "batch");
    size_t features = (size_t)measuring->network->features;
    (void)chart;
    r->measuring = measuring;
    r->train_loss = r->exact_loss = r->final_loss = NAN;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&r->slab, "an autoencoder's measures") != TS_OK)
            return TS_ERROR_MEMORY;
        r->importance = ts_slab_take(&r->slab, features, sizeof(double));
        r->x = ts_slab_take(&r->slab, features, sizeof(double));
        r->x_hat = ts_slab_take(&r->slab, features, sizeof(double));
    }
    const ts_numbers *importance = ts_params_numbers(measuring->params, "importance");
    for (size_t f = 0; f < features; f++) {
        r->importance[f] = ts_numbers_at(importance, (int64_t)f);
        r->x[f] = 0;
    }
    return ts_feature_batch_create(measuring->data->features, samples > FINAL_SAMPLES ? samples : FINAL_SAMPLES,
                                   &r->batch);
}

static void free_state(void *state) {
    ts_feature_batch_free(&((reconstruction *)state)->batch);
}

// Mean over features of importance_i (x_i - x_hat_i)^2, of one sample.
static double sample_loss(reconstruction *r, int row) {
    const ts_network *network = r->measuring->network;
    const ts_feature_batch *batch = &r->batch;
    int begin = batch->begin[row], end = batch->end[row];
    const float *value = batch->value;
    double loss = 0;
    network->reconstruct(network->weights, batch->active + begin, value ? value + begin : NULL, end - begin, r->x_hat);
    for (int e = begin; e < end; e++)
        r->x[batch->active[e]] = value ? value[e] : 1;
    for (int f = 0; f < network->features; f++) {
        double error = r->x[f] - r->x_hat[f];
        loss += r->importance[f] * error * error;
    }
    for (int e = begin; e < end; e++)
        r->x[batch->active[e]] = 0;
    return loss / network->features;
}

// Of samples drawn from the stream; 0 samples: over all inputs, by how probable they are.
static double batch_loss(reconstruction *r, ts_stream stream, uint32_t step, int64_t samples) {
    const ts_measuring *m = r->measuring;
    double loss = 0;
    ts_feature_draw(m->data->features, (uint64_t)ts_params_integer(m->params, "seed"), stream, step, samples,
                    &r->batch);
    for (int row = 0; row < r->batch.rows && !ts_must_stop(m->pause); row++)
        loss += r->batch.weight[row] * sample_loss(r, row);
    return loss;
}

static void finish(void *state) {
    reconstruction *r = state;
    const ts_measuring *m = r->measuring;
    r->train_loss = batch_loss(r, TS_STREAM_BATCH, (uint32_t)m->step, ts_params_integer(m->params, "batch"));
    if (m->data->features->support.count > 0)
        r->exact_loss = batch_loss(r, TS_STREAM_FINAL, 0, 0);
    if (m->last)
        r->final_loss = batch_loss(r, TS_STREAM_FINAL, 0, FINAL_SAMPLES);
}

static const ts_measure ROWS[] = {
    {"train_loss", "loss on the step's batch, before its update", .loss = true,
     .at = offsetof(reconstruction, train_loss)},
    {"exact_loss", "expectation of the loss (NaN where the inputs are too many to list)", .loss = true,
     .at = offsetof(reconstruction, exact_loss)},
    {"final_loss", "loss on 500 fresh samples", .loss = true, .at_end = true,
     .at = offsetof(reconstruction, final_loss)},
    {0},
};

const ts_family ts_family_reconstruction = {
    .title = "Losses of reconstructed features",
    .source = "Measures of `autoencoder`",
    .kind = TS_KIND_FEATURES,
    .rows = ROWS,
    .state_bytes = sizeof(reconstruction),
    .slab = offsetof(reconstruction, slab),
    .begin = begin,
    .finish = finish,
    .free = free_state,
};
