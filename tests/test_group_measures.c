// Measures in the functions of a group: the fit against ordinary least squares, what follows from curves,
// neurons against a planted network, charts against relabelled tokens, weighted projectors, losses of
// corrected logits.
#include "measure/curves.h"
#include "measure/losses.h"
#include "measure/measure.h"
#include "model/network.h"
#include "network/loss.h"
#include "support.h"

#include <math.h>
#include <stdio.h>

// LAPACK: least squares; column-major.
extern void dgels_(const char *trans, const int *rows, const int *columns, const int *sides, double *a, const int *lda,
                   double *b, const int *ldb, double *work, const int *work_size, int *info, size_t);

// --- An mlp with weights of our own ---

typedef struct network {
    support_instance f;
    int n, embed, hidden;
    float *x, *y, *w, *u; // f.initial's tensors
    double *measures;
} network;

static void open_network(network *t, const char *text) {
    support_open(&t->f, text);
    t->n = t->f.data->table->n;
    t->embed = (int)ts_params_integer(&t->f.params, "embed");
    t->hidden = (int)ts_params_integer(&t->f.params, "hidden");
    t->x = t->f.initial;
    t->y = t->x + t->n * t->embed;
    t->w = t->y + t->n * t->embed;
    t->u = t->w + 2 * t->embed * t->hidden;
    assert_int_equal(t->u + t->hidden * t->n - t->x, t->f.parameters);
    t->measures = ts_alloc((size_t)ts_measures_total(&t->f.params, t->f.data) * sizeof(double), "measures");
}

static void close_network(network *t) {
    ts_free(t->measures);
    support_close(&t->f);
}

static void randomise(network *t, uint64_t seed, double scale) {
    for (int64_t i = 0; i < t->f.parameters; i++)
        t->x[i] = (float)(scale * support_random(&seed));
}

static void measure(network *t) {
    assert_int_equal(ts_measure_weights(&t->f.params, t->f.data, t->x, 0, TS_MEASURE_LAST, NULL, t->measures), TS_OK);
}

static ts_measures find(const network *t, const char *name) {
    ts_measures m = ts_measures_of(&t->f.params, t->f.data);
    if (!ts_measures_find(&m, name))
        fail_msg("no measure %s", name);
    return m;
}

// A measure's numbers among `measures`.
static double *of(const network *t, const char *name, double *measures) {
    return measures + find(t, name).offset;
}

static double *found(const network *t, const char *name) {
    return of(t, name, t->measures);
}

// Logits of a pair (n), from the weights.
static void pair_logits(const network *t, int a, int b, double *z) {
    memset(z, 0, (size_t)t->n * sizeof *z);
    for (int k = 0; k < t->hidden; k++) {
        double h = 0;
        for (int e = 0; e < t->embed; e++)
            h += (double)t->x[a * t->embed + e] * t->w[e * t->hidden + k] +
                 (double)t->y[b * t->embed + e] * t->w[(t->embed + e) * t->hidden + k];
        for (int c = 0; c < t->n && h > 0; c++)
            z[c] += h * t->u[k * t->n + c];
    }
}

// chi_r(a b c^-1)
static double cube(const network *t, int r, int a, int b, int c) {
    const ts_symmetry *s = t->f.data->symmetry;
    const int *table = s->group->result;
    return s->irreps->irrep[r].character[table[table[a * t->n + b] * t->n + s->inverse[c]]];
}

// Both unknown, or as near as that.
static bool same(double found, double expected, double relative, double absolute) {
    return isnan(expected) ? isnan(found) : fabs(found - expected) <= relative * fabs(expected) + absolute;
}

static const char *const GROUPS[] = {"S3", "D4", "C5"};

static void open_group(network *t, const char *group, const char *more) {
    char text[200];
    snprintf(text, sizeof text, "task: group\ngroup: %s\nembed: 6\nhidden: 12\ntrain_fraction: 0.6\n%s", group, more);
    open_network(t, text);
}

// --- The fit ---

// Least squares of all n^3 logits on a constant and the chi cubes of `count` irreps: coefficients (count + 1),
// the constant's first. Returns the share of the variance that it explains.
static double least_squares(const network *t, const int *irrep, int count, double *coefficients) {
    int n = t->n, rows = n * n * n, columns = count + 1, one = 1, info, work_size = 64 * rows;
    double *a = ts_alloc(sizeof(double) * (size_t)(rows * columns), "a"),
           *b = ts_alloc(sizeof(double) * (size_t)rows, "b"),
           *work = ts_alloc(sizeof(double) * (size_t)work_size, "work"), mean = 0, total = 0, left = 0;
    for (int p = 0; p < n * n; p++) {
        pair_logits(t, p / n, p % n, b + p * n);
        for (int c = 0; c < n; c++) {
            a[p * n + c] = 1;
            for (int i = 0; i < count; i++)
                a[(i + 1) * rows + p * n + c] = cube(t, irrep[i], p / n, p % n, c);
            mean += b[p * n + c] / rows;
        }
    }
    for (int i = 0; i < rows; i++)
        total += (b[i] - mean) * (b[i] - mean);
    dgels_("N", &rows, &columns, &one, a, &rows, b, &rows, work, &work_size, &info, 1);
    assert_int_equal(info, 0);
    memcpy(coefficients, b, (size_t)columns * sizeof *b);
    for (int i = columns; i < rows; i++) // what dgels leaves there: the rest, rotated
        left += b[i] * b[i];
    ts_free(a);
    ts_free(b);
    ts_free(work);
    return 1 - left / total;
}

TEST(test_the_fit_is_ordinary_least_squares) {
    int keys = 0, others = 0;
    for (int g = 0; g < 3; g++) {
        network t;
        open_group(&t, GROUPS[g], "");
        int count = t.f.data->symmetry->irreps->count;
        for (uint64_t seed = 1; seed <= 5; seed++) {
            int key[8], all[8], n_keys = 0;
            double fitted[9];
            randomise(&t, seed, 2);
            measure(&t);
            const double *coefficient = found(&t, "fit_coefficient"), *similarity = found(&t, "logit_similarity");
            for (int r = 1; r < count; r++) {
                all[r - 1] = r;
                if (similarity[r] > 0.005)
                    key[n_keys++] = r;
            }
            double explained = least_squares(&t, key, n_keys, fitted);
            assert_close(*found(&t, "fit_constant"), fitted[0], 1e-9, 1e-12);
            assert_close(*found(&t, "fit_explained"), explained, 1e-9, 1e-12);
            for (int i = 0; i < n_keys; i++)
                assert_close(coefficient[key[i]], fitted[i + 1], 1e-9, 1e-12);
            least_squares(&t, all, count - 1, fitted);
            for (int r = 1; r < count; r++)
                assert_close(coefficient[r], fitted[r], 1e-9, 1e-12);
            keys += n_keys;
            others += count - 1 - n_keys;
        }
        close_network(&t);
    }
    assert_true(keys > 0 && others > 0);
}

// --- Similarities, and the length of the fit, straight from their definitions ---

// chi_r(x_a x_b c^-1), with the elements for which a and b stand in a chart.
static double cube_through(const network *t, int chart, int r, int a, int b, int c) {
    const ts_chart *through = &t->f.data->symmetry->chart[chart];
    return cube(t, r, through->x_a[a], through->x_b[b], c);
}

// Cosine between an irrep's cube and the logits less `mean`, and (mean NAN) less their own mean over c.
static double cosine(const network *t, int chart, int r, double mean) {
    double dot = 0, cubes = 0, logits = 0, z[16];
    for (int p = 0; p < t->n * t->n; p++) {
        double centre = 0;
        pair_logits(t, p / t->n, p % t->n, z);
        for (int c = 0; c < t->n; c++)
            centre += z[c] / t->n;
        for (int c = 0; c < t->n; c++) {
            double x = z[c] - (isnan(mean) ? centre : mean), y = cube_through(t, chart, r, p / t->n, p % t->n, c);
            dot += x * y;
            logits += x * x;
            cubes += y * y;
        }
    }
    return dot / sqrt(cubes * logits);
}

// Length of constant + sum of coefficient * cube over the key irreps, over that of the logits.
static double norm_ratio(const network *t, int chart, double constant, const double *coefficient,
                         const double *similarity) {
    double fit = 0, logits = 0, z[16];
    for (int p = 0; p < t->n * t->n; p++) {
        pair_logits(t, p / t->n, p % t->n, z);
        for (int c = 0; c < t->n; c++) {
            double value = constant;
            for (int r = 1; r < t->f.data->symmetry->irreps->count; r++)
                if (similarity[r] > 0.005)
                    value += coefficient[r] * cube_through(t, chart, r, p / t->n, p % t->n, c);
            fit += value * value;
            logits += z[c] * z[c];
        }
    }
    return sqrt(fit / logits);
}

static double mean_logit(const network *t) {
    double sum = 0, z[16];
    for (int p = 0; p < t->n * t->n; p++) {
        pair_logits(t, p / t->n, p % t->n, z);
        for (int c = 0; c < t->n; c++)
            sum += z[c];
    }
    return sum / (t->n * t->n * t->n);
}

static const double *found_through(const network *t, int chart, const char *name) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", chart ? "value_" : "", name);
    return found(t, whole);
}

static void check_similarities(const network *t, int chart) {
    const double *centred = found_through(t, chart, "logit_similarity");
    const double *raw = found_through(t, chart, "logit_similarity_raw");
    const double *less_mean = found_through(t, chart, "logit_similarity_less_mean");
    double mean = mean_logit(t), apart[2] = {0};
    for (int r = 0; r < t->f.data->symmetry->irreps->count; r++) {
        assert_close(centred[r], cosine(t, chart, r, NAN), 1e-12, 1e-12);
        assert_close(raw[r], cosine(t, chart, r, 0), 1e-12, 1e-12);
        assert_close(less_mean[r], cosine(t, chart, r, mean), 1e-12, 1e-12);
        apart[0] += fabs(raw[r] - less_mean[r]);
        apart[1] += fabs(centred[r] - less_mean[r]);
    }
    assert_true(apart[0] > 1e-6 && apart[1] > 1e-6); // they are three
    double constant = *found_through(t, chart, "fit_constant");
    assert_close(constant, mean, 1e-12, 1e-12);
    assert_close(*found_through(t, chart, "fit_norm_ratio"),
                 norm_ratio(t, chart, constant, found_through(t, chart, "fit_coefficient"), centred), 1e-12, 0);
}

// In charts that are a bijection and in one that is not.
TEST(test_similarities_and_the_length_of_the_fit_follow_their_definitions) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        network t;
        for (int g = 0; g < 3; g++) {
            open_group(&t, GROUPS[g], "");
            randomise(&t, seed, 2);
            measure(&t);
            check_similarities(&t, 0);
            close_network(&t);
        }
        open_network(&t, "task: power\nmodel: mlp\np: 11\nm: 2\nn: 3\nembed: 5\nhidden: 9\ntrain_fraction: 1\n");
        randomise(&t, seed, 2);
        measure(&t);
        check_similarities(&t, 0);
        check_similarities(&t, 1);
        close_network(&t);
    }
}

// --- What follows from curves ---

// The measures of one checkpoint, with these similarities.
static void made_up(const network *t, const double *similarity, double accuracy, double *out) {
    for (int64_t i = 0; i < ts_measures_total(&t->f.params, t->f.data); i++)
        out[i] = NAN;
    memcpy(of(t, "logit_similarity", out), similarity, (size_t)t->f.data->symmetry->irreps->count * sizeof *out);
    *of(t, "test_accuracy", out) = accuracy;
    *of(t, "weight_norm2", out) = 1; // the weights are finite
}

enum { IRREPS = 8 }; // of D9, D10: trivial, signs, frequencies

static void read_values(const ts_curves *curves, int64_t offset, int64_t length, int64_t checkpoint, double *out) {
    const double *values = curves->context;
    memcpy(out, values + checkpoint * ts_measures_total(curves->params, curves->data) + offset,
           (size_t)length * sizeof *out);
}

// A network of D10 whose measures at each checkpoint are made up, concluded from these. Close with close_network.
static void open_curve(network *t, int count, const int64_t *step, const double (*similarity)[IRREPS],
                       const double *accuracy) {
    open_group(t, "D10", "");
    int64_t total = ts_measures_total(&t->f.params, t->f.data);
    double *values = ts_alloc((size_t)(count + 1) * (size_t)total * sizeof *values, "measures"); // and room
    assert_int_equal(t->f.data->symmetry->irreps->count, IRREPS);
    for (int k = 0; k < count; k++)
        made_up(t, similarity[k], accuracy[k], values + k * total);
    made_up(t, similarity[count - 1], accuracy[count - 1], t->measures);
    ts_measures_conclude(&(ts_curves){.params = &t->f.params,
                                      .data = t->f.data,
                                      .count = count,
                                      .step = step,
                                      .read = read_values,
                                      .context = values,
                                      .last = t->measures,
                                      .scratch = values + count * total});
    ts_free(values);
}

TEST(test_key_irreps_are_ordered_by_when_they_were_learned) {
    enum { CHECKPOINTS = 4 };
    static const int64_t STEP[CHECKPOINTS] = {0, 10, 25, 60};
    //                                          trivial: never key; the others in turn, see EXPECTED
    static const double CURVE[CHECKPOINTS][IRREPS] = {
        {0.90, 0.06, 0.00, 0.01, 0.00, 0.00, 0.05, 0.00},
        {0.90, 0.01, 0.02, 0.06, 0.00, 0.07, 0.05, 0.00},
        {0.90, 0.00, 0.20, 0.30, 0.00, 0.03, 0.05, 0.051},
        {0.90, 0.004, 0.3, 0.40, 0.03, 0.02, 0.05, -0.3},
    };
    static const double KEY[IRREPS] = {0, 0, 1, 1, 1, 1, 1, 0}, FIRST[IRREPS] = {0, 0, 25, 10, NAN, 10, NAN, 25},
                        ORDER[IRREPS] = {NAN, NAN, 3, 1, NAN, 2, NAN, NAN};
    static const double ACCURACY[CHECKPOINTS] = {0.2, 0.98, 0.99, 0.5};
    network t;
    open_curve(&t, CHECKPOINTS, STEP, CURVE, ACCURACY);
    const double *key = found(&t, "key_irrep"), *first = found(&t, "irrep_step"), *order = found(&t, "irrep_order");
    for (int r = 0; r < IRREPS; r++) {
        if (key[r] != KEY[r] || !same(first[r], FIRST[r], 0, 0) || !same(order[r], ORDER[r], 0, 0))
            fail_msg("irrep %d: key %g, step %g, order %g; expected %g, %g, %g", r, key[r], first[r], order[r], KEY[r],
                     FIRST[r], ORDER[r]);
    }
    assert_true(*found(&t, "grokked_step") == 25);
    close_network(&t);
}

TEST(test_without_a_passed_threshold_nothing_has_an_order) {
    network t;
    open_curve(&t, 1, (const int64_t[]){0}, (const double[1][IRREPS]){{0}}, (const double[]){0.5});
    assert_true(isnan(*found(&t, "grokked_step")));
    for (int r = 0; r < IRREPS; r++) {
        assert_true(found(&t, "key_irrep")[r] == 0);
        assert_true(isnan(found(&t, "irrep_step")[r]) && isnan(found(&t, "irrep_order")[r]));
    }
    close_network(&t);
}

enum { PHASES = 5 }; // checkpoints at steps 0, 10, ...

static double accuracy_of(char word) {
    return word == '.' ? 0.3 : word == 'n' ? 0.98 : 0.99; // far from, nearly, just
}

// Boundaries of the phases that follow from made-up curves: memorised, circuit formation, clean-up, grokked.
static void conclude_phases(network *t, const char *train, const char *test, const double *loss, double *out) {
    static const char *const NAMES[] = {"memorised_step", "circuit_formation_step", "cleanup_step", "grokked_step"};
    static const int64_t STEP[PHASES] = {0, 10, 20, 30, 40};
    int64_t total = ts_measures_total(&t->f.params, t->f.data);
    double *values = ts_alloc((PHASES + 1) * (size_t)total * sizeof *values, "measures"), similarity[IRREPS] = {0};
    for (int k = 0; k < PHASES; k++) {
        double *at = k < PHASES - 1 ? values + k * total : t->measures;
        made_up(t, similarity, accuracy_of(test[k]), at);
        *of(t, "train_accuracy", at) = accuracy_of(train[k]);
        *of(t, "test_loss", at) = loss[k];
    }
    memcpy(values + (PHASES - 1) * total, t->measures, (size_t)total * sizeof *values);
    ts_measures_conclude(&(ts_curves){.params = &t->f.params,
                                      .data = t->f.data,
                                      .count = PHASES,
                                      .step = STEP,
                                      .read = read_values,
                                      .context = values,
                                      .last = t->measures,
                                      .scratch = values + PHASES * total});
    for (int i = 0; i < 4; i++)
        out[i] = *found(t, NAMES[i]);
    ts_free(values);
}

TEST(test_phases_end_where_they_are_said_to) {
    static const struct {
        const char *train, *test; // accuracies: far from known, nearly, known
        double loss[PHASES];
        double expected[4];
    } CASES[] = {
        {".kkkk", "...nk", {5, 20, 12, 10, 1}, {10, 10, 30, 40}},
        {".kkkk", ".....", {5, 20, 12, 11, 10.5}, {10, NAN, NAN, NAN}}, // never comes down
        {".kkkk", ".....", {5, 20, 9, 11, 10}, {10, 10, 40, NAN}},      // and not for good at first
        {".....", ".....", {5, 5, 1, 1, 1}, {NAN, NAN, NAN, NAN}},      // down, but nothing was memorised
        {"..nkk", ".kkkk", {5, 5, 1, 1, 1}, {30, 30, 30, 10}},          // no sooner than memorised
        {"kkkkk", "kkkkk", {1, 1, 1, 1, 1}, {0, NAN, NAN, 0}},
        {".kkkk", ".....", {NAN, NAN, NAN, NAN, NAN}, {10, NAN, NAN, NAN}}, // no test pairs
    };
    network t;
    open_group(&t, "D10", "");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        double steps[4];
        conclude_phases(&t, CASES[i].train, CASES[i].test, CASES[i].loss, steps);
        for (int k = 0; k < 4; k++)
            if (!same(steps[k], CASES[i].expected[k], 0, 0))
                fail_msg("case %d, boundary %d: %g, expected %g", (int)i, k, steps[k], CASES[i].expected[k]);
    }
    close_network(&t);
}

// Steps of phases go by the thresholds of the sweep, and what they are called by `delay`.
TEST(test_what_was_memorised_first_has_grokked) {
    static const struct {
        const char *keys, *train, *test;
        double delay, phase; // 0 comprehension, 1 grokking, 2 memorisation, 3 confusion
    } CASES[] = {
        {"", ".kkkk", "...kk", 20, 0},
        {"delay: 20\n", ".kkkk", "...kk", 20, 1},
        {"delay: 21\n", ".kkkk", "...kk", 20, 0},
        {"", ".kkkk", "..nnn", NAN, 2},
        {"thresholds: {grokked: 0.98}\ndelay: 10\n", ".kkkk", "..nnn", 10, 1},
        {"thresholds: {memorised: 1}\n", ".kkkk", "...kk", NAN, 0},
        {"thresholds: {memorised: 1, grokked: 1}\n", ".kkkk", "...kk", NAN, 3},
        {"", ".....", ".....", NAN, 3},
        {"delay: 1\n", "..kkk", "kkkkk", -20, 0},
    };
    static const double LOSS[PHASES] = {5, 5, 5, 5, 5};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        network t;
        double steps[4];
        open_group(&t, "D10", CASES[i].keys);
        conclude_phases(&t, CASES[i].train, CASES[i].test, LOSS, steps);
        double delay = *found(&t, "grokking_delay"), phase = *found(&t, "phase");
        if (!same(delay, CASES[i].delay, 0, 0) || phase != CASES[i].phase)
            fail_msg("case %d: delay %g, phase %g; expected %g, %g", (int)i, delay, phase, CASES[i].delay,
                     CASES[i].phase);
        close_network(&t);
    }
}

// --- Neurons ---

// With the tokens themselves as embeddings the left and right parts of each neuron are the rows of W.
TEST(test_neurons_go_to_the_irrep_planted_in_them) {
    network t;
    open_network(&t, "task: group\ngroup: S3\nembed: 6\nhidden: 8\ntrain_fraction: 1\n");
    const ts_irreps *irreps = t.f.data->symmetry->irreps;
    const double *sign = irreps->irrep[1].character;
    double standard[36];
    assert_int_equal(irreps->count, 3);
    assert_int_equal(irreps->irrep[2].dimension, 2);
    support_projector(t.f.data->symmetry, 2, NULL, standard);
    randomise(&t, 7, 1); // U may be anything
    memset(t.x, 0, (size_t)(t.w - t.x) * sizeof *t.x);
    for (int a = 0; a < 6; a++)
        t.x[a * 6 + a] = t.y[a * 6 + a] = 1;
    memset(t.w, 0, 12 * 8 * sizeof *t.w);
    double near[2] = {sqrt(0.99 / 6), sqrt(1.01 / 6)};
    for (int a = 0; a < 6; a++) {
        float *left = t.w + a * 8, *right = t.w + (6 + a) * 8;
        left[0] = (float)(2 * sign[a]);
        left[1] = (float)(3 * standard[a * 6]);
        right[1] = (float)(3 * standard[a * 6 + 1]);
        left[2] = (float)(2 * sign[a]), right[2] = 1;                              // 24 of sign, 6 of trivial
        left[3] = (float)(2 * standard[a * 6]), right[3] = (float)(0.8 * sign[a]); // 8/3 of it, 3.84 of sign
        left[4] = (float)(near[0] * sign[a]);
        left[5] = (float)(near[1] * sign[a]);
        right[6] = 5;
    }
    measure(&t);
    static const double IRREP[8] = {1, 2, 1, 1, -1, 1, 0, -1};
    const double fraction[8] = {1, 1, 0.8, 3.84 / (3.84 + 8.0 / 3), NAN, 1, 1, NAN};
    for (int k = 0; k < 8; k++) {
        double irrep = found(&t, "neuron_irrep")[k], share = found(&t, "neuron_irrep_fraction")[k];
        if (irrep != IRREP[k] || !same(share, fraction[k], 0, 1e-6))
            fail_msg("neuron %d: irrep %g, share %.9g; expected %g, %.9g", k, irrep, share, IRREP[k], fraction[k]);
    }
    close_network(&t);
}

// --- Charts ---

// In C11 the tokens a^3 and b^7 stand for what a and b do in (a^3 + b^7) mod 11: all is the same but the order
// in which it is summed.
TEST(test_powers_that_are_bijections_are_relabelled_sums) {
    network powers, sums;
    open_network(&powers, "task: power\nmodel: mlp\np: 11\nm: 3\nn: 7\nembed: 5\nhidden: 9\ntrain_fraction: 1\n");
    open_network(&sums, "task: group\ngroup: C11\nembed: 5\nhidden: 9\ntrain_fraction: 1\n");
    randomise(&powers, 3, 2);
    memcpy(sums.x, powers.x, (size_t)sums.f.parameters * sizeof *sums.x);
    for (int a = 0; a < 11; a++) {
        int third = a * a * a % 11, seventh = third * third * a % 11;
        memcpy(sums.x + third * 5, powers.x + a * 5, 5 * sizeof *sums.x);
        memcpy(sums.y + seventh * 5, powers.y + a * 5, 5 * sizeof *sums.y);
    }
    measure(&powers);
    measure(&sums);
    int compared = 0, differ = 0;
    ts_measures m = ts_measures_of(&powers.f.params, powers.f.data);
    while (ts_measures_next(&m)) {
        if (strncmp(m.measure->name, "value_", 6) != 0)
            continue;
        const char *name = m.measure->name + 6;
        assert_int_equal(m.length, find(&sums, name).length);
        const double *value = powers.measures + m.offset, *plain = found(&sums, name), *input = found(&powers, name);
        for (int64_t k = 0; k < m.length; k++, compared++) {
            if (!same(value[k], plain[k], 1e-9, 1e-12))
                fail_msg("%s[%lld]: %.17g, plain %.17g", m.measure->name, (long long)k, value[k], plain[k]);
            differ += fabs(input[k] - plain[k]) > 1e-3 * fabs(plain[k]);
        }
    }
    assert_true(compared > 15 * 6);
    assert_true(differ > 30); // the chart of the inputs sees something else
    close_network(&powers);
    close_network(&sums);
}

// Shares of H0: where the functions of an irrep are not orthogonal to 1, the mean must not count as theirs.
TEST(test_shares_of_the_hidden_layer_are_below_1_where_tokens_share_values) {
    network squares;
    open_network(&squares, "task: power\nmodel: mlp\np: 11\nm: 2\nn: 1\nembed: 5\nhidden: 9\ntrain_fraction: 1\n");
    randomise(&squares, 5, 2);
    measure(&squares);
    const double *of_a = found(&squares, "value_hidden_left_fraction");
    for (int r = 0; r < squares.f.data->symmetry->irreps->count; r++) {
        print_message("%s: %.3g\n", squares.f.data->symmetry->irreps->irrep[r].name, of_a[r]);
        assert_true(of_a[r] >= -1e-12 && of_a[r] <= 1);
    }
    assert_close(of_a[0], 0, 0, 1e-12); // no more than the mean
    close_network(&squares);
}

// --- Projectors ---

typedef struct projection {
    int n;
    double weight[16], plain[256], p[256];
} projection;

// Of what is random in the whole irrep: idempotent, self-adjoint where elements count by weight, and the identity on
// the irrep's functions as far as they live on elements with a weight.
static void check_projector(const projection *q, const char *what) {
    int n = q->n;
    for (int g = 0; g < n; g++)
        for (int h = 0; h < n; h++) {
            double square = 0, kept = 0;
            for (int k = 0; k < n; k++) {
                square += q->p[g * n + k] * q->p[k * n + h];
                kept += q->p[g * n + k] * (q->weight[k] > 0 ? q->plain[k * n + h] : 0);
            }
            double left = q->weight[g] * q->p[g * n + h], right = q->weight[h] * q->p[h * n + g];
            double original = q->weight[g] > 0 ? q->plain[g * n + h] : 0;
            if (fabs(square - q->p[g * n + h]) > 1e-8 || fabs(left - right) > 1e-8 || fabs(kept - original) > 1e-8)
                fail_msg("%s, entry %d, %d: P %.12g, P^2 %.12g; weighted %.12g and %.12g; P f %.12g, f %.12g", what, g,
                         h, q->p[g * n + h], square, left, right, kept, original);
        }
}

static double trace(const double *p, int n) {
    double sum = 0;
    for (int g = 0; g < n; g++)
        sum += p[g * n + g];
    return sum;
}

TEST(test_projectors_are_orthogonal_where_elements_have_weights) {
    for (int g = 0; g < 3; g++) {
        network t;
        uint64_t seed = 11;
        open_group(&t, GROUPS[g], "");
        const ts_symmetry *symmetry = t.f.data->symmetry;
        projection q = {.n = t.n};
        for (int r = 0; r < symmetry->irreps->count; r++) {
            const ts_irrep *irrep = &symmetry->irreps->irrep[r];
            double rank = irrep->dimension * irrep->dimension * (irrep->pair ? 2 : 1);
            support_projector(symmetry, r, NULL, q.plain);
            assert_close(trace(q.plain, q.n), rank, 0, 1e-9);
            for (int h = 0; h < q.n; h++)
                q.weight[h] = 3.7;
            support_projector(symmetry, r, q.weight, q.p);
            for (int i = 0; i < q.n * q.n; i++)
                assert_close(q.p[i], q.plain[i], 0, 1e-12);
            q.weight[1] *= 1 + 1e-9; // now by the other way
            support_projector(symmetry, r, q.weight, q.p);
            for (int i = 0; i < q.n * q.n; i++)
                assert_close(q.p[i], q.plain[i], 0, 1e-8);
            for (int h = 0; h < q.n; h++)
                q.weight[h] = 5.5 + 10 * support_random(&seed);
            support_projector(symmetry, r, q.weight, q.p);
            check_projector(&q, irrep->name);
            assert_close(trace(q.p, q.n), rank, 0, 1e-8);
            q.weight[0] = q.weight[3] = 0;
            support_projector(symmetry, r, q.weight, q.p);
            check_projector(&q, irrep->name);
            double left = trace(q.p, q.n);
            assert_close(left, round(left), 0, 1e-8);
            assert_true(left <= rank + 1e-8 && left <= q.n - 2 + 1e-8);
        }
        close_network(&t);
    }
}

// --- Losses ---

TEST(test_losses_of_corrected_logits_are_those_of_the_differences) {
    enum { COUNT = 13, CORRECTIONS = 3, STRIDE = 16 };
    static const double SCALES[] = {0.1, 10, 100, 600, 1e5};
    int underflowed = 0, taken = 0;
    uint64_t seed = 5;
    assert_int_equal(ts_loss_stride(COUNT), STRIDE);
    for (int trial = 0; trial < 500; trial++) {
        double z[COUNT], x[CORRECTIONS][COUNT], e[STRIDE], before[STRIDE], of_x[CORRECTIONS][STRIDE],
            losses[CORRECTIONS], difference[COUNT], scale = SCALES[trial % 5];
        const double *corrections[CORRECTIONS] = {of_x[0], of_x[1], of_x[2]};
        int label = trial % COUNT;
        for (int c = 0; c < COUNT; c++)
            z[c] = scale * support_random(&seed);
        for (int i = 0; i < CORRECTIONS; i++) {
            for (int c = 0; c < COUNT; c++)
                x[i][c] = i == 0 ? z[c] * (1 - 1e-3) : scale * support_random(&seed); // 0: nearly all of it
            ts_exponentials(x[i], -1, COUNT, of_x[i]);
        }
        ts_exponentials(z, 1, COUNT, e);
        memcpy(before, e, sizeof e);
        ts_cross_entropies(e, corrections, CORRECTIONS, STRIDE, label, losses);
        assert_memory_equal(e, before, sizeof e);
        for (int i = 0; i < CORRECTIONS; i++) {
            for (int c = 0; c < COUNT; c++)
                difference[c] = z[c] - x[i][c];
            double expected = ts_pair_loss(difference, COUNT, label);
            underflowed += isnan(losses[i]);
            taken += !isnan(losses[i]);
            if (isnan(losses[i]))
                assert_true(scale >= 100); // only where there is need
            else
                assert_close(losses[i], expected, 1e-11 + 1e-15 * scale, 1e-290);
        }
    }
    assert_true(underflowed > 50 && taken > 900);
}

TEST(test_exponentials_and_the_largest_have_no_edges) {
    enum { MOST = 35, ROOM = 40 };
    uint64_t seed = 11;
    for (int count = 1; count <= MOST; count++)
        for (int sign = -1; sign <= 1; sign += 2) {
            double x[MOST], e[ROOM], largest = -INFINITY;
            for (int c = 0; c < count; c++) {
                x[c] = 900 * support_random(&seed); // some are 0 beside the largest
                largest = fmax(largest, sign * x[c]);
            }
            assert_true(ts_largest(x, sign, count) == largest);
            ts_exponentials(x, sign, count, e);
            for (int c = 0; c < (int)ts_loss_stride(count); c++)
                assert_close(e[c], c < count ? exp(sign * x[c] - largest) : 0, 1e-15, 1e-300);
            for (int label = 0; label < count; label++) {
                double other = -INFINITY, kept = x[label];
                for (int c = 0; c < count; c++)
                    other = c == label ? other : fmax(other, x[c]);
                assert_true(ts_largest_other(x, count, label) == other);
                x[label] = NAN; // is passed over
                assert_true(ts_largest(x, 1, count) == other);
                assert_true(ts_largest_other(x, count, (label + 1) % count) <= other);
                x[label] = kept;
            }
        }
}

// Of each way to a loss, none is 0, or any number, where a logit is not finite.
TEST(test_logits_that_are_not_finite_have_no_loss) {
    enum { COUNT = 11, STRIDE = 16, LABEL = 4 };
    static const double BAD[] = {NAN, INFINITY, -INFINITY};
    for (int at = 0; at < COUNT; at++)
        for (int i = 0; i < 3; i++) {
            double z[COUNT], zeros[COUNT] = {0}, e[STRIDE], ones[STRIDE], corrected;
            const double *corrections[] = {ones};
            bool right, counts = at == LABEL || i != 2;
            for (int c = 0; c < COUNT; c++)
                z[c] = 0.1 * c;
            z[at] = BAD[i];
            ts_exponentials(z, 1, COUNT, e);
            ts_exponentials(zeros, -1, COUNT, ones);
            double loss = ts_cross_entropy(e, z, COUNT, LABEL, &right), alone = ts_pair_loss(z, COUNT, LABEL);
            ts_cross_entropies(e, corrections, 1, STRIDE, LABEL, &corrected);
            if (isnan(alone) != counts || isnan(loss) != counts || isnan(corrected) != counts)
                fail_msg("with %g at %d: %g, %g, %g", BAD[i], at, alone, loss, corrected);
            if (!counts)
                assert_close(loss, alone, 1e-12, 0);
        }
}

// Mean over training pairs of the loss of logits without their component along a chi cube, straight from its
// definition; at the larger scales through the underflow.
TEST(test_excluded_losses_follow_their_definition_at_any_scale) {
    static const double SCALES[] = {1, 8, 60};
    network t;
    open_group(&t, "S3", "");
    const int *result = t.f.data->table->result;
    int pairs[36];
    int64_t train;
    ts_table_split(t.f.data->table, TS_SHUFFLE_TORCH, 0, 0.6, pairs, &train);
    for (int s = 0; s < 3; s++) {
        randomise(&t, 9, SCALES[s]);
        measure(&t);
        const double *coefficient = found(&t, "fit_coefficient"), *excluded = found(&t, "logit_excluded_loss");
        for (int r = 0; r < 3; r++) {
            double sum = 0, z[6];
            for (int64_t i = 0; i < train; i++) {
                int a = pairs[i] / 6, b = pairs[i] % 6;
                pair_logits(&t, a, b, z);
                for (int c = 0; c < 6; c++)
                    z[c] -= coefficient[r] * cube(&t, r, a, b, c);
                sum += ts_pair_loss(z, 6, result[a * 6 + b]);
            }
            assert_true(isfinite(excluded[r]));
            assert_close(excluded[r], sum / (double)train, 1e-10, 1e-12);
        }
    }
    close_network(&t);
}

// Mean loss of logits less `less` (n, of label c) over the pairs that are trained on, or (of all) over all.
static double mean_loss(const network *t, ts_loss loss, const int *pairs, int64_t count, const double *less,
                        double factor) {
    double sum = 0, z[8];
    for (int64_t i = 0; i < count; i++) {
        int pair = pairs ? pairs[i] : (int)i;
        pair_logits(t, pair / t->n, pair % t->n, z);
        for (int c = 0; c < t->n; c++)
            z[c] = factor * z[c] - less[c];
        sum += ts_loss_of(loss, t->n, z, t->f.data->table->result[pair]);
    }
    return sum / (double)count;
}

// Of the trivial irrep the hidden layer has its mean, so that all that it gives are the mean logits.
static void compare_losses(ts_loss loss, const char *group) {
    char text[32];
    network t;
    int pairs[64];
    int64_t train;
    double none[8] = {0}, mean[8] = {0}, minus[8], z[8];
    snprintf(text, sizeof text, "loss: %s\n", ts_network_losses[loss]);
    open_group(&t, group, text);
    ts_table_split(t.f.data->table, TS_SHUFFLE_TORCH, 0, ts_params_real(&t.f.params, "train_fraction"), pairs, &train);
    randomise(&t, 5, 1);
    measure(&t);
    for (int pair = 0; pair < t.n * t.n; pair++) {
        pair_logits(&t, pair / t.n, pair % t.n, z);
        for (int c = 0; c < t.n; c++)
            mean[c] += z[c] / (t.n * t.n);
    }
    for (int c = 0; c < t.n; c++)
        minus[c] = -mean[c];
    int64_t all = (int64_t)t.n * t.n;
    assert_close(*found(&t, "train_loss"), mean_loss(&t, loss, pairs, train, none, 1), 1e-12, 0);
    assert_close(*found(&t, "test_loss"), mean_loss(&t, loss, pairs + train, all - train, none, 1), 1e-12, 0);
    assert_close(*found(&t, "all_loss"), mean_loss(&t, loss, NULL, all, none, 1), 1e-12, 0);
    assert_close(*found(&t, "excluded_loss"), mean_loss(&t, loss, pairs, train, mean, 1), 1e-10, 0);
    assert_close(*found(&t, "restricted_loss"), mean_loss(&t, loss, NULL, all, minus, 0), 1e-10, 0);
    assert_close(*found(&t, "ablation_product_loss"), mean_loss(&t, loss, NULL, all, mean, 1), 1e-10, 0);
    assert_close(*found(&t, "ablation_left_loss"), mean_loss(&t, loss, NULL, all, mean, 1), 1e-10, 0);
    if (strcmp(group, "C7") == 0) // at random there are no key frequencies
        assert_close(*found(&t, "key_excluded_loss"), *found(&t, "train_loss"), 1e-12, 0);
    close_network(&t);
}

TEST(test_losses_are_those_that_a_network_is_trained_on) {
    for (int loss = 0; loss < TS_LOSSES; loss++) {
        compare_losses((ts_loss)loss, "S3");
        compare_losses((ts_loss)loss, "C7");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fit_is_ordinary_least_squares),
        cmocka_unit_test(test_similarities_and_the_length_of_the_fit_follow_their_definitions),
        cmocka_unit_test(test_key_irreps_are_ordered_by_when_they_were_learned),
        cmocka_unit_test(test_without_a_passed_threshold_nothing_has_an_order),
        cmocka_unit_test(test_phases_end_where_they_are_said_to),
        cmocka_unit_test(test_what_was_memorised_first_has_grokked),
        cmocka_unit_test(test_neurons_go_to_the_irrep_planted_in_them),
        cmocka_unit_test(test_powers_that_are_bijections_are_relabelled_sums),
        cmocka_unit_test(test_shares_of_the_hidden_layer_are_below_1_where_tokens_share_values),
        cmocka_unit_test(test_projectors_are_orthogonal_where_elements_have_weights),
        cmocka_unit_test(test_losses_of_corrected_logits_are_those_of_the_differences),
        cmocka_unit_test(test_excluded_losses_follow_their_definition_at_any_scale),
        cmocka_unit_test(test_exponentials_and_the_largest_have_no_edges),
        cmocka_unit_test(test_logits_that_are_not_finite_have_no_loss),
        cmocka_unit_test(test_losses_are_those_that_a_network_is_trained_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
