// Neurons by irrep and the change of basis between them and an irrep's functions, against their definitions written out
// with projectors, pair by pair; and which of these measures a case has.
#include "model/network.h"
#include "support.h"

#include <math.h>
#include <stdio.h>

// --- A network with random weights, written out ---

typedef struct network {
    support_instance f;
    int n, embed, hidden;
    float *x, *y, *w, *u; // f.initial's tensors
    double *e[2];         // (n, hidden) both embeddings
    double *h;            // (n * n, hidden)
    double *measures;
} network;

static void write_out(network *t) {
    int n = t->n, hidden = t->hidden;
    for (int side = 0; side < 2; side++)
        for (int a = 0; a < n; a++)
            for (int k = 0; k < hidden; k++) {
                double sum = 0;
                for (int i = 0; i < t->embed; i++)
                    sum += (double)(side ? t->y : t->x)[a * t->embed + i] * t->w[(side * t->embed + i) * hidden + k];
                t->e[side][a * hidden + k] = sum;
            }
    for (int p = 0; p < n * n; p++)
        for (int k = 0; k < hidden; k++)
            t->h[p * hidden + k] = fmax(0, t->e[0][p / n * hidden + k] + t->e[1][p % n * hidden + k]);
}

// The last neuron is never active, the one before it off: its embeddings are short, though it is active.
static void open_network(network *t, const char *task, uint64_t seed) {
    char text[200];
    snprintf(text, sizeof text, "task: %s\nmodel: mlp\nembed: 6\nhidden: 12\ntrain_fraction: 0.6\n", task);
    support_open(&t->f, text);
    t->n = t->f.data->table->n;
    t->embed = 6;
    t->hidden = 12;
    t->x = t->f.initial;
    t->y = t->x + t->n * t->embed;
    t->w = t->y + t->n * t->embed;
    t->u = t->w + 2 * t->embed * t->hidden;
    for (int64_t i = 0; i < t->f.parameters; i++)
        t->x[i] = (float)(4 * support_random(&seed));
    for (int i = 0; i < t->n; i++)
        t->x[i * t->embed] = t->y[i * t->embed] = 1; // so that a neuron can be told to be negative
    for (int i = 0; i < 2 * t->embed; i++) {
        t->w[i * t->hidden + t->hidden - 1] = i % t->embed ? 0 : -1;
        t->w[i * t->hidden + t->hidden - 2] *= 0.02f;
    }
    for (int side = 0; side < 2; side++)
        t->e[side] = ts_alloc((size_t)(t->n * t->hidden) * sizeof(double), "embeddings");
    t->h = ts_alloc((size_t)(t->n * t->n * t->hidden) * sizeof(double), "activations");
    t->measures = ts_alloc((size_t)ts_measures_total(&t->f.params, t->f.data) * sizeof(double), "measures");
    write_out(t);
    assert_int_equal(ts_measure_weights(&t->f.params, t->f.data, t->x, 0, TS_MEASURE_LAST, NULL, t->measures), TS_OK);
}

static void close_network(network *t) {
    ts_free(t->e[0]);
    ts_free(t->e[1]);
    ts_free(t->h);
    ts_free(t->measures);
    support_close(&t->f);
}

static const double *found(const network *t, int chart, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", chart ? "value_" : "", name);
    ts_measures m = ts_measures_of(&t->f.params, t->f.data);
    if (!ts_measures_find(&m, whole))
        fail_msg("no measure %s", whole);
    return t->measures + m.offset;
}

static void expect(const char *name, int at, double measured, double defined) {
    bool same = isnan(defined) ? isnan(measured) : fabs(measured - defined) <= 1e-9 * (1 + fabs(defined));
    if (!same)
        fail_msg("%s[%d]: measured %.15g, by definition %.15g", name, at, measured, defined);
}

// --- Definitions ---

enum { OF_A, OF_B, OF_PRODUCT, SIDES };

static int element(const network *t, int chart, int side, int p) {
    const ts_symmetry *s = t->f.data->symmetry;
    int x = s->chart[chart].x_a[p / t->n], y = s->chart[chart].x_b[p % t->n];
    return side == OF_A ? x : side == OF_B ? y : s->group->result[x * t->n + y];
}

// Pairs that stand for each element (n), and the sum of values (n * n, stride) less `mean` over them.
static void gather(const network *t, int chart, int side, const double *values, int stride, double mean, double *weight,
                   double *sum) {
    for (int g = 0; g < t->n; g++)
        weight[g] = sum[g] = 0;
    for (int p = 0; p < t->n * t->n; p++) {
        weight[element(t, chart, side, p)] += 1;
        sum[element(t, chart, side, p)] += values[p * stride] - mean;
    }
}

// Energy over pairs of a neuron's activations, less their mean, in functions of a side that lie in the irrep.
static double side_energy(const network *t, int chart, int r, int side, int k) {
    double weight[16], sum[16], projector[256], mean = 0, energy = 0;
    for (int p = 0; p < t->n * t->n; p++)
        mean += t->h[p * t->hidden + k] / (t->n * t->n);
    gather(t, chart, side, t->h + k, t->hidden, mean, weight, sum);
    support_projector(t->f.data->symmetry, r, weight, projector);
    for (int g = 0; g < t->n; g++) { // the projector has the weights of its right side in it
        double projected = 0;
        for (int other = 0; other < t->n && weight[g] > 0; other++)
            projected += weight[other] > 0 ? projector[g * t->n + other] / weight[other] * sum[other] : 0;
        energy += weight[g] * projected * projected;
    }
    return energy;
}

static double energy_of(const network *t, int k, double *constant) {
    double sum = 0, energy = 0;
    for (int p = 0; p < t->n * t->n; p++) {
        sum += t->h[p * t->hidden + k];
        energy += t->h[p * t->hidden + k] * t->h[p * t->hidden + k];
    }
    *constant = sum * sum / (t->n * t->n);
    return energy;
}

// Of both embeddings, each token counting once.
static double embedding_energy(const network *t, int chart, int r, int k) {
    double projector[256], weight[16], sum[16], energy = 0;
    for (int side = 0; side < 2; side++) {
        const int *x = side ? t->f.data->symmetry->chart[chart].x_b : t->f.data->symmetry->chart[chart].x_a;
        for (int g = 0; g < t->n; g++)
            weight[g] = sum[g] = 0;
        for (int a = 0; a < t->n; a++) {
            weight[x[a]] += 1;
            sum[x[a]] += t->e[side][a * t->hidden + k];
        }
        support_projector(t->f.data->symmetry, r, weight, projector);
        for (int g = 0; g < t->n; g++) {
            double projected = 0;
            for (int other = 0; other < t->n && weight[g] > 0; other++)
                projected += weight[other] > 0 ? projector[g * t->n + other] / weight[other] * sum[other] : 0;
            energy += weight[g] * projected * projected;
        }
    }
    return energy;
}

typedef struct cluster {
    double size, active, embed, hidden, share[SIDES + 1];
} cluster;

static void compare_clusters(const network *t, int chart, const cluster *clusters) {
    static const char *const NAMES[] = {
        "cluster_size",          "cluster_active_size",    "cluster_embed_energy",     "cluster_hidden_energy",
        "cluster_left_fraction", "cluster_right_fraction", "cluster_product_fraction", "cluster_constant_fraction"};
    for (int r = 0; r < t->f.data->symmetry->irreps->count; r++) {
        const cluster *own = &clusters[r];
        const double expected[] = {own->size,
                                   own->active,
                                   own->embed,
                                   own->hidden,
                                   own->share[OF_A] / own->hidden,
                                   own->share[OF_B] / own->hidden,
                                   own->share[OF_PRODUCT] / own->hidden,
                                   own->share[SIDES] / own->hidden};
        for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
            expect(NAMES[i], r, found(t, chart, NAMES[i])[r], own->size > 0 || i < 4 ? expected[i] : NAN);
    }
}

// Returns how many neurons are in clusters.
static int compare_neurons(const network *t, int chart) {
    static const char *const SHARES[] = {"neuron_left_fraction", "neuron_right_fraction", "neuron_product_fraction",
                                         "neuron_constant_fraction"};
    cluster clusters[16] = {0};
    int count = t->f.data->symmetry->irreps->count, in_clusters = 0;
    for (int k = 0; k < t->hidden; k++) {
        double constant, energy = energy_of(t, k, &constant), best = -1, all = 0;
        int owner = 0;
        for (int r = 0; r < count; r++) {
            double own = embedding_energy(t, chart, r, k);
            expect("neuron_irrep_energy", r * t->hidden + k, found(t, chart, "neuron_irrep_energy")[r * t->hidden + k],
                   own);
            expect("neuron_product_energy", r * t->hidden + k,
                   found(t, chart, "neuron_product_energy")[r * t->hidden + k],
                   r == 0 ? constant : side_energy(t, chart, r, OF_PRODUCT, k));
            owner = own > best ? r : owner;
            best = own > best ? own : best;
            all += own;
        }
        double part[SIDES + 1] = {side_energy(t, chart, owner, OF_A, k), side_energy(t, chart, owner, OF_B, k),
                                  side_energy(t, chart, owner, OF_PRODUCT, k), constant};
        expect("neuron_energy", k, found(t, chart, "neuron_energy")[k], energy);
        for (int side = 0; side <= SIDES; side++)
            expect(SHARES[side], k, found(t, chart, SHARES[side])[k], energy > 0 ? part[side] / energy : NAN);
        if (all < 1)
            continue;
        in_clusters++;
        cluster *own = &clusters[owner];
        own->size += 1;
        own->active += found(t, chart, "neuron_product_energy")[owner * t->hidden + k] >= 100;
        own->embed += best;
        own->hidden += energy;
        for (int side = 0; side <= SIDES; side++)
            own->share[side] += part[side];
    }
    compare_clusters(t, chart, clusters);
    return in_clusters;
}

// The mean of each product's activations in an irrep's functions, these through U in its functions of c.
static void compare_basis(const network *t) {
    const ts_symmetry *s = t->f.data->symmetry;
    int n = t->n, hidden = t->hidden, entries = 0;
    double *coefficient = ts_alloc((size_t)(n * hidden) * sizeof *coefficient, "coefficients");
    for (int r = 0; r < s->irreps->count; r++)
        entries = s->first[r + 1] - s->first[r] > entries ? s->first[r + 1] - s->first[r] : entries;
    for (int f = 0; f < n; f++)
        for (int k = 0; k < hidden; k++) {
            double sum = 0;
            for (int p = 0; p < n * n; p++)
                sum += s->basis[f * n + t->f.data->table->result[p]] * t->h[p * hidden + k] / n;
            coefficient[f * hidden + k] = sum;
            expect("hidden_basis", f * hidden + k, found(t, 0, "hidden_basis")[f * hidden + k], sum);
        }
    for (int r = 0; r < s->irreps->count; r++) {
        int first = s->first[r], size = s->first[r + 1] - first;
        double trace[2] = {0}, energy[2] = {0};
        for (int i = 0; i < size; i++)
            for (int j = 0; j < entries; j++) {
                double read = 0, written = 0;
                int at = (first + i) * entries + j;
                for (int k = 0; k < hidden && j < size; k++) {
                    double out = 0;
                    for (int c = 0; c < n; c++)
                        out += t->u[k * n + c] * s->basis[(first + j) * n + c];
                    written += coefficient[(first + i) * hidden + k] * out;
                    read += coefficient[(first + i) * hidden + k] * coefficient[(first + j) * hidden + k];
                }
                expect("unembed_basis", at, found(t, 0, "unembed_basis")[at], j < size ? written : NAN);
                trace[0] += i == j ? read : 0;
                trace[1] += i == j ? written : 0;
                energy[0] += read * read;
                energy[1] += written * written;
            }
        expect("hidden_basis_similarity", r, found(t, 0, "hidden_basis_similarity")[r],
               trace[0] / sqrt(energy[0] * size));
        expect("unembed_basis_similarity", r, found(t, 0, "unembed_basis_similarity")[r],
               trace[1] / sqrt(energy[1] * size));
    }
    ts_free(coefficient);
}

// --- Tests ---

static const char *const GROUPS[] = {"group\ngroup: S3", "group\ngroup: D4", "group\ngroup: C5", "group\ngroup: S3xC2"};

TEST(test_neurons_by_irrep_are_as_defined) {
    for (int g = 0; g < 4; g++) {
        network t;
        open_network(&t, GROUPS[g], 3 + (uint64_t)g);
        int in_clusters = compare_neurons(&t, 0);
        assert_true(in_clusters > 4 && in_clusters < t.hidden); // some are off
        assert_true(isnan(found(&t, 0, "neuron_left_fraction")[t.hidden - 1]));
        close_network(&t);
    }
}

// Through the chart of the values, in which tokens share a place where the powers are no bijection.
TEST(test_neurons_by_irrep_are_as_defined_in_every_chart) {
    static const char *const POWERS[] = {"power\np: 11\nm: 3\nn: 7", "power\np: 7\nm: 2\nn: 1"};
    for (int i = 0; i < 2; i++) {
        network t;
        open_network(&t, POWERS[i], 5);
        for (int chart = 0; chart < 2; chart++)
            compare_neurons(&t, chart);
        close_network(&t);
    }
}

TEST(test_the_change_of_basis_is_as_defined) {
    for (int g = 0; g < 4; g++) {
        network t;
        open_network(&t, GROUPS[g], 11);
        compare_basis(&t);
        close_network(&t);
    }
}

// Each neuron is one token a and one token b: it fires fully where both are there. Then the hidden layer is a function
// of pairs, of which the outputs read the product alone, and both bases are multiples of an orthogonal matrix.
TEST(test_a_network_that_computes_characters_has_an_orthogonal_change_of_basis) {
    network t;
    support_open(&t.f, "task: group\ngroup: S3\nmodel: mlp\nembed: 6\nhidden: 36\ntrain_fraction: 0.6\n");
    const ts_symmetry *s = t.f.data->symmetry;
    float *x = t.f.initial, *y = x + 36, *w = y + 36, *u = w + 12 * 36;
    memset(x, 0, (size_t)t.f.parameters * sizeof *x);
    for (int a = 0; a < 6; a++)
        x[a * 6 + a] = y[a * 6 + a] = 1;
    for (int k = 0; k < 36; k++) {
        int product = s->group->result[k];
        for (int i = 0; i < 6; i++) {
            w[i * 36 + k] = i == k / 6 ? 0.5f : -0.5f;
            w[(6 + i) * 36 + k] = i == k % 6 ? 0.5f : -0.5f;
        }
        for (int c = 0; c < 6; c++)
            u[k * 6 + c] = (float)s->irreps->irrep[2].character[s->group->result[product * 6 + s->inverse[c]]];
    }
    t.measures = ts_alloc((size_t)ts_measures_total(&t.f.params, t.f.data) * sizeof(double), "measures");
    assert_int_equal(ts_measure_weights(&t.f.params, t.f.data, x, 0, TS_MEASURE_LAST, NULL, t.measures), TS_OK);
    int first = s->first[2];
    for (int r = 0; r < 3; r++)
        assert_close(found(&t, 0, "hidden_basis_similarity")[r], 1, 1e-12, 0);
    assert_close(found(&t, 0, "unembed_basis_similarity")[2], 1, 1e-12, 0);
    // (n / d) times the coefficient of the character in the logits, 1.
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            assert_close(found(&t, 0, "unembed_basis")[(first + i) * 4 + j], i == j ? 3 : 0, 1e-6, 1e-6);
    ts_free(t.measures);
    support_close(&t.f);
}

// Also where the embeddings are as wide as the hidden layer, which they reach through heads.
TEST(test_neurons_of_a_transformer_are_sorted_by_what_they_do) {
    network t = {.hidden = 16};
    ts_network opened;
    support_open(&t.f, "task: group\ngroup: S3\nmodel: transformer\nd_model: 16\nheads: 2\nd_head: 4\nd_mlp: 16\n"
                       "train_fraction: 0.6\n");
    t.n = t.f.data->table->n;
    t.h = ts_alloc((size_t)(t.n * t.n * t.hidden) * sizeof(double), "activations");
    t.measures = ts_alloc((size_t)ts_measures_total(&t.f.params, t.f.data) * sizeof(double), "measures");
    assert_int_equal(ts_measure_weights(&t.f.params, t.f.data, t.f.initial, 0, TS_MEASURE_LAST, NULL, t.measures),
                     TS_OK);
    assert_int_equal(ts_network_open(&t.f.params, t.f.initial, &opened), TS_OK);
    for (int a = 0; a < t.n; a++) {
        double logits[36];
        opened.row(opened.weights, a, t.h + a * t.n * t.hidden, logits, NULL);
    }
    ts_network_close(&opened);
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < t.hidden; k++)
            expect("neuron_irrep_energy", r * t.hidden + k, found(&t, 0, "neuron_irrep_energy")[r * t.hidden + k],
                   (side_energy(&t, 0, r, OF_A, k) + side_energy(&t, 0, r, OF_B, k)) / t.n);
    ts_free(t.h);
    ts_free(t.measures);
    support_close(&t.f);
}

// --- Which of them there are ---

static bool has(const char *text, const char *name) {
    support_instance f;
    support_open(&f, text);
    ts_measures m = ts_measures_of(&f.params, f.data);
    bool there = ts_measures_find(&m, name);
    support_close(&f);
    return there;
}

TEST(test_matrices_are_there_up_to_a_size_and_where_weights_are_saved) {
    static const struct {
        const char *text, *name;
        bool there;
    } CASES[] = {
        {"task: group\ngroup: S3\ntrain_fraction: 1\n", "neuron_irrep_energy", true},
        {"task: group\ngroup: S3\ntrain_fraction: 1\nsave: none\n", "neuron_irrep_energy", false},
        {"task: group\ngroup: S3\ntrain_fraction: 1\nsave: none\n", "cluster_left_fraction", true},
        {"task: group\ngroup: S3\ntrain_fraction: 1\nsave: none\n", "neuron_frequency", false}, // no circle
        {"task: group\ngroup: S3\ntrain_fraction: 1\nsave: none\n", "logit_similarity", true},
        {"task: group\ngroup: C67\nhidden: 4000\ntrain_fraction: 1\n", "hidden_basis", false}, // 268000 numbers
        {"task: group\ngroup: C65\nhidden: 4000\ntrain_fraction: 1\n", "hidden_basis", true},  // 260000
        {"task: group\ngroup: D3\ntrain_fraction: 1\n", "region_neuron_fourier_norm", true},
        {"task: group\ngroup: D3\ntrain_fraction: 1\nsave: none\n", "region_neuron_fourier_norm", false},
        {"task: group\ngroup: D3\ntrain_fraction: 1\n", "head_embed_rotation_fourier", false},
        {"task: group\ngroup: D3\nmodel: transformer\ntrain_fraction: 1\n", "head_embed_rotation_fourier", true},
        {"task: group\ngroup: D3\nmodel: transformer\ntrain_fraction: 1\n", "embed_rotation_fourier", false},
        {"task: group\ngroup: D3\ntrain_fraction: 1\n", "embed_rotation_fourier", true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (has(CASES[i].text, CASES[i].name) != CASES[i].there)
            fail_msg("%s\nhas %s: %d", CASES[i].text, CASES[i].name, !CASES[i].there);
}

// What is not kept need not be made: no fault, and no number written elsewhere.
TEST(test_cases_without_matrices_are_measured) {
    static const char *const GROUPS_ALONE[] = {"S3", "C7", "D5"};
    for (int i = 0; i < 3; i++) {
        char text[128];
        double *measures[2];
        int64_t total[2];
        support_instance f[2];
        for (int none = 0; none < 2; none++) {
            snprintf(text, sizeof text, "task: group\ngroup: %s\nembed: 8\nhidden: 12\ntrain_fraction: 0.6\nsave: %s\n",
                     GROUPS_ALONE[i], none ? "none" : "final");
            support_open(&f[none], text);
            total[none] = ts_measures_total(&f[none].params, f[none].data);
            measures[none] = ts_alloc((size_t)total[none] * sizeof(double), "measures");
            assert_int_equal(ts_measure_weights(&f[none].params, f[none].data, f[0].initial, 0, TS_MEASURE_LAST, NULL,
                                                measures[none]),
                             TS_OK);
        }
        assert_true(total[1] < total[0]);
        ts_measures without = ts_measures_of(&f[1].params, f[1].data);
        while (ts_measures_next(&without)) {
            ts_measures with = ts_measures_of(&f[0].params, f[0].data);
            assert_true(ts_measures_find(&with, without.measure->name));
            assert_memory_equal(measures[0] + with.offset, measures[1] + without.offset,
                                (size_t)with.length * sizeof(double));
        }
        for (int none = 0; none < 2; none++) {
            ts_free(measures[none]);
            support_close(&f[none]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neurons_by_irrep_are_as_defined),
        cmocka_unit_test(test_neurons_by_irrep_are_as_defined_in_every_chart),
        cmocka_unit_test(test_the_change_of_basis_is_as_defined),
        cmocka_unit_test(test_a_network_that_computes_characters_has_an_orthogonal_change_of_basis),
        cmocka_unit_test(test_neurons_of_a_transformer_are_sorted_by_what_they_do),
        cmocka_unit_test(test_matrices_are_there_up_to_a_size_and_where_weights_are_saved),
        cmocka_unit_test(test_cases_without_matrices_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
