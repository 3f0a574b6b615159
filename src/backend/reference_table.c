#include "backend/reference_table.h"

#include "model/model.h"
#include "model/network.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

void ts_reference_table_destroy(void *training) {
    ts_reference_table *t = training;
    if (!t)
        return;
    ts_slab_free(&t->slab);
    ts_free(t);
}

static size_t pairs_of(const ts_reference_table *t) {
    size_t n = (size_t)t->spec.data->table->n;
    return n * n;
}

static ts_status create_slab(ts_reference_table *t, size_t own) {
    size_t count = (size_t)t->spec.count, parameters = (size_t)t->reference.parameters;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && ts_slab_reserve(&t->slab, "training") != TS_OK)
            return TS_ERROR_MEMORY;
        t->reference.state = ts_slab_take(&t->slab, count * 3 * parameters, sizeof(double));
        t->gradient = ts_slab_take(&t->slab, parameters, sizeof(double));
        t->own = ts_slab_take(&t->slab, own, 1);
        t->pairs = ts_slab_take(&t->slab, count * pairs_of(t), sizeof(int));
        t->adam = ts_slab_take(&t->slab, count, sizeof(ts_adam));
    }
    ts_slab_clear(&t->slab);
    return TS_OK;
}

static ts_status initialise(ts_reference_table *t) {
    float *initial = ts_alloc((size_t)t->reference.parameters * sizeof *initial, "initial weights");
    if (!initial)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < t->spec.count; i++) {
        const ts_params *params = &t->spec.params[i];
        params->schema->model->initialise(params, initial);
        for (int64_t p = 0; p < t->reference.parameters; p++)
            ts_reference_weights(&t->reference, i)[p] = initial[p];
        ts_network_pairs(params, t->spec.data->table, t->pairs + (size_t)i * pairs_of(t), &t->train);
    }
    ts_free(initial);
    return TS_OK;
}

ts_status ts_reference_table_create(const ts_training_spec *spec, size_t own, ts_reference_table **table) {
    ts_reference_table *t = ts_alloc_zero(1, sizeof *t, "a training");
    if (!t)
        return TS_ERROR_MEMORY;
    ts_parameter_layout layout;
    spec->params[0].schema->model->layout(&spec->params[0], &layout);
    t->spec = *spec;
    t->reference.parameters = layout.total;
    ts_status status = create_slab(t, own);
    if (status == TS_OK)
        status = initialise(t);
    if (status != TS_OK) {
        ts_reference_table_destroy(t);
        return status;
    }
    *table = t;
    return TS_OK;
}

double ts_reference_cross_entropy(double *z, int count, int label) {
    double target = z[label], largest = 0, others = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, z[j] - target);
    for (int j = 0; j < count; j++) {
        z[j] = exp(z[j] - target - largest);
        others += j == label ? 0 : z[j];
    }
    double total = exp(-largest) + others;
    for (int j = 0; j < count; j++)
        z[j] = j == label ? -others / total : z[j] / total;
    return largest > 0 ? largest + log(total) : log1p(others);
}

// Mean cross-entropy over the instance's training pairs, and its gradient.
static double make_gradient(const ts_reference_table *t, const double *weights, int instance,
                            double *gradient) {
    const int *pairs = t->pairs + (size_t)instance * pairs_of(t);
    double loss = 0;
    memset(gradient, 0, (size_t)t->reference.parameters * sizeof(double));
    for (int64_t p = 0; p < t->train; p++)
        loss += t->pair_gradient(t, weights, pairs[p], 1.0 / (double)t->train, gradient);
    return loss;
}

static int64_t train_instance(ts_reference_table *t, int instance, int64_t from, int64_t to) {
    ts_adam *adam = ts_adam_at(&t->adam[instance], &t->spec.params[instance], from);
    double *weights = ts_reference_weights(&t->reference, instance);
    for (int64_t step = from; step < to; step++) {
        if (!isfinite(make_gradient(t, weights, instance, t->gradient)) ||
            !ts_adam_update(weights, t->gradient, t->reference.parameters, adam))
            return step;
    }
    return to;
}

ts_status ts_reference_table_train(void *training, int64_t from, int64_t to, int64_t *reached) {
    ts_reference_table *t = training;
    for (int i = 0; i < t->spec.count; i++)
        if (reached[i] == from)
            reached[i] = train_instance(t, i, from, to);
    return TS_OK;
}

ts_status ts_reference_table_gradient(const ts_training_spec *spec, const double *weights, double *loss,
                                      double *gradient) {
    const char *model = spec->params[0].schema->model->name;
    const ts_engine *engine = ts_backend_engine(ts_backend_find("reference"), model);
    void *training = NULL;
    ts_status status = engine->create(spec, &training);
    if (status != TS_OK)
        return status;
    *loss = make_gradient(training, weights, 0, gradient);
    engine->destroy(training);
    return TS_OK;
}
