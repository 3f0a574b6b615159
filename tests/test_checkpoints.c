// Steps at which a run is measured.
#include "param/checkpoints.h"

#include "support_cmocka.h"

#include <string.h>

static int64_t steps_of(ts_numbers_form form, int count, const double *item, int64_t steps, int64_t *out,
                        int64_t capacity) {
    _Alignas(ts_numbers) char room[sizeof(ts_numbers) + 16 * sizeof(double)];
    ts_numbers *value = (ts_numbers *)room;
    value->form = form;
    value->count = count;
    memcpy(value->item, item, (size_t)count * sizeof *item);
    return ts_checkpoints(value, steps, out, capacity);
}

static void expect(ts_numbers_form form, int count, const double *item, int64_t steps, int64_t n,
                   const int64_t *expected) {
    int64_t out[64], counted = steps_of(form, count, item, steps, NULL, 0);
    int64_t got = steps_of(form, count, item, steps, out, 64);
    if (counted != n || got != n)
        fail_msg("counted %lld, wrote %lld, expected %lld steps", (long long)counted, (long long)got, (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (out[i] != expected[i])
            fail_msg("step %lld is %lld, expected %lld", (long long)i, (long long)out[i], (long long)expected[i]);
}

#define EXPECT(form, items, steps, ...)                                                                                \
    expect(form, (int)(sizeof(items) / sizeof(double)), items, steps,                                                  \
           (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

TEST(test_log_steps_are_those_of_numpy) {
    // numpy.logspace(0, log10(steps), N).astype(int), numpy 1.24
    EXPECT(TS_NUMBERS_LOG, ((double[]){10}), 1000, 0, 1, 2, 4, 10, 21, 46, 100, 215, 464, 1000);
    EXPECT(TS_NUMBERS_LOG, ((double[]){3}), 100, 0, 1, 10, 100);
    EXPECT(TS_NUMBERS_LOG, ((double[]){1}), 7, 0, 1, 7);
    EXPECT(TS_NUMBERS_LOG, ((double[]){5}), 1, 0, 1);
}

TEST(test_paper_checkpoints_number_as_published) {
    // len({0} | set(numpy.logspace(0, log10(250000), 1000).astype(int)) | {250000})
    int64_t out[2000], n = steps_of(TS_NUMBERS_LOG, 1, (double[]){1000}, 250000, out, 2000);
    assert_int_equal(n, 728);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[n - 2], 249999);
    assert_int_equal(out[n - 1], 250000);
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += out[i];
    assert_int_equal(sum, 20465426);
}

TEST(test_every_n_includes_the_last) {
    EXPECT(TS_NUMBERS_EVERY, ((double[]){4}), 10, 0, 4, 8, 10);
    EXPECT(TS_NUMBERS_EVERY, ((double[]){5}), 10, 0, 5, 10);
    EXPECT(TS_NUMBERS_EVERY, ((double[]){100}), 10, 0, 10);
    EXPECT(TS_NUMBERS_EVERY, ((double[]){1}), 1, 0, 1);
}

TEST(test_lists_end_with_the_last_step) {
    EXPECT(TS_NUMBERS_LIST, ((double[]){2, 5}), 10, 2, 5, 10);
    EXPECT(TS_NUMBERS_LIST, ((double[]){0, 10, 20}), 10, 0, 10);
    EXPECT(TS_NUMBERS_LIST, ((double[]){30}), 10, 10);
}

TEST(test_no_more_than_capacity_is_written) {
    int64_t out[3] = {-1, -1, -1};
    assert_int_equal(steps_of(TS_NUMBERS_EVERY, 1, (double[]){1}, 10, out, 2), 11);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 1);
    assert_int_equal(out[2], -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_steps_are_those_of_numpy),
        cmocka_unit_test(test_paper_checkpoints_number_as_published),
        cmocka_unit_test(test_every_n_includes_the_last),
        cmocka_unit_test(test_lists_end_with_the_last_step),
        cmocka_unit_test(test_no_more_than_capacity_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
