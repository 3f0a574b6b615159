// One run at a time on a results file; a dead holder holds nothing.
#define _POSIX_C_SOURCE 200809L
#include "integrity/lock.h"

#include "base/clock.h"
#include "base/file.h"
#include "support_folder.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

static void expect_ok(ts_status status) {
    if (status != TS_OK)
        fail_msg("status %d: %s", (int)status, ts_message());
}

// A process that holds the lock (as rank 0, or as another rank) until it is killed.
static pid_t start_holder(bool coordinator) {
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ts_lock lock = {.fd = -1};
        ts_status status = coordinator ? ts_lock_take(path, 0, &lock) : TS_OK;
        if (status == TS_OK)
            status = ts_lock_join(path, &lock);
        byte = status == TS_OK ? 'y' : 'n';
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void stop_holder(pid_t child) {
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

TEST(test_second_run_is_refused_and_told_who) {
    pid_t holder = start_holder(true);
    ts_lock lock;
    char expected[64];
    assert_true(ts_lock_is_held(path));
    ts_status status = ts_lock_take(path, 0.2, &lock);
    snprintf(expected, sizeof expected, "process %ld", (long)holder);
    bool named = strstr(ts_message(), expected) != NULL;
    stop_holder(holder);
    assert_int_equal(status, TS_ERROR_FATAL);
    if (!named)
        fail_msg("'%s' does not name '%s'", ts_message(), expected);
    assert_int_equal(lock.fd, -1);
}

TEST(test_same_process_is_refused_too) {
    ts_lock first, second;
    expect_ok(ts_lock_take(path, 0, &first));
    assert_int_equal(ts_lock_take(path, 0, &second), TS_ERROR_FATAL);
    ts_lock_release(&first);
    expect_ok(ts_lock_take(path, 0, &second));
    ts_lock_remove(&second);
    ts_lock_release(&second);
    assert_false(ts_path_exists(path));
}

TEST(test_dead_holder_holds_nothing) {
    stop_holder(start_holder(true));
    ts_lock lock;
    assert_true(ts_path_exists(path));
    assert_false(ts_lock_is_held(path));
    expect_ok(ts_lock_take(path, 0, &lock));
    ts_lock_remove(&lock);
    ts_lock_release(&lock);
}

TEST(test_dying_ranks_of_a_killed_run_are_waited_for) {
    pid_t orphan = start_holder(false);
    ts_lock lock;
    assert_int_equal(ts_lock_take(path, 0.2, &lock), TS_ERROR_FATAL);
    pid_t killer = fork();
    assert_true(killer >= 0);
    if (killer == 0) {
        ts_sleep(0.3);
        kill(orphan, SIGKILL);
        _exit(0);
    }
    static const double PATIENCE = 100; // seconds: more than any machine takes for the above
    double start = ts_clock();
    expect_ok(ts_lock_take(path, PATIENCE, &lock)); // so the orphan holds nothing any more
    double waited = ts_clock() - start;
    if (waited > PATIENCE / 2)
        fail_msg("waited %g s", waited);
    ts_lock_remove(&lock);
    ts_lock_release(&lock);
    assert_int_equal(waitpid(killer, NULL, 0), killer);
    assert_int_equal(waitpid(orphan, NULL, 0), orphan);
}

TEST(test_ranks_share_and_none_takes_it_from_rank_0) {
    ts_lock first = {.fd = -1}, second = {.fd = -1};
    expect_ok(ts_lock_take(path, 0, &first));
    expect_ok(ts_lock_join(path, &first));
    expect_ok(ts_lock_join(path, &second));
    assert_true(ts_lock_is_held(path));
    ts_lock_release(&first);
    assert_true(ts_lock_is_held(path)); // the other rank still writes
    ts_lock_release(&second);
    assert_false(ts_lock_is_held(path));
}

TEST(test_asking_makes_no_file) {
    assert_false(ts_lock_is_held(path));
    assert_false(ts_path_exists(path));
}

TEST(test_missing_directory_is_an_error) {
    ts_lock lock;
    assert_int_equal(ts_lock_take("/tmp/no/such/place.lock", 0, &lock), TS_ERROR_FATAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_second_run_is_refused_and_told_who),
        IN_FOLDER(test_same_process_is_refused_too),
        IN_FOLDER(test_dead_holder_holds_nothing),
        IN_FOLDER(test_dying_ranks_of_a_killed_run_are_waited_for),
        IN_FOLDER(test_ranks_share_and_none_takes_it_from_rank_0),
        IN_FOLDER(test_asking_makes_no_file),
        IN_FOLDER(test_missing_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
