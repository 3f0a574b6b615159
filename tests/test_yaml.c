// YAML trees: structure, lines, bounds and time.
#include "base/memory.h"
#include "support_cmocka.h"
#include "sweep/yaml.h"

#include <string.h>
#include <time.h>

static ts_yaml *parse(const char *text) {
    ts_yaml *yaml;
    int line;
    if (ts_yaml_parse(text, strlen(text), &yaml, &line) != TS_OK)
        fail_msg("line %d: %s", line, ts_message());
    return yaml;
}

TEST(test_entries_keep_order_keys_and_lines) {
    ts_yaml *yaml = parse("# comment\na: 1\nb:\n  - x\n  - 'y'\n  - {c: 2}\nd: []\n");
    const ts_yaml_node *a = ts_yaml_root(yaml)->child, *b = a->next, *d = b->next;
    assert_int_equal(ts_yaml_root(yaml)->count, 3);
    assert_string_equal(a->key, "a");
    assert_string_equal(a->text, "1");
    assert_int_equal(a->key_line, 2);
    assert_false(a->quoted);
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->line, 4);
    assert_int_equal(b->count, 3);
    assert_true(b->child->next->quoted);
    assert_int_equal(b->child->next->line, 5);
    assert_string_equal(b->child->next->next->child->key, "c");
    assert_int_equal(d->count, 0);
    assert_null(d->child);
    assert_null(d->next);
    assert_ptr_equal(ts_yaml_get(ts_yaml_root(yaml), "d"), d);
    assert_null(ts_yaml_get(ts_yaml_root(yaml), "e"));
    ts_yaml_free(yaml);
}

TEST(test_json_reads_as_yaml) {
    ts_yaml *yaml = parse("{\"a\": [1, 2.5e-3, true], \"b\": {\"c\": \"x\\n\"}}");
    const ts_yaml_node *a = ts_yaml_get(ts_yaml_root(yaml), "a");
    assert_int_equal(a->count, 3);
    assert_string_equal(a->child->next->text, "2.5e-3");
    assert_false(a->child->next->quoted);
    assert_string_equal(ts_yaml_get(ts_yaml_get(ts_yaml_root(yaml), "b"), "c")->text, "x\n");
    ts_yaml_free(yaml);
}

TEST(test_empty_documents_have_no_root) {
    static const char *const TEXTS[] = {"", "\n\n", "# nothing\n", "---\n"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        ts_yaml *yaml = parse(TEXTS[i]);
        assert_null(ts_yaml_root(yaml));
        ts_yaml_free(yaml);
    }
}

TEST(test_sixteen_levels_are_allowed_and_not_more) {
    ts_yaml *yaml = parse("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]");
    ts_yaml_free(yaml);
    int line;
    const char *deep = "\n[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]";
    assert_int_equal(ts_yaml_parse(deep, strlen(deep), &yaml, &line), TS_ERROR_USER);
    assert_int_equal(line, 2);
    assert_null(yaml);
}

// Of processor time, however busy the machine is. A fiftieth is usual with sanitizers; minutes are to be ruled out.
static const double MOST_SECONDS = 20;

static double processor_seconds(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

// Parses `unit` repeated to 250 KiB, whatever comes of it, and says how long that took.
static double time_of(const char *unit) {
    size_t length = strlen(unit), bytes = 250 * 1024 / length * length;
    char *text = ts_alloc(bytes, "a test");
    assert_non_null(text);
    for (size_t i = 0; i < bytes; i++)
        text[i] = unit[i % length];
    ts_yaml *yaml;
    int line;
    double start = processor_seconds();
    ts_yaml_parse(text, bytes, &yaml, &line);
    double seconds = processor_seconds() - start;
    ts_yaml_free(yaml);
    ts_free(text);
    return seconds;
}

TEST(test_no_text_within_the_limit_takes_long) {
    static const char *const UNITS[] = {"[",    "{",     "[a,",    "{a: ",   "- ",    "? ",    "[\n",      "a: b\n",
                                        "a\n",  "- a\n", "a:\n ",  "\"a ",   "'a ",   "#\n",   "[],",      "{}\n",
                                        "!",    "\t",    "- - \n", "\n ",    "| \n",  "> a\n", "a: [b]\n", "a, b, ",
                                        "%a\n", "- [\n", "&a ",    "--- \n", "{? a,", "[? "};
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
        double seconds = time_of(UNITS[i]);
        if (seconds > MOST_SECONDS)
            fail_msg("'%s' repeated took %g s, expected less than %g", UNITS[i], seconds, MOST_SECONDS);
    }
}

TEST(test_many_different_keys_are_read_in_linear_time) {
    char *text = ts_alloc(25000 * 10 + 1, "a test");
    size_t bytes = 0;
    for (int i = 0; i < 25000; i++, bytes += 9)
        memcpy(text + bytes,
               (char[]){'k', (char)('a' + i / 15625), (char)('a' + i / 625 % 25), (char)('a' + i / 25 % 25),
                        (char)('a' + i % 25), ':', ' ', '1', '\n'},
               9);
    ts_yaml *yaml;
    int line;
    double start = processor_seconds();
    assert_int_equal(ts_yaml_parse(text, bytes, &yaml, &line), TS_OK);
    double seconds = processor_seconds() - start;
    assert_int_equal(ts_yaml_root(yaml)->count, 25000);
    if (seconds > MOST_SECONDS)
        fail_msg("25000 keys took %g s, expected less than %g", seconds, MOST_SECONDS);
    ts_yaml_free(yaml);
    ts_free(text);
}

TEST(test_out_of_memory_is_reported_wherever_it_strikes) {
    const char *text = "a: [1, 2, {b: c}]\nd: e\n";
    for (int n = 1; n < 4; n++) {
        ts_yaml *yaml;
        int line;
        ts_alloc_fail_at(n);
        ts_status status = ts_yaml_parse(text, strlen(text), &yaml, &line);
        ts_alloc_fail_at(0);
        assert_int_equal(status, TS_ERROR_MEMORY);
        assert_null(yaml);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_keep_order_keys_and_lines),
        cmocka_unit_test(test_json_reads_as_yaml),
        cmocka_unit_test(test_empty_documents_have_no_root),
        cmocka_unit_test(test_sixteen_levels_are_allowed_and_not_more),
        cmocka_unit_test(test_no_text_within_the_limit_takes_long),
        cmocka_unit_test(test_many_different_keys_are_read_in_linear_time),
        cmocka_unit_test(test_out_of_memory_is_reported_wherever_it_strikes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
