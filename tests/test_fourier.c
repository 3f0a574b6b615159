// Fourier measures of cyclic tables against their definitions written out term by term, on networks with random and
// planted activations; which tables have such measures, and the names of their dimensions.
#include "support_network.h"

// --- Definitions, written out ---

static void compare_cubes(const support_network *f, const char *prefix, const int *x, const int *y) {
    int n = f->order;
    double *z = support_centred_logits(f), all = 0, left = 0;
    size_t cube = (size_t)n * (size_t)n * (size_t)n;
    for (size_t i = 0; i < cube; i++)
        all += z[i] * z[i];
    for (int k = 1; k <= n / 2; k++) {
        double dot = 0, norm = 0;
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                for (int c = 0; c < n; c++) {
                    double at = support_cosine(n, k, x[a] + y[b] - c);
                    dot += at * z[(a * n + b) * n + c];
                    norm += at * at;
                }
        support_expect(prefix, "logit_cos_coefficient", k, support_measured(f, prefix, "logit_cos_coefficient")[k - 1],
                       dot / norm);
        support_expect(prefix, "logit_cos_similarity", k, support_measured(f, prefix, "logit_cos_similarity")[k - 1],
                       dot / sqrt(norm * all));
        for (int a = 0; a < n; a++)
            for (int b = 0; b < n; b++)
                for (int c = 0; c < n; c++)
                    z[(a * n + b) * n + c] -= dot / norm * support_cosine(n, k, x[a] + y[b] - c);
    }
    for (size_t i = 0; i < cube; i++)
        left += z[i] * z[i];
    support_expect(prefix, "logit_residual_fraction", 0, *support_measured(f, prefix, "logit_residual_fraction"),
                   sqrt(left / all));
    ts_free(z);
}

// Restricted and excluded loss on the key frequencies that were measured, by vectors over the pairs.
static void compare_key_losses(const support_network *f, const char *prefix, const int *x, const int *y) {
    int n = f->order, number = 0, *pairs = ts_alloc((size_t)n * (size_t)n * sizeof *pairs, "pairs");
    size_t count = (size_t)n * (size_t)n, order = (size_t)n, hidden = (size_t)f->hidden;
    const double *key = support_measured(f, prefix, "key_frequency");
    double *vectors = ts_alloc_zero((order + 1) * count, sizeof *vectors, "vectors"),
           *part = ts_alloc_zero(count * order, sizeof *part, "logits"), mean[64] = {0}, z[64];
    for (int component = 1; component < n; component++) {
        double *v = vectors + (size_t)number * count;
        for (size_t p = 0; p < count; p++)
            v[p] = support_component(n, component, x[p / order] + y[p % order]);
        if (key[(component + 1) / 2 - 1] == 1)
            number += support_orthonormalise(vectors, number, v, count);
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
        restricted += support_loss(z, n, f->data->table->result[p]) / (double)count;
    }
    for (int64_t i = 0; i < train; i++) {
        size_t p = (size_t)pairs[i];
        for (size_t c = 0; c < order; c++)
            z[c] = f->logits[p * order + c] - part[p * order + c];
        excluded += support_loss(z, n, f->data->table->result[p]) / (double)train;
    }
    support_expect(prefix, "key_restricted_loss", 0, *support_measured(f, prefix, "key_restricted_loss"), restricted);
    support_expect(prefix, "key_excluded_loss", 0, *support_measured(f, prefix, "key_excluded_loss"), excluded);
    ts_free(pairs);
    ts_free(vectors);
    ts_free(part);
}

static void compare_cyclic(const support_network *f) {
    for (int chart = 0; chart < f->data->symmetry->charts; chart++) {
        const ts_chart *own = &f->data->symmetry->chart[chart];
        support_compare_norms(f, SUPPORT_PREFIX[chart], "embed_fourier_norm", f->order, own->x_a, f->e_x, f->embed,
                              (size_t)f->embed, 1);
        support_compare_norms(f, SUPPORT_PREFIX[chart], "embed_right_fourier_norm", f->order, own->x_b, f->e_y,
                              f->embed, (size_t)f->embed, 1);
        compare_cubes(f, SUPPORT_PREFIX[chart], own->x_a, own->x_b);
        support_compare_clusters(f, SUPPORT_PREFIX[chart], f->order, own->x_a, own->x_b);
        compare_key_losses(f, SUPPORT_PREFIX[chart], own->x_a, own->x_b);
    }
}

// --- Cyclic ---

static const struct {
    const char *group;
    int m, n; // exponents; 0: the group itself
} CYCLIC[] = {{"C2", 0, 0}, {"C3", 0, 0}, {"C7", 0, 0},  {"C8", 0, 0},  {"C7", 1, 1},
              {"C7", 3, 1}, {"C7", 2, 3}, {"C11", 3, 1}, {"C11", 3, 3}, {"C11", 2, 2}};
enum { N_CYCLIC = sizeof CYCLIC / sizeof *CYCLIC };

TEST(test_cyclic_measures_are_as_defined) {
    for (int i = 0; i < N_CYCLIC; i++) {
        support_network f;
        support_network_open(&f, CYCLIC[i].group, CYCLIC[i].m, CYCLIC[i].n);
        const ts_symmetry *symmetry = f.data->symmetry;
        for (int chart = 0; chart < symmetry->charts; chart++) {
            support_fill(&f, f.order, symmetry->chart[chart].x_a, symmetry->chart[chart].x_b);
            support_measure(&f);
            compare_cyclic(&f);
            double keys = 0;
            for (int k = 0; k < f.order / 2; k++)
                keys += support_measured(&f, SUPPORT_PREFIX[chart], "key_frequency")[k];
            assert_true(keys > 0); // else the losses on them would not be tested
        }
        support_network_close(&f);
    }
}

// The network of the model `mlp` with its initial weights, made large.
TEST(test_measures_of_an_mlp_are_as_defined) {
    static const char *const GROUPS[] = {"C7", "C8"};
    for (int i = 0; i < 2; i++) {
        support_network f;
        support_network_open(&f, GROUPS[i], 0, 0);
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
                    f.e_y[t * hidden + k] += (double)tensor[1][t * embed + e] * tensor[2][(embed + e) * hidden + k];
                }
        for (int p = 0; p < n * n; p++)
            for (int k = 0; k < hidden; k++)
                f.h[p * hidden + k] = fmax(0, f.e_x[p / n * hidden + k] + f.e_y[p % n * hidden + k]);
        for (int k = 0; k < hidden * n; k++)
            f.u[k] = tensor[3][k];
        support_unembed(&f, 0);
        assert_int_equal(
            ts_measure_weights(&f.instance.params, f.data, f.instance.initial, 0, TS_MEASURE_LAST, NULL, f.out), TS_OK);
        compare_cyclic(&f);
        support_network_close(&f);
    }
}

// logits = 3 cos(2 pi k (x_a + x_b - c) / n), from two neurons.
static void plant(support_network *f, int k, const ts_chart *chart) {
    int n = f->order, hidden = f->hidden;
    memset(f->h, 0, (size_t)(n * n * hidden) * sizeof *f->h);
    memset(f->u, 0, (size_t)(n * hidden) * sizeof *f->u);
    for (int p = 0; p < n * n; p++) {
        f->h[p * hidden] = 2 + support_cosine(n, k, chart->x_a[p / n] + chart->x_b[p % n]);
        f->h[p * hidden + 1] = 2 + support_sine(n, k, chart->x_a[p / n] + chart->x_b[p % n]);
    }
    for (int c = 0; c < n; c++) {
        f->u[c] = 3 * support_cosine(n, k, c);
        f->u[n + c] = 3 * support_sine(n, k, c);
        for (int p = 0; p < n * n; p++)
            f->logits[p * n + c] = (f->h[p * hidden] - 2) * f->u[c] + (f->h[p * hidden + 1] - 2) * f->u[n + c];
    }
}

TEST(test_a_network_of_one_frequency_is_recognised) {
    for (int i = 2; i < N_CYCLIC; i++) {
        support_network f;
        support_network_open(&f, CYCLIC[i].group, CYCLIC[i].m, CYCLIC[i].n);
        for (int chart = 0; chart < f.data->symmetry->charts; chart++) {
            const char *prefix = SUPPORT_PREFIX[chart];
            int n = f.order, k = 2;
            plant(&f, k, &f.data->symmetry->chart[chart]);
            support_measure(&f);
            for (int neuron = 0; neuron < 2; neuron++) {
                assert_close(support_measured(&f, prefix, "neuron_frequency")[neuron], k, 0, 0);
                assert_close(support_measured(&f, prefix, "neuron_frequency_fraction")[neuron], 1, 1e-12, 0);
            }
            for (int other = 1; other <= n / 2; other++) {
                assert_close(support_measured(&f, prefix, "key_frequency")[other - 1], other == k, 0, 0);
                assert_close(support_measured(&f, prefix, "logit_cos_coefficient")[other - 1], other == k ? 3 : 0,
                             1e-12, 1e-12);
                assert_close(support_measured(&f, prefix, "logit_cos_similarity")[other - 1], other == k, 1e-12, 1e-12);
            }
            assert_close(*support_measured(&f, prefix, "logit_residual_fraction"), 0, 0, 1e-6);
            assert_close(*support_measured(&f, prefix, "key_restricted_loss"), *support_measured(&f, "", "all_loss"),
                         1e-12, 1e-12);
            if (chart == 0) { // without its only frequency nothing is left: the mean logits are 0
                assert_close(*support_measured(&f, prefix, "key_excluded_loss"), log(n), 1e-12, 1e-12);
            }
        }
        support_network_close(&f);
    }
}

TEST(test_fourier_measures_agree_with_those_per_irrep) {
    support_network f;
    support_network_open(&f, "C11", 3, 3); // a bijection
    const ts_symmetry *symmetry = f.data->symmetry;
    support_fill(&f, f.order, symmetry->chart[1].x_a, symmetry->chart[1].x_b);
    support_measure(&f);
    for (int chart = 0; chart < 2; chart++) {
        const char *prefix = SUPPORT_PREFIX[chart];
        const double *norm = support_measured(&f, prefix, "embed_right_fourier_norm");
        double all = 0;
        for (int component = 0; component < f.order; component++)
            all += norm[component] * norm[component];
        for (int r = 1; r < symmetry->irreps->count; r++) { // freq_r, in this order
            assert_string_equal(symmetry->irreps->irrep[r].name, symmetry->frequency[r - 1]);
            assert_close(support_measured(&f, prefix, "logit_cos_similarity")[r - 1],
                         support_measured(&f, prefix, "logit_similarity")[r], 1e-10, 1e-12);
            assert_close(support_measured(&f, prefix, "logit_cos_coefficient")[r - 1],
                         2 * support_measured(&f, prefix, "fit_coefficient")[r], 1e-10,
                         1e-12); // chi is 2 cos
            assert_close((norm[2 * r - 1] * norm[2 * r - 1] + norm[2 * r] * norm[2 * r]) / all,
                         support_measured(&f, prefix, "embed_right_fraction")[r], 1e-10, 1e-12);
        }
    }
    support_network_close(&f);
}

TEST(test_without_key_frequencies_nothing_is_excluded) {
    support_network f;
    support_network_open(&f, "C11", 0, 0);
    for (int i = 0; i < f.order * f.order * f.hidden; i++)
        f.h[i] = support_uniform(&f);
    for (int i = 0; i < f.order * f.hidden; i++)
        f.u[i] = support_uniform(&f);
    support_unembed(&f, 0);
    support_measure(&f);
    for (int k = 0; k < f.order / 2; k++)
        assert_close(support_measured(&f, "", "key_frequency")[k], 0, 0, 0);
    assert_close(*support_measured(&f, "", "key_excluded_loss"), *support_measured(&f, "", "train_loss"), 1e-12, 0);
    compare_cyclic(&f);
    support_network_close(&f);
}

// --- What is there, and under which names ---

TEST(test_measures_are_there_where_the_group_has_circles) {
    static const char *const NAMES[] = {"embed_fourier_norm",  "key_restricted_loss",       "neuron_frequency",
                                        "key_frequency",       "reflection_corrected_loss", "region_logit_similarity",
                                        "value_key_frequency", "value_embed_fourier_norm"};
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
        support_network f;
        support_network_open(&f, CASES[i].group, CASES[i].m, CASES[i].m);
        for (int k = 0; k < 8; k++)
            if ((support_find(&f, "", NAMES[k]) != NULL) != CASES[i].has[k])
                fail_msg("%s (exponent %d): %s is there: %d", CASES[i].group, CASES[i].m, NAMES[k],
                         support_find(&f, "", NAMES[k]) != NULL);
        support_measure(&f);
        support_network_close(&f);
    }
}

TEST(test_components_and_frequencies_have_names) {
    static const char *const COMPONENTS[] = {"constant", "cos 1", "sin 1", "cos 2", "sin 2", "cos 3"};
    static const char *const FREQUENCIES[] = {"freq_1", "freq_2", "freq_3"};
    static const char *const REGIONS[] = {"rotation_rotation", "rotation_reflection", "reflection_rotation",
                                          "reflection_reflection"};
    static const char *const GROUPS[] = {"C6", "D6"};
    for (int i = 0; i < 2; i++) {
        support_network f;
        support_network_open(&f, GROUPS[i], 0, 0);
        const ts_params *params = &f.instance.params;
        assert_int_equal(ts_dimension_length(params, f.data, "component"), 6);
        assert_int_equal(ts_dimension_length(params, f.data, "frequency"), 3);
        for (int k = 0; k < 6; k++)
            assert_string_equal(ts_dimension_label(f.data, "component", k), COMPONENTS[k]);
        for (int k = 0; k < 3; k++)
            assert_string_equal(ts_dimension_label(f.data, "frequency", k), FREQUENCIES[k]);
        for (int k = 0; k < 4 && i == 1; k++)
            assert_string_equal(ts_dimension_label(f.data, "region", k), REGIONS[k]);
        support_network_close(&f);
    }
}

TEST(test_memory_that_runs_out_is_reported) {
    static const char *const GROUPS[] = {"C7", "D5"};
    for (int i = 0; i < 2; i++) {
        support_network f;
        support_network_open(&f, GROUPS[i], 0, 0);
        int failed = 0;
        for (ts_status status = TS_ERROR_MEMORY; status != TS_OK; failed++) {
            ts_alloc_fail_at(failed + 1);
            status =
                ts_measure_weights(&f.instance.params, f.data, f.instance.initial, 0, TS_MEASURE_LAST, NULL, f.out);
            ts_alloc_fail_at(0);
            assert_true(status == TS_OK || status == TS_ERROR_MEMORY);
        }
        assert_true(failed > 5); // weights, pairs, two kinds of measures with their parts
        support_network_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cyclic_measures_are_as_defined),
        cmocka_unit_test(test_measures_of_an_mlp_are_as_defined),
        cmocka_unit_test(test_a_network_of_one_frequency_is_recognised),
        cmocka_unit_test(test_fourier_measures_agree_with_those_per_irrep),
        cmocka_unit_test(test_without_key_frequencies_nothing_is_excluded),
        cmocka_unit_test(test_measures_are_there_where_the_group_has_circles),
        cmocka_unit_test(test_components_and_frequencies_have_names),
        cmocka_unit_test(test_memory_that_runs_out_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
