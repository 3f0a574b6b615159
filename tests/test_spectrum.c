// 2-D Fourier components of neurons and logits, logits along components of the output, and weights in Fourier
// components, against their definitions written out term by term; heads of a transformer against its weights.
#include "support_network.h"

// --- Definitions, written out ---

// Component f at tokens of a circle (n), of length 1 over them; 0 where it is 0 on all.
static void component_at(int n, int f, const int *place, double *out) {
    double square = 0;
    for (int t = 0; t < n; t++) {
        out[t] = support_component(n, f, place ? place[t] : t);
        square += out[t] * out[t];
    }
    for (int t = 0; t < n; t++)
        out[t] = square > 1e-9 ? out[t] / sqrt(square) : 0;
}

static void expect_at(const support_network *f, const char *prefix, const char *name, int at, double defined) {
    double measured = support_measured(f, prefix, name)[at];
    if (isnan(defined) && isnan(measured))
        return;
    support_expect(prefix, name, at, measured, defined);
}

// Mean over columns (width) of |left . values . right|, of the pairs of two circles.
static double mean_norm(const support_network *f, const double *values, int width, int circle_a, int circle_b, int n,
                        const double *left, const double *right) {
    double mean = 0;
    for (int k = 0; k < width; k++) {
        double sum = 0;
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                sum += left[a] * right[b] *
                       values[(size_t)((circle_a * n + a) * f->order + circle_b * n + b) * (size_t)width + (size_t)k];
        mean += fabs(sum) / width;
    }
    return mean;
}

// circles: 1 or 2, of n places each.
static void compare_planes(const support_network *f, const char *prefix, const char *region_prefix, int circles,
                           const ts_chart *chart) {
    int n = f->order / circles;
    char norms[2][64];
    snprintf(norms[0], 64, "%sneuron_fourier_norm", region_prefix);
    snprintf(norms[1], 64, "%slogit_fourier_norm", region_prefix);
    for (int region = 0; region < circles * circles; region++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double left[64], right[64];
                component_at(n, i, circles == 1 ? chart->x_a : NULL, left);
                component_at(n, j, circles == 1 ? chart->x_b : NULL, right);
                int at = (region * n + i) * n + j;
                expect_at(f, prefix, norms[0], at,
                          mean_norm(f, f->h, f->hidden, region / circles, region % circles, n, left, right));
                expect_at(f, prefix, norms[1], at,
                          mean_norm(f, f->logits, f->order, region / circles, region % circles, n, left, right));
            }
}

// A pair's logits along a component of the outputs of one half.
static double along(const support_network *f, int p, int n, int half, const double *component) {
    double sum = 0;
    for (int c = 0; c < n; c++)
        sum += component[c] * f->logits[p * f->order + half * n + c];
    return sum;
}

static void compare_directions(const support_network *f, const char *prefix, const char *region_prefix, int circles,
                               const ts_chart *chart) {
    int n = f->order / circles;
    char names[3][64];
    snprintf(names[0], 64, "%slogit_direction_norm", region_prefix);
    snprintf(names[1], 64, "%slogit_other_direction_norm", region_prefix);
    snprintf(names[2], 64, "%slogit_direction_similarity", region_prefix);
    for (int region = 0; region < circles * circles; region++)
        for (int i = 0; i < n; i++) {
            double component[64], own = 0, other = 0, dot = 0, square = 0;
            component_at(n, i, NULL, component);
            for (int p = 0; p < f->order * f->order; p++) {
                int a = p / f->order, b = p % f->order;
                if (circles * (a / n) + b / n != region)
                    continue;
                int product = f->data->symmetry->group->result[chart->x_a[a] * f->order + chart->x_b[b]];
                double z = along(f, p, n, product / n, component), expected = component[product % n];
                own += z * z;
                dot += z * expected;
                square += expected * expected;
                other += circles > 1 ? pow(along(f, p, n, 1 - product / n, component), 2) : 0;
            }
            expect_at(f, prefix, names[0], region * n + i, sqrt(own));
            if (circles > 1)
                expect_at(f, prefix, names[1], region * n + i, sqrt(other));
            expect_at(f, prefix, names[2], region * n + i, dot / sqrt(own * square));
        }
}

// A matrix (components, neurons): rows of `values`, those of one circle, in components.
static void compare_matrix(const support_network *f, const char *prefix, const char *name, int n, const int *place,
                           const double *values, int row_stride, int column_stride) {
    for (int i = 0; i < n; i++) {
        double component[64];
        component_at(n, i, place, component);
        for (int k = 0; k < f->hidden; k++) {
            double sum = 0;
            for (int t = 0; t < n; t++)
                sum += component[t] * values[t * row_stride + k * column_stride];
            expect_at(f, prefix, name, i * f->hidden + k, sum);
        }
    }
}

static void compare_clusters(const support_network *f, const char *prefix, const char *name, int n, int half) {
    const double *frequency = support_measured(f, prefix, "neuron_frequency");
    for (int i = 0; i < n / 2; i++)
        for (int j = 0; j < n; j++) {
            double component[64], square = 0;
            component_at(n, j, NULL, component);
            for (int k = 0; k < f->hidden; k++) {
                double sum = 0;
                for (int c = 0; c < n; c++)
                    sum += component[c] * f->u[k * f->order + half * n + c];
                square += frequency[k] == i + 1 ? sum * sum : 0;
            }
            expect_at(f, prefix, name, i * n + j, sqrt(square));
        }
}

static void compare_shares(const support_network *f, const char *prefix, int n, const int *x, const int *y) {
    for (int k = 1; k <= n / 2; k++)
        for (int i = 0; i < f->hidden; i++)
            expect_at(f, prefix, "neuron_frequency_share", (k - 1) * f->hidden + i, support_share(f, n, x, y, k, i));
}

// --- Tests ---

static const struct {
    const char *group;
    int m, n; // exponents; 0: the group itself
} CYCLIC[] = {{"C2", 0, 0}, {"C5", 0, 0}, {"C6", 0, 0}, {"C7", 3, 1}, {"C7", 2, 3}};
enum { N_CYCLIC = sizeof CYCLIC / sizeof *CYCLIC };

TEST(test_components_of_cyclic_tables_are_as_defined) {
    for (int i = 0; i < N_CYCLIC; i++) {
        support_network f;
        support_network_open(&f, CYCLIC[i].group, CYCLIC[i].m, CYCLIC[i].n);
        const ts_symmetry *symmetry = f.data->symmetry;
        support_fill(&f, f.order, symmetry->chart[0].x_a, symmetry->chart[0].x_b);
        support_measure(&f);
        for (int chart = 0; chart < symmetry->charts; chart++) {
            const ts_chart *own = &symmetry->chart[chart];
            const char *prefix = SUPPORT_PREFIX[chart];
            compare_planes(&f, prefix, "", 1, own);
            compare_directions(&f, prefix, "", 1, own);
            compare_matrix(&f, prefix, "embed_fourier", f.order, own->x_a, f.e_x, f.embed, 1);
            compare_matrix(&f, prefix, "embed_right_fourier", f.order, own->x_b, f.e_y, f.embed, 1);
            compare_clusters(&f, prefix, "cluster_unembed_norm", f.order, 0);
            compare_shares(&f, prefix, f.order, own->x_a, own->x_b);
        }
        compare_matrix(&f, "", "unembed_fourier", f.order, NULL, f.u, 1, f.order);
        support_compare_norms(&f, "", "unembed_fourier_norm", f.order, NULL, f.u, f.hidden, 1, (size_t)f.order);
        support_network_close(&f);
    }
}

TEST(test_components_of_dihedral_tables_are_as_defined) {
    static const char *const GROUPS[] = {"D2", "D3", "D6"};
    static const char *const HALVES[] = {"rotation", "reflection"};
    for (int i = 0; i < 3; i++) {
        support_network f;
        support_network_open(&f, GROUPS[i], 0, 0);
        const ts_chart *chart = &f.data->symmetry->chart[0];
        int n = f.order / 2;
        support_fill(&f, n, chart->x_a, chart->x_b);
        support_measure(&f);
        compare_planes(&f, "", "region_", 2, chart);
        compare_directions(&f, "", "region_", 2, chart);
        compare_shares(&f, "", n, chart->x_a, chart->x_b);
        for (int half = 0; half < 2; half++) {
            char name[64];
            snprintf(name, sizeof name, "embed_%s_fourier", HALVES[half]);
            compare_matrix(&f, "", name, n, NULL, f.e_x + half * n * f.embed, f.embed, 1);
            snprintf(name, sizeof name, "embed_right_%s_fourier", HALVES[half]);
            compare_matrix(&f, "", name, n, NULL, f.e_y + half * n * f.embed, f.embed, 1);
            snprintf(name, sizeof name, "unembed_%s_fourier", HALVES[half]);
            compare_matrix(&f, "", name, n, NULL, f.u + half * n, 1, f.order);
            snprintf(name, sizeof name, "cluster_unembed_%s_norm", HALVES[half]);
            compare_clusters(&f, "", name, n, half);
        }
        support_network_close(&f);
    }
}

// Components of more than 8e6 numbers are made in several turns: 46 tokens x 4142 neurons and logits x 46 components.
// Of a: constant; of b: the first and the last of each circle.
static void compare_turns(const char *group, const char *name, int circles) {
    enum { ORDER = 46, HIDDEN = 4096 };
    static double h[ORDER * HIDDEN], z[ORDER * ORDER], sums[2][4][ORDER];
    char text[128];
    support_instance f;
    ts_network network;
    int n = ORDER / circles;
    snprintf(text, sizeof text, "task: group\ngroup: %s\nembed: 1\nhidden: %d\ntrain_fraction: 0.2\n", group, HIDDEN);
    support_open(&f, text);
    double *out = ts_alloc((size_t)ts_measures_total(&f.params, f.data) * sizeof *out, "measures");
    assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 0, TS_MEASURE_LAST, NULL, out), TS_OK);
    ts_measures m = ts_measures_of(&f.params, f.data);
    assert_true(ts_measures_find(&m, name));
    assert_int_equal(ts_network_open(&f.params, f.initial, &network), TS_OK);
    memset(sums, 0, sizeof sums);
    for (int a = 0; a < ORDER; a++) {
        network.row(network.weights, a, h, z, NULL);
        for (int last = 0; last < 2; last++)
            for (int b = 0; b < ORDER; b++)
                for (int c = 0; c < ORDER; c++)
                    sums[last][circles * (a / n) + b / n][c] +=
                        (last ? support_component(n, n - 1, b % n) : 1) * z[b * ORDER + c];
    }
    double norm = 0; // of the last component: cos n/2
    for (int t = 0; t < n; t++)
        norm += pow(support_component(n, n - 1, t), 2);
    for (int region = 0; region < circles * circles; region++)
        for (int last = 0; last < 2; last++) {
            double mean = 0;
            for (int c = 0; c < ORDER; c++)
                mean += fabs(sums[last][region][c]) / sqrt(n * (last ? norm : n)) / ORDER;
            assert_close(out[m.offset + (int64_t)region * n * n + (last ? n - 1 : 0)], mean, 1e-9, 1e-12);
        }
    ts_network_close(&network);
    ts_free(out);
    support_close(&f);
}

TEST(test_components_made_in_turns_are_as_defined) {
    compare_turns("C46", "logit_fourier_norm", 1);
    compare_turns("D23", "region_logit_fourier_norm", 2);
}

// W_E W_V W_O W_in of each head, from the weights.
static double reads(const support_instance *f, int head, int token, int neuron) {
    enum { D = 16, HEAD = 4, MLP = 12 };
    const float *w_e = f->initial + f->layout.tensor[0].offset, *w_v = f->initial + f->layout.tensor[4].offset;
    const float *w_o = f->initial + f->layout.tensor[5].offset, *w_in = f->initial + f->layout.tensor[6].offset;
    double sum = 0;
    for (int i = 0; i < HEAD; i++) {
        double value = 0, read = 0;
        for (int d = 0; d < D; d++) {
            value += (double)w_e[token * D + d] * w_v[(head * D + d) * HEAD + i];
            read += (double)w_o[(head * HEAD + i) * D + d] * w_in[d * MLP + neuron];
        }
        sum += value * read;
    }
    return sum;
}

TEST(test_what_neurons_read_through_heads_is_as_defined) {
    static const struct {
        const char *text, *name[2];
        int circles, charts;
    } CASES[] = {{"group\ngroup: C7", {"head_embed_fourier"}, 1, 1},
                 {"power\np: 7\nm: 2\nn: 3", {"head_embed_fourier"}, 1, 2},
                 {"group\ngroup: D4", {"head_embed_rotation_fourier", "head_embed_reflection_fourier"}, 2, 1}};
    for (int i = 0; i < 3; i++) {
        char text[200];
        support_instance f;
        snprintf(text, sizeof text,
                 "task: %s\nmodel: transformer\nd_model: 16\nheads: 2\nd_head: 4\nd_mlp: 12\ntrain_fraction: 0.5\n",
                 CASES[i].text);
        support_open(&f, text);
        double *out = ts_alloc((size_t)ts_measures_total(&f.params, f.data) * sizeof *out, "measures");
        assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 0, TS_MEASURE_LAST, NULL, out), TS_OK);
        int n = f.data->table->n / CASES[i].circles;
        for (int half = 0; half < CASES[i].circles; half++)
            for (int chart = 0; chart < CASES[i].charts; chart++) {
                char name[64];
                snprintf(name, sizeof name, "%s%s", SUPPORT_PREFIX[chart], CASES[i].name[half]);
                ts_measures m = ts_measures_of(&f.params, f.data);
                assert_true(ts_measures_find(&m, name));
                for (int at = 0; at < 2 * n * 12; at++) {
                    double component[64], sum = 0;
                    component_at(n, at / 12 % n, CASES[i].circles == 1 ? f.data->symmetry->chart[chart].x_a : NULL,
                                 component);
                    for (int t = 0; t < n; t++)
                        sum += component[t] * reads(&f, at / 12 / n, half * n + t, at % 12);
                    support_expect("", name, at, out[m.offset + at], sum);
                }
            }
        ts_free(out);
        support_close(&f);
    }
}

TEST(test_memory_that_runs_out_is_reported) {
    support_instance f;
    support_open(&f, "task: group\ngroup: C5\nmodel: transformer\nd_model: 16\nheads: 2\nd_head: 4\nd_mlp: 12\n"
                     "train_fraction: 0.5\n");
    double *out = ts_alloc((size_t)ts_measures_total(&f.params, f.data) * sizeof *out, "measures");
    int failed = 0;
    for (ts_status status = TS_ERROR_MEMORY; status != TS_OK; failed++) {
        ts_alloc_fail_at(failed + 1);
        status = ts_measure_weights(&f.params, f.data, f.initial, 0, TS_MEASURE_LAST, NULL, out);
        ts_alloc_fail_at(0);
        assert_true(status == TS_OK || status == TS_ERROR_MEMORY);
    }
    assert_true(failed > 10);
    ts_free(out);
    support_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components_of_cyclic_tables_are_as_defined),
        cmocka_unit_test(test_components_of_dihedral_tables_are_as_defined),
        cmocka_unit_test(test_components_made_in_turns_are_as_defined),
        cmocka_unit_test(test_what_neurons_read_through_heads_is_as_defined),
        cmocka_unit_test(test_memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
