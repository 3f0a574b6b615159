// The CRC of the bytes between the datasets that training fills in.
#define _POSIX_C_SOURCE 200809L
#include "results/frame.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// The superblock (version 2) has a checksum of its own, which HDF5 verifies, and a mark while the file is open.
enum { SUPERBLOCK_BYTES = 48, PIECE_BYTES = 1 << 20 };

static const char *const PATH = "/sweep/frame_checksum";
static const ts_h5_form FORM = {.type = TS_H5_UINT32};

typedef struct ts_frame_gap {
    uint64_t offset, bytes;
} ts_frame_gap;

void ts_frame_gaps_free(ts_frame_gaps *gaps) {
    ts_free(gaps->of);
    *gaps = (ts_frame_gaps){0};
}

static int compare(const void *left, const void *right) {
    const ts_frame_gap *a = left, *b = right;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

void ts_frame_note(ts_h5 *h5, hid_t dataset, ts_frame_gaps *gaps) {
    if (h5->status != TS_OK || dataset < 0)
        return;
    if (gaps->count == gaps->capacity) {
        int64_t capacity = gaps->capacity ? 2 * gaps->capacity : 256;
        ts_frame_gap *grown = ts_realloc(gaps->of, (size_t)capacity * sizeof *grown, "places of datasets");
        if (!grown) {
            h5->status = TS_ERROR_MEMORY;
            return;
        }
        gaps->of = grown;
        gaps->capacity = capacity;
    }
    gaps->of[gaps->count++] = (ts_frame_gap){H5Dget_offset(dataset), H5Dget_storage_size(dataset)};
}

void ts_frame_note_root(const ts_rows *rows, ts_frame_gaps *gaps) {
    ts_frame_note(rows->h5, rows->status, gaps);
    ts_frame_note(rows->h5, rows->checksum, gaps);
    ts_frame_note(rows->h5, rows->steps_done, gaps);
    ts_frame_note(rows->h5, rows->stacked, gaps);
    for (int i = 0; i < rows->measures.count; i++)
        ts_frame_note(rows->h5, rows->measure[i], gaps);
}

void ts_frame_note_case(const ts_rows *rows, ts_frame_gaps *gaps) {
    for (int f = 0; rows->case_index >= 0 && f < rows->layouts[rows->case_index]->count; f++)
        ts_frame_note(rows->h5, rows->field[f], gaps);
}

// Continues *crc over the bytes from `begin` to `end`. False with errno set if they cannot be read.
static bool add_bytes(int fd, uint64_t begin, uint64_t end, char *piece, uint32_t *crc) {
    while (begin < end) {
        size_t wanted = end - begin < PIECE_BYTES ? (size_t)(end - begin) : PIECE_BYTES;
        ssize_t got = ts_file_read_at(fd, piece, wanted, (int64_t)begin);
        if (got == 0)
            errno = EIO; // shorter than it was
        if (got <= 0)
            return false;
        *crc = ts_crc32(*crc, piece, (size_t)got);
        begin += (uint64_t)got;
    }
    return true;
}

static bool add_frame(int fd, const ts_frame_gaps *gaps, char *piece, uint32_t *crc) {
    struct stat file;
    if (fstat(fd, &file) != 0)
        return false;
    uint64_t at = SUPERBLOCK_BYTES, size = (uint64_t)file.st_size;
    for (int64_t i = 0; i < gaps->count; i++) {
        const ts_frame_gap *next = &gaps->of[i];
        if (next->offset > at && !add_bytes(fd, at, next->offset, piece, crc))
            return false;
        if (next->offset + next->bytes > at)
            at = next->offset + next->bytes;
    }
    return add_bytes(fd, at, size, piece, crc);
}

// In the order in which they lie, with the checksum itself.
static uint32_t checksum_of(ts_h5 *h5, hid_t checksum, ts_frame_gaps *gaps, int fd) {
    uint32_t crc = 0;
    char *piece = ts_alloc(PIECE_BYTES, "a piece of the results file");
    ts_frame_note(h5, checksum, gaps);
    if (!piece)
        h5->status = TS_ERROR_MEMORY;
    if (h5->status == TS_OK)
        qsort(gaps->of, (size_t)gaps->count, sizeof *gaps->of, compare);
    if (h5->status == TS_OK && !add_frame(fd, gaps, piece, &crc))
        h5->status = ts_fail_errno(TS_ERROR_FATAL, errno, "cannot read '%s'", h5->path);
    ts_free(piece);
    return crc;
}

void ts_frame_make(ts_h5 *h5, hid_t sweep_group) {
    hid_t dataset = ts_h5_create_dataset(h5, sweep_group, "frame_checksum", &FORM);
    ts_h5_put_text(h5, dataset, "long_name", "CRC-32 of all bytes of the file but results and this one");
    ts_h5_close(h5, dataset);
}

ts_status ts_frame_seal(const char *path, ts_frame_gaps *gaps) {
    int fd = ts_file_open(path, O_RDONLY);
    if (fd < 0)
        return ts_fail_errno(TS_ERROR_FATAL, errno, "cannot open '%s'", path);
    ts_h5 h5;
    ts_h5_open(&h5, path, true);
    hid_t dataset = ts_rows_open_dataset(&h5, PATH, &FORM);
    uint32_t crc = checksum_of(&h5, dataset, gaps, fd);
    ts_h5_write(&h5, dataset, &FORM, 0, 1, &crc);
    ts_h5_close(&h5, dataset);
    ts_status status = ts_h5_end(&h5);
    close(fd);
    return status;
}

void ts_frame_check(ts_h5 *h5, ts_frame_gaps *gaps, int fd) {
    hid_t dataset = ts_rows_open_dataset(h5, PATH, &FORM);
    uint32_t found = 0, now = checksum_of(h5, dataset, gaps, fd);
    ts_h5_read(h5, dataset, &FORM, 0, 1, &found);
    if (h5->status == TS_OK && found != now)
        h5->status =
            ts_fail(TS_ERROR_FATAL,
                    "'%s' is damaged outside its results (CRC-32 of its frame: %08x when it was made, %08x now); "
                    "nothing in it "
                    "has been changed: move it away and start again (--reuse takes over the results it holds)",
                    h5->path, found, now);
    ts_h5_close(h5, dataset);
}
