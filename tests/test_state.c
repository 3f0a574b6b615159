// States of unfinished units: the newest intact one comes back, and nothing torn, corrupt or foreign ever
// does.
#define _POSIX_C_SOURCE 200809L
#include "integrity/state.h"

#include "base/file.h"
#include "base/memory.h"
#include "integrity/lock.h"
#include "support_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

static const uint8_t digest[32] = {1, 2, 3}, other_digest[32] = {3, 2, 1};
static const ts_unit unit = {.case_index = 3, .first_row = 40, .rows = 8};

static const char *const directory = path; // of states
static char current[192], old[192];        // generations of the unit's
static ts_lock lock;                       // of the run

static int set_up(void **state) {
    support_folder_make(state);
    snprintf(current, sizeof current, "%s/unit-3-40-8.bin", directory);
    snprintf(old, sizeof old, "%s/unit-3-40-8.old", directory);
    char lock_path[192];
    snprintf(lock_path, sizeof lock_path, "%s.lock", directory);
    assert_int_equal(ts_lock_take(lock_path, 0, &lock), TS_OK);
    return 0;
}

static int tear_down(void **state) {
    ts_state_remove_all(directory);
    ts_lock_remove(&lock);
    ts_lock_release(&lock);
    return support_folder_remove(state);
}

static void save(const char *text) {
    if (ts_state_save(directory, &lock, digest, &unit, text, strlen(text) + 1) != TS_OK)
        fail_msg("%s", ts_message());
}

// Without its warnings, which are expected here by the hundred.
static ts_status load_quietly(const uint8_t of[32], const ts_unit *which, void **payload, size_t *bytes) {
    int shown = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
    assert_true(shown >= 0 && nowhere >= 0);
    dup2(nowhere, STDERR_FILENO);
    ts_status status = ts_state_load(directory, of, which, 1 << 20, payload, bytes);
    dup2(shown, STDERR_FILENO);
    close(shown);
    close(nowhere);
    return status;
}

// NULL: none is to be found.
static void expect_state_of(const uint8_t of[32], const ts_unit *which, const char *text) {
    void *payload;
    size_t bytes;
    assert_int_equal(load_quietly(of, which, &payload, &bytes), TS_OK);
    if (!text != !payload || (text && (bytes != strlen(text) + 1 || strcmp(payload, text) != 0)))
        fail_msg("'%s', not '%s'", payload ? (char *)payload : "nothing", text ? text : "nothing");
    ts_free(payload);
}

static void expect_state(const char *text) {
    expect_state_of(digest, &unit, text);
}

TEST(test_missing_state_is_none) {
    ts_unit *units;
    int64_t count;
    expect_state(NULL);
    assert_int_equal(ts_state_list(directory, &units, &count), TS_OK);
    assert_int_equal(count, 0);
    ts_free(units);
}

TEST(test_newest_generation_comes_back) {
    save("first");
    expect_state("first");
    save("second, longer");
    save("third");
    expect_state("third");
}

TEST(test_empty_payload_is_a_state) {
    void *payload;
    size_t bytes = 1;
    assert_int_equal(ts_state_save(directory, &lock, digest, &unit, "", 0), TS_OK);
    assert_int_equal(ts_state_load(directory, digest, &unit, 0, &payload, &bytes), TS_OK);
    assert_non_null(payload);
    assert_int_equal(bytes, 0);
    ts_free(payload);
}

TEST(test_larger_than_its_unit_s_state_is_passed_over) {
    void *payload;
    size_t bytes;
    save("twelve bytes");
    assert_int_equal(ts_state_load(directory, digest, &unit, 12, &payload, &bytes), TS_OK);
    assert_null(payload);
    assert_int_equal(ts_state_load(directory, digest, &unit, 13, &payload, &bytes), TS_OK);
    assert_string_equal(payload, "twelve bytes");
    ts_free(payload);
}

TEST(test_older_generation_stands_in) {
    save("first");
    save("second");
    support_flip(current, 113, 1);
    expect_state("first");
    assert_int_equal(unlink(current), 0); // killed between the two renames
    expect_state("first");
    support_flip(old, 113, 1);
    expect_state(NULL);
}

TEST(test_states_of_others_are_passed_over) {
    save("mine");
    expect_state_of(other_digest, &unit, NULL);
    char copy[192];
    const ts_unit another = {.case_index = 3, .first_row = 48, .rows = 8};
    snprintf(copy, sizeof copy, "%s/unit-3-48-8.bin", directory);
    assert_int_equal(link(current, copy), 0); // a copy under a wrong name
    expect_state_of(digest, &another, NULL);
    expect_state("mine");
}

TEST(test_no_flipped_bit_is_accepted) {
    save("some payload of a trainer");
    struct stat information;
    assert_int_equal(stat(current, &information), 0);
    for (long offset = 0; offset < information.st_size; offset++)
        for (int bit = 0; bit < 8; bit++) {
            support_flip(current, offset, 1 << bit);
            expect_state(NULL);
            support_flip(current, offset, 1 << bit);
        }
    expect_state("some payload of a trainer");
}

TEST(test_no_other_length_is_accepted) {
    save("some payload of a trainer");
    struct stat information;
    assert_int_equal(stat(current, &information), 0);
    assert_int_equal(truncate(current, information.st_size + 1), 0);
    expect_state(NULL);
    for (off_t size = information.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(current, size), 0);
        expect_state(NULL);
    }
}

TEST(test_units_are_listed_once_in_order) {
    const ts_unit unsorted[] = {{3, 40, 8}, {0, 100, 1}, {3, 8, 8}, {0, 20, 7}};
    const ts_unit sorted[] = {{0, 20, 7}, {0, 100, 1}, {3, 8, 8}, {3, 40, 8}};
    for (int i = 0; i < 4; i++)
        for (int generation = 0; generation < 2; generation++)
            assert_int_equal(ts_state_save(directory, &lock, digest, &unsorted[i], "x", 1), TS_OK);
    char stray[192];
    static const char *const strays[] = {"unit-1-2-3.bin.99.tmp",    "unit-1-2.tmp",     "notes.txt", "unit--1-2-3.bin",
                                         "unit-99999999999-2-3.bin", "unit-1-2-3.binary"};
    for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) {
        snprintf(stray, sizeof stray, "%s/%s", directory, strays[i]);
        assert_int_equal(ts_file_write_durably(stray, "x", 1), TS_OK);
    }
    ts_unit *units;
    int64_t count;
    assert_int_equal(ts_state_list(directory, &units, &count), TS_OK);
    assert_int_equal(count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(units[i].case_index, sorted[i].case_index);
        assert_int_equal(units[i].first_row, sorted[i].first_row);
        assert_int_equal(units[i].rows, sorted[i].rows);
    }
    ts_free(units);
    for (size_t i = 2; i < sizeof strays / sizeof *strays; i++) { // the first two are left-overs of ours
        snprintf(stray, sizeof stray, "%s/%s", directory, strays[i]);
        assert_int_equal(unlink(stray), 0);
    }
}

TEST(test_removed_state_is_gone) {
    save("first");
    save("second");
    ts_state_remove(directory, &unit);
    ts_state_remove(directory, &unit);
    expect_state(NULL);
    assert_true(ts_path_exists(directory));
}

TEST(test_nothing_is_left_when_all_is_finished) {
    save("first");
    save("second");
    ts_state_remove_all(directory);
    assert_false(ts_path_exists(directory));
}

// A process that was stopped goes on when another run has begun, and ended.
TEST(test_directory_of_another_run_is_not_made) {
    ts_lock next;
    ts_lock_remove(&lock);
    assert_int_equal(ts_state_save(directory, &lock, digest, &unit, "late", 5), TS_ERROR_FATAL);
    assert_false(ts_path_exists(directory));
    assert_int_equal(ts_lock_take(lock.path, 0, &next), TS_OK);
    assert_int_equal(ts_state_save(directory, &lock, digest, &unit, "late", 5), TS_ERROR_FATAL);
    assert_false(ts_path_exists(directory));
    ts_lock_remove(&lock); // not the other run's
    assert_true(ts_path_exists(lock.path));
    ts_lock_release(&lock);
    lock = next;
    save("its own");
    expect_state("its own");
}

TEST(test_beginning_is_read_without_the_rest) {
    char found[6] = "";
    assert_false(ts_state_peek(directory, digest, &unit, found, 5));
    save("first and more");
    assert_true(ts_state_peek(directory, digest, &unit, found, 5));
    assert_string_equal(found, "first");
    assert_false(ts_state_peek(directory, other_digest, &unit, found, 5));
    assert_false(ts_state_peek(directory, digest, &unit, found, 16)); // it has 15
    save("later");
    assert_int_equal(truncate(current, 20), 0);
    assert_true(ts_state_peek(directory, digest, &unit, found, 5)); // the older generation stands in
    assert_string_equal(found, "first");
    assert_int_equal(unlink(current), 0);
    assert_int_equal(mkfifo(current, 0666), 0); // nobody will ever write to it
    assert_true(ts_state_peek(directory, digest, &unit, found, 5));
}

TEST(test_failed_save_keeps_the_earlier_state) {
    save("first");
    char blocked[192]; // the temporary name is taken by a directory
    snprintf(blocked, sizeof blocked, "%s/unit-3-40-8.bin.%ld.tmp", directory, (long)getpid());
    assert_int_equal(mkdir(blocked, 0777), 0);
    assert_int_equal(ts_state_save(directory, &lock, digest, &unit, "second", 7), TS_ERROR_FATAL);
    assert_int_equal(rmdir(blocked), 0);
    expect_state("first");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PROMISE(test_missing_state_is_none),
        PROMISE(test_newest_generation_comes_back),
        PROMISE(test_empty_payload_is_a_state),
        PROMISE(test_larger_than_its_unit_s_state_is_passed_over),
        PROMISE(test_older_generation_stands_in),
        PROMISE(test_states_of_others_are_passed_over),
        PROMISE(test_no_flipped_bit_is_accepted),
        PROMISE(test_no_other_length_is_accepted),
        PROMISE(test_units_are_listed_once_in_order),
        PROMISE(test_removed_state_is_gone),
        PROMISE(test_nothing_is_left_when_all_is_finished),
        PROMISE(test_directory_of_another_run_is_not_made),
        PROMISE(test_beginning_is_read_without_the_rest),
        PROMISE(test_failed_save_keeps_the_earlier_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
