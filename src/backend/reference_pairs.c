// Training pairs, one by one, and their cross-entropy.
#include "backend/reference_pairs.h"

#include "model/network.h"
#include "task/data.h"

#include <math.h>
#include <string.h>

static size_t pairs_of(const ts_reference_pairs *t) {
    size_t n = (size_t)t->base.spec.data->table->n;
    return n * n;
}

void ts_reference_pairs_take(void *training) {
    ts_reference_pairs *t = training;
    t->pairs = ts_slab_take(&t->base.slab, (size_t)t->base.spec.count * pairs_of(t), sizeof *t->pairs);
}

ts_status ts_reference_pairs_initialise(void *training) {
    ts_reference_pairs *t = training;
    const ts_training_spec *spec = &t->base.spec;
    for (int i = 0; i < spec->count; i++)
        ts_network_pairs(&spec->params[i], spec->data->table, t->pairs + (size_t)i * pairs_of(t), &t->train);
    return TS_OK;
}

double ts_reference_pairs_loss(void *training, int instance, int64_t step, const double *weights, double *gradient) {
    ts_reference_pairs *t = training;
    const int *pairs = t->pairs + (size_t)instance * pairs_of(t);
    double loss = 0;
    (void)step; // all pairs at every one
    memset(gradient, 0, (size_t)t->base.parameters * sizeof *gradient);
    for (int64_t p = 0; p < t->train; p++)
        loss += t->pair_gradient(training, weights, pairs[p], 1.0 / (double)t->train, gradient);
    return loss;
}

double ts_reference_cross_entropy(double *logits, int count, int label) {
    double target = logits[label], largest = 0, others = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, logits[j] - target);
    for (int j = 0; j < count; j++) {
        logits[j] = exp(logits[j] - target - largest);
        others += j == label ? 0 : logits[j];
    }
    double total = exp(-largest) + others;
    for (int j = 0; j < count; j++)
        logits[j] = j == label ? -others / total : logits[j] / total;
    return largest > 0 ? largest + log(total) : log1p(others);
}
