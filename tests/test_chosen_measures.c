// Keys `measures` and `measures_every`: what is chosen has the bits that it has among all measures, losses are always
// there, the rest is not; and what is refused.
#define _XOPEN_SOURCE 700
#include "measure/curves.h"
#include "support_engine.h"
#include "train/record.h"

#include <math.h>
#include <stdio.h>

// Tables with one circle, with two, with none, in values, behind heads; and features.
static const char *const SWEEPS[] = {
    "task: group\ngroup: C7\nmodel: mlp\nembed: 4\nhidden: 12\ntrain_fraction: 0.6\n",
    "task: group\ngroup: D5\nmodel: mlp\nembed: 4\nhidden: 12\ntrain_fraction: 0.6\nkeys: [sign, 2]\n",
    "task: group\ngroup: S3\nmodel: mlp\nembed: 4\nhidden: 12\ntrain_fraction: 0.6\n",
    "task: power\np: 7\nm: 1\nn: 2\nmodel: mlp\nembed: 4\nhidden: 12\ntrain_fraction: 0.6\n",
    "task: group\ngroup: C5\nmodel: transformer\nd_model: 12\nheads: 2\nd_head: 4\nd_mlp: 12\ntrain_fraction: 0.6\n",
    "task: tree\ndepth: 2\nhidden: 3\n",
};
enum { N_SWEEPS = sizeof SWEEPS / sizeof *SWEEPS };

typedef struct measured {
    support_instance f;
    int64_t total;
    double *out;
} measured;

static void open_measured(measured *m, const char *text, const char *keys) {
    char sweep[512];
    snprintf(sweep, sizeof sweep, "%s%s", text, keys);
    support_open(&m->f, sweep);
    m->total = ts_measures_total(&m->f.params, m->f.data);
    m->out = ts_alloc((size_t)m->total * sizeof *m->out, "measures");
}

static void take(measured *m, ts_measure_extent extent) {
    assert_int_equal(ts_measure_weights(&m->f.params, m->f.data, m->f.initial, 3, extent, NULL, m->out), TS_OK);
}

static void close_measured(measured *m) {
    ts_free(m->out);
    support_close(&m->f);
}

// Compares all measures of `some` with those of the same name of `all`; returns how many beside losses there are.
static int compare(const measured *some, const measured *all, const char *family) {
    int others = 0;
    ts_measures m = ts_measures_of(&some->f.params, some->f.data);
    while (ts_measures_next(&m)) {
        ts_measures same = ts_measures_of(&all->f.params, all->f.data);
        assert_true(ts_measures_find(&same, m.measure->name));
        assert_int_equal(same.length, m.length);
        if (memcmp(some->out + m.offset, all->out + same.offset, (size_t)m.length * sizeof *all->out) != 0)
            fail_msg("%s differs where only %s is measured", m.measure->name, family);
        others += !m.always;
    }
    return others;
}

TEST(test_a_family_alone_has_the_bits_that_it_has_among_all) {
    for (int s = 0; s < N_SWEEPS; s++) {
        measured all;
        const char *family;
        unsigned kinds;
        int others = 0, of_all = 0;
        open_measured(&all, SWEEPS[s], "");
        take(&all, TS_MEASURE_LAST);
        of_all = compare(&all, &all, "everything");
        for (int i = 0; (family = ts_measures_family(i, &kinds)); i++) {
            measured one;
            char keys[96];
            if (!(kinds & 1u << all.f.params.schema->task->kind))
                continue;
            snprintf(keys, sizeof keys, "measures: [%s]\n", family);
            open_measured(&one, SWEEPS[s], keys);
            take(&one, TS_MEASURE_LAST);
            others += compare(&one, &all, family);
            ts_measures losses = ts_measures_of(&one.f.params, one.f.data);
            assert_true(ts_measures_find(&losses, "train_loss") && losses.always);
            close_measured(&one);
        }
        assert_int_equal(others, of_all); // each is of one family
        close_measured(&all);
    }
}

TEST(test_between_full_checkpoints_there_are_losses_and_nothing_else) {
    for (int s = 0; s < N_SWEEPS; s++) {
        measured full, losses;
        open_measured(&full, SWEEPS[s], "");
        open_measured(&losses, SWEEPS[s], "");
        take(&full, TS_MEASURE_BEFORE_LAST);
        take(&losses, TS_MEASURE_LOSSES);
        ts_measures m = ts_measures_of(&full.f.params, full.f.data);
        while (ts_measures_next(&m))
            for (int64_t i = m.offset; i < m.offset + m.length; i++)
                if (m.always ? !support_same_bits(losses.out[i], full.out[i]) : !isnan(losses.out[i]))
                    fail_msg("%s is %g", m.measure->name, losses.out[i]);
        assert_true(ts_measure_operations(&full.f.params, full.f.data, TS_MEASURE_LOSSES) <=
                    ts_measure_operations(&full.f.params, full.f.data, TS_MEASURE_BEFORE_LAST));
        close_measured(&full);
        close_measured(&losses);
    }
}

TEST(test_names_of_families_are_those_of_the_list) {
    const char *family;
    unsigned kinds, both = 1u << TS_KIND_TABLE | 1u << TS_KIND_FEATURES;
    int count = 0;
    for (; (family = ts_measures_family(count, &kinds)); count++) {
        assert_true(*family && strspn(family, "abcdefghijklmnopqrstuvwxyz_") == strlen(family));
        assert_int_equal(kinds == both, strcmp(family, "losses") == 0);
    }
    assert_true(count > 20);
}

// Weights of checkpoints are kept of those that are measured in full alone, in order.
TEST(test_weights_are_kept_of_full_checkpoints_alone) {
    for (int every = 1; every < 12; every++) {
        measured m;
        char keys[96];
        ts_record_layout *layout;
        snprintf(keys, sizeof keys, "steps: 20\ncheckpoints: {every: 2}\nmeasures_every: %d\n", every);
        open_measured(&m, SWEEPS[2], keys);
        assert_int_equal(ts_record_layout_make(&m.f.params, m.f.data, &layout), TS_OK);
        assert_int_equal(layout->checkpoints, 11);
        int64_t place = 0, full = 0;
        for (int64_t k = 0; k < 10; k++) { // the last is not kept
            assert_int_equal(ts_record_is_full(layout, k), k % every == 0);
            assert_int_equal(ts_record_kept_before(layout, k), place);
            if (k % every == 0)
                assert_int_equal(ts_record_kept(layout, place++), k);
            full += k % every == 0;
        }
        assert_int_equal(layout->kept, full);
        assert_int_equal(ts_record_kept(layout, place), -1);
        assert_int_equal(ts_record_full(layout), full + 1);
        ts_record_layout_free(layout);
        close_measured(&m);
    }
}

// What read_curve shows: the checkpoint's number.
static void read_number(const ts_curves *curves, int64_t offset, int64_t length, int64_t checkpoint, double *out) {
    (void)curves, (void)offset;
    for (int64_t i = 0; i < length; i++)
        out[i] = (double)checkpoint;
}

TEST(test_what_follows_from_curves_sees_full_checkpoints_alone) {
    static const int64_t STEPS[] = {0, 10, 20, 30, 40, 50, 60};
    measured m;
    open_measured(&m, SWEEPS[2], "");
    for (int64_t last = 0; last < 7; last++) { // also where an instance stops early
        ts_curves curves = {.params = &m.f.params,
                            .data = m.f.data,
                            .count = last + 1,
                            .step = STEPS,
                            .every = 3,
                            .full = true,
                            .read = read_number,
                            .last = m.out,
                            .scratch = m.out,
                            .prefix = ""};
        int64_t full = last / 3 + 1 + (last % 3 != 0);
        assert_int_equal(ts_curve_count(&curves, "logit_similarity"), full);
        for (int64_t k = 0; k < full; k++) {
            int64_t number = k * 3 < last ? k * 3 : last;
            assert_int_equal(ts_curve_step(&curves, k), STEPS[number]);
            assert_int_equal((int64_t)*ts_curve_at(&curves, "logit_similarity", k), number);
        }
        curves.full = false; // as for losses
        assert_int_equal(ts_curve_count(&curves, "test_loss"), last + 1);
        assert_int_equal(ts_curve_step(&curves, last), STEPS[last]);
    }
    close_measured(&m);
}

TEST(test_choices_that_cannot_be_are_refused) {
#define GROUP "task: group\ngroup: S3\nmodel: mlp\n"
    static const struct {
        const char *text, *error;
    } CASES[] = {
        {GROUP "measures: [irreps, coset]\n", "test.yaml:4: key 'measures': 'coset' is no family of measures (did you "
                                              "mean 'cosets'?); give all, losses, or a list of irreps, neurons, "},
        {GROUP "measures: everything\n", "'everything' is no family of measures; give all"},
        {GROUP "measures: [all, irreps]\n", "'all' stands alone: losses are measured whatever the list says"},
        {GROUP "measures: [losses, irreps]\n", "'losses' stands alone"},
        {GROUP "measures: [irreps, irreps]\n", "'irreps' is given twice; name it once"},
        {GROUP "measures: []\n", "test.yaml:4: key 'measures': the list is empty"},
        {GROUP "measures:\n", "test.yaml:4: key 'measures': has no value"},
        {GROUP "grid:\n  measures: [losses, [irreps, 7]]\n", "test.yaml:5: key 'measures': '7' is no family"},
        {GROUP "measures: [directions]\n",
         "test.yaml:4: key 'measures': no case of this sweep has measures of the family 'directions'"},
        {"task: tree\ndepth: 2\nhidden: 2\nmeasures: cosets\n", "no case of this sweep has measures of the family"},
        {GROUP "measures_every: 0\n", "test.yaml:4: key 'measures_every': 0 is below the minimum 1"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        support_refused((ts_sweep_source){.file = "test.yaml", .text = CASES[i].text}, CASES[i].error);
}

// Of the first instance.
static void identity_of(const char *text, uint8_t digest[32]) {
    ts_sweep *sweep = support_sweep(text);
    ts_params params;
    ts_sweep_params(sweep, 0, &params);
    assert_int_equal(ts_params_identity(&params, digest), TS_OK);
    ts_sweep_free(sweep);
}

TEST(test_one_choice_is_one_identity_and_the_default_is_in_none) {
    uint8_t plain[32], other[32];
    identity_of(GROUP, plain);
    identity_of(GROUP "measures: all\nmeasures_every: 1\n", other);
    assert_memory_equal(plain, other, sizeof plain);
    identity_of(GROUP "measures: losses\n", other);
    assert_memory_not_equal(plain, other, sizeof plain);
    identity_of(GROUP "measures: [neurons, irreps]\n", plain);
    identity_of(GROUP "measures: [irreps, neurons]\n", other);
    assert_memory_equal(plain, other, sizeof plain);
}

// A sweep of both kinds of data may name families of either.
TEST(test_a_mixed_sweep_names_families_of_all_its_data) {
    ts_sweep *sweep = support_sweep("measures: [irreps, directions]\ncases:\n  - {task: tree, depth: 2, hidden: 2}\n"
                                    "  - {task: group, group: S3, model: mlp}\n");
    assert_int_equal(ts_sweep_cases(sweep), 2);
    ts_sweep_free(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_family_alone_has_the_bits_that_it_has_among_all),
        cmocka_unit_test(test_between_full_checkpoints_there_are_losses_and_nothing_else),
        cmocka_unit_test(test_names_of_families_are_those_of_the_list),
        cmocka_unit_test(test_weights_are_kept_of_full_checkpoints_alone),
        cmocka_unit_test(test_what_follows_from_curves_sees_full_checkpoints_alone),
        cmocka_unit_test(test_choices_that_cannot_be_are_refused),
        cmocka_unit_test(test_one_choice_is_one_identity_and_the_default_is_in_none),
        cmocka_unit_test(test_a_mixed_sweep_names_families_of_all_its_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
