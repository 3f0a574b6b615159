// How well features are reconstructed: losses of a model of features on samples, and their expectation: exact where it
// can be had, else estimated from more samples.
#include "measure/expectation.h"
#include "measure/family.h"

#include <math.h>

enum { FINAL_SAMPLES = 500 };

// Of the estimate, in portions of 500 samples: it ends once its standard error is ERROR of it, but not before every
// feature is expected to have been on RARE times; at the latest after a share of what it was trained on, and MOST.
enum { LEAST_PORTIONS = 10, MOST_PORTIONS = 200, TRAINED_SHARE = 16, RARE = 10 };
static const double ERROR = 0.01;

typedef struct reconstruction {
    const ts_measuring *measuring;
    ts_feature_batch batch;
    double train_loss, exact_loss, final_loss, estimated_loss, final_loss_error;
    ts_expectation *expectation;    // NULL: inputs are listed, or it is not known, or not the end
    bool absolute;                  // the target is |x|
    double *importance, *x, *x_hat; // (features) each; the target and output of one sample
    ts_slab slab;
} reconstruction;

static ts_status begin(const ts_measuring *measuring, int chart, void *state) {
    reconstruction *r = state;
    int64_t samples = ts_network_samples(measuring->params);
    size_t features = (size_t)measuring->network->features;
    (void)chart;
    r->measuring = measuring;
    r->absolute = ts_network_target_is_absolute(measuring->params);
    r->train_loss = r->exact_loss = r->final_loss = r->estimated_loss = r->final_loss_error = NAN;
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
    ts_status status = TS_OK;
    if (measuring->last && measuring->data->features->support.count == 0)
        status = ts_expectation_create(measuring->network, measuring->data->features, &r->expectation);
    if (status != TS_OK)
        return status;
    return ts_feature_batch_create(measuring->data->features, samples > FINAL_SAMPLES ? samples : FINAL_SAMPLES,
                                   &r->batch);
}

static double target_of(const reconstruction *r, double x) {
    return r->absolute ? fabs(x) : x;
}

static bool has_fixed_samples(const ts_params *params) {
    return ts_params_integer(params, "samples") > 0;
}

static void free_state(void *state) {
    reconstruction *r = state;
    ts_expectation_free(r->expectation);
    ts_feature_batch_free(&r->batch);
}

// Mean over features of importance_i (target_i - x_hat_i)^2, of one sample.
static double sample_loss(reconstruction *r, int row) {
    const ts_network *network = r->measuring->network;
    const ts_feature_batch *batch = &r->batch;
    int begin = batch->begin[row], end = batch->end[row];
    const float *value = batch->value;
    double loss = 0;
    network->reconstruct(network->weights, batch->active + begin, value ? value + begin : NULL, end - begin, r->x_hat);
    for (int e = begin; e < end; e++)
        r->x[batch->active[e]] = target_of(r, value ? (double)value[e] : 1);
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

// How many portions the estimate has at least and at most.
static void bound_portions(const ts_measuring *m, int64_t *least, int64_t *most) {
    const ts_independent *law = &m->data->features->independent;
    double trained = (double)m->step * (double)ts_network_samples(m->params);
    double share = trained / TRAINED_SHARE / FINAL_SAMPLES, rarest = 1;
    for (int g = 0; g < law->groups; g++)
        if (law->group[g].on > 0 && law->group[g].on < rarest)
            rarest = law->group[g].on;
    double wanted = RARE / rarest / FINAL_SAMPLES;
    *most = share < LEAST_PORTIONS ? LEAST_PORTIONS : share > MOST_PORTIONS ? MOST_PORTIONS : (int64_t)share;
    *least = wanted < LEAST_PORTIONS ? LEAST_PORTIONS : wanted > (double)*most ? *most : (int64_t)wanted;
}

// Of inputs that are too many to list: every row of a batch is a sample.
static void estimate(reconstruction *r) {
    const ts_measuring *m = r->measuring;
    int64_t least, most, samples = 0;
    double mean = 0, squares = 0, error = INFINITY; // squares: of distances from the mean
    bound_portions(m, &least, &most);
    for (int64_t k = 0; k < most && (k < least || error > ERROR * mean) && !ts_must_stop(m->pause); k++) {
        ts_feature_draw(m->data->features, (uint64_t)ts_params_integer(m->params, "seed"), TS_STREAM_ESTIMATE,
                        (uint32_t)k, FINAL_SAMPLES, &r->batch);
        for (int row = 0; row < r->batch.rows && !ts_must_stop(m->pause); row++) {
            double loss = sample_loss(r, row), before = loss - mean;
            mean += before / (double)++samples;
            squares += before * (loss - mean);
        }
        error = sqrt(squares / (double)(samples - 1) / (double)samples);
    }
    r->estimated_loss = mean;
    r->final_loss_error = error;
}

static void finish(void *state) {
    reconstruction *r = state;
    const ts_measuring *m = r->measuring;
    r->train_loss = batch_loss(r, TS_STREAM_BATCH, ts_network_draw(m->params, m->step), ts_network_samples(m->params));
    if (m->last || has_fixed_samples(m->params))
        r->final_loss = batch_loss(r, TS_STREAM_FINAL, 0, FINAL_SAMPLES);
    if (m->data->features->support.count > 0)
        r->exact_loss = batch_loss(r, TS_STREAM_FINAL, 0, 0);
    if (!m->last)
        return;
    if (r->expectation)
        r->exact_loss = ts_expectation_loss(r->expectation, r->importance, m->pause);
    if (isnan(r->exact_loss))
        estimate(r);
    else
        r->final_loss_error = 0;
}

static const ts_measure ROWS[] = {
    {"train_loss", "loss on the step's batch, before its update", .loss = true,
     .at = offsetof(reconstruction, train_loss)},
    {"fresh_loss", "loss on 500 fresh samples, where those of training are fixed", .loss = true,
     .wanted = has_fixed_samples, .at = offsetof(reconstruction, final_loss)},
    {"exact_loss",
     "expectation of the loss; where inputs cannot be listed, of the last checkpoint alone; NaN where they are too "
     "many",
     .loss = true, .at = offsetof(reconstruction, exact_loss)},
    {"final_loss", "loss on 500 fresh samples", .loss = true, .at_end = true,
     .at = offsetof(reconstruction, final_loss)},
    {"estimated_loss", "loss on fresh samples, enough for an error of 1 % or a bound; NaN where there is an exact one",
     .loss = true, .at_end = true, .at = offsetof(reconstruction, estimated_loss)},
    {"final_loss_error", "standard error of estimated_loss; 0 where there is an exact one", .loss = true,
     .at_end = true, .at = offsetof(reconstruction, final_loss_error)},
    {0},
};

const ts_family ts_family_reconstruction = {
    .name = TS_LOSSES,
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
