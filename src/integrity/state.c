// One file a unit: header, payload, CRC; the newest one that is whole counts.
#define _POSIX_C_SOURCE 200809L
#include "integrity/state.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "integrity/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The head of a state file, little-endian, without gaps; the payload follows.
typedef struct state_head {
    char magic[8];
    char version[32]; // of the program
    uint8_t digest[32];
    int64_t case_index, first_row, rows;
    uint64_t bytes; // of the payload
    uint32_t format;
    uint32_t crc; // of the head with crc 0, then the payload
} state_head;

_Static_assert(sizeof(state_head) == 112, "no gaps");

static const char MAGIC[8] = "TSSTATE";
enum { STATE_FORMAT = 2 };

static void add_path(ts_text *path, const char *directory, const ts_unit *unit, const char *suffix) {
    ts_text_clear(path);
    ts_text_addf(path, "%s/unit-%d-%lld-%lld%s", directory, (int)unit->case_index, (long long)unit->first_row,
                 (long long)unit->rows, suffix);
}

static state_head make_head(const uint8_t digest[32], const ts_unit *unit, size_t bytes) {
    state_head head = {.case_index = unit->case_index,
                       .first_row = unit->first_row,
                       .rows = unit->rows,
                       .bytes = bytes,
                       .format = STATE_FORMAT};
    memcpy(head.magic, MAGIC, sizeof head.magic);
    snprintf(head.version, sizeof head.version, "%s", TOYSWEEP_VERSION);
    memcpy(head.digest, digest, sizeof head.digest);
    return head;
}

static uint32_t checksum(state_head head, const void *payload) {
    head.crc = 0;
    return ts_crc32(ts_crc32(0, &head, sizeof head), payload, head.bytes);
}

// --- Saving ---

static ts_status write_state(const char *path, const state_head *head, const void *payload) {
    int fd = ts_file_open(path, O_WRONLY | O_CREAT | O_TRUNC), error = fd < 0 ? errno : 0;
    if (error == 0)
        error = ts_file_write_all(fd, head, sizeof *head);
    if (error == 0)
        error = ts_file_write_all(fd, payload, head->bytes);
    if (error == 0)
        error = ts_file_sync(fd);
    int closing = fd >= 0 ? ts_file_close(fd) : 0;
    error = error ? error : closing;
    if (error == 0)
        return TS_OK;
    unlink(path);
    return ts_fail_errno(TS_ERROR_FATAL, error, "cannot save the state of unfinished training in '%s' (%llu bytes)",
                         path, (unsigned long long)head->bytes);
}

// The current generation becomes the old one, the temporary file the current one.
static ts_status turn_over(const char *temporary, const char *current, const char *old) {
    if ((rename(current, old) != 0 && errno != ENOENT) || rename(temporary, current) != 0) {
        int error = errno;
        unlink(temporary);
        return ts_fail_errno(TS_ERROR_FATAL, error, "cannot save the state of unfinished training in '%s'", current);
    }
    return ts_file_sync_directory(current);
}

// A process may be stopped anywhere, and go on when another run has removed the directory, and ended: if that was
// before it is made here, the lock tells; if it was after that, nothing can be saved in it.
static ts_status make_directory(const char *directory, const ts_lock *lock) {
    if (ts_path_exists(directory))
        return TS_OK;
    if (mkdir(directory, 0777) != 0)
        return errno == EEXIST ? TS_OK
                               : ts_fail_errno(TS_ERROR_FATAL, errno,
                                               "cannot make the directory '%s' for unfinished training", directory);
    if (ts_lock_in_place(lock))
        return ts_file_sync_directory(directory);
    rmdir(directory);
    return ts_fail(TS_ERROR_FATAL,
                   "there is no directory '%s', and '%s' is not this run's any more: another run may have begun",
                   directory, lock->path);
}

ts_status ts_state_save(const char *directory, const ts_lock *lock, const uint8_t digest[32], const ts_unit *unit,
                        const void *payload, size_t bytes) {
    char suffix[48];
    snprintf(suffix, sizeof suffix, ".bin.%ld.tmp", (long)getpid());
    ts_text temporary = {0}, current = {0}, old = {0};
    add_path(&temporary, directory, unit, suffix);
    add_path(&current, directory, unit, ".bin");
    add_path(&old, directory, unit, ".old");
    ts_status status = TS_OK;
    if (ts_text_status(&temporary) != TS_OK || ts_text_status(&current) != TS_OK || ts_text_status(&old) != TS_OK)
        status = TS_ERROR_MEMORY;
    state_head head = make_head(digest, unit, bytes);
    head.crc = checksum(head, payload);
    if (status == TS_OK)
        status = make_directory(directory, lock);
    if (status == TS_OK)
        status = write_state(ts_text_get(&temporary), &head, payload);
    if (status == TS_OK)
        status = turn_over(ts_text_get(&temporary), ts_text_get(&current), ts_text_get(&old));
    ts_text_free(&temporary);
    ts_text_free(&current);
    ts_text_free(&old);
    return status;
}

// --- Loading ---

// What is wrong with the head of a file of `size` bytes; NULL: nothing. expected: as it should be, `bytes` at most.
static const char *judge_head(const state_head *head, const state_head *expected, off_t size) {
    if (memcmp(head->magic, expected->magic, sizeof head->magic) != 0)
        return "it is not a state file";
    if (head->format != expected->format || memcmp(head->version, expected->version, sizeof head->version) != 0)
        return "it was written by another version of toysweep";
    if (memcmp(head->digest, expected->digest, sizeof head->digest) != 0)
        return "it belongs to another sweep";
    if (head->case_index != expected->case_index || head->first_row != expected->first_row ||
        head->rows != expected->rows)
        return "it belongs to another unit";
    if ((uint64_t)size - sizeof *head != head->bytes)
        return "it is torn";
    if (head->bytes > expected->bytes)
        return "it is larger than a state of its unit";
    return NULL;
}

// NULL if all is well (with *payload set), else what is wrong with it. *status is a fault of ours.
static const char *read_state(int fd, const state_head *expected, void **payload, size_t *bytes, ts_status *status) {
    struct stat information;
    state_head head;
    if (fstat(fd, &information) != 0 || information.st_size < (off_t)sizeof head ||
        ts_file_read_at(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        return "it is torn";
    const char *fault = judge_head(&head, expected, information.st_size);
    if (fault)
        return fault;
    void *data = ts_alloc(head.bytes, "the state of unfinished training");
    if (!data) {
        *status = TS_ERROR_MEMORY;
        return NULL;
    }
    if (ts_file_read_at(fd, data, head.bytes, sizeof head) != (ssize_t)head.bytes)
        fault = "it cannot be read";
    else if (checksum(head, data) != head.crc)
        fault = "its checksum does not match";
    if (fault) {
        ts_free(data);
        return fault;
    }
    *payload = data;
    *bytes = head.bytes;
    return NULL;
}

static ts_status load_generation(const char *path, const state_head *expected, void **payload, size_t *bytes) {
    int fd;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return TS_OK;
    ts_status status = TS_OK, opened = ts_file_open_input(path, TS_ERROR_UNIT, &fd);
    const char *fault = opened == TS_OK ? read_state(fd, expected, payload, bytes, &status) : ts_message();
    if (fd >= 0)
        close(fd);
    if (fault)
        ts_warn("state of unfinished training '%s' is passed over: %s", path, fault);
    return status;
}

ts_status ts_state_load(const char *directory, const uint8_t digest[32], const ts_unit *unit, size_t most,
                        void **payload, size_t *bytes) {
    *payload = NULL;
    *bytes = 0;
    state_head expected = make_head(digest, unit, most);
    ts_text path = {0};
    ts_status status = TS_OK;
    for (int generation = 0; generation < 2 && status == TS_OK && !*payload; generation++) {
        add_path(&path, directory, unit, generation ? ".old" : ".bin");
        status = ts_text_status(&path);
        if (status == TS_OK)
            status = load_generation(ts_text_get(&path), &expected, payload, bytes);
    }
    ts_text_free(&path);
    return status;
}

static bool read_beginning(int fd, const state_head *expected, void *beginning, size_t bytes) {
    struct stat information;
    state_head head;
    return fstat(fd, &information) == 0 && ts_file_read_at(fd, &head, sizeof head, 0) == (ssize_t)sizeof head &&
           !judge_head(&head, expected, information.st_size) && head.bytes >= bytes &&
           ts_file_read_at(fd, beginning, bytes, sizeof head) == (ssize_t)bytes;
}

bool ts_state_peek(const char *directory, const uint8_t digest[32], const ts_unit *unit, void *beginning,
                   size_t bytes) {
    state_head expected = make_head(digest, unit, SIZE_MAX);
    ts_text path = {0};
    bool found = false;
    for (int generation = 0; generation < 2 && !found; generation++) {
        add_path(&path, directory, unit, generation ? ".old" : ".bin");
        int fd = -1;
        if (ts_text_status(&path) == TS_OK && access(ts_text_get(&path), F_OK) == 0)
            (void)ts_file_open_input(ts_text_get(&path), TS_ERROR_UNIT, &fd);
        found = fd >= 0 && read_beginning(fd, &expected, beginning, bytes);
        if (fd >= 0)
            close(fd);
    }
    ts_text_free(&path);
    return found;
}

// --- Listing and removing ---

// "unit-<case>-<first row>-<rows>.bin" or ".old".
static bool parse_name(const char *name, ts_unit *unit) {
    long long number[3];
    const char *at = name;
    for (int i = 0; i < 3; i++) {
        const char *before = i ? "-" : "unit-";
        if (strncmp(at, before, strlen(before)) != 0)
            return false;
        at += strlen(before);
        if (*at < '0' || *at > '9')
            return false;
        char *end;
        errno = 0;
        number[i] = strtoll(at, &end, 10);
        if (errno)
            return false;
        at = end;
    }
    if (number[0] > INT32_MAX || (strcmp(at, ".bin") != 0 && strcmp(at, ".old") != 0))
        return false;
    *unit = (ts_unit){.case_index = (int32_t)number[0], .first_row = number[1], .rows = number[2]};
    return true;
}

static int compare_units(const void *left, const void *right) {
    const ts_unit *a = left, *b = right;
    if (a->case_index != b->case_index)
        return a->case_index < b->case_index ? -1 : 1;
    if (a->first_row != b->first_row)
        return a->first_row < b->first_row ? -1 : 1;
    return (a->rows > b->rows) - (a->rows < b->rows);
}

static ts_status collect(DIR *entries, ts_unit **units, int64_t *count) {
    int64_t capacity = 0;
    for (const struct dirent *entry; (entry = readdir(entries));) {
        ts_unit unit;
        if (!parse_name(entry->d_name, &unit))
            continue;
        if (*count == capacity) {
            capacity = capacity ? 2 * capacity : 64;
            ts_unit *grown = ts_realloc(*units, (size_t)capacity * sizeof *grown, "unfinished units");
            if (!grown)
                return TS_ERROR_MEMORY;
            *units = grown;
        }
        (*units)[(*count)++] = unit;
    }
    return TS_OK;
}

ts_status ts_state_list(const char *directory, ts_unit **units, int64_t *count) {
    *units = NULL;
    *count = 0;
    DIR *entries = opendir(directory);
    if (!entries && errno == ENOENT)
        return TS_OK;
    if (!entries)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read the directory '%s'", directory);
    ts_status status = collect(entries, units, count);
    closedir(entries);
    if (status != TS_OK) {
        ts_free(*units);
        *units = NULL;
        *count = 0;
        return status;
    }
    if (*count > 0)
        qsort(*units, (size_t)*count, sizeof **units, compare_units);
    int64_t kept = 0;
    for (int64_t i = 0; i < *count; i++) // one of the two generations
        if (kept == 0 || compare_units(&(*units)[kept - 1], &(*units)[i]) != 0)
            (*units)[kept++] = (*units)[i];
    *count = kept;
    return TS_OK;
}

void ts_state_remove(const char *directory, const ts_unit *unit) {
    ts_text path = {0};
    // The older first: killed in between, the newer is still the one to be found.
    for (int generation = 0; generation < 2; generation++) {
        add_path(&path, directory, unit, generation ? ".bin" : ".old");
        if (ts_text_status(&path) == TS_OK)
            unlink(ts_text_get(&path));
    }
    ts_text_free(&path);
}

// A state, or the beginning of one.
static bool is_ours(const char *name) {
    ts_unit unit;
    size_t length = strlen(name);
    return parse_name(name, &unit) ||
           (strncmp(name, "unit-", 5) == 0 && length > 4 && strcmp(name + length - 4, ".tmp") == 0);
}

void ts_state_remove_all(const char *directory) {
    DIR *entries = opendir(directory);
    if (!entries)
        return;
    for (const struct dirent *entry; (entry = readdir(entries));)
        if (is_ours(entry->d_name))
            unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
    rmdir(directory);
}
