// A network of given activations under the measures of table models, and what its Fourier measures are by
// definition, written out slowly. For tests of modules above measure/planes.h; how networks are trained is not in here.
#pragma once

#include "measure/dimension.h"
#include "measure/measure.h"
#include "model/network.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double SUPPORT_CIRCLE = 6.283185307179586476925286766559;
static const double SUPPORT_TIGHT = 1e-9; // relative and absolute

// --- A network of given activations, and its measures ---

typedef struct support_network {
    support_instance instance;
    ts_data *data;
    int order, hidden, embed; // elements; widths
    double *h;                // (order^2, hidden)
    double *u;                // (hidden, order)
    double *logits;           // (order^2, order)
    double *e_x, *e_y;        // (order, embed)
    double *out;              // measures
    uint64_t random;
} support_network;

static inline double support_uniform(support_network *f) {
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(f->random >> 11) * 0x1p-52 - 1;
}

static inline void support_row(const void *weights, int a, double *h, double *logits, double *hidden_logits) {
    (void)hidden_logits;
    const support_network *f = weights;
    size_t n = (size_t)f->order;
    memcpy(h, f->h + (size_t)a * n * (size_t)f->hidden, n * (size_t)f->hidden * sizeof *h);
    memcpy(logits, f->logits + (size_t)a * n * n, n * n * sizeof *logits);
}

// The task `power` on the instance's table, C<p>: results a^m + b^n, and a chart of values.
static inline void support_make_power(support_network *f, int m, int n) {
    int p = f->order, value[2][64], exponent[2] = {m, n};
    for (int side = 0; side < 2; side++)
        for (int a = 0; a < p; a++) {
            value[side][a] = 1;
            for (int i = 0; i < exponent[side]; i++)
                value[side][a] = value[side][a] * a % p;
        }
    int both[128];
    for (int a = 0; a < p; a++) {
        both[a] = value[0][a];
        both[p + a] = value[1][a];
        for (int b = 0; b < p; b++)
            f->data->table->result[a * p + b] = (value[0][a] + value[1][b]) % p;
    }
    ts_symmetry_free(f->data->symmetry);
    assert_int_equal(ts_symmetry_of_sums(p, both, &f->data->symmetry), TS_OK);
}

// Of the measures through each chart.
static const char *const SUPPORT_PREFIX[TS_MAX_CHARTS] = {"", "value_"};

// `more`: of the sweep.
static inline void support_network_open_with(support_network *f, const char *group, int m, int n, const char *more) {
    char text[256];
    snprintf(text, sizeof text, "task: group\ngroup: %s\ntrain_fraction: 0.6\nembed: 8\nhidden: 12\n%s", group, more);
    *f = (support_network){.random = 7};
    support_open(&f->instance, text);
    f->data = f->instance.data;
    f->order = f->data->table->n;
    f->hidden = f->embed = 12;
    if (m > 0)
        support_make_power(f, m, n);
    size_t order = (size_t)f->order, hidden = (size_t)f->hidden;
    f->h = ts_alloc_zero(order * order * hidden, sizeof(double), "h");
    f->u = ts_alloc_zero(hidden * order, sizeof(double), "u");
    f->logits = ts_alloc_zero(order * order * order, sizeof(double), "logits");
    f->e_x = ts_alloc_zero(order * hidden, sizeof(double), "e");
    f->e_y = ts_alloc_zero(order * hidden, sizeof(double), "e");
    f->out = ts_alloc_zero((size_t)ts_measures_total(&f->instance.params, f->data), sizeof(double), "out");
}

static inline void support_network_open(support_network *f, const char *group, int m, int n) {
    support_network_open_with(f, group, m, n, "");
}

static inline void support_network_close(support_network *f) {
    ts_free(f->h);
    ts_free(f->u);
    ts_free(f->logits);
    ts_free(f->e_x);
    ts_free(f->e_y);
    ts_free(f->out);
    support_close(&f->instance);
}

static inline void support_measure(support_network *f) {
    ts_network network = {.hidden = f->hidden,
                          .embed = f->embed,
                          .embeds_neurons = true,
                          .e_x = f->e_x,
                          .e_y = f->e_y,
                          .u = f->u,
                          .row = support_row,
                          .weights = f};
    assert_int_equal(ts_measure_network(&f->instance.params, f->data, &network, 0, true, NULL, f->out), TS_OK);
}

// Where a measure's numbers start; NULL: the case has no such measure.
static inline const double *support_find(const support_network *f, const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    ts_measures m = ts_measures_of(&f->instance.params, f->data);
    if (!ts_measures_of_kind(TS_KIND_TABLE, full))
        fail_msg("no measure is called %s", full);
    return ts_measures_find(&m, full) ? f->out + m.offset : NULL;
}

static inline const double *support_measured(const support_network *f, const char *prefix, const char *name) {
    const double *values = support_find(f, prefix, name);
    if (!values)
        fail_msg("%s%s is missing", prefix, name);
    return values;
}

static inline void support_expect(const char *prefix, const char *name, int index, double found, double expected) {
    if (!(fabs(found - expected) <= SUPPORT_TIGHT * (1 + fabs(expected))))
        fail_msg("%s%s[%d]: measured %.15g, by definition %.15g", prefix, name, index, found, expected);
}

// logits = H U, and whatever else reaches them.
static inline void support_unembed(support_network *f, double residual) {
    size_t n = (size_t)f->order, hidden = (size_t)f->hidden;
    for (size_t pair = 0; pair < n * n; pair++)
        for (size_t c = 0; c < n; c++) {
            double sum = residual > 0 ? residual * support_uniform(f) : 0;
            for (size_t k = 0; k < hidden; k++)
                sum += f->h[pair * hidden + k] * f->u[k * n + c];
            f->logits[pair * n + c] = sum;
        }
}

// Neurons: 0 is off, 1 constant; 2 to 7 of one frequency each, up to noise; the others as they come out of a ReLU.
// n: places of a circle, place: of each a and b.
static inline void support_fill(support_network *f, int n, const int *x, const int *y) {
    size_t order = (size_t)f->order, hidden = (size_t)f->hidden;
    for (size_t i = 0; i < order * hidden; i++) {
        f->e_x[i] = support_uniform(f);
        f->e_y[i] = support_uniform(f);
        f->u[i] = support_uniform(f);
    }
    for (size_t a = 0; a < order; a++)
        for (size_t b = 0; b < order; b++)
            for (size_t k = 0; k < hidden; k++) {
                int frequency = 1 + (int)k / 2 % (n / 2);
                double sum = f->e_x[a * hidden + k] + f->e_y[b * hidden + k];
                double planted = 1.5 + cos(SUPPORT_CIRCLE * frequency * (x[a] + y[b]) / n + (double)k) +
                                 sin(SUPPORT_CIRCLE * frequency * x[a] / n) + 0.1 * support_uniform(f);
                f->h[(a * order + b) * hidden + k] = k == 0 ? 0 : k == 1 ? 0.7 : k < 8 ? planted : sum > 0 ? sum : 0;
            }
    support_unembed(f, 0.3);
}

// --- Definitions, written out ---

static inline double support_cosine(int n, int k, int x) {
    return cos(SUPPORT_CIRCLE * k * x / n);
}

static inline double support_sine(int n, int k, int x) {
    return 2 * k == n ? 0 : sin(SUPPORT_CIRCLE * k * x / n);
}

static inline double support_component(int n, int component, int x) {
    return component == 0       ? 1
           : component % 2 == 1 ? support_cosine(n, (component + 1) / 2, x)
                                : support_sine(n, component / 2, x);
}

// Takes out of v (count) what lies along 1 and the vectors before it, twice; false: nothing is left.
static inline bool support_orthonormalise(double *vectors, int number, double *v, size_t count) {
    double norm = 0, before = 0;
    for (size_t i = 0; i < count; i++)
        before += v[i] * v[i];
    for (int again = 0; again < 2; again++)
        for (int other = -1; other < number; other++) {
            double dot = 0;
            for (size_t i = 0; i < count; i++)
                dot += v[i] * (other < 0 ? 1 / sqrt((double)count) : vectors[(size_t)other * count + i]);
            for (size_t i = 0; i < count; i++)
                v[i] -= dot * (other < 0 ? 1 / sqrt((double)count) : vectors[(size_t)other * count + i]);
        }
    for (size_t i = 0; i < count; i++)
        norm += v[i] * v[i];
    if (norm < 1e-9 * (before + 1))
        return false;
    for (size_t i = 0; i < count; i++)
        v[i] /= sqrt(norm);
    return true;
}

// Energy of values (count), less their mean, in the 8 terms of frequency k of places x and y (count), and all of it.
static inline double support_terms(int n, int k, const int *x, const int *y, const double *values, size_t count,
                                   double *all) {
    double *vectors = ts_alloc(9 * count * sizeof *vectors, "vectors"), part = 0, mean = 0;
    int number = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double *v = vectors + (size_t)number * count;
            for (size_t p = 0; p < count; p++)
                v[p] = (i == 0   ? 1
                        : i == 1 ? support_cosine(n, k, x[p])
                                 : support_sine(n, k, x[p])) *
                       (j == 0   ? 1
                        : j == 1 ? support_cosine(n, k, y[p])
                                 : support_sine(n, k, y[p]));
            number += i + j > 0 && support_orthonormalise(vectors, number, v, count);
        }
    for (size_t p = 0; p < count; p++)
        mean += values[p] / (double)count;
    *all = 0;
    for (size_t p = 0; p < count; p++)
        *all += (values[p] - mean) * (values[p] - mean);
    for (int v = 0; v < number; v++) {
        double dot = 0;
        for (size_t p = 0; p < count; p++)
            dot += vectors[(size_t)v * count + p] * values[p];
        part += dot * dot;
    }
    ts_free(vectors);
    return part;
}

// Share of neuron i's energy in frequency k, over all circles (1 or 2) of a and of b.
static inline double support_share(const support_network *f, int n, const int *x, const int *y, int k, int i) {
    double part = 0, all = 0;
    size_t order = (size_t)f->order;
    int *xs = ts_alloc(order * order * sizeof *xs, "places"), *ys = ts_alloc(order * order * sizeof *ys, "y");
    double *values = ts_alloc(order * order * sizeof *values, "values");
    for (int plane = 0; plane < 4; plane++) {
        size_t count = 0;
        double own;
        for (size_t a = 0; a < order; a++)
            for (size_t b = 0; b < order; b++)
                if (x[a] / n == plane / 2 && y[b] / n == plane % 2) {
                    xs[count] = x[a] % n;
                    ys[count] = y[b] % n;
                    values[count++] = f->h[(a * order + b) * (size_t)f->hidden + (size_t)i];
                }
        if (count == 0)
            continue;
        part += support_terms(n, k, xs, ys, values, count, &own);
        all += own;
    }
    ts_free(xs);
    ts_free(ys);
    ts_free(values);
    return all > 1e-9 ? part / all : NAN;
}

static inline double support_loss(const double *z, int count, int label) {
    double sum = 0;
    for (int c = 0; c < count; c++)
        sum += exp(z[c] - z[label]);
    return log(sum);
}

static inline void support_compare_clusters(const support_network *f, const char *prefix, int n, const int *x,
                                            const int *y) {
    const double *frequency = support_measured(f, prefix, "neuron_frequency"),
                 *fraction = support_measured(f, prefix, "neuron_frequency_fraction"),
                 *key = support_measured(f, prefix, "key_frequency");
    double expected_key[64] = {0};
    for (int i = 0; i < f->hidden; i++) {
        double best = 0;
        int best_k = -1;
        for (int k = 1; k <= n / 2; k++) {
            double share = support_share(f, n, x, y, k, i);
            if (share > best) {
                best = share;
                best_k = k;
            }
        }
        support_expect(prefix, "neuron_frequency", i, frequency[i], best_k);
        if (best_k < 0) {
            assert_true(isnan(fraction[i]));
            continue;
        }
        support_expect(prefix, "neuron_frequency_fraction", i, fraction[i], best);
        assert_true(fraction[i] <= 1 + 1e-12);
        if (best > 0.85)
            expected_key[best_k - 1] = 1;
    }
    for (int k = 1; k <= n / 2; k++)
        support_expect(prefix, "key_frequency", k, key[k - 1], expected_key[k - 1]);
}

static inline void support_compare_norms(const support_network *f, const char *prefix, const char *name, int n,
                                         const int *place, const double *rows, int width, size_t stride, size_t step) {
    const double *norm = support_measured(f, prefix, name);
    for (int component = 0; component < n; component++) {
        double square = 0, own = 0;
        for (int t = 0; t < n; t++)
            own += pow(support_component(n, component, place ? place[t] : t), 2);
        for (int k = 0; k < width; k++) {
            double sum = 0;
            for (int t = 0; t < n; t++)
                sum +=
                    support_component(n, component, place ? place[t] : t) * rows[(size_t)t * stride + (size_t)k * step];
            square += own > 1e-9 ? sum * sum / own : 0;
        }
        support_expect(prefix, name, component, norm[component], sqrt(square));
    }
}

static inline double *support_centred_logits(const support_network *f) {
    size_t n = (size_t)f->order;
    double *z = ts_alloc(n * n * n * sizeof *z, "logits");
    for (size_t pair = 0; pair < n * n; pair++) {
        double mean = 0;
        for (size_t c = 0; c < n; c++)
            mean += f->logits[pair * n + c] / (double)n;
        for (size_t c = 0; c < n; c++)
            z[pair * n + c] = f->logits[pair * n + c] - mean;
    }
    return z;
}
