// Measures of dihedral tables by region and by Fourier components of the rotation index, against their definitions
// written out term by term, on networks with random and planted activations.
#include "support_network.h"

// --- Definitions, written out ---

static const char *const SIDES[] = {"region_hidden_left_fraction", "region_hidden_right_fraction",
                                    "region_hidden_product_fraction"};

static int region_of(const support_network *f, int pair) {
    int n = f->order / 2;
    return 2 * (pair / f->order / n) + pair % f->order / n;
}

// |H|^2 of a region's pairs, less the mean over them.
static double region_energy(const support_network *f, int region) {
    int pairs = f->order * f->order;
    double all = 0;
    for (int k = 0; k < f->hidden; k++) {
        double sum = 0, square = 0;
        for (int p = 0; p < pairs; p++) {
            double h = region_of(f, p) == region ? f->h[p * f->hidden + k] : 0;
            sum += h;
            square += h * h;
        }
        all += square - sum * sum / (pairs / 4.0);
    }
    return all;
}

// Mean (n, hidden) over a region's pairs of each a (b, a b), less the mean over all of them; elements of one half.
static double *region_means(const support_network *f, int region, int side, int half) {
    int n = f->order / 2, hidden = f->hidden;
    double *mean = ts_alloc_zero((size_t)(n * hidden), sizeof *mean, "means");
    for (int p = 0; p < f->order * f->order; p++) {
        int element = side == 0 ? p / f->order : side == 1 ? p % f->order : f->data->table->result[p];
        for (int k = 0; k < hidden && region_of(f, p) == region; k++)
            mean[(element - half * n) * hidden + k] += f->h[p * hidden + k] / n;
    }
    for (int k = 0; k < hidden; k++) {
        double own = 0;
        for (int g = 0; g < n; g++)
            own += mean[g * hidden + k] / n;
        for (int g = 0; g < n; g++)
            mean[g * hidden + k] -= own;
    }
    return mean;
}

// Energy of means (n, hidden) on one half in the irrep's functions on that half.
static double half_energy(const support_network *f, int r, int half, const double *mean) {
    int n = f->order / 2, order = f->order;
    double *projector = ts_alloc((size_t)(order * order) * sizeof *projector, "projector"), weight[64], part = 0;
    for (int g = 0; g < order; g++)
        weight[g] = g / n == half;
    support_projector(f->data->symmetry, r, weight, projector);
    for (int g = 0; g < n; g++)
        for (int k = 0; k < f->hidden; k++) {
            double sum = 0;
            for (int h = 0; h < n; h++)
                sum += projector[(half * n + g) * order + half * n + h] * mean[h * f->hidden + k];
            part += sum * sum;
        }
    ts_free(projector);
    return part;
}

static double region_similarity(const support_network *f, int region, int r, const double *z) {
    const ts_symmetry *symmetry = f->data->symmetry;
    double dot = 0, norm = 0, logits = 0;
    int order = f->order;
    for (int i = 0; i < order * order * order; i++) {
        int product = f->data->table->result[i / order];
        int quotient = f->data->table->result[product * order + symmetry->inverse[i % order]];
        double chi = symmetry->irreps->irrep[r].character[quotient];
        if (region_of(f, i / order) != region)
            continue;
        dot += chi * z[i];
        norm += chi * chi;
        logits += z[i] * z[i];
    }
    return dot / sqrt(norm * logits);
}

static void compare_regions(const support_network *f) {
    int n = f->order / 2, count = f->data->symmetry->irreps->count;
    double *z = support_centred_logits(f);
    for (int region = 0; region < 4; region++) {
        double all = region_energy(f, region);
        for (int side = 0; side < 3; side++) {
            int half = side == 0 ? region / 2 : side == 1 ? region % 2 : region / 2 ^ region % 2;
            double *mean = region_means(f, region, side, half);
            for (int r = 0; r < count; r++) // an element stands for n pairs
                support_expect("", SIDES[side], region * count + r,
                               support_measured(f, "", SIDES[side])[region * count + r],
                               n * half_energy(f, r, half, mean) / all);
            ts_free(mean);
        }
        for (int r = 0; r < count; r++)
            support_expect("", "region_logit_similarity", region * count + r,
                           support_measured(f, "", "region_logit_similarity")[region * count + r],
                           region_similarity(f, region, r, z));
    }
    ts_free(z);
}

static void compare_corrected_loss(const support_network *f) {
    int order = f->order, n = order / 2;
    const double *key = support_measured(f, "", "key_frequency");
    double loss = 0, z[64];
    for (int p = 0; p < order * order; p++) {
        int wrong = (p / order / n ^ p % order / n) == 0 ? n : 0;
        memcpy(z, f->logits + (size_t)(p * order), (size_t)order * sizeof *z);
        for (int component = 1; component < n; component++) {
            double dot = 0, norm = 0;
            for (int c = 0; c < n; c++) {
                dot += support_component(n, component, c) * f->logits[p * order + wrong + c];
                norm += pow(support_component(n, component, c), 2);
            }
            for (int c = 0; c < n && key[(component + 1) / 2 - 1] == 1; c++)
                z[wrong + c] -= dot / norm * support_component(n, component, c);
        }
        loss += support_loss(z, order, f->data->table->result[p]) / (order * order);
    }
    support_expect("", "reflection_corrected_loss", 0, *support_measured(f, "", "reflection_corrected_loss"), loss);
}

static void compare_dihedral(const support_network *f) {
    static const char *const NAMES[2][3] = {
        {"embed_rotation_fourier_norm", "embed_right_rotation_fourier_norm", "unembed_rotation_fourier_norm"},
        {"embed_reflection_fourier_norm", "embed_right_reflection_fourier_norm", "unembed_reflection_fourier_norm"}};
    int n = f->order / 2;
    size_t width = (size_t)f->embed, order = (size_t)f->order;
    for (int half = 0; half < 2; half++) {
        size_t first = (size_t)(half * n);
        support_compare_norms(f, "", NAMES[half][0], n, NULL, f->e_x + first * width, f->embed, width, 1);
        support_compare_norms(f, "", NAMES[half][1], n, NULL, f->e_y + first * width, f->embed, width, 1);
        support_compare_norms(f, "", NAMES[half][2], n, NULL, f->u + first, f->hidden, 1, order);
    }
    support_compare_clusters(f, "", n, f->data->symmetry->chart[0].x_a, f->data->symmetry->chart[0].x_b);
    compare_regions(f);
    compare_corrected_loss(f);
}

// --- Tests ---

TEST(test_dihedral_measures_are_as_defined) {
    static const char *const GROUPS[] = {"D2", "D3", "D5", "D6"};
    for (int i = 0; i < 4; i++) {
        support_network f;
        support_network_open(&f, GROUPS[i], 0, 0);
        const ts_chart *chart = &f.data->symmetry->chart[0];
        support_fill(&f, f.order / 2, chart->x_a, chart->x_b);
        support_measure(&f);
        compare_dihedral(&f);
        double keys = 0;
        for (int k = 0; k < f.order / 4; k++)
            keys += support_measured(&f, "", "key_frequency")[k];
        assert_true(keys > 0);
        support_network_close(&f);
    }
}

// Right logits everywhere; on elements with the wrong reflection bit a cosine of the neurons' frequency.
TEST(test_what_the_reflection_bit_rules_out_is_taken_out) {
    support_network f;
    support_network_open(&f, "D5", 0, 0);
    int order = f.order, n = order / 2, k = 2;
    double losses[2];
    for (int wrong = 0; wrong < 2; wrong++) {
        for (int p = 0; p < order * order; p++) {
            int a = p / order, b = p % order, ab = f.data->table->result[p];
            for (int neuron = 0; neuron < f.hidden; neuron++)
                f.h[p * f.hidden + neuron] =
                    support_cosine(n, k, a + neuron) * (1 + support_sine(n, k, b)) + (a < n ? 3 : 1);
            for (int c = 0; c < order; c++) {
                bool same = c / n == ab / n;
                f.logits[p * order + c] = (same ? 4 : 1) * (c == ab) + (c == 0) * 0.5;
                if (!same)
                    f.logits[p * order + c] = wrong * 5 * support_cosine(n, k, c + ab + 1);
            }
        }
        support_measure(&f);
        losses[wrong] = *support_measured(&f, "", "reflection_corrected_loss");
        for (int neuron = 0; neuron < f.hidden; neuron++) {
            assert_close(support_measured(&f, "", "neuron_frequency")[neuron], k, 0, 0);
            assert_close(support_measured(&f, "", "neuron_frequency_fraction")[neuron], 1, 1e-12, 0);
        }
        if (wrong)
            assert_true(*support_measured(&f, "", "all_loss") > losses[wrong] + 0.5);
        else
            assert_close(*support_measured(&f, "", "all_loss"), losses[wrong], 1e-12, 0);
    }
    assert_close(losses[0], losses[1], 1e-12, 0);
    support_network_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dihedral_measures_are_as_defined),
        cmocka_unit_test(test_what_the_reflection_bit_rules_out_is_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
