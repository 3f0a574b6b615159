// Losses by irreps are the same whichever way exponentials of pairs and factors of irreps meet: all exponentials kept,
// all factors kept, or logits made again. Tables that need the latter two take seconds, so that small ones are told to.
#include "measure/corrections.h"
#include "measure/measure.h"
#include "support.h"

#include <math.h>

static bool keeps_exponentials, keeps_factors;

size_t __real_ts_pairs_kept(const ts_pairs *pairs);
size_t __wrap_ts_pairs_kept(const ts_pairs *pairs);
size_t __wrap_ts_pairs_kept(const ts_pairs *pairs) {
    return keeps_exponentials ? __real_ts_pairs_kept(pairs) : TS_PAIRS_KEPT;
}

bool __wrap_ts_corrections_fit(int n, int columns);
bool __wrap_ts_corrections_fit(int n, int columns) {
    return keeps_factors && n > 0 && columns > 0;
}

static void measure(const support_instance *f, double *out) {
    assert_int_equal(ts_measure_weights(&f->params, f->data, f->initial, 0, TS_MEASURE_BEFORE_LAST, NULL, out), TS_OK);
}

static void compare(const support_instance *f, const double *expected, const double *found) {
    ts_measures m = ts_measures_of(&f->params, f->data);
    while (ts_measures_next(&m))
        for (int64_t i = m.offset; i < m.offset + m.length; i++)
            if (isnan(expected[i]) != isnan(found[i]) || fabs(expected[i] - found[i]) > 1e-12 * fabs(expected[i]))
                fail_msg("%s: %.17g, %.17g when all exponentials are kept", m.measure->name, found[i], expected[i]);
}

// scale: of weights, so that factors underflow, too.
static void try_ways(const char *text, float scale) {
    support_instance f;
    support_open(&f, text);
    for (int64_t i = 0; i < f.parameters; i++)
        f.initial[i] *= scale;
    size_t total = (size_t)ts_measures_total(&f.params, f.data);
    double *expected = ts_alloc(total * sizeof *expected, "measures"), *found = ts_alloc(total * sizeof *found, "more");
    keeps_exponentials = true;
    measure(&f, expected);
    keeps_exponentials = false;
    for (int way = 0; way < 2; way++) {
        keeps_factors = way == 0;
        measure(&f, found);
        compare(&f, expected, found);
    }
    ts_free(expected);
    ts_free(found);
    support_close(&f);
}

TEST(test_all_ways_have_the_same_losses) {
    static const char *const TEXTS[] = {
        "task: group\ngroup: S4\nembed: 12\nhidden: 20\ntrain_fraction: 0.4\nsteps: 1\n",
        "task: group\ngroup: D8\nmodel: transformer\nd_model: 16\nheads: 2\ntrain_fraction: 0.6\nsteps: 1\n",
        "task: power\np: 13\nm: 2\nn: 3\nmodel: mlp\nembed: 12\nhidden: 20\ntrain_fraction: 0.5\nsteps: 1\n",
        "task: group\ngroup: C14\nembed: 12\nhidden: 20\nloss: mse\ntrain_fraction: 0.5\nsteps: 1\n",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        try_ways(TEXTS[i], 1);
        try_ways(TEXTS[i], 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_ways_have_the_same_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
