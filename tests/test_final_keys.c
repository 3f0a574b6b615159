// Measures with the same keys throughout: against their definitions written out over all pairs; keys that are found at
// the end against the same keys named; trainers that are stopped on the way, packed, or keep few weights; keys that no
// sweep may name.
#include "measure/dimension.h"
#include "support_network.h"
#include "support_trainer.h"

// --- By definition ---

static int product_of(const support_network *f, int chart, int pair) {
    const ts_symmetry *s = f->data->symmetry;
    int n = f->order;
    return s->group->result[s->chart[chart].x_a[pair / n] * n + s->chart[chart].x_b[pair % n]];
}

static double character(const support_network *f, int r, int g, int h) { // chi_r(g h^-1)
    const ts_symmetry *s = f->data->symmetry;
    return s->irreps->irrep[r].character[s->group->result[g * f->order + s->inverse[h]]];
}

// Takes out of v (count) what lies along `number` vectors and scales it; false: nothing is left.
static bool orthonormalise(const double *vectors, int number, double *v, size_t count) {
    double before = 0, after = 0;
    for (size_t i = 0; i < count; i++)
        before += v[i] * v[i];
    for (int i = 0; i < 2 * number; i++) {
        double dot = 0;
        for (size_t p = 0; p < count; p++)
            dot += v[p] * vectors[(size_t)(i % number) * count + p];
        for (size_t p = 0; p < count; p++)
            v[p] -= dot * vectors[(size_t)(i % number) * count + p];
    }
    for (size_t i = 0; i < count; i++)
        after += v[i] * v[i];
    for (size_t i = 0; i < count; i++)
        v[i] /= sqrt(after);
    return after > 1e-9 * (before + 1);
}

// Adds to `part` (pairs, n) what the span of vectors over the pairs holds of H, through U.
static void add_part(const support_network *f, const double *vectors, int number, double *part) {
    size_t n = (size_t)f->order, hidden = (size_t)f->hidden;
    for (int v = 0; v < number; v++)
        for (size_t k = 0; k < hidden; k++) {
            double dot = 0;
            for (size_t p = 0; p < n * n; p++)
                dot += vectors[(size_t)v * n * n + p] * f->h[p * hidden + k];
            for (size_t p = 0; p < n * n; p++)
                for (size_t c = 0; c < n; c++)
                    part[p * n + c] += dot * vectors[(size_t)v * n * n + p] * f->u[k * n + c];
        }
}

// Vectors over the pairs that span the functions of the irreps `first` to `end` - 1 that are keys; how many there are
// with those that are there already.
static int span(const support_network *f, int chart, const double *is_key, int first, int end, double *vectors,
                int number) {
    int n = f->order;
    for (int r = first; r < end; r++)
        for (int g = 0; g < n && is_key[r] == 1; g++) {
            double *v = vectors + (size_t)number * (size_t)(n * n);
            for (int p = 0; p < n * n; p++)
                v[p] = character(f, r, product_of(f, chart, p), g);
            number += orthonormalise(vectors, number, v, (size_t)(n * n));
        }
    return number;
}

enum { KEYS, TOTAL, LOGITS, PARTS };

// What the keys give to the logits of each pair (pairs, n).
static void define_part(const support_network *f, int chart, int which, const double *is_key, double *part) {
    int n = f->order, irreps = f->data->symmetry->irreps->count;
    size_t pairs = (size_t)n * (size_t)n;
    double *vectors = ts_alloc((size_t)(n + 2) * pairs * sizeof *vectors, "vectors"), *z = support_centred_logits(f);
    memset(part, 0, pairs * (size_t)n * sizeof *part);
    if (which == KEYS) {
        for (size_t p = 0; p < pairs; p++)
            vectors[p] = 1.0 / n; // the constant, which is no part
        int number = span(f, chart, is_key, 0, irreps, vectors, 1);
        add_part(f, vectors + pairs, number - 1, part);
    }
    for (int r = 0; r < irreps && which == TOTAL; r++)
        add_part(f, vectors, span(f, chart, is_key, r, r + 1, vectors, 0), part);
    for (int r = 0; r < irreps && which == LOGITS; r++) {
        double dot = 0, norm = 0;
        for (int i = 0; i < n * n * n; i++) {
            double cube = character(f, r, product_of(f, chart, i / n), i % n);
            dot += cube * z[i];
            norm += cube * cube;
        }
        for (int i = 0; i < n * n * n && is_key[r] == 1; i++)
            part[i] += dot / norm * character(f, r, product_of(f, chart, i / n), i % n);
    }
    ts_free(vectors);
    ts_free(z);
}

// Mean loss of logits (pairs, n) over the pairs of a split, the mean over all pairs put back or not.
static double define_loss(const support_network *f, const double *logits, int split, int correction) {
    int n = f->order, count = 0;
    double mean[64] = {0}, z[64], sum = 0;
    int *pairs = ts_alloc((size_t)(n * n) * sizeof *pairs, "pairs");
    int64_t train;
    ts_network_pairs(&f->instance.params, f->data->table, pairs, &train);
    for (int i = 0; i < n * n * n && correction == TS_MEAN_PUT_BACK; i++)
        mean[i % n] += (f->logits[i] - logits[i]) / (n * n);
    for (int i = 0; i < n * n; i++) {
        if ((split == TS_SPLIT_TRAIN && i >= train) || (split == TS_SPLIT_TEST && i < train))
            continue;
        for (int c = 0; c < n; c++)
            z[c] = logits[pairs[i] * n + c] + mean[c];
        sum += support_loss(z, n, f->data->table->result[pairs[i]]);
        count++;
    }
    ts_free(pairs);
    return sum / count;
}

static void compare_losses(const support_network *f, const char *prefix, const char *name, const double *logits) {
    const double *measured = support_measured(f, prefix, name);
    for (int split = 0; split < TS_SPLITS; split++)
        for (int c = 0; c < TS_CORRECTIONS; c++)
            support_expect(prefix, name, split * TS_CORRECTIONS + c, measured[split * TS_CORRECTIONS + c],
                           define_loss(f, logits, split, c));
}

static void compare_part(const support_network *f, int chart, int which, const double *hidden_logits) {
    static const char *const NAMES[PARTS][2] = {
        {"final_key_restricted_loss", "final_key_excluded_loss"},
        {"final_total_restricted_loss", "final_total_excluded_loss"},
        {"final_total_logit_restricted_loss", "final_total_logit_excluded_loss"},
    };
    const char *prefix = SUPPORT_PREFIX[chart];
    size_t numbers = (size_t)f->order * (size_t)f->order * (size_t)f->order;
    double *part = ts_alloc(numbers * sizeof *part, "part"), *rest = ts_alloc(numbers * sizeof *rest, "rest");
    const double *is_key = support_measured(f, prefix, which == KEYS ? "final_key" : "final_total_key");
    define_part(f, chart, which, is_key, part);
    for (size_t i = 0; i < numbers; i++)
        rest[i] = (which == TOTAL ? hidden_logits : f->logits)[i] - part[i];
    compare_losses(f, prefix, NAMES[which][0], part);
    compare_losses(f, prefix, NAMES[which][1], rest);
    for (int c = 0; c < TS_CORRECTIONS && which != LOGITS; c++)
        support_expect(
            prefix, "ratio", c, support_measured(f, prefix, which == KEYS ? "final_key_ratio" : "final_total_ratio")[c],
            define_loss(f, f->logits, TS_SPLIT_TEST, TS_UNCORRECTED) / define_loss(f, part, TS_SPLIT_TEST, c));
    ts_free(part);
    ts_free(rest);
}

// A network with a residual stream, so that its hidden layer gives only a part of the logits.
typedef struct with_residual {
    const support_network *f;
    const double *hidden_logits; // (pairs, n)
} with_residual;

static void residual_row(const void *weights, int a, double *h, double *logits, double *hidden_logits) {
    const with_residual *w = weights;
    size_t n = (size_t)w->f->order;
    support_row(w->f, a, h, logits, NULL);
    memcpy(hidden_logits, w->hidden_logits + (size_t)a * n * n, n * n * sizeof *hidden_logits);
}

static void compare_all(support_network *f) {
    size_t numbers = (size_t)f->order * (size_t)f->order * (size_t)f->order;
    double *hidden_logits = ts_alloc(numbers * sizeof *hidden_logits, "logits");
    support_unembed(f, 0);
    memcpy(hidden_logits, f->logits, numbers * sizeof *hidden_logits);
    for (size_t i = 0; i < numbers; i++)
        f->logits[i] += 0.5 + support_uniform(f) + 0.1 * (double)(i % (size_t)f->order);
    with_residual w = {f, hidden_logits};
    ts_network network = {.hidden = f->hidden,
                          .embed = f->embed,
                          .e_x = f->e_x,
                          .e_y = f->e_y,
                          .u = f->u,
                          .row = residual_row,
                          .residual = true,
                          .weights = &w};
    assert_int_equal(ts_measure_network(&f->instance.params, f->data, &network, 0, TS_MEASURE_LAST, NULL, f->out),
                     TS_OK);
    for (int chart = 0; chart < f->data->symmetry->charts; chart++)
        for (int which = 0; which < PARTS; which++)
            compare_part(f, chart, which, hidden_logits);
    ts_free(hidden_logits);
}

TEST(test_losses_of_named_keys_are_as_defined) {
    static const struct {
        const char *group;
        int m, n;
        const char *keys;
        int count;
    } CASES[] = {{"S3", 0, 0, "sign", 1},         {"S3", 0, 0, "[standard, sign]", 2}, {"C7", 0, 0, "[1, 3]", 2},
                 {"C8", 0, 0, "[4, freq_1]", 2},  {"D5", 0, 0, "[sign, 2]", 2},        {"C7", 2, 3, "[2, 3]", 2},
                 {"C11", 3, 1, "[freq_1, 5]", 2}, {"C11", 2, 2, "[1, 2, 3, 4, 5]", 5}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        support_network f;
        char more[64];
        snprintf(more, sizeof more, "keys: %s\n", CASES[i].keys);
        support_network_open_with(&f, CASES[i].group, CASES[i].m, CASES[i].n, more);
        const ts_symmetry *symmetry = f.data->symmetry;
        int places = symmetry->circle > 0 ? symmetry->circle : f.order;
        support_fill(&f, places, symmetry->chart[0].x_a, symmetry->chart[0].x_b);
        compare_all(&f);
        double keys = 0;
        for (int r = 0; r < symmetry->irreps->count; r++)
            keys += support_measured(&f, "", "final_key")[r];
        assert_true(keys == CASES[i].count);
        support_network_close(&f);
    }
}

// At the last checkpoint itself the final keys are those of the measures that take each checkpoint's own.
TEST(test_at_the_end_the_losses_are_those_of_the_keys_there) {
    static const char *const TOTALS[][2] = {{"total_restricted_loss", "final_total_restricted_loss"},
                                            {"total_logit_restricted_loss", "final_total_logit_restricted_loss"}},
                             *const EXCLUDED[][2] = {{"total_excluded_loss", "final_total_excluded_loss"},
                                                     {"total_logit_excluded_loss", "final_total_logit_excluded_loss"},
                                                     {"key_excluded_loss", "final_key_excluded_loss"}};
    for (int m = 0; m < 3; m++) { // C7, and sums of powers over it
        support_network f;
        support_network_open(&f, "C7", m, 1);
        for (int chart = 0; chart < f.data->symmetry->charts; chart++) {
            const char *prefix = SUPPORT_PREFIX[chart];
            support_fill(&f, 7, f.data->symmetry->chart[chart].x_a, f.data->symmetry->chart[chart].x_b);
            compare_all(&f);
            for (int i = 0; i < 2; i++)
                support_expect(prefix, TOTALS[i][1], 0,
                               support_measured(&f, prefix, TOTALS[i][1])[TS_SPLIT_ALL * TS_CORRECTIONS],
                               *support_measured(&f, prefix, TOTALS[i][0]));
            for (int i = 0; i < 3; i++)
                support_expect(prefix, EXCLUDED[i][1], 0, support_measured(&f, prefix, EXCLUDED[i][1])[0],
                               *support_measured(&f, prefix, EXCLUDED[i][0]));
            support_expect(
                prefix, "final_key_restricted_loss", 0,
                support_measured(&f, prefix,
                                 "final_key_restricted_loss")[TS_SPLIT_ALL * TS_CORRECTIONS + TS_MEAN_PUT_BACK],
                *support_measured(&f, prefix, "key_restricted_loss"));
            for (int k = 0; k < 3; k++)
                assert_true(support_measured(&f, prefix, "final_key")[1 + k] ==
                            support_measured(&f, prefix, "key_frequency")[k]);
        }
        support_network_close(&f);
    }
}

// --- Through training ---

static void open_unit(support_unit *unit, const char *text, const char *more) {
    char all[512];
    snprintf(all, sizeof all, "%s%s", text, more);
    support_open(&unit->of, all);
    support_unit_open(unit, NULL);
}

static void close_unit(support_unit *unit, ts_trainer *trainer) {
    ts_trainer_free(trainer);
    support_unit_close(unit);
}

static const void *record_of(const ts_trainer *trainer, int instance) {
    return ts_trainer_result(trainer, instance).record;
}

// Fields that are measured in hindsight, one after the other, with a curve; NULL: no more.
static const ts_field *next_curve(const ts_record_layout *layout, int *at) {
    for (; *at < layout->count; ++*at) {
        const ts_field *field = &layout->field[*at];
        if (field->hindsight && field->rank > 0 && strcmp(field->dimension[0], "step") == 0)
            return &layout->field[(*at)++];
    }
    return NULL;
}

static double number_at(const ts_field *field, const void *record, int64_t checkpoint, int index) {
    size_t length = field->bytes / (size_t)field->item_bytes / (size_t)field->size[0];
    const char *at = (const char *)record + field->offset +
                     ((size_t)checkpoint * length + (size_t)index) * (size_t)field->item_bytes;
    double wide;
    float narrow;
    if (field->item_bytes == 8)
        memcpy(&wide, at, 8);
    else
        memcpy(&narrow, at, 4);
    return field->item_bytes == 8 ? wide : (double)narrow;
}

static const char *const SWEEPS[] = {
    "task: group\ngroup: S3\nembed: 16\nhidden: 16\ntrain_fraction: 0.9\nsteps: 60\ncheckpoints: {every: 6}\n"
    "instances: 3\nstop: {test_loss: 1.9, for: 30}\n",
    "task: power\np: 7\nm: 2\nn: 1\nmodel: transformer\nd_model: 16\nheads: 2\nd_head: 8\nd_mlp: 16\nlr: 0.01\n"
    "steps: 40\ncheckpoints: {every: 4}\ntrain_fraction: 0.8\ninstances: 2\n",
    // Ends early, and with it the unit.
    "task: group\ngroup: C5\nembed: 8\nhidden: 8\nsteps: 60\ncheckpoints: {every: 6}\nstop: {test_loss: 9, for: 30}\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

// "keys: [...]": the irreps that a record has as final keys.
static void name_keys(const support_unit *unit, const char *prefix, const void *record, char *out, size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "%sfinal_key", prefix);
    const ts_field *field = support_field(unit->layout, name, TS_FIELD_CASE);
    size_t length = (size_t)snprintf(out, bytes, "keys: [");
    const float *is_key = (const float *)(const void *)((const char *)record + field->offset);
    for (int r = 0; r < field->size[0]; r++)
        if (is_key[r] == 1)
            length += (size_t)snprintf(out + length, bytes - length, "\"%s\", ",
                                       unit->of.data->symmetry->irreps->irrep[r].name);
    snprintf(out + length, bytes - length, "]\n");
}

static bool same_keys(const support_unit *unit, const void *record) {
    const char *keys = (const char *)record + support_field(unit->layout, "final_key", TS_FIELD_CASE)->offset,
               *total = (const char *)record + support_field(unit->layout, "final_total_key", TS_FIELD_CASE)->offset;
    return memcmp(keys, total, support_field(unit->layout, "final_key", TS_FIELD_CASE)->bytes) == 0;
}

// With the keys that were found at the end named in the sweep, nothing is kept, and every number is the same.
TEST(test_keys_found_at_the_end_measure_what_named_ones_do) {
    support_unit found, named;
    char keys[256];
    open_unit(&found, SWEEPS[0], "");
    ts_trainer *trainer = support_finish(&found.spec);
    assert_int_equal(found.layout->kept, found.layout->checkpoints - 1);
    for (int i = 0; i < found.of.rows; i++) {
        ts_trained result = ts_trainer_result(trainer, i);
        name_keys(&found, "", result.record, keys, sizeof keys);
        assert_true(same_keys(&found, result.record)); // else no names mean both
        if (strcmp(keys, "keys: []\n") == 0)
            fail_msg("instance %d has no keys", i);
        open_unit(&named, SWEEPS[0], keys);
        assert_int_equal(named.layout->kept, 0);
        ts_trainer *other = support_finish(&named.spec);
        assert_memory_equal(record_of(other, i), result.record, found.layout->bytes);
        int at = 0, curves = 0;
        for (const ts_field *field; (field = next_curve(found.layout, &at)); curves++)
            for (int64_t k = 0; k < found.layout->checkpoints; k++)
                if (isnan(number_at(field, result.record, k, 0)) != (found.layout->step[k] > result.steps_done))
                    fail_msg("%s at %lld of %lld steps: %g", field->name, (long long)found.layout->step[k],
                             (long long)result.steps_done, number_at(field, result.record, k, 0));
        assert_int_equal(curves, 8);
        close_unit(&named, other);
    }
    close_unit(&found, trainer);
}

// Weights come from the record where it has them, and are kept where not: to the same end.
TEST(test_kept_weights_and_saved_ones_measure_alike) {
    for (int s = 0; s < N_SWEEPS; s++) {
        support_unit kept, saved;
        open_unit(&kept, SWEEPS[s], "");
        open_unit(&saved, SWEEPS[s], "save: checkpoints\n");
        assert_true(kept.layout->kept > 0 && saved.layout->kept == 0);
        ts_trainer *one = support_finish(&kept.spec), *other = support_finish(&saved.spec);
        int at = 0;
        for (const ts_field *field; (field = next_curve(kept.layout, &at));)
            for (int i = 0; i < kept.of.rows; i++)
                assert_memory_equal((const char *)record_of(one, i) + field->offset,
                                    (const char *)record_of(other, i) +
                                        support_field(saved.layout, field->name, TS_FIELD_CASE)->offset,
                                    field->bytes);
        close_unit(&kept, one);
        close_unit(&saved, other);
    }
}

// What asks a trainer to pause when a network is opened for its measures; NULL: nobody does.
static atomic_int *asked;
static uint32_t asked_for;

ts_status __real_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network);
ts_status __wrap_ts_network_open(const ts_params *params, const float *parameters, ts_network *network) {
    static const int ANSWERS[] = {TS_PAUSE_STOP, TS_PAUSE_NONE, TS_PAUSE_SAVE, TS_PAUSE_NONE};
    asked_for = asked_for * 1664525u + 1013904223u;
    if (asked)
        atomic_store(asked, ANSWERS[(asked_for >> 16) % 4]);
    return __real_ts_network_open(params, parameters, network);
}

// Goes on in a new trainer after each pause. *sizes: how many lengths of states there were; *late: how many pauses
// after the last step.
static ts_trainer *finish_in_pieces(const ts_trainer_spec *spec, int *sizes, int *late) {
    ts_trainer *trainer;
    atomic_int pause;
    size_t before = 0;
    assert_int_equal(ts_trainer_create(spec, &trainer), TS_OK);
    asked = &pause;
    for (*sizes = *late = 0;;) {
        bool finished;
        void *state;
        size_t bytes, most = ts_trainer_most_state_bytes(trainer);
        atomic_store(&pause, TS_PAUSE_NONE);
        assert_int_equal(ts_trainer_advance(trainer, &pause, &finished), TS_OK);
        if (finished)
            break;
        assert_int_equal(ts_trainer_save(trainer, &state, &bytes), TS_OK);
        assert_true(bytes <= most);
        *sizes += bytes != before;
        *late += ts_trainer_progress(trainer) == 1;
        before = bytes;
        ts_trainer_free(trainer);
        assert_int_equal(ts_trainer_create(spec, &trainer), TS_OK);
        assert_int_equal(ts_trainer_restore(trainer, state, bytes), TS_OK);
        assert_int_equal(ts_trainer_restore(trainer, state, bytes - 4), TS_ERROR_UNIT);
        ts_free(state);
    }
    asked = NULL;
    return trainer;
}

TEST(test_a_trainer_that_is_stopped_anywhere_ends_with_equal_bits) {
    for (int s = 0; s < N_SWEEPS; s++)
        for (int seed = 0; seed < 4; seed++) {
            support_unit unit;
            int sizes, late;
            open_unit(&unit, SWEEPS[s], "");
            ts_trainer *whole = support_finish(&unit.spec);
            asked_for = (uint32_t)(1000 * s + seed);
            ts_trainer *pieces = finish_in_pieces(&unit.spec, &sizes, &late);
            assert_true(sizes > 1);           // weights are kept as they come
            assert_true(s != 1 || late >= 4); // and looked at, one after the other
            for (int i = 0; i < unit.of.rows; i++)
                assert_memory_equal(record_of(pieces, i), record_of(whole, i), unit.layout->bytes);
            ts_trainer_free(pieces);
            close_unit(&unit, whole);
        }
}

TEST(test_packing_does_not_change_what_is_seen_in_hindsight) {
    for (int s = 0; s < N_SWEEPS; s++) {
        support_unit unit;
        open_unit(&unit, SWEEPS[s], "");
        ts_trainer *together = support_finish(&unit.spec);
        for (int i = 0; i < unit.of.rows; i++) {
            ts_trainer_spec spec = unit.spec;
            spec.params = &unit.of.all[i];
            spec.count = 1;
            ts_trainer *alone = support_finish(&spec);
            assert_memory_equal(record_of(alone, 0), record_of(together, i), unit.layout->bytes);
            ts_trainer_free(alone);
        }
        close_unit(&unit, together);
    }
}

// --- How much is kept ---

TEST(test_kept_weights_count_in_the_memory_of_an_instance) {
    support_unit final, none;
    open_unit(&final, SWEEPS[0], "");
    open_unit(&none, SWEEPS[0], "keys: none\n");
    assert_int_equal(none.layout->kept, 0);
    assert_int_equal(ts_trainer_bytes(&final.of.params, final.layout) - ts_trainer_bytes(&none.of.params, none.layout),
                     final.layout->kept * final.of.parameters * (int64_t)sizeof(float));
    support_unit_close(&final);
    support_unit_close(&none);
}

// Large networks with many checkpoints: as many as fit, evenly, the first and the last but one among them.
TEST(test_kept_checkpoints_are_spread_evenly) {
    support_unit unit;
    open_unit(&unit, "task: group\ngroup: C30\nsteps: 1000\ncheckpoints: {every: 10}\nembed: 2000\nhidden: 300\n", "");
    ts_record_layout *layout = unit.layout;
    int64_t most = TS_KEPT_BYTES / (unit.of.parameters * 4);
    assert_true(most > 10 && most < 100);
    assert_int_equal(layout->kept, most);
    for (int64_t kept = 0; kept <= 100; kept++) {
        int64_t widest = 0, narrowest = 100, place = 0;
        layout->kept = kept;
        for (int64_t k = 0; k <= 101; k++) {
            assert_int_equal(ts_record_kept_before(layout, k), place);
            if (ts_record_kept(layout, place) != k)
                continue;
            int64_t next = ts_record_kept(layout, ++place), gap = next < 0 ? 0 : next - k;
            widest = gap > widest ? gap : widest;
            narrowest = gap > 0 && gap < narrowest ? gap : narrowest;
        }
        assert_int_equal(place, kept);
        assert_int_equal(ts_record_kept(layout, kept), -1);
        assert_true(kept < 2 || widest - narrowest <= 1);
        assert_true(kept < 2 || (ts_record_kept(layout, 0) == 0 && ts_record_kept(layout, kept - 1) == 99));
    }
    support_unit_close(&unit);
}

TEST(test_where_weights_are_not_kept_nothing_is_known) {
    support_unit unit;
    open_unit(&unit, SWEEPS[1], "");
    ts_trainer *all = support_finish(&unit.spec);
    unit.layout->kept = 2;
    ts_trainer *few = support_finish(&unit.spec);
    int at = 0;
    for (const ts_field *field; (field = next_curve(unit.layout, &at));)
        for (int64_t k = 0; k < unit.layout->checkpoints; k++) {
            bool known = k == 0 || k >= unit.layout->checkpoints - 2;
            double one = number_at(field, record_of(few, 0), k, 0), other = number_at(field, record_of(all, 0), k, 0);
            assert_true(known ? one == other : isnan(one) && !isnan(other));
        }
    ts_trainer_free(few);
    close_unit(&unit, all);
}

TEST(test_keys_none_measures_and_keeps_nothing) {
    support_unit unit;
    open_unit(&unit, SWEEPS[0], "keys: none\n");
    ts_trainer *trainer = support_finish(&unit.spec);
    int at = 0;
    for (const ts_field *field; (field = next_curve(unit.layout, &at));)
        for (int64_t k = 0; k < unit.layout->checkpoints; k++)
            assert_true(isnan(number_at(field, record_of(trainer, 0), k, 0)));
    close_unit(&unit, trainer);
}

// --- In sweep files ---

#define GROUP "task: group\ngroup: S5\nmodel: mlp\n"
#define POWER "task: power\np: 13\nmodel: mlp\n"

TEST(test_keys_that_cannot_be_are_refused) {
    static const struct {
        const char *text, *error;
    } CASES[] = {
        {GROUP "keys: [sign, standrad]\n",
         "test.yaml:4: key 'keys': 'standrad' is no irrep; did you mean 'standard'?; this table has sign, standard"},
        {GROUP "keys: 3\n", "test.yaml:4: key 'keys': '3' is no irrep; this table has sign, standard"},
        {GROUP "keys: [sign, sign]\n", "test.yaml:4: key 'keys': 'sign' is given twice; name it once"},
        {GROUP "keys: [s5_5d_b, \"[3,2]\"]\n", "stands for an irrep that is named already; name it once"},
        {GROUP "keys: [trivial]\n", "'trivial' is the trivial irrep"},
        {GROUP "keys: [[3, 2]]\n", "'[...]' is not a word or whole number; names with commas need quotes"},
        {GROUP "keys: []\n", "test.yaml:4: key 'keys': the list is empty"},
        {GROUP "keys:\n", "test.yaml:4: key 'keys': has no value"},
        {GROUP "keys: {log: 3}\n", "is not a word or whole number"},
        {POWER "keys: [3, 7]\n", "test.yaml:4: key 'keys': '7' is no irrep; this table has frequencies 1 to 6"},
        {POWER "keys: [0]\n", "'0' is no irrep"},
        {POWER "keys: [4294967299]\n", "'4294967299' is no irrep"},
        {POWER "keys: [99999999999999999999]\n", "'99999999999999999999' is no irrep"},
        {POWER "keys: [-3]\n", "'-3' is no irrep"},
        {POWER "keys: [2.5]\n", "'2.5' is no irrep"},
        {POWER "keys: [03]\n", "'03' has a leading zero"},
        {POWER "keys: [3, freq_3]\n", "'freq_3' stands for an irrep that is named already"},
        {POWER "keys: [final, 3]\n", "'final' is no irrep"},
        {POWER "lr: [0.1, 0.2]\nkeys: [8]\n", "test.yaml:5: key 'keys': '8' is no irrep"},
        {"task: group\nmodel: mlp\ncases:\n  - {group: C7}\n  - {group: S4, keys: [2]}\n",
         "test.yaml:5: key 'keys': '2' is no irrep; this table has"},
        {"task: group\ngroup: D8\nmodel: mlp\nkeys: [4]\n",
         "'4' is no irrep; this table has sign, sign_r, sign_rs, frequencies 1 to"},
        {POWER "keys: [3]\nwhere: keys == 3\n", "cannot be compared; use exclude"},
        {"task: tree\ndepth: 2\nhidden: 2\nkeys: [3]\n", "does not apply to any task or model of this sweep"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        support_refused((ts_sweep_source){.file = "test.yaml", .text = CASES[i].text}, CASES[i].error);
    ts_sweep_file table = {"t.csv", "0,1\n0,1\n", 8};
    support_refused((ts_sweep_source){.file = "test.yaml",
                                      .text = "task: cayley\ncayley: t.csv\nmodel: mlp\nkeys: [sign]\n",
                                      .files = &table,
                                      .n_files = 1},
                    "test.yaml:4: key 'keys': the table is no group, so it has no irreps; leave it out");
}

static void json_of(const char *text, int64_t instance, ts_text *out) {
    ts_sweep *sweep = support_sweep(text);
    ts_params params;
    ts_sweep_params(sweep, instance, &params);
    ts_params_json(&params, out);
    ts_sweep_free(sweep);
}

TEST(test_keys_have_one_canonical_form) {
    static const struct {
        const char *text, *member; // NULL: the canonical form has none
    } CASES[] = {
        {POWER, NULL},
        {POWER "keys: final\n", NULL},
        {POWER "keys: none\n", "\"keys\":\"none\""},
        {POWER "keys: [5, 3]\n", "\"keys\":[3,5]"},
        {POWER "keys: ['3', 5]\n", "\"keys\":[3,5]"},
        {POWER "keys: 3\n", "\"keys\":3,"},
        {POWER "keys: [3]\n", "\"keys\":3,"},
        {GROUP "keys: [standard, sign, \"[3,2]\"]\n", "\"keys\":[\"[3,2]\",\"sign\",\"standard\"]"},
        {POWER "grid:\n  keys: [[5, 3], 3, final]\n", "\"keys\":[3,5]"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ts_text json = {0};
        json_of(CASES[i].text, 0, &json);
        const char *member = CASES[i].member;
        if (member ? !strstr(ts_text_get(&json), member) : !!strstr(ts_text_get(&json), "keys"))
            fail_msg("%s: %s", CASES[i].text, ts_text_get(&json));
        ts_text_free(&json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_of_named_keys_are_as_defined),
        cmocka_unit_test(test_at_the_end_the_losses_are_those_of_the_keys_there),
        cmocka_unit_test(test_keys_found_at_the_end_measure_what_named_ones_do),
        cmocka_unit_test(test_kept_weights_and_saved_ones_measure_alike),
        cmocka_unit_test(test_a_trainer_that_is_stopped_anywhere_ends_with_equal_bits),
        cmocka_unit_test(test_packing_does_not_change_what_is_seen_in_hindsight),
        cmocka_unit_test(test_kept_weights_count_in_the_memory_of_an_instance),
        cmocka_unit_test(test_kept_checkpoints_are_spread_evenly),
        cmocka_unit_test(test_where_weights_are_not_kept_nothing_is_known),
        cmocka_unit_test(test_keys_none_measures_and_keeps_nothing),
        cmocka_unit_test(test_keys_that_cannot_be_are_refused),
        cmocka_unit_test(test_keys_have_one_canonical_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
