// Concentration, clock and pizza, margins: of networks that are known by hand, and of random
// ones against their definitions, written out.
#define _POSIX_C_SOURCE 200809L
#include "base/python_random.h"
#include "support_measured.h"

#include <unistd.h>

static const double TURN = 6.283185307179586476925286766559;

// --- Single frequencies ---

enum { GRID = 3 }; // phases of a and of b, each

// Neurons cos(w a + phi) + cos(w b + psi), squared, that write cos(w c + phi + psi): GRID^2 for each frequency.
static void plant_frequencies(network *t, float scale) {
    float *u = tensor(t, "U"), *v = tensor(t, "V"), *w = tensor(t, "W_U");
    for (int k = 0; k < t->hidden; k++) {
        double phi = TURN * (k / GRID % GRID) / GRID, psi = TURN * (k % GRID) / GRID;
        double omega = TURN * (k / (GRID * GRID) + 1) / t->n;
        for (int x = 0; x < t->n; x++) {
            u[x * t->hidden + k] = scale * (float)cos(omega * x + phi);
            v[x * t->hidden + k] = scale * (float)cos(omega * x + psi);
            w[k * t->n + x] = scale * (float)cos(omega * x + phi + psi);
        }
    }
}

// Between two angles.
static double apart(double x, double y) {
    return fabs(remainder(x - y, TURN));
}

TEST(test_a_neuron_of_one_frequency_is_concentrated_and_has_its_phases) {
    static const double PHASES[GRID] = {0, 120, -120}; // degrees
    network t;
    open_network(&t,
                 "task: power\np: 11\nmodel: mlp\nembedding: one_hot_separate\nactivation: square\nhidden: 45\n"
                 "train_fraction: 0.9\nsteps: 1\n",
                 3);
    plant_frequencies(&t, 1);
    measure(&t);
    static const char *const MEANS[] = {"concentration", "input_concentration", "output_concentration",
                                        "input_left_concentration", "input_right_concentration"};
    for (int i = 0; i < 5; i++)
        expect(MEANS[i], 0, *found(&t, MEANS[i]), 1, 1e-9);
    for (int k = 0; k < t.hidden; k++) {
        double left = PHASES[k / GRID % GRID] * TURN / 360, right = PHASES[k % GRID] * TURN / 360;
        expect("neuron_main_frequency", k, found(&t, "neuron_main_frequency")[k], k / (GRID * GRID) + 1, 0);
        expect("neuron_left_phase", k, apart(found(&t, "neuron_left_phase")[k], left), 0, 1e-6);
        expect("neuron_right_phase", k, apart(found(&t, "neuron_right_phase")[k], right), 0, 1e-6);
        expect("neuron_output_phase", k, apart(found(&t, "neuron_output_phase")[k], left + right), 0, 1e-6);
    }
    expect("clock_share", 0, *found(&t, "clock_share"), 1, 1e-9);
    expect("gradient_symmetricity", 0, *found(&t, "gradient_symmetricity"), 1, 1e-9);
    close_network(&t);
}

TEST(test_two_equal_frequencies_have_half_the_concentration_and_constant_rows_none) {
    network t;
    open_network(&t,
                 "task: power\np: 8\nmodel: mlp\nembedding: one_hot_separate\nactivation: square\nhidden: 3\n"
                 "train_fraction: 0.9\nsteps: 1\n",
                 3);
    float *u = tensor(&t, "U"), *v = tensor(&t, "V");
    for (int x = 0; x < 8; x++) {
        u[x * 3] = (float)(cos(TURN * x / 8) + sin(TURN * 2 * x / 8));
        u[x * 3 + 1] = x % 2 ? -1 : 1; // the last frequency, which counts once
        u[x * 3 + 2] = 0.7F;
        for (int k = 0; k < 3; k++)
            v[x * 3 + k] = 0;
    }
    measure(&t);
    static const double EXPECTED[] = {0.5, 1, NAN}, MAIN[] = {1, 4, -1};
    for (int k = 0; k < 3; k++) {
        expect("neuron_left_concentration", k, found(&t, "neuron_left_concentration")[k], EXPECTED[k], 1e-6);
        expect("neuron_right_concentration", k, found(&t, "neuron_right_concentration")[k], NAN, 0);
        if (k > 0)
            expect("neuron_main_frequency", k, found(&t, "neuron_main_frequency")[k], MAIN[k], 0);
    }
    expect("neuron_left_phase", 1, found(&t, "neuron_left_phase")[1], 0, 1e-9);
    expect("input_concentration", 0, *found(&t, "input_concentration"), 0.75, 1e-6);
    expect("clock_share", 0, *found(&t, "clock_share"), NAN, 0); // of odd n
    close_network(&t);
}

// sqrt(2 / 27) / (sqrt(p) (p - 1)): Morwani et al. 2023. Weights are rounded to float32, which takes 1e-8 off.
TEST(test_the_fourier_construction_has_the_largest_margin) {
    network t;
    double scaled[2];
    open_network(&t,
                 "task: power\np: 71\nmodel: mlp\nembedding: one_hot_separate\nactivation: square\nhidden: 315\n"
                 "train_fraction: 0.9\nsteps: 1\n",
                 3);
    for (int i = 0; i < 2; i++) {
        plant_frequencies(&t, i == 0 ? 1 : 4);
        scaled[i] = support_measure_of(&t.f.params, t.f.data, t.f.initial, 0, "normalised_margin");
        expect("normalised_margin", i, scaled[i] / 4.61430079e-4, 1, 3e-8);
    }
    assert_true(scaled[0] == scaled[1]); // powers of 2
    close_network(&t);
}

TEST(test_only_homogeneous_networks_without_biases_have_a_normalised_margin) {
    static const struct {
        const char *text;
        double degree; // NAN: none
        bool by_neuron;
    } CASES[] = {{"", 3, false},
                 {"activation: square\n", 5, false},
                 {"activation: gelu\n", NAN, false},
                 {"bias: hidden\n", NAN, false},
                 {"embedding: one_hot\n", 2, true},
                 {"embedding: one_hot\nbias: hidden\n", NAN, true},
                 {"embedding: one_hot_separate\nactivation: cube\n", 4, true}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[200];
        network t;
        snprintf(text, sizeof text, "task: power\np: 5\nmodel: mlp\n%shidden: 8\ntrain_fraction: 0.9\nsteps: 1\n%s",
                 strstr(CASES[i].text, "one_hot") ? "" : "embed: 6\n", CASES[i].text);
        open_network(&t, text, 7);
        measure(&t);
        double margin = *found(&t, "margin"), all = *found(&t, "weight_norm2"), norm = pow(all, CASES[i].degree / 2);
        if (CASES[i].by_neuron) {
            norm = 0;
            for (int k = 0; k < t.hidden; k++) {
                double own = 0;
                for (int64_t j = 0; j < t.f.parameters; j++) { // W_U is the last
                    int64_t behind = j - (t.f.parameters - t.hidden * t.n);
                    own += (behind < 0 ? j % t.hidden : behind / t.n) == k ? pow(t.f.initial[j], 2) : 0;
                }
                norm += pow(own, CASES[i].degree / 2);
            }
        }
        expect("normalised_margin", (int)i, *found(&t, "normalised_margin"), margin / norm, 1e-12);
        close_network(&t);
    }
}

// --- A random mlp, number by number ---

static const char *const RANDOM =
    "task: power\np: 7\nmodel: mlp\nembed: 6\nhidden: 10\ntrain_fraction: 0.6\nsteps: 1\n";

static double logit(network *t, int a, int b, int c) {
    const float *u = tensor(t, "W_U");
    double z = 0;
    for (int k = 0; k < t->hidden; k++)
        z += fmax(0, pre_activation(t, a, b, k)) * u[k * t->n + c];
    return z;
}

// d logit[c] / d embedding of a, of b, for all widths: relu' W U.
static double gradient_cosine(network *t, int a, int b, int c) {
    int embed = (int)ts_params_integer(&t->f.params, "embed");
    const float *w = tensor(t, "W"), *u = tensor(t, "W_U");
    double inner = 0, left = 0, right = 0;
    for (int e = 0; e < embed; e++) {
        double x = 0, y = 0;
        for (int k = 0; k < t->hidden; k++)
            if (pre_activation(t, a, b, k) > 0) {
                x += (double)w[e * t->hidden + k] * u[k * t->n + c];
                y += (double)w[(embed + e) * t->hidden + k] * u[k * t->n + c];
            }
        inner += x * y;
        left += x * x;
        right += y * y;
    }
    return left > 0 && right > 0 ? inner / sqrt(left * right) : 0;
}

TEST(test_gradient_symmetricity_is_of_the_published_triples) {
    enum { P = 59, N = 7, TRIPLES = 100 };
    static const int KNOWN[3][3] = {{29, 1, 57}, {49, 36, 24}, {40, 38, 8}};
    static int list[P * P * P];
    ts_torch_random random;
    for (int i = 0; i < P * P * P; i++)
        list[i] = i;
    ts_python_seed(&random, 42);
    ts_python_shuffle(&random, (int64_t)P * P * P, list);
    for (int i = 0; i < 3; i++)
        assert_int_equal(list[i], (KNOWN[i][0] * P + KNOWN[i][1]) * P + KNOWN[i][2]);
    network t;
    double mean = 0;
    open_network(&t, RANDOM, 11);
    measure(&t);
    for (int i = 0; i < N * N * N; i++)
        list[i] = i;
    ts_python_seed(&random, 42);
    ts_python_shuffle(&random, (int64_t)N * N * N, list);
    for (int i = 0; i < TRIPLES; i++)
        mean += gradient_cosine(&t, list[i] / (N * N), list[i] / N % N, list[i] % N) / TRIPLES;
    expect("gradient_symmetricity", 0, *found(&t, "gradient_symmetricity"), mean, 1e-9);
    close_network(&t);
}

static double deviation(const double *x, int count) {
    double mean = 0, square = 0;
    for (int i = 0; i < count; i++)
        mean += x[i] / count;
    for (int i = 0; i < count; i++)
        square += (x[i] - mean) * (x[i] - mean) / count;
    return sqrt(square);
}

TEST(test_distance_irrelevance_is_what_depends_on_the_difference_alone) {
    enum { N = 7 };
    network t;
    double of[2][N * N], mean[2] = {0};
    open_network(&t, RANDOM, 12);
    measure(&t);
    for (int d = 0; d < N; d++) {
        for (int b = 0; b < N; b++) {
            int a = (b + d) % N, label = (a + b) % N;
            double *own = &of[0][d * N + b], *wrong = &of[1][d * N + b];
            *own = logit(&t, a, b, label);
            *wrong = -INFINITY;
            for (int c = 0; c < N; c++)
                *wrong = c == label ? *wrong : fmax(*wrong, logit(&t, a, b, c));
        }
        for (int form = 0; form < 2; form++)
            mean[form] += deviation(of[form] + d * N, N) / N;
    }
    expect("distance_irrelevance", 0, *found(&t, "distance_irrelevance"), mean[0] / deviation(of[0], N * N), 1e-9);
    expect("distance_irrelevance_wrong", 0, *found(&t, "distance_irrelevance_wrong"), mean[1] / deviation(of[1], N * N),
           1e-9);
    close_network(&t);
}

// Share of the variance that functions of all frequencies explain; they are orthogonal, which is looked at, too.
static double explained(const double *z, int n, bool pizza) {
    enum { N = 7, K = (N - 1) / 2 };
    static double g[K][N * N * N];
    double energy = 0, share = 0;
    for (int i = 0; i < n * n * n; i++) {
        int a = i / (n * n), b = i / n % n, c = i % n;
        energy += z[i] * z[i];
        for (int k = 0; k < K; k++)
            g[k][i] = (pizza ? fabs(cos(TURN / 2 * (k + 1) * (a - b) / n)) : 1) * cos(TURN * (k + 1) * (a + b - c) / n);
    }
    for (int k = 0; k < K; k++) {
        double along = 0, norm = 0;
        for (int i = 0; i < n * n * n; i++) {
            along += z[i] * g[k][i];
            norm += g[k][i] * g[k][i];
        }
        share += along * along / norm / energy;
        for (int l = 0; l < k; l++) {
            double inner = 0;
            for (int i = 0; i < n * n * n; i++)
                inner += g[k][i] * g[l][i];
            assert_true(fabs(inner) < 1e-9);
        }
    }
    return share;
}

TEST(test_shares_of_clock_and_pizza_are_those_of_least_squares) {
    enum { N = 7 };
    network t;
    double z[N * N * N];
    open_network(&t, RANDOM, 13);
    measure(&t);
    for (int pair = 0; pair < N * N; pair++) {
        double mean = 0;
        for (int c = 0; c < N; c++)
            mean += (z[pair * N + c] = logit(&t, pair / N, pair % N, c)) / N;
        for (int c = 0; c < N; c++)
            z[pair * N + c] -= mean;
    }
    expect("clock_share", 0, *found(&t, "clock_share"), explained(z, N, false), 1e-9);
    expect("pizza_share", 0, *found(&t, "pizza_share"), explained(z, N, true), 1e-9);
    close_network(&t);
}

TEST(test_embeddings_on_circles_are_circular) {
    network t;
    open_network(&t,
                 "task: power\np: 13\nmodel: mlp\nembedding: one_hot\nactivation: square\nhidden: 9\n"
                 "train_fraction: 0.9\nsteps: 1\n",
                 5);
    float *u = tensor(&t, "U");
    for (int x = 0; x < 13; x++) // two circles of different sizes, and a constant
        for (int k = 0; k < 9; k++)
            u[x * 9 + k] = k < 2   ? 3 * (float)cos(TURN * 2 * x / 13 + k * 1.6)
                           : k < 4 ? (float)cos(TURN * 5 * x / 13 + k * 1.5)
                                   : 1.5F;
    measure(&t);
    expect("circularity", 0, *found(&t, "circularity"), 1, 1e-6);
    close_network(&t);
}

// A cyclic group in another order of its elements has the measures of C6.
TEST(test_renumbered_cyclic_groups_have_the_same_measures) {
    static const char *const NAMES[] = {"concentration", "distance_irrelevance", "distance_irrelevance_wrong",
                                        "circularity", "margin"};
    static const int PLACE[6] = {0, 2, 1, 4, 5, 3}; // of x to be multiplied modulo 7, as powers of 3
    char table[256] = "", path[] = "/tmp/toysweep-circuits-XXXXXX", text[300];
    for (int a = 1; a < 7; a++)
        for (int b = 1; b < 7; b++)
            snprintf(table + strlen(table), 8, "%d%s", a * b % 7 - 1, b < 6 ? "," : "\n");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0 && write(descriptor, table, strlen(table)) == (ssize_t)strlen(table));
    close(descriptor);
    network plain, other;
    open_network(&plain, "task: group\ngroup: C6\nembed: 8\nhidden: 8\ntrain_fraction: 1\nsteps: 1\n", 9);
    snprintf(text, sizeof text, "task: cayley\ncayley: %s\nembed: 8\nhidden: 8\ntrain_fraction: 1\nsteps: 1\n", path);
    open_network(&other, text, 9);
    for (int x = 0; x < 6; x++)
        for (int e = 0; e < 8; e++) {
            tensor(&other, "W_x")[x * 8 + e] = tensor(&plain, "W_x")[PLACE[x] * 8 + e];
            tensor(&other, "W_y")[x * 8 + e] = tensor(&plain, "W_y")[PLACE[x] * 8 + e];
            tensor(&other, "W_U")[e * 6 + x] = tensor(&plain, "W_U")[e * 6 + PLACE[x]];
        }
    measure(&plain);
    measure(&other);
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        expect(NAMES[i], 0, *found(&other, NAMES[i]), *found(&plain, NAMES[i]), 1e-10);
    close_network(&plain);
    close_network(&other);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_neuron_of_one_frequency_is_concentrated_and_has_its_phases),
        cmocka_unit_test(test_two_equal_frequencies_have_half_the_concentration_and_constant_rows_none),
        cmocka_unit_test(test_the_fourier_construction_has_the_largest_margin),
        cmocka_unit_test(test_only_homogeneous_networks_without_biases_have_a_normalised_margin),
        cmocka_unit_test(test_gradient_symmetricity_is_of_the_published_triples),
        cmocka_unit_test(test_distance_irrelevance_is_what_depends_on_the_difference_alone),
        cmocka_unit_test(test_shares_of_clock_and_pizza_are_those_of_least_squares),
        cmocka_unit_test(test_embeddings_on_circles_are_circular),
        cmocka_unit_test(test_renumbered_cyclic_groups_have_the_same_measures),
    };
    return cmocka_run_group_tests_name("circuits", tests, NULL, NULL);
}
