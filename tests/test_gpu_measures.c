// Measures whose pairs are on a GPU are those of the processor to 1e-10: every measure of every family, of all kinds of
// tables, models and losses, with our products and cuBLAS's, kept in memory or made anew, and the same bits each time.
//   test_gpu_measures [BACKEND...]
#define _POSIX_C_SOURCE 200809L
#include "support_team.h"
#include "support_trainer.h"

#include "backend/backend.h"
#include "measure/measure.h"

#include <math.h>
#include <stdio.h>
#ifdef TS_HAVE_CUDA
#include "backend/cuda_measure.h"
#endif

#ifdef TS_HAVE_CUDA
enum { NAME_BYTES = 96 };

static const struct {
    const char *text;
    double scale; // of the initial weights: large ones have losses whose exponentials underflow
} SHAPES[] = {
    {"task: group\ngroup: S3\nembed: 5\nhidden: 7\ntrain_fraction: 0.6\n", 1},
    {"task: group\ngroup: C7\nembed: 6\nhidden: 9\ntrain_fraction: 0.5\n", 30},
    {"task: group\ngroup: D5\nembed: 4\nhidden: 6\ntrain_fraction: 0.5\n", 3},
    {"task: group\ngroup: D4\nmodel: transformer\nd_model: 8\nheads: 2\nd_head: 3\nd_mlp: 9\n", 2},
    {"task: group\ngroup: C5\nmodel: transformer\nd_model: 6\nheads: 2\nd_head: 3\nd_mlp: 7\noutputs: 8\n", 4},
    {"task: power\np: 7\nm: 2\nn: 3\nmodel: mlp\nembed: 4\nhidden: 6\ntrain_fraction: 0.5\n", 1},
    {"task: group\ngroup: C5\nembed: 4\nhidden: 5\nloss: mse\nactivation: gelu\n", 1},
    {"task: group\ngroup: S3\nembed: 4\nhidden: 5\nloss: stablemax\nactivation: square\nkeys: [standard]\n", 1},
    {"task: expression\np: 7\nexpression: a*b\nnonzero: true\nmodel: mlp\nembed: 4\nhidden: 5\n", 1},
    {"task: expression\np: 7\nexpression: a/b\nmodel: transformer\nd_model: 6\nheads: 1\nd_head: 3\nd_mlp: 5\n", 1},
};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

static void scale_weights(support_instance *f, double scale) {
    for (int64_t i = 0; i < f->parameters; i++)
        f->initial[i] = (float)(scale * f->initial[i]);
}

// Of a measure's numbers, how far they may be apart: by rounding of the largest of them.
static double tolerance(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return 1e-10 * (most > 1 ? most : 1);
}

static void compare(const support_instance *f, const double *expected, const double *got, const char *how) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    while (ts_measures_next(&m))
        for (int64_t i = 0; i < m.length; i++) {
            double x = expected[m.offset + i], y = got[m.offset + i];
            if (isnan(x) != isnan(y) || (isinf(x) ? x != y : fabs(x - y) > tolerance(expected + m.offset, m.length)))
                fail_msg("%s: %s[%lld] = %.17g on the processor, %.17g on the GPU", how, m.measure->name, (long long)i,
                         x, y);
        }
}

// All of the last checkpoint, then those that are looked at in hindsight.
static void measure(const support_instance *f, const ts_measure_help *help, double *out, double *late) {
    assert_int_equal(ts_measure_weights(&f->params, f->data, f->initial, 5, TS_MEASURE_LAST, help, out), TS_OK);
    assert_int_equal(ts_measure_hindsight(&f->params, f->data, f->initial, out, help, late), TS_OK);
}

static void check_shape(int shape, bool own, double limit) {
    support_instance f;
    char how[NAME_BYTES];
    ts_measure_help help = {.device = &ts_cuda_pair_device};
    support_open(&f, SHAPES[shape].text);
    scale_weights(&f, SHAPES[shape].scale);
    size_t total = (size_t)ts_measures_total(&f.params, f.data);
    double *numbers = ts_alloc(6 * total * sizeof *numbers, "measures"), *expected = numbers;
    double *late = numbers + total, *got = numbers + 2 * total, *got_late = numbers + 3 * total;
    snprintf(how, sizeof how, "shape %d, %s products, limit %g", shape, own ? "our" : "cuBLAS's", limit);
    ts_cuda_workspace_use_own(own);
    ts_cuda_measured_limit(limit);
    measure(&f, NULL, expected, late);
    measure(&f, &help, got, got_late);
    compare(&f, expected, got, how);
    compare(&f, late, got_late, how);
    if (limit == 0) {
        measure(&f, &help, numbers + 4 * total, numbers + 5 * total);
        assert_memory_equal(got, numbers + 4 * total, 2 * total * sizeof *numbers);
    }
    ts_cuda_measured_limit(0);
    ts_cuda_workspace_use_own(false);
    ts_free(numbers);
    support_close(&f);
}

static void test_measures_on_a_gpu_are_the_processors(void **state) {
    (void)state;
    for (int shape = 0; shape < N_SHAPES; shape++)
        check_shape(shape, shape % 2 == 0, 0);
}

static void test_what_does_not_fit_is_made_anew(void **state) {
    (void)state;
    check_shape(0, true, 3000);
    check_shape(2, false, 3000);
    check_shape(5, true, 3000);
}

// Of a checkpoint that is measured by its losses alone, and of one that is not the last.
static void test_other_extents(void **state) {
    (void)state;
    static const ts_measure_extent EXTENTS[] = {TS_MEASURE_LOSSES, TS_MEASURE_BEFORE_LAST};
    const ts_measure_help help = {.device = &ts_cuda_pair_device};
    for (int k = 0; k < 2 * N_SHAPES; k++) {
        support_instance f;
        char how[NAME_BYTES];
        support_open(&f, SHAPES[k / 2].text);
        size_t total = (size_t)ts_measures_total(&f.params, f.data);
        double *expected = ts_alloc(2 * total * sizeof *expected, "measures"), *got = expected + total;
        snprintf(how, sizeof how, "shape %d, extent %d", k / 2, (int)EXTENTS[k % 2]);
        assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 5, EXTENTS[k % 2], NULL, expected), TS_OK);
        assert_int_equal(ts_measure_weights(&f.params, f.data, f.initial, 5, EXTENTS[k % 2], &help, got), TS_OK);
        compare(&f, expected, got, how);
        ts_free(expected);
        support_close(&f);
    }
}

// --- Teams ---

enum { RANKS = 3 };

static ts_status refuse(const ts_pair_spec *spec, void **own) {
    (void)spec, (void)own;
    return ts_fail(TS_ERROR_FATAL, "another rank than the first measures");
}

static ts_pair_device refusing;

typedef struct member {
    const ts_trainer_spec *spec;
    ts_trainer *trainer; // at its end
} member;

// The engine makes all of each step on every rank: what is looked at is who measures.
static void train_together(support_rank *rank) {
    member *m = rank->context;
    const ts_team team = {
        .rank = rank->rank,
        .size = rank->team->size,
        .add_floats = ts_comm_team_add_floats,
        .add_doubles = ts_comm_team_add_doubles,
        .largest = ts_comm_team_largest,
        .context = rank->comm,
    };
    ts_trainer_spec spec = *m->spec;
    spec.team = &team;
    spec.device = rank->rank == 0 ? &ts_cuda_pair_device : &refusing;
    m->trainer = support_finish(&spec);
}

static void test_a_team_has_the_numbers_of_its_first_rank(void **state) {
    (void)state;
    support_unit unit;
    support_open(&unit.of, "task: group\ngroup: S3\nembed: 5\nhidden: 7\ntrain_fraction: 0.6\nsteps: 6\n"
                           "checkpoints: {every: 2}\nmeasures_every: 2\nkeys: final\n");
    support_unit_open(&unit, NULL);
    refusing = ts_cuda_pair_device;
    refusing.open = refuse;
    ts_trainer_spec alone = unit.spec;
    alone.device = &ts_cuda_pair_device;
    ts_trainer *one = support_finish(&alone);
    const void *expected = ts_trainer_result(one, 0).record;
    for (int ranks = 2; ranks <= RANKS; ranks++) {
        member of[RANKS];
        for (int r = 0; r < ranks; r++)
            of[r] = (member){.spec = &unit.spec};
        support_run_team(ranks, train_together, of, sizeof *of);
        for (int r = 0; r < ranks; r++) {
            assert_memory_equal(ts_trainer_result(of[r].trainer, 0).record, expected, unit.layout->bytes);
            ts_trainer_free(of[r].trainer);
        }
    }
    ts_trainer_free(one);
    support_unit_close(&unit);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures_on_a_gpu_are_the_processors),
        cmocka_unit_test(test_what_does_not_fit_is_made_anew),
        cmocka_unit_test(test_other_extents),
        cmocka_unit_test(test_a_team_has_the_numbers_of_its_first_rank),
    };
    const ts_backend *cuda = ts_backend_find("cuda");
    bool wanted = argc < 2;
    for (int i = 1; i < argc; i++)
        wanted = wanted || strcmp(argv[i], "cuda") == 0;
    if (!wanted || cuda->probe() != TS_OK) {
        print_message("no GPU: %s\n", wanted ? ts_message() : "not asked for");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    return 0;
}
#endif
