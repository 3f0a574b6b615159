// Cosets of subgroups and interventions, of random networks against their definitions, written out.
#define _POSIX_C_SOURCE 200809L
#include "base/random.h"
#include "measure/dimension.h"
#include "support_measured.h"

static const char *const GROUP = "task: group\ngroup: S3\nembed: 6\nhidden: 10\ntrain_fraction: 0.6\nsteps: 1\n";

static double variance(const double *x, int count) {
    double mean = 0, square = 0;
    for (int i = 0; i < count; i++)
        mean += x[i] / count;
    for (int i = 0; i < count; i++)
        square += (x[i] - mean) * (x[i] - mean) / (count - 1);
    return square;
}

// Sum over cosets of the subgroup of the variance of f within them, over that of all.
static double coset_ratio(const network *t, int subgroup, bool left_cosets, const double *f) {
    const ts_subgroups *s = t->f.data->subgroups;
    const int *table = t->f.data->table->result, order = s->order[subgroup];
    double sum = 0, values[6];
    for (int g = 0; g < t->n; g++) { // each coset comes once for each of its elements
        for (int i = 0; i < order; i++) {
            int h = s->element[s->first[subgroup] + (size_t)i];
            values[i] = f[left_cosets ? table[g * t->n + h] : table[h * t->n + g]];
        }
        sum += variance(values, order) / order;
    }
    return sum / variance(f, t->n);
}

TEST(test_coset_ratios_are_those_of_the_definition) {
    network t;
    open_network(&t, GROUP, 21);
    measure(&t);
    const ts_subgroups *s = t.f.data->subgroups;
    assert_int_equal(s->count, 6);
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < t.hidden; k++) {
            const char *name = side == 0 ? "coset_left_ratio" : "coset_right_ratio";
            double f[6], least = INFINITY, which = -1;
            for (int g = 0; g < 6; g++)
                f[g] = side == 0 ? pre_activation(&t, g, -1, k) : pre_activation(&t, -1, g, k);
            for (int i = 0; i < s->count; i++) {
                double own = s->order[i] == 1 ? NAN : coset_ratio(&t, i, side == 1, f);
                expect(name, i, found(&t, name)[i * t.hidden + k], own, 1e-9);
                if (i > 0 && i < s->count - 1 && own < least) {
                    least = own;
                    which = i;
                }
            }
            expect("minimum", k, found(&t, side == 0 ? "coset_left_minimum" : "coset_right_minimum")[k], least, 1e-9);
            expect("subgroup", k, found(&t, side == 0 ? "coset_left_subgroup" : "coset_right_subgroup")[k], which, 0);
        }
    close_network(&t);
}

// Of all pairs, with hidden activations made by `hidden`: mean cross-entropy and share that is right.
static void evaluate(network *t, double (*hidden)(network *, int, int, int), double *loss, double *accuracy) {
    const float *u = tensor(t, "W_U");
    *loss = *accuracy = 0;
    for (int a = 0; a < t->n; a++)
        for (int b = 0; b < t->n; b++) {
            double z[8] = {0}, total = 0;
            int label = t->f.data->table->result[a * t->n + b], largest = 0;
            for (int c = 0; c < t->n; c++) {
                for (int k = 0; k < t->hidden; k++)
                    z[c] += hidden(t, a, b, k) * u[k * t->n + c];
                total += exp(z[c]);
                largest = z[c] > z[largest] ? c : largest;
            }
            *loss += (log(total) - z[label]) / (t->n * t->n);
            *accuracy += (largest == label) / (double)(t->n * t->n);
        }
}

// E_y[a] + E_x[b]
static double swapped(network *t, int a, int b, int k) {
    return fmax(0, pre_activation(t, b, a, k));
}

static double left_flipped(network *t, int a, int b, int k) {
    return fmax(0, -pre_activation(t, a, -1, k) + pre_activation(t, -1, b, k));
}

static double right_flipped(network *t, int a, int b, int k) {
    return fmax(0, pre_activation(t, a, -1, k) - pre_activation(t, -1, b, k));
}

static double both_flipped(network *t, int a, int b, int k) {
    return fmax(0, -pre_activation(t, a, b, k));
}

static double absolute(network *t, int a, int b, int k) {
    return fabs(pre_activation(t, a, b, k));
}

// [W_y[a], W_x[b]] W
static double crossed(network *t, int a, int b, int k) {
    int embed = (int)ts_params_integer(&t->f.params, "embed");
    const float *x = tensor(t, "W_x"), *y = tensor(t, "W_y"), *w = tensor(t, "W");
    double sum = 0;
    for (int e = 0; e < embed; e++)
        sum +=
            (double)y[a * embed + e] * w[e * t->hidden + k] + (double)x[b * embed + e] * w[(embed + e) * t->hidden + k];
    return fmax(0, sum);
}

// With noise of mean -1 for each pair and neuron, as docs/workloads.md says.
static double pair_noise(network *t, int a, int b, int k) {
    double noise[6 * 10];
    ts_philox at = ts_philox_at((uint64_t)ts_params_integer(&t->f.params, "seed"), TS_STREAM_NOISE, 4 + 3, (uint32_t)a);
    ts_philox_normals(&at, noise, 6 * 10);
    return fmax(0, pre_activation(t, a, b, k) - 1 + noise[b * 10 + k]);
}

static bool is_kept(network *t, int k, double threshold) {
    return !(found(t, "coset_left_minimum")[k] > threshold) && !(found(t, "coset_right_minimum")[k] > threshold);
}

static double near_cosets(network *t, int a, int b, int k) { // up to the last threshold
    return is_kept(t, k, ts_coset_threshold[TS_COSET_THRESHOLDS - 1]) ? fmax(0, pre_activation(t, a, b, k)) : 0;
}

TEST(test_interventions_and_removed_neurons_are_what_they_are_called) {
    static double (*const HIDDEN[TS_INTERVENTIONS])(network *, int, int, int) = {
        swapped, left_flipped, right_flipped, both_flipped, absolute, [9] = crossed, [13] = pair_noise};
    network t;
    double loss, accuracy, kept = 0;
    open_network(&t, GROUP, 22);
    for (int64_t i = 0; i < t.f.parameters; i++)
        t.f.initial[i] *= 2;
    measure(&t);
    for (int i = 0; i < TS_INTERVENTIONS; i++) {
        if (!HIDDEN[i])
            continue;
        evaluate(&t, HIDDEN[i], &loss, &accuracy);
        expect("intervention_all_loss", i, found(&t, "intervention_all_loss")[i], loss, 1e-9);
        expect("intervention_all_accuracy", i, found(&t, "intervention_all_accuracy")[i], accuracy, 1e-12);
    }
    evaluate(&t, near_cosets, &loss, &accuracy);
    for (int k = 0; k < t.hidden; k++)
        kept += is_kept(&t, k, 1) / (double)t.hidden;
    expect("coset_all_accuracy", 3, found(&t, "coset_all_accuracy")[3], accuracy, 1e-12);
    expect("coset_neurons", 3, found(&t, "coset_neurons")[3], kept, 1e-12);
    assert_true(kept > 0 && kept < 1);
    close_network(&t);
}

// Little noise changes little, and noise of mean 1 and -1 differs; all of it is the same each time.
TEST(test_noise_is_of_the_seed) {
    static const char *const NAME = "intervention_all_loss";
    network t, other;
    open_network(&t, GROUP, 23);
    open_network(&other, "task: group\ngroup: S3\nembed: 6\nhidden: 10\ntrain_fraction: 0.6\nsteps: 1\nseed: 5\n", 23);
    measure(&t);
    double first[TS_INTERVENTIONS];
    memcpy(first, found(&t, NAME), sizeof first);
    measure(&t);
    measure(&other);
    assert_memory_equal(first, found(&t, NAME), sizeof first);
    for (int i = 0; i < TS_INTERVENTIONS; i++)
        assert_true((fabs(first[i] - found(&other, NAME)[i]) < 1e-14) == (i < 5 || i == 9)); // added up by splits
    assert_true(fabs(first[5] - *found(&t, "all_loss")) < 0.2 && first[7] != first[8]);
    assert_true(fabs(first[10] - *found(&t, "all_loss")) < 0.2 && first[12] != first[13]);
    close_network(&t);
    close_network(&other);
}

// One embedding for both sides is the same when it is swapped; tables that neurons read as they are, are what is
// swapped; tables that are renumbered have the same losses.
TEST(test_swapped_embeddings_go_through_what_reads_them) {
    static const struct {
        const char *text, *same;
        int i;
    } CASES[] = {
        {"embedding: shared\nembed: 6\n", "all_loss", 0},
        {"embedding: one_hot\n", "all_loss", 0},
        {"embedding: one_hot_separate\n", "intervention_all_loss", 0},
        {"embedding: one_hot_separate\nactivation: square\nbias: hidden\n", "intervention_all_loss", 0},
    };
    network t;
    char text[256];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        snprintf(text, sizeof text, "task: group\ngroup: S3\nhidden: 10\ntrain_fraction: 0.6\nsteps: 1\n%s",
                 CASES[i].text);
        open_network(&t, text, 24);
        measure(&t);
        expect(CASES[i].same, (int)i, found(&t, "intervention_all_loss")[9], *found(&t, CASES[i].same), 1e-12);
        close_network(&t);
    }
    open_network(&t, "task: expression\nexpression: a*b\np: 7\nnonzero: true\nmodel: mlp\nembed: 6\nhidden: 10\n", 25);
    measure(&t);
    double loss, accuracy;
    evaluate(&t, crossed, &loss, &accuracy);
    expect("renumbered", 9, found(&t, "intervention_all_loss")[9], loss, 1e-9);
    close_network(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coset_ratios_are_those_of_the_definition),
        cmocka_unit_test(test_interventions_and_removed_neurons_are_what_they_are_called),
        cmocka_unit_test(test_noise_is_of_the_seed),
        cmocka_unit_test(test_swapped_embeddings_go_through_what_reads_them),
    };
    return cmocka_run_group_tests_name("cosets", tests, NULL, NULL);
}
