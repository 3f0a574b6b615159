// Text for people: what is spelt out, how wide it is, and that JSON of any bytes is JSON.
#include "base/terminal.h"
#include "base/text.h"
#include "support.h"

#include <math.h>

static const struct {
    const char *text, *shown;
    int columns;
} texts[] = {
    {"", "", 0},
    {"plain \\n ~", "plain \\n ~", 10}, // a backslash stays one
    {"\xc3\xbcn\xc3\xaf \xe6\x95\xb0 \xf0\x9f\x98\x80", "\xc3\xbcn\xc3\xaf \xe6\x95\xb0 \xf0\x9f\x98\x80", 9},
    {"e\xcc\x81", "e\xcc\x81", 1}, // one letter of two characters
    {"a\nb\tc\rd", "a\\nb\\tc\\rd", 10},
    {"\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f", 16},
    {"\xc2\x9b\xc2\x85", "\\u009b\\u0085", 12}, // C1
    {"a\xe2\x80\xae"
     "b\xe2\x81\xa6",
     "a\\u202eb\\u2066", 14}, // right to left, isolate
    {"\xef\xbb\xbf"
     "0\xe2\x80\xa8",
     "\\ufeff0\\u2028", 13},                                   // byte order mark, line separator
    {"\xf3\xa0\x81\x81", "\\U000e0041", 10},                   // a tag
    {"\xff\xc3", "\\xff\\xc3", 8},                             // no UTF-8: never; cut short
    {"\xc0\xaf\xe0\x80\x80", "\\xc0\\xaf\\xe0\\x80\\x80", 20}, // longer than need be
    {"\xed\xa0\x80", "\\xed\\xa0\\x80", 12},                   // half a surrogate pair
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", 16},          // beyond the last character
};
enum { TEXTS = sizeof texts / sizeof *texts };

TEST(test_what_steers_a_terminal_is_spelt_out_and_the_rest_stays) {
    for (int i = 0; i < TEXTS; i++) {
        char shown[64], again[64];
        assert_int_equal(ts_terminal_text(texts[i].text, shown, sizeof shown), strlen(texts[i].text));
        assert_string_equal(shown, texts[i].shown);
        ts_terminal_text(shown, again, sizeof again);
        assert_string_equal(again, shown); // printing it once more changes nothing
    }
}

TEST(test_a_text_that_is_too_long_is_cut_between_characters) {
    for (size_t bytes = 1; bytes < 30; bytes++) {
        char shown[32];
        static const char text[] = "\xc3\xbc\x1b\xe6\x95\xb0\xff\xc3\xbc";
        size_t taken = ts_terminal_text(text, shown, bytes), whole = strlen(shown);
        assert_true(whole < bytes);
        // What was taken is what is shown, and one more would not have fitted.
        char rest[32];
        size_t left = ts_terminal_text(text + taken, rest, sizeof rest);
        assert_int_equal(taken + left, sizeof text - 1);
        assert_int_equal(whole + strlen(rest), strlen("\xc3\xbc\\x1b\xe6\x95\xb0\\xff\xc3\xbc"));
    }
}

TEST(test_columns_are_what_is_seen) {
    for (int i = 0; i < TEXTS; i++) {
        ts_text line = {0};
        assert_int_equal(ts_terminal_columns(texts[i].text), texts[i].columns);
        ts_text_add_shown(&line, texts[i].text);
        assert_int_equal(ts_terminal_columns(ts_text_get(&line)), texts[i].columns);
        ts_text_free(&line);
    }
}

TEST(test_a_shown_text_is_cut_by_columns) {
    static const char text[] = "a\xcc\x81"
                               "b\xe6\x95\xb0\xf0\x9f\x98\x80"; // columns: 1 1 2 2
    static const size_t bytes[] = {0, 3, 4, 4, 7, 7, 11, 11};
    for (int columns = 0; columns < 8; columns++)
        assert_int_equal(ts_terminal_cut(text, columns), bytes[columns]);
}

TEST(test_bars_are_filled_to_their_share) {
    static const struct {
        double share;
        const char *bar;
    } bars[] = {{0, "[....]"}, {0.24, "[....]"}, {0.25, "[#...]"}, {0.99, "[###.]"},
                {1, "[####]"}, {2, "[####]"},    {-1, "[....]"},   {NAN, "[....]"}};
    for (size_t i = 0; i < sizeof bars / sizeof *bars; i++) {
        char bar[8];
        ts_terminal_bar(bars[i].share, 4, bar);
        assert_string_equal(bar, bars[i].bar);
    }
}

TEST(test_curves_are_drawn_over_the_logarithm) {
    static const struct {
        double value[4];
        int count, width;
        const char *curve;
    } curves[] = {
        {{0}, 0, 4, ""},
        {{1}, 1, 4, "\u2581"},
        {{2, 2}, 2, 4, "\u2581\u2581"},
        {{1e7, 1e3, 1}, 3, 4, "\u2588\u2584\u2581"},
        {{1e7, NAN, 0, 1}, 4, 4, "\u2588  \u2581"},
        {{INFINITY, -1, 1, 10}, 4, 4, "  \u2581\u2588"},
        {{1e7, 5, 6, 1}, 4, 2, "\u2588\u2581"}, // the first and the last
        {{5, 6, 1e3, 1}, 4, 1, "\u2581"},
        {{NAN, NAN}, 2, 4, "  "},
    };
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        char curve[16];
        ts_terminal_curve(curves[i].value, curves[i].count, curves[i].width, curve);
        assert_string_equal(curve, curves[i].curve);
    }
}

TEST(test_messages_are_one_line_and_lists_of_them_stay_lines) {
    ts_fail(TS_ERROR_USER, "cannot open %s", "two\nlines\x1b");
    assert_string_equal(ts_message(), "cannot open two\\nlines\\x1b");
    ts_fail(TS_ERROR_USER, "--reuse: %s", ts_message());
    assert_string_equal(ts_message(), "--reuse: cannot open two\\nlines\\x1b");
    ts_fail_again(TS_ERROR_USER, "one\ntwo\n");
    assert_string_equal(ts_message(), "one\ntwo");
    ts_fail_again(TS_ERROR_USER, ts_message());
    assert_string_equal(ts_message(), "one\ntwo");
}

TEST(test_json_of_any_bytes_is_json) {
    static const struct {
        const char *text, *json;
    } strings[] = {
        {"\xc3\xbc\"\\", "\"\xc3\xbc\\\"\\\\\""},
        {"\x1b\n\x7f", "\"\\u001b\\u000a\\u007f\""},
        {"\xc2\x9b\xe2\x80\xae\xef\xbb\xbf", "\"\\u009b\\u202e\\ufeff\""},
        {"a\xff"
         "b\xc3",
         "\"a\\ufffdb\\ufffd\""},
    };
    for (int i = 0; i < 4; i++) {
        ts_text out = {0};
        ts_json_string(&out, NULL, strings[i].text);
        assert_string_equal(ts_text_get(&out), strings[i].json);
        ts_text_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_steers_a_terminal_is_spelt_out_and_the_rest_stays),
        cmocka_unit_test(test_a_text_that_is_too_long_is_cut_between_characters),
        cmocka_unit_test(test_columns_are_what_is_seen),
        cmocka_unit_test(test_a_shown_text_is_cut_by_columns),
        cmocka_unit_test(test_bars_are_filled_to_their_share),
        cmocka_unit_test(test_curves_are_drawn_over_the_logarithm),
        cmocka_unit_test(test_messages_are_one_line_and_lists_of_them_stay_lines),
        cmocka_unit_test(test_json_of_any_bytes_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
