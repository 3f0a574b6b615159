// The run log: whole lines in, whole lines out, whatever happened in between; never a reason to stop.
#define _XOPEN_SOURCE 700
#include "run/runlog.h"

#include "base/file.h"
#include "base/memory.h"
#include "support_folder.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void write_line(ts_runlog *log, const char *event, const char *reason) {
    ts_text *line = ts_runlog_begin(log, event);
    ts_json_string(line, "reason", reason);
    ts_json_integer(line, "instance", 7);
    ts_json_real(line, "seconds", 0.25);
    ts_runlog_end(log);
}

typedef struct seen {
    int lines;
    char events[256], reasons[1024];
} seen;

static void visit(const ts_yaml_node *line, void *context) {
    seen *all = context;
    const ts_yaml_node *event = ts_yaml_get(line, "event"), *reason = ts_yaml_get(line, "reason");
    assert_non_null(event);
    assert_non_null(ts_yaml_get(line, "time"));
    all->lines++;
    strcat(strcat(all->events, event->text), ";");
    if (reason)
        strcat(strcat(all->reasons, reason->text), ";");
}

static seen read_log(void) {
    seen all = {0};
    assert_int_equal(ts_runlog_read(path, visit, &all), TS_OK);
    return all;
}

TEST(test_missing_log_has_no_lines) {
    assert_int_equal(read_log().lines, 0);
}

TEST(test_lines_come_back_in_order) {
    ts_runlog *log;
    for (int run = 0; run < 2; run++) {
        assert_int_equal(ts_runlog_open(path, &log), TS_OK);
        write_line(log, run ? "again" : "start", "plain");
        write_line(log, "failed", "tab\tnewline\nquote\" back\\slash / {[: #}], \x01 \xc3\xa9");
        ts_runlog_close(log);
    }
    seen all = read_log();
    assert_int_equal(all.lines, 4);
    assert_string_equal(all.events, "start;failed;again;failed;");
    assert_non_null(strstr(all.reasons, "tab\tnewline\nquote\" back\\slash / {[: #}], \x01 \xc3\xa9;"));
}

TEST(test_torn_lines_are_passed_over) {
    static const char torn[] = "{\"event\":\"whole\",\"time\":\"t\"}\n"
                               "not a line\n\n{}x\n[1, 2]\n{\"event\":\"torn\",\"ti";
    assert_int_equal(ts_file_write_durably(path, torn, sizeof torn - 1), TS_OK);
    assert_string_equal(read_log().events, "whole;");
    ts_runlog *log;
    assert_int_equal(ts_runlog_open(path, &log), TS_OK);
    write_line(log, "next", "must not be swallowed");
    ts_runlog_close(log);
    assert_string_equal(read_log().events, "whole;next;");
}

TEST(test_each_line_is_one_object_on_one_line) {
    ts_runlog *log;
    assert_int_equal(ts_runlog_open(path, &log), TS_OK);
    write_line(log, "start", "two\nlines");
    ts_runlog_close(log);
    char *bytes;
    size_t size;
    assert_int_equal(ts_file_read(path, 4096, &bytes, &size), TS_OK);
    assert_ptr_equal(strchr(bytes, '\n'), bytes + size - 1);
    if (strncmp(bytes, "{\"event\":\"start\",\"time\":\"", 25) != 0)
        fail_msg("%s", bytes);
    ts_free(bytes);
}

TEST(test_full_disk_and_missing_place_only_warn) {
    static const char *const places[] = {"/dev/full", "/tmp/no/such/place.jsonl"};
    for (int i = 0; i < 2; i++) {
        ts_runlog *log;
        assert_int_equal(ts_runlog_open(places[i], &log), TS_OK);
        assert_non_null(log);
        write_line(log, "start", "goes nowhere");
        write_line(log, "end", "goes nowhere");
        ts_runlog_close(log);
    }
}

// The disk is full in the middle of a line, and has room again for the next.
TEST(test_a_line_cut_short_is_ended_before_the_next) {
    struct rlimit before, full;
    ts_runlog *log;
    signal(SIGXFSZ, SIG_IGN); // as runs do
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = 100;
    assert_int_equal(ts_runlog_open(path, &log), TS_OK);
    write_line(log, "first", "fits");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    write_line(log, "second", "does not fit");
    write_line(log, "third", "does not even begin");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    write_line(log, "fourth", "fits again");
    write_line(log, "fifth", "and goes on");
    ts_runlog_close(log);
    assert_string_equal(read_log().events, "first;fourth;fifth;");
}

TEST(test_a_pipe_in_its_place_stops_nobody) {
    alarm(60);
    assert_int_equal(mkfifo(path, 0666), 0);
    ts_runlog *log;
    assert_int_equal(ts_runlog_open(path, &log), TS_OK);
    for (int i = 0; i < 10000; i++) // more than a pipe holds
        write_line(log, "event", "that nobody reads");
    ts_runlog_close(log);
    seen all = {0};
    assert_int_equal(ts_runlog_read(path, visit, &all), TS_ERROR_FATAL);
    alarm(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_missing_log_has_no_lines),
        IN_FOLDER(test_lines_come_back_in_order),
        IN_FOLDER(test_torn_lines_are_passed_over),
        IN_FOLDER(test_each_line_is_one_object_on_one_line),
        IN_FOLDER(test_full_disk_and_missing_place_only_warn),
        IN_FOLDER(test_a_line_cut_short_is_ended_before_the_next),
        IN_FOLDER(test_a_pipe_in_its_place_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
