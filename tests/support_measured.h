// For tests of measures: a network with weights of one's own, and all measures of it at its last checkpoint.
#pragma once

#include "measure/measure.h"
#include "support_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct network {
    support_instance f;
    int n, hidden;
    double *measures;
} network;

static inline void open_network(network *t, const char *text, uint64_t seed) {
    support_open(&t->f, text);
    t->n = t->f.data->table->n;
    t->hidden = (int)ts_params_integer(&t->f.params, "hidden");
    t->measures = ts_alloc((size_t)ts_measures_total(&t->f.params, t->f.data) * sizeof(double), "measures");
    for (int64_t i = 0; i < t->f.parameters; i++)
        t->f.initial[i] = (float)support_random(&seed);
}

static inline void measure(network *t) {
    assert_int_equal(ts_measure_weights(&t->f.params, t->f.data, t->f.initial, 0, TS_MEASURE_LAST, NULL, t->measures),
                     TS_OK);
}

static inline void close_network(network *t) {
    ts_free(t->measures);
    support_close(&t->f);
}

static inline const double *found(const network *t, const char *name) {
    ts_measures m = ts_measures_of(&t->f.params, t->f.data);
    if (!ts_measures_find(&m, name))
        fail_msg("no measure %s", name);
    return t->measures + m.offset;
}

static inline float *tensor(network *t, const char *name) {
    for (int i = 0; i < t->f.layout.count; i++)
        if (strcmp(t->f.layout.tensor[i].name, name) == 0)
            return t->f.initial + t->f.layout.tensor[i].offset;
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline void expect(const char *name, int i, double value, double expected, double tolerance) {
    if (isnan(expected) ? !isnan(value) : !(fabs(value - expected) <= tolerance))
        fail_msg("%s[%d] is %.17g, expected %.17g", name, i, value, expected);
}

// --- An mlp with embeddings ---

// What neuron k of an mlp has of a and b before the activation; less than 0: without that one.
static inline double pre_activation(network *t, int a, int b, int k) {
    int embed = (int)ts_params_integer(&t->f.params, "embed");
    const float *x = tensor(t, "W_x"), *y = tensor(t, "W_y"), *w = tensor(t, "W");
    double sum = 0;
    for (int e = 0; e < embed; e++)
        sum += (a < 0 ? 0 : (double)x[a * embed + e] * w[e * t->hidden + k]) +
               (b < 0 ? 0 : (double)y[b * embed + e] * w[(embed + e) * t->hidden + k]);
    return sum;
}
