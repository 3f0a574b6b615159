// The progress line: fits its terminal, never goes back, says so where the time left grows.
#include "base/clock.h"
#include "run/progress.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

static ts_progress_state state_at(double elapsed, double share) {
    return (ts_progress_state){.instances = 123456,
                               .done = (int64_t)(share * 123456),
                               .failed = 4321,
                               .units_done = 98765,
                               .units_out = 512,
                               .work_done = share * 1000,
                               .work_total = 1000,
                               .steps = 1e9 * elapsed,
                               .busy = 511,
                               .slots = 512,
                               .elapsed = elapsed};
}

// Percent and seconds left of a line; -1: it has none.
static double percent_of(const char *line) {
    const char *at = strchr(line, '%');
    while (at && at > line && at[-1] != ' ')
        at--;
    return at ? strtod(at, NULL) : -1;
}

static double left_of(const char *line) {
    char word[32];
    double seconds;
    const char *end = strstr(line, " left"), *begin = end;
    while (begin && begin > line && begin[-1] != ' ')
        begin--;
    if (!end || *begin == '?' || end[-1] == '?')
        return -1;
    snprintf(word, sizeof word, "%.*s", (int)(end - begin), begin);
    assert_int_equal(ts_duration_parse(word, &seconds), TS_OK);
    return seconds;
}

TEST(test_the_line_fits_any_terminal) {
    ts_progress_start(TS_PROGRESS_NONE);
    for (int columns = 1; columns < 240; columns++) {
        char line[TS_PROGRESS_BYTES];
        ts_progress_state state = state_at(1000 + columns, 0.5);
        ts_progress_line(&state, columns, columns, line);
        if (strlen(line) > (size_t)columns || strpbrk(line, "\r\n"))
            fail_msg("%d columns: '%s'", columns, line);
        if (columns >= 20)
            assert_true(percent_of(line) >= 50 && left_of(line) > 0);
        if (columns >= 120)
            assert_non_null(strstr(line, "[##########..........]"));
    }
}

TEST(test_a_log_has_the_whole_line) {
    char line[TS_PROGRESS_BYTES];
    ts_progress_state state = state_at(100, 0.25);
    ts_progress_start(TS_PROGRESS_NONE);
    ts_progress_line(&state, 0, 0, line);
    assert_string_equal(line, " 25.0%  30864/123456 instances  4321 failed  98765 units (512 running)  1 G steps/s  "
                              "511/512 busy  1m40s elapsed  5m00s left");
}

TEST(test_the_share_never_goes_back) {
    static const double shares[] = {0.1, 0.3, 0.2, 0.25, 0.31, 0.05, 1.4, 0.9};
    double before = 0;
    ts_progress_start(TS_PROGRESS_NONE);
    for (int i = 0; i < 8; i++) {
        char line[TS_PROGRESS_BYTES];
        ts_progress_state state = state_at(10 * i + 10, shares[i]);
        ts_progress_line(&state, 10 * i, 40, line);
        double now = percent_of(line);
        if (now < before || now > 100)
            fail_msg("%g after %g: '%s'", now, before, line);
        before = now;
    }
}

TEST(test_where_the_time_left_grows_the_line_says_so) {
    char line[TS_PROGRESS_BYTES];
    double before = -1;
    int words = 0, seconds = 2000;
    ts_progress_start(TS_PROGRESS_NONE);
    srand(1);
    for (int t = 1; t < seconds; t++) {
        // As predicted at first; from a quarter on slower and slower, and never steady.
        double share = t < 500 ? t / 1000.0 : 0.5 + 0.25 * (t - 500) / seconds;
        ts_progress_state state = state_at(t, share * (1 + 0.1 * rand() / RAND_MAX));
        ts_progress_line(&state, t, 40, line);
        double left = left_of(line);
        bool word = strstr(line, "(up from ");
        words += word;
        if (left > before && before >= 0 && !word)
            fail_msg("%g s after %g s: '%s'", left, before, line);
        before = left;
    }
    assert_true(words > 0);
    // Once it has been said and the estimate holds, the word goes.
    ts_progress_state state = state_at(seconds, 0.9);
    ts_progress_line(&state, seconds, 40, line);
    ts_progress_line(&state, seconds + 60, 40, line);
    assert_null(strstr(line, "up from"));
}

TEST(test_there_is_no_estimate_before_there_is_ground_for_one) {
    char line[TS_PROGRESS_BYTES];
    ts_progress_start(TS_PROGRESS_NONE);
    ts_progress_state state = state_at(0.2, 0.0001), later = state_at(2, 0.01);
    ts_progress_line(&state, 0, 80, line);
    assert_non_null(strstr(line, "? left"));
    ts_progress_line(&later, 2, 80, line);
    assert_null(strstr(line, "? left"));
    assert_null(strstr(line, "up from"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_fits_any_terminal),
        cmocka_unit_test(test_a_log_has_the_whole_line),
        cmocka_unit_test(test_the_share_never_goes_back),
        cmocka_unit_test(test_where_the_time_left_grows_the_line_says_so),
        cmocka_unit_test(test_there_is_no_estimate_before_there_is_ground_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
