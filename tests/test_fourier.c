// Fourier measures of cyclic and dihedral tables against their definitions written out term by term, on networks with
// random and planted activations.
#include "model/network.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double CIRCLE = 6.283185307179586476925286766559;
static const double TIGHT = 1e-9; // relative and absolute

// --- A network of given activations, and its measures ---

typedef struct fixture {
    support_instance instance;
    ts_data *data;
    int order, hidden, embed; // elements; widths
    double *h;                // (order^2, hidden)
    double *u;                // (hidden, order)
    double *logits;           // (order^2, order)
    double *e_x, *e_y;        // (order, embed)
    double *out;              // measures
    uint64_t random;
} fixture;

static double uniform(fixture *f) {
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(f->random >> 11) * 0x1p-52 - 1;
}

static void row(const void *weights, int a, double *h, double *logits) {
    const fixture *f = weights;
    size_t n = (size_t)f->order;
    memcpy(h, f->h + (size_t)a * n * (size_t)f->hidden, n * (size_t)f->hidden * sizeof *h);
    memcpy(logits, f->logits + (size_t)a * n * n, n * n * sizeof *logits);
}

// The task `power` on the instance's table, C<p>: results a^m + b^n, and a chart of values.
static void make_power(fixture *f, int m, int n) {
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

static void open_fixture(fixture *f, const char *group, int m, int n) {
    char text[128];
    snprintf(text, sizeof text, "task: group\ngroup: %s\ntrain_fraction: 0.6\nembed: 8\nhidden: 12\n", group);
    *f = (fixture){.random = 7};
    support_open(&f->instance, text);
    f->data = f->instance.data;
    f->order = f->data->table->n;
    f->hidden = f->embed = 12;
    if (m > 0)
        make_power(f, m, n);
    size_t order = (size_t)f->order, hidden = (size_t)f->hidden;
    f->h = ts_alloc_zero(order * order * hidden, sizeof(double), "h");
    f->u = ts_alloc_zero(hidden * order, sizeof(double), "u");
    f->logits = ts_alloc_zero(order * order * order, sizeof(double), "logits");
    f->e_x = ts_alloc_zero(order * hidden, sizeof(double), "e");
    f->e_y = ts_alloc_zero(order * hidden, sizeof(double), "e");
    f->out = ts_alloc_zero((size_t)ts_measures_total(&f->instance.params, f->data), sizeof(double), "out");
}

static void close_fixture(fixture *f) {
    ts_free(f->h);
    ts_free(f->u);
    ts_free(f->logits);
    ts_free(f->e_x);
    ts_free(f->e_y);
    ts_free(f->out);
    support_close(&f->instance);
}

static void measure(fixture *f) {
    ts_network network = {.hidden = f->hidden,
                          .embed = f->embed,
                          .e_x = f->e_x,
                          .e_y = f->e_y,
                          .u = f->u,
                          .row = row,
                          .weights = f};
    assert_int_equal(ts_network_measure(&f->instance.params, f->data, &network, true, f->out), TS_OK);
}

// Where a measure's numbers start; NULL: the case has no such measure.
static const double *find(const fixture *f, const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    for (int i = 0; ts_network_measures[i].name; i++)
        if (strcmp(ts_network_measures[i].name, full) == 0)
            return ts_measure_length(&f->instance.params, f->data, i) > 0
                       ? f->out + ts_measure_offset(&f->instance.params, f->data, i)
                       : NULL;
    fail_msg("no measure is called %s", full);
    return NULL;
}

static const double *measured(const fixture *f, const char *prefix, const char *name) {
    const double *values = find(f, prefix, name);
    if (!values)
        fail_msg("%s%s is missing", prefix, name);
    return values;
}

static void expect(const char *prefix, const char *name, int index, double found, double expected) {
    if (!(fabs(found - expected) <= TIGHT * (1 + fabs(expected))))
        fail_msg("%s%s[%d]: measured %.15g, by definition %.15g", prefix, name, index, found, expected);
}

// logits = H U, and whatever else reaches them.
static void unembed(fixture *f, double residual) {
    size_t n = (size_t)f->order, hidden = (size_t)f->hidden;
    for (size_t pair = 0; pair < n * n; pair++)
        for (size_t c = 0; c < n; c++) {
            double sum = residual > 0 ? residual * uniform(f) : 0;
            for (size_t k = 0; k < hidden; k++)
                sum += f->h[pair * hidden + k] * f->u[k * n + c];
            f->logits[pair * n + c] = sum;
        }
}

// Neurons: 0 is off, 1 constant; 2 to 7 of one frequency each, up to noise; the others as they come out of a ReLU.
// n: places of a circle, place: of each a and b.
static void fill(fixture *f, int n, const int *x, const int *y) {
    size_t order = (size_t)f->order, hidden = (size_t)f->hidden;
    for (size_t i = 0; i < order * hidden; i++) {
        f->e_x[i] = uniform(f);
        f->e_y[i] = uniform(f);
        f->u[i] = uniform(f);
    }
    for (size_t a = 0; a < order; a++)
        for (size_t b = 0; b < order; b++)
            for (size_t k = 0; k < hidden; k++) {
                int frequency = 1 + (int)k / 2 % (n / 2);
                double sum = f->e_x[a * hidden + k] + f->e_y[b * hidden + k];
                double planted = 1.5 + cos(CIRCLE * frequency * (x[a] + y[b]) / n + (double)k) +
                                 sin(CIRCLE * frequency * x[a] / n) + 0.1 * uniform(f);
                f->h[(a * order + b) * hidden + k] = k == 0    ? 0
                                                     : k == 1  ? 0.7
                                                     : k < 8   ? planted
                                                     : sum > 0 ? sum
                                                               : 0;
            }
    unembed(f, 0.3);
}

// --- Definitions, written out ---

static double cosine(int n, int k, int x) {
    return cos(CIRCLE * k * x / n);
}

static double sine(int n, int k, int x) {
    return 2 * k == n ? 0 : sin(CIRCLE * k * x / n);
}

static double component_at(int n, int component, int x) {
    return component == 0       ? 1
           : component % 2 == 1 ? cosine(n, (component + 1) / 2, x)
                                : sine(n, component / 2, x);
}

// Takes out of v (count) what lies along 1 and the vectors before it, twice; false: nothing is left.
static bool orthonormalise(double *vectors, int number, double *v, size_t count) {
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
static double slow_terms(int n, int k, const int *x, const int *y, const double *values, size_t count,
                         double *all) {
    double *vectors = ts_alloc(9 * count * sizeof *vectors, "vectors"), part = 0, mean = 0;
    int number = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double *v = vectors + (size_t)number * count;
            for (size_t p = 0; p < count; p++)
                v[p] = (i == 0   ? 1
                        : i == 1 ? cosine(n, k, x[p])
                                 : sine(n, k, x[p])) *
                       (j == 0   ? 1
                        : j == 1 ? cosine(n, k, y[p])
                                 : sine(n, k, y[p]));
            number += i + j > 0 && orthonormalise(vectors, number, v, count);
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
static double slow_share(const fixture *f, int n, const int *x, const int *y, int k, int i) {
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
        part += slow_terms(n, k, xs, ys, values, count, &own);
        all += own;
    }
    ts_free(xs);
    ts_free(ys);
    ts_free(values);
    return all > 1e-9 ? part / all : NAN;
}

static double slow_loss(const double *z, int count, int label) {
    double sum = 0;
    for (int c = 0; c < count; c++)
        sum += exp(z[c] - z[label]);
    return log(sum);
}

static void compare_clusters(const fixture *f, const char *prefix, int n, const int *x, const int *y) {
    const double *frequency = measured(f, prefix, "neuron_frequency"),
                 *fraction = measured(f, prefix, "neuron_frequency_fraction"),
                 *key = measured(f, prefix, "key_frequency");
    double expected_key[64] = {0};
    for (int i = 0; i < f->hidden; i++) {
        double best = 0;
        int best_k = -1;
        for (int k = 1; k <= n / 2; k++) {
            double share = slow_share(f, n, x, y, k, i);
            if (share > best) {
                best = share;
                best_k = k;
            }
        }
        expect(prefix, "neuron_frequency", i, frequency[i], best_k);
        if (best_k < 0) {
            assert_true(isnan(fraction[i]));
            continue;
        }
        expect(prefix, "neuron_frequency_fraction", i, fraction[i], best);
        assert_true(fraction[i] <= 1 + 1e-12);
        if (best > 0.85)
            expected_key[best_k - 1] = 1;
    }
    for (int k = 1; k <= n / 2; k++)
        expect(prefix, "key_frequency", k, key[k - 1], expected_key[k - 1]);
}

static void compare_norms(const fixture *f, const char *prefix, const char *name, int n, const int *place,
                          const double *rows, int width, size_t stride, size_t step) {
    const double *norm = measured(f, prefix, name);
    for (int component = 0; component < n; component++) {
        double square = 0, own = 0;
        for (int t = 0; t < n; t++)
            own += pow(component_at(n, component, place ? place[t] : t), 2);
        for (int k = 0; k < width; k++) {
            double sum = 0;
            for (int t = 0; t < n; t++)
                sum += component_at(n, component, place ? place[t] : t) *
                       rows[(size_t)t * stride + (size_t)k * step];
            square += own > 1e-9 ? sum * sum / own : 0;
        }
        expect(prefix, name, component, norm[component], sqrt(square));
    }
}

static double *centred_logits(const fixture *f) {
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

static void compare_cubes(const fixture *f, const char *prefix, const int *x, const int *y) {
    int n = f->order;
    double *z = centred_logits(f), all = 0, left = 0;
    size_t cube = (size_t)n * (size_t)n * (size_t)n;
    for (size_t i = 0; i < cube; i++)
        all += z[i] * z[i];
    for (int k = 1; k <= n / 2; k++) {
        double dot = 0, norm = 0;
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                for (int c = 0; c < n; c++) {
                    double at = cosine(n, k, x[a] + y[b] - c);
                    dot += at * z[(a * n + b) * n + c];
                    norm += at * at;
                }
        expect(prefix, "logit_cos_coefficient", k, measured(f, prefix, "logit_cos_coefficient")[k - 1],
               dot / norm);
        expect(prefix, "logit_cos_similarity", k, measured(f, prefix, "logit_cos_similarity")[k - 1],
               dot / sqrt(norm * all));
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                for (int c = 0; c < n; c++)
                    z[(a * n + b) * n + c] -= dot / norm * cosine(n, k, x[a] + y[b] - c);
    }
    for (size_t i = 0; i < cube; i++)
        left += z[i] * z[i];
    expect(prefix, "logit_residual_fraction", 0, *measured(f, prefix, "logit_residual_fraction"),
           sqrt(left / all));
    ts_free(z);
}

// Restricted and excluded loss on the key frequencies that were measured, by vectors over the pairs.
static void compare_key_losses(const fixture *f, const char *prefix, const int *x, const int *y) {
    int n = f->order, number = 0, *pairs = ts_alloc((size_t)n * (size_t)n * sizeof *pairs, "pairs");
    size_t count = (size_t)n * (size_t)n, order = (size_t)n, hidden = (size_t)f->hidden;
    const double *key = measured(f, prefix, "key_frequency");
    double *vectors = ts_alloc_zero((order + 1) * count, sizeof *vectors, "vectors"),
           *part = ts_alloc_zero(count * order, sizeof *part, "logits"), mean[64] = {0}, z[64];
    for (int component = 1; component < n; component++) {
        double *v = vectors + (size_t)number * count;
        for (size_t p = 0; p < count; p++)
            v[p] = component_at(n, component, x[p / order] + y[p % order]);
        if (key[(component + 1) / 2 - 1] == 1)
            number += orthonormalise(vectors, number, v, count);
    }
    for (int v = 0; v < number; v++)
        for (size_t k = 0; k < hidden; k++) {
            double dot = 0;
            for (size_t p = 0; p < count; p++)
                dot += vectors[(size_t)v * count + p] * f->h[p * hidden + k];
            for (size_t p = 0; p < count; p++)
                for (size_t c = 0; c < order; c++)
                    part[p * order + c] += dot * vectors[(size_t)v * count + p] * f->u[k * order + c];
        }
    for (size_t p = 0; p < count; p++)
        for (size_t c = 0; c < order; c++)
            mean[c] += f->logits[p * order + c] / (double)count;
    int64_t train;
    double restricted = 0, excluded = 0;
    ts_network_pairs(&f->instance.params, f->data->table, pairs, &train);
    for (size_t p = 0; p < count; p++) {
        for (size_t c = 0; c < order; c++)
            z[c] = part[p * order + c] + mean[c];
        restricted += slow_loss(z, n, f->data->table->result[p]) / (double)count;
    }
    for (int64_t i = 0; i < train; i++) {
        size_t p = (size_t)pairs[i];
        for (size_t c = 0; c < order; c++)
            z[c] = f->logits[p * order + c] - part[p * order + c];
        excluded += slow_loss(z, n, f->data->table->result[p]) / (double)train;
    }
    expect(prefix, "key_restricted_loss", 0, *measured(f, prefix, "key_restricted_loss"), restricted);
    expect(prefix, "key_excluded_loss", 0, *measured(f, prefix, "key_excluded_loss"), excluded);
    ts_free(pairs);
    ts_free(vectors);
    ts_free(part);
}

static void compare_cyclic(const fixture *f) {
    for (int chart = 0; chart < f->data->symmetry->charts; chart++) {
        const ts_chart *own = &f->data->symmetry->chart[chart];
        compare_norms(f, own->prefix, "embed_fourier_norm", f->order, own->x_a, f->e_x, f->embed,
                      (size_t)f->embed, 1);
        compare_norms(f, own->prefix, "embed_right_fourier_norm", f->order, own->x_b, f->e_y, f->embed,
                      (size_t)f->embed, 1);
        compare_cubes(f, own->prefix, own->x_a, own->x_b);
        compare_clusters(f, own->prefix, f->order, own->x_a, own->x_b);
        compare_key_losses(f, own->prefix, own->x_a, own->x_b);
    }
}

// --- Cyclic ---

static const struct {
    const char *group;
    int m, n; // exponents; 0: the group itself
} CYCLIC[] = {{"C2", 0, 0}, {"C3", 0, 0}, {"C7", 0, 0},  {"C8", 0, 0},  {"C7", 1, 1},
              {"C7", 3, 1}, {"C7", 2, 3}, {"C11", 3, 1}, {"C11", 3, 3}, {"C11", 2, 2}};
enum { N_CYCLIC = sizeof CYCLIC / sizeof *CYCLIC };

static void test_cyclic_measures_are_as_defined(void **state) {
    (void)state;
    for (int i = 0; i < N_CYCLIC; i++) {
        fixture f;
        open_fixture(&f, CYCLIC[i].group, CYCLIC[i].m, CYCLIC[i].n);
        const ts_symmetry *symmetry = f.data->symmetry;
        for (int chart = 0; chart < symmetry->charts; chart++) {
            fill(&f, f.order, symmetry->chart[chart].x_a, symmetry->chart[chart].x_b);
            measure(&f);
            compare_cyclic(&f);
            double keys = 0;
            for (int k = 0; k < f.order / 2; k++)
                keys += measured(&f, symmetry->chart[chart].prefix, "key_frequency")[k];
            assert_true(keys > 0); // else the losses on them would not be tested
        }
        close_fixture(&f);
    }
}

// The network of the model `mlp` with its initial weights, made large.
static void test_measures_of_an_mlp_are_as_defined(void **state) {
    (void)state;
    static const char *const GROUPS[] = {"C7", "C8"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        open_fixture(&f, GROUPS[i], 0, 0);
        const int n = f.order, embed = 8, hidden = f.hidden;
        const ts_model *model = f.instance.params.schema->model;
        ts_parameter_layout layout;
        model->layout(&f.instance.params, &layout);
        for (int64_t p = 0; p < f.instance.parameters; p++)
            f.instance.initial[p] *= 2;
        const float *tensor[4];
        for (int t = 0; t < 4; t++)
            tensor[t] = f.instance.initial + layout.tensor[t].offset;
        for (int t = 0; t < n; t++)
            for (int k = 0; k < hidden; k++)
                for (int e = 0; e < embed; e++) {
                    f.e_x[t * hidden + k] += (double)tensor[0][t * embed + e] * tensor[2][e * hidden + k];
                    f.e_y[t * hidden + k] +=
                        (double)tensor[1][t * embed + e] * tensor[2][(embed + e) * hidden + k];
                }
        for (int p = 0; p < n * n; p++)
            for (int k = 0; k < hidden; k++)
                f.h[p * hidden + k] = fmax(0, f.e_x[p / n * hidden + k] + f.e_y[p % n * hidden + k]);
        for (int k = 0; k < hidden * n; k++)
            f.u[k] = tensor[3][k];
        unembed(&f, 0);
        assert_int_equal(model->measure(&f.instance.params, f.data, f.instance.initial, 0, true, f.out),
                         TS_OK);
        compare_cyclic(&f);
        close_fixture(&f);
    }
}

// logits = 3 cos(2 pi k (x_a + x_b - c) / n), from two neurons.
static void plant(fixture *f, int k, const ts_chart *chart) {
    int n = f->order, hidden = f->hidden;
    memset(f->h, 0, (size_t)(n * n * hidden) * sizeof *f->h);
    memset(f->u, 0, (size_t)(n * hidden) * sizeof *f->u);
    for (int p = 0; p < n * n; p++) {
        f->h[p * hidden] = 2 + cosine(n, k, chart->x_a[p / n] + chart->x_b[p % n]);
        f->h[p * hidden + 1] = 2 + sine(n, k, chart->x_a[p / n] + chart->x_b[p % n]);
    }
    for (int c = 0; c < n; c++) {
        f->u[c] = 3 * cosine(n, k, c);
        f->u[n + c] = 3 * sine(n, k, c);
        for (int p = 0; p < n * n; p++)
            f->logits[p * n + c] =
                (f->h[p * hidden] - 2) * f->u[c] + (f->h[p * hidden + 1] - 2) * f->u[n + c];
    }
}

static void test_a_network_of_one_frequency_is_recognised(void **state) {
    (void)state;
    for (int i = 2; i < N_CYCLIC; i++) {
        fixture f;
        open_fixture(&f, CYCLIC[i].group, CYCLIC[i].m, CYCLIC[i].n);
        for (int chart = 0; chart < f.data->symmetry->charts; chart++) {
            const char *prefix = f.data->symmetry->chart[chart].prefix;
            int n = f.order, k = 2;
            plant(&f, k, &f.data->symmetry->chart[chart]);
            measure(&f);
            for (int neuron = 0; neuron < 2; neuron++) {
                assert_close(measured(&f, prefix, "neuron_frequency")[neuron], k, 0, 0);
                assert_close(measured(&f, prefix, "neuron_frequency_fraction")[neuron], 1, 1e-12, 0);
            }
            for (int other = 1; other <= n / 2; other++) {
                assert_close(measured(&f, prefix, "key_frequency")[other - 1], other == k, 0, 0);
                assert_close(measured(&f, prefix, "logit_cos_coefficient")[other - 1], other == k ? 3 : 0,
                             1e-12, 1e-12);
                assert_close(measured(&f, prefix, "logit_cos_similarity")[other - 1], other == k, 1e-12,
                             1e-12);
            }
            assert_close(*measured(&f, prefix, "logit_residual_fraction"), 0, 0, 1e-6);
            assert_close(*measured(&f, prefix, "key_restricted_loss"), *measured(&f, "", "all_loss"), 1e-12,
                         1e-12);
            if (chart == 0) { // without its only frequency nothing is left: the mean logits are 0
                assert_close(*measured(&f, prefix, "key_excluded_loss"), log(n), 1e-12, 1e-12);
            }
        }
        close_fixture(&f);
    }
}

static void test_fourier_measures_agree_with_those_per_irrep(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, "C11", 3, 3); // a bijection
    const ts_symmetry *symmetry = f.data->symmetry;
    fill(&f, f.order, symmetry->chart[1].x_a, symmetry->chart[1].x_b);
    measure(&f);
    for (int chart = 0; chart < 2; chart++) {
        const char *prefix = symmetry->chart[chart].prefix;
        const double *norm = measured(&f, prefix, "embed_right_fourier_norm");
        double all = 0;
        for (int component = 0; component < f.order; component++)
            all += norm[component] * norm[component];
        for (int r = 1; r < symmetry->irreps->count; r++) { // freq_r, in this order
            assert_string_equal(symmetry->irreps->irrep[r].name, symmetry->frequency[r - 1]);
            assert_close(measured(&f, prefix, "logit_cos_similarity")[r - 1],
                         measured(&f, prefix, "logit_similarity")[r], 1e-10, 1e-12);
            assert_close(measured(&f, prefix, "logit_cos_coefficient")[r - 1],
                         2 * measured(&f, prefix, "fit_coefficient")[r], 1e-10, 1e-12); // chi is 2 cos
            assert_close((norm[2 * r - 1] * norm[2 * r - 1] + norm[2 * r] * norm[2 * r]) / all,
                         measured(&f, prefix, "embed_right_fraction")[r], 1e-10, 1e-12);
        }
    }
    close_fixture(&f);
}

static void test_without_key_frequencies_nothing_is_excluded(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, "C11", 0, 0);
    for (int i = 0; i < f.order * f.order * f.hidden; i++)
        f.h[i] = uniform(&f);
    for (int i = 0; i < f.order * f.hidden; i++)
        f.u[i] = uniform(&f);
    unembed(&f, 0);
    measure(&f);
    for (int k = 0; k < f.order / 2; k++)
        assert_close(measured(&f, "", "key_frequency")[k], 0, 0, 0);
    assert_close(*measured(&f, "", "key_excluded_loss"), *measured(&f, "", "train_loss"), 1e-12, 0);
    compare_cyclic(&f);
    close_fixture(&f);
}

// --- Dihedral ---

static void compare_regions(const fixture *f) {
    static const char *const SIDES[] = {"region_hidden_left_fraction", "region_hidden_right_fraction",
                                        "region_hidden_product_fraction"};
    const ts_symmetry *symmetry = f->data->symmetry;
    int order = f->order, n = order / 2, hidden = f->hidden, count = symmetry->irreps->count;
    size_t size = (size_t)order;
    double *projector = ts_alloc(size * size * sizeof *projector, "projector"), weight[64];
    double *mean = ts_alloc(size * (size_t)hidden * sizeof *mean, "means"), *z = centred_logits(f);
    for (int region = 0; region < 4; region++) {
        double all = 0, logits = 0;
        for (int k = 0; k < hidden; k++) {
            double sum = 0, square = 0;
            for (int p = 0; p < order * order; p++)
                if (2 * (p / order / n) + p % order / n == region) {
                    sum += f->h[p * hidden + k];
                    square += f->h[p * hidden + k] * f->h[p * hidden + k];
                }
            all += square - sum * sum / (n * n);
        }
        for (int side = 0; side < 3; side++) {
            int half = side == 0 ? region / 2 : side == 1 ? region % 2 : region / 2 ^ region % 2;
            memset(mean, 0, size * (size_t)hidden * sizeof *mean);
            for (int p = 0; p < order * order; p++) {
                int a = p / order, b = p % order;
                int element = side == 0 ? a : side == 1 ? b : f->data->table->result[p];
                for (int k = 0; k < hidden && 2 * (a / n) + b / n == region; k++)
                    mean[element * hidden + k] += f->h[p * hidden + k] / n;
            }
            for (int k = 0; k < hidden; k++) {
                double own = 0;
                for (int g = half * n; g < half * n + n; g++)
                    own += mean[g * hidden + k] / n;
                for (int g = half * n; g < half * n + n; g++)
                    mean[g * hidden + k] -= own;
            }
            for (int g = 0; g < order; g++)
                weight[g] = g / n == half;
            for (int r = 0; r < count; r++) {
                double part = 0;
                assert_int_equal(ts_symmetry_projector(symmetry, r, weight, projector), TS_OK);
                for (int g = half * n; g < half * n + n; g++)
                    for (int k = 0; k < hidden; k++) {
                        double sum = 0;
                        for (int h = half * n; h < half * n + n; h++)
                            sum += projector[g * order + h] * mean[h * hidden + k];
                        part += n * sum * sum;
                    }
                expect("", SIDES[side], region * count + r, measured(f, "", SIDES[side])[region * count + r],
                       part / all);
            }
        }
        for (int r = 0; r < count; r++) {
            double dot = 0, norm = 0;
            logits = 0;
            for (int i = 0; i < order * order * order; i++) {
                int p = i / order, c = i % order;
                if (2 * (p / order / n) + p % order / n != region)
                    continue;
                int ab = f->data->table->result[p];
                double chi = symmetry->irreps->irrep[r]
                                 .character[f->data->table->result[ab * order + symmetry->inverse[c]]];
                dot += chi * z[i];
                norm += chi * chi;
                logits += z[i] * z[i];
            }
            expect("", "region_logit_similarity", region * count + r,
                   measured(f, "", "region_logit_similarity")[region * count + r], dot / sqrt(norm * logits));
        }
    }
    ts_free(projector);
    ts_free(mean);
    ts_free(z);
}

static void compare_corrected_loss(const fixture *f) {
    int order = f->order, n = order / 2;
    const double *key = measured(f, "", "key_frequency");
    double loss = 0, z[64];
    for (int p = 0; p < order * order; p++) {
        int wrong = (p / order / n ^ p % order / n) == 0 ? n : 0;
        memcpy(z, f->logits + (size_t)(p * order), (size_t)order * sizeof *z);
        for (int component = 1; component < n; component++) {
            double dot = 0, norm = 0;
            for (int c = 0; c < n; c++) {
                dot += component_at(n, component, c) * f->logits[p * order + wrong + c];
                norm += pow(component_at(n, component, c), 2);
            }
            for (int c = 0; c < n && key[(component + 1) / 2 - 1] == 1; c++)
                z[wrong + c] -= dot / norm * component_at(n, component, c);
        }
        loss += slow_loss(z, order, f->data->table->result[p]) / (order * order);
    }
    expect("", "reflection_corrected_loss", 0, *measured(f, "", "reflection_corrected_loss"), loss);
}

static void compare_dihedral(const fixture *f) {
    static const char *const NAMES[2][3] = {
        {"embed_rotation_fourier_norm", "embed_right_rotation_fourier_norm", "unembed_rotation_fourier_norm"},
        {"embed_reflection_fourier_norm", "embed_right_reflection_fourier_norm",
         "unembed_reflection_fourier_norm"}};
    int n = f->order / 2;
    size_t width = (size_t)f->embed, order = (size_t)f->order;
    for (int half = 0; half < 2; half++) {
        size_t first = (size_t)(half * n);
        compare_norms(f, "", NAMES[half][0], n, NULL, f->e_x + first * width, f->embed, width, 1);
        compare_norms(f, "", NAMES[half][1], n, NULL, f->e_y + first * width, f->embed, width, 1);
        compare_norms(f, "", NAMES[half][2], n, NULL, f->u + first, f->hidden, 1, order);
    }
    compare_clusters(f, "", n, f->data->symmetry->chart[0].x_a, f->data->symmetry->chart[0].x_b);
    compare_regions(f);
    compare_corrected_loss(f);
}

static void test_dihedral_measures_are_as_defined(void **state) {
    (void)state;
    static const char *const GROUPS[] = {"D2", "D3", "D5", "D6"};
    for (int i = 0; i < 4; i++) {
        fixture f;
        open_fixture(&f, GROUPS[i], 0, 0);
        const ts_chart *chart = &f.data->symmetry->chart[0];
        fill(&f, f.order / 2, chart->x_a, chart->x_b);
        measure(&f);
        compare_dihedral(&f);
        double keys = 0;
        for (int k = 0; k < f.order / 4; k++)
            keys += measured(&f, "", "key_frequency")[k];
        assert_true(keys > 0);
        close_fixture(&f);
    }
}

// Right logits everywhere; on elements with the wrong reflection bit a cosine of the neurons' frequency.
static void test_what_the_reflection_bit_rules_out_is_taken_out(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, "D5", 0, 0);
    int order = f.order, n = order / 2, k = 2;
    double losses[2];
    for (int wrong = 0; wrong < 2; wrong++) {
        for (int p = 0; p < order * order; p++) {
            int a = p / order, b = p % order, ab = f.data->table->result[p];
            for (int neuron = 0; neuron < f.hidden; neuron++)
                f.h[p * f.hidden + neuron] = cosine(n, k, a + neuron) * (1 + sine(n, k, b)) + (a < n ? 3 : 1);
            for (int c = 0; c < order; c++) {
                bool same = c / n == ab / n;
                f.logits[p * order + c] = (same ? 4 : 1) * (c == ab) + (c == 0) * 0.5;
                if (!same)
                    f.logits[p * order + c] = wrong * 5 * cosine(n, k, c + ab + 1);
            }
        }
        measure(&f);
        losses[wrong] = *measured(&f, "", "reflection_corrected_loss");
        for (int neuron = 0; neuron < f.hidden; neuron++) {
            assert_close(measured(&f, "", "neuron_frequency")[neuron], k, 0, 0);
            assert_close(measured(&f, "", "neuron_frequency_fraction")[neuron], 1, 1e-12, 0);
        }
        if (wrong)
            assert_true(*measured(&f, "", "all_loss") > losses[wrong] + 0.5);
        else
            assert_close(*measured(&f, "", "all_loss"), losses[wrong], 1e-12, 0);
    }
    assert_close(losses[0], losses[1], 1e-12, 0);
    close_fixture(&f);
}

// --- What is there, and under which names ---

static void test_measures_are_there_where_the_group_has_circles(void **state) {
    (void)state;
    static const char *const NAMES[] = {"embed_fourier_norm",        "key_restricted_loss",
                                        "neuron_frequency",          "key_frequency",
                                        "reflection_corrected_loss", "region_logit_similarity",
                                        "value_key_frequency",       "value_embed_fourier_norm"};
    static const struct {
        const char *group;
        int m;
        bool has[8];
    } CASES[] = {{"C7", 0, {1, 1, 1, 1, 0, 0, 0, 0}},
                 {"C7", 3, {1, 1, 1, 1, 0, 0, 1, 1}},
                 {"D5", 0, {0, 0, 1, 1, 1, 1, 0, 0}},
                 {"S4", 0, {0}},
                 {"C2xC3", 0, {0}},
                 {"A5", 0, {0}}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        fixture f;
        open_fixture(&f, CASES[i].group, CASES[i].m, CASES[i].m);
        for (int k = 0; k < 8; k++)
            if ((find(&f, "", NAMES[k]) != NULL) != CASES[i].has[k])
                fail_msg("%s (exponent %d): %s is there: %d", CASES[i].group, CASES[i].m, NAMES[k],
                         find(&f, "", NAMES[k]) != NULL);
        measure(&f);
        close_fixture(&f);
    }
}

static void test_components_and_frequencies_have_names(void **state) {
    (void)state;
    static const char *const COMPONENTS[] = {"constant", "cos 1", "sin 1", "cos 2", "sin 2", "cos 3"};
    static const char *const FREQUENCIES[] = {"freq_1", "freq_2", "freq_3"};
    static const char *const REGIONS[] = {"rotation_rotation", "rotation_reflection", "reflection_rotation",
                                          "reflection_reflection"};
    static const char *const GROUPS[] = {"C6", "D6"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        open_fixture(&f, GROUPS[i], 0, 0);
        const ts_params *params = &f.instance.params;
        const ts_model *model = params->schema->model;
        assert_int_equal(model->dimension(params, f.data, "component"), 6);
        assert_int_equal(model->dimension(params, f.data, "frequency"), 3);
        for (int k = 0; k < 6; k++)
            assert_string_equal(model->label(f.data, "component", k), COMPONENTS[k]);
        for (int k = 0; k < 3; k++)
            assert_string_equal(model->label(f.data, "frequency", k), FREQUENCIES[k]);
        for (int k = 0; k < 4 && i == 1; k++)
            assert_string_equal(model->label(f.data, "region", k), REGIONS[k]);
        close_fixture(&f);
    }
}

static void test_memory_that_runs_out_is_reported(void **state) {
    (void)state;
    static const char *const GROUPS[] = {"C7", "D5"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        open_fixture(&f, GROUPS[i], 0, 0);
        const ts_model *model = f.instance.params.schema->model;
        int failed = 0;
        for (ts_status status = TS_ERROR_MEMORY; status != TS_OK; failed++) {
            ts_alloc_fail_at(failed + 1);
            status = model->measure(&f.instance.params, f.data, f.instance.initial, 0, true, f.out);
            ts_alloc_fail_at(0);
            assert_true(status == TS_OK || status == TS_ERROR_MEMORY);
        }
        assert_true(failed > 5); // weights, pairs, two kinds of measures with their parts
        close_fixture(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cyclic_measures_are_as_defined),
        cmocka_unit_test(test_measures_of_an_mlp_are_as_defined),
        cmocka_unit_test(test_a_network_of_one_frequency_is_recognised),
        cmocka_unit_test(test_fourier_measures_agree_with_those_per_irrep),
        cmocka_unit_test(test_without_key_frequencies_nothing_is_excluded),
        cmocka_unit_test(test_dihedral_measures_are_as_defined),
        cmocka_unit_test(test_what_the_reflection_bit_rules_out_is_taken_out),
        cmocka_unit_test(test_measures_are_there_where_the_group_has_circles),
        cmocka_unit_test(test_components_and_frequencies_have_names),
        cmocka_unit_test(test_memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
